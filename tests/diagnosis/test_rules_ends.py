"""How Envoy says that a request ended, and the cause that this is."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.diagnosis.diagnosis import Found
from tasks.diagnosis.evidence import Entry, Evidence, Exchange, Proxy, Request
from tasks.diagnosis.explain import diagnosis

RESET = "upstream_reset_before_response_started"
VERIFY = (
    "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end"
)


def line(status: int, flags: str, details: str | None, **fields: Any) -> Entry:
    known: dict[str, Any] = {
        "method": "GET",
        "authority": "shop.example.com",
        "path": "/cart",
        "route": "httproute/shop/cart/rule/0/match/0/shop_example_com",
        "upstream_cluster": "httproute/shop/cart/rule/0",
        "at": "2026-11-22T10:00:00Z",
    }
    return Entry(
        "access.log", 1, status=status, flags=flags, details=details, **{**known, **fields}
    )


def first(evidence: Evidence) -> Found | None:
    found = diagnosis(evidence).findings
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize(
    ("status", "flags", "details", "cause", "kind"),
    [
        (400, "", "via_upstream", "backend_400", "Service"),
        (401, "", "via_upstream", "backend_401", "Service"),
        (403, "", "via_upstream", "backend_403", "Service"),
        (404, "", "via_upstream", "backend_404", "Service"),
        (429, "", "via_upstream", "backend_429", "Service"),
        (503, "", "via_upstream", "backend_5xx", "Service"),
        (503, "URX", "via_upstream", "backend_5xx", "Service"),
        (405, "", "via_upstream", "backend_400", "Service"),
        (503, "UO", f"{RESET}{{overflow}}", "circuit_breaker_overflow", "Service"),
        (0, "DC", "downstream_remote_disconnect", "client_disconnected", "Service"),
        (503, "NC", "cluster_not_found", "cluster_not_found", "HTTPRoute"),
        (500, "", "filter_failed", "envoy_internal_error", "Gateway"),
        (403, "UAEX", "ext_authz_denied", "ext_authz_denied", "HTTPRoute"),
        (403, "UAEX", "ext_authz_error", "ext_authz_error", "HTTPRoute"),
        (503, "FI", "fault_filter_abort", "fault_injected", "HTTPRoute"),
        (401, "", "jwt_authn_access_denied{Jwt_is_missing}", "jwt_denied", "HTTPRoute"),
        (403, "", "jwt_authn_access_denied{Audiences_in_Jwt}", "jwt_denied", "HTTPRoute"),
        (421, "", "lua_response", "misdirected_request_421", "Gateway"),
        (503, "", "direct_response", "no_ready_endpoints_direct_response", "Service"),
        (500, "", "direct_response", "invalid_backend_ref", "HTTPRoute"),
        (404, "", "direct_response", "intended_direct_response", "HTTPRoute"),
        (429, "RL", "local_rate_limited", "rate_limited", "HTTPRoute"),
        (429, "RL", "request_rate_limited", "rate_limited", "HTTPRoute"),
        (403, "", "rbac_access_denied_matched_policy[DENY]", "rbac_denied", "HTTPRoute"),
        (400, "DPE", "http1.unexpected_underscore", "rejected_underscore_header", "Gateway"),
        (503, "UC", f"{RESET}{{connection_termination}}", "upstream_closed_connection", "Service"),
        (503, "UR", f"{RESET}{{remote_reset}}", "upstream_closed_connection", "Service"),
        (503, "UF", f"{RESET}{{connection_timeout}}", "upstream_connect_timeout", "Service"),
        (503, "UF,URX", f"{RESET}{{connection_timeout}}", "upstream_connect_timeout", "Service"),
        (502, "UPE", f"{RESET}{{protocol_error}}", "upstream_protocol_error", "Service"),
        (504, "UT", "response_timeout", "upstream_timeout", "HTTPRoute"),
        (504, "UT", "upstream_per_try_timeout", "upstream_timeout", "HTTPRoute"),
        (503, "UF", f"{RESET}{{remote_connection_failure|{VERIFY}}}", "upstream_tls_failure", "S"),
        (503, "DF", "dns_resolution_failure{no_records}", "name_not_resolved", "Service"),
        (
            503,
            "UF",
            f"{RESET}{{remote_connection_failure|delayed_connect_error:_Connection_refused}}",
            "upstream_connection_refused",
            "Service",
        ),
    ],
)
def test_cause_of_a_line_alone(
    status: int, flags: str, details: str, cause: str, kind: str
) -> None:
    it = first(Evidence(entries=(line(status, flags, details),)))
    assert it is not None
    assert it.cause == cause
    assert it.object.kind.startswith(kind)
    assert it.evidence[0].startswith("access.log:1: ")


@pytest.mark.parametrize(
    ("status", "flags", "cause"),
    [
        (503, "UO", "circuit_breaker_overflow"),
        (503, "UC", "upstream_closed_connection"),
        (504, "UT", "upstream_timeout"),
        (429, "RL", "rate_limited"),
        (503, "NC", "cluster_not_found"),
        (503, "FI", "fault_injected"),
        (0, "DC", "client_disconnected"),
        (502, "UPE", "upstream_protocol_error"),
        (503, "UF", "upstream_connection_refused"),
        (403, "UAEX", "ext_authz_denied"),
    ],
)
def test_cause_of_flags_where_the_log_has_no_details(status: int, flags: str, cause: str) -> None:
    it = first(Evidence(entries=(line(status, flags, None),)))
    assert it is not None
    assert it.cause == cause


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (503, "no healthy upstream", "no_healthy_endpoints"),
        (504, "upstream request timeout", "upstream_timeout"),
        (403, "RBAC: access denied", "rbac_denied"),
        (401, "Jwt is missing", "jwt_denied"),
        (429, "local_rate_limited", "rate_limited"),
        (503, "fault filter abort", "fault_injected"),
        (
            503,
            "upstream connect error or disconnect/reset before headers. reset reason: overflow",
            "circuit_breaker_overflow",
        ),
        (
            503,
            "upstream connect error or disconnect/reset before headers. retried and the latest "
            "reset reason: connection timeout",
            "upstream_connect_timeout",
        ),
        (
            503,
            "upstream connect error or disconnect/reset before headers. reset reason: remote "
            "connection failure, transport failure reason: TLS_error:|1:CERTIFICATE_VERIFY_FAILED",
            "upstream_tls_failure",
        ),
    ],
)
def test_cause_of_a_response_alone(status: int, body: str, cause: str) -> None:
    got = Exchange(Request(host="shop.example.com"), status, {"content-type": "text/plain"}, body)
    it = first(Evidence(exchanges=(got,)))
    assert it is not None
    assert (it.cause, it.answered_by) == (cause, "envoy")


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(line(200, "", "via_upstream"), id="served"),
        pytest.param(line(200, "URX", "via_upstream"), id="the last try was good"),
        pytest.param(line(200, "", "direct_response"), id="a response that was written down"),
        pytest.param(line(301, "", "direct_response"), id="a redirect"),
        pytest.param(line(304, "", "via_upstream"), id="nothing new"),
        pytest.param(line(200, "", "via_upstream", grpc_status="0"), id="gRPC in numbers"),
        pytest.param(line(200, "", "via_upstream", grpc_status="OK"), id="gRPC in words"),
        pytest.param(line(101, "", "via_upstream"), id="a WebSocket"),
    ],
)
def test_what_ended_well_is_no_finding(entry: Entry) -> None:
    it = diagnosis(Evidence(entries=(entry,)))
    assert (it.findings, it.unexplained) == ((), False)


def test_errors_of_grpc_are_told_though_http_is_well() -> None:
    it = first(Evidence(entries=(line(200, "", "via_upstream", grpc_status="Unavailable"),)))
    assert it is not None
    assert (it.cause, it.answered_by) == ("grpc_backend_error", "upstream")


def test_a_response_that_was_cut_off_is_a_failure() -> None:
    late = "upstream_reset_after_response_started{connection_termination}"
    it = first(Evidence(entries=(line(200, "UC", late),)))
    assert it is not None
    assert it.cause == "upstream_closed_connection"


@pytest.mark.parametrize(
    ("stats", "cause"),
    [
        ({"membership_total": 0.0}, "zero_endpoints"),
        ({"membership_total": 2.0, "health_check.failure": 9.0}, "health_check_failing"),
        (
            {"membership_total": 2.0, "outlier_detection.ejections_active": 2.0},
            "all_endpoints_ejected",
        ),
        ({"membership_total": 2.0}, "no_healthy_endpoints"),
    ],
)
def test_counters_tell_why_nothing_is_healthy(stats: dict[str, float], cause: str) -> None:
    named = {f"cluster.httproute/shop/cart/rule/0.{k}": v for k, v in stats.items()}
    entry = line(503, "UH", "no_healthy_upstream")
    it = first(Evidence(entries=(entry,), proxies=(Proxy("envoy", stats=named),)))
    assert it is not None
    assert it.cause == cause


@pytest.mark.parametrize(
    ("flags", "threshold", "panic", "found"),
    [
        ((True, True), None, 3, True),
        ((True, True), {"value": 0}, 3, False),
        ((True, True), {}, 3, False),
        ((True, False), None, 3, False),
        ((True, True), None, 0, False),
        ((False, False), None, 3, False),
    ],
    ids=["all down", "panic is off", "off as JSON leaves zeros out", "half", "no panic", "well"],
)
def test_panic(flags: tuple[bool, ...], threshold: Any, panic: int, found: bool) -> None:
    from tasks.diagnosis import config

    name = "httproute/shop/cart/rule/0"
    raw: dict[str, Any] = {"name": name, "type": "EDS"}
    if threshold is not None:
        raw["common_lb_config"] = {"healthy_panic_threshold": threshold}
    kind = "type.googleapis.com/envoy.admin.v3.ClustersConfigDump"
    dump = {"configs": [{"@type": kind, "dynamic_active_clusters": [{"cluster": raw}]}]}
    hosts = [
        {
            "address": {"socket_address": {"address": f"10.0.0.{number}", "port_value": 80}},
            "health_status": {"failed_active_health_check": down, "eds_health_status": "HEALTHY"},
        }
        for number, down in enumerate(flags)
    ]
    proxy = Proxy(
        "envoy",
        config=config.read(dump),
        clusters={"cluster_statuses": [{"name": name, "host_statuses": hosts}]},
        stats={f"cluster.{name}.lb_healthy_panic": float(panic)},
    )
    it = first(Evidence(entries=(line(200, "", "via_upstream"),), proxies=(proxy,)))
    assert (it is not None and it.cause == "panic_routing") is found
