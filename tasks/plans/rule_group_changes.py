"""What differs between the rule groups that a cluster is to have and those that Azure has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.plans import arm
from tasks.plans.durations import iso, seconds
from tasks.plans.rule_groups import GROUPS, INFORMATIONAL, RESOLVES, TAG, Place, RuleGroup

Object = Mapping[str, Any]
ORDER = "order of rules"


@dataclass(frozen=True)
class Change:
    """+ verb: "create" or "change"; + lines: what differs, "-" as it is there, "+" as wanted"""

    verb: str
    group: RuleGroup
    lines: Sequence[str]


@dataclass(frozen=True)
class Changes:
    """
    + puts: what is missing or differs; + gone: groups of this cluster that are not wanted any more,
      by id; + refusals: why nothing may be written, a line each
    """

    puts: Sequence[Change] = ()
    gone: Sequence[str] = ()
    refusals: Sequence[str] = ()


def changes(wanted: Sequence[RuleGroup], where: Place, there: Iterable[Object]) -> Changes:
    """
    What to write so that Azure has what is wanted, and no other group of this cluster.

    + there: all rule groups of the resource group, as ARM lists them
    """
    found = {str(it["id"]).lower(): it for it in there}
    puts: list[Change] = []
    refusals: list[str] = []
    for it in wanted:
        old = found.get(it.id.lower())
        if old is not None and not _is_ours(old, where):
            refusals.append(
                f"{it.title} is there already and not ours (its tag {TAG} is not {where.cluster}): "
                "rename it, or have another monitoring.workspace.resource_group"
            )
            continue
        lines = differing(it, old)
        if lines:
            puts.append(Change("change" if old else "create", it, lines))
    keep = {it.id.lower() for it in wanted}
    gone = [str(it["id"]) for key, it in found.items() if key not in keep and _is_ours(it, where)]
    new = sum(it.verb == "create" for it in puts) - len(gone)
    of_workspace = [it for it in found.values() if where.workspace.lower() in _scopes(it)]
    if len(of_workspace) + new > GROUPS:
        refusals.append(
            f"{len(of_workspace)} rule groups of the workspace are in resource group "
            f"{where.resource_group}, and {new} more are wanted: Azure allows {GROUPS}: ask Azure "
            "for more, or have another workspace"
        )
    return Changes(puts, gone, refusals)


def _is_ours(group: Object, where: Place) -> bool:
    tags = {key.lower(): value for key, value in arm.pairs(group, "tags").items()}
    return tags.get(TAG) == where.cluster


def _scopes(group: Object) -> list[str]:
    return [it.lower() for it in arm.texts(group, "properties", "scopes")]


def differing(wanted: RuleGroup, there: Object | None) -> list[str]:
    """
    What is otherwise in Azure, "-" as it is there and "+" as wanted; what Azure adds by itself and
    how it spells ids and durations does not count. Empty means: as wanted.
    """
    before = {} if there is None else _flat(there)
    after = _flat(wanted.body)
    if sorted(before.get(ORDER, "").split(", ")) != sorted(after[ORDER].split(", ")):
        before.pop(ORDER, None)
        after.pop(ORDER)  # that rules come or go is said of each
    lines: list[str] = []
    for key in (*after, *(it for it in before if it not in after and _counts(it))):
        old, new = before.get(key), after.get(key)
        if old != new:
            lines += [f"-{key}: {old}"] if old is not None else []
            lines += [f"+{key}: {new}"] if new is not None else []
    return lines


def _counts(key: str) -> bool:
    """Whether what only Azure has is a change somebody made: rules, labels, who is told."""
    return key.startswith("rule ") and key.rpartition(": ")[2] not in ("enabled", "severity")


def _flat(group: Object) -> dict[str, str]:
    """By what it is called: {"interval": "PT1M", "rule EnvoyProxyDown: for": "PT5M"}."""
    said = group.get("properties") or {}
    found = {f"tag {key}": value for key, value in arm.pairs(group, "tags").items() if key == TAG}
    for key in ("description", "enabled", "clusterName"):
        found[key] = str(said.get(key))
    found["interval"] = iso(seconds(str(said.get("interval") or "PT1M")))
    found["scopes"] = ", ".join(_scopes(group))
    rules = arm.objects(said, "rules")
    seen: dict[str, int] = {}
    for rule in rules:
        name = str(rule.get("record") or rule.get("alert"))
        seen[name] = seen.get(name, 0) + 1
        title = f"rule {name}" if seen[name] == 1 else f"rule {name} ({seen[name]})"
        found.update({f"{title}: {key}": value for key, value in _flat_rule(rule)})
    names = [str(it.get("record") or it.get("alert")) for it in rules]
    found[ORDER] = ", ".join(names)
    return found


def _flat_rule(rule: Object) -> Iterator[tuple[str, str]]:
    yield "expression", " ".join(arm.text(rule, "expression").split())
    yield "enabled", str(rule.get("enabled", True))
    for key in ("labels", "annotations"):
        yield from ((f"{key}.{it}", value) for it, value in arm.pairs(rule, key).items())
    if "alert" not in rule:
        return
    yield "severity", str(rule.get("severity", INFORMATIONAL))
    if rule.get("for"):
        yield "for", iso(seconds(str(rule["for"])))
    resolves = rule.get("resolveConfiguration") or {}
    yield "resolves itself", str(resolves.get("autoResolved", True))
    yield "resolves after", iso(seconds(str(resolves.get("timeToResolve") or iso(RESOLVES))))
    told = [arm.text(it, "actionGroupId").lower() for it in arm.objects(rule, "actions")]
    yield "action groups", ", ".join(told) or "none"
