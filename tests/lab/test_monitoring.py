"""
deploys/monitoring.py on a real cluster with the prometheus-operator: what is applied is loaded and
scraped, a second run writes nothing, and a roll-out silences what it replaces.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab.fleet import Ended, Fleet, opened
from tests.lab.running import run

pytestmark = pytest.mark.lab

SERVICES = "/api/v1/namespaces/monitoring/services"
SILENCES = f"{SERVICES}/alertmanager-operated:9093/proxy/api/v2/silences"
RULES = f"{SERVICES}/prometheus-operated:9090/proxy/api/v1/rules"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """The first cluster, with Envoy Gateway and the lab's monitoring."""
    found = opened(tmp_path_factory.mktemp("monitoring"))
    cluster = found.names[0]
    installed = run("monitoring", cluster, name=found.lab.name)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    ended = found.pyinfra("install", "-y", "--limit", cluster)
    assert ended.code == 0, ended.text
    return found


def provisioned(fleet: Fleet, *more: str) -> Ended:
    return fleet.pyinfra("monitoring", "-y", "--limit", fleet.names[0], *more)


def asked(fleet: Fleet, path: str) -> Any:
    return json.loads(fleet.kubectl(fleet.names[0], "get", "--raw", path))


def row(fleet: Fleet, *more: str) -> dict[str, Any]:
    """What a run says of the cluster, as JSON."""
    ended = provisioned(fleet, "--data", "output=json", *more)
    document: dict[str, Any] = json.loads(ended.out[ended.out.index("{") :])
    assert document["findings"] == [], document["findings"]
    [found] = [it for it in document["clusters"] if it["name"] == fleet.names[0]]
    return dict(found)


def test_what_is_applied_is_scraped_and_loaded(fleet: Fleet) -> None:
    found = row(fleet)
    assert found["back_end"] == "operator"
    assert found["targets"]["up"] == found["targets"]["wanted"] >= 2
    assert found["groups"]["loaded"] == found["groups"]["wanted"] > 8
    assert (found["receivers"], found["dashboards"]) == (1, 5)
    groups = asked(fleet, RULES)["data"]["groups"]
    assert [it["name"] for group in groups for it in group["rules"] if it["health"] == "err"] == []


def test_a_second_run_writes_nothing(fleet: Fleet) -> None:
    before = len(fleet.requests(fleet.names[0]))
    ended = provisioned(fleet)
    assert ended.code == 0, ended.text
    ours = [
        it
        for it in fleet.requests(fleet.names[0])[before:]
        if "python" in str(it.get("userAgent", "")).lower() and it["verb"] in WRITES
    ]
    assert [f"{it['verb']} {it['requestURI']}" for it in ours] == []


def test_what_is_not_wanted_any_more_is_deleted_and_what_others_have_is_not(fleet: Fleet) -> None:
    cluster, folder = fleet.names[0], fleet.folder
    for name, labels in (("old", {"app.kubernetes.io/managed-by": "envoyfleet"}), ("others", {})):
        thing = {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": {"name": name, "namespace": "monitoring", "labels": labels},
            "spec": {"selector": {}, "podMetricsEndpoints": [{"port": "metrics"}]},
        }
        path = Path(folder / f"{name}.json")
        path.write_text(json.dumps(thing))
        fleet.kubectl(cluster, "apply", "--filename", str(path))
    ended = provisioned(fleet)
    assert ended.code == 0, ended.text
    listed = fleet.kubectl(cluster, "get", "podmonitor", "-n", "monitoring", "-o", "name").split()
    assert "podmonitor.monitoring.coreos.com/old" not in listed
    assert "podmonitor.monitoring.coreos.com/others" in listed
    fleet.kubectl(cluster, "delete", "podmonitor", "others", "-n", "monitoring")


def test_a_roll_out_silences_what_it_replaces_and_lifts_that(fleet: Fleet) -> None:
    cluster = fleet.names[0]
    known = {it["id"] for it in asked(fleet, SILENCES)}
    proxy = '{"replicas": 1, "cpu": "11m", "memory": "64Mi", "min_drain": "10s"}'
    process = fleet.started(
        *("inventory/lab.py", "deploys/upgrade.py", "-y", "--limit", cluster),
        *("--data", f"proxy={proxy}"),
    )
    active: list[Any] = []
    while process.poll() is None:
        fresh = [it for it in asked(fleet, SILENCES) if it["id"] not in known]
        active = active or [it for it in fresh if it["status"]["state"] == "active"]
        time.sleep(1)
    assert process.returncode == 0
    [silence] = active
    names = {it["name"]: it["value"] for it in silence["matchers"]}
    assert names["cluster"] == cluster
    assert "EnvoyProxyDown" in names["alertname"].split("|")
    assert cluster in silence["comment"]
    assert "-upgrade of " in silence["comment"]
    [after] = [it for it in asked(fleet, SILENCES) if it["id"] == silence["id"]]
    assert after["status"]["state"] == "expired"


def test_the_silence_of_a_killed_run_is_lifted_by_the_next(fleet: Fleet) -> None:
    cluster = fleet.names[0]
    known = {it["id"] for it in asked(fleet, SILENCES)}
    proxy = '{"replicas": 1, "cpu": "12m", "memory": "64Mi", "min_drain": "10s"}'
    order = (
        *("inventory/lab.py", "deploys/upgrade.py", "-y", "--limit", cluster),
        *("--data", f"proxy={proxy}"),
    )
    process = fleet.started(*order)

    def fresh() -> list[Any]:
        return [it for it in asked(fleet, SILENCES) if it["id"] not in known]

    while process.poll() is None and not fresh():
        time.sleep(0.5)
    process.kill()
    process.wait()
    [left] = fresh()
    assert left["status"]["state"] == "active"
    ended = fleet.run(*order)
    assert ended.code == 0, ended.text
    assert {it["status"]["state"] for it in fresh()} == {"expired"}
