"""AKS clusters, as Azure Resource Manager has them, and what their tags are to an inventory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.plans import arm

#: Tags that are data of a cluster, and what one looks like.
TAGS: Mapping[str, str] = {"ring": "0", "window": "sat,sun 22:00-04:00 Europe/Berlin"}
_NO_WAY = re.compile(
    r"name resolution|failed to resolve|not known|timed? ?out|no answer within|unreachable",
    re.IGNORECASE,
)
_WINDOW = re.compile(
    r"(?:(?P<days>[a-z]{3}(?:,[a-z]{3})*) )?"
    r"(?P<opens>(?:\d{4}-\d\d-\d\dT)?\d\d:\d\d)-(?P<closes>(?:\d{4}-\d\d-\d\dT)?\d\d:\d\d)"
    r"(?: (?P<zone>\S+))?"
)


@dataclass(frozen=True)
class ManagedCluster:
    """
    + id: as ARM wrote it; + node_group: the node resource group, which dies with the cluster
    + state: provisioningState, such as "Succeeded" or "Upgrading"; + power: "Running" or "Stopped"
    + identity: principal id of what asks Azure for load balancers and addresses, None where it is
      not known (a service principal is known by client_id alone); + client_id: of that service
      principal, else None
    + server: host name of the API server; + private: it is reachable from its network alone
    + entra: signs in with Entra ID; + tenant: of it, None for the subscription's
    + azure_rbac: and asks Azure what one may
    + local_accounts: has credentials of its own; + subnets: ids of its node pools' subnets
    """

    id: str
    name: str
    location: str
    node_group: str
    state: str = "Succeeded"
    power: str = "Running"
    tags: Mapping[str, str] = field(default_factory=dict)
    identity: str | None = None
    client_id: str | None = None
    server: str = ""
    private: bool = False
    entra: bool = True
    tenant: str | None = None
    azure_rbac: bool = False
    local_accounts: bool = True
    subnets: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.id.lower()

    @property
    def subscription(self) -> str:
        return arm.parse(self.id).subscription

    @property
    def group(self) -> str:
        return str(arm.parse(self.id).group)


def managed_cluster(resource: Mapping[str, Any]) -> ManagedCluster:
    """
    Of one entry of ``managedClusters`` (REST API reference, Managed Clusters - List). What asks for
    load balancers is the cluster's own identity, the first user-assigned one where it has any,
    never the kubelet's (AKS docs, Use a managed identity, "Summary of managed identities").
    """
    said = resource.get("properties") or {}
    identity = resource.get("identity") or {}
    assigned = list((identity.get("userAssignedIdentities") or {}).values())
    principal = assigned[0].get("principalId") if assigned else identity.get("principalId")
    client = (said.get("servicePrincipalProfile") or {}).get("clientId")
    aad, access = said.get("aadProfile"), said.get("apiServerAccessProfile") or {}
    pools = said.get("agentPoolProfiles") or ()
    private = bool(access.get("enablePrivateCluster"))
    return ManagedCluster(
        id=resource["id"],
        name=resource["name"],
        location=resource.get("location", ""),
        node_group=said.get("nodeResourceGroup") or "",
        state=said.get("provisioningState") or "Unknown",
        power=(said.get("powerState") or {}).get("code") or "Running",
        tags=resource.get("tags") or {},
        identity=principal,
        client_id=client if client and client != "msi" else None,
        server=(said.get("privateFQDN") if private else None) or said.get("fqdn") or "",
        private=private,
        entra=aad is not None,
        tenant=(aad or {}).get("tenantID"),
        azure_rbac=bool((aad or {}).get("enableAzureRBAC")),
        local_accounts=not said.get("disableLocalAccounts"),
        subnets=tuple(dict.fromkeys(it["vnetSubnetID"] for it in pools if it.get("vnetSubnetID"))),
    )


def tag(cluster: ManagedCluster, name: str) -> str | None:
    """Names of tags have no case (ARM docs, "Use tags to organize resources")."""
    return next((it for key, it in cluster.tags.items() if key.lower() == name), None)


def groups(cluster: ManagedCluster, subscription: str) -> list[str]:
    """
    Such as ["aks", "westeurope", "production", "shop-weu"]. + subscription: its display name
    """
    names = ("aks", cluster.location, tag(cluster, "environment") or "", subscription)
    return list(dict.fromkeys(_word(it) for it in names if it))


def _word(text: str) -> str:
    """As a group of an inventory is called: what stands in the name of a file."""
    return re.sub(r"[^a-z0-9_.-]+", "-", text.lower()).strip("-")


def tagged(cluster: ManagedCluster) -> dict[str, str]:
    """What the tags say that are data, such as {"ring": "1"}."""
    found = ((name, tag(cluster, name)) for name in TAGS)
    return {name: text.strip() for name, text in found if text is not None}


def value(name: str, text: str) -> Any:
    """
    The data that a tag stands for: 1, {"opens": "22:00", "closes": "04:00"}; the text itself where
    it is wrong, which the check of the inventory then says.
    """
    if name == "ring":
        return int(text) if text.isascii() and text.isdecimal() else text
    found = _WINDOW.fullmatch(text)
    if found is None:
        return text
    window: dict[str, Any] = {"opens": found["opens"], "closes": found["closes"]}
    if found["days"]:
        window["days"] = found["days"].split(",")
    if found["zone"]:
        window["zone"] = found["zone"]
    return window


def tag_problem(id_: str, name: str, text: str) -> str:
    """+ text: of a tag that is no data"""
    return (
        f"tag {name} of its AKS cluster is {text!r}: az tag update --resource-id {id_} --operation "
        f'Merge --tags {name}="{TAGS[name]}"'
    )


def held(id_: str, state: str | None) -> str | None:
    """
    Why a cluster is left alone in this provisioningState, or None. Azure itself changes it, or its
    last change went wrong half way (AKS docs, "Cluster is in a failed state").
    """
    if state is None or state == "Succeeded":
        return None
    place = arm.parse(id_)
    which = f"--resource-group {place.group} --name {place.name}"
    if state in ("Failed", "Canceled"):
        return f"its last change in Azure ended as {state}: az aks update {which} mends it"
    return f"Azure is changing it ({state}): wait until az aks show {which} says Succeeded"


def stopped(cluster: ManagedCluster) -> str | None:
    """Why it is left out, or None."""
    if cluster.power != "Stopped":
        return None
    return (
        f"{cluster.name} is stopped in Azure and left out: az aks start --resource-group "
        f"{cluster.group} --name {cluster.name} starts it"
    )


def unreachable(cluster: ManagedCluster, status: int, said: str) -> str:
    """
    What an API server answered, or that it did not, with what is to be done on AKS.

    + status: 0 where there was no answer; + said: in its own words
    """
    if status == 0 and cluster.private and _NO_WAY.search(said):
        return (
            f"{said}: it is private: run from a machine whose network reaches it and resolves "
            f"{cluster.server} (peered with its own, or over VPN, with its private DNS zone)"
        )
    if status == 403 and cluster.azure_rbac:
        return (
            f'{said}: az role assignment create --assignee OBJECT_ID --role "Azure Kubernetes '
            f'Service RBAC Cluster Admin" --scope {cluster.id}'
        )
    state = held(cluster.id, cluster.state)
    return f"{said}: {state}" if state and status in (0, 502, 503, 504) else said
