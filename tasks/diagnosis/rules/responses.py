"""Routes that answer themselves: as somebody wrote it down, or for a backend that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.diagnosis.case import Case
from tasks.diagnosis.diagnosis import Found, Ref
from tasks.diagnosis.objects import at, false_conditions, listed, namespace, target
from tasks.diagnosis.owners import filters_of, route_of, service_of


def direct_response(case: Case) -> Found | None:
    """Envoy answered by what the route says, without a backend."""
    if case.details != "direct_response" or case.status is None or case.status < 400:
        return None
    refused = _broken_ref(case)
    if refused is not None and case.status == 500:
        return refused
    if case.status == 503 and not _intended(case) and case.from_gateway:
        return _no_ready_endpoints(case)
    if case.status == 500 and not _intended(case) and case.from_gateway:
        return _invalid(case, "a backendRef or filter of the rule cannot be resolved", 0.75)
    if refused is not None and not _intended(case):
        return refused
    return _intended_response(case)


def _intended(case: Case) -> bool:
    """Whether somebody wrote this response down: a filter of the rule, or a body of its own."""
    if case.rule is not None and case.objects.known:
        rule = case.objects.rule(case.rule)
        if rule:
            return any(_is_direct(case, it) for it in listed(rule.get("filters"))) or not listed(
                rule.get("backendRefs")
            )
    if (case.exchange is not None and case.exchange.body) or (case.entry and case.entry.sent):
        return True
    return bool(case.of_route("direct_response", "body"))


def _is_direct(case: Case, it: Mapping[str, Any]) -> bool:
    wanted = at(it, "extensionRef", "kind")
    if it.get("type") != "ExtensionRef" or wanted != "HTTPRouteFilter" or case.rule is None:
        return False
    called = Ref(str(wanted), str(at(it, "extensionRef", "name")), case.rule.route.namespace)
    found = case.objects.get(called)
    return found is None or at(found, "spec", "directResponse") is not None


def _broken_ref(case: Case) -> Found | None:
    """A backendRef that leads nowhere, by conditions or by what is not there."""
    if case.rule is None or not case.objects.known:
        return None
    route = case.objects.get(case.rule.route)
    for whose, condition in false_conditions(route):
        if condition.get("type") == "ResolvedRefs":
            said = f"{condition.get('reason')}: {condition.get('message')}"
            why = f"ResolvedRefs is False for {whose.text}, {said}"
            return _invalid(case, why, 0.97, _absent_filter(case))
    backends = listed(case.objects.rule(case.rule).get("backendRefs"))
    if backends and all(it.get("weight") == 0 for it in backends):
        index = f"spec.rules[{case.rule.index}].backendRefs[0].weight"
        return _invalid(case, "all weights of the rule are 0", 0.95, index)
    for number, it in enumerate(backends):
        called = target(it, case.rule.route.namespace, "Service")
        found = case.objects.get(called)
        index = f"spec.rules[{case.rule.index}].backendRefs[{number}]"
        if called.kind == "Service" and found is None and any(case.objects.of("Service")):
            return _invalid(case, f"{called.text} does not exist", 0.93, index)
        ports = [one.get("port") for one in listed(at(found, "spec", "ports"))]
        if called.kind == "Service" and ports and it.get("port") not in ports:
            return _invalid(case, f"{called.text} has no port {it.get('port')}", 0.93, index)
        elsewhere = called.namespace != case.rule.route.namespace
        if called.kind == "Service" and elsewhere and not _granted(case, called):
            return _invalid(case, f"no ReferenceGrant allows {called.text}", 0.9, index)
    return None


def _absent_filter(case: Case) -> str:
    """The field of a filter of the rule that names an object which is not there, "" where none."""
    assert case.rule is not None
    for number, it in enumerate(listed(case.objects.rule(case.rule).get("filters"))):
        kind, name = at(it, "extensionRef", "kind"), at(it, "extensionRef", "name")
        if kind and name:
            called = Ref(str(kind), str(name), case.rule.route.namespace)
            if case.objects.get(called) is None:
                return f"spec.rules[{case.rule.index}].filters[{number}].extensionRef.name"
    return ""


def _granted(case: Case, called: Ref) -> bool:
    assert case.rule is not None
    return any(
        namespace(it) == called.namespace
        and any(
            one.get("namespace") == case.rule.route.namespace
            for one in listed(at(it, "spec", "from"))
        )
        for it in case.objects.of("ReferenceGrant")
    )


def _invalid(case: Case, why: str, confidence: float, field: str = "") -> Found:
    index = case.rule_index
    it = route_of(case)
    return case.found(
        "invalid_backend_ref",
        it,
        field or f"spec.rules[{index}].backendRefs",
        f"Envoy Gateway answers 500 for rule {index} of {it.text}, for {why}.",
        f"kubectl -n {it.namespace} get {it.kind.lower()} {it.name} -o yaml: let the rule name a "
        "Service that exists, with a port that it has, in this namespace or one that a "
        "ReferenceGrant opens",
        why,
        answered_by="envoy",
        confidence=confidence,
    )


def moved_on(case: Case) -> Found | None:
    """
    The request still went to an endpoint that failed; since then the route answers 503 itself, for
    no endpoint is ready.
    """
    answers = case.of_route("direct_response", "status")
    if case.status != 503 or answers != 503 or not case.from_gateway:
        return None
    if case.details.startswith("upstream_reset_before") and not _intended_now(case):
        return _no_ready_endpoints(case)
    return None


def _intended_now(case: Case) -> bool:
    rule = case.objects.rule(case.rule) if case.rule is not None else {}
    return any(_is_direct(case, it) for it in listed(rule.get("filters")))


def _no_ready_endpoints(case: Case) -> Found:
    service = service_of(case)
    ready = case.objects.readiness(service)
    counted = f"{ready[0]} of {ready[1]} endpoints of {service.text} are ready" if ready else ""
    said = [
        f"{whose.text}: {it.get('type')}=False {it.get('reason')}: {it.get('message')}"
        for whose, it in false_conditions(case.objects.get(route_of(case)))
    ]
    return case.found(
        "no_ready_endpoints_direct_response",
        service,
        "spec.selector",
        f"{service.text} has no ready endpoint: Envoy Gateway gave the route a 503 of its own "
        "instead of a cluster.",
        f"kubectl -n {service.namespace} get pods,endpointslices -l "
        f"kubernetes.io/service-name={service.name}: make a Pod ready, or correct the selector",
        counted,
        *said,
        answered_by="envoy",
        confidence=0.96 if ready and ready[0] == 0 else 0.8,
    )


def _intended_response(case: Case) -> Found:
    it, field = filters_of(case, "direct_response")
    return case.found(
        "intended_direct_response",
        it,
        field,
        f"{it.text} answers {case.status} itself: somebody wrote this response down, no backend is "
        "asked.",
        f"nothing, where that is wanted; else remove the direct response from {it.text}",
        f"route {case.route.name or case.route.match}" if case.route is not None else "",
        answered_by="envoy",
        severity="info",
    )
