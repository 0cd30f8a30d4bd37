"""
Rule groups of Azure Monitor, and what they refer to (Azure REST API reference, Prometheus Rule
Groups, 2023-03-01; Azure Monitor docs, "Service limits"; the schema of Microsoft's converter,
Azure/prometheus-collector). Expressions are not read: what Azure says of a wrong one is not known.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tasks.lab.azure import ids
from tasks.lab.azure.answers import Refused
from tasks.lab.azure.rules import Resource, Rules, properties, with_properties

if TYPE_CHECKING:
    from tasks.lab.azure.state import Azure

GROUP, WORKSPACE = "Microsoft.AlertsManagement/prometheusRuleGroups", "Microsoft.Monitor/accounts"
CLUSTER = "Microsoft.ContainerService/managedClusters"
RULES, GROUPS, LABELS, LENGTH = 20, 500, 10, 1024
#: Minutes.
SHORTEST, LONGEST = 1, 15

_NAME = re.compile(r"[^:@/#{}%&+*<>?]{1,260}")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,1023}")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_OF_GROUP = {"description", "enabled", "clusterName", "scopes", "interval", "rules"}
_OF_RECORD = {"record", "expression", "enabled", "labels"}
_OF_ALERT = {"alert", "expression", "enabled", "labels", "severity", "for", "annotations"} | {
    "actions",
    "resolveConfiguration",
}


def put(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    """With all that has a default (docs, "Rule groups", tables of properties)."""
    said = {key: it for key, it in properties(resource).items() if key != "provisioningState"}
    clusters = [it for it in said["scopes"] if ids.target(it).type.lower() == CLUSTER.lower()]
    named = {"clusterName": ids.target(clusters[0]).name} if clusters else {}
    rules = [_kept(it) for it in said["rules"]]
    whole = {"enabled": True, "interval": "PT1M", **named, **said, "rules": rules}
    return {**resource, "properties": whole}


def _kept(rule: Mapping[str, Any]) -> dict[str, Any]:
    if "record" in rule:
        return {"enabled": True, **rule}
    resolves = {"autoResolved": True, "timeToResolve": "PT5M"}
    resolves |= rule.get("resolveConfiguration") or {}
    return {"enabled": True, "severity": 3, **rule, "resolveConfiguration": resolves}


def check(azure: Azure, resource: Resource, old: Resource | None) -> None:
    """Raises `Refused`."""
    name, said = resource["name"], properties(resource)
    if not _NAME.fullmatch(name):
        raise _bad("Name", name, "'Name' is not in the correct format.")
    _known("", said, _OF_GROUP | {"provisioningState"})
    _check_scopes(azure, resource, old)
    minutes = _minutes("Interval", said.get("interval", "PT1M"))
    if not SHORTEST <= minutes <= LONGEST:
        raise _bad("Interval", minutes, f"'' must be between {SHORTEST} and {LONGEST}")
    rules = said.get("rules")
    if not isinstance(rules, list) or not 1 <= len(rules) <= RULES:
        count = len(rules) if isinstance(rules, list) else 0
        raise _bad("Rules.Count", count, f"'Rules Count' must be between 1 and {RULES}")
    for number, rule in enumerate(rules):
        _check_rule(f"Rules[{number}]", rule)


def _check_scopes(azure: Azure, resource: Resource, old: Resource | None) -> None:
    scopes = properties(resource).get("scopes")
    if not isinstance(scopes, list) or not all(isinstance(it, str) for it in scopes):
        raise _bad("Scopes", scopes, "'Scopes' must be a list of ids")
    kinds = [ids.target(it).type.lower() for it in scopes]
    if kinds not in ([WORKSPACE.lower()], [WORKSPACE.lower(), CLUSTER.lower()]):
        raise _bad("Scopes", len(scopes), "'Scopes' must have a workspace, and may have a cluster")
    for it in scopes:
        if azure.held(it) is None:
            raise _bad("Scopes", it, "The resource was not found")
    others = [
        it
        for it in azure.of(GROUP)
        if it["id"].lower() != resource["id"].lower()
        and ids.target(it["id"]).subscription == ids.target(resource["id"]).subscription
        and properties(it)["scopes"][0].lower() == scopes[0].lower()
    ]
    if old is None and len(others) >= GROUPS:
        raise _bad("Scopes", scopes[0], f"The workspace has {GROUPS} rule groups already")


def _check_rule(where: str, rule: Any) -> None:
    if not isinstance(rule, Mapping) or ("record" in rule) == ("alert" in rule):
        raise _bad(where, rule, "A rule must have either 'record' or 'alert'")
    _known(f"{where}.", rule, _OF_RECORD if "record" in rule else _OF_ALERT)
    if not isinstance(rule.get("expression"), str) or not rule["expression"].strip():
        raise _bad(f"{where}.Expression", rule.get("expression"), "'' must not be empty.")
    if "record" in rule and not _METRIC.fullmatch(str(rule["record"])):
        raise _bad(f"{where}.Record", rule["record"], "'' is no name of a metric")
    if not str(rule.get("alert", "-")).strip():
        raise _bad(f"{where}.Alert", rule["alert"], "'' must not be empty.")
    if len(rule.get("labels") or {}) > LABELS:
        raise _bad(f"{where}.Labels", len(rule["labels"]), f"'' must have at most {LABELS}")
    for word in ("labels", "annotations"):
        for key, value in _texts(where, rule, word):
            if not _LABEL.fullmatch(key) or len(value) > LENGTH:
                raise _bad(f"{where}.{word.capitalize()}", key, "'' is not in the correct format.")
    if "alert" in rule:
        _check_alert(where, rule)


def _check_alert(where: str, rule: Mapping[str, Any]) -> None:
    severity = rule.get("severity", 3)
    if not isinstance(severity, int) or not 0 <= severity <= 4:
        raise _bad(f"{where}.Severity", severity, "'' must be between 0 and 4")
    lasts = _minutes(f"{where}.For", rule["for"]) if rule.get("for") else 0
    if 0 < lasts < SHORTEST:
        raise _bad(f"{where}.For", lasts, f"'' must be greater than or equal to '{SHORTEST}'")
    after = (rule.get("resolveConfiguration") or {}).get("timeToResolve", "PT5M")
    minutes = _minutes(f"{where}.ResolveConfiguration.TimeToResolve", after)
    if not SHORTEST <= minutes <= LONGEST:
        place = f"{where}.ResolveConfiguration.TimeToResolve"
        raise _bad(place, minutes, f"'' must be between {SHORTEST} and {LONGEST}")
    for it in rule.get("actions") or ():
        kind = ids.target(str(it.get("actionGroupId"))).type.lower()
        if kind != "microsoft.insights/actiongroups":
            raise _bad(
                f"{where}.Actions", it.get("actionGroupId"), "'' is no id of an action group"
            )


def _texts(where: str, rule: Mapping[str, Any], word: str) -> Iterator[tuple[str, str]]:
    said = rule.get(word) or {}
    if not isinstance(said, Mapping) or not all(isinstance(it, str) for it in said.values()):
        raise _bad(f"{where}.{word.capitalize()}", said, "'' must be an object of texts")
    yield from said.items()


def _known(where: str, said: Mapping[str, Any], words: set[str]) -> None:
    """ARM drops what it does not know without a word; a lab says so."""
    for word in said.keys() - words:
        raise _bad(f"{where}{word}", said[word], "There is no such property")


def _minutes(what: str, value: Any) -> float:
    found = _DURATION.fullmatch(str(value))
    if found is None or not any(found.groups()):
        raise _bad(what, value, "'' is no duration of ISO 8601")
    days, hours, minutes, seconds = (float(it or 0) for it in found.groups())
    total = days * 1440 + hours * 60 + minutes + seconds / 60
    return int(total) if total == int(total) else total


def _bad(what: str, value: Any, error: str) -> Refused:
    """In the words that users report of it (Azure/prometheus-collector#672)."""
    said = f"Property name: {what}, Attempted value: {value}, Error: {error}."
    return Refused(400, "BadRequest", said.replace("..", "."))


def put_workspace(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    """
    With where it answers queries, which nobody does in a lab (REST API reference, Azure Monitor
    Workspaces).
    """
    digits = uuid.uuid5(uuid.NAMESPACE_URL, resource["id"].lower())
    place = resource.get("location", "westeurope")
    host = f"{resource['name']}-{digits.hex[:4]}.{place}.prometheus.monitor.azure.com"
    metrics = {"prometheusQueryEndpoint": f"https://{host}", "internalId": f"mac_{digits}"}
    return with_properties(resource, accountId=str(digits), metrics=metrics)


RULE_GROUPS = Rules(put=put, check=check)
WORKSPACES = Rules(put=put_workspace)
