"""Responses that came whole: of the application itself, and of an Envoy that failed."""

from __future__ import annotations

from tasks.diagnosis.case import Case
from tasks.diagnosis.causes import Cause
from tasks.diagnosis.diagnosis import Found
from tasks.diagnosis.evidence import Entry
from tasks.diagnosis.objects import at, listed
from tasks.diagnosis.owners import filters_of, gateway_of, policy_of, route_of, service_of
from tasks.diagnosis.routing import matched

BY_STATUS: dict[int, Cause] = {
    400: "backend_400",
    401: "backend_401",
    403: "backend_403",
    404: "backend_404",
    429: "backend_429",
}


def answer(case: Case) -> Found | None:
    """The backend itself answered so."""
    if case.details != "via_upstream" and not (case.broken and case.answered_by == "upstream"):
        return None
    if case.grpc_status:
        return _grpc(case)
    status = case.status or (case.entry.status if case.entry is not None else None) or 0
    if status == 404 and (found := rewritten(case)) is not None:
        return found
    if status < 400 and not case.broken:
        return None
    cause = BY_STATUS.get(status) or ("backend_5xx" if status >= 500 else "backend_400")
    service = service_of(case)
    return case.found(
        cause,
        service,
        "spec",
        f"The application behind {service.text} answered {status} for {case.where} itself: routing "
        "and proxy did their part.",
        f"look into the log of the application ({service.text}): Envoy passed its answer on",
        answered_by="upstream",
        severity="error" if status >= 500 else "warning",
        confidence=0.95 if status >= 500 or status in BY_STATUS else 0.7,
    )


def _grpc(case: Case) -> Found:
    service = service_of(case)
    return case.found(
        "grpc_backend_error",
        service,
        "spec",
        f"The gRPC service behind {service.text} answered grpc-status {case.grpc_status} with HTTP "
        f"{case.status or 200}.",
        f"look into the log of the application ({service.text}); HTTP statuses do not show it",
        f'grpc-status "{case.grpc_status}"',
        answered_by="upstream",
    )


def rewritten(case: Case) -> Found | None:
    """A 404 of a backend that was asked for another path than the client was."""
    action = case.of_route("route")
    rewrite = _rewrite(action) or (_rewrite_of_rule(case) if case.route is None else "")
    if not rewrite or _served_through(case):
        return None
    it, field = filters_of(case, "route")
    return case.found(
        "path_rewrite_mismatch",
        it,
        field,
        f"{it.text} rewrites the path ({rewrite}), and the backend answers 404 for what it was "
        f"asked then: it does not know that path.",
        "correct urlRewrite so that the backend is asked for a path that it has, or leave it out",
        f"route: {rewrite}",
        answered_by="upstream",
        confidence=0.85,
    )


def _rewrite(action: object) -> str:
    for key in ("prefix_rewrite", "regex_rewrite", "path_rewrite_policy", "path_rewrite"):
        value = at(action, key) if isinstance(action, dict) else None
        if value:
            return f"{key} {value}"
    return ""


def _rewrite_of_rule(case: Case) -> str:
    rule = case.objects.rule(case.rule) if case.rule is not None else {}
    paths = [at(it, "urlRewrite", "path") for it in listed(rule.get("filters"))]
    return next((f"urlRewrite {it}" for it in paths if it), "")


def _same_route(case: Case, entry: Entry) -> bool:
    """Whether a line without a route's name is of a good answer, and the same route takes it."""
    if case.configuration is None or not 200 <= (entry.status or 0) < 400:
        return False
    if entry.upstream_cluster != case.cluster_name:
        return False
    found = matched(case.configuration, entry.request, port=entry.port, local=entry.local)
    return found.route is not None and found.route is case.route


def _served_through(case: Case) -> bool:
    """
    Whether the same route has led to an answer that is good; where the log has paths as they were
    sent on, rewritten as they are now.
    """
    entry = case.entry
    if entry is None:
        return False
    if not entry.route:
        return any(_same_route(case, it) for it in case.evidence.entries[-200:])
    action = case.of_route("route") or {}
    now = str(action.get("prefix_rewrite") or "") if entry.path != case.request.path else ""
    return any(
        it.route == entry.route
        and 200 <= (it.status or 0) < 400
        and (it.path or "").startswith(now)
        for it in case.evidence.entries
    )


def internal_error(case: Case) -> Found | None:
    """Envoy's own 5xx that nothing else explains."""
    status = case.status or (case.entry.status if case.entry is not None else None) or 0
    if case.answered_by != "envoy" or status < 500 or case.entry is None:
        return None  # without a line a status alone is no cause
    extension = policy_of(case, "EnvoyExtensionPolicy")
    it = extension or (route_of(case) if case.route is not None else gateway_of(case))
    if "overload" in case.details:
        it = gateway_of(case)
    return case.found(
        "envoy_internal_error",
        it,
        "",
        f"Envoy itself answered {status}{f' ({case.details})' if case.details else ''}: a filter "
        "or Envoy failed, no backend was asked.",
        "look into Envoy's own log at that time; Lua, ext_proc and wasm filters fail like this",
        *_log(case),
        answered_by="envoy",
        confidence=0.75,
    )


def _log(case: Case) -> list[str]:
    lines = case.proxy.log if case.proxy is not None else None
    wrong = [it for it in lines or () if "[error]" in it or "[critical]" in it or "[warning]" in it]
    return [f"envoy.log: {it[:200]}" for it in wrong[-2:]]
