"""Settings of EnvoyProxy that take away series."""

import re
from typing import Any

import pytest

from tasks.plans import proxy_stats
from tasks.plans.metrics import METRICS

PROXY = [it for it in METRICS.values() if it.exporter == "proxy"]
SOME = [METRICS["envoy_server_live"], METRICS["envoy_cluster_membership_healthy"]]


def envoy_proxy(**metrics: Any) -> dict[str, Any]:
    return {"spec": {"telemetry": {"metrics": metrics}}}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("envoy_http_downstream_rq_xx", "http.http-10080.downstream_rq_5xx"),
        ("envoy_http_downstream_rq_time", "http.http-10080.downstream_rq_time"),
        ("envoy_http_rds_update_rejected", "http.http-10080.rds.edge/public/http.update_rejected"),
        ("envoy_cluster_upstream_rq", "cluster.httproute/shop/web/rule/0.upstream_rq_503"),
        (
            "envoy_cluster_circuit_breakers_rq_open",
            "cluster.httproute/shop/web/rule/0.circuit_breakers.default.rq_open",
        ),
        (
            "envoy_listener_ssl_certificate_expiration_unix_time_seconds",
            "listener.0.0.0.0_10443.ssl.certificate.edge/tls.expiration_unix_time_seconds",
        ),
        ("envoy_cluster_manager_cds_update_rejected", "cluster_manager.cds.update_rejected"),
        ("envoy_server_live", "server.live"),
    ],
)
def test_statistics(name: str, wanted: str) -> None:
    assert proxy_stats.statistic(METRICS[name]) == wanted


FEEDS_ALL = [
    pytest.param({}, id="nothing said"),
    pytest.param(envoy_proxy(), id="empty"),
    pytest.param(envoy_proxy(prometheus={"disable": False}), id="not disabled"),
    pytest.param(envoy_proxy(matches=proxy_stats.inclusion()), id="our list"),
    pytest.param(envoy_proxy(matches=[{"type": "RegularExpression", "value": ".*"}]), id="all"),
    pytest.param(
        envoy_proxy(matches=[{"type": "RegularExpression", "value": r"\pN("}]), id="unreadable"
    ),
    pytest.param(envoy_proxy(clusterStatName=proxy_stats.CLUSTER_NAME), id="the default name"),
]


@pytest.mark.parametrize("settings", FEEDS_ALL)
def test_feeds_all(settings: dict[str, Any]) -> None:
    assert proxy_stats.drops_needed(settings) == []


DROPS = [
    pytest.param(
        envoy_proxy(prometheus={"disable": True}),
        ["telemetry.metrics.prometheus.disable: no series of its proxies can be scraped"],
        id="no scrape",
    ),
    pytest.param(
        envoy_proxy(matches=[{"type": "Prefix", "value": "server."}]),
        [
            "telemetry.metrics.matches leaves out envoy_cluster_membership_healthy: docs/"
            "monitoring-metrics.md has a list that does not"
        ],
        id="a prefix",
    ),
    pytest.param(
        envoy_proxy(matches=[{"type": "Suffix", "value": "membership_healthy"}]),
        [
            "telemetry.metrics.matches leaves out envoy_server_live: docs/monitoring-metrics.md "
            "has a list that does not"
        ],
        id="a suffix",
    ),
    pytest.param(
        envoy_proxy(matches=[{"type": "RegularExpression", "value": r"(server|cluster)\..*"}]),
        [
            "telemetry.metrics.matches leaves out envoy_server_live, "
            "envoy_cluster_membership_healthy: docs/monitoring-metrics.md has a list that does not",
            "telemetry.metrics.matches has a backslash, which Envoy Gateway doubles "
            "(envoyproxy/gateway#5093): write [.] and [0-9]",
        ],
        id="a backslash",
    ),
    pytest.param(
        envoy_proxy(matches=[{"value": "server.live"}]),
        [
            "telemetry.metrics.matches leaves out envoy_cluster_membership_healthy: docs/"
            "monitoring-metrics.md has a list that does not"
        ],
        id="exact, which is the default",
    ),
    pytest.param(
        envoy_proxy(clusterStatName="%ROUTE_NAME%"),
        [
            "telemetry.metrics.clusterStatName is %ROUTE_NAME%, and alerts by route read "
            "%ROUTE_KIND%/%ROUTE_NAMESPACE%/%ROUTE_NAME%/rule/%ROUTE_RULE_NUMBER%"
        ],
        id="another name of clusters",
    ),
]


@pytest.mark.parametrize(("settings", "wanted"), DROPS)
def test_drops_what_is_needed(settings: dict[str, Any], wanted: list[str]) -> None:
    assert proxy_stats.drops_needed(settings, SOME) == wanted


def test_counts_what_it_does_not_name() -> None:
    matches = [{"type": "Prefix", "value": "nothing"}]
    (problem,) = proxy_stats.drops_needed(envoy_proxy(matches=matches))
    assert f" and {len(PROXY) - 3} more" in problem


def test_our_list_is_of_what_is_needed_alone() -> None:
    patterns = [it["value"] for it in proxy_stats.inclusion()]
    names = [proxy_stats.statistic(it) for it in PROXY]
    assert all(any(re.fullmatch(it, name) for it in patterns) for name in names)
    assert not any("\\" in it for it in patterns)
    for name in ("server.hot_restart_epoch", "cluster.httproute/a/b/rule/0.update_attempt"):
        assert not any(re.fullmatch(it, name) for it in patterns)
