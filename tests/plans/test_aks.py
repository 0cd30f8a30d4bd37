"""What an AKS cluster is to an inventory: its data and groups from tags, and what holds it back."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans import aks
from tasks.plans.aks import ManagedCluster, managed_cluster

ID = "/subscriptions/S/resourceGroups/shop/providers/Microsoft.ContainerService/managedClusters/a"


def cluster(**more: Any) -> ManagedCluster:
    given = {"id": ID, "name": "a", "location": "westeurope", "node_group": "MC_shop_a"}
    return ManagedCluster(**{**given, **more})


def test_reads_what_azure_lists() -> None:
    found = managed_cluster(
        {
            "id": ID,
            "name": "a",
            "location": "westeurope",
            "tags": {"Ring": "1"},
            "identity": {
                "type": "UserAssigned",
                "userAssignedIdentities": {"/x": {"principalId": "p-1"}},
            },
            "properties": {
                "provisioningState": "Upgrading",
                "powerState": {"code": "Stopped"},
                "nodeResourceGroup": "MC_shop_a",
                "fqdn": "public.example",
                "privateFQDN": "private.example",
                "apiServerAccessProfile": {"enablePrivateCluster": True},
                "aadProfile": {"managed": True, "enableAzureRBAC": True, "tenantID": "T"},
                "disableLocalAccounts": True,
                "agentPoolProfiles": [{"vnetSubnetID": "/s"}, {"vnetSubnetID": "/s"}, {}],
            },
        }
    )
    assert found == cluster(
        state="Upgrading",
        power="Stopped",
        tags={"Ring": "1"},
        identity="p-1",
        server="private.example",
        private=True,
        tenant="T",
        azure_rbac=True,
        local_accounts=False,
        subnets=("/s",),
    )


def test_tags_have_no_case() -> None:
    found = cluster(tags={"RING": " 2 ", "Window": "22:00-04:00", "team": "edge"})
    assert aks.tagged(found) == {"ring": "2", "window": "22:00-04:00"}


VALUES = [
    pytest.param("ring", "0", 0, id="a ring"),
    pytest.param("ring", "canary", "canary", id="no ring"),
    pytest.param("ring", "-1", "-1", id="a ring below 0"),
    pytest.param("ring", "\u0661", "\u0661", id="digits of another script"),
    pytest.param(
        "window", "22:00-04:00", {"opens": "22:00", "closes": "04:00"}, id="a daily window"
    ),
    pytest.param(
        "window",
        "sat,sun 22:00-04:00 Europe/Berlin",
        {"opens": "22:00", "closes": "04:00", "days": ["sat", "sun"], "zone": "Europe/Berlin"},
        id="days and a zone",
    ),
    pytest.param(
        "window",
        "2026-11-28T22:00-2026-11-29T04:00 UTC",
        {"opens": "2026-11-28T22:00", "closes": "2026-11-29T04:00", "zone": "UTC"},
        id="once",
    ),
    pytest.param("window", "at night", "at night", id="no window"),
]


@pytest.mark.parametrize(("name", "text", "value"), VALUES)
def test_a_tag_is_data(name: str, text: str, value: Any) -> None:
    assert aks.value(name, text) == value


def test_groups_are_words() -> None:
    found = cluster(tags={"Environment": "Production"})
    expected = ["aks", "westeurope", "production", "shop-eu-1"]
    assert aks.groups(found, "Shop EU (1)") == expected
    assert aks.groups(cluster(), "westeurope") == ["aks", "westeurope"]


STATES = [
    pytest.param("Succeeded", None, id="settled"),
    pytest.param(None, None, id="nobody said"),
    pytest.param(
        "Upgrading",
        "Azure is changing it (Upgrading): wait until az aks show --resource-group shop --name a "
        "says Succeeded",
        id="upgrading",
    ),
    pytest.param(
        "Failed",
        "its last change in Azure ended as Failed: az aks update --resource-group shop --name a "
        "mends it",
        id="failed",
    ),
]


@pytest.mark.parametrize(("state", "why"), STATES)
def test_what_azure_changes_is_held(state: str | None, why: str | None) -> None:
    assert aks.held(ID, state) == why


def test_a_stopped_cluster_says_how_to_start_it() -> None:
    assert aks.stopped(cluster()) is None
    assert aks.stopped(cluster(power="Stopped")) == (
        "a is stopped in Azure and left out: az aks start --resource-group shop --name a starts it"
    )


PRIVATE = cluster(private=True, server="a.private.example")
UNREACHABLE = [
    pytest.param(
        PRIVATE,
        0,
        "NameResolutionError: Failed to resolve",
        "NameResolutionError: Failed to resolve: it is private: run from a machine whose network "
        "reaches it and resolves a.private.example (peered with its own, or over VPN, with its "
        "private DNS zone)",
        id="private, name not known",
    ),
    pytest.param(PRIVATE, 500, "500 boom", "500 boom", id="private, but it answers"),
    pytest.param(cluster(), 0, "timed out", "timed out", id="public"),
    pytest.param(
        cluster(azure_rbac=True),
        403,
        "403 no",
        '403 no: az role assignment create --assignee OBJECT_ID --role "Azure Kubernetes Service '
        f'RBAC Cluster Admin" --scope {ID}',
        id="Azure decides who may",
    ),
    pytest.param(cluster(), 403, "403 no", "403 no", id="the cluster decides who may"),
    pytest.param(
        cluster(state="Deleting"),
        0,
        "refused",
        "refused: Azure is changing it (Deleting): wait until az aks show --resource-group shop "
        "--name a says Succeeded",
        id="Azure changes it",
    ),
]


@pytest.mark.parametrize(("cluster", "status", "said", "line"), UNREACHABLE)
def test_says_why_a_cluster_is_not_reached(
    cluster: ManagedCluster, status: int, said: str, line: str
) -> None:
    assert aks.unreachable(cluster, status, said) == line
