"""
Proxies come and go with the load, and with the nodes that they are on, the leading controller is
killed, and no request is lost: on a cluster of two nodes with a real metrics-server, behind a load
balancer that is late by 10 s. It begins with the older release. The tests stand in the order of one
cluster's life.
"""

from __future__ import annotations

import http.client
import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tasks.controller import LEASE
from tests.lab.fleet import LISTENERS, OLD, Fleet, opened
from tests.lab.load import Met, load
from tests.lab.running import run, until

pytestmark = pytest.mark.lab

NAME = "labscale"
SYSTEM = ("-n", "envoy-gateway-system")
CONTROLLERS = (*SYSTEM, "-l", "control-plane=envoy-gateway")
PLACE = (*SYSTEM, "-l", "app.kubernetes.io/component=proxy")
#: New connections a second.
RATE = 30
HPA = {"min": 2, "max": 6, "cpu": 20}
#: What an application owes its clients when its node drains: it serves until all have noticed.
PATIENT_APPLICATION = {
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {"name": "echo", "lifecycle": {"preStop": {"sleep": {"seconds": 10}}}}
                ]
            }
        }
    }
}


SMALL = {"cpu": "10m", "memory": "64Mi"}
# Endpoints come to proxies through the controller: one that drains away leaves them old ones.
CONTROLLER = {"replicas": 2, **SMALL}
GATEWAY = {
    "name": "public",
    "namespace": "edge",
    "listeners": LISTENERS,
}
#: A Gateway and its EnvoyProxy from a file, and how many proxies that wants.
FILE = """
kind: Gateway
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: filed, namespace: edge}
spec:
  gatewayClassName: envoy
  listeners: [{name: http, port: 80, protocol: HTTP}]
  infrastructure:
    parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: filed}
---
kind: EnvoyProxy
apiVersion: gateway.envoyproxy.io/v1alpha1
metadata: {name: filed, namespace: edge}
spec:
  shutdown: {drainTimeout: 60s, minDrainDuration: 20s}
  provider:
    type: Kubernetes
    kubernetes: {{ values.proxies | tojson }}
"""
RESOURCES = {"container": {"resources": {"requests": SMALL}}}
FIXED = {"envoyDeployment": {"replicas": 3, **RESOURCES}}
BY_LOAD = {
    "envoyDeployment": RESOURCES,
    "envoyHpa": {"minReplicas": 3, "maxReplicas": 4},
}


def said(**data: Any) -> tuple[str, ...]:
    return tuple(it for key in data for it in ("--data", f"{key}={json.dumps(data[key])}"))


def proxies(**more: Any) -> tuple[str, ...]:
    of_all = {"controller": CONTROLLER, "probe": {"timeout": 300}}
    return said(proxy={**SMALL, **more}, **of_all)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One cluster of two nodes with two proxies."""
    before = os.environ.get("ENVOYFLEET_LAB")
    os.environ["ENVOYFLEET_LAB"] = NAME
    try:
        up = run("up", "1", "--nodes", "2", "--leaving-endpoints", "10", name=NAME)
        assert up.returncode == 0, up.stdout + up.stderr
        for application in ("sample", "metrics"):
            done = run(application, name=NAME)
            assert done.returncode == 0, done.stdout + done.stderr
        found = opened(tmp_path_factory.mktemp("scaling"))
        patch = ("patch", "deployment", "blue", "-n", "demo", "-p", json.dumps(PATIENT_APPLICATION))
        found.kubectl(found.names[0], *patch)
        ended = found.pyinfra("install", "-y", *proxies(), *said(envoy_gateway_version=OLD))
        assert ended.code == 0, ended.text
        (found.folder / "objects").mkdir()
        (found.folder / "objects" / "filed.yaml.j2").write_text(FILE)
        yield found
    finally:
        run("down", name=NAME)
        os.environ.pop("ENVOYFLEET_LAB")
        if before is not None:
            os.environ["ENVOYFLEET_LAB"] = before


def listed(fleet: Fleet, kind: str, *more: str) -> list[dict[str, Any]]:
    found = json.loads(fleet.kubectl(fleet.names[0], "get", kind, *more, "-o", "json"))
    items: list[dict[str, Any]] = found["items"]
    return items


def serving(pods: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Those that are ready and stay: name and node."""
    return {
        it["metadata"]["name"]: it["spec"]["nodeName"]
        for it in pods
        if "deletionTimestamp" not in it["metadata"]
        and any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in it["status"].get("conditions", ())
        )
    }


def ready(fleet: Fleet, gateway: str = "public") -> dict[str, str]:
    """The proxies of a Gateway that serve and stay."""
    return serving(listed(fleet, "pods", *of_gateway(gateway)))


def of_gateway(name: str) -> tuple[str, ...]:
    return *SYSTEM, "-l", f"{PLACE[-1]},gateway.envoyproxy.io/owning-gateway-name={name}"


def nothing_was_lost(met: Met) -> None:
    assert met.lost == [], met.kinds
    assert met.sent > 300


def test_by_load_and_back(fleet: Fleet) -> None:
    """
    2 -> 6 by the autoscaler of the older release, which stays in charge through the upgrade, and
    6 -> 2 by the inventory. The number never falls when it is handed over.
    """
    old, there = said(envoy_gateway_version=OLD), ready(fleet)
    assert sorted(there.values()) == [fleet.names[0], f"{fleet.names[0]}-2"]
    with load(fleet.address(fleet.names[0]), RATE) as met:
        ended = fleet.pyinfra("install", "-y", *proxies(hpa=HPA), *old)
        assert ended.code == 0, ended.text
        assert set(there) <= set(ready(fleet))
        until("six proxies", lambda: len(ready(fleet)) == 6)
        assert set(there) <= set(ready(fleet))
        [hpa] = listed(fleet, "hpa", *SYSTEM)
        ended = fleet.pyinfra("upgrade", "-y", *proxies(hpa=HPA))
        assert ended.code == 0, ended.text
        assert len(ready(fleet)) == 6
        there = ready(fleet)
        ended = fleet.pyinfra("install", "-y", *proxies())
        assert ended.code == 0, ended.text
        until("two proxies", lambda: len(listed(fleet, "pods", *PLACE)) == 2)
    nothing_was_lost(met)
    conditions = {it["type"]: it["status"] for it in hpa["status"]["conditions"]}
    assert conditions["ScalingActive"] == "True"
    [metric] = hpa["status"]["currentMetrics"]
    assert metric["containerResource"]["current"]["averageUtilization"] > HPA["cpu"]
    assert set(ready(fleet)) <= set(there)
    assert listed(fleet, "hpa", *SYSTEM) == []


def test_a_node_drains(fleet: Fleet) -> None:
    first, second = fleet.names[0], f"{fleet.names[0]}-2"
    until("a proxy on each node", lambda: len(ready(fleet)) == 2)
    with load(fleet.address(first), RATE) as met:
        drain = ("drain", second, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s")
        fleet.kubectl(first, *drain)
        until("both proxies on the other node", lambda: [*ready(fleet).values()] == [first, first])
    fleet.kubectl(first, "uncordon", second)
    nothing_was_lost(met)


def controllers(fleet: Fleet) -> dict[str, str]:
    """Those that are ready: name and node."""
    return serving(listed(fleet, "pods", *CONTROLLERS))


def leader(fleet: Fleet) -> str:
    lease = json.loads(fleet.kubectl(fleet.names[0], "get", "lease", LEASE, *SYSTEM, "-o", "json"))
    return str(lease["spec"]["holderIdentity"]).partition("_")[0]


def answer(address: str, host: str) -> int:
    connection = http.client.HTTPConnection(address, 80, timeout=30)
    connection.request("GET", "/", headers={"Host": host, "Connection": "close"})
    return connection.getresponse().status


def route(name: str, gateway: str) -> str:
    spec = {
        "parentRefs": [{"name": gateway, "namespace": "edge"}],
        "hostnames": [f"{name}.lab.test"],
        "rules": [{"backendRefs": [{"name": "blue", "port": 8080}]}],
    }
    about = {"name": name, "namespace": "demo"}
    api = "gateway.networking.k8s.io/v1"
    return json.dumps({"apiVersion": api, "kind": "HTTPRoute", "metadata": about, "spec": spec})


def test_the_leading_controller_is_killed(fleet: Fleet) -> None:
    """Proxies get a new route from the other one, before that leads; then there is a new leader."""
    name = fleet.names[0]
    fleet.kubectl(name, "delete", "pod", *CONTROLLERS)  # since the drain both are on one node
    spread = [name, f"{name}-2"]
    until("a controller on each node", lambda: sorted(controllers(fleet).values()) == spread)
    until("a leader of now", lambda: leader(fleet) in controllers(fleet))
    led, address = leader(fleet), fleet.address(name)
    with load(address, RATE) as met:
        fleet.kubectl(name, "delete", "pod", led, *SYSTEM, "--force", "--grace-period=0")
        fleet.lab.kubectl("--context", name, "apply", "-f", "-", text=route("led", "public"))
        until("the route to be served", lambda: answer(address, "led.lab.test") == 200)
        by_then = leader(fleet)
        until("another leader", lambda: leader(fleet) not in ("", led))
        place = ("httproute", "led", "-n", "demo", "-o", "json")
        until("its word", lambda: "status" in json.loads(fleet.kubectl(name, "get", *place)))
    fleet.kubectl(name, "delete", "httproute", "led", "-n", "demo")
    assert by_then == led
    nothing_was_lost(met)


def concurrency(fleet: Fleet, gateway: str) -> set[int]:
    """How many workers each proxy of a Gateway says that it has."""
    found = set()
    for pod in ready(fleet, gateway):
        path = f"/api/v1/namespaces/{SYSTEM[1]}/pods/{pod}:19001/proxy/stats/prometheus"
        text = fleet.kubectl(fleet.names[0], "get", "--raw", path)
        found |= {int(it) for it in re.findall(r"^envoy_server_concurrency\S* (\d+)", text, re.M)}
    return found


def priority(fleet: Fleet, *place: str) -> set[str]:
    """Of the Pods that serve and stay."""
    pods = listed(fleet, "pods", *place)
    stay = serving(pods)
    return {
        str(it["spec"].get("priorityClassName")) for it in pods if it["metadata"]["name"] in stay
    }


def test_proxies_of_one_gateway_alone(fleet: Fleet) -> None:
    """Number, workers and priority of one Gateway's proxies change, and no other is touched."""
    name = fleet.names[0]
    fleet.kubectl(name, "create", "priorityclass", "edge", "--value=1000")
    there = ready(fleet)
    inside: dict[str, Any] = {
        "name": "inside",
        "namespace": "edge",
        "listeners": [{"name": "http", "port": 80}],
    }
    own = {**SMALL, "replicas": 1, "concurrency": 3, "priority_class": "edge"}
    of_all = ("install", "-y", *proxies(concurrency=2))
    ended = fleet.pyinfra(*of_all, *said(gateways=[GATEWAY, inside]))
    assert ended.code == 0, ended.text
    until("proxies of both", lambda: len(ready(fleet)) == len(ready(fleet, "inside")) == 2)
    assert not set(there) & set(ready(fleet))
    there = ready(fleet)
    ended = fleet.pyinfra(*of_all, *said(gateways=[GATEWAY, {**inside, "proxy": own}]))
    assert ended.code == 0, ended.text
    until("one proxy of one", lambda: len(ready(fleet, "inside")) == 1)
    assert ready(fleet) == there
    assert (concurrency(fleet, "public"), concurrency(fleet, "inside")) == ({2}, {3})
    assert priority(fleet, *of_gateway("inside")) == {"edge"}
    assert priority(fleet, *of_gateway("public")) == {"None"}


def test_the_controller_has_a_priority(fleet: Fleet) -> None:
    wrong = {**CONTROLLER, "priority_class": "frist"}
    ended = fleet.pyinfra("install", "-y", *proxies(concurrency=2), *said(controller=wrong))
    assert ended.code == 1, ended.text
    assert "the controller names PriorityClass frist, which does not exist" in ended.text
    first = {**CONTROLLER, "priority_class": "system-cluster-critical"}
    ended = fleet.pyinfra("install", "-y", *proxies(concurrency=2), *said(controller=first))
    assert ended.code == 0, ended.text
    until("two controllers", lambda: len(listed(fleet, "pods", *CONTROLLERS)) == 2)
    assert priority(fleet, *CONTROLLERS) == {"system-cluster-critical"}


def test_settings_of_a_file(fleet: Fleet) -> None:
    """
    The number stays when an EnvoyProxy of a file hands it over. When metrics-server has gone, that
    is said.
    """
    name = fleet.names[0]

    def run_with(kubernetes: Any, *more: str) -> Any:
        data = said(objects=["objects/*"], values={"proxies": kubernetes})
        return fleet.pyinfra("gateways", *more, *proxies(concurrency=2), *data)

    ended = run_with(FIXED, "-y")
    assert ended.code == 0, ended.text
    until("three proxies", lambda: len(ready(fleet, "filed")) == 3)
    there = ready(fleet, "filed")
    ended = run_with(BY_LOAD, "-y")
    assert ended.code == 0, ended.text
    until("an autoscaler", lambda: listed(fleet, "hpa", *SYSTEM))
    until("its word", lambda: "currentMetrics" in listed(fleet, "hpa", *SYSTEM)[0]["status"])
    assert set(there) <= set(ready(fleet, "filed"))
    assert "GW387" not in run_with(BY_LOAD, "--data", "check=true").text
    done = run("metrics", "--remove", name=NAME)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not available" in fleet.kubectl(name, "top", "nodes", check=False)
    ended = run_with(BY_LOAD, "--data", "check=true")
    assert (ended.code, "GW387" in ended.text) == (3, True), ended.text
