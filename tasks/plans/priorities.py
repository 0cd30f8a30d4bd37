"""Which PriorityClass Pods of proxies and controller are to have: without it none is made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tasks.plans.kinds import title
from tasks.plans.preflight import Reason

Object = Mapping[str, Any]
#: On every cluster (Kubernetes docs, Pod Priority and Preemption).
BUILT_IN = ("system-cluster-critical", "system-node-critical")


def named(thing: Object) -> str | None:
    """The one of an EnvoyProxy; None where it names none, or is something else."""
    if thing["kind"] != "EnvoyProxy":
        return None
    provider = (thing.get("spec") or {}).get("provider") or {}
    deployment = (provider.get("kubernetes") or {}).get("envoyDeployment") or {}
    found: str | None = (deployment.get("pod") or {}).get("priorityClassName")
    return found


def reasons(
    wanted: Iterable[Object], of_controller: str | None, missing: Collection[str]
) -> list[Reason]:
    """
    Stops where one is named that is not there: Kubernetes refuses new Pods then.

    + of_controller: that of the controller; + missing: names of those that are not there
    """
    users = [(title(it), name) for it in wanted if (name := named(it))]
    users += [("the controller", of_controller)] if of_controller else []
    return [
        Reason(
            f"{user} names PriorityClass {name}, which does not exist, so that Kubernetes refuses "
            "its Pods: create it, or correct priority_class"
        )
        for user, name in users
        if name in missing
    ]
