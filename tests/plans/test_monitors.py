"""Monitors in three forms, out of one set of relabellings."""

import re
from typing import Any

import pytest
import yaml

from tasks.fleet.render import TEMPLATES, render
from tasks.plans import monitors
from tasks.plans.kinds import AZURE_MONITOR, PROMETHEUS_OPERATOR
from tasks.plans.metrics import JOBS, METRICS
from tasks.plans.monitors import TARGETS

PLACE = {"controller_namespace": "envoy-gateway-system", "interval": "30s", "stats": "needed"}
OF_A_PROXY = {
    "__meta_kubernetes_namespace": "envoy-gateway-system",
    "__meta_kubernetes_pod_name": "envoy-edge-public-1",
    "__meta_kubernetes_pod_label_gateway_envoyproxy_io_owning_gateway_namespace": "edge",
    "__meta_kubernetes_pod_label_gateway_envoyproxy_io_owning_gateway_name": "public",
}


def relabelled(labels: dict[str, str], rules: list[dict[str, Any]]) -> dict[str, str] | None:
    """What Prometheus makes of labels; None is dropped (Prometheus docs, relabel_config)."""
    found = dict(labels)
    for rule in rules:
        value = ";".join(found.get(it, "") for it in rule.get("sourceLabels", ()))
        matches = re.fullmatch(rule.get("regex", "(.*)"), value)
        if rule["action"] == "replace":
            found[rule["targetLabel"]] = rule.get("replacement", value)
        elif rule["action"] == "labeldrop":
            found = {key: it for key, it in found.items() if not re.fullmatch(rule["regex"], key)}
        elif (rule["action"] == "keep") != (matches is not None):
            return None
    return {key: value for key, value in found.items() if value and not key.startswith("__meta")}


def rendered(exporter: Any, group: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    values = monitors.pod_monitor(exporter, "weu-1", group=group, **PLACE)
    about = {"name": "x", "namespace": "monitoring", "labels": {"release": "lab"}}
    (found,) = render("monitoring/podmonitor.yaml.j2", "weu-1", **about, **values)
    return found


def test_labels_of_a_proxy() -> None:
    found = relabelled(OF_A_PROXY, monitors.relabelings("proxy", "weu-1"))
    assert found == {
        "job": "envoy-proxy",
        "cluster": "weu-1",
        "gateway_namespace": "edge",
        "gateway": "public",
        "namespace": "envoy-gateway-system",
        "pod": "envoy-edge-public-1",
    }


def test_a_proxy_of_merged_gateways_has_its_class() -> None:
    merged = {"__meta_kubernetes_pod_label_gateway_envoyproxy_io_owning_gatewayclass": "eg"}
    found = relabelled(merged, monitors.relabelings("proxy", "weu-1"))
    assert found == {"job": "envoy-proxy", "cluster": "weu-1", "gateway_class": "eg"}


def test_the_labels_of_the_operator_go_for_they_are_the_same_everywhere() -> None:
    found = relabelled(
        {"container": "envoy", "endpoint": "metrics"}, monitors.relabelings("controller", "weu-1")
    )
    assert found == {"job": "envoy-gateway", "cluster": "weu-1"}


KEPT = [
    pytest.param({"__name__": "envoy_server_live"}, id="a gauge"),
    pytest.param({"__name__": "envoy_http_downstream_rq_time_sum"}, id="a part of a histogram"),
    pytest.param({"__name__": "envoy_cluster_upstream_rq_time_bucket", "le": "1000"}, id="an edge"),
    pytest.param(
        {"__name__": "envoy_cluster_upstream_rq_time_bucket", "le": "+Inf"}, id="the last"
    ),
    pytest.param(
        {"__name__": "envoy_http_downstream_rq_xx", "envoy_http_conn_manager_prefix": "http-10080"},
        id="of users",
    ),
]
DROPPED = [
    pytest.param({"__name__": "envoy_cluster_update_attempt"}, id="not needed"),
    pytest.param({"__name__": "envoy_server_live_long"}, id="begins like one that is needed"),
    *(
        pytest.param(
            {"__name__": "envoy_cluster_upstream_rq_time_bucket", "le": it}, id=f"edge {it}"
        )
        for it in ("0.5", "1", "1.0", "300000.0", "1800000", "1.8e+06")
    ),
    *(
        pytest.param(
            {"__name__": "envoy_http_no_route", "envoy_http_conn_manager_prefix": it}, id=it
        )
        for it in ("admin", "eg-ready-http", "eg-stats-http", "async-client")
    ),
    pytest.param(
        {"__name__": "envoy_cluster_circuit_breakers_rq_open", "priority": "high"}, id="priority"
    ),
    pytest.param(
        {
            "__name__": "envoy_listener_downstream_cx_total",
            "envoy_listener_address": "0.0.0.0_19003",
        },
        id="its own listener",
    ),
]


@pytest.mark.parametrize("series", KEPT)
def test_is_kept(series: dict[str, str]) -> None:
    assert relabelled(series, monitors.metric_relabelings("proxy", "needed")) == series


@pytest.mark.parametrize("series", DROPPED)
def test_is_dropped(series: dict[str, str]) -> None:
    assert relabelled(series, monitors.metric_relabelings("proxy", "needed")) is None


def test_all_drops_only_what_is_nobodys_traffic() -> None:
    rules = monitors.metric_relabelings("proxy", "all")
    assert relabelled({"__name__": "envoy_cluster_update_attempt"}, rules) is not None
    own = {"__name__": "envoy_http_no_route", "envoy_http_conn_manager_prefix": "admin"}
    assert relabelled(own, rules) is None


@pytest.mark.parametrize("group", [PROMETHEUS_OPERATOR, AZURE_MONITOR])
@pytest.mark.parametrize("exporter", sorted(TARGETS))
def test_a_pod_monitor(
    exporter: Any, group: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rendered(exporter, group, tmp_path, monkeypatch)
    assert found["apiVersion"] == f"{group}/v1"
    spec = found["spec"]
    limits = {key: spec.pop(key) for key in monitors.AZURE_LIMITS if key in spec}
    assert limits == (monitors.AZURE_LIMITS if group == AZURE_MONITOR else {})
    whole = {"matchNames": ["envoy-gateway-system"]}
    assert spec == {
        "namespaceSelector": {"any": True} if exporter == "proxy" else whole,
        "selector": {"matchLabels": TARGETS[exporter].selector},
        "podMetricsEndpoints": [
            {
                "port": "metrics",
                "path": TARGETS[exporter].path,
                "interval": "30s",
                "scrapeTimeout": "10s",
                "relabelings": monitors.relabelings(exporter, "weu-1"),
                "metricRelabelings": monitors.metric_relabelings(exporter, "needed"),
            }
        ],
    }


def test_a_scrape_job() -> None:
    proxy = monitors.scrape_config("proxy", "weu-1", **PLACE)
    assert proxy["job_name"] == JOBS["proxy"]
    assert proxy["kubernetes_sd_configs"] == [{"role": "pod"}]
    assert proxy["relabel_configs"][0] == {
        "action": "keep",
        "source_labels": ["__meta_kubernetes_pod_label_app_kubernetes_io_name"],
        "regex": "envoy",
    }
    assert all("sourceLabels" not in it for it in proxy["metric_relabel_configs"])


def test_a_scrape_is_never_longer_than_the_time_between_two() -> None:
    assert [monitors.timeout(it) for it in ("5s", "10s", "60s")] == ["5s", "10s", "10s"]


def test_what_users_give_kube_state_metrics_has_every_series_of_the_catalogue() -> None:
    text = (TEMPLATES / "monitoring" / "kube-state-metrics.yaml").read_text()
    found = {
        f"{resource['metricNamePrefix']}_{metric['name']}": tuple(
            sorted(
                {
                    *resource["labelsFromPath"],
                    *metric["each"][metric["each"]["type"].lower()].get("labelsFromPath", {}),
                }
            )
        )
        for resource in yaml.safe_load(text)["spec"]["resources"]
        for metric in resource["metrics"]
    }
    wanted = {
        name: tuple(sorted(it.labels))
        for name, it in METRICS.items()
        if name.startswith(("gatewayapi_", "envoygateway_"))
    }
    assert found == wanted
