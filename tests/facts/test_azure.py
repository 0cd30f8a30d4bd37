"""What Azure has, as the stand-in answers: which requests are made, and what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from tasks.facts import azure as facts
from tasks.lab.azure.faults import Fault
from tasks.plans.arm import KINDS
from tests.azure import SUBSCRIPTION, Azure, standing_azure

OTHER = "5b000000-0000-4000-8000-000000000002"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/Clusters"
CLUSTER = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/weu-1"
NODES = "MC_clusters_weu-1_westeurope"
PROVIDER = f"azure:///subscriptions/{SUBSCRIPTION.upper()}/resourceGroups/{NODES.lower()}"
NODE = f"{PROVIDER}/providers/Microsoft.Compute/virtualMachineScaleSets/aks-1/virtualMachines/0"
ZONE = f"{GROUP}/providers/Microsoft.Network/dnszones/Example.com"


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """One AKS cluster and two zones; nothing was asked before."""
    with standing_azure(tmp_path, monkeypatch) as serving:
        found = serving.azure
        found.put(CLUSTER, {"location": "westeurope", "properties": {"nodeResourceGroup": NODES}})
        found.put(ZONE, {"location": "global"})
        found.put(f"{ZONE}/A/shop", {"properties": {"TTL": 60}})
        found.put(ZONE.replace("Example.com", "example.org"), {"location": "global"})
        yield found


def lists(azure: Azure) -> list[str]:
    """The paths of ARM that were listed, without their queries."""
    return [it.path.partition("?")[0] for it in azure.requests if "/providers/" in it.path]


def test_one_list_a_subscription_and_kind_however_many_ask(azure: Azure) -> None:
    asked = [gevent.spawn(facts.landscape, [SUBSCRIPTION, SUBSCRIPTION.upper()]) for _ in range(30)]
    found = [it.get() for it in asked]
    assert len(lists(azure)) == len(KINDS)
    assert [*found[0].of("managedClusters")] == [CLUSTER.lower()]
    assert all(it == found[0] for it in found)


def test_record_sets_are_read_of_zones_in_which_a_name_lies(azure: Azure) -> None:
    found = facts.landscape([SUBSCRIPTION], ["dnszones"], ["shop.EXAMPLE.com.", "shop.example.net"])
    names = {it: [one["name"] for one in these] for it, these in found.records.items()}
    assert names == {ZONE.lower(): ["shop", "@", "@"]}  # every zone has NS and SOA
    assert len(lists(azure)) == 2


@pytest.mark.parametrize(
    ("name", "lies"),
    [("example.com", True), ("a.b.example.com", True), ("myexample.com", False), ("com", False)],
)
def test_a_name_lies_in_a_zone(name: str, lies: bool) -> None:
    assert facts._lies_in(name, ZONE) is lies


def test_what_cannot_be_read_says_why(azure: Azure) -> None:
    azure.faults.add(Fault("loadBalancers", 403, code="AuthorizationFailed", message="You may not"))
    azure.faults.add(Fault("recordsets", 403, code="AuthorizationFailed", message="You may not"))
    found = facts.landscape([SUBSCRIPTION, OTHER], ["loadBalancers", "dnszones"], ["example.com"])
    assert sorted(found.unread) == [
        (SUBSCRIPTION, "dnszones"),
        (SUBSCRIPTION, "loadBalancers"),
        (OTHER, "dnszones"),
        (OTHER, "loadBalancers"),
    ]
    assert "You may not" in found.unread[SUBSCRIPTION, "loadBalancers"]
    assert found.unread[SUBSCRIPTION, "dnszones"].startswith("record sets of example.com: ")
    assert OTHER in found.unread[OTHER, "dnszones"]
    assert len(found.of("dnszones")) == 2


@pytest.mark.parametrize(
    ("aks_id", "node", "there"),
    [
        pytest.param(CLUSTER.upper(), None, True, id="by its id, without case"),
        pytest.param(f"{CLUSTER}-2", None, False, id="an id that nobody has"),
        pytest.param(None, NODE, True, id="by the group of its nodes"),
        pytest.param(None, NODE.replace("weu-1", "weu-2"), False, id="a group of nobody"),
        pytest.param(None, "kind://docker/kind/kind-control-plane", False, id="not of Azure"),
        pytest.param(None, None, False, id="nothing is known"),
    ],
)
def test_which_cluster_a_host_is(
    azure: Azure, aks_id: str | None, node: str | None, there: bool
) -> None:
    found = facts.of_host(aks_id, node)
    assert (found.name if found else None) == ("weu-1" if there else None)
    assert len(lists(azure)) == (1 if facts.identity(aks_id, node) else 0)


def test_a_cluster_that_cannot_be_looked_up_is_none_and_said(azure: Azure) -> None:
    azure.faults.add(Fault("managedClusters", 403, code="AuthorizationFailed"))
    assert facts.of_host(CLUSTER) is None
    unread: Any = facts.landscape([SUBSCRIPTION], ["managedClusters"]).unread
    assert [*unread] == [(SUBSCRIPTION, "managedClusters")]
    assert len(lists(azure)) == 1
