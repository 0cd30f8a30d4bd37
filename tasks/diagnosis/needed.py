"""
Kinds that tell something only where others refer to them or something is wrong: a cluster where
neither is so need not be asked for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from tasks.diagnosis.evidence import Object
from tasks.diagnosis.objects import Objects, at, listed, namespace
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API

PROXY = ("app.kubernetes.io/component", "proxy")
#: References that nobody in the other namespace has to permit.
ATTACHED = frozenset({"parentRefs", "targetRef", "targetRefs"})


def needed(kind: str, found: Iterable[Object]) -> bool:
    """
    Whether a diagnosis can use objects of this kind. + found: those of the kinds that are always
    read
    """
    asks = SOMETIMES.get(kind)
    return asks is None or asks(Objects(tuple(found)))


def _on_each_node(objects: Objects) -> bool:
    """Proxies of a DaemonSet, or a wish for them."""
    wished = any(
        at(it, "spec", "provider", "kubernetes", "envoyDaemonSet") is not None
        for it in objects.of("EnvoyProxy")
    )
    owners = (
        one
        for it in _of_proxies(objects, "Pod")
        for one in listed(at(it, "metadata", "ownerReferences"))
    )
    return wished or any(it.get("kind") == "DaemonSet" for it in owners)


def _unwell(objects: Objects) -> bool:
    """A Gateway that is not Programmed, or proxies that do not all serve."""
    return (
        _on_each_node(objects)  # whose DaemonSet is not known yet
        or any(not _is(it, "Programmed") for it in objects.of("Gateway"))
        or any(not _is(it, "Ready") for it in _of_proxies(objects, "Pod"))
        or any(not at(it, "status", "readyReplicas") for it in _of_proxies(objects, "Deployment"))
    )


def _of_proxies(objects: Objects, kind: str) -> Iterator[Object]:
    key, value = PROXY
    for it in objects.of(kind):
        if (at(it, "metadata", "labels") or {}).get(key) == value:
            yield it


def _is(it: Object, condition: str) -> bool:
    return any(
        (one.get("type"), one.get("status")) == (condition, "True")
        for one in listed(at(it, "status", "conditions"))
    )


def _filtered(objects: Objects) -> bool:
    """Routes that name a filter of Envoy Gateway."""
    return any(one.get("kind") == "HTTPRouteFilter" for _, one, _ in _references(objects))


def _elsewhere(objects: Objects) -> bool:
    """References into another namespace."""
    return any(
        not attached and one.get("namespace", home) != home
        for home, one, attached in _references(objects)
    )


def _references(objects: Objects) -> Iterator[tuple[str, Object, bool]]:
    """
    Whatever has a name in a specification: the namespace that it stands in, and whether it says
    what its object attaches to.
    """
    for it in objects.items:
        ours = str(it.get("apiVersion")).partition("/")[0] in (GATEWAY_API, ENVOY_GATEWAY)
        left: list[tuple[object, bool]] = [(it.get("spec"), False)] if ours else []
        while left and namespace(it):
            one, attached = left.pop()
            if isinstance(one, list):
                left += [(each, attached) for each in one]
            elif isinstance(one, Mapping):
                left += [(each, attached or key in ATTACHED) for key, each in one.items()]
                if "name" in one:
                    yield namespace(it), one, attached


#: By kind, whether it is needed.
SOMETIMES: Mapping[str, Callable[[Objects], bool]] = {
    "DaemonSet": _on_each_node,
    "Event": _unwell,
    "HTTPRouteFilter": _filtered,
    "Namespace": lambda objects: any(True for _ in objects.of("NetworkPolicy")),
    "ReferenceGrant": _elsewhere,
}
