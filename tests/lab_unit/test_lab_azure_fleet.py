"""A lab's clusters in Azure, and what their cloud controller does there; no cluster runs."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.lab import certificates, state
from tasks.lab.azure import cloud_provider, fleet, orders, signin
from tasks.lab.azure.client import Arm, ArmError
from tasks.lab.azure.controller import Controller
from tasks.lab.azure.server import Serving, serving
from tasks.lab.azure.state import Azure
from tasks.lab.progress import UsageError
from tasks.lab.state import Lab
from tasks.plans import aks

LAB = Lab("one", 200, clusters=2, azure=True)
FIRST, SECOND = LAB.members()
SHOP = f"{fleet.group(LAB, 'addresses')}/providers/Microsoft.Network/publicIPAddresses/shop"
STATIC = {
    "location": "westeurope",
    "sku": {"name": "Standard"},
    "properties": {"publicIPAllocationMethod": "Static"},
}


@dataclass
class Standing:
    azure: Azure
    serving: Serving

    def controller(self, number: int) -> Controller:
        cluster = LAB.cluster(number)
        client = fleet.identity(self.azure, cluster).client_id
        arm = Arm(self.serving.url, self.serving.imds, client, self.serving.authority)
        return Controller(arm, fleet.place(LAB, cluster), cluster.load_balancer_range)

    def held(self) -> str | None:
        """The frontend that holds the address "shop"."""
        found = self.azure.get(SHOP)
        holder = (found or {}).get("properties", {}).get("ipConfiguration")
        return holder["id"] if holder else None


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all: keys take their time."""
    return tmp_path_factory.mktemp("labs")


@pytest.fixture
def standing(labs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standing]:
    monkeypatch.setattr(state, "LABS", labs)
    certificates.authority(LAB.root)
    azure = Azure(tenant=fleet.tenant(LAB))
    azure.ranges["IPv4"] = LAB.public_range
    fleet.surroundings(azure, LAB)
    for cluster in LAB.members():
        fleet.add(azure, LAB, cluster)
    azure.put(SHOP, STATIC)
    with serving(azure, labs / "azure", ca=LAB.root) as started:
        yield Standing(azure, started)


def service(uid: str = "1", **said: str) -> dict[str, Any]:
    names = {cloud_provider.PREFIX + key.replace("_", "-"): it for key, it in said.items()}
    return {
        "metadata": {
            "name": f"s{uid}",
            "namespace": "edge",
            "uid": f"{uid:0>8}-0000-4000-8000-000000000000",
            "creationTimestamp": "2026-11-22T00:00:00Z",
            "annotations": names,
        },
        "spec": {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80, "nodePort": 3}]},
        "status": {},
    }


NAMED = service(pip_name="shop", load_balancer_resource_group="addresses")


def test_a_cluster_is_as_aks_makes_one(standing: Standing) -> None:
    resource = standing.azure.get(fleet.cluster_id(LAB, FIRST))
    assert resource is not None
    found = aks.managed_cluster(resource)
    asks = fleet.identity(standing.azure, FIRST)
    assert (found.name, found.node_group) == ("one-1", "MC_clusters_one-1_westeurope")
    assert (found.state, found.tags) == ("Succeeded", {"ring": "0", "environment": "lab"})
    assert (found.identity, found.server) == (asks.object_id, FIRST.node_address)
    assert (found.entra, found.local_accounts) == (True, False)
    roles = standing.azure.list("Microsoft.Authorization/roleAssignments")
    own = [it["properties"] for it in roles if it["properties"]["principalId"] == found.identity]
    assert [it["scope"].rpartition("/")[2] for it in own] == ["MC_clusters_one-1_westeurope"]
    assert fleet.provider_id(LAB, FIRST).startswith(
        f"azure:///subscriptions/{fleet.subscription(LAB)}/resourceGroups/"
        "mc_clusters_one-1_westeurope/providers/Microsoft.Compute/virtualMachineScaleSets/aks-"
    )


def test_a_cluster_is_signed_in_to_by_kubelogin(standing: Standing) -> None:
    said = yaml.safe_load(fleet.kubeconfig(LAB, FIRST))
    [user] = said["users"]
    assert user["user"]["exec"]["command"] == "kubelogin"
    assert fleet.tenant(LAB) in user["user"]["exec"]["args"]
    assert said["clusters"][0]["cluster"]["server"] == FIRST.server


def test_the_operators_secrets_are_for_root_alone(standing: Standing) -> None:
    signin.keep(standing.azure, LAB)
    signin.keep(standing.azure, LAB)
    files = (signin.secret_file(LAB), signin.certificate_file(LAB))
    assert {stat.S_IMODE(it.stat().st_mode) for it in files} == {0o600}
    assert len(fleet.surroundings(standing.azure, LAB).certificates) == 1
    told = json.dumps(signin.data(LAB))
    assert signin.secret_file(LAB).read_text() not in told


def test_an_address_is_made_bound_and_given_back(standing: Standing) -> None:
    controller, plain = standing.controller(1), service()
    assert controller.sync([plain])
    address = str(controller.assigned(plain).address)
    assert (address, controller.assigned(plain).problem) == ("10.200.252.7", None)
    asked = len(standing.azure.requests)
    assert not controller.sync([plain])
    assert len(standing.azure.requests) == asked
    group = standing.azure.get(
        controller.place.network("networkSecurityGroups", "aks-agentpool-nsg")
    )
    assert address in json.dumps(group)
    plain["spec"]["type"] = "ClusterIP"
    controller.sync([plain])
    assert controller.clear([plain])
    assert not controller.clear([plain])
    group = standing.azure.get(
        controller.place.network("networkSecurityGroups", "aks-agentpool-nsg")
    )
    assert address not in json.dumps(group)
    left = standing.azure.list("Microsoft.Network/publicIPAddresses")
    assert [it["name"] for it in left if it["name"].startswith("kubernetes-")] == []


def test_without_a_role_the_service_keeps_what_it_has(standing: Standing) -> None:
    controller = standing.controller(1)
    controller.sync([NAMED])
    found = controller.assigned(NAMED)
    assert found.address is None
    assert "ERROR CODE: AuthorizationFailed" in str(found.problem)
    assert "Microsoft.Network/publicIPAddresses/read" in str(found.problem)


def test_an_address_is_one_clusters_until_that_one_is_lost(standing: Standing) -> None:
    for cluster in LAB.members():
        who = fleet.identity(standing.azure, cluster).object_id
        standing.azure.assign(who, "Network Contributor", fleet.group(LAB, "addresses"))
    one, two = standing.controller(1), standing.controller(2)
    one.sync([NAMED])
    assert "/MC_clusters_one-1_westeurope/" in str(standing.held())
    with pytest.raises(ArmError, match="PublicIPAddressInUse"):
        two.ensure(NAMED, [NAMED])
    fleet.lose(standing.azure, LAB, FIRST)
    assert standing.held() is None
    assert two.ensure(NAMED, [NAMED]) == one.assigned(NAMED).address
    assert "/MC_clusters_one-2_westeurope/" in str(standing.held())
    fleet.add(standing.azure, LAB, FIRST)
    assert standing.azure.get(fleet.cluster_id(LAB, FIRST)) is not None


def test_a_service_moves_inside_and_outside(standing: Standing) -> None:
    controller = standing.controller(1)
    assert controller.ensure(service(), [service()]) == "10.200.252.7"
    inside = service(load_balancer_internal="true")
    assert controller.ensure(inside, [inside]).startswith("10.200.18.")
    names = [it["name"] for it in standing.azure.list("Microsoft.Network/loadBalancers")]
    assert sorted(names) == ["kubernetes", "kubernetes", "kubernetes-internal"]
    controller.clear([])
    names = [it["name"] for it in standing.azure.list("Microsoft.Network/loadBalancers")]
    assert sorted(names) == ["kubernetes", "kubernetes"]


def test_orders_go_past_what_azure_would_refuse(standing: Standing) -> None:
    file = LAB.root / "orders"
    orders.take(standing.azure, file, {})
    orders.give(file, do="delete", id=SHOP)
    assert orders.give(file, do="get", id=SHOP) is None
    made = orders.give(file, do="put", id=SHOP, body=STATIC)
    assert made["properties"]["ipAddress"].startswith("10.200.252.")
    orders.give(file, do="fault", values={"status": "429", "match": "GET", "retry_after": "7"})
    with pytest.raises(ArmError) as caught:
        standing.controller(1).ensure(service(), [service()])
    assert (caught.value.status, caught.value.retry_after) == (429, 7)
    orders.give(file, do="clear")
    with pytest.raises(UsageError, match="a fault has no 'bogus': it has match, "):
        orders.give(file, do="fault", values={"bogus": "1"})
    with pytest.raises(UsageError, match="there is no role 'Nobody'"):
        orders.give(file, do="grant", who="one-1", role="Nobody", scope="/subscriptions/x")
