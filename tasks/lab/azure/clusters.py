"""
AKS clusters and fleets (Azure REST API reference, Managed Clusters; AKS docs, "Node resource
group", "Limit access to kubeconfig").
"""

from __future__ import annotations

import base64
import uuid
from typing import TYPE_CHECKING, Any

import yaml

from tasks.lab.azure import ids
from tasks.lab.azure.answers import Answer, Refused
from tasks.lab.azure.rules import Resource, Rules, properties, with_properties

if TYPE_CHECKING:
    from tasks.lab.azure.calls import Call
    from tasks.lab.azure.state import Azure

CLUSTER = "Microsoft.ContainerService/managedClusters"
SERVER_APPLICATION = "6dae42f8-4368-4678-94ff-3960e28e3630"
CLIENT_APPLICATION = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"


def put_cluster(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    """With its node resource group, which comes into being with it, and its identity."""
    target = ids.target(resource["id"])
    said, was = properties(resource), properties(old or {})
    place = resource.get("location", "westeurope")
    nodes = said.get("nodeResourceGroup") or f"MC_{target.group}_{target.name}_{place}"
    version = said.get("kubernetesVersion") or "1.34"
    _make_node_group(azure, resource, nodes)
    return with_properties(
        {**resource, "identity": _identity(azure, resource, old)},
        nodeResourceGroup=nodes,
        kubernetesVersion=version,
        currentKubernetesVersion=said.get("currentKubernetesVersion") or version,
        powerState=said.get("powerState") or was.get("powerState") or {"code": "Running"},
        fqdn=said.get("fqdn") or was.get("fqdn") or _name(target.name, place),
        agentPoolProfiles=said.get("agentPoolProfiles") or [],
    )


def _name(cluster: str, place: str) -> str:
    digits = uuid.uuid5(uuid.NAMESPACE_DNS, cluster).hex[:8]
    return f"{cluster}-dns-{digits}.hcp.{place}.azmk8s.io"


def _make_node_group(azure: Azure, resource: Resource, name: str) -> None:
    target = ids.target(resource["id"])
    group = f"/subscriptions/{target.subscription}/resourceGroups/{name}"
    if azure.held(group) is None:
        place = resource.get("location", "westeurope")
        azure.put(group, {"location": place, "managedBy": resource["id"]})


def _identity(azure: Azure, resource: Resource, old: Resource | None) -> dict[str, Any] | None:
    """A system-assigned identity is made with the cluster, unless it was given with an id."""
    wanted = resource.get("identity") or (old or {}).get("identity")
    if not wanted or wanted.get("type") != "SystemAssigned" or wanted.get("principalId"):
        return wanted
    was = ((old or {}).get("identity") or {}).get("principalId")
    principal = was or azure.identity(resource["id"].lower()).object_id
    return {**wanted, "principalId": principal, "tenantId": azure.tenant}


def cluster_gone(azure: Azure, resource: Resource) -> None:
    """Its node resource group goes with it, and all that lies there."""
    target = ids.target(resource["id"])
    nodes = properties(resource).get("nodeResourceGroup")
    azure.kubeconfigs.pop(target.key, None)
    if nodes:
        azure.delete(f"/subscriptions/{target.subscription}/resourceGroups/{nodes}")


def user_credential(call: Call, resource: Resource) -> Answer:
    return _credential("clusterUser", _kubeconfig(call, resource))


def admin_credential(call: Call, resource: Resource) -> Answer:
    """Raises `Refused` for a cluster without accounts of its own."""
    if properties(resource).get("disableLocalAccounts"):
        raise Refused(
            400,
            "BadRequest",
            "Getting static credential is not allowed because this cluster is set to disable local "
            "accounts.",
        )
    return _credential("clusterAdmin", _kubeconfig(call, resource))


def _credential(name: str, text: str) -> Answer:
    value = base64.b64encode(text.encode()).decode()
    return Answer(body={"kubeconfigs": [{"name": name, "value": value}]})


def _kubeconfig(call: Call, resource: Resource) -> str:
    """The one that was given for the cluster, or one as AKS writes it, of a server not there."""
    given = call.azure.kubeconfigs.get(resource["id"].lower())
    return given if given is not None else yaml.safe_dump(_written(call.azure, resource))


def _written(azure: Azure, resource: Resource) -> dict[str, Any]:
    name, said = resource["name"], properties(resource)
    user = f"clusterUser_{ids.target(resource['id']).group}_{name}"
    arguments = ["get-token", "--environment", "AzurePublicCloud"]
    arguments += ["--server-id", SERVER_APPLICATION, "--client-id", CLIENT_APPLICATION]
    arguments += ["--tenant-id", azure.tenant, "--login", "devicecode"]
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "kubelogin",
        "args": arguments,
        "env": None,
        "provideClusterInfo": False,
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"https://{said['fqdn']}:443"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
        "users": [{"name": user, "user": {"exec": plugin}}],
    }


def start(call: Call, resource: Resource) -> Answer:
    return call.began(resource, powerState={"code": "Running"})


def stop(call: Call, resource: Resource) -> Answer:
    return call.began(resource, powerState={"code": "Stopped"})


def check_member(azure: Azure, resource: Resource, old: Resource | None) -> None:
    """Raises `Refused` for a cluster that is not there."""
    cluster = str(properties(resource).get("clusterResourceId"))
    if azure.held(cluster) is None:
        raise Refused(400, "BadRequest", f"The member cluster '{cluster}' was not found.")


CLUSTERS = Rules(
    put=put_cluster,
    gone=cluster_gone,
    actions={
        "listclusterusercredential": user_credential,
        "listclustermonitoringusercredential": user_credential,
        "listclusteradmincredential": admin_credential,
        "start": start,
        "stop": stop,
    },
)
MEMBERS = Rules(check=check_member)
