"""The lab's monitoring: monitors and rules take effect as they do on a cluster of an operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab.fleet import opened
from tests.lab.monitored import Monitored, monitoring_command
from tests.lab.running import until
from tests.lab.test_restore import at

pytestmark = pytest.mark.lab

NAMESPACE = "envoy-gateway-system"
GROUP = "monitoring.coreos.com"


def ours(kind: str, version: str, **spec: Any) -> dict[str, Any]:
    """An object that the lab's Prometheus and Alertmanager select, in another namespace."""
    metadata = {"name": "labtest", "namespace": NAMESPACE, "labels": {"release": "lab"}}
    return {
        "apiVersion": f"{GROUP}/{version}",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


MONITOR = ours(
    "PodMonitor",
    "v1",
    selector={"matchLabels": {"app.kubernetes.io/component": "proxy"}},
    podMetricsEndpoints=[{"port": "metrics", "path": "/stats/prometheus"}],
)
# Prometheus knows no Alertmanager for 5 s after it has read its configuration. What it could not
# send then it sends a minute later.
ALWAYS = {"alert": "Always", "expr": "vector(1)", "for": "10s"}
RULE = ours("PrometheusRule", "v1", groups=[{"name": "labtest", "rules": [ALWAYS]}])
RECEIVER = ours(
    "AlertmanagerConfig",
    "v1alpha1",
    route={"receiver": "pager", "groupWait": "1s"},
    receivers=[{"name": "pager", "webhookConfigs": [{"url": "http://alerts.monitoring/labtest"}]}],
)


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """The first cluster with Envoy Gateway and the lab's monitoring."""
    fleet = opened(tmp_path_factory.mktemp("monitoring"))
    found = Monitored(fleet, fleet.names[0])
    if not fleet.version(found.cluster):
        limit = ("--limit", found.cluster)
        ended = fleet.pyinfra("install", "-y", *limit, *at(fleet, found.cluster))
        assert ended.code == 0, ended.text
    try:
        monitoring_command(fleet.lab.name, found.cluster)
        found.apply(MONITOR, RULE, RECEIVER)
        yield found
    finally:
        monitoring_command(fleet.lab.name, found.cluster, "--remove")


def look_until(monitored: Monitored, what: str, check: Callable[[], object]) -> None:
    """Wait until something was read and holds."""

    def holds() -> bool:
        monitored.look()
        return bool(check())

    until(what, holds)


def test_prometheus_scrapes_kube_state_metrics(monitored: Monitored) -> None:
    pool = "serviceMonitor/monitoring/kube-state-metrics/0"
    look_until(monitored, "a scrape", lambda: monitored.targets().get(pool) == ["up"])
    programmed = 'gatewayapi_gateway_status{name="public",namespace="edge",type="Programmed"}'
    until("what it says of a Gateway", lambda: monitored.query(programmed))
    assert monitored.query(programmed)[0]["value"][1] == "1"


def test_a_pod_monitor_selects_proxies(monitored: Monitored) -> None:
    pool = f"podMonitor/{NAMESPACE}/labtest/0"
    look_until(monitored, "proxies", lambda: "up" in monitored.targets().get(pool, []))
    until("their series", lambda: monitored.query("envoy_server_live == 1"))


def test_an_alert_arrives(monitored: Monitored) -> None:
    """From a rule, through Prometheus and Alertmanager, to a receiver named in the cluster."""

    def arrived() -> list[dict[str, Any]]:
        return [it for it in monitored.received() if it["path"] == "/labtest"]

    look_until(monitored, "a notification", arrived)
    body = arrived()[0]["body"]
    assert body["status"] == "firing"
    assert {it["labels"]["alertname"] for it in body["alerts"]} == {"Always"}
    assert body["externalURL"].startswith("http://alertmanager-lab-0")


def test_it_goes_and_leaves_nothing(monitored: Monitored) -> None:
    """Not even what others made of its kinds."""
    monitoring_command(monitored.fleet.lab.name, monitored.cluster, "--remove")
    left = monitored.fleet.kubectl(monitored.cluster, "get", "crd,namespace", "--output", "name")
    assert GROUP not in left
    assert "namespace/monitoring" not in left.split()
    left = monitored.fleet.kubectl(
        monitored.cluster, "get", "clusterrole,clusterrolebinding", "--output", "name"
    )
    assert "prometheus" not in left
    assert "kube-state-metrics" not in left
