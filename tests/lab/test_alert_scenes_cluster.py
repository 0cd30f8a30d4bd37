"""
Alerts on conditions and on the controller, on a cluster: its own Envoy Gateway, kube-state-metrics
and Prometheus, with our rules sixty times as fast. All that is wrong is wrong at once, beside a
Gateway that is well and must stay silent.
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.plans import monitors
from tasks.plans.alerts import Settings
from tasks.plans.kinds import PROMETHEUS_OPERATOR
from tasks.plans.metrics import Exporter, kept
from tests.lab.fleet import opened
from tests.lab.monitored import NAMESPACE, Monitored, monitoring_command
from tests.lab.running import until
from tests.lab.test_restore import at
from tests.scenes import clusters
from tests.scenes.certificates import secret
from tests.scenes.clusters import PLACE, SCENES, ClusterScene
from tests.scenes.gateway import STATS, Gateway, Route
from tests.scenes.play import rules
from tests.scenes.processes import Proxy

pytestmark = pytest.mark.lab

CONTROLLER = "envoy-gateway-system"
EXPORTERS: tuple[Exporter, ...] = ("proxy", "controller", "kube-state-metrics")
LAST = ("cluster-controller", "cluster-stream")
#: Consequences of proxies that do not run.
ALSO = {
    "EnvoyGatewayDown",
    "EnvoyProxyDown",
    "EnvoyProxyReplicasMissing",
    "EnvoyGatewayControllerRestarts",
}


def selected(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """What the lab's Prometheus selects."""
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {"release": "lab"}}
    api = f"{PROMETHEUS_OPERATOR}/v1"
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def pod_monitor(exporter: Exporter) -> dict[str, Any]:
    """Ours, so often that sixty times shorter rules see enough: a controller takes its time."""
    often = "1s" if exporter == "proxy" else "2s"
    endpoint = {
        "port": monitors.PORT,
        "path": monitors.TARGETS[exporter].path,
        "interval": often,
        "scrapeTimeout": often,
        "relabelings": monitors.relabelings(exporter, "lab"),
        "metricRelabelings": monitors.metric_relabelings(exporter, "needed"),
    }
    spec = {
        "selector": {"matchLabels": dict(monitors.TARGETS[exporter].selector)},
        "namespaceSelector": {"any": True},
        "podMetricsEndpoints": [endpoint],
    }
    return selected("PodMonitor", f"scenes-{exporter}", spec)


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """The first cluster with Envoy Gateway, the lab's monitoring, and our rules."""
    fleet = opened(tmp_path_factory.mktemp("alerts"))
    found = Monitored(fleet, fleet.names[0])
    if not fleet.version(found.cluster):
        limit = ("--limit", found.cluster)
        ended = fleet.pyinfra("install", "-y", *limit, *at(fleet, found.cluster))
        assert ended.code == 0, ended.text
    try:
        monitoring_command(fleet.lab.name, found.cluster)
        faster = '{"spec": {"scrapeInterval": "1s", "evaluationInterval": "1s"}}'
        place = ("prometheus", "lab", "--namespace", NAMESPACE, "--type", "merge")
        fleet.kubectl(found.cluster, "patch", *place, "--patch", faster)
        settings = Settings(cluster="lab", exporters=frozenset(EXPORTERS))
        groups = [{**it, "interval": "1s"} for it in rules(settings)]
        found.apply(
            *(pod_monitor(it) for it in ("proxy", "controller")),
            selected("PrometheusRule", "scenes", {"groups": groups}),
            *clusters.WELL,
        )
        yield found
    finally:
        fleet.kubectl(found.cluster, "delete", "namespace", PLACE, "--wait=false", check=False)
        fleet.kubectl(found.cluster, "delete", "gatewayclass", "cluster-class", check=False)
        scale(found, 1)
        monitoring_command(fleet.lab.name, found.cluster, "--remove")


def scale(monitored: Monitored, replicas: int) -> None:
    place = ("deployment", "envoy-gateway", "--namespace", CONTROLLER)
    monitored.fleet.kubectl(monitored.cluster, "scale", *place, f"--replicas={replicas}")


def firing(monitored: Monitored) -> list[dict[str, str]]:
    """Labels of what fires."""
    found = monitored.query('ALERTS{alertstate="firing", alertname=~"Envoy.+"}')
    return [it["metric"] for it in found]


def fires(scene: ClusterScene, alerts: list[dict[str, str]]) -> bool:
    wanted = {"alertname": scene.alert, **scene.labels}
    return any(wanted.items() <= it.items() for it in alerts)


def look_until(monitored: Monitored, what: str, scenes: list[ClusterScene], fire: bool) -> None:
    """Wait until all of them fire, or none does; says which do not."""
    begun, left = time.monotonic(), scenes
    while left and time.monotonic() - begun < 150:
        monitored.look()
        alerts = firing(monitored)
        left = [it for it in scenes if fires(it, alerts) != fire]
        time.sleep(1)
    assert [it.name for it in left] == [], what


def test_nothing_fires_while_all_is_well(monitored: Monitored) -> None:
    def scraped() -> bool:
        monitored.look()
        wanted = (
            'up{job="envoy-proxy"} == 1',
            'up{job="envoy-gateway"} == 1',
            'gatewayapi_gateway_status{type="Programmed"} == 1',
        )
        return all(monitored.query(it) for it in wanted)

    until("proxies, controller and objects are scraped", scraped)
    time.sleep(20)
    assert firing(monitored) == []


def series(text: str) -> dict[str, set[tuple[str, ...]]]:
    """The labels of each series that is kept, by its name."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for name, labels in re.findall(r"^(\w+)\{([^}]*)\}", text, re.MULTILINE):
        if re.fullmatch(kept("proxy"), name):
            found.setdefault(name, set()).add(tuple(sorted(re.findall(r'(\w+)="', labels))))
    return found


def test_envoys_of_scenes_say_what_those_of_the_controller_say(
    monitored: Monitored, tmp_path: Path
) -> None:
    place = ("--namespace", CONTROLLER, "--output", "jsonpath={.items[0].metadata.name}")
    labels = "app.kubernetes.io/component=proxy,gateway.envoyproxy.io/owning-gateway-name=public"
    kubectl = monitored.fleet.kubectl
    pod = kubectl(monitored.cluster, "get", "pod", *place, "--selector", labels)
    path = f"/api/v1/namespaces/{CONTROLLER}/pods/{pod}:{STATS}/proxy/stats/prometheus"
    theirs = series(kubectl(monitored.cluster, "get", "--raw", path))
    gateway = Gateway("edge", "127.70.250.1", "127.70.250.50")
    gateway.routes.append(Route("shop", [("127.70.250.100", 8080)]))
    gateway.certificates.append(secret(60, "edge"))
    proxy = Proxy(gateway, tmp_path, monitored.fleet.version(monitored.cluster))
    proxy.start()
    try:
        until("a scrape", lambda: "envoy_server_live" in said_by(gateway.address))
        ours = series(said_by(gateway.address))
    finally:
        assert proxy.process is not None
        proxy.process.kill()
        proxy.process.wait()
    assert ours
    assert {name: theirs.get(name) for name in ours} == ours


def said_by(address: str) -> str:
    """What an Envoy of ours says; nothing where it does not answer yet."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}:{STATS}/stats/prometheus", timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_what_is_wrong_fires_and_what_is_well_does_not(monitored: Monitored) -> None:
    scenes = [it for it in SCENES if it.name not in LAST]
    monitored.apply(*(thing for it in scenes for thing in it.objects))
    look_until(monitored, "fires", scenes, True)
    alerts = firing(monitored)
    expected = {it.alert for it in scenes} | ALSO
    assert sorted({it["alertname"] for it in alerts} - expected) == []
    well = {"scenes", "public"}
    assert [it for it in alerts if it.get("name") in well or it.get("gateway") in well] == []


def test_it_is_over_when_the_objects_are_gone(monitored: Monitored) -> None:
    scenes = [it for it in SCENES if it.name not in LAST]
    for it in scenes:
        for thing in it.objects:
            place = (thing["kind"], thing["metadata"]["name"], "--namespace", PLACE, "--wait=false")
            monitored.fleet.kubectl(monitored.cluster, "delete", *place)
    look_until(monitored, "is over", scenes, False)


def test_a_controller_that_is_away_fires_until_it_is_back(monitored: Monitored) -> None:
    scenes = [it for it in SCENES if it.name in LAST]
    scale(monitored, 0)
    look_until(monitored, "fires", scenes, True)
    scale(monitored, 1)
    look_until(monitored, "is over", scenes, False)
