"""
What a cluster's objects say about themselves, and whether they say it about what was asked for
last.

A condition counts only for its ``observedGeneration`` (Gateway API, Condition conventions): with a
dead controller a Gateway stays Programmed for ever, and a newer generation is the only sign.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tasks.plans.kinds import title

Object = Mapping[str, Any]


def unmet(
    thing: Object, conditions: Sequence[Object], wanted: Sequence[str], where: str = ""
) -> list[str]:
    """
    Which of the ``wanted`` condition types are not True for this generation, a line each, such as
    "Gateway edge/public: Programmed is False: AddressNotAssigned: No addresses have been assigned".
    """
    by_type = {it["type"]: it for it in conditions or ()}
    generation = thing["metadata"].get("generation", 0)
    name = title(thing) + (f", {where}" if where else "")
    found = []
    for kind in wanted:
        condition = by_type.get(kind)
        if condition is None:
            found.append(f"{name}: {kind} is not reported yet")
        elif condition.get("observedGeneration", generation) < generation:
            found.append(
                f"{name}: {kind} is reported for generation {condition['observedGeneration']}, "
                f"not yet for {generation}"
            )
        elif condition["status"] != "True":
            said = f": {condition['message']}" if condition.get("message") else ""
            found.append(
                f"{name}: {kind} is {condition['status']}: {condition.get('reason')}{said}"
            )
    return found


def gateway_class(thing: Object) -> list[str]:
    return unmet(thing, thing.get("status", {}).get("conditions", ()), ["Accepted"])


def gateway(thing: Object) -> list[str]:
    """What keeps a Gateway from serving: its own conditions and those of each listener."""
    status = thing.get("status", {})
    found = unmet(thing, status.get("conditions", ()), ["Accepted", "Programmed"])
    reported = {it["name"]: it for it in status.get("listeners") or ()}
    for listener in thing["spec"].get("listeners", ()):
        entry = reported.get(listener["name"])
        if entry is None:
            if not found:
                found.append(f"{title(thing)}, listener {listener['name']}: not reported yet")
            continue
        found += unmet(
            thing,
            entry.get("conditions", ()),
            ["Accepted", "ResolvedRefs", "Programmed"],
            f"listener {listener['name']}",
        )
    if not found and not status.get("addresses"):
        found.append(f"{title(thing)}: Programmed, but without an address")
    return found


def unattached(thing: Object, listeners: Iterable[str]) -> list[str]:
    """
    Which of these listeners of a Gateway no route is attached to. A controller that does not know a
    route's kind says so nowhere else: TCPRoutes met by older CRDs leave every condition green.
    """
    attached = {
        it["name"]: it.get("attachedRoutes", 0)
        for it in thing.get("status", {}).get("listeners") or ()
    }
    return [
        f"{title(thing)}, listener {name}: no route is attached to it yet"
        for name in dict.fromkeys(listeners)
        if not attached.get(name)
    ]


def pods_waiting(pods: Iterable[Object]) -> list[str]:
    """
    Pods that are not ready and why, such as "Pod eg/envoy-gateway-1: ErrImagePull: not found"; a
    Job's finished Pods are left out.
    """
    found = []
    for pod in pods:
        status = pod.get("status", {})
        ready = {it["type"]: it["status"] for it in status.get("conditions") or ()}.get("Ready")
        if ready == "True" or status.get("phase") == "Succeeded":
            continue
        waiting = [
            it["state"]["waiting"]
            for it in status.get("containerStatuses") or ()
            if (it.get("state") or {}).get("waiting")
        ]
        name = f"Pod {pod['metadata'].get('namespace')}/{pod['metadata']['name']}"
        if waiting:
            said = f": {waiting[0]['message']}" if waiting[0].get("message") else ""
            found.append(f"{name}: {waiting[0].get('reason')}{said}")
        else:
            found.append(f"{name}: {status.get('phase', 'Pending')}, not ready")
    return found


def route(thing: Object, controller_name: str) -> list[str]:
    """
    What keeps a route from serving, as this controller sees it; every parentRef must be answered.
    """
    parents = [
        it
        for it in thing.get("status", {}).get("parents") or ()
        if it.get("controllerName") == controller_name
    ]
    if len(parents) < len(thing["spec"].get("parentRefs") or ()):
        return [f"{title(thing)}: not taken up by {controller_name} yet"]
    return [
        line
        for parent in parents
        for line in unmet(
            thing,
            parent.get("conditions", ()),
            ["Accepted", "ResolvedRefs"],
            f"parent {parent['parentRef']['name']}",
        )
    ]


def policy(thing: Object, controller_name: str) -> list[str]:
    """What keeps a policy (ClientTrafficPolicy and the like) from being in force."""
    ancestors = [
        it
        for it in thing.get("status", {}).get("ancestors") or ()
        if it.get("controllerName") == controller_name
    ]
    if not ancestors:
        return [f"{title(thing)}: not taken up by {controller_name} yet"]
    return [
        line for it in ancestors for line in unmet(thing, it.get("conditions", ()), ["Accepted"])
    ]


def rolled_out(
    workload: Object, image: str | None = None, container: str | None = None
) -> list[str]:
    """
    What a Deployment or DaemonSet still lacks: the wanted image in its template, and every Pod of
    that template up and none of another left (Kubernetes docs, Deployments, "Complete Deployment").

    + image: the wanted reference, None takes any; + container: its name, None means the first
    """
    name, spec, status = title(workload), workload["spec"], workload.get("status", {})
    found: list[str] = []
    containers = spec["template"]["spec"]["containers"]
    current = next((it for it in containers if container in (None, it["name"])), None)
    if current is None:
        return [f"{name}: has no container {container}"]
    if image is not None and current["image"] != image:
        return [
            f"{name}: container {current['name']} still has image {current['image']}, not {image}"
        ]
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return [f"{name}: its newest specification was not acted on yet"]
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        updated, ready = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
        total = wanted
    else:
        wanted = spec.get("replicas", 1)
        updated, ready = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
        total = status.get("replicas", 0)
    if updated < wanted:
        found.append(f"{name}: {updated} of {wanted} Pods are of the newest specification")
    elif total > updated:
        found.append(f"{name}: {total - updated} Pods of an older specification are left")
    elif ready < wanted:
        found.append(f"{name}: {ready} of {wanted} Pods are available")
    return found


def leads(lease: Object | None, pods: Iterable[Object]) -> list[str]:
    """
    Whether the holder of the controller's Lease is one of ``pods``; the holder looks like
    "<Pod>_<uuid>".
    """
    if lease is None:
        return ["no controller has become leader yet"]
    holder = (lease.get("spec") or {}).get("holderIdentity") or ""
    names = {it["metadata"]["name"] for it in pods}
    if holder.rpartition("_")[0] in names:
        return []
    return [
        f"{title(lease)} is held by {holder or 'nobody'}, not by a Pod of the wanted version yet"
    ]
