"""
Nothing is lost while a cluster with two proxies goes up and back, behind a load balancer that is
late by 10 s; and each proxy proves itself. The tests stand in the order of one cluster's life.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.gateways import BASELINE
from tests.lab.fleet import OLD, Fleet, opened
from tests.lab.load import Met, load
from tests.lab.running import run, until

pytestmark = pytest.mark.lab

NAME = "labtraf"
TWO = ("--data", 'proxy={"replicas": 2, "cpu": "10m", "memory": "64Mi"}')
#: Rules that drop what arrives at the HTTPS port of a proxy.
DEAF = """
table ip deaf {
  chain arriving { type filter hook input priority 0; tcp dport 10443 drop; }
}
"""
#: A route of an application, which the inventory does not know.
THEIRS = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "theirs", "namespace": "demo"},
    "spec": {
        "parentRefs": [{"name": "public", "namespace": "edge"}],
        "hostnames": ["theirs.lab.test"],
        "rules": [{"backendRefs": [{"name": "green", "port": 8080}]}],
    },
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One cluster at the older release, with the load balancer's lateness."""
    before = os.environ.get("ENVOYFLEET_LAB")
    os.environ["ENVOYFLEET_LAB"] = NAME
    try:
        up = run("up", "1", "--leaving-endpoints", "10", name=NAME)
        assert up.returncode == 0, up.stdout + up.stderr
        assert run("sample", name=NAME).returncode == 0
        found = opened(tmp_path_factory.mktemp("traffic"))
        old = ("--data", f'envoy_gateway_version="{OLD}"')
        ended = found.pyinfra("install", "-y", *TWO, *old)
        assert ended.code == 0, ended.text
        cluster = ("--context", found.names[0])
        found.lab.kubectl(*cluster, "apply", "-f", "-", text=json.dumps(THEIRS))
        yield found
    finally:
        run("down", name=NAME)
        os.environ.pop("ENVOYFLEET_LAB")
        if before is not None:
            os.environ["ENVOYFLEET_LAB"] = before


def nothing_was_lost(fleet: Fleet, met: Met) -> None:
    """Neither by the load nor by the prober, whose figures are in the report."""
    assert met.lost == [], met.kinds
    assert met.sent > 3000
    one = fleet.report()["clusters"][0]
    # A machine that does not run the load's own process does not run the cluster either.
    assert set(one["traffic"]["failures"]) <= ({"TimeoutError"} if met.unsure else set())
    assert one["traffic"]["requests"] > 200
    assert one["facts"]["traffic while changing"].endswith(" s")


def test_upgrade(fleet: Fleet) -> None:
    with load(fleet.address(fleet.names[0])) as met:
        ended = fleet.pyinfra("upgrade", "-y", *TWO)
    assert ended.code == 0, ended.text
    nothing_was_lost(fleet, met)
    one = fleet.report()["clusters"][0]
    image = "distroless-v1.39.1"
    assert one["facts"]["proxies"] == f"2 Pods, 6 listeners answered one by one, Envoy {image}"
    theirs = next(it for it in one["answers"] if "theirs.lab.test" in it and "http://" in it)
    assert one["answers"][theirs].startswith("200 from demo/green")
    handshakes = [text for place, text in one["answers"].items() if place.endswith(":https")]
    assert len(handshakes) == 2
    assert all(f", Envoy {image}" in it and ", certificate " in it for it in handshakes)


def test_nothing_to_do(fleet: Fleet) -> None:
    """No proxy is asked by itself, and nobody watches."""
    name = fleet.names[0]
    before = len(fleet.requests(name))
    ended = fleet.pyinfra("upgrade", "-y", *TWO)
    assert ended.code == 0, ended.text
    made = [it["requestURI"] for it in fleet.requests(name)[before:]]
    assert len(made) <= 25, made
    assert not any("portforward" in it for it in made)
    one = fleet.report()["clusters"][0]
    assert one["traffic"] is None
    assert "proxies" not in one["facts"]


def test_rollback(fleet: Fleet) -> None:
    with load(fleet.address(fleet.names[0])) as met:
        ended = fleet.pyinfra("rollback", "-y", *TWO)
    assert ended.code == 0, ended.text
    assert fleet.version(fleet.names[0]) == OLD
    nothing_was_lost(fleet, met)


def test_a_proxy_without_tls_is_restarted(fleet: Fleet) -> None:
    """
    As controllers before 1.9 could leave one: here its HTTPS port is closed from inside. And a
    route of others that answered before, and does not afterwards, is named.
    """
    cluster = fleet.names[0]
    labels = ("-n", "envoy-gateway-system", "-l", "app.kubernetes.io/component=proxy")
    names = ("get", "pods", *labels, "-o", "jsonpath={.items[*].metadata.name}")
    broken, other = fleet.kubectl(cluster, *names).split()
    network = Path("/proc") / envoy_of(broken) / "ns" / "net"
    inside = ["nsenter", f"--net={network}", "nft", "-f", "-"]
    subprocess.run(inside, input=DEAF, text=True, check=True)
    again = ("rollback", "-y", *TWO, "--data", f"rollback_to={newest(fleet)}")
    with ThreadPoolExecutor() as pool:
        known = set((fleet.folder / "runs").iterdir())
        running = pool.submit(fleet.pyinfra, *again, "--data", 'probe={"timeout": 10}')
        until("the baseline", lambda: BASELINE in journal_beside(fleet, known))
        gone = [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/name", "value": "gone"}]
        theirs = ("httproute", "theirs", "-n", "demo", "--type", "json", "-p", json.dumps(gone))
        fleet.kubectl(cluster, "patch", *theirs)
        ended = running.result()
    assert ended.code == 1, ended.text
    one = fleet.report()["clusters"][0]
    assert one["facts"]["proxies restarted"] == broken
    assert other in fleet.kubectl(cluster, *names).split()
    assert "HTTPRoute demo/theirs answered 200 from demo/green" in one["why"]
    assert "before the change, and now edge/public:http http://theirs.lab.test:80/" in one["why"]


def journal_beside(fleet: Fleet, known: set[Path]) -> str:
    """The journal of a run that was not known, "" before it has one."""
    new = [it / "journal.jsonl" for it in (fleet.folder / "runs").iterdir() if it not in known]
    return "".join(it.read_text() for it in new if it.exists())


def envoy_of(pod: str) -> str:
    """The process number of a proxy's Envoy."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            name = (process / "comm").read_text().strip()
        except OSError:
            continue
        if name == "envoy" and f"ENVOY_POD_NAME={pod}".encode() in environment:
            return process.name
    raise AssertionError(f"no Envoy of {pod}")


def newest(fleet: Fleet) -> int:
    """The newest revision of the release."""
    labels = ("-l", "owner=helm", "-n", "envoy-gateway-system", "-o", "json")
    items = json.loads(fleet.kubectl(fleet.names[0], "get", "secret", *labels))["items"]
    return max(int(it["metadata"]["labels"]["version"]) for it in items)
