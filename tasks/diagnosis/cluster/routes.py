"""
Routes and what they send to: taken by a Gateway, references that lead somewhere, Services with
endpoints that are ready.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.diagnosis.cluster.control_plane import unobserved
from tasks.diagnosis.cluster.known import (
    FRESH,
    Known,
    Object,
    Ref,
    at,
    containers,
    found,
    leaving,
    listed,
    name,
    namespace,
    quoted,
    ready,
    ref,
    trouble,
)
from tasks.diagnosis.diagnosis import Found
from tasks.diagnosis.objects import target
from tasks.diagnosis.rules.attachment import FIELDS

ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")


def causes(known: Known) -> Iterator[Found]:
    if not known.read("gateways.gateway.networking.k8s.io"):
        return
    said: set[Ref] = set()
    for route in known.of(*ROUTES):
        if leaving(route) or not _ours(known, route):
            continue
        waiting = unobserved(route)
        if waiting and known.headless:
            continue
        bad = [*_unattached(known, route), *_parents(known, route)]
        yield from bad
        if not bad and known.read("services", "endpointslices.discovery.k8s.io"):
            yield from _backends(known, route, said)


def _ours(known: Known, route: Object) -> bool:
    """Whether it wants to be served by our controller, or by nobody who is there."""
    status = listed(at(route, "status", "parents"))
    if any(it.get("controllerName") == known.evidence.controller for it in status):
        return True
    own = {(namespace(it), name(it)) for it in known.gateways}
    return any(
        (it.get("namespace") or namespace(route), it.get("name")) in own
        or (_kind(it) == "Gateway" and known.get(target(it, namespace(route), "Gateway")) is None)
        for it in listed(at(route, "spec", "parentRefs"))
    )


def _kind(parent: Object) -> str:
    return str(parent.get("kind") or "Gateway")


def _unattached(known: Known, route: Object) -> Iterator[Found]:
    """A parent that is not there, or a controller that does not know of the route."""
    if known.age(at(route, "metadata", "creationTimestamp")) < FRESH:
        return
    for number, it in enumerate(listed(at(route, "spec", "parentRefs"))):
        kind, place = _kind(it), f"spec.parentRefs[{number}]"
        parent = target(it, namespace(route), "Gateway")
        there = known.get(parent)
        if kind == "Gateway" and there is None:
            yield found(
                "route_not_attached",
                ref(route),
                f"{place}.name",
                f"it is for {parent.text}, which does not exist: it is served nowhere",
                f"name a Gateway that is there ({_names(known)}), with its namespace",
                [f"{ref(route).text}: {place} {parent.namespace}/{parent.name}"],
            )
        elif there is not None and there in known.gateways and not known.headless:
            yield from _not_known(known, route, there, place, it)


def _names(known: Known) -> str:
    return ", ".join(f"{namespace(it)}/{name(it)}" for it in known.gateways[:5]) or "none is"


def _not_known(
    known: Known, route: Object, gateway: Object, place: str, parent: Object
) -> Iterator[Found]:
    """Nothing is said of it, though the controller works: it does not watch this kind."""
    if known.begins(route) or listed(at(route, "status", "parents")) or unobserved(gateway):
        return
    section = parent.get("sectionName")
    attached = [
        f"listener {it.get('name')}: attachedRoutes {it.get('attachedRoutes')}"
        for it in listed(at(gateway, "status", "listeners"))
        if section in (None, it.get("name"))
    ]
    yield found(
        "route_not_attached",
        ref(route),
        place,
        f"the controller says nothing of this {route['kind']}, though it works: it does not watch "
        "its kind or its namespace, and every condition of the Gateway is green",
        "kubectl rollout restart deployment of the controller, where the CRD came after it; else "
        "look at watch_namespaces in the inventory",
        [f"{ref(route).text}: no status", *(f"{ref(gateway).text}, {it}" for it in attached)],
        confidence=0.8,
    )


def _parents(known: Known, route: Object) -> Iterator[Found]:
    for it in known.refusals(route, "parents"):
        if (said := _of_condition(known, route, it)) is not None:
            yield said
            return


def _of_condition(known: Known, route: Object, it: Object) -> Found | None:
    reason, message = str(it.get("reason")), str(it.get("message"))
    whose, evidence = ref(route), [quoted(ref(route).text, it)]
    if it.get("type") == "Accepted":
        return found(
            "route_not_attached",
            whose,
            FIELDS.get(reason, "spec"),
            f"no listener takes it: {message}",
            _attaching(reason),
            evidence,
        )
    if it.get("type") != "ResolvedRefs":
        return None  # endpoints say it themselves
    place = _reference(known, route)
    if reason == "RefNotPermitted":
        return found(
            "reference_not_permitted",
            whose,
            place,
            f"it may not refer to another namespace: {message}",
            "make a ReferenceGrant in the namespace of the Service, from this kind of route and "
            f"namespace {whose.namespace}",
            evidence,
        )
    return found(
        "invalid_backend_ref",
        whose,
        place,
        f"what it sends to cannot be used: {message}",
        f"correct {place}, or make what it names",
        evidence,
    )


def _attaching(reason: str) -> str:
    return {
        "NoMatchingListenerHostname": "correct spec.hostnames, or the hostname of the listener",
        "NotAllowedByListeners": "allow its namespace and kind in allowedRoutes of the listener",
        "NoMatchingParent": "correct sectionName and port of its parentRefs",
    }.get(reason, "mend what it says")


def _reference(known: Known, route: Object) -> str:
    """The first reference that leads nowhere, such as "spec.rules[0].backendRefs[0]"."""
    first = ""
    for place, it in _references(route):
        first = first or place
        whose = target(it, namespace(route), "Service")
        thing = known.get(whose)
        if thing is None:
            return f"{place}.name"
        ports = [one.get("port") for one in listed(at(thing, "spec", "ports"))]
        if whose.kind == "Service" and it.get("port") not in ports:
            return f"{place}.port"
    return first or "spec.rules"


def _references(route: Object) -> Iterator[tuple[str, Object]]:
    for number, rule in enumerate(listed(at(route, "spec", "rules"))):
        for index, it in enumerate(listed(rule.get("backendRefs"))):
            yield f"spec.rules[{number}].backendRefs[{index}]", it


def _backends(known: Known, route: Object, said: set[Ref]) -> Iterator[Found]:
    for place, it in _references(route):
        service = target(it, namespace(route), "Service")
        thing = known.get(service)
        if service.kind != "Service" or thing is None or service in said:
            continue
        if it.get("weight") == 0 or at(thing, "spec", "type") == "ExternalName":
            continue
        readiness = known.readiness(service) or (0, 0)
        if readiness[0] or known.begins(thing):
            continue
        said.add(service)
        yield _without_endpoints(known, route, place, service, thing, readiness[1])


def _stopped(known: Known, service: Ref, selector: Object) -> Ref | None:
    """The Deployment that would make Pods for a Service, and is told to make none."""
    for it in known.of("Deployment"):
        made = at(it, "spec", "template", "metadata", "labels") or {}
        same = namespace(it) == service.namespace and selector.items() <= made.items()
        if same and at(it, "spec", "replicas") == 0:
            return ref(it)
    return None


@dataclass(frozen=True)
class _Lack:
    """Why no endpoint is ready: + field: of the Service, "" where it is not to blame"""

    why: str
    fix: str
    field: str = "spec.selector"


def _without_endpoints(
    known: Known, route: Object, place: str, service: Ref, thing: Object, there: int
) -> Found:
    pods = known.pods_with(service.namespace, at(thing, "spec", "selector") or {})
    lack = _lack(known, service, thing, pods)
    return found(
        "service_without_endpoints",
        service,
        lack.field,
        f"no endpoint is ready, and {ref(route).text} sends to it: {lack.why}",
        lack.fix,
        [
            f"EndpointSlices of {service.text}: 0 of {there} endpoints ready",
            f"{ref(route).text}: {place}",
            *(f"{ref(it).text}: {trouble(it) or 'not ready'}" for it in pods[:3] if not ready(it)),
        ],
        confidence=0.8,
    )


def _lack(known: Known, service: Ref, thing: Object, pods: Sequence[Object]) -> _Lack:
    selector = at(thing, "spec", "selector") or {}
    if not selector:
        return _Lack("it has no selector, and no EndpointSlice", "give it a selector or endpoints")
    if not pods and (stopped := _stopped(known, service, selector)):
        whose = f"{stopped.name} --namespace {stopped.namespace}"
        return _Lack(
            f"{stopped.text} is scaled to 0", f"kubectl scale deployment {whose} --replicas 1"
        )
    if not pods:
        said = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        return _Lack(
            f"no Pod has the labels of its selector ({said})",
            "correct spec.selector, or look why its Pods are gone: kubectl get deployment "
            f"--namespace {service.namespace}",
        )
    if any(ready(it) for it in pods):
        return _Lack(
            "its Pods are ready, and none has the port that it names",
            "correct spec.ports[].targetPort to a port of the containers",
            "spec.ports",
        )
    reason = next(_reasons(pods), "")
    return _Lack(
        f"none of its {len(pods)} Pods is ready" + (f" ({reason})" if reason else ""),
        f"kubectl describe pod {name(pods[0])} --namespace {service.namespace}",
        "",
    )


def _reasons(pods: Sequence[Object]) -> Iterator[str]:
    """Why Pods do not run; then which containers are not ready."""
    yield from (why for it in pods if (why := trouble(it)))
    for it in (one for pod in pods for one in containers(pod)):
        if not it.get("ready"):
            yield f"container {it.get('name')} is not ready"
