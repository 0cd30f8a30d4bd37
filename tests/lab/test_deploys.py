"""
The main job from beginning to end on four real clusters in three rings, through the command line.
The tests stand in the order of an installation's life and each begins where the one before ended.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tasks.fleet import journal
from tests.lab.fleet import NEW, OLD, SHORT_DRAIN, Fleet, opened, traffic
from tests.lab.running import REPOSITORY, until

pytestmark = pytest.mark.lab

NO_IMAGE = (
    "--data",
    'images={"envoy_gateway": "docker.io/lab/nope:v{version}", '
    '"envoy": "docker.io/lab/envoy:distroless-v{envoy}"}',
)
AT_OLD = ("--data", f'envoy_gateway_version="{OLD}"')


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return opened(tmp_path_factory.mktemp("fleet"), *SHORT_DRAIN)


def ask(address: str, host: str) -> dict[str, str]:
    """What the echo backend answered through the Gateway: who it is, and which cluster it is on."""
    connection = http.client.HTTPConnection(address, 80, timeout=15)
    connection.request("GET", "/", headers={"Host": host})
    found: dict[str, str] = json.loads(connection.getresponse().read())
    return found


def writes(requests: list[dict[str, Any]]) -> list[str]:
    """
    What changed something: neither a reading verb, nor a dry run, nor asking for our rights.
    """
    return [
        f"{it['verb']} {it['requestURI']}"
        for it in requests
        if it["verb"] not in ("get", "list")
        and "dryRun=All" not in it["requestURI"]
        and "/authorization.k8s.io/" not in it["requestURI"]
    ]


def tcp(address: str) -> bytes:
    """The first bytes that answer through the TCP listener, which leads to an HTTP backend."""
    with socket.create_connection((address, 9000), 15) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\nHost: tcp\r\nConnection: close\r\n\r\n")
        return stream.recv(15)


def test_a_plan_touches_nothing(fleet: Fleet) -> None:
    before = {name: len(fleet.requests(name)) for name in fleet.names}
    ended = fleet.pyinfra("install", "--dry", "--diff", *AT_OLD)
    assert ended.code == 0, ended.text
    assert f"Will install release envoy-gateway-system/eg to {OLD}" in ended.err
    assert "Will create Gateway edge/public" in ended.err
    for name in fleet.names:
        assert writes(fleet.requests(name)[before[name] :]) == []
        assert fleet.version(name) == ""
    assert not (fleet.folder / "runs").exists()
    assert (fleet.folder / "rendered" / fleet.names[0] / "gateway" / "gatewayclass.yaml").exists()


@pytest.mark.parametrize(("index", "release"), [(1, "1.7.5"), (2, "1.6.7")])
def test_crds_of_an_older_release_are_there(fleet: Fleet, index: int, release: str) -> None:
    """
    The start of the upgrade paths from 1.6 and 1.7: their CRDs, by hand, and an object of each
    alpha.
    """
    name = fleet.names[index]
    packed = REPOSITORY / "tests" / "data" / "crds" / f"envoy-gateway-{release}.json.gz"
    crds = gzip.decompress(packed.read_bytes()).decode()
    apply = ("--context", name, "apply", "--server-side", "-f", "-")
    fleet.lab.kubectl(*apply, text=crds)
    wait = ("wait", "crd", "--all", "--for=condition=Established", "--timeout=240s")
    fleet.kubectl(name, *wait)
    for kind, version in (("TCPRoute", "v1alpha2"), ("TLSRoute", "v1alpha3")):
        fleet.lab.kubectl(*apply, text=json.dumps(alpha_route(kind, version)))


def alpha_route(kind: str, version: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"rules": [{"backendRefs": [{"name": "blue", "port": 8080}]}]}
    if kind == "TLSRoute":
        spec["hostnames"] = ["old.lab.test"]
    return {
        "apiVersion": f"gateway.networking.k8s.io/{version}",
        "kind": kind,
        "metadata": {"name": "old", "namespace": "demo"},
        "spec": spec,
    }


def test_an_upgrade_of_nothing_is_refused(fleet: Fleet) -> None:
    ended = fleet.pyinfra("upgrade", "-y")
    assert ended.code == 1
    assert "Envoy Gateway is not installed: deploys/install.py installs it" in ended.err
    assert set(fleet.statuses().values()) == {"failed"}


def test_install(fleet: Fleet) -> None:
    """All in one ring, to save a minute; the upgrade has three."""
    ended = fleet.pyinfra("install", "-y", *AT_OLD, "--data", "ring=0")
    assert ended.code == 0, ended.text
    for name in fleet.names:
        assert fleet.version(name) == OLD
        address = fleet.address(name)
        for host in ("blue", "green"):
            answer = ask(address, f"{host}.lab.test")
            assert (answer["service"], answer["ingress"]) == (host, name)
        assert tcp(address).startswith(b"HTTP/1.1 200")
    assert set(fleet.statuses().values()) == {"done"}


@pytest.mark.parametrize("index", [1, 2])
def test_objects_of_older_releases_are_read_by_the_new_crds(fleet: Fleet, index: int) -> None:
    name = fleet.names[index]
    for resource in ("tcproutes.v1alpha2", "tlsroutes.v1"):
        found = fleet.kubectl(
            name, "get", f"{resource}.gateway.networking.k8s.io", "old", "-n", "demo", "-o", "name"
        )
        assert found.strip().endswith("/old")


def test_what_a_run_leaves_behind(fleet: Fleet) -> None:
    report = fleet.report()
    folder = fleet.folder / "runs" / report["id"]
    assert (report["schema"], report["exit"]) == ("envoyfleet.run/1", 0)
    steps = [it["name"] for it in report["clusters"][0]["steps"]]
    assert [it for it in steps if it.startswith("Ring 0 | Install | ")] == [
        f"Ring 0 | Install | {it}"
        for it in (
            "Preflight",
            "Watch traffic",
            "CRDs",
            "Stored versions",
            "Controller",
            "Safe-upgrades policy",
            "Gateways",
            "Traffic",
        )
    ]
    assert folder.stat().st_mode & 0o777 == 0o700
    entries, fault = journal.read(folder / "journal.jsonl")
    assert fault is None
    assert (entries[0]["event"], entries[-1]["event"]) == ("run", "run ended")
    told = "<h1>install of inventory/lab.py: <b>done</b></h1>"
    assert told in (folder / "report.html").read_text()
    assert (
        "| lab" in (folder / "report.md").read_text()
        or "| test" in (folder / "report.md").read_text()
    )
    suites = ElementTree.parse(folder / "junit.xml").getroot()
    assert [it.get("name") for it in suites] == fleet.names


def test_nothing_to_do(fleet: Fleet, tmp_path: Path) -> None:
    """No write, no helm process, and at most 20 requests a cluster, counted by the API servers."""
    helm = tmp_path / "helm"
    helm.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\nexit 1\n")
    helm.chmod(0o755)
    before = {name: len(fleet.requests(name)) for name in fleet.names}
    ended = fleet.pyinfra("install", "-y", *AT_OLD, "--data", f"helm={helm}")
    assert ended.code == 0, ended.text
    assert set(fleet.statuses().values()) == {"unchanged"}
    assert not (tmp_path / "was-run").exists()
    for name in fleet.names:
        made = fleet.requests(name)[before[name] :]
        assert writes(made) == []
        assert len(made) <= 20, [it["requestURI"] for it in made]


def test_an_image_that_cannot_be_pulled_is_named(fleet: Fleet) -> None:
    """Helm says only that a Job is not ready; the run says why, and the next one puts it right."""
    first = fleet.names[0]
    ended = fleet.pyinfra(
        "install", "-y", *AT_OLD, *NO_IMAGE, "--limit", first, "--data", "timeout=15"
    )
    assert ended.code == 1
    why = fleet.report()["clusters"][0]["why"]
    assert why.startswith("UPGRADE FAILED: pre-upgrade hooks failed")
    assert "docker.io/lab/nope" in why
    assert fleet.pyinfra("install", "-y", *AT_OLD, "--limit", first).code == 0
    assert fleet.version(first) == OLD


def test_sigterm_ends_helm_too(fleet: Fleet) -> None:
    first = fleet.names[0]
    arguments = ("deploys/install.py", "-y", *AT_OLD, *NO_IMAGE, "--limit", first)
    running = fleet.started("inventory/lab.py", *arguments)
    until("helm", lambda: "pending-upgrade" in fleet.release_status(first))
    running.send_signal(signal.SIGTERM)
    assert running.wait(120) == 143
    assert fleet.release_status(first) == "failed"
    assert fleet.report()["exit"] == 143
    assert fleet.pyinfra("install", "-y", *AT_OLD, "--limit", first).code == 0


def test_other_releases_are_pointed_at_their_deploys(fleet: Fleet) -> None:
    first = fleet.names[0]
    newer = fleet.pyinfra("install", "-y", "--limit", first)
    assert newer.code == 1
    assert f"Envoy Gateway {OLD} is installed: go to {NEW} with deploys/upgrade.py" in newer.err
    assert fleet.version(first) == OLD


def test_a_field_of_another_manager_stops_the_cluster(fleet: Fleet) -> None:
    first = fleet.names[0]
    patch = '{"spec":{"shutdown":{"drainTimeout":"33s"}}}'
    where = ("envoyproxy", "envoy", "--namespace", "envoy-gateway-system", "--type", "merge")
    fleet.kubectl(first, "patch", *where, "--patch", patch, "--field-manager", "somebody")
    ended = fleet.pyinfra("install", "-y", *AT_OLD, "--limit", first)
    assert ended.code == 1
    why = fleet.report()["clusters"][0]["why"]
    assert why.startswith("EnvoyProxy envoy-gateway-system/envoy: Apply failed with 1 conflict")
    assert '"somebody"' in why
    assert ".spec.shutdown.drainTimeout" in why
    patch = patch.replace("33s", "60s")
    fleet.kubectl(first, "patch", *where, "--patch", patch, "--field-manager", "somebody")
    assert fleet.pyinfra("install", "-y", *AT_OLD, "--limit", first).code == 0


def test_a_crd_changed_by_hand_is_put_right(fleet: Fleet) -> None:
    first, name = fleet.names[0], "gateways.gateway.networking.k8s.io"
    fleet.kubectl(
        first, "patch", "crd", name, "--type=json", "--patch",
        '[{"op":"add","path":"/spec/names/shortNames/-","value":"zzz"}]',
    )  # fmt: skip
    ended = fleet.pyinfra("install", "-y", *AT_OLD, "--limit", first)
    assert ended.code == 0, ended.text
    names = json.loads(fleet.kubectl(first, "get", "crd", name, "--output", "json"))["spec"][
        "names"
    ]
    assert "zzz" not in names["shortNames"]
    assert fleet.pyinfra("install", "-y", *AT_OLD, "--limit", first).code == 0
    assert fleet.statuses()[first] == "unchanged"


def test_a_dead_api_server_leaves_the_fleet_untouched(fleet: Fleet) -> None:
    """It counts as failed, and that is known before the first write."""
    last = fleet.names[3]
    fleet.fault(last, "apiserver-killed", "on")
    try:
        ended = fleet.pyinfra("upgrade", "-y")
    finally:
        fleet.fault(last, "apiserver-killed", "off")
    # The controller lost its Lease meanwhile and begins anew: sick, for as long as that takes.
    deployment = ("deployment/envoy-gateway", "-n", "envoy-gateway-system")
    fleet.kubectl(last, "rollout", "status", *deployment, "--timeout=240s")
    assert ended.code == 5, ended.text
    assert list(fleet.statuses().values()) == ["held", "held", "held", "unreachable"]
    assert {fleet.version(name) for name in fleet.names} == {OLD}


def test_a_controller_that_never_starts_is_taken_back(fleet: Fleet) -> None:
    """Ring 0 is upgraded, ring 1 goes back and serves, ring 2 is not touched."""
    first, second, third, fourth = fleet.names
    inventory = "tests/lab/inventories/broken.py"
    before = {name: len(fleet.requests(name)) for name in (third, fourth)}
    with traffic(fleet.address(second)) as seen:
        ended = fleet.pyinfra("upgrade", "-y", inventory=inventory, BROKEN=second)
    assert ended.code == 5, ended.text
    assert fleet.statuses() == {
        first: "done",
        second: "rolled back",
        third: "held",
        fourth: "held",
    }
    one = next(it for it in fleet.report()["clusters"] if it["name"] == second)
    assert "docker.io/lab/nope" in one["why"]
    assert one["why"].endswith(", serving")
    assert [fleet.version(name) for name in fleet.names] == [NEW, OLD, OLD, OLD]
    assert fleet.release_status(second) == "deployed"
    assert ask(fleet.address(second), "green.lab.test")["ingress"] == second
    assert (seen.sent > 100, seen.failures) == (True, [])
    for name in (third, fourth):
        assert writes(fleet.requests(name)[before[name] :]) == []


def test_a_run_that_is_killed_goes_on(fleet: Fleet) -> None:
    """
    Killed with helm in the middle of it, and helm too. Meanwhile nobody else gets in; afterwards
    the same command takes over, mends the release and ends the roll-out, losing no request.
    """
    second, third = fleet.names[1:3]
    running = fleet.started("inventory/lab.py", "deploys/upgrade.py", "-y")
    until("helm", lambda: "pending-upgrade" in fleet.release_status(second))
    for pid in programs(fleet):
        os.kill(pid, signal.SIGSTOP)  # so that it is in the middle until it is killed
    beside = fleet.pyinfra("rollback", "-y", "--limit", second)
    assert beside.code == 2
    assert f"works on {second} since" in beside.err
    assert "Ring 1 | Upgrade | Controller" in beside.err
    for pid in [*programs(fleet), running.pid]:
        os.kill(pid, signal.SIGKILL)
    running.wait(60)
    with traffic(fleet.address(third)) as seen:
        ended = fleet.pyinfra("upgrade", "-y")
    assert ended.code == 0, ended.text
    assert "Goes on with run" in ended.err
    facts = {it["name"]: it["facts"] for it in fleet.report()["clusters"]}
    assert "pending-upgrade: its helm process was killed" in facts[second]["recovered"]
    assert "0 failed, longest gap" in facts[third]["traffic while changing"]
    assert seen.sent > 500
    assert seen.lost() < 0.01
    for name in fleet.names:
        assert (fleet.version(name), fleet.release_status(name)) == (NEW, "deployed")
        answer = ask(fleet.address(name), "green.lab.test")
        assert (answer["service"], answer["ingress"]) == ("green", name)
        # TCPRoutes die in silence where the CRDs come after the controller.
        assert tcp(fleet.address(name)).startswith(b"HTTP/1.1 200")


def programs(fleet: Fleet) -> list[int]:
    """The helm processes of this lab's runs, and their shells."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            names = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(f"ENVOYFLEET_CLUSTER={it}".encode() in names for it in fleet.names):
            found.append(int(folder.name))
    return found


def test_an_upgrade_that_is_done(fleet: Fleet, tmp_path: Path) -> None:
    """No write, no helm process, and at most 25 requests a cluster, counted by the API servers."""
    helm = tmp_path / "helm"
    helm.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\nexit 1\n")
    helm.chmod(0o755)
    before = {name: len(fleet.requests(name)) for name in fleet.names}
    ended = fleet.pyinfra("upgrade", "-y", "--data", f"helm={helm}")
    assert ended.code == 0, ended.text
    assert set(fleet.statuses().values()) == {"unchanged"}
    assert not (tmp_path / "was-run").exists()
    for name in fleet.names:
        made = fleet.requests(name)[before[name] :]
        assert writes(made) == []
        assert len(made) <= 25, [it["requestURI"] for it in made]
    assert fleet.pyinfra("install", "-y").code == 0
    assert set(fleet.statuses().values()) == {"unchanged"}


def test_proxies_are_on_the_new_image_when_the_run_ends(fleet: Fleet) -> None:
    """All that serve: an old one may still drain its last connections."""
    labels = "app.kubernetes.io/component=proxy"
    for name in fleet.names:
        listed = fleet.kubectl(name, "get", "pods", "--all-namespaces", "-l", labels, "-o", "json")
        images = {
            container["image"]
            for pod in json.loads(listed)["items"]
            if not pod["metadata"].get("deletionTimestamp")
            for container in pod["spec"]["containers"]
        }
        assert images == {"docker.io/lab/envoy:distroless-v1.39.1", f"docker.io/lab/gateway:v{NEW}"}


def test_status(fleet: Fleet) -> None:
    ended = fleet.pyinfra("status", "--data", "output=json")
    assert ended.code == 0, ended.text
    document = json.loads(ended.out)
    assert document["schema"] == "envoyfleet.status/1"
    assert document["findings"] == []
    one = document["clusters"][0]
    assert (one["envoy_gateway"], one["bundle"], one["channel"]) == (NEW, "v1.6.1", "experimental")
    assert one["gateways"] == [
        {"name": "edge/public", "addresses": [fleet.address(one["name"])], "problems": []}
    ]


def test_status_names_what_is_broken(fleet: Fleet) -> None:
    first = fleet.names[0]
    secret = fleet.kubectl(first, "get", "secret", "lab-tls", "-n", "edge", "-o", "json")
    fleet.kubectl(first, "delete", "secret", "lab-tls", "-n", "edge")
    try:
        ended = fleet.pyinfra("status")
        assert ended.code == 3
        assert (
            f"error GW301 {first}: Gateway edge/public, listener https: ResolvedRefs" in ended.out
        )
        assert "Secret edge/lab-tls does not exist" in ended.out
    finally:
        fleet.lab.kubectl("--context", first, "apply", "-f", "-", text=secret)


def test_doctor(fleet: Fleet) -> None:
    ended = fleet.pyinfra("doctor")
    assert ended.code == 0, ended.text
    assert f"{NEW} pinned" in ended.out


@pytest.mark.parametrize("shape", ["merged", "namespaced"])
def test_other_shapes_beside_the_first(fleet: Fleet, shape: str) -> None:
    """
    A second controller with merged Gateways, and one that deploys into the Gateways' namespaces.
    """
    inventory = "tests/lab/inventories/shapes.py"
    ended = fleet.pyinfra("install", "-y", inventory=inventory, SHAPE=shape)
    assert ended.code == 0, ended.text
    again = fleet.pyinfra("install", "-y", inventory=inventory, SHAPE=shape)
    assert again.code == 0
    assert set(fleet.statuses().values()) == {"unchanged"}
    if shape == "namespaced":
        addresses = fleet.report()["clusters"][-1]["facts"]["addresses"].split(", ")
        assert len(addresses) == 2
        assert any(it.endswith(".77") for it in addresses)


def test_two_names_for_one_cluster_are_refused(fleet: Fleet, tmp_path: Path) -> None:
    first = fleet.names[0]
    config = Path(fleet.lab.data["kubeconfig"]).read_text()
    other = tmp_path / "other"
    import yaml

    document = yaml.safe_load(config)
    context = next(it for it in document["contexts"] if it["name"] == first)
    document["contexts"].append({"name": "other", "context": context["context"]})
    other.write_text(yaml.safe_dump(document))
    inventory = tmp_path / "twice.py"
    data = {"ring": 0, "envoy_gateway_version": NEW, "kube_config": str(other)}
    inventory.write_text(f"clusters = [('@kube/{first}', {data!r}), ('@kube/other', {data!r})]\n")
    lock = fleet.folder / "fleet.lock"
    lock.write_text((fleet.folder / "inventory" / "lab.lock").read_text())
    ended = fleet.pyinfra("install", "-y", inventory=str(inventory))
    assert ended.code == 2, ended.text
    both = " and ".join(sorted([first, "other"]))
    assert f"{both} are one and the same cluster" in ended.err


def test_the_fleet_goes_back_under_traffic(fleet: Fleet) -> None:
    """Newest ring first, each cluster to the revision that was good before the upgrade."""
    second = fleet.names[1]
    with traffic(fleet.address(second)) as seen:
        ended = fleet.pyinfra("rollback", "-y")
    assert ended.code == 0, ended.text
    assert set(fleet.statuses().values()) == {"done"}
    order = [it for it in ended.err.splitlines() if "| Roll back | Controller" in it]
    assert [it.partition("Ring ")[2][:1] for it in order[:3]] == ["2", "1", "0"]
    assert seen.lost() < 0.01
    for name in fleet.names:
        assert (fleet.version(name), fleet.release_status(name)) == (OLD, "deployed")
        assert tcp(fleet.address(name)).startswith(b"HTTP/1.1 200")
    again = fleet.pyinfra("rollback", "-y")
    assert again.code == 0, again.text
    assert set(fleet.statuses().values()) == {"unchanged"}


def test_no_secret_was_written_anywhere(fleet: Fleet) -> None:
    first = fleet.names[0]
    secret = json.loads(
        fleet.kubectl(first, "get", "secret", "lab-tls", "-n", "edge", "-o", "json")
    )
    token = Path(fleet.lab.data["kubeconfig"]).read_text().partition("token: ")[2].split()[0]
    values = [*secret["data"].values(), token]
    for file in [*(fleet.folder / "runs").rglob("*"), *(fleet.folder / "rendered").rglob("*")]:
        if file.is_file():
            assert not any(it in file.read_text() for it in values), file
