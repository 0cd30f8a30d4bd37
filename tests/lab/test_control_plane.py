"""
The certificates between controller and proxies change while proxies serve, take new routes and keep
their stream; killed and gone on with, and back where a proxy does not take them up.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest

from tasks.plans import control_plane as plan
from tests.lab.fleet import Fleet, opened
from tests.lab.load import load
from tests.lab.running import until
from tests.lab.test_restore import at

pytestmark = pytest.mark.lab

SYSTEM = "envoy-gateway-system"
NOW = ("-y", "--data", "renew_now=true")
#: A Pod that looks like a proxy to whoever goes by labels, and answers on no port of one.
STUCK: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "stuck",
        "namespace": SYSTEM,
        "labels": {
            "app.kubernetes.io/managed-by": "envoy-gateway",
            "app.kubernetes.io/component": "proxy",
        },
    },
    "spec": {"containers": [{"name": "envoy", "image": "docker.io/lab/pause:1"}]},
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    found = opened(tmp_path_factory.mktemp("control-plane"))
    found = Fleet(found.lab, found.folder, (*found.more, "--limit", found.names[0]))
    cluster = found.names[0]
    ended = found.pyinfra("install", "-y", *at(found, cluster))
    assert ended.code == 0, ended.text
    with looked_at(found):
        yield found
    found.kubectl(
        cluster, "delete", "httproute", "--namespace", "demo", "--selector", "of=rotation"
    )


@contextmanager
def looked_at(fleet: Fleet) -> Iterator[None]:
    """
    Kubelets look at a Pod's Secrets when the Pod changes, else once a minute. The benchmark
    measures a rotation without this.
    """
    stop = Event()

    def mark() -> None:
        while not stop.wait(2):
            note = f"lab.test/looked={time.monotonic_ns()}"
            pods = ("annotate", "pod", "--all", "--overwrite", "--namespace", SYSTEM, note)
            fleet.kubectl(fleet.names[0], *pods, check=False)

    thread = Thread(target=mark)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def unit(fleet: Fleet) -> dict[str, plan.Part]:
    return plan.unit(secrets(fleet), SYSTEM)


def secrets(fleet: Fleet) -> list[dict[str, Any]]:
    names = ("secret", *plan.NAMES, "envoy-oidc-hmac")
    text = fleet.kubectl(fleet.names[0], "get", *names, "--namespace", SYSTEM, "--output", "json")
    found: list[dict[str, Any]] = json.loads(text)["items"]
    return found


def hmac(fleet: Fleet) -> str:
    return str(secrets(fleet)[-1]["data"])


def trusted_by_the_api_server(fleet: Fleet) -> list[str]:
    name = plan.webhook_name(SYSTEM)
    text = fleet.kubectl(
        fleet.names[0], "get", "mutatingwebhookconfiguration", name, "--output", "json"
    )
    return [it["clientConfig"]["caBundle"] for it in json.loads(text)["webhooks"]]


def served(fleet: Fleet, name: str) -> float:
    """Seconds until a new route answers; it reaches the proxies over their streams alone."""
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "demo", "labels": {"of": "rotation"}},
        "spec": {
            "parentRefs": [{"name": "public", "namespace": "edge"}],
            "hostnames": [f"{name}.lab.test"],
            "rules": [{"backendRefs": [{"name": "green", "port": 8080}]}],
        },
    }
    cluster = ("--context", fleet.names[0])
    fleet.lab.kubectl(*cluster, "apply", "-f", "-", text=json.dumps(route))
    begun, address = time.monotonic(), fleet.address(fleet.names[0])

    def answers() -> bool:
        connection = http.client.HTTPConnection(address, 80, timeout=10)
        try:
            connection.request("GET", "/", headers={"Host": f"{name}.lab.test"})
            return connection.getresponse().status == 200
        finally:
            connection.close()

    until(f"route {name} answers", answers)
    return time.monotonic() - begun


def streams(fleet: Fleet) -> dict[str, int]:
    """By proxy Pod, how many TLS handshakes its streams have cost: one that is kept costs 1."""
    place = ("--namespace", SYSTEM, "--selector", "app.kubernetes.io/component=proxy")
    names = fleet.kubectl(fleet.names[0], "get", "pod", *place, "--output", "name").split()
    found = {}
    for it in names:
        path = f"/api/v1/namespaces/{SYSTEM}/pods/{it.removeprefix('pod/')}:19001/proxy"
        text = fleet.kubectl(fleet.names[0], "get", "--raw", f"{path}/stats/prometheus")
        [line] = [
            it
            for it in text.splitlines()
            if it.startswith('envoy_cluster_ssl_handshake{envoy_cluster_name="xds_cluster"')
        ]
        found[it] = int(line.rpartition(" ")[2])
    return found


def journal(fleet: Fleet) -> list[dict[str, Any]]:
    """Of the newest run; a line that is being written is left out."""
    runs = [it for it in (fleet.folder / "runs").iterdir() if "control_plane" in it.name]
    newest = max(runs, key=lambda it: it.name) / "journal.jsonl"
    lines = newest.read_text().splitlines(keepends=True) if newest.exists() else []
    return [json.loads(it) for it in lines if it.endswith("\n")]


def stages(fleet: Fleet) -> int:
    return sum(it["event"] == "control plane stage" for it in journal(fleet))


def begun(fleet: Fleet) -> subprocess.Popen[bytes]:
    """A rotation that goes on in a process group of its own, with its run's folder there."""
    known = set((fleet.folder / "runs").iterdir())
    process = fleet.started("inventory/lab.py", "deploys/rotate_control_plane.py", *NOW)
    until("the run begins", lambda: set((fleet.folder / "runs").iterdir()) - known)
    return process


def when(process: subprocess.Popen[bytes], what: str, holds: Callable[[], bool]) -> None:
    until(what, lambda: holds() or process.poll() is not None)
    assert holds(), f"{what}: the run ended with {process.returncode}"


def test_nothing_due_writes_nothing(fleet: Fleet) -> None:
    before = secrets(fleet)
    ended = fleet.pyinfra("rotate_control_plane", "-y")
    assert ended.code == 0, ended.text
    assert fleet.statuses() == {fleet.names[0]: "unchanged"}
    assert secrets(fleet) == before


def test_every_stream_is_kept(fleet: Fleet) -> None:
    before, kept, kept_streams = unit(fleet), hmac(fleet), streams(fleet)
    with load(fleet.address(fleet.names[0]), rate=50) as met:
        process = begun(fleet)
        took = []
        for number in (1, 2, 3):
            when(process, f"stage {number}", lambda it=number: stages(fleet) >= it)  # type: ignore[misc]
            took.append(served(fleet, f"stage-{number}"))
        assert process.wait(180) == 0
    print(f"{met.sent} connections, {met.kinds} lost; routes after each stage in {took} s")
    assert met.lost == [], met.kinds
    now = streams(fleet)
    there = {pod: count for pod, count in kept_streams.items() if pod in now}  # others may leave
    assert there
    assert {pod: now[pod] for pod in there} == there
    after = unit(fleet)
    assert {it.certificate for it in before.values()}.isdisjoint(
        it.certificate for it in after.values()
    )
    assert len(plan.signers(after)) == 1
    assert all(len(it.authorities) == 1 for it in after.values())
    assert hmac(fleet) == kept
    [bundle] = set(trusted_by_the_api_server(fleet))
    assert bundle == secrets(fleet)[0]["data"]["ca.crt"]
    assert all(plan.ROTATION not in str(it["metadata"].get("annotations")) for it in secrets(fleet))
    one = fleet.report()["clusters"][0]
    assert "certificate " in str(one["answers"])
    text = "".join(it.read_text() for it in (fleet.folder / "runs").rglob("*") if it.is_file())
    assert "PRIVATE KEY" not in text


def test_proxies_connect_anew(fleet: Fleet) -> None:
    """What they had loaded is what the controller takes: it restarts, and they come back to it."""
    place = ("--namespace", SYSTEM)
    pods = ("pod", *place, "--selector", "control-plane=envoy-gateway")
    fleet.kubectl(fleet.names[0], "delete", *pods)
    wait = ("rollout", "status", "deployment/envoy-gateway", *place, "--timeout=240s")
    fleet.kubectl(fleet.names[0], *wait)
    served(fleet, "anew")


def begins(fleet: Fleet, stage: int, before: plan.Unit) -> bool:
    """Seen by its first write: once its note is there, the next stage may be written too."""
    now = unit(fleet)
    if stage == 1:
        return len(now["envoy"].authorities) == 2
    return now["envoy"].certificate != before["envoy"].certificate


@pytest.mark.parametrize("stage", [1, 2])
def test_killed_and_gone_on_with(fleet: Fleet, stage: int) -> None:
    before = unit(fleet)
    process = begun(fleet)
    when(process, f"stage {stage}", lambda: begins(fleet, stage, before))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    half = unit(fleet)
    assert len(half["envoy"].authorities) == 2
    ended = fleet.pyinfra("rotate_control_plane", *NOW)
    assert ended.code == 0, ended.text
    after = unit(fleet)
    assert len(plan.signers(after)) == 1
    assert all(len(it.authorities) == 1 for it in after.values())
    assert after["envoy"].certificate != before["envoy"].certificate
    if stage == 2:  # ended, not begun again
        assert after["envoy"].certificate == half["envoy"].certificate
    served(fleet, f"killed-{stage}")


def test_back_as_one_where_a_proxy_does_not_take_it_up(fleet: Fleet) -> None:
    cluster, before = fleet.names[0], unit(fleet)
    process = fleet.started(
        "inventory/lab.py", "deploys/rotate_control_plane.py", *NOW, "--data", "timeout=20"
    )
    try:
        when(process, "the first write", lambda: len(unit(fleet)["envoy"].authorities) == 2)
        fleet.lab.kubectl("--context", cluster, "apply", "-f", "-", text=json.dumps(STUCK))
        when(process, "the way back", lambda: going_back(fleet))
    finally:
        fleet.kubectl(cluster, "delete", "pod", "stuck", "--namespace", SYSTEM, "--now")
    assert process.wait(180) == 1
    one = fleet.report()["clusters"][0]
    assert one["status"] == "rolled back"
    assert "Pod envoy-gateway-system/stuck" in one["why"]
    assert unit(fleet) == before
    [bundle] = set(trusted_by_the_api_server(fleet))
    assert bundle == secrets(fleet)[0]["data"]["ca.crt"]
    served(fleet, "back")


def going_back(fleet: Fleet) -> bool:
    return any("Back to the certificates" in str(it.get("step")) for it in journal(fleet))


@pytest.mark.nightly  # an upgrade of the release, half a minute
def test_certgen_leaves_them_alone(fleet: Fleet) -> None:
    before = secrets(fleet)
    more = ("--data", 'controller={"replicas": 1, "cpu": "11m", "memory": "64Mi"}')
    ended = fleet.pyinfra("install", "-y", *at(fleet, fleet.names[0]), *more)
    assert ended.code == 0, ended.text
    assert [it["data"] for it in secrets(fleet)] == [it["data"] for it in before]
    assert set(trusted_by_the_api_server(fleet)) == {before[0]["data"]["ca.crt"]}
    assert fleet.pyinfra("install", "-y", *at(fleet, fleet.names[0])).code == 0
