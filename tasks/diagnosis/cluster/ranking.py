"""
What comes first where a request fails and the cluster ails: what ails it where that leads to what
the request met, else the request's own cause.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.diagnosis.causes import Cause
from tasks.diagnosis.diagnosis import Found

#: What a request meets where proxies have old routes or endpoints.
_OLD: frozenset[Cause] = frozenset(
    {
        "no_virtual_host_match",
        "no_route_in_virtual_host",
        "route_not_attached",
        "cluster_not_found",
        "zero_endpoints",
        "no_healthy_endpoints",
        "no_ready_endpoints_direct_response",
        "invalid_backend_ref",
        "upstream_connect_timeout",
        "upstream_connection_refused",
        "sni_no_filter_chain",
        "h2_connection_reuse",
    }
)
#: What it meets where nothing listens.
_GONE: frozenset[Cause] = frozenset({"sni_no_filter_chain", "client_disconnected"})
_NO_WAY: frozenset[Cause] = frozenset(
    {
        "upstream_connect_timeout",
        "upstream_connection_refused",
        "upstream_timeout",
        "ext_authz_error",
        "health_check_failing",
        "no_healthy_endpoints",
    }
)
_NO_ENDPOINT: frozenset[Cause] = frozenset(
    {"no_ready_endpoints_direct_response", "zero_endpoints", "no_healthy_endpoints"}
)
#: Of a Service without an endpoint, while proxies still have the last ones.
_LEFT_BEHIND: frozenset[Cause] = frozenset(
    {"upstream_connect_timeout", "upstream_connection_refused"}
)
#: What each leads to; what is not here explains no request that was answered.
LEADS_TO: Mapping[Cause, frozenset[Cause]] = {
    "controller_down": _OLD,
    "controller_not_leading": _OLD,
    "controller_rejected_configuration": _OLD,
    "crd_missing": _OLD,
    "not_permitted": _OLD,
    "configuration_rejected": _OLD,
    "configuration_stale": _OLD,
    "network_policy": _NO_WAY,
    "certificate_invalid": _GONE,
    "certificate_expired": _GONE,
    "reference_not_permitted": _GONE
    | {"invalid_backend_ref", "upstream_tls_failure", "no_virtual_host_match"},
    "gateway_not_accepted": _GONE | {"no_virtual_host_match", "route_not_attached"},
    "memory_or_processor_short": frozenset({"upstream_timeout", "envoy_internal_error"}),
    "policy_not_attached": frozenset(
        {
            "intended_direct_response",
            "invalid_backend_ref",
            "ext_authz_error",
            "upstream_tls_failure",
            "cluster_not_found",
        }
    ),
}
#: The same said of a request, which is the better word for it.
SAME: Mapping[Cause, frozenset[Cause]] = {
    "service_without_endpoints": _NO_ENDPOINT,
    "route_not_attached": frozenset(
        {"route_not_attached", "no_virtual_host_match", "no_route_in_virtual_host"}
    ),
    "invalid_backend_ref": frozenset({"invalid_backend_ref", "cluster_not_found"}),
    "certificate_expired": frozenset({"certificate_expired"}),
    "name_not_resolved": frozenset({"name_not_resolved"}),
}
#: What is taken for something else where only the request is looked at.
INSTEAD: Mapping[Cause, frozenset[Cause]] = {
    "configuration_stale": frozenset({"no_virtual_host_match", "no_route_in_virtual_host"}),
    "policy_not_attached": frozenset({"intended_direct_response", "invalid_backend_ref"}),
    "reference_not_permitted": frozenset({"invalid_backend_ref"}),
}
#: What keeps a request from being answered at all.
NO_ANSWER: frozenset[Cause] = frozenset(
    {
        "proxy_down",
        "address_missing",
        "load_balancer_failed",
        "certificate_invalid",
        "certificate_expired",
        "gateway_not_accepted",
        "controller_down",
        "controller_not_leading",
        "configuration_rejected",
        "configuration_stale",
        "crd_missing",
        "reference_not_permitted",
        "route_not_attached",
        "network_policy",
        "name_not_resolved",
    }
)


def ranked(
    of_request: Sequence[Found], of_cluster: Sequence[Found], unanswered: bool
) -> tuple[Found, ...]:
    """
    All findings, the one that explains the request first.

    + unanswered: nobody asks, or no response came; what ails a cluster then comes first
    """
    symptom = of_request[0].cause if of_request else None
    kept = [it for it in of_cluster if not _same(it, of_request)]
    if symptom is None:
        first = [it for it in kept if it.cause in NO_ANSWER] if unanswered else []
    else:
        first = [
            it
            for it in kept
            if it.severity == "error"
            and (
                symptom in LEADS_TO.get(it.cause, frozenset())
                or (it.object == of_request[0].object and symptom in _LEFT_BEHIND)
                or (unanswered and it.cause in NO_ANSWER)
            )
        ]
    rest = [it for it in kept if it not in first]
    if symptom is not None and any(_instead(it, of_request[0]) for it in first):
        return (*first, *rest)
    return (*first, *of_request, *rest)


def _instead(it: Found, symptom: Found) -> bool:
    left = it.cause == "service_without_endpoints" and symptom.cause in _LEFT_BEHIND
    return symptom.cause in INSTEAD.get(it.cause, ()) or (left and it.object == symptom.object)


def _same(it: Found, of_request: Sequence[Found]) -> bool:
    return any(
        one.object == it.object
        and (one.cause == it.cause or one.cause in SAME.get(it.cause, frozenset()))
        for one in of_request
    )
