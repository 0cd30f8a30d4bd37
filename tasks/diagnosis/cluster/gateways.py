"""
Gateways: taken up, with listeners that are programmed, and with an address. Conditions count where
they were said of the newest generation, and not in the first seconds: a new Gateway passes through
most of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.diagnosis.cluster.control_plane import unobserved
from tasks.diagnosis.cluster.known import (
    FRESH,
    Known,
    Object,
    Ref,
    at,
    condition,
    found,
    leaving,
    listed,
    name,
    namespace,
    quoted,
    ref,
)
from tasks.diagnosis.diagnosis import Found
from tasks.diagnosis.objects import target
from tasks.plans.listeners import granted


def causes(known: Known) -> Iterator[Found]:
    if not known.read("gatewayclasses.gateway.networking.k8s.io"):
        return
    yield from _classes(known)
    for gateway in known.of("Gateway"):
        if not leaving(gateway):
            yield from _without_class(known, gateway)
    for it in known.of("ListenerSet", "XListenerSet"):
        yield from _listener_set(known, it)
    for gateway in known.gateways:
        if known.headless and unobserved(gateway):
            continue  # what is said is of another time
        refused = [*_refused(known, gateway), *_bad_listeners(known, gateway)]
        yield from refused
        if not refused:
            yield from _addresses(known, gateway)


def _classes(known: Known) -> Iterator[Found]:
    for it in known.classes:
        said = condition(it, "Accepted")
        if said and said.get("status") == "False" and _settled(known, said):
            yield found(
                "gateway_not_accepted",
                ref(it),
                "spec.parametersRef" if said.get("reason") == "InvalidParameters" else "spec",
                f"the controller does not take this class: {said.get('message')}",
                "mend what it says: Gateways of the class are not served until then",
                [quoted(ref(it).text, said)],
            )


def _without_class(known: Known, gateway: Object) -> Iterator[Found]:
    wanted = str(at(gateway, "spec", "gatewayClassName"))
    if known.get(Ref("GatewayClass", wanted)) is not None:
        return
    if known.age(at(gateway, "metadata", "creationTimestamp")) < FRESH:
        return
    names = ", ".join(sorted(name(it) for it in known.of("GatewayClass"))) or "none"
    yield found(
        "gateway_not_accepted",
        ref(gateway),
        "spec.gatewayClassName",
        f"there is no GatewayClass {wanted}, so no controller takes this Gateway",
        f"set spec.gatewayClassName to one that is there ({names}), or make it",
        [f"{ref(gateway).text}: spec.gatewayClassName {wanted}", f"GatewayClasses: {names}"],
    )


def _listener_set(known: Known, it: Object) -> Iterator[Found]:
    """More listeners, which their Gateway may refuse to take."""
    said = condition(it, "Accepted")
    if leaving(it) or not said or said.get("status") != "False" or not _settled(known, said):
        return
    parent = target(at(it, "spec", "parentRef") or {}, namespace(it), "Gateway")
    if known.get(parent) not in known.gateways:
        return
    yield found(
        "gateway_not_accepted",
        ref(it),
        "spec.parentRef" if said.get("reason") == "NotAllowed" else "spec",
        f"none of its listeners is served, nor any route of theirs: {said.get('message')}",
        f"let {parent.text} take it (spec.allowedListeners.namespaces), or put its listeners there",
        [quoted(ref(it).text, said)],
    )


def _refused(known: Known, gateway: Object) -> Iterator[Found]:
    said = condition(gateway, "Accepted")
    if said is None or said.get("status") != "False" or not _settled(known, said):
        return
    reason = said.get("reason")
    if reason == "ListenersNotValid":
        return  # the listeners say it
    field = {
        "InvalidParameters": "spec.infrastructure.parametersRef",
        "UnsupportedAddress": "spec.addresses",
    }.get(str(reason), "spec")
    yield found(
        "gateway_not_accepted",
        ref(gateway),
        field,
        f"the controller does not take this Gateway: {said.get('message')}",
        f"mend {field}: until then no change of it, its listeners or its routes is served",
        [quoted(ref(gateway).text, said)],
    )


def _bad_listeners(known: Known, gateway: Object) -> Iterator[Found]:
    reported = {it.get("name"): it for it in listed(at(gateway, "status", "listeners"))}
    for number, listener in enumerate(listed(at(gateway, "spec", "listeners"))):
        status = reported.get(listener.get("name")) or {}
        said = listed(status.get("conditions"))
        where = f"listener {listener.get('name')}"
        for kind, bad in (("Conflicted", "True"), ("ResolvedRefs", "False"), ("Accepted", "False")):
            it = condition(gateway, kind, said)
            if it is None or it.get("status") != bad or not _settled(known, it):
                continue
            place = f"spec.listeners[{number}]"
            if kind == "ResolvedRefs":
                yield _bad_reference(known, gateway, listener, place, it, where)
            else:
                yield found(
                    "gateway_not_accepted",
                    ref(gateway),
                    place,
                    f"{where} is not served: {it.get('message')}",
                    f"change protocol, port or hostname in {place}",
                    [quoted(f"{ref(gateway).text}, {where}", it)],
                    where=where,
                )
            break


def _bad_reference(
    known: Known, gateway: Object, listener: Object, place: str, said: Object, where: str
) -> Found:
    """A certificate that the controller does not take: the listener leaves its proxies."""
    forbidden = _not_granted(known, gateway, listener, place, said, where)
    if forbidden is not None:
        return forbidden
    whose, message = ref(gateway), str(said.get("message"))
    if said.get("reason") == "InvalidRouteKinds":
        return found(
            "gateway_not_accepted",
            whose,
            f"{place}.allowedRoutes.kinds",
            f"{where} asks for kinds of routes that it cannot have: {message}",
            f"correct {place}.allowedRoutes.kinds",
            [quoted(f"{whose.text}, {where}", said)],
            where=where,
        )
    named = _secrets(gateway, listener)
    meant = [it for it in named if f"{it.namespace}/{it.name}" in message]
    missing = [it for it in named if known.read("secrets") and known.get(it) is None]
    secret = next(iter((*missing, *meant, *named)), whose)
    there = secret in named and secret not in missing and "does not exist" not in message
    number = named.index(secret) if secret in named else 0
    return found(
        "certificate_expired" if there and "expired" in message else "certificate_invalid",
        secret if there else whose,
        "data[tls.crt]" if there else f"{place}.tls.certificateRefs[{number}]",
        f"{where} of {whose.text} is not served, clients cannot connect to it: {message}",
        f"put a good certificate and its key into {secret.text}: deploys/rotate_certificates.py, "
        "or kubectl create secret tls",
        [quoted(f"{whose.text}, {where}", said)],
        where=f"{whose.text}, {where}",
    )


def _secrets(gateway: Object, listener: Object) -> list[Ref]:
    """In the order of the listener's certificateRefs."""
    home = namespace(gateway)
    return [
        Ref("Secret", str(it.get("name")), str(it.get("namespace") or home))
        for it in listed(at(listener, "tls", "certificateRefs"))
    ]


def _not_granted(
    known: Known, gateway: Object, listener: Object, place: str, said: Object, where: str
) -> Found | None:
    """A Secret of another namespace that does not allow it."""
    whose, home = ref(gateway), namespace(gateway)
    grants = tuple(known.of("ReferenceGrant"))
    refs = listed(at(listener, "tls", "certificateRefs"))
    for number, (it, secret) in enumerate(zip(refs, _secrets(gateway, listener), strict=True)):
        if secret.namespace == home or granted(home, "Gateway", it, grants):
            continue
        return found(
            "reference_not_permitted",
            whose,
            f"{place}.tls.certificateRefs[{number}]",
            f"{where} may not use {secret.text}: no ReferenceGrant in {secret.namespace} lets "
            f"Gateways of {home}, so it is not served",
            f"make a ReferenceGrant in namespace {secret.namespace}: from Gateway of namespace "
            f"{home}, to Secret {secret.name}",
            [quoted(f"{whose.text}, {where}", said)],
            where=where,
        )
    return None


def _addresses(known: Known, gateway: Object) -> Iterator[Found]:
    said = condition(gateway, "Programmed")
    if said is None or said.get("status") != "False" or known.begins(gateway):
        return
    reason = str(said.get("reason"))
    if reason == "NoResources":
        return  # its proxies say why
    services = known.services(known.owner(gateway))
    refused = (_load_balancer(known, gateway, it, said) for it in services)
    if (first := next((it for it in refused if it is not None), None)) is not None:
        yield first
    elif reason == "AddressNotAssigned":
        about = ref(services[0]).text if services else "a Service"
        yield found(
            "address_missing",
            ref(gateway),
            "status.addresses",
            f"it has no address: {about} got none from the load balancer",
            f"kubectl describe service --namespace {namespace(services[0])} "
            f"{name(services[0])}: type, annotations and events"
            if services
            else "look into the log of the controller: it made no Service",
            [
                quoted(ref(gateway).text, said),
                *(f"{ref(it).text}: {_service(it)}" for it in services),
            ],
        )


def _load_balancer(known: Known, gateway: Object, service: Object, said: Object) -> Found | None:
    """A Service without an address, of which the cloud says why."""
    if listed(at(service, "status", "loadBalancer", "ingress")):
        return None
    for event in known.events(ref(service)):
        if "LoadBalancer" not in str(event.get("reason")) or event.get("type") != "Warning":
            continue
        message = str(event.get("message"))
        return found(
            "load_balancer_failed",
            ref(service),
            "status.loadBalancer",
            f"{ref(gateway).text} has no address: the load balancer was refused: {message}",
            "mend what it says: the annotations and the address of the Service come from the "
            "EnvoyProxy (provider.kubernetes.envoyService); deploys/public_ips.py shows the "
            "whole chain",
            [
                quoted(ref(gateway).text, said),
                f"event of {ref(service).text}: {event.get('reason')}: {message}",
            ],
        )
    return None


def _service(it: Object) -> str:
    ingress = at(it, "status", "loadBalancer", "ingress") or "none"
    return f"type {at(it, 'spec', 'type')}, loadBalancer.ingress {ingress}"


def _settled(known: Known, said: Object) -> bool:
    return known.age(said.get("lastTransitionTime")) > FRESH
