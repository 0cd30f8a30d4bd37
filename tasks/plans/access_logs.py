"""
What the proxies write of each request, and of each connection that came to nothing: fields of JSON
lines, for a diagnosis and for the saved queries of templates/monitoring/queries.

Fields that Envoy Gateway's own log has keep the names that they have there, so that queries of
users stay right. Left out of its log is ``RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)``, a header that
Envoy Gateway suppresses, and whatever is no field of HTTP; ``REQ_WITHOUT_QUERY`` stands for the
path, because what comes after the question mark may be a token (Envoy docs, Access logging, Command
operators). An operator that Envoy does not know makes it refuse the whole listener: both releases
have every one of these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

#: Of a request that ended, by name.
REQUEST: Mapping[str, str] = {
    "log": "request",
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    ":authority": "%REQ(:AUTHORITY)%",
    "x-envoy-origin-path": "%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "grpc_status_number": "%GRPC_STATUS_NUMBER%",
    "route_name": "%ROUTE_NAME%",
    "listener": "%FILTER_CHAIN_NAME%",
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "upstream_attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "duration_request": "%COMMON_DURATION(DS_RX_BEG:DS_RX_END:ms)%",
    "duration_connect": "%COMMON_DURATION(US_CX_BEG:US_CX_END:ms)%",
    "duration_upstream": "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:ms)%",
    "duration_response": "%COMMON_DURATION(US_RX_BEG:DS_TX_END:ms)%",
    "x-request-id": "%REQ(X-REQUEST-ID)%",
    "x-forwarded-for": "%REQ(X-FORWARDED-FOR)%",
    "user-agent": "%REQ(USER-AGENT)%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "downstream_tls_version": "%DOWNSTREAM_TLS_VERSION%",
    "downstream_tls_cipher": "%DOWNSTREAM_TLS_CIPHER%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "downstream_direct_remote_address": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "connection_id": "%CONNECTION_ID%",
}
#: Of a connection that came to nothing, by name.
CONNECTION: Mapping[str, str] = {
    "log": "connection",
    **{
        name: REQUEST[name]
        for name in (
            "start_time",
            "response_flags",
            "response_code_details",
            "listener",
            "duration",
            "requested_server_name",
            "downstream_tls_version",
            "downstream_remote_address",
            "downstream_local_address",
            "connection_id",
        )
    },
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "downstream_transport_failure_reason": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
}
#: Which connections these are, in CEL: no filter chain fits, the TLS handshake fails or does not
#: end, the client speaks no HTTP. Without it every connection would have a line.
FAILED = (
    "response.flags != 0 || has(connection.transport_failure_reason) || "
    "has(connection.termination_details)"
)
#: What Envoy Gateway adds to lines that go to an OpenTelemetry collector.
OF_PODS = ("k8s.namespace.name", "k8s.pod.name")
#: What we add there.
CLUSTER = "k8s.cluster.name"


@dataclass(frozen=True)
class Setting:
    """+ matches: which of them are logged, in CEL; None is all"""

    type: Literal["Route", "Listener"]
    fields: Mapping[str, str]
    matches: str | None = None


@dataclass(frozen=True)
class Collector:
    """A Service that takes OTLP over gRPC."""

    namespace: str
    name: str
    port: int


@dataclass(frozen=True)
class Logs:
    """What a template needs. + collector: where lines go too, beside standard output"""

    settings: Sequence[Setting]
    collector: Collector | None = None


def logs(collector: str | None = None) -> Logs:
    """+ collector: such as "monitoring/otel-collector:4317" """
    settings = (Setting("Route", REQUEST), Setting("Listener", CONNECTION, FAILED))
    if collector is None:
        return Logs(settings)
    service, _, port = collector.rpartition(":")
    namespace, _, name = service.partition("/")
    return Logs(settings, Collector(namespace, name, int(port)))


def collector_problem(collector: Collector, service: Mapping[str, Any] | None) -> str | None:
    """
    Why proxies may not be told of a collector yet: Envoy Gateway refuses a Gateway, with its
    address, while its EnvoyProxy names a Service or a port that is not there (1.8.3 and 1.9.1).

    + service: None where it does not exist
    """
    name = f"Service {collector.namespace}/{collector.name}"
    ports = [] if service is None else [it["port"] for it in service["spec"].get("ports") or ()]
    if collector.port in ports:
        return None
    missing = "does not exist" if service is None else f"has no port {collector.port}"
    return (
        f"{name}, monitoring.logs.otel of the inventory, {missing}: make it first, or take otel "
        "out: Envoy Gateway would accept no Gateway any more"
    )


def in_loki(name: str) -> str:
    """What LogQL's ``json`` calls a field (Loki docs, Log queries, "Parser expression")."""
    cleaned = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    return f"_{cleaned}" if cleaned[:1].isdigit() else cleaned
