"""
Rules in the form of Azure Monitor, ``Microsoft.AlertsManagement/prometheusRuleGroups``: within its
limits, and with a line for whatever it does otherwise than Prometheus.

Sources: Azure Monitor docs, "Rule groups in Azure Monitor managed service for Prometheus" and
"Service limits"; Azure REST API reference, Prometheus Rule Groups, 2023-03-01; the schema of
Microsoft's converter (Azure/prometheus-collector, az-prom-rules-converter). No limit of the length
of an expression is published.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from tasks.plans import arm
from tasks.plans.arm import Kind
from tasks.plans.durations import iso, seconds

Object = Mapping[str, Any]

RULE_GROUPS = Kind("Microsoft.AlertsManagement/prometheusRuleGroups", "2023-03-01")
WORKSPACES = Kind("Microsoft.Monitor/accounts", "2023-04-03")
#: Rules of a group, which cannot be raised; groups of a workspace in a subscription, which Azure
#: raises on request ("Service limits", "Alert and recording rules").
RULES, GROUPS = 20, 500
#: Seconds between two evaluations, and before an alert counts as over; also the least ``for``.
SHORTEST, LONGEST = 60, 900
#: Labels of a rule, and the characters of the value of a label or an annotation (the converter's
#: schema).
LABELS, LENGTH = 10, 1024
#: Seconds until an alert counts as over, where its rule does not say (docs, "Alert rule
#: properties").
RESOLVES = 300
#: What Azure calls Critical and Warning; the second is Informational, of any other rule.
SEVERITIES, INFORMATIONAL = {"critical": 0, "warning": 2}, 3
#: Whose a group is: the name of a cluster.
TAG = "envoyfleet"

_FORBIDDEN = re.compile(r"[:@/#{}%&+*<>?]")  # REST API reference, ruleGroupName
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,1023}")
_NAME = re.compile(r"[a-zA-Z_:][\w:]*")
_KNOWN = {"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"}


@dataclass(frozen=True)
class Place:
    """
    Where the rule groups of one cluster are.

    + cluster: its name; + workspace: id of the Azure Monitor workspace
    + subscription, resource_group, location: of the rule groups
    + aks: id of the cluster, None where it is not known; + action_groups: ids of who is told
    """

    cluster: str
    workspace: str
    subscription: str
    resource_group: str
    location: str
    aks: str | None = None
    action_groups: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Of all rule groups of the resource group."""
        group = arm.group_id(self.subscription, self.resource_group)
        return f"{group}/providers/{RULE_GROUPS.type}"

    @property
    def cluster_label(self) -> str:
        """
        ``cluster`` of its series: the add-on sets it to the name of the AKS cluster (docs, "Limit
        rules to a specific cluster").
        """
        return arm.parse(self.aks).name if self.aks else self.cluster


@dataclass(frozen=True)
class RuleGroup:
    """+ id: of ARM; + body: as it is put there; + place: such as "alerts/envoyfleet-weu-1-1" """

    id: str
    body: Object
    place: str

    @property
    def title(self) -> str:
        return f"rule group {self.place}"


@dataclass(frozen=True)
class Written:
    """
    + groups: in the form of Azure; + differences: what Azure does otherwise, a line each
    + refusals: rules that are left out, a line each (GW813)
    """

    groups: Sequence[RuleGroup] = ()
    differences: Sequence[str] = ()
    refusals: Sequence[str] = ()


@dataclass
class _Notes:
    """What is said of rules on the way, each line once."""

    differences: dict[str, None] = field(default_factory=dict)
    refusals: dict[str, None] = field(default_factory=dict)

    def differs(self, line: str) -> None:
        self.differences[line] = None

    def refused(self, line: str) -> None:
        self.refusals[line] = None


@dataclass(frozen=True)
class _Rule:
    """+ topic: the group that it comes from; + names: in its expression"""

    topic: str
    interval: int
    body: Object
    names: frozenset[str]

    @property
    def title(self) -> str:
        return str(self.body.get("record") or self.body.get("alert"))

    def uses(self, other: _Rule) -> bool:
        return other.body.get("record") in self.names


def place(
    cluster: str,
    workspace: str,
    location: str,
    *,
    subscription: str | None = None,
    resource_group: str | None = None,
    aks: str | None = None,
    action_groups: Iterable[str] = (),
) -> Place:
    """Of ``monitoring.workspace``; what is not given is the workspace's. Raises ValueError."""
    of = arm.parse(workspace)
    for it in action_groups:
        arm.parse(it)
    return Place(
        cluster,
        workspace,
        subscription or of.subscription,
        resource_group or str(of.group),
        location,
        aks,
        tuple(action_groups),
    )


def rule_groups(groups: Iterable[Object], where: Place) -> Written:
    """
    Groups of a rule file as Azure takes them. A group stays whole and in order, for its rules may
    use series that those before them record, and is cut only where it has too many rules; those
    that are small share one of Azure's, for a workspace may have so many. Every recorded series
    gets the label ``cluster``: a group that is limited to a cluster sees no others.
    """
    notes = _Notes()
    rules = [*_rules(groups, where, notes)]
    if where.cluster_label != where.cluster:
        notes.differs(
            f"series and alerts have cluster={where.cluster_label!r}, its name in Azure, not "
            f"{where.cluster!r}"
        )
    packed = [
        (interval, bin_)
        for interval in dict.fromkeys(it.interval for it in rules)
        for bin_ in _packed([it for it in rules if it.interval == interval])
    ]
    late = _late([bin_ for _, bin_ in packed])
    if late:
        notes.differs(
            f"{', '.join(late)}: use series that another rule group of Azure records: up to one "
            "interval old"
        )
    made = [_group(number, *it, where) for number, it in enumerate(packed, start=1)]
    return Written(made, [*notes.differences], [*notes.refusals])


def _rules(groups: Iterable[Object], where: Place, notes: _Notes) -> Iterator[_Rule]:
    for group in groups:
        interval = _interval(group, notes)
        for key in sorted(group.keys() - {"name", "interval", "rules", "labels"}):
            notes.differs(f"rule group {group['name']}: {key} does not exist in Azure")
        for rule in group["rules"]:
            body = _rule({**rule, "labels": _labels(group, rule, where)}, where, notes)
            if body is not None:
                names = frozenset(_NAME.findall(rule["expr"]))
                yield _Rule(group["name"], interval, body, names)


def _labels(group: Object, rule: Object, where: Place) -> dict[str, str]:
    """A recorded series without ``cluster`` would be nobody's in a workspace of many clusters."""
    own = {"cluster": where.cluster_label} if "record" in rule else {}
    return {**(group.get("labels") or {}), **(rule.get("labels") or {}), **own}


def _interval(group: Object, notes: _Notes) -> int:
    asked = seconds(group.get("interval") or "1m")
    found = _within(asked)
    if found != asked:
        notes.differs(
            f"rule group {group['name']}: judged every {found // 60} min, not every "
            f"{group['interval']}: Azure allows 1 to 15 min"
        )
    return found


def _within(asked: float) -> int:
    return int(min(max(asked, SHORTEST), LONGEST))


def _rule(rule: Object, where: Place, notes: _Notes) -> dict[str, Any] | None:
    """None where it is refused."""
    title = str(rule.get("record") or rule.get("alert"))
    problem = _unfit(rule)
    if problem:
        notes.refused(f"rule {title}: {problem}: it is left out")
        return None
    for key in sorted(rule.keys() - _KNOWN):
        notes.differs(f"rule {title}: {key} does not exist in Azure")
    labels = {"labels": dict(rule["labels"])} if rule["labels"] else {}
    common = {"enabled": True, "expression": rule["expr"], **labels}
    if "record" in rule:
        return {"record": title, **common}
    return {"alert": title, **common, **_of_alert(title, rule, where, notes)}


def _unfit(rule: Object) -> str | None:
    labels: Mapping[str, str] = rule["labels"]
    if len(labels) > LABELS:
        return f"{len(labels)} labels, Azure allows {LABELS}"
    names = [it for it in (*labels, *(rule.get("annotations") or ())) if not _LABEL.fullmatch(it)]
    if names:
        return f"Azure takes no label or annotation named {names[0]!r}"
    long = [key for key, value in labels.items() if len(value) > LENGTH]
    return f"label {long[0]} has more than {LENGTH} characters" if long else None


def _of_alert(title: str, rule: Object, where: Place, notes: _Notes) -> dict[str, Any]:
    found: dict[str, Any] = {
        "severity": SEVERITIES.get(rule["labels"].get("severity", ""), INFORMATIONAL),
        "resolveConfiguration": {"autoResolved": True, "timeToResolve": iso(RESOLVES)},
        "actions": [{"actionGroupId": it} for it in where.action_groups],
    }
    lasts = seconds(rule.get("for") or "0s")
    if lasts:
        found["for"] = iso(max(lasts, SHORTEST))
    if 0 < lasts < SHORTEST:
        notes.differs(f"rule {title}: lasts 1 min, not {rule['for']}: Azure allows no less")
    keeps = rule.get("keep_firing_for")
    if keeps:
        kept = _within(seconds(keeps))
        found["resolveConfiguration"]["timeToResolve"] = iso(kept)
        if kept != seconds(keeps):
            notes.differs(
                f"rule {title}: over after {kept // 60} min without the condition, not "
                f"keep_firing_for {keeps}: Azure allows 1 to 15 min"
            )
    annotations = rule.get("annotations") or {}
    if annotations:
        found["annotations"] = {key: _cut(value) for key, value in annotations.items()}
    for key in (key for key, value in annotations.items() if len(value) > LENGTH):
        notes.differs(f"rule {title}: {key} is cut to {LENGTH} characters")
    if "ALERTS" in _NAME.findall(rule["expr"]):
        notes.differs(f"rule {title}: uses ALERTS, which Azure does not keep: it may never fire")
    return found


def _cut(text: str) -> str:
    return text if len(text) <= LENGTH else f"{text[: LENGTH - 1]}…"


def _packed(rules: Sequence[_Rule]) -> list[list[_Rule]]:
    """Each of the given groups in the first one of Azure's with room for it, cut where it must."""
    bins: list[list[_Rule]] = []
    for _, group in groupby(rules, key=lambda it: it.topic):
        for part in _parts([*group]):
            home = next((it for it in bins if len(it) + len(part) <= RULES), None)
            if home is None:
                bins.append(part)
            else:
                home += part
    return bins


def _parts(group: Sequence[_Rule]) -> list[list[_Rule]]:
    return [[*group[at : at + RULES]] for at in range(0, len(group), RULES)]


def _late(bins: Sequence[Sequence[_Rule]]) -> list[str]:
    """Titles of those that use a series of their own group which another one of Azure's records."""
    placed = [(rule, number) for number, it in enumerate(bins) for rule in it]
    return [
        *dict.fromkeys(
            rule.title
            for rule, at in placed
            if any(
                number != at and rule.topic == other.topic and rule.uses(other)
                for other, number in placed
            )
        )
    ]


def _group(number: int, interval: int, rules: Sequence[_Rule], where: Place) -> RuleGroup:
    name = _FORBIDDEN.sub("-", f"{TAG}-{where.cluster}-{number}")
    topics = ", ".join(dict.fromkeys(it.topic for it in rules))
    body = {
        "location": where.location,
        "tags": {TAG: where.cluster},
        "properties": {
            "description": f"{topics}: written by envoyfleet, deploys/monitoring.py",
            "enabled": True,
            "clusterName": where.cluster_label,
            "scopes": [where.workspace, *([where.aks] if where.aks else [])],
            "interval": iso(interval),
            "rules": [it.body for it in rules],
        },
    }
    return RuleGroup(f"{where.path}/{name}", body, f"{where.resource_group}/{name}")
