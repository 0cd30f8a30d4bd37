"""One Gateway, as its clients see it, and the proxies behind it."""

from __future__ import annotations

from tasks.dashboards.source import (
    HTTP,
    PROXIES,
    RECORDED,
    UP,
    Dashboard,
    Panel,
    Query,
    Row,
    number,
    or_none,
    quantile,
    rate,
    ratio,
)

_XX = "envoy_http_downstream_rq_xx"
_TIME = "envoy_http_downstream_rq_time"
_LISTENER = f'{PROXIES}, envoy_listener_address!~".*_1900[0-9]"'


def _class(digit: str) -> str:
    return f'{HTTP}, envoy_response_code_class="{digit}"'


def _over_windows(title: str, what: str, part: str) -> Panel:
    return Panel(
        title,
        what,
        tuple(
            Query(f"max(gateway:envoy_{part}:ratio{it}{{{RECORDED}}})", it)
            for it in ("5m", "1h", "6h", "3d")
        ),
        "percentunit",
    )


_NOW = Row(
    "Now",
    (
        number("Request rate", "Answers a second.", rate(_XX, HTTP), "reqps"),
        number(
            "Error rate",
            "5xx of all answers, whoever made them.",
            ratio(rate(_XX, _class("5")), rate(_XX, HTTP)),
            "percentunit",
            (None, "green"),
            (0.01, "yellow"),
            (0.05, "red"),
        ),
        number(
            "P99 latency",
            "99 of 100 requests were answered within this time. Long-lived ones, such as "
            "WebSockets, count with all of their time.",
            quantile(0.99, _TIME, HTTP),
            "ms",
        ),
        number(
            "Active connections",
            "Connections of clients that are open.",
            f"sum(envoy_http_downstream_cx_active{{{HTTP}}})",
            "short",
        ),
        number(
            "Proxies up",
            "Proxies that answered the last scrape.",
            f"sum({UP})",
            "short",
            (None, "red"),
            (1, "green"),
        ),
        number(
            "Proxies down",
            "Proxies that are there and did not answer the last scrape.",
            or_none(f"count({UP} == 0)"),
            "short",
            (None, "green"),
            (1, "red"),
        ),
    ),
)
_REQUESTS = Row(
    "Requests",
    (
        Panel(
            "Request rate by class",
            "Answers a second by class of their code, as clients get them.",
            (
                Query(
                    rate(_XX, HTTP, "envoy_response_code_class"), "{{envoy_response_code_class}}xx"
                ),
            ),
            "reqps",
            stacked=True,
        ),
        Panel(
            "Error rate over time",
            "5xx and 4xx of all answers. 4xx are mostly the clients' own; a jump after a change is "
            "not.",
            (
                Query(ratio(rate(_XX, _class("5")), rate(_XX, HTTP)), "5xx"),
                Query(ratio(rate(_XX, _class("4")), rate(_XX, HTTP)), "4xx"),
            ),
            "percentunit",
            steps=((None, "green"), (0.01, "yellow"), (0.05, "red")),
        ),
        Panel(
            "Latency",
            "From the first byte of a request to the last of its answer. Only edges of Envoy's "
            "buckets are exact: 1 s, 2.5 s, 5 s, 10 s.",
            (
                Query(quantile(0.99, _TIME, HTTP), "P99"),
                Query(quantile(0.9, _TIME, HTTP), "P90"),
                Query(quantile(0.5, _TIME, HTTP), "P50"),
            ),
            "ms",
        ),
        Panel(
            "Answered by Envoy itself",
            "Requests that reached no backend. No route: 404, host or path match nothing. Direct "
            "response: a route that Envoy Gateway could not give a backend answers 500 or 503 "
            "itself, beside redirects and answers that somebody wanted.",
            (
                Query(rate("envoy_http_no_route", HTTP), "no route"),
                Query(rate("envoy_http_rq_direct_response", HTTP), "direct response"),
                Query(rate("envoy_http_no_cluster", HTTP), "no cluster"),
                Query(rate("envoy_http_downstream_rq_overload_close", HTTP), "overload"),
                Query(rate("envoy_http_downstream_rq_timeout", HTTP), "timeout"),
            ),
            "reqps",
        ),
        Panel(
            "Requests that ended early",
            "Streams that the client gave up, and streams that Envoy reset. Clients that go while "
            "they wait are a sign of latency.",
            (
                Query(rate("envoy_http_downstream_rq_rx_reset", HTTP), "client"),
                Query(rate("envoy_http_downstream_rq_tx_reset", HTTP), "Envoy"),
            ),
            "reqps",
        ),
        Panel(
            "Requests under way",
            "A line that only climbs is a backend that has stopped answering.",
            (
                Query(
                    f"sum by (pod) (envoy_http_downstream_rq_active{{{HTTP}}})",
                    "{{pod}}",
                ),
            ),
            "short",
        ),
    ),
)
_OBJECTIVES = Row(
    "Objectives",
    (
        Panel(
            "5xx by who made them",
            "Envoy without a backend: no ready endpoint, a route that could not be resolved, "
            "overload. Envoy for a backend: refused, broken off, timed out, shed. Backends: their "
            "own answers. Recorded, over five minutes.",
            (
                Query(f"sum(gateway:envoy_own_errors:rate5m{{{RECORDED}}})", "Envoy, no backend"),
                Query(
                    f"sum(backend:envoy_local_errors:rate5m{{{RECORDED}}})", "Envoy, for a backend"
                ),
                Query(
                    f"clamp_min(sum(backend:envoy_errors:rate5m{{{RECORDED}}}) "
                    f"- sum(backend:envoy_local_errors:rate5m{{{RECORDED}}}), 0)",
                    "backends",
                ),
            ),
            "reqps",
        ),
        _over_windows(
            "Failed requests",
            "Of all requests, over the windows that the alerts on the objective for availability "
            "look at; the worst of the Gateways that are chosen.",
            "errors",
        ),
        _over_windows(
            "Slow requests",
            "Of all requests, those above the time of the objective for latency; the worst of the "
            "Gateways that are chosen.",
            "slow",
        ),
    ),
)
_CONNECTIONS = Row(
    "Connections",
    (
        Panel(
            "Connections by proxy",
            "Should be about even: a proxy without any is out of the load balancer, one with most "
            "has clients that never reconnect.",
            (Query(f"sum by (pod) (envoy_http_downstream_cx_active{{{HTTP}}})", "{{pod}}"),),
            "short",
        ),
        Panel(
            "New connections",
            "Connections a second. Near to the request rate: clients do not keep them open.",
            (
                Query(rate("envoy_http_downstream_cx_total", HTTP), "all"),
                Query(rate("envoy_http_downstream_cx_ssl_total", HTTP), "TLS"),
            ),
            "cps",
        ),
        Panel(
            "Refused connections",
            "Above the connection limit of a listener, above that of the whole proxy, or refused "
            "by the overload manager.",
            (
                Query(rate("envoy_listener_downstream_cx_overflow", _LISTENER), "listener's limit"),
                Query(
                    rate("envoy_listener_downstream_global_cx_overflow", _LISTENER),
                    "proxy's limit",
                ),
                Query(rate("envoy_listener_downstream_cx_overload_reject", _LISTENER), "overload"),
            ),
            "cps",
        ),
        Panel(
            "TLS handshakes",
            "Handshakes a second, and those that failed: clients that do not trust the "
            "certificate, speak no common version, or send plain HTTP.",
            (
                Query(rate("envoy_listener_ssl_handshake", _LISTENER), "done"),
                Query(rate("envoy_listener_ssl_connection_error", _LISTENER), "failed"),
                Query(rate("envoy_listener_no_filter_chain_match", _LISTENER), "no such host name"),
            ),
            "cps",
        ),
        Panel(
            "Bytes",
            "From clients and to them.",
            (
                Query(rate("envoy_http_downstream_cx_rx_bytes_total", HTTP), "in"),
                Query(rate("envoy_http_downstream_cx_tx_bytes_total", HTTP), "out"),
            ),
            "Bps",
        ),
        Panel(
            "Connection limit",
            "How much of the connections that a proxy may have are open, in percent: at 100 it "
            "refuses new ones.",
            (
                Query(
                    "max by (pod) (envoy_overload_envoy_resource_monitors_"
                    f"global_downstream_max_connections_pressure{{{PROXIES}}})",
                    "{{pod}}",
                ),
            ),
            "percent",
            steps=((None, "green"), (70, "yellow"), (90, "red")),
        ),
    ),
)
_PROXIES = Row(
    "Proxies",
    (
        Panel(
            "Scrapes by proxy",
            "1 where the last scrape was answered. During a roll-out old proxies end and new ones "
            "begin.",
            (Query(f"max by (pod) ({UP})", "{{pod}}"),),
            "short",
        ),
        Panel(
            "Memory by proxy",
            "Physical memory that Envoy holds.",
            (
                Query(
                    f"sum by (pod) (envoy_server_memory_physical_size{{{PROXIES}}})",
                    "{{pod}}",
                ),
            ),
            "bytes",
        ),
        Panel(
            "Request rate by proxy",
            "Should be about even.",
            (Query(rate(_XX, HTTP, "pod"), "{{pod}}"),),
            "reqps",
        ),
        Panel(
            "Time since start",
            "Falls to nothing where a proxy was replaced or restarted.",
            (Query(f"max by (pod) (envoy_server_uptime{{{PROXIES}}})", "{{pod}}"),),
            "s",
        ),
        Panel(
            "Restarts of containers",
            "In the last hour, from kube-state-metrics: a proxy that was killed, for memory or by "
            "its probes.",
            (
                Query(
                    "sum by (pod) (increase(kube_pod_container_status_restarts_total"
                    f"[1h])) and on (pod) {UP}",
                    "{{pod}}",
                ),
            ),
            "short",
            steps=((None, "green"), (1, "red")),
        ),
        Panel(
            "Worker threads",
            "Threads of Envoy, one a core that it may use.",
            (Query(f"max by (pod) (envoy_server_concurrency{{{PROXIES}}})", "{{pod}}"),),
            "short",
        ),
    ),
)

GATEWAY = Dashboard(
    "gateway",
    "Envoy: Gateway",
    "What clients of a Gateway get, and how its proxies are.",
    ("cluster", "namespace", "gateway"),
    (_NOW, _REQUESTS, _OBJECTIVES, _CONNECTIONS, _PROXIES),
)
