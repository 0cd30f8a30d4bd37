"""
How a request ended, in the words of Envoy's response code details: the log's own, or what a flag,
a body, counters and the configuration tell where there is no log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tasks.diagnosis import flags
from tasks.diagnosis.config import Route
from tasks.diagnosis.evidence import Entry, Exchange
from tasks.diagnosis.objects import attached

if TYPE_CHECKING:
    from tasks.diagnosis.case import Case

#: What a flag says where the log has no response code details.
BY_FLAG: Mapping[str, str] = {
    "NR": "route_not_found",
    "UH": "no_healthy_upstream",
    "UO": "upstream_reset_before_response_started{overflow}",
    "UT": "response_timeout",
    "UC": "upstream_reset_before_response_started{connection_termination}",
    "UR": "upstream_reset_before_response_started{remote_reset}",
    "UPE": "upstream_reset_before_response_started{protocol_error}",
    "NC": "cluster_not_found",
    "FI": "fault_filter_abort",
    "RL": "local_rate_limited",
    "UAEX": "ext_authz_denied",
    "DC": "downstream_remote_disconnect",
    "DR": "downstream_remote_reset",
    "DF": "dns_resolution_failure",
    "UF": "upstream_reset_before_response_started{remote_connection_failure}",
    "LR": "upstream_reset_before_response_started{local_reset}",
    "SI": "stream_idle_timeout",
    "DT": "max_duration_timeout",
    "UMSDR": "upstream_max_stream_duration_reached",
    "RLSE": "rate_limiter_error",
    "NFCF": "filter_chain_not_found",
    "IH": "invalid_envoy_request_headers",
}
#: What a body that Envoy writes itself says; the beginning of it.
BY_BODY: Mapping[str, str] = {
    "no healthy upstream": "no_healthy_upstream",
    "upstream request timeout": "response_timeout",
    "stream timeout": "stream_idle_timeout",
    "RBAC: access denied": "rbac_access_denied_matched_policy[none]",
    "local_rate_limited": "local_rate_limited",
    "fault filter abort": "fault_filter_abort",
    "Jwt": "jwt_authn_access_denied",
    "Jwks": "jwt_authn_access_denied",
    "Audiences in Jwt": "jwt_authn_access_denied",
}
_RESET = re.compile(
    r"^upstream connect error or disconnect/reset before headers\. (?:retried and the latest )?"
    r"reset reason: ([^,]+?)(?:, transport failure reason: (.+))?$",
    re.S,
)
GRPC_OK = ("", "0", "OK", "-")
REDIRECTS = (301, 302, 303, 307, 308)


def details(case: Case) -> str:
    """How Envoy says that it ended: in the log; else by flags, body, counters, configuration."""
    if case.entry is not None and case.entry.details:
        return case.entry.details
    body = _of_body(case)
    flag = next((it for it in BY_FLAG if it in case.flags), "")
    if flag:
        return _of_flag(case, flag, body)
    if "DPE" in case.flags:
        return ""
    if body and case.answered_by == "envoy":
        return body
    if case.entry is None and (of_service := _of_authorization(case)):
        return of_service
    if case.answered_by == "upstream":
        return "via_upstream"
    if case.answered_by == "client":
        return "downstream_remote_disconnect"
    return _of_configuration(case)


def _of_flag(case: Case, flag: str, body: str) -> str:
    if flag in ("UF", "UAEX") and body:
        return body
    if flag == "NR" and case.entry is not None and not case.entry.method:
        return "filter_chain_not_found"
    return BY_FLAG[flag]


def _of_body(case: Case) -> str:
    body = case.exchange.body if case.exchange is not None else ""
    body = body or unquote(case.header("grpc-message"))
    found = _RESET.match(body.strip())
    if found is not None:
        words = "|".join(it.strip().replace(" ", "_") for it in found.groups() if it)
        return f"upstream_reset_before_response_started{{{words}}}"
    return next((it for begin, it in BY_BODY.items() if body.startswith(begin)), "")


def _of_authorization(case: Case) -> str:
    """Without a log: what counters say of a service that is asked first."""
    if case.status is None or not 400 <= case.status < 500:
        return ""
    if case.stat("ext_authz.denied") or _passed_on(case):
        return "ext_authz_denied"
    if case.status == 429 and case.header("x-envoy-ratelimited"):
        return "request_rate_limited"
    return "ext_authz_error" if case.stat("ext_authz.error") else ""


def _passed_on(case: Case) -> bool:
    """A header that the router leaves out, so that who is asked first must have sent it."""
    asks = any("ext_authz" in it for it in case.filters_of_route)
    silent = case.chain is not None and "'suppress_envoy_headers': True" in str(case.chain.manager)
    return asks and silent and bool(case.header("x-envoy-upstream-service-time"))


def _of_configuration(case: Case) -> str:
    """Envoy answered, and nothing says why: what the route that matches does."""
    if case.status is None:
        return ""
    if case.matched is None and (found := _of_objects(case)):
        return found
    if case.matched is not None and case.matched.table is not None and case.route is None:
        return "route_not_found" if case.status == 404 else ""
    if case.route is not None and case.route.answers_itself:
        return "direct_response"
    if case.route is not None and case.status >= 500 and _lacks_cluster(case, case.route):
        return "cluster_not_found"
    return "direct_response" if case.status in REDIRECTS else ""


def _of_objects(case: Case) -> str:
    """Without a configuration: what the route that is for this request says."""
    objects = case.objects
    if case.rule is None:
        routes = any(objects.of("HTTPRoute", "GRPCRoute"))
        return "route_not_found" if routes and case.status == 404 else ""
    route = objects.get(case.rule.route)
    if case.status == 404 and route is not None and not attached(route):
        return "route_not_found"
    backends = objects.backends(case.rule)
    known = [objects.readiness(it) for it in backends]
    gone = [it for it in backends if it.kind == "Service" and objects.get(it) is None]
    unready = case.status == 503 and any(it is not None and not it[0] for it in known)
    return "direct_response" if not backends or gone or unready else ""


def _lacks_cluster(case: Case, route: Route) -> bool:
    known = case.configuration.clusters if case.configuration is not None else {}
    return bool(known) and all(it not in known for it in route.clusters)


def grpc_status(exchange: Exchange | None, entry: Entry | None) -> str:
    """Such as "14" or "Unavailable"; "" where there is none, or all is well."""
    sent = exchange.header("grpc-status") if exchange is not None else ""
    found = sent or (entry.grpc_status if entry is not None else "") or ""
    return "" if found in GRPC_OK else found


def failed(entry: Entry) -> bool:
    """Whether a line tells of a request without a good answer."""
    ended = set(flags.flags_of(entry)) - {"DI", "URX"}
    if grpc_status(None, entry):
        return True
    return not entry.status or entry.status >= 400 or bool(ended)
