"""All clusters: where the traffic is, what fails, and which Gateway to look at."""

from __future__ import annotations

from tasks.dashboards.source import (
    GATEWAY,
    Column,
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
from tasks.plans.metrics import JOBS, LISTENERS

_CLUSTERS = 'cluster=~"$cluster"'
_HTTP = f'{_CLUSTERS}, envoy_http_conn_manager_prefix=~"{LISTENERS}"'
_FAILED = f'{_HTTP}, envoy_response_code_class="5"'
_UP = f'up{{job="{JOBS["proxy"]}", {_CLUSTERS}}}'
_XX = "envoy_http_downstream_rq_xx"
_TIME = "envoy_http_downstream_rq_time"
_FIRING = f'ALERTS{{alertstate="firing", alertname=~"Envoy.+", {_CLUSTERS}}}'

_NOW = Row(
    "Now",
    (
        number(
            "Clusters",
            "Clusters with proxies that are scraped.",
            f"count(count by (cluster) ({_UP}))",
            "short",
            width=3,
        ),
        number(
            "Gateways",
            "Gateways with proxies; Gateways of a merged class are one.",
            f"count(count by ({GATEWAY}) ({_UP}))",
            "short",
            width=3,
        ),
        number(
            "Proxies up",
            "Proxies that answered the last scrape.",
            f"sum({_UP})",
            "short",
            width=3,
        ),
        number(
            "Proxies down",
            "Proxies that are there and did not answer the last scrape. One that starts or drains "
            "may be counted for a moment.",
            or_none(f"count({_UP} == 0)"),
            "short",
            (None, "green"),
            (1, "red"),
            width=3,
        ),
        number(
            "Request rate",
            "Answers a second, all Gateways together, without probes and scrapes.",
            rate(_XX, _HTTP),
            "reqps",
            width=3,
        ),
        number(
            "Error rate",
            "5xx of all answers. A small Gateway that fails is hidden behind a busy one: see the "
            "table below.",
            ratio(rate(_XX, _FAILED), rate(_XX, _HTTP)),
            "percentunit",
            (None, "green"),
            (0.01, "yellow"),
            (0.05, "red"),
            width=3,
        ),
        number(
            "P99 latency",
            "99 of 100 requests were answered within this time, as clients wait for it.",
            quantile(0.99, _TIME, _HTTP),
            "ms",
            width=3,
        ),
        number(
            "Alerts firing",
            "Alerts of this pack that fire now.",
            or_none(f"count({_FIRING})"),
            "short",
            (None, "green"),
            (1, "red"),
            width=3,
        ),
    ),
)
_TRAFFIC = Row(
    "Clusters",
    (
        Panel(
            "Request rate by cluster",
            "Answers a second. A cluster that falls to nothing has lost its traffic, or its "
            "scrapes: compare with proxies up.",
            (Query(rate(_XX, _HTTP, "cluster"), "{{cluster}}"),),
            "reqps",
            width=12,
        ),
        Panel(
            "Error rate by cluster",
            "5xx of all answers of a cluster.",
            (
                Query(
                    ratio(rate(_XX, _FAILED, "cluster"), rate(_XX, _HTTP, "cluster")),
                    "{{cluster}}",
                ),
            ),
            "percentunit",
            width=12,
            steps=((None, "green"), (0.01, "yellow"), (0.05, "red")),
        ),
        Panel(
            "P99 latency by cluster",
            "99 of 100 requests were answered within this time.",
            (Query(quantile(0.99, _TIME, _HTTP, "cluster"), "{{cluster}}"),),
            "ms",
            width=12,
        ),
        Panel(
            "Active connections by cluster",
            "Connections of clients that are open.",
            (
                Query(
                    f"sum by (cluster) (envoy_http_downstream_cx_active{{{_HTTP}}})", "{{cluster}}"
                ),
            ),
            "short",
            width=12,
        ),
    ),
)
_GATEWAYS = Row(
    "Gateways",
    (
        Panel(
            "Gateways by traffic",
            "One line a Gateway, or a class whose Gateways are merged. Its name leads to its own "
            "dashboard.",
            (
                Query(rate(_XX, _HTTP, GATEWAY), "Requests"),
                Query(ratio(rate(_XX, _FAILED, GATEWAY), rate(_XX, _HTTP, GATEWAY)), "Error rate"),
                Query(quantile(0.99, _TIME, _HTTP, GATEWAY), "P99"),
                Query(
                    f"sum by ({GATEWAY}) (envoy_http_downstream_cx_active{{{_HTTP}}})",
                    "Connections",
                ),
                Query(f"sum by ({GATEWAY}) ({_UP})", "Proxies"),
            ),
            "short",
            "table",
            width=24,
            height=10,
            columns=(
                Column("Requests", "reqps"),
                Column(
                    "Error rate",
                    "percentunit",
                    ((None, "green"), (0.01, "yellow"), (0.05, "red")),
                ),
                Column("P99", "ms"),
                Column("Connections", "short"),
                Column("Proxies", "short", ((None, "red"), (1, "green"))),
            ),
        ),
    ),
)
_ALERTS = Row(
    "Alerts",
    (
        Panel(
            "Firing alerts",
            "Alerts of this pack that fire, by severity: critical pages, warnings go to a chat.",
            (
                Query(
                    f"count by (severity) ({_FIRING})",
                    "{{severity}}",
                ),
            ),
            "short",
            width=12,
            empty="no alert fires",
        ),
        Panel(
            "Alerts now",
            "What fires or is about to. Each has an entry in the runbook, see the link above.",
            (
                Query(
                    "max by (cluster, alertname, severity, alertstate, gateway_namespace, gateway) "
                    f'(ALERTS{{alertname=~"Envoy.+", {_CLUSTERS}}})',
                    "Firing",
                ),
            ),
            "short",
            "table",
            width=12,
            columns=(Column("Firing", "short"),),
            empty="no alert fires",
        ),
    ),
)

FLEET = Dashboard(
    "fleet",
    "Envoy: fleet",
    "All clusters at a glance: traffic, errors, alerts, and a line for each Gateway.",
    ("clusters",),
    (_NOW, _TRAFFIC, _GATEWAYS, _ALERTS),
)
