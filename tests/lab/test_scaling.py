"""
Proxies come and go with the load, and with the nodes that they are on, and no request is lost: on a
cluster of two nodes with a real metrics-server, behind a load balancer that is late by 10 s. The
tests stand in the order of one cluster's life.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.fleet import Fleet, opened
from tests.lab.load import Met, load
from tests.lab.running import run, until

pytestmark = pytest.mark.lab

NAME = "labscale"
PLACE = ("-n", "envoy-gateway-system", "-l", "app.kubernetes.io/component=proxy")
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


def proxies(**more: Any) -> tuple[str, ...]:
    small = {"cpu": "10m", "memory": "64Mi", **more}
    # Endpoints come to proxies through the controller: one that drains away leaves them old ones.
    controller = {"replicas": 2, "cpu": "10m", "memory": "64Mi"}
    patient = {"timeout": 300}
    said = {"proxy": small, "controller": controller, "probe": patient}
    return tuple(it for key in said for it in ("--data", f"{key}={json.dumps(said[key])}"))


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
        ended = found.pyinfra("install", "-y", *proxies())
        assert ended.code == 0, ended.text
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


def ready(fleet: Fleet) -> dict[str, str]:
    """The proxies that serve and stay: name and node."""
    return {
        it["metadata"]["name"]: it["spec"]["nodeName"]
        for it in listed(fleet, "pods", *PLACE)
        if "deletionTimestamp" not in it["metadata"]
        and any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in it["status"].get("conditions", ())
        )
    }


def nothing_was_lost(met: Met) -> None:
    assert met.lost == [], met.kinds
    assert met.sent > 500


def test_by_load_and_back(fleet: Fleet) -> None:
    """
    2 -> 6 by the autoscaler, 6 -> 2 by the inventory. The number never falls when it is handed over
    and no proxy is made anew for it.
    """
    there = ready(fleet)
    assert sorted(there.values()) == [fleet.names[0], f"{fleet.names[0]}-2"]
    with load(fleet.address(fleet.names[0]), RATE) as met:
        ended = fleet.pyinfra("install", "-y", *proxies(hpa=HPA))
        assert ended.code == 0, ended.text
        assert set(there) <= set(ready(fleet))
        until("six proxies", lambda: len(ready(fleet)) == 6)
        assert set(there) <= set(ready(fleet))
        [hpa] = listed(fleet, "hpa", "-n", "envoy-gateway-system")
        ended = fleet.pyinfra("install", "-y", *proxies())
        assert ended.code == 0, ended.text
        until("two proxies", lambda: len(listed(fleet, "pods", *PLACE)) == 2)
    nothing_was_lost(met)
    conditions = {it["type"]: it["status"] for it in hpa["status"]["conditions"]}
    assert conditions["ScalingActive"] == "True"
    [metric] = hpa["status"]["currentMetrics"]
    assert metric["containerResource"]["current"]["averageUtilization"] > HPA["cpu"]
    hashes = {it["metadata"]["name"].split("-")[-2] for it in listed(fleet, "pods", *PLACE)}
    assert hashes == {it.split("-")[-2] for it in there}
    assert listed(fleet, "hpa", "-n", "envoy-gateway-system") == []


def test_a_node_drains(fleet: Fleet) -> None:
    first, second = fleet.names[0], f"{fleet.names[0]}-2"
    until("a proxy on each node", lambda: len(ready(fleet)) == 2)
    with load(fleet.address(first), RATE) as met:
        drain = ("drain", second, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s")
        fleet.kubectl(first, *drain)
        until("both proxies on the other node", lambda: [*ready(fleet).values()] == [first, first])
    fleet.kubectl(first, "uncordon", second)
    nothing_was_lost(met)
