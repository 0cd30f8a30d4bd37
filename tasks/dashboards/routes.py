"""Routes and the backends behind them: a rule of a route is a cluster of Envoy."""

from __future__ import annotations

from tasks.dashboards.source import (
    ROUTES,
    Dashboard,
    Panel,
    Query,
    Row,
    failed,
    number,
    or_none,
    quantile,
    rate,
)

_XX = "envoy_cluster_upstream_rq_xx"
_TIME = "envoy_cluster_upstream_rq_time"
_FAILED = f'{ROUTES}, envoy_response_code_class="5"'
_BY = "envoy_cluster_name"
_LEGEND = "{{envoy_cluster_name}}"
_OPEN = (
    ("cx", "connections"),
    ("cx_pool", "connection pools"),
    ("rq", "parallel requests"),
    ("rq_pending", "waiting requests"),
    ("rq_retry", "retries"),
)
_SHED = (
    ("envoy_cluster_upstream_rq_pending_overflow", "waiting requests"),
    ("envoy_cluster_upstream_rq_active_overflow", "parallel requests"),
    ("envoy_cluster_upstream_cx_overflow", "connections"),
    ("envoy_cluster_upstream_cx_pool_overflow", "connection pools"),
    ("envoy_cluster_upstream_rq_retry_overflow", "retries"),
)


def _sum(name: str) -> str:
    return f"sum by ({_BY}) ({name}{{{ROUTES}}})"


def _shed() -> str:
    return " + ".join(f"({or_none(rate(name, ROUTES))})" for name, _ in _SHED)


_HEALTHY, _TOTAL = "envoy_cluster_membership_healthy", "envoy_cluster_membership_total"

_NOW = Row(
    "Now",
    (
        number("Request rate", "Answers of backends a second.", rate(_XX, ROUTES), "reqps"),
        number(
            "Error rate",
            "5xx of all answers of these routes, with those that Envoy makes where no backend "
            "could be reached.",
            failed(rate(_XX, _FAILED), rate(_XX, ROUTES)),
            "percentunit",
            (None, "green"),
            (0.01, "yellow"),
            (0.05, "red"),
        ),
        number(
            "P99 latency",
            "Of the backends: 99 of 100 requests within this time.",
            quantile(0.99, _TIME, ROUTES),
            "ms",
        ),
        Panel(
            "Backend health",
            "Healthy endpoints of all that Envoy knows. Without active or passive health checks "
            "every endpoint counts as healthy; and a rule whose backends have no ready Pod has no "
            "cluster at all: see direct responses of the Gateway.",
            (
                Query(
                    f"sum({_HEALTHY}{{{ROUTES}}}) / (sum({_TOTAL}{{{ROUTES}}}) > 0)",
                    "healthy",
                ),
            ),
            "percentunit",
            "gauge",
            width=4,
            height=4,
            steps=((None, "red"), (0.5, "yellow"), (1, "green")),
        ),
        number(
            "Circuit breaker",
            "Requests a second that were shed because a limit was reached.",
            _shed(),
            "reqps",
            (None, "green"),
            (0.001, "red"),
        ),
        number(
            "Rules without endpoints",
            "Clusters of Envoy that know no endpoint: they answer 503.",
            or_none(f"count({_TOTAL}{{{ROUTES}}} == 0)"),
            "short",
            (None, "green"),
            (1, "red"),
        ),
    ),
)
_TRAFFIC = Row(
    "Traffic",
    (
        Panel(
            "Request rate by rule",
            "Answers a second; the name is kind/namespace/route/rule/number.",
            (Query(rate(_XX, ROUTES, _BY), _LEGEND),),
            "reqps",
        ),
        Panel(
            "Answers by code",
            "503 and 504 are mostly Envoy's own: no endpoint, refused connection, circuit breaker; "
            "timeout. 500 and 502 are mostly the backend's.",
            (
                Query(
                    rate("envoy_cluster_upstream_rq", ROUTES, "envoy_response_code"),
                    "{{envoy_response_code}}",
                ),
            ),
            "reqps",
            stacked=True,
        ),
        Panel(
            "Error rate by rule",
            "5xx of all answers of a rule.",
            (Query(failed(rate(_XX, _FAILED, _BY), rate(_XX, ROUTES, _BY)), _LEGEND),),
            "percentunit",
            steps=((None, "green"), (0.01, "yellow"), (0.05, "red")),
        ),
        Panel(
            "P99 latency by rule",
            "As Envoy waits for the backend, retries included.",
            (Query(quantile(0.99, _TIME, ROUTES, _BY), _LEGEND),),
            "ms",
        ),
        Panel(
            "Latency",
            "Of the backends of all rules that are chosen.",
            (
                Query(quantile(0.99, _TIME, ROUTES), "P99"),
                Query(quantile(0.9, _TIME, ROUTES), "P90"),
                Query(quantile(0.5, _TIME, ROUTES), "P50"),
            ),
            "ms",
        ),
        Panel(
            "Requests under way by rule",
            "A line that only climbs is a backend that has stopped answering.",
            (Query(_sum("envoy_cluster_upstream_rq_active"), _LEGEND),),
            "short",
        ),
    ),
)
_BACKENDS = Row(
    "Backends",
    (
        Panel(
            "Backend health by rule",
            "Healthy endpoints of all that Envoy knows. Below 100 %: Envoy's health checks or "
            "outlier detection took some out.",
            (Query(f"{_sum(_HEALTHY)} / ({_sum(_TOTAL)} > 0)", _LEGEND),),
            "percentunit",
            steps=((None, "red"), (0.5, "yellow"), (1, "green")),
        ),
        Panel(
            "Endpoints by rule",
            "As many as the Service has ready Pods, times the proxies that know them.",
            (Query(_sum(_TOTAL), _LEGEND),),
            "short",
        ),
        Panel(
            "Panic routing",
            "Requests a second that were sent to unhealthy endpoints, because too few are healthy.",
            (Query(rate("envoy_cluster_lb_healthy_panic", ROUTES, _BY), _LEGEND),),
            "reqps",
        ),
        Panel(
            "Ejected endpoints",
            "Taken out by outlier detection for now.",
            (Query(_sum("envoy_cluster_outlier_detection_ejections_active"), _LEGEND),),
            "short",
            empty="no policy asks for outlier detection",
        ),
        Panel(
            "Failed health checks",
            "A second, of active health checks.",
            (Query(rate("envoy_cluster_health_check_failure", ROUTES, _BY), _LEGEND),),
            "short",
            empty="no policy asks for active health checks",
        ),
        Panel(
            "No healthy endpoint",
            "Requests a second that found nobody to go to: 503, flag UH.",
            (Query(rate("envoy_cluster_upstream_cx_none_healthy", ROUTES, _BY), _LEGEND),),
            "reqps",
        ),
    ),
)
_CONNECTIONS = Row(
    "Connections to backends",
    (
        Panel(
            "Connect failures",
            "Refused or reset, and not answered in time: 503, flag UF.",
            (
                Query(rate("envoy_cluster_upstream_cx_connect_fail", ROUTES), "failed"),
                Query(rate("envoy_cluster_upstream_cx_connect_timeout", ROUTES), "timeout"),
            ),
            "cps",
        ),
        Panel(
            "New connections",
            "A second. Near to the request rate: the backend closes them after each answer.",
            (Query(rate("envoy_cluster_upstream_cx_total", ROUTES, _BY), _LEGEND),),
            "cps",
        ),
        Panel(
            "Connections by rule",
            "Open ones.",
            (Query(_sum("envoy_cluster_upstream_cx_active"), _LEGEND),),
            "short",
        ),
        Panel(
            "Broken off by backends",
            "Connections a second that a backend closed with requests on them (503, flag UC), and "
            "streams that it reset.",
            (
                Query(
                    rate("envoy_cluster_upstream_cx_destroy_remote_with_active_rq", ROUTES),
                    "connections",
                ),
                Query(rate("envoy_cluster_upstream_rq_rx_reset", ROUTES), "streams"),
            ),
            "short",
        ),
        Panel(
            "TLS to backends",
            "Handshakes that failed a second: at all, for the authority, for the name in it.",
            (
                Query(rate("envoy_cluster_ssl_connection_error", ROUTES), "failed"),
                Query(rate("envoy_cluster_ssl_fail_verify_error", ROUTES), "authority"),
                Query(rate("envoy_cluster_ssl_fail_verify_san", ROUTES), "name"),
            ),
            "cps",
            empty="no policy asks for TLS to backends",
        ),
        Panel(
            "Bytes",
            "From backends and to them.",
            (
                Query(rate("envoy_cluster_upstream_cx_rx_bytes_total", ROUTES), "in"),
                Query(rate("envoy_cluster_upstream_cx_tx_bytes_total", ROUTES), "out"),
            ),
            "Bps",
        ),
    ),
)
_PROTECTION = Row(
    "Circuit breakers, retries, timeouts",
    (
        Panel(
            "Circuit breakers at their limit",
            "How many limits are reached, rules and proxies together, as it was at the last "
            "scrape. That alone sheds nothing: see beside it.",
            tuple(
                Query(
                    f"sum(envoy_cluster_circuit_breakers_{it}_open"
                    f'{{{ROUTES}, priority="default"}})',
                    what,
                )
                for it, what in _OPEN
            ),
            "short",
        ),
        Panel(
            "Shed by circuit breakers",
            "Requests a second that were refused: 503, flag UO.",
            tuple(Query(rate(name, ROUTES), what) for name, what in _SHED),
            "reqps",
        ),
        Panel(
            "Waiting for a connection",
            "Requests that wait, by rule.",
            (Query(_sum("envoy_cluster_upstream_rq_pending_active"), _LEGEND),),
            "short",
        ),
        Panel(
            "Retries",
            "A second: tries, those that helped, requests that had no try left, and retries that "
            "the budget refused.",
            (
                Query(rate("envoy_cluster_upstream_rq_retry", ROUTES), "retried"),
                Query(rate("envoy_cluster_upstream_rq_retry_success", ROUTES), "helped"),
                Query(rate("envoy_cluster_upstream_rq_retry_limit_exceeded", ROUTES), "no more"),
                Query(rate("envoy_cluster_upstream_rq_retry_overflow", ROUTES), "refused"),
            ),
            "reqps",
        ),
        Panel(
            "Timeouts",
            "Requests a second that the backend did not answer in time: 504, flag UT.",
            (
                Query(rate("envoy_cluster_upstream_rq_timeout", ROUTES), "request"),
                Query(rate("envoy_cluster_upstream_rq_per_try_timeout", ROUTES), "try"),
            ),
            "reqps",
        ),
        Panel(
            "Rate limiting",
            "Requests a second that the rate limit service let through, refused, or could not "
            "judge.",
            (
                Query(rate("envoy_cluster_ratelimit_ok", ROUTES), "let through"),
                Query(rate("envoy_cluster_ratelimit_over_limit", ROUTES), "refused"),
                Query(rate("envoy_cluster_ratelimit_error", ROUTES), "service failed"),
            ),
            "reqps",
            empty="no policy asks for global rate limits",
        ),
    ),
)

ROUTES_AND_BACKENDS = Dashboard(
    "routes",
    "Envoy: routes and backends",
    "Rules of routes, and what is behind them: who fails, who is slow, what protects them.",
    ("cluster", "namespace", "gateway", "route"),
    (_NOW, _TRAFFIC, _BACKENDS, _CONNECTIONS, _PROTECTION),
)
