"""Clusters and their endpoints: none, none that is healthy, none that exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.diagnosis.case import Case
from tasks.diagnosis.causes import Cause
from tasks.diagnosis.config import Endpoint
from tasks.diagnosis.diagnosis import Found, Ref
from tasks.diagnosis.objects import at, listed, mapping
from tasks.diagnosis.owners import cluster_of, field_of, policy_of, route_of, service_of


def cluster_not_found(case: Case) -> Found | None:
    if "cluster_not_found" not in case.details and "NC" not in case.flags:
        return None
    it = route_of(case)
    named = case.cluster_name or ", ".join(case.route.clusters if case.route is not None else ())
    return case.found(
        "cluster_not_found",
        it,
        field_of(it, "spec.rules[].backendRefs", "virtual_hosts[].routes[].route.cluster"),
        f"The route names cluster {named or '?'}, and Envoy has no cluster of that name.",
        "let the route name a cluster that exists; under Envoy Gateway look for rejected clusters "
        "in Envoy's log and for EnvoyPatchPolicies that change names",
        _near(case, named),
        answered_by="envoy",
    )


def _near(case: Case, named: str) -> str:
    import difflib

    known = case.configuration.clusters if case.configuration is not None else {}
    near = difflib.get_close_matches(named, list(known), n=3)
    return f"config_dump: clusters like it: {', '.join(near)}" if near else ""


def no_healthy_upstream(case: Case) -> Found | None:
    """No endpoint to send to: which of the reasons."""
    if not case.details.startswith("no_healthy_upstream"):
        return None
    points = case.endpoints
    total = case.stat("membership_total")
    if points is not None and not points:
        return _zero(case)
    if points:
        return _unhealthy(case, points)
    if total == 0:
        return _zero(case)
    ready = case.objects.readiness(service_of(case)) if case.objects.known else None
    if total is None and ready is not None and ready[1] == 0:
        return _zero(case)
    return _by_counters(case, [f"stats: membership_total {total:.0f}"] if total is not None else [])


def _zero(case: Case) -> Found:
    service = service_of(case)
    selector = at(case.objects.get(service), "spec", "selector")
    known = service.kind == "Service"
    return case.found(
        "zero_endpoints",
        service,
        "spec.selector" if known else "load_assignment",
        f"Cluster {case.cluster_name} has no endpoint at all: {service.text} selects no Pod that "
        "is there."
        if known
        else f"Cluster {case.cluster_name} has no endpoint at all.",
        f"kubectl -n {service.namespace} get pods --show-labels; correct the selector of "
        f"{service.text}, or scale its Pods up"
        if known
        else "give the cluster endpoints, or look at what should (EDS, DNS)",
        "membership_total 0, no host in /clusters",
        f"selector {selector}" if selector else "",
        answered_by="envoy",
    )


def _unhealthy(case: Case, points: tuple[Endpoint, ...]) -> Found:
    said = [f"/clusters: {it.address} {'/'.join(it.failed) or it.health}" for it in points[:4]]
    down = [it for it in points if not it.healthy]
    ejected = [it for it in down if any("outlier" in one for one in it.failed)]
    checked = [it for it in down if any("active" in one for one in it.failed)]
    if ejected and len(ejected) >= len(checked):
        return _ejected(case, said)
    if checked:
        return _checked(case, said)
    if not any(it.failed for it in down):
        return _by_counters(case, said)
    return _none(case, said)


def _was_ejected(case: Case) -> bool:
    return bool(
        case.stat("outlier_detection.ejections_active")
        or case.stat("outlier_detection.ejections_enforced_total")
    )


def _by_counters(case: Case, said: list[str]) -> Found:
    """Without /clusters, or where that does not say why."""
    if _was_ejected(case):
        return _ejected(case, [*said, "stats: outlier_detection.ejections_enforced_total > 0"])
    if case.stat("health_check.failure"):
        return _checked(case, [*said, "stats: health_check.failure > 0"])
    spec = _traffic_policy(case)
    if case.of_cluster("health_checks") or at(spec, "healthCheck", "active"):
        return _checked(case, said, confidence=0.7)
    if case.of_cluster("outlier_detection") or at(spec, "healthCheck", "passive") or _failing(case):
        return _ejected(case, said, confidence=0.7)
    return _none(case, said)


def _traffic_policy(case: Case) -> Mapping[str, Any]:
    ref = policy_of(case, "BackendTrafficPolicy", "healthCheck")
    found = at(case.objects.get(ref), "spec") if ref is not None else None
    return mapping(found)


def _failing(case: Case) -> bool:
    """Whether the backend's own 5xx came before."""
    return any(
        (entry.status or 0) >= 500 and entry.details == "via_upstream"
        for _, entry in case.earlier
        if entry is not None and entry.upstream_cluster == case.cluster_name
    )


def _ejected(case: Case, said: list[str], confidence: float = 0.95) -> Found:
    return _end(
        case,
        "all_endpoints_ejected",
        "outlier detection has ejected every endpoint after failures of their own",
        "look at the 5xx and resets of the Pods that came before; spec.healthCheck.passive of the "
        "BackendTrafficPolicy sets maxEjectionPercent and baseEjectionTime",
        said,
        confidence,
    )


def _checked(case: Case, said: list[str], confidence: float = 0.95) -> Found:
    policy = policy_of(case, "BackendTrafficPolicy", "healthCheck")
    asked = f" ({policy.text})" if policy else ""
    other = _other_path(case, policy)
    return _end(
        case,
        "health_check_failing",
        f"no endpoint passes the active health check{asked}{f': {other}' if other else ''}",
        "ask a Pod what the health check asks (path, port, expected status); correct the "
        "application, or spec.healthCheck.active of the BackendTrafficPolicy",
        said,
        confidence,
        policy if other else None,
    )


def _other_path(case: Case, policy: Ref | None) -> str:
    """That Pods are ready by another path than the health check asks for."""
    checked = at(case.objects.get(policy) if policy else None, "spec", "healthCheck", "active")
    path = at(checked, "http", "path")
    pods = [pod for it in case.endpoints or () for pod in case.objects.pods_at(it.address)]
    probes = {
        at(one, "readinessProbe", "httpGet", "path")
        for pod in pods
        for one in listed(at(pod, "spec", "containers"))
    } - {None}
    ready = all(
        it.get("status") == "True"
        for pod in pods
        for it in listed(at(pod, "status", "conditions"))
        if it.get("type") == "Ready"
    )
    if not path or not probes or path in probes or not ready:
        return ""
    return f"it asks for {path}, the Pods are ready by {', '.join(sorted(map(str, probes)))}"


def _none(case: Case, said: list[str]) -> Found:
    return _end(
        case,
        "no_healthy_endpoints",
        "no endpoint is healthy",
        "kubectl get endpointslices: make a Pod ready",
        said,
        0.8 if said else 0.6,
    )


def _end(
    case: Case,
    cause: Cause,
    why: str,
    fix: str,
    said: list[str],
    confidence: float,
    policy: Ref | None = None,
) -> Found:
    service = service_of(case)
    field = "spec.selector" if service.kind == "Service" else "endpoints"
    return case.found(
        cause,
        policy or service,
        "spec.healthCheck.active.http.path" if policy else field,
        f"Envoy has nothing to send to in cluster {case.cluster_name or service.text}: {why}.",
        fix,
        *said,
        answered_by="envoy",
        confidence=confidence,
    )


def name_not_resolved(case: Case) -> Found | None:
    if not case.details.startswith(("dns_resolution_failure", "dns_cache")):
        return None
    it = cluster_of(case)
    return case.found(
        "name_not_resolved",
        it,
        "spec.endpoints[].fqdn.hostname",
        f"Envoy could not resolve the name of the backend: {case.details}.",
        "correct the name, or what resolves it; Envoy asks again after dns_refresh_rate",
        answered_by="envoy",
        confidence=0.85,
    )
