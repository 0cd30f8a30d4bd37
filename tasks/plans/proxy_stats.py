"""
What EnvoyProxy says of the series of its proxies: settings that take away what rules need, and the
shortest list of statistics that still feeds all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from tasks.plans.metrics import METRICS, Metric

Object = Mapping[str, Any]
#: How names in a scrape begin, and where the statistic is in Envoy, with names as Envoy Gateway
#: gives them: the first that fits (Envoy docs, Statistics).
PLACES: tuple[tuple[str, str], ...] = (
    ("envoy_http_local_rate_limit_", "http_local_rate_limiter.http_local_rate_limit."),
    ("envoy_http_ext_authz_", "http.http-10080.ext_authz."),
    ("envoy_http_rds_", "http.http-10080.rds.edge/public/http."),
    ("envoy_http_", "http.http-10080."),
    ("envoy_tcp_", "tcp.tcp-9000."),
    ("envoy_listener_manager_lds_", "listener_manager.lds."),
    ("envoy_listener_manager_", "listener_manager."),
    ("envoy_listener_ssl_certificate_", "listener.0.0.0.0_10443.ssl.certificate.edge/tls."),
    ("envoy_listener_ssl_", "listener.0.0.0.0_10443.ssl."),
    ("envoy_listener_", "listener.0.0.0.0_10443."),
    ("envoy_cluster_manager_cds_", "cluster_manager.cds."),
    ("envoy_cluster_manager_", "cluster_manager."),
    ("envoy_cluster_ssl_certificate_", "cluster.httproute/shop/web/rule/0.ssl.certificate.ca."),
    ("envoy_cluster_ssl_", "cluster.httproute/shop/web/rule/0.ssl."),
    (
        "envoy_cluster_circuit_breakers_",
        "cluster.httproute/shop/web/rule/0.circuit_breakers.default.",
    ),
    (
        "envoy_cluster_outlier_detection_",
        "cluster.httproute/shop/web/rule/0.outlier_detection.",
    ),
    ("envoy_cluster_health_check_", "cluster.httproute/shop/web/rule/0.health_check."),
    ("envoy_cluster_ratelimit_", "cluster.httproute/shop/web/rule/0.ratelimit."),
    ("envoy_cluster_", "cluster.httproute/shop/web/rule/0."),
    ("envoy_control_plane_", "control_plane."),
    ("envoy_server_", "server."),
    (
        "envoy_overload_envoy_resource_monitors_global_downstream_max_connections_",
        "overload.envoy.resource_monitors.global_downstream_max_connections.",
    ),
)
#: What of such a place is a name that differs.
NAMES = re.compile(r"http-10080|tcp-9000|edge/\w+(/http)?|0\.0\.0\.0_10443|httproute/\S+?/0|\bca\b")
#: Answers by code and class are statistics of their own: ..._503, ..._5xx.
BY_CODE = (
    "envoy_cluster_upstream_rq",
    "envoy_cluster_upstream_rq_xx",
    "envoy_http_downstream_rq_xx",
)
#: What the rules take route, namespace and rule from.
CLUSTER_NAME = "%ROUTE_KIND%/%ROUTE_NAMESPACE%/%ROUTE_NAME%/rule/%ROUTE_RULE_NUMBER%"


def statistic(metric: Metric) -> str:
    """
    The name that Envoy has for a series, for one Gateway and one route, such as
    "cluster.httproute/shop/web/rule/0.upstream_rq_503" of envoy_cluster_upstream_rq.
    """
    begin, place = next(it for it in PLACES if metric.name.startswith(it[0]))
    leaf = metric.name.removeprefix(begin)
    if metric.name in BY_CODE:
        leaf = leaf.removesuffix("_xx") + ("_5xx" if leaf.endswith("_xx") else "_503")
    return place + leaf


def inclusion(metrics: Iterable[Metric] = METRICS.values()) -> list[dict[str, str]]:
    """
    ``spec.telemetry.metrics.matches`` of an EnvoyProxy whose proxies keep no other statistic.
    Setting it replaces every proxy, for it is in the bootstrap.
    """
    places = sorted(_split(statistic(it), it.name) for it in metrics if it.exporter == "proxy")
    return [
        {"type": "RegularExpression", "value": f"{place}({'|'.join(leaf for _, leaf in leaves)})"}
        for place, leaves in groupby(places, key=lambda it: it[0])
    ]


def _split(name: str, metric: str) -> tuple[str, str]:
    """Such as ("cluster[.].+[.]ssl[.]", "connection_error")."""
    place = next(it[1] for it in PLACES if metric.startswith(it[0]))
    leaf = name.removeprefix(place)
    if metric in BY_CODE:
        leaf = leaf.replace("503", "[0-9]+").replace("5xx", "[0-9]xx")
    # No backslash, see _matches.
    pieces = [it.replace(".", "[.]") for it in NAMES.sub("\0", place).split("\0")]
    return ".+".join(pieces), leaf


def drops_needed(envoy_proxy: Object, metrics: Iterable[Metric] = METRICS.values()) -> list[str]:
    """
    Settings of an EnvoyProxy that take away series that alerts and panels need, a line each; none
    where all is there.

    + metrics: what is needed
    """
    settings = _metrics(envoy_proxy)
    if (settings.get("prometheus") or {}).get("disable"):
        return ["telemetry.metrics.prometheus.disable: no series of its proxies can be scraped"]
    problems = []
    matches: Sequence[Object] = settings.get("matches") or ()
    gone = [
        it.name
        for it in dict.fromkeys(metrics)
        if matches and it.exporter == "proxy" and not _kept(statistic(it), matches)
    ]
    if gone:
        more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
        problems.append(
            f"telemetry.metrics.matches leaves out {', '.join(gone[:3])}{more}: docs/"
            "monitoring-metrics.md has a list that does not"
        )
        if any("\\" in it["value"] for it in matches):
            problems.append(
                "telemetry.metrics.matches has a backslash, which Envoy Gateway doubles "
                "(envoyproxy/gateway#5093): write [.] and [0-9]"
            )
    named = settings.get("clusterStatName")
    if named is not None and named != CLUSTER_NAME:
        problems.append(
            f"telemetry.metrics.clusterStatName is {named}, and alerts by route read {CLUSTER_NAME}"
        )
    return problems


def _metrics(envoy_proxy: Object) -> Mapping[str, Any]:
    telemetry = (envoy_proxy.get("spec") or {}).get("telemetry") or {}
    return telemetry.get("metrics") or {}


def _kept(name: str, matches: Sequence[Object]) -> bool:
    return any(_matches(name, it.get("type") or "Exact", it["value"]) for it in matches)


def _matches(name: str, kind: str, value: str) -> bool:
    if kind == "RegularExpression":
        # What Envoy gets of Envoy Gateway up to 1.9 (envoyproxy/gateway#5093).
        doubled = value.replace("\\", r"\\")
        try:
            return re.fullmatch(doubled, name) is not None
        except re.error:  # RE2's, which Python's may not know: no word against it
            return True
    if kind == "Prefix":
        return name.startswith(value)
    return name.endswith(value) if kind == "Suffix" else name == value
