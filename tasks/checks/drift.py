"""What an inventory and a cluster do not agree on, as findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tasks.checks.findings import Finding, Where
from tasks.plans.drift import Difference
from tasks.plans.references import Reference, to

#: Fields that a finding names; the JSON has all of them.
SHOWN = 4


def findings(
    cluster: str, differences: Iterable[Difference], origins: Mapping[Reference, str]
) -> list[Finding]:
    """Of the drift of one cluster."""
    return [_finding(cluster, it, origins.get(to(it.thing))) for it in differences]


def _finding(cluster: str, it: Difference, origin: str | None) -> Finding:
    where = Where(cluster, it.object, origin)
    put_right = "run deploys/gateways.py without check"
    fields = ", ".join([*it.fields[:SHOWN], *(["…"] if len(it.fields) > SHOWN else [])])
    match it.state:
        case "missing":
            return Finding("GW322", "warning", where, "is not on the cluster", put_right)
        case "changed":
            by = f"was changed by {it.by}" if it.by else "is not yet as the inventory has it"
            fix = f"{put_right}, with take_back=true" if it.by else put_right
            fix += ", or write the change into the inventory" if it.by else ""
            return Finding("GW323", "warning", where, f"{by} ({fields})", fix)
        case "set by others":
            what = f"has what {it.by} set and the inventory does not say ({fields})"
            fix = f"{put_right}, with take_back=true, or write it into the inventory"
            return Finding("GW327", "warning", where, what, fix)
        case "not wanted":
            what = "was applied from an inventory, and this one does not want it any more"
            return Finding("GW324", "warning", where, what, f"{put_right}, with prune=true")
    what = f"is kept by {it.by}, and differs from what the inventory wants ({fields})"
    fix = "change it there, or take it out of the inventory: it is never written from here"
    return Finding("GW325", "warning", where, what, fix)


def release_changed(cluster: str, place: str, version: str, what: str, since: str) -> Finding:
    """+ place: such as "release envoy-gateway-system/eg"; + since: id of the last good run"""
    said = f"was changed after run {since}: it is {version} now, {what}"
    fix = "find out who did it with helm history, and run deploys/upgrade.py"
    return Finding("GW206", "warning", Where(cluster, place), said, fix)


def still_used(cluster: str, title: str, users: Sequence[str]) -> Finding:
    """+ title: of what is not wanted any more; + users: of it"""
    more = f" and {len(users) - 1} more" if len(users) > 1 else ""
    what = f"is not wanted any more, and {users[0]}{more} still refers to it"
    fix = "take that away first, or keep it in the inventory"
    return Finding("GW326", "error", Where(cluster, title), what, fix)
