"""Routes and the Gateways that took them, or did not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.diagnosis.asking import bare
from tasks.diagnosis.case import Case
from tasks.diagnosis.diagnosis import Found, Ref
from tasks.diagnosis.objects import (
    at,
    covers,
    false_conditions,
    hostnames,
    listed,
    namespace,
    ref,
    target,
)

#: Where the fault is, by the reason of a condition Accepted (Gateway API v1, RouteConditionReason).
FIELDS = {
    "NoMatchingListenerHostname": "spec.hostnames",
    "NoMatchingParent": "spec.parentRefs[].sectionName",
    "NotAllowedByListeners": "spec.parentRefs",
    "NoReadyListeners": "spec.parentRefs",
}


def routes_for(case: Case, host: str) -> list[Mapping[str, Any]]:
    """Routes whose hostnames are for this host, the most exact first."""
    found = []
    for it in case.objects.of("HTTPRoute", "GRPCRoute"):
        names = [n for n in hostnames(it) if covers(n, host)]
        if names:
            found.append((max(len(n) for n in names), it))
    return [it for _, it in sorted(found, key=lambda one: -one[0])]


def not_attached(case: Case) -> Found | None:
    """A route has this host, and Envoy was not given it."""
    host = bare(case.request.host)
    for route in routes_for(case, host):
        why, field = _why_not(case, route)
        if why:
            it = ref(route)
            return case.found(
                "route_not_attached",
                it,
                field,
                f"{it.text} is for {host}, but is not attached to the Gateway: {why}",
                _attach(it, field),
                answered_by="envoy",
            )
    return None


def _attach(it: Ref, field: str) -> str:
    return (
        f"kubectl -n {it.namespace} get {it.kind.lower()} {it.name} -o yaml: correct {field}; the "
        "listener must allow its namespace, kind and hostname"
    )


def _why_not(case: Case, route: Mapping[str, Any]) -> tuple[str, str]:
    """Why no Gateway took a route, and the field that is wrong; "" where one did."""
    for whose, condition in false_conditions(route):
        if condition.get("type") == "Accepted":
            reason = str(condition.get("reason"))
            said = f"{whose.text}: {reason}: {condition.get('message')}"
            return said, FIELDS.get(reason, "spec.parentRefs")
    gateways = {ref(it): it for it in case.objects.of("Gateway")}
    for number, it in enumerate(listed(at(route, "spec", "parentRefs"))):
        parent, place = target(it, namespace(route), "Gateway"), f"spec.parentRefs[{number}]"
        if parent.kind != "Gateway" or not gateways:
            continue
        if parent not in gateways:
            return f"parentRef {parent.text} does not exist.", f"{place}.name"
        if refused := _refused(gateways[parent], it, route, place):
            return refused
    if not listed(at(route, "status", "parents")) and case.configuration is not None:
        return "no Gateway has written a status for it.", "spec.parentRefs"
    return "", ""


def _refused(
    gateway: Mapping[str, Any], parent: Mapping[str, Any], route: Mapping[str, Any], place: str
) -> tuple[str, str] | None:
    """
    Why none of a Gateway's listeners takes a route, and the field that is wrong; None where one
    does. + place: of the parentRef, such as "spec.parentRefs[0]"
    """
    listeners = listed(at(gateway, "spec", "listeners"))
    section, port = parent.get("sectionName"), parent.get("port")
    chosen = [
        it
        for it in listeners
        if section in (None, it.get("name")) and port in (None, it.get("port"))
    ]
    if listeners and not chosen:
        field = "port" if section is None else "sectionName"
        return f"{ref(gateway).text} has no listener {section or port}.", f"{place}.{field}"
    refusals = [it for one in chosen if (it := _not_allowed(one, gateway, route, place))]
    return refusals[0] if refusals and len(refusals) == len(chosen) else None


def _not_allowed(
    listener: Mapping[str, Any], gateway: Mapping[str, Any], route: Mapping[str, Any], place: str
) -> tuple[str, str] | None:
    called = f"listener {listener.get('name')}"
    source = at(listener, "allowedRoutes", "namespaces", "from") or "Same"
    if source == "Same" and namespace(route) != namespace(gateway):
        return f"{called} allows routes of namespace {namespace(gateway)} alone.", place
    if source == "None":
        return f"{called} allows no routes.", place
    hostname = str(listener.get("hostname") or "").lower()
    names = hostnames(route)
    if hostname and names and not any(overlap(hostname, it) for it in names):
        return f"{called} has hostname {hostname}, the route {', '.join(names)}.", "spec.hostnames"
    return None


def overlap(one: str, other: str) -> bool:
    return covers(one, other) or covers(other, one)
