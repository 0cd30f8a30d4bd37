"""
What of a cluster an inventory can take over: which objects are those of our controller, who else
keeps one, and what each is in the words of the inventory. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from tasks.plans import owners
from tasks.plans.kinds import ENVOY_GATEWAY, EXPERIMENTAL
from tasks.plans.listeners import selected
from tasks.plans.objects import MANAGER, cleaned, owned_fields
from tasks.plans.ours import LABELS
from tasks.plans.references import Reference, references, to

Object = Mapping[str, Any]
#: Kinds that belong to whoever refers to them.
_LENT = {
    (ENVOY_GATEWAY, "EnvoyProxy"),
    (ENVOY_GATEWAY, "Backend"),
    (ENVOY_GATEWAY, "HTTPRouteFilter"),
}
#: Fields by which an object says what it belongs to.
_ATTACHING = ("parentRef", "parentRefs", "targetRef", "targetRefs")
KEEPERS = {"argocd": "Argo CD", "flux": "Flux", "helm": "a Helm release", "aks": "AKS"}


def of_controller(
    things: Iterable[Object], controller: str, watched: Sequence[str]
) -> list[Object]:
    """
    The objects that a controller serves, in the order in which they came: its classes, their
    Gateways, what attaches to those, and what that refers to.

    + things: all of the Gateway API's and Envoy Gateway's; + watched: its namespaces, none is all
    """
    every = {to(it): it for it in things}
    found = dict.fromkeys(
        key
        for key, it in every.items()
        if key.kind == "GatewayClass" and it["spec"]["controllerName"] == controller
    )
    names = {it.name for it in found}
    found |= dict.fromkeys(
        key
        for key, it in every.items()
        if key.kind == "Gateway"
        and it["spec"]["gatewayClassName"] in names
        and (not watched or key.namespace in watched)
    )
    refs = {key: frozenset(references(it)) for key, it in every.items()}
    while more := _joining(every, refs, found):
        found |= dict.fromkeys(more)
    return [it for key, it in every.items() if key in found]


def _joining(
    every: Mapping[Reference, Object],
    refs: Mapping[Reference, Set[Reference]],
    mine: Iterable[Reference],
) -> list[Reference]:
    """What is not among ours yet, and attaches to one of them or is referred to by one."""
    ours = dict.fromkeys(mine)
    reached = {ref for it in ours for ref in refs[it] if ref.kind != "Namespace"}
    crossing = {(it.kind, it.namespace, ref.kind, ref.namespace) for it in ours for ref in refs[it]}
    found = []
    for key, thing in every.items():
        if key in ours or key.kind in ("GatewayClass", "Gateway"):
            continue
        if (key.group, key.kind) in _LENT:
            joins = key in reached
        elif key.kind == "ReferenceGrant":
            joins = bool(_allowed(thing) & crossing)
        else:
            to_what = set(references({**thing, "spec": _attaching(thing)}))
            beside = reached if key.kind == "BackendTLSPolicy" else ours.keys()
            joins = bool(to_what & beside) or _selects(thing, (every[it] for it in ours))
        if joins:
            found.append(key)
    return found


def _allowed(grant: Object) -> set[tuple[str, str, str, str]]:
    """Kind and namespace of who may refer, and of what to."""
    spec, place = grant["spec"], grant["metadata"]["namespace"]
    return {
        (one["kind"], one["namespace"], other["kind"], place)
        for one in spec.get("from") or ()
        for other in spec.get("to") or ()
    }


def _selects(policy: Object, ours: Iterable[Object]) -> bool:
    """Whether a policy is for one of ours by its labels."""
    selectors = (policy.get("spec") or {}).get("targetSelectors") or ()
    return bool(selectors) and any(
        it["kind"] == one["kind"]
        and it["metadata"].get("namespace") == policy["metadata"]["namespace"]
        and selected(it["metadata"].get("labels") or {}, one)
        for it in ours
        for one in selectors
    )


def _attaching(thing: Object) -> dict[str, Any]:
    return {key: it for key, it in (thing.get("spec") or {}).items() if key in _ATTACHING}


def obstacle(thing: Object) -> tuple[str, str] | None:
    """Why an object stays as it is, and what to do about that; None where it can be taken over."""
    meta, key = thing["metadata"], to(thing)
    keeper = owners.owner(thing)
    if keeper in KEEPERS:
        return (
            f"{KEEPERS[keeper]} keeps it",
            "leave it there, or take it out of there first, without having it deleted",
        )
    if meta.get("ownerReferences"):
        one = meta["ownerReferences"][0]
        return f"{one['kind']} {one['name']} made it", "leave it: it would be made again"
    if meta.get("deletionTimestamp"):
        return "it is being deleted", "wait until it is gone"
    if key.group == EXPERIMENTAL:
        return f"{thing['kind']} is no kind that an inventory applies", "keep it where it is"
    return None


def manifest(live: Object) -> dict[str, Any]:
    """An object of a cluster as somebody would write it, defaults of the server included."""
    found = cleaned(live) or {}
    meta = {
        key: it
        for key, it in found["metadata"].items()
        if key in ("name", "namespace", "labels", "annotations") and it
    }
    labels = {k: v for k, v in (meta.pop("labels", None) or {}).items() if LABELS.get(k) != v}
    return {**found, "metadata": {**meta, **({"labels": labels} if labels else {})}}


def as_written(live: Object) -> dict[str, Any] | None:
    """
    What kubectl apply was last given for an object, without the defaults; None where nobody used
    it, or it was of another version.
    """
    notes = live["metadata"].get("annotations") or {}
    try:
        said = json.loads(notes.get("kubectl.kubernetes.io/last-applied-configuration", ""))
        found = manifest({**said, "metadata": {**said["metadata"]}})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    same = to(found) == to(live) and found["apiVersion"] == live["apiVersion"]
    return found if same else None


def equal(one: Object, other: Object) -> bool:
    """
    Whether two objects say the same, in whatever version: our labels, status and what the server
    owns do not count, nor does a name where one has none (it was only tried).
    """
    first, second = manifest(one), manifest(other)
    for it in (first, second):
        it.pop("apiVersion", None)
        it["metadata"] = {k: v for k, v in it["metadata"].items() if k in ("labels", "annotations")}
    return first == second


def others(live: Object) -> Iterator[Object]:
    """
    Entries of managedFields of whoever else says what an object is to be: those with something of
    its spec. A controller that only keeps a finalizer is none.
    """
    for it in live["metadata"].get("managedFields") or ():
        said = it.get("fieldsV1") or {}
        if not it.get("subresource") and "f:spec" in said and not _is_ours(it):
            yield it


def handed_over(live: Object) -> list[Any]:
    """managedFields once nobody else says what the object is to be."""
    gone = list(others(live))
    return [it for it in live["metadata"].get("managedFields") or () if it not in gone]


def is_ours_alone(live: Object) -> bool:
    return owned_fields(live) is not None and not any(True for _ in others(live))


def _is_ours(entry: Object) -> bool:
    return entry.get("manager") == MANAGER and entry.get("operation") == "Apply"
