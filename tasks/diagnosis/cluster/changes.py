"""What changed last: a place to begin, and no accusation."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.diagnosis.cluster.known import Known, at, listed, ref
from tasks.diagnosis.evidence import Object
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API

#: Groups whose objects people write, and what else decides about traffic.
GROUPS = (GATEWAY_API, ENVOY_GATEWAY)
KINDS = ("Service", "NetworkPolicy", "Deployment")
#: How many are told, and how many seconds ago they may have been.
MOST, RECENT = 3, 3600.0


def notes(known: Known) -> Iterator[str]:
    changed = sorted(
        (it for one in known.items if _written(one) for it in _changes(known, one)),
        key=lambda it: it[0],
    )
    for age, text in [it for it in changed if it[0] < RECENT][:MOST]:
        yield f"changed {_ago(age)} ago: {text}"


def _written(it: Object) -> bool:
    return it["kind"] in KINDS or str(it.get("apiVersion")).partition("/")[0] in GROUPS


def _changes(known: Known, it: Object) -> Iterator[tuple[float, str]]:
    """The newest change of what somebody wants of it, not of its status."""
    wanted = [
        one
        for one in listed(at(it, "metadata", "managedFields"))
        if not one.get("subresource") and one.get("time")
    ]
    newest = max(wanted, key=lambda one: str(one["time"]), default=None)
    if newest is not None and newest.get("manager") not in (
        "envoy-gateway",
        "kube-controller-manager",
    ):
        yield known.age(newest["time"]), f"{ref(it).text} by {newest.get('manager')}"


def _ago(age: float) -> str:
    return f"{age / 60:.0f} min" if age >= 120 else f"{max(age, 0):.0f} s"
