"""
The series that rules and dashboards stand on: what each is, who exports it, and what makes it move.

A rule or a panel may name no other. tests/lab holds the table against a scrape of real proxies and
controllers of every supported release, for names and labels that do not exist look like silence.
docs/monitoring-metrics.md is this table for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Exporter = Literal[
    "proxy",
    "controller",
    "ratelimit",
    "kube-state-metrics",
    "cert-manager",
    "x509-certificate-exporter",
    "prometheus",
]
Type = Literal["counter", "gauge", "histogram"]
#: Labels that the monitors put on every series of proxies, from labels of the Pod; gateway and
#: gateway_namespace are empty for merged Gateways, whose Pods have gateway_class.
OF_PROXIES = ("cluster", "gateway_namespace", "gateway", "gateway_class", "namespace", "pod")
#: ``job`` of the three monitors, whatever the back end.
JOBS: Mapping[Exporter, str] = {
    "proxy": "envoy-proxy",
    "controller": "envoy-gateway",
    "ratelimit": "envoy-ratelimit",
}
#: Stat prefixes of listeners that users have: not those of admin, of readiness and of scrapes.
#: "http-10080", and "https-443" or "tcp-443" with the naming scheme of Envoy Gateway 1.9's option.
LISTENERS = "(https?|tcp)-[0-9]+"
#: What Prometheus adds to the name of a histogram.
PARTS = ("_bucket", "_sum", "_count")


@dataclass(frozen=True)
class Metric:
    """
    One name as Prometheus has it; a histogram without its ``_bucket``.

    + unit: such as "requests", "ms", "s"; + labels: its own, without ``le`` and those of the scrape
    + what: what it counts, and what makes it move
    + since, until: minor releases of Envoy Gateway such as "1.9", the first with it and the last;
      None is every supported one
    """

    name: str
    type: Type
    unit: str
    labels: tuple[str, ...]
    exporter: Exporter
    what: str
    since: str | None = None
    until: str | None = None


Row = tuple[str, Type, str, str, str]
PREFIX = "envoy_http_conn_manager_prefix"
CLUSTER = "envoy_cluster_name"
ADDRESS = "envoy_listener_address"
LOCAL_LIMIT = "envoy_local_http_ratelimit_prefix"

#: Of proxies: name without "envoy_", type, unit, labels, what.
HTTP: tuple[Row, ...] = (
    ("http_downstream_rq_total", "counter", "requests", PREFIX, "requests, when they begin"),
    (
        "http_downstream_rq_xx",
        "counter",
        "requests",
        f"{PREFIX} envoy_response_code_class",
        "answers by class, 1 to 5, when they end; probes of health are not in it",
    ),
    ("http_downstream_rq_completed", "counter", "requests", PREFIX, "answers, when they end"),
    ("http_downstream_rq_time", "histogram", "ms", PREFIX, "from the first byte to the last"),
    ("http_downstream_rq_active", "gauge", "requests", PREFIX, "requests under way"),
    ("http_downstream_rq_timeout", "counter", "requests", PREFIX, "408: the client was too slow"),
    (
        "http_downstream_rq_rx_reset",
        "counter",
        "requests",
        PREFIX,
        "streams that the client gave up",
    ),
    (
        "http_downstream_rq_tx_reset",
        "counter",
        "requests",
        PREFIX,
        "streams that Envoy gave up",
    ),
    (
        "http_downstream_rq_overload_close",
        "counter",
        "requests",
        PREFIX,
        "refused because the overload manager says so",
    ),
    (
        "http_downstream_rq_too_large",
        "counter",
        "requests",
        PREFIX,
        "413 because a body is larger than the buffer",
    ),
    (
        "http_downstream_cx_overload_disable_keepalive",
        "counter",
        "connections",
        PREFIX,
        "connections ended after an answer because of overload",
    ),
    ("http_downstream_cx_total", "counter", "connections", PREFIX, "connections"),
    ("http_downstream_cx_active", "gauge", "connections", PREFIX, "open connections"),
    ("http_downstream_cx_ssl_total", "counter", "connections", PREFIX, "TLS connections"),
    ("http_downstream_cx_ssl_active", "gauge", "connections", PREFIX, "open TLS connections"),
    ("http_downstream_cx_protocol_error", "counter", "connections", PREFIX, "broken HTTP"),
    ("http_downstream_cx_rx_bytes_total", "counter", "bytes", PREFIX, "received of clients"),
    ("http_downstream_cx_tx_bytes_total", "counter", "bytes", PREFIX, "sent to clients"),
    ("http_no_route", "counter", "requests", PREFIX, "404 of Envoy: nothing matches"),
    ("http_no_cluster", "counter", "requests", PREFIX, "503: the cluster of a route is not there"),
    (
        "http_rq_direct_response",
        "counter",
        "requests",
        PREFIX,
        "answered by the route itself: 503 without ready endpoints, 500 for a broken backendRef",
    ),
)
LISTENER: tuple[Row, ...] = (
    ("listener_downstream_cx_active", "gauge", "connections", ADDRESS, "open connections"),
    ("listener_downstream_cx_total", "counter", "connections", ADDRESS, "connections"),
    (
        "listener_downstream_cx_overflow",
        "counter",
        "connections",
        ADDRESS,
        "refused: a connection limit of the listener",
    ),
    (
        "listener_downstream_global_cx_overflow",
        "counter",
        "connections",
        ADDRESS,
        "refused: the connection limit of the proxy",
    ),
    (
        "listener_downstream_cx_overload_reject",
        "counter",
        "connections",
        ADDRESS,
        "refused because the overload manager says so",
    ),
    (
        "listener_no_filter_chain_match",
        "counter",
        "connections",
        ADDRESS,
        "ended at once: no listener has the name that the client asks for, or it speaks no TLS",
    ),
    ("listener_ssl_handshake", "counter", "handshakes", ADDRESS, "TLS handshakes that went well"),
    ("listener_ssl_connection_error", "counter", "handshakes", ADDRESS, "TLS handshakes broken"),
    (
        "listener_ssl_fail_verify_error",
        "counter",
        "handshakes",
        ADDRESS,
        "client certificates that do not verify",
    ),
    (
        "listener_ssl_fail_verify_no_cert",
        "counter",
        "handshakes",
        ADDRESS,
        "clients without the certificate that is asked for",
    ),
    (
        "listener_ssl_certificate_expiration_unix_time_seconds",
        "gauge",
        "s",
        f"{ADDRESS} envoy_tls_certificate",
        "end of a certificate that is served, since 1970; the label names the Secret",
    ),
    (
        "cluster_ssl_certificate_expiration_unix_time_seconds",
        "gauge",
        "s",
        f"{CLUSTER} envoy_tls_certificate",
        "end of a certificate or authority used towards a backend, since 1970",
    ),
    ("tcp_downstream_cx_total", "counter", "connections", "envoy_tcp_prefix", "TCP and TLS routes"),
    (
        "tcp_downstream_cx_no_route",
        "counter",
        "connections",
        "envoy_tcp_prefix",
        "ended at once: no backend",
    ),
)
UPSTREAM: tuple[Row, ...] = (
    (
        "cluster_upstream_rq",
        "counter",
        "requests",
        f"{CLUSTER} envoy_response_code",
        "answers by code, those of Envoy itself too; a code is born when it is first given",
    ),
    (
        "cluster_upstream_rq_xx",
        "counter",
        "requests",
        f"{CLUSTER} envoy_response_code_class",
        "answers by class",
    ),
    ("cluster_upstream_rq_total", "counter", "requests", CLUSTER, "handed to a connection"),
    ("cluster_upstream_rq_completed", "counter", "requests", CLUSTER, "answers"),
    ("cluster_upstream_rq_time", "histogram", "ms", CLUSTER, "time of the backend"),
    ("cluster_upstream_rq_active", "gauge", "requests", CLUSTER, "requests under way"),
    ("cluster_upstream_rq_timeout", "counter", "requests", CLUSTER, "504: the backend is late"),
    (
        "cluster_upstream_rq_per_try_timeout",
        "counter",
        "requests",
        CLUSTER,
        "tries given up because the backend is late",
    ),
    ("cluster_upstream_rq_rx_reset", "counter", "requests", CLUSTER, "the backend broke off"),
    ("cluster_upstream_rq_tx_reset", "counter", "requests", CLUSTER, "Envoy broke off"),
    ("cluster_upstream_rq_retry", "counter", "tries", CLUSTER, "tries after the first"),
    ("cluster_upstream_rq_retry_success", "counter", "tries", CLUSTER, "of them, went well"),
    (
        "cluster_upstream_rq_retry_limit_exceeded",
        "counter",
        "requests",
        CLUSTER,
        "failed after the last try",
    ),
    (
        "cluster_upstream_rq_retry_overflow",
        "counter",
        "requests",
        CLUSTER,
        "not tried again: the circuit breaker's retries or the retry budget are used up",
    ),
    ("cluster_upstream_rq_pending_active", "gauge", "requests", CLUSTER, "wait for a connection"),
    (
        "cluster_upstream_rq_pending_overflow",
        "counter",
        "requests",
        CLUSTER,
        "503: the circuit breaker's waiting requests are used up",
    ),
    (
        "cluster_upstream_rq_active_overflow",
        "counter",
        "requests",
        CLUSTER,
        "503: the circuit breaker's parallel requests are used up",
    ),
    (
        "cluster_upstream_rq_pending_failure_eject",
        "counter",
        "requests",
        CLUSTER,
        "503: the connection that they waited for failed",
    ),
    ("cluster_upstream_cx_active", "gauge", "connections", CLUSTER, "open to backends"),
    ("cluster_upstream_cx_total", "counter", "connections", CLUSTER, "to backends"),
    ("cluster_upstream_cx_connect_fail", "counter", "connections", CLUSTER, "refused or late"),
    ("cluster_upstream_cx_connect_timeout", "counter", "connections", CLUSTER, "of them, late"),
    (
        "cluster_upstream_cx_overflow",
        "counter",
        "connections",
        CLUSTER,
        "not opened: the circuit breaker's connections are used up",
    ),
    (
        "cluster_upstream_cx_pool_overflow",
        "counter",
        "connections",
        CLUSTER,
        "not opened: too many pools",
    ),
    (
        "cluster_upstream_cx_none_healthy",
        "counter",
        "requests",
        CLUSTER,
        "503: no healthy endpoint",
    ),
    (
        "cluster_upstream_cx_destroy_remote_with_active_rq",
        "counter",
        "connections",
        CLUSTER,
        "closed by the backend while it was asked",
    ),
    ("cluster_upstream_cx_protocol_error", "counter", "requests", CLUSTER, "502: it is no HTTP"),
    ("cluster_upstream_cx_rx_bytes_total", "counter", "bytes", CLUSTER, "received of backends"),
    ("cluster_upstream_cx_tx_bytes_total", "counter", "bytes", CLUSTER, "sent to backends"),
    ("cluster_ssl_connection_error", "counter", "handshakes", CLUSTER, "TLS to a backend broken"),
    (
        "cluster_ssl_fail_verify_error",
        "counter",
        "handshakes",
        CLUSTER,
        "certificates of backends that do not verify",
    ),
    (
        "cluster_ssl_fail_verify_san",
        "counter",
        "handshakes",
        CLUSTER,
        "certificates of backends with another name",
    ),
)
HEALTH: tuple[Row, ...] = (
    ("cluster_membership_total", "gauge", "endpoints", CLUSTER, "endpoints"),
    ("cluster_membership_healthy", "gauge", "endpoints", CLUSTER, "healthy endpoints"),
    ("cluster_membership_degraded", "gauge", "endpoints", CLUSTER, "degraded endpoints"),
    ("cluster_membership_excluded", "gauge", "endpoints", CLUSTER, "not yet checked"),
    (
        "cluster_lb_healthy_panic",
        "counter",
        "requests",
        CLUSTER,
        "sent anywhere: too few endpoints are healthy",
    ),
    ("cluster_health_check_attempt", "counter", "checks", CLUSTER, "with active health checks"),
    ("cluster_health_check_failure", "counter", "checks", CLUSTER, "with active health checks"),
    ("cluster_health_check_success", "counter", "checks", CLUSTER, "with active health checks"),
    ("cluster_health_check_healthy", "gauge", "endpoints", CLUSTER, "with active health checks"),
    (
        "cluster_outlier_detection_ejections_active",
        "gauge",
        "endpoints",
        CLUSTER,
        "ejected now; with passive health checks",
    ),
    (
        "cluster_outlier_detection_ejections_enforced_total",
        "counter",
        "ejections",
        CLUSTER,
        "with passive health checks",
    ),
    (
        "cluster_outlier_detection_ejections_overflow",
        "counter",
        "ejections",
        CLUSTER,
        "not done: too many are ejected already",
    ),
    *(
        (
            f"cluster_circuit_breakers_{it}_open",
            "gauge",
            "0 or 1",
            f"{CLUSTER} priority",
            f"1: {what} are at the circuit breaker's limit",
        )
        for it, what in (
            ("cx", "connections"),
            ("cx_pool", "pools"),
            ("rq", "requests"),
            ("rq_pending", "waiting requests"),
            ("rq_retry", "retries"),
        )
    ),
)
LIMITS: tuple[Row, ...] = (
    ("cluster_ratelimit_ok", "counter", "requests", CLUSTER, "the rate limit service let through"),
    ("cluster_ratelimit_over_limit", "counter", "requests", CLUSTER, "429 of the service"),
    ("cluster_ratelimit_error", "counter", "requests", CLUSTER, "the service could not be asked"),
    (
        "cluster_ratelimit_failure_mode_allowed",
        "counter",
        "requests",
        CLUSTER,
        "let through unasked, because the service could not be asked",
    ),
    (
        "http_local_rate_limit_enabled",
        "counter",
        "requests",
        LOCAL_LIMIT,
        "asked of local rate limits",
    ),
    (
        "http_local_rate_limit_rate_limited",
        "counter",
        "requests",
        LOCAL_LIMIT,
        "of them, over the limit: 429",
    ),
    ("http_ext_authz_ok", "counter", "requests", PREFIX, "allowed by external authorization"),
    ("http_ext_authz_denied", "counter", "requests", PREFIX, "denied by it"),
    (
        "http_ext_authz_error",
        "counter",
        "requests",
        PREFIX,
        "it could not be asked: 403, or let through where failOpen is set",
    ),
)
SERVER: tuple[Row, ...] = (
    ("control_plane_connected_state", "gauge", "0 or 1", "", "1: the controller is reached"),
    ("listener_manager_lds_update_success", "counter", "updates", "", "listeners taken"),
    ("listener_manager_lds_update_rejected", "counter", "updates", "", "listeners refused"),
    ("listener_manager_listener_create_failure", "counter", "listeners", "", "such as a port"),
    ("listener_manager_total_listeners_active", "gauge", "listeners", "", "that serve"),
    ("listener_manager_total_listeners_warming", "gauge", "listeners", "", "wait for Secrets"),
    (
        "listener_manager_lds_update_time",
        "gauge",
        "ms",
        "",
        "when listeners were last taken, since 1970",
    ),
    ("cluster_manager_cds_update_success", "counter", "updates", "", "clusters taken"),
    ("cluster_manager_cds_update_rejected", "counter", "updates", "", "clusters refused"),
    ("cluster_manager_active_clusters", "gauge", "clusters", "", "clusters in use"),
    ("cluster_manager_warming_clusters", "gauge", "clusters", "", "wait for endpoints"),
    (
        "http_rds_update_rejected",
        "counter",
        "updates",
        f"{PREFIX} envoy_rds_route_config",
        "routes refused",
    ),
    (
        "http_rds_update_success",
        "counter",
        "updates",
        f"{PREFIX} envoy_rds_route_config",
        "routes taken",
    ),
    ("cluster_update_rejected", "counter", "updates", CLUSTER, "endpoints refused"),
    ("server_live", "gauge", "0 or 1", "", "1: serves, 0: drains"),
    ("server_state", "gauge", "0 to 3", "", "0 live, 1 draining, 2 and 3 starting"),
    ("server_uptime", "gauge", "s", "", "since it started"),
    ("server_concurrency", "gauge", "threads", "", "workers"),
    ("server_version", "gauge", "", "", "a number of its build"),
    ("server_memory_allocated", "gauge", "bytes", "", "in use"),
    ("server_memory_heap_size", "gauge", "bytes", "", "asked of the system"),
    ("server_memory_physical_size", "gauge", "bytes", "", "in memory"),
    ("server_total_connections", "gauge", "connections", "", "of all listeners"),
    (
        "server_days_until_first_cert_expiring",
        "gauge",
        "d",
        "",
        "of all certificates, also those of backends and the controller; 0 when over",
    ),
    (
        "overload_envoy_resource_monitors_global_downstream_max_connections_pressure",
        "gauge",
        "%",
        "",
        "of the proxy's connection limit; stays 0 at that limit in Envoy 1.38 and 1.39",
    ),
)
#: Of the controller.
CONTROLLER: tuple[Row, ...] = (
    ("watchable_depth", "gauge", "messages", "runner message", "wait to be handled"),
    ("watchable_subscribe_total", "counter", "messages", "runner message status", "handled"),
    (
        "watchable_subscribe_duration_seconds",
        "histogram",
        "s",
        "runner message",
        "time to handle one",
    ),
    ("watchable_publish_total", "counter", "messages", "runner message status", "given on"),
    (
        "watchable_panics_recovered_total",
        "counter",
        "panics",
        "runner message",
        "faults of the controller's own",
    ),
    ("xds_snapshot_create_total", "counter", "snapshots", "status", "configuration made"),
    ("xds_snapshot_update_total", "counter", "snapshots", "nodeID status", "given to a proxy"),
    ("xds_stream_duration_seconds", "histogram", "s", "isDeltaStream nodeID streamID", "streams"),
    ("status_update_total", "counter", "writes", "kind status", "of a status; failure: not"),
    ("status_update_duration_seconds", "histogram", "s", "kind", "time of a write"),
    (
        "resource_apply_total",
        "counter",
        "writes",
        "kind name exported_namespace status",
        "of Deployments, Services and the like of proxies",
    ),
    (
        "resource_apply_duration_seconds",
        "histogram",
        "s",
        "kind name exported_namespace",
        "of a write",
    ),
    (
        "resource_delete_total",
        "counter",
        "writes",
        "kind name exported_namespace status",
        "deletions",
    ),
    (
        "topology_injector_webhook_events_total",
        "counter",
        "requests",
        "status",
        "of the webhook that tells proxies their zone",
    ),
    ("controller_runtime_reconcile_total", "counter", "runs", "controller result", "runs"),
    ("controller_runtime_reconcile_errors_total", "counter", "runs", "controller", "that failed"),
    (
        "controller_runtime_reconcile_time_seconds",
        "histogram",
        "s",
        "controller",
        "time of a run",
    ),
    ("workqueue_depth", "gauge", "items", "controller name priority", "wait to be handled"),
    ("leader_election_master_status", "gauge", "0 or 1", "name", "1: leads, and writes status"),
    ("rest_client_requests_total", "counter", "requests", "code host method", "to the API server"),
    ("certwatcher_read_certificate_errors_total", "counter", "reads", "", "of its certificate"),
    ("process_cpu_seconds_total", "counter", "s", "", "time of the processor"),
    ("process_resident_memory_bytes", "gauge", "bytes", "", "in memory"),
    ("process_start_time_seconds", "gauge", "s", "", "when it started, since 1970"),
    ("go_goroutines", "gauge", "goroutines", "", "grow when something hangs"),
)
#: Of the rate limit service.
RATELIMIT: tuple[Row, ...] = (
    ("ratelimit_service_rate_limit_total_hits", "counter", "requests", "domain key1 key2", "asked"),
    ("ratelimit_service_rate_limit_over_limit", "counter", "requests", "domain key1 key2", "429"),
    (
        "ratelimit_service_rate_limit_near_limit",
        "counter",
        "requests",
        "domain key1 key2",
        "over 80 %",
    ),
    (
        "ratelimit_service_should_rate_limit_error",
        "counter",
        "requests",
        "err_type",
        "could not be answered; redis_error: Redis is away",
    ),
    ("ratelimit_service_total_requests", "counter", "requests", "grpc_method", "asked"),
    (
        "ratelimit_service_response_time_seconds",
        "histogram",
        "s",
        "grpc_method",
        "time of an answer",
    ),
    ("ratelimit_service_config_load_success", "counter", "updates", "", "configuration taken"),
    ("ratelimit_service_config_load_error", "counter", "updates", "", "configuration refused"),
)
_PARENT = "name namespace parent_name parent_namespace parent_section_name controller_name"
_ANCESTOR = "name namespace ancestor_kind ancestor_name ancestor_namespace"
#: Of kube-state-metrics: what it has always, and of objects of the Gateway API with
#: templates/monitoring/kube-state-metrics.yaml. A gauge of a condition is 1 for True, 0 otherwise.
CLUSTER_STATE: tuple[Row, ...] = (
    (
        "kube_pod_container_status_restarts_total",
        "counter",
        "restarts",
        "namespace pod container",
        "of a container",
    ),
    (
        "kube_pod_container_status_waiting_reason",
        "gauge",
        "0 or 1",
        "namespace pod container reason",
        "such as CrashLoopBackOff",
    ),
    (
        "kube_pod_container_status_last_terminated_reason",
        "gauge",
        "0 or 1",
        "namespace pod container reason",
        "such as OOMKilled",
    ),
    (
        "kube_pod_container_resource_limits",
        "gauge",
        "bytes or cores",
        "namespace pod container resource",
        "of a container",
    ),
    ("kube_pod_status_ready", "gauge", "0 or 1", "namespace pod condition", "of a Pod"),
    ("kube_pod_status_phase", "gauge", "0 or 1", "namespace pod phase", "of a Pod"),
    ("kube_deployment_spec_replicas", "gauge", "Pods", "namespace deployment", "wanted"),
    (
        "kube_deployment_status_replicas_available",
        "gauge",
        "Pods",
        "namespace deployment",
        "that serve",
    ),
    (
        "kube_deployment_status_replicas_updated",
        "gauge",
        "Pods",
        "namespace deployment",
        "of the newest template",
    ),
    (
        "kube_horizontalpodautoscaler_spec_max_replicas",
        "gauge",
        "Pods",
        "namespace horizontalpodautoscaler",
        "at most",
    ),
    (
        "kube_horizontalpodautoscaler_status_current_replicas",
        "gauge",
        "Pods",
        "namespace horizontalpodautoscaler",
        "now",
    ),
    ("gatewayapi_gateway_info", "gauge", "1", "name namespace gatewayclass_name", "a Gateway"),
    ("gatewayapi_gateway_status", "gauge", "0 or 1", "name namespace type", "its conditions"),
    (
        "gatewayapi_gateway_status_listener_attached_routes",
        "gauge",
        "routes",
        "name namespace listener_name",
        "attached to a listener",
    ),
    *(
        (
            f"gatewayapi_gateway_status_listener_{it}",
            "gauge",
            "0 or 1",
            "name namespace listener_name",
            f"condition {condition} of a listener",
        )
        for it, condition in (("programmed", "Programmed"), ("resolved_refs", "ResolvedRefs"))
    ),
    ("gatewayapi_gatewayclass_status", "gauge", "0 or 1", "name type", "its conditions"),
    *(
        (f"gatewayapi_{kind}_status_parent_{it}", "gauge", "0 or 1", _PARENT, what)
        for kind in ("httproute", "grpcroute", "tlsroute", "tcproute", "udproute")
        for it, what in (
            ("accepted", "1: a parent accepts the route"),
            ("resolved_refs", "1: every reference of the route is found"),
            ("backends_available", "0: a rule has no ready endpoint; absent where all have"),
        )
    ),
    *(
        (f"{policy}_status_ancestor_accepted", "gauge", "0 or 1", _ANCESTOR, "1: it is in effect")
        for policy in (
            "envoygateway_clienttrafficpolicy",
            "envoygateway_backendtrafficpolicy",
            "envoygateway_securitypolicy",
            "envoygateway_envoyextensionpolicy",
            "envoygateway_envoypatchpolicy",
            "gatewayapi_backendtlspolicy",
        )
    ),
)
#: Of cert-manager, and of the x509-certificate-exporter that reads Secrets, where they run.
CERTIFICATES: tuple[Row, ...] = (
    (
        "certmanager_certificate_ready_status",
        "gauge",
        "0 or 1",
        "name namespace condition",
        "the condition Ready of a Certificate: True, False or Unknown",
    ),
)
SECRETS: tuple[Row, ...] = (
    (
        "x509_cert_not_after",
        "gauge",
        "s",
        "secret_namespace secret_name secret_key",
        "end of a certificate of a Secret, since 1970",
    ),
)
#: Of Prometheus itself, about each scrape.
SCRAPE: tuple[Row, ...] = (
    ("up", "gauge", "0 or 1", "job instance", "1: the target answered the last scrape"),
    ("scrape_samples_scraped", "gauge", "samples", "job instance", "of the last scrape"),
    (
        "scrape_samples_post_metric_relabeling",
        "gauge",
        "samples",
        "job instance",
        "of them, kept",
    ),
    ("scrape_duration_seconds", "gauge", "s", "job instance", "of the last scrape"),
    ("ALERTS", "gauge", "1", "alertname alertstate severity", "an alert that waits or fires"),
)
#: The releases of names that not every supported release has: (since, until).
RELEASES: Mapping[str, tuple[str | None, str | None]] = {
    "xds_nack_total": ("1.9", None),
}


def _metrics(exporter: Exporter, rows: tuple[Row, ...], prefix: str = "") -> dict[str, Metric]:
    return {
        prefix + name: Metric(
            prefix + name,
            type,
            unit,
            tuple(labels.split()),
            exporter,
            what,
            *RELEASES.get(prefix + name, (None, None)),
        )
        for name, type, unit, labels, what in rows
    }


_PROXY = (*HTTP, *LISTENER, *UPSTREAM, *HEALTH, *LIMITS, *SERVER)
_NACK: Row = (
    "xds_nack_total",
    "counter",
    "updates",
    "nodeID typeURL",
    "configuration that a proxy refused",
)
#: By name.
METRICS: Mapping[str, Metric] = {
    **_metrics("proxy", _PROXY, "envoy_"),
    **_metrics("controller", (*CONTROLLER, _NACK)),
    **_metrics("ratelimit", RATELIMIT),
    **_metrics("kube-state-metrics", CLUSTER_STATE),
    **_metrics("cert-manager", CERTIFICATES),
    **_metrics("x509-certificate-exporter", SECRETS),
    **_metrics("prometheus", SCRAPE),
}


def kept(exporter: Exporter) -> str:
    """
    The names of an exporter as a RE2 alternation, for a relabelling that keeps no other, such as
    "envoy_http_downstream_rq_total|envoy_http_downstream_rq_time_(bucket|sum|count)|...".
    """
    return "|".join(
        it.name + ("_(bucket|sum|count)" if it.type == "histogram" else "")
        for it in METRICS.values()
        if it.exporter == exporter
    )


def metric_of(series: str) -> Metric | None:
    """The row of a name in an expression: "..._bucket" is the row of its histogram."""
    found = METRICS.get(series)
    if found is None and series.endswith(PARTS):
        found = METRICS.get(series.rpartition("_")[0])
        return found if found is not None and found.type == "histogram" else None
    return found
