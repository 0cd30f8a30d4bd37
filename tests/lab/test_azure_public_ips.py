"""
The chain behind a public IP, broken link by link in the lab's Azure: each break is found with its
code and its fix, and when it is mended the fleet is quiet again.
"""

from __future__ import annotations

import copy
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.lab.fleet import Fleet, opened
from tests.lab.running import run, until
from tests.lab.test_azure_fleet import NETWORK, PREFIX, Azure

pytestmark = pytest.mark.lab
NAME = "audited"
HOSTS = ("blue", "green")


@dataclass(frozen=True)
class Chain:
    """A Gateway of the first cluster with a public IP that outlives it: ids of its links."""

    fleet: Fleet
    azure: Azure
    cluster: str
    ip: str
    lock: str
    role: str
    address: str

    @property
    def balancer(self) -> str:
        return self.azure.of_nodes(self.cluster, "loadBalancers", "kubernetes")

    @property
    def security_group(self) -> str:
        return self.azure.of_nodes(self.cluster, "networkSecurityGroups", "aks-agentpool-nsg")

    def record(self, host: str) -> str:
        return f"{self.azure.group}/{NETWORK}/dnszones/lab.test/A/{host}"

    def plant(self, id: str, body: dict[str, Any]) -> None:
        self.azure.run("plant", id, "-", text=json.dumps(body))

    @contextmanager
    def broken(self, id: str, change: Callable[[dict[str, Any]], None] | None) -> Iterator[None]:
        """For as long as the block runs. + change: of the resource, None takes it away"""
        before = self.azure.show(id)
        body = copy.deepcopy(before)
        if change is None:
            self.azure.run("delete", id)
        else:
            change(body)
            self.plant(id, body)
        try:
            yield
        finally:
            if id == self.ip:
                before["properties"].pop("ipConfiguration", None)  # what holds it says so itself
            self.plant(id, before)
            until("the chain as it was", self.serves)

    def serves(self) -> bool:
        """
        For two seconds on end: the cloud's controller binds an address again in its own time, and
        what is broken next must not be taken for that.
        """
        for _ in range(10):
            for port in (80, 443):
                try:
                    socket.create_connection((self.address, port), 2).close()
                except OSError:
                    return False
            time.sleep(0.2)
        return True

    def found(self) -> list[dict[str, Any]]:
        """The findings that count, but for infos."""
        ended = self.fleet.pyinfra("public_ips", "--data", "output=json")
        document = json.loads(ended.out[ended.out.index("{\n") :])
        found = [it for it in document["findings"] if it["severity"] != "info"]
        assert ended.code == (3 if found else 0), ended.text
        return found


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Made by hand, as an operator would; taken away again in the end."""
    fleet = opened(tmp_path_factory.mktemp("audit"))
    sample = run("sample", name=fleet.lab.name)
    assert sample.returncode == 0, sample.stdout + sample.stderr
    installed = fleet.pyinfra("install", "-y")
    assert installed.code == 0, installed.text
    azure, cluster = Azure(fleet.lab), fleet.names[0]
    ip, address = azure.reserve(NAME)
    body = {**azure.show(ip), "zones": ["1", "2", "3"]}
    azure.run("plant", ip, "-", text=json.dumps(body))
    lock = f"{azure.group}/providers/Microsoft.Authorization/locks/keep"  # it outlives the IP
    azure.run("put", lock, "-", text=json.dumps({"properties": {"level": "CanNotDelete"}}))
    role = azure.run("grant", cluster, "Network Contributor", azure.group).strip()
    one = Chain(fleet, azure, cluster, ip, lock, role, address)
    try:
        asks(fleet, cluster, NAME, "addresses")
        until("the address", lambda: fleet.address(cluster) == address)
        there = [fleet.address(it) for it in fleet.names]
        for host in HOSTS:
            azure.run("put", one.record(host), "-", text=record(*there))
        yield one
    finally:
        asks(fleet, cluster, None, None)
        until("another address", lambda: fleet.address(cluster) not in (address, ""))
        for id in (lock, ip, role, *(one.record(it) for it in HOSTS)):
            azure.run("delete", id)


def asks(fleet: Fleet, cluster: str, name: str | None, group: str | None) -> None:
    """What the Gateway asks Azure for; None takes an annotation away."""
    said = {f"{PREFIX}pip-name": name, f"{PREFIX}load-balancer-resource-group": group}
    patch = json.dumps({"spec": {"infrastructure": {"annotations": said}}})
    arguments = ("patch", "gateway", "public", "--namespace", "edge", "--type", "merge")
    fleet.kubectl(cluster, *arguments, "--patch", patch)


def record(*addresses: str) -> str:
    said = {"TTL": 1, "ARecords": [{"ipv4Address": it} for it in addresses]}
    return json.dumps({"properties": said})


def test_the_healthy_fleet_is_quiet(chain: Chain) -> None:
    assert chain.found() == []


def in_another_region(ip: dict[str, Any]) -> None:
    ip["location"] = "northeurope"


def without_zones(ip: dict[str, Any]) -> None:
    ip["zones"] = ["1"]


def failed(ip: dict[str, Any]) -> None:
    ip["properties"]["provisioningState"] = "Failed"


def of_another(ip: dict[str, Any]) -> None:
    other = f"{ip['id'].rpartition('/providers/')[0]}/providers/Microsoft.Network/bastionHosts/b"
    ip["properties"]["ipConfiguration"] = {"id": f"{other}/bastionHostIpConfigurations/c"}


def denies(group: dict[str, Any]) -> None:
    rule = {
        "priority": 100,
        "direction": "Inbound",
        "access": "Deny",
        "protocol": "*",
        "sourceAddressPrefix": "Internet",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "*",
    }
    group["properties"]["securityRules"].append({"name": "closed", "properties": rule})


def without_https(balancer: dict[str, Any]) -> None:
    said = balancer["properties"]
    said["loadBalancingRules"] = [
        it for it in said["loadBalancingRules"] if it["properties"]["frontendPort"] != 443
    ]


def leads_elsewhere(name: dict[str, Any]) -> None:
    name["properties"]["ARecords"] = [{"ipv4Address": "203.0.113.9"}]


@pytest.mark.parametrize(
    ("link", "change", "wanted", "said"),
    [
        pytest.param("ip", None, "GW701", "az network public-ip create", id="deleted"),
        pytest.param("ip", of_another, "GW706", "Bastion b", id="bound elsewhere"),
        pytest.param("lock", None, "GW708", "az lock create", id="no lock"),
        pytest.param("ip", in_another_region, "GW709", "northeurope", id="another region"),
        pytest.param("ip", without_zones, "GW710", "zone", id="one zone"),
        pytest.param("ip", failed, "GW711", "Failed", id="provisioning failed"),
        pytest.param("role", None, "GW705", "az role assignment create", id="no role"),
        pytest.param("security_group", denies, "GW720", "closed", id="a rule denies"),
        pytest.param("balancer", without_https, "GW718", "443", id="no rule for a port"),
        pytest.param("record", leads_elsewhere, "GW722", "203.0.113.9", id="DNS elsewhere"),
    ],
)
def test_a_broken_link_is_found_with_its_fix(
    chain: Chain,
    link: str,
    change: Callable[[dict[str, Any]], None] | None,
    wanted: str,
    said: str,
) -> None:
    id = chain.record("blue") if link == "record" else getattr(chain, link)
    with chain.broken(id, change):
        found = chain.found()
    mine = [it for it in found if it["cluster"] == chain.cluster]
    assert {it["code"] for it in mine} == {wanted}, found
    assert any(said in f"{it['what']}: {it['fix']}" for it in mine), mine


def test_an_annotation_that_the_service_lost_is_found(chain: Chain) -> None:
    """Nobody gives it back while the controller is down."""
    fleet, cluster = chain.fleet, chain.cluster
    place = ("--namespace", "envoy-gateway-system")
    labels = "gateway.envoyproxy.io/owning-gateway-name=public"
    scale = ("scale", "deployment", "envoy-gateway", *place)
    fleet.kubectl(cluster, *scale, "--replicas", "0")
    key = f"{PREFIX}load-balancer-tcp-idle-timeout"
    patch = json.dumps({"spec": {"infrastructure": {"annotations": {key: "5"}}}})
    gateway = ("patch", "gateway", "public", "--namespace", "edge", "--type", "merge", "--patch")
    try:
        until("no controller", partial(no_pod, fleet, cluster))
        fleet.kubectl(cluster, *gateway, patch)
        [found] = [it for it in chain.found() if it["cluster"] == cluster]
        assert (found["code"], key in f"{found['what']}: {found['fix']}") == ("GW715", True), found
        assert fleet.kubectl(cluster, "get", "service", *place, "-l", labels, "-o", "name")
    finally:
        fleet.kubectl(cluster, *gateway, patch.replace('"5"', "null"))
        fleet.kubectl(cluster, *scale, "--replicas", "1")


def no_pod(fleet: Fleet, cluster: str) -> bool:
    labels = ("-l", "control-plane=envoy-gateway", "-n", "envoy-gateway-system", "-o", "name")
    return not fleet.kubectl(cluster, "get", "pods", *labels).strip()


def test_it_is_quiet_again(chain: Chain) -> None:
    until("a quiet fleet", lambda: chain.found() == [])
