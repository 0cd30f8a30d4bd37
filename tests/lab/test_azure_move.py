"""
A public IP that outlives its cluster: reserved, in use, and after the loss of the cluster in use
again on the one that takes its place. The tests stand in the order of a disaster.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread

import pytest

from tasks.operations.probe import send
from tasks.plans.probes import Request
from tests.lab.fleet import Ended, Fleet, opened
from tests.lab.running import run, until
from tests.lab.test_restore import at

pytestmark = pytest.mark.lab
WITH_IP = "tests/lab/inventories/public_ip.py"
#: Its clients were told: the address that Azure had chosen ends.
ACCEPTED = ("--data", 'accept=["address"]')


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The first cluster has Envoy Gateway, and an address that Azure chose, also in the end."""
    found = opened(tmp_path_factory.mktemp("move"))
    if not found.version(found.names[0]):
        install(found, "--limit", found.names[0])
    yield found
    azure(found, "return", found.names[0], fails=True)
    install(found, "--data", "ring=0")
    for cluster in found.names:
        until(f"{cluster} lets go of it", partial(lets_go, found, cluster))
        found.kubectl(cluster, "delete", "envoyproxy", "public-public-ip", "--namespace", "edge")
    for it in made(found):
        azure(found, "delete", it)


def install(fleet: Fleet, *more: str) -> None:
    ended = fleet.pyinfra("install", "-y", *at(fleet, fleet.names[0]), *more)
    assert ended.code == 0, ended.text


def azure(fleet: Fleet, *arguments: str, fails: bool = False) -> str:
    """``python -m tasks.lab azure ...``. + fails: it may"""
    done = run("azure", *arguments, name=fleet.lab.name)
    assert fails or done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ip(fleet: Fleet) -> str:
    """The id of the public IP."""
    return f"{group(fleet)}/providers/Microsoft.Network/publicIPAddresses/moved"


def group(fleet: Fleet) -> str:
    about = fleet.lab.data["azure"]
    return f"/subscriptions/{about['subscription']}/resourceGroups/{about['groups']['addresses']}"


def made(fleet: Fleet) -> list[str]:
    """What was made in Azure: the address with its lock, and roles on its group."""
    roles = f"{group(fleet)}/providers/Microsoft.Authorization/roleAssignments/".lower()
    there = azure(fleet, "show").split()
    own = [it for it in there if it.lower() == ip(fleet).lower()]
    return own + [it for it in there if it.lower().startswith(roles)]


def address(fleet: Fleet) -> str:
    there = json.loads(azure(fleet, "show", ip(fleet), fails=True) or "{}")
    return str(there.get("properties", {}).get("ipAddress", "none"))


def lets_go(fleet: Fleet, cluster: str) -> bool:
    return not has(fleet, cluster, address(fleet))


def has(fleet: Fleet, cluster: str, wanted: str) -> bool:
    """Whether a cluster's Gateway has an address."""
    return fleet.address(cluster) == wanted


def reserve(fleet: Fleet, *more: str) -> Ended:
    return fleet.pyinfra("reserve_public_ip", *more, inventory=WITH_IP)


def replacement(fleet: Fleet, *more: str) -> Ended:
    """The second cluster restored from the archive of the first."""
    first, second = fleet.names
    taken = ("--data", f"from_cluster={first}", *at(fleet, second))
    return fleet.pyinfra("restore", "--limit", second, *taken, *more)


def test_reserved_and_asked_for(fleet: Fleet) -> None:
    """Not in passing, for clients know another address; then all of it, and nothing again."""
    first = fleet.names[0]
    before = fleet.address(first)
    ended = reserve(fleet, "-y")
    assert ended.code == 1, ended.text
    assert f"Gateway edge/public is reached at {before} (public IP " in ended.text
    assert made(fleet) == []
    labels = ("-l", "app.kubernetes.io/component=proxy", "-n", "envoy-gateway-system")
    pods = fleet.kubectl(first, "get", "pods", *labels, "-o", "name")

    ended = reserve(fleet, "-y", *ACCEPTED)
    assert ended.code == 0, ended.text
    assert has(fleet, first, address(fleet))
    assert fleet.kubectl(first, "get", "pods", *labels, "-o", "name") == pods
    assert len(made(fleet)) == 2

    ended = reserve(fleet, "-y")
    assert ended.code == 0, ended.text
    assert fleet.statuses() == {first: "unchanged"}


def test_it_stays_with_a_cluster_that_lives(fleet: Fleet) -> None:
    first, second = fleet.names
    ended = fleet.pyinfra("backup", "-y", "--limit", first)
    assert ended.code == 0, ended.text
    ended = replacement(fleet, "-y")
    assert ended.code == 1, ended.text
    held = f"addresses/moved, which is held by load balancer kubernetes of cluster {first}"
    assert held in ended.text
    assert f"the identity of cluster {second} may not use public IP addresses/moved" in ended.text
    assert has(fleet, first, address(fleet))


def test_it_serves_again_after_the_loss_of_its_cluster(fleet: Fleet) -> None:
    first, second = fleet.names
    wanted = address(fleet)
    assert first in served_by(wanted)
    azure(fleet, "lose", first)
    azure(fleet, "grant", second, "Network Contributor", group(fleet))
    begun = time.monotonic()
    with first_answer(wanted, second) as answered:
        ended = replacement(fleet, "-y")
        took = time.monotonic() - begun
        assert ended.code == 0, ended.text
        until("requests arrive", lambda: answered)
    assert has(fleet, second, wanted)
    assert f"Gateway edge/public: {wanted} of public IP addresses/moved" in ended.text
    print(f"restored in {took:.1f} s, traffic came back after {answered[0] - begun:.1f} s")


def served_by(address: str) -> str:
    """Such as "demo/blue-5c9f (test3-1)", "" where nothing answers within a second."""
    request = Request("edge/public", "http", "http", address, 80, "blue.lab.test")
    try:
        return send(request, timeout=1).by
    except (OSError, http.client.HTTPException):
        return ""


@contextmanager
def first_answer(address: str, cluster: str) -> Iterator[list[float]]:
    """Gets the time at which an address was first answered for by a cluster."""
    found, stop = list[float](), Event()

    def look() -> None:
        while not stop.wait(0.1) and not found:
            if f"({cluster})" in served_by(address):
                found.append(time.monotonic())

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join(timeout=30)
