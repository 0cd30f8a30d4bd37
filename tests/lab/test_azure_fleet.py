"""
Clusters of AKS in the lab: who signs in to them, and which address a Service has, as Azure and the
cloud provider of a cluster decide it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.fleet import Fleet, opened
from tests.lab.running import REPOSITORY, LabUnderTest, run, until

pytestmark = pytest.mark.lab

PREFIX = "service.beta.kubernetes.io/azure-"
NETWORK = "providers/Microsoft.Network"
IN_ADDRESSES = {"load-balancer-resource-group": "addresses"}


class Azure:
    """The lab's Azure, by its command line, and Services that ask it for addresses."""

    def __init__(self, lab: LabUnderTest) -> None:
        self.lab = lab
        self.said: dict[str, Any] = lab.data["azure"]
        self.names = [it["name"] for it in lab.data["clusters"]]
        self.group = f"/subscriptions/{self.said['subscription']}/resourceGroups/addresses"

    def run(self, *arguments: str, text: str | None = None) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tasks.lab", "azure", *arguments, "--name", self.lab.name],
            input=text,
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def show(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("show", id))
        return found

    def of_nodes(self, cluster: str, kind: str, name: str) -> str:
        """The id of a thing in a cluster's node resource group."""
        nodes = self.group.replace("addresses", f"MC_clusters_{cluster}_westeurope")
        return f"{nodes}/{NETWORK}/{kind}/{name}"

    def reserve(self, name: str) -> tuple[str, str]:
        """A public IP that outlives clusters: id and address."""
        id = f"{self.group}/{NETWORK}/publicIPAddresses/{name}"
        body = {
            "location": "westeurope",
            "sku": {"name": "Standard"},
            "properties": {"publicIPAllocationMethod": "Static"},
        }
        self.run("put", id, "-", text=json.dumps(body))
        return id, str(self.show(id)["properties"]["ipAddress"])

    def service(self, cluster: str, name: str, **asks: str) -> None:
        """A Service in front of the blue backend; what it asks for is asked anew each time."""
        annotations = {f"{PREFIX}{key}": value for key, value in asks.items()}
        ports = [{"name": "http", "port": 80, "targetPort": 3000}]
        manifest = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "demo", "annotations": annotations},
            "spec": {"type": "LoadBalancer", "selector": {"app": "blue"}, "ports": ports},
        }
        self.kubectl(cluster, "apply", "--filename", "-", text=json.dumps(manifest))

    def drop(self, cluster: str, *names: str) -> None:
        services = [f"service/{it}" for it in names]
        self.kubectl(cluster, "delete", *services, "--namespace", "demo", "--ignore-not-found")

    def address(self, cluster: str, name: str) -> str | None:
        path = "jsonpath={.status.loadBalancer.ingress[0].ip}"
        place = ("--namespace", "demo", "--output", path)
        return self.kubectl(cluster, "get", "service", name, *place) or None

    def events(self, cluster: str, name: str) -> str:
        field = f"--field-selector=involvedObject.name={name}"
        return self.kubectl(cluster, "get", "events", "--namespace", "demo", field, "-o", "yaml")

    def kubectl(self, cluster: str, *arguments: str, text: str | None = None) -> str:
        return self.lab.kubectl("--context", cluster, *arguments, text=text)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return opened(tmp_path_factory.mktemp("azure"))


@pytest.fixture(scope="module")
def azure(fleet: Fleet) -> Iterator[Azure]:
    """With the sample, which others may have installed already; their Services stay."""
    sample = run("sample", name=fleet.lab.name)
    assert sample.returncode == 0, sample.stdout + sample.stderr
    one = Azure(fleet.lab)
    try:
        yield one
    finally:
        for cluster in one.names:
            one.drop(cluster, "plain", "named", "taken", "private")
        for name in ("moves", "stays"):
            one.run("delete", f"{one.group}/{NETWORK}/publicIPAddresses/{name}")


def answers(address: str) -> str | None:
    """The cluster that answers at an address, ``None`` where nothing does."""
    try:
        with urllib.request.urlopen(f"http://{address}/", timeout=1) as reply:
            return str(json.load(reply)["ingress"])
    except OSError:
        return None


def test_clusters_are_listed_and_signed_in_to_with_a_token(fleet: Fleet, azure: Azure) -> None:
    """The API server knows the operator by an object id, and as nobody's user of a kubeconfig."""
    first = azure.names[0]
    before = len(fleet.requests(first))
    ended = fleet.pyinfra("status")
    assert ended.code == 0, ended.text
    assert all(it in ended.out for it in azure.names), ended.out
    [user] = {it["user"]["username"] for it in fleet.requests(first)[before:]}
    assert len(user) == 36, "an object id"


def test_a_service_gets_an_address_and_gives_it_back(azure: Azure) -> None:
    cluster = azure.names[0]
    azure.service(cluster, "plain")
    until("an address", lambda: azure.address(cluster, "plain"))
    address = str(azure.address(cluster, "plain"))
    until("an answer", lambda: answers(address) == cluster)
    made = [it for it in azure.run("show").split() if "/publicIPAddresses/kubernetes-a" in it]
    [mine] = [it for it in made if azure.show(it)["properties"]["ipAddress"] == address]
    group = azure.show(azure.of_nodes(cluster, "networkSecurityGroups", "aks-agentpool-nsg"))
    assert address in json.dumps(group["properties"]["securityRules"])
    azure.drop(cluster, "plain")
    until("no public IP", lambda: mine not in azure.run("show"))
    assert answers(address) is None


def test_what_azure_refuses_is_an_event_of_the_service(azure: Azure) -> None:
    first, second = azure.names[:2]
    _, address = azure.reserve("stays")
    azure.service(first, "named", **{"pip-name": "stays", **IN_ADDRESSES})
    until("no role", lambda: "AuthorizationFailed" in azure.events(first, "named"))
    roles = [
        azure.run("grant", it, "Network Contributor", azure.group).strip() for it in azure.names
    ]
    try:
        until("the address", lambda: azure.address(first, "named") == address)
        until("an answer", lambda: answers(address) == first)
        azure.service(second, "taken", **{"pip-name": "stays", **IN_ADDRESSES})
        until("in use", lambda: "PublicIPAddressInUse" in azure.events(second, "taken"))
        azure.service(second, "taken", **{"pip-name": "gone", **IN_ADDRESSES})
        until("not there", lambda: "=gone for service demo/taken" in azure.events(second, "taken"))
        assert azure.address(second, "taken") is None
        _deny_and_open(azure, first, address)
        azure.service(first, "private", **{"load-balancer-internal": "true"})
        until("a private address", lambda: answers(str(azure.address(first, "private"))) == first)
    finally:
        azure.drop(first, "named", "private")
        azure.drop(second, "taken")
        for role in roles:
            azure.run("delete", role)


def _deny_and_open(azure: Azure, cluster: str, address: str) -> None:
    """A rule of a lower number that denies, and without it again."""
    id = azure.of_nodes(cluster, "networkSecurityGroups", "aks-agentpool-nsg")
    group = azure.show(id)
    said = {
        "priority": 100,
        "direction": "Inbound",
        "access": "Deny",
        "protocol": "Tcp",
        "sourceAddressPrefix": "*",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "80",
    }
    rules = [*group["properties"]["securityRules"], {"name": "closed", "properties": said}]
    closed = {**group, "properties": {**group["properties"], "securityRules": rules}}
    azure.run("put", id, "-", text=json.dumps(closed))
    until("silence", lambda: answers(address) is None)
    azure.run("put", id, "-", text=json.dumps(group))
    until("an answer again", lambda: answers(address) == cluster)


def test_an_address_outlives_its_cluster_and_moves_to_another(azure: Azure) -> None:
    first, second = azure.names[:2]
    _, address = azure.reserve("moves")
    roles = [
        azure.run("grant", it, "Network Contributor", azure.group).strip() for it in azure.names
    ]
    try:
        azure.service(first, "named", **{"load-balancer-ipv4": address, **IN_ADDRESSES})
        until("the address", lambda: answers(address) == first)
        azure.run("lose", first)
        until("silence", lambda: answers(address) is None)
        azure.service(second, "named", **{"load-balancer-ipv4": address, **IN_ADDRESSES})
        until("the address on the other cluster", lambda: answers(address) == second)
    finally:
        azure.drop(second, "named")
        if f"managedClusters/{first}\n" not in azure.run("show"):
            azure.run("return", first)
        azure.drop(first, "named")
        for role in roles:
            azure.run("delete", role)
    until("no load balancer with it", lambda: answers(address) is None)
    again = run("azure", "return", first, name=azure.lab.name)
    assert (again.returncode, f"{first} is not lost" in again.stderr) == (2, True), again.stderr
