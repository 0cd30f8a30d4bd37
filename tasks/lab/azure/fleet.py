"""
A lab's clusters as AKS has them: what Azure makes with each one, and what a platform team has
around them.
"""

import uuid
from typing import Any

import yaml

from tasks.lab.azure.cloud_provider import CLUSTER, EXTERNAL, Place
from tasks.lab.azure.state import Azure, Identity
from tasks.lab.state import Cluster, Lab

Object = dict[str, Any]
LOCATION = "westeurope"
CLUSTERS, ADDRESSES, ZONE = "clusters", "addresses", "lab.test"
OPERATOR = "operator"
SERVER_ID = "6dae42f8-4368-4678-94ff-3960e28e3630"  # "Azure Kubernetes Service AAD Server"
CLIENT_ID = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"  # of the command line (AKS docs, kubelogin)


def tenant(lab: Lab) -> str:
    return _made("tenant", lab.name)


def subscription(lab: Lab) -> str:
    return _made("subscription", lab.name)


def admins(lab: Lab) -> str:
    """The object id of the operators' group, which the clusters know as their administrators."""
    return _made("group", lab.name)


def group(lab: Lab, name: str) -> str:
    return f"/subscriptions/{subscription(lab)}/resourceGroups/{name}"


def cluster_id(lab: Lab, cluster: Cluster) -> str:
    named = f"Microsoft.ContainerService/managedClusters/{cluster.name}"
    return f"{group(lab, CLUSTERS)}/providers/{named}"


def place(lab: Lab, cluster: Cluster) -> Place:
    """Where a cluster's things are in Azure."""
    node_group = f"MC_{CLUSTERS}_{cluster.name}_{LOCATION}"
    network = f"{group(lab, node_group)}/providers/Microsoft.Network"
    subnet = f"{network}/virtualNetworks/aks-vnet/subnets/aks-subnet"
    return Place(subscription(lab), node_group, LOCATION, subnet)


def scale_set(lab: Lab, cluster: Cluster) -> str:
    """The scale set of the cluster's one node."""
    node_group = group(lab, place(lab, cluster).group)
    name = f"aks-nodepool1-{_digits(cluster)}-vmss"
    return f"{node_group}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}"


def provider_id(lab: Lab, cluster: Cluster) -> str:
    """spec.providerID of the cluster's node (cloud-provider-azure writes the group small)."""
    scale, node_group = scale_set(lab, cluster), place(lab, cluster).group
    return f"azure://{scale.replace(node_group, node_group.lower())}/virtualMachines/0"


def identity(azure: Azure, cluster: Cluster) -> Identity:
    """Whom the cluster is to Azure."""
    return azure.identity(cluster.name)


def surroundings(azure: Azure, lab: Lab) -> Identity:
    """What is there before a cluster is; returns the operator."""
    azure.subscription(subscription(lab), lab.name)
    for name in (CLUSTERS, ADDRESSES):
        azure.put(group(lab, name), {"location": LOCATION})
    zone = f"{group(lab, ADDRESSES)}/providers/Microsoft.Network/dnszones/{ZONE}"
    if azure.get(zone) is None:
        azure.put(zone, {"location": "global"})
    fleet = f"{group(lab, CLUSTERS)}/providers/Microsoft.ContainerService/fleets/lab"
    if azure.get(fleet) is None:
        azure.put(fleet, {"location": LOCATION})
    owner = ("Owner", f"/subscriptions/{subscription(lab)}")
    return azure.identity(OPERATOR, owner, groups=(admins(lab),))


def add(azure: Azure, lab: Lab, cluster: Cluster) -> None:
    """A cluster, with all that AKS makes for one; also again, for one that was lost."""
    where = place(lab, cluster)
    node_group = group(lab, where.group)
    azure.put(node_group, {"location": LOCATION, "managedBy": cluster_id(lab, cluster)})
    security_group = where.network("networkSecurityGroups", "aks-agentpool-nsg")
    azure.put(security_group, {"location": LOCATION, "properties": {"securityRules": []}})
    azure.put(where.network("virtualNetworks", "aks-vnet"), _network(cluster, security_group))
    azure.put(scale_set(lab, cluster), {"location": LOCATION, "zones": ["1"]})
    outbound = where.network("publicIPAddresses", _made("outbound", cluster.name))
    azure.put(outbound, _outbound_address())
    azure.put(where.network("loadBalancers", EXTERNAL), _load_balancer(where, outbound))
    asks = azure.identity(cluster.name, ("Contributor", node_group))
    kubelet = azure.identity(f"{cluster.name}-agentpool")
    azure.put(cluster_id(lab, cluster), _managed_cluster(lab, cluster, asks, kubelet))
    azure.kubeconfigs[cluster_id(lab, cluster).lower()] = kubeconfig(lab, cluster)
    member = f"{group(lab, CLUSTERS)}/providers/Microsoft.ContainerService/fleets/lab/members"
    azure.put(
        f"{member}/{cluster.name}",
        {"properties": {"clusterResourceId": cluster_id(lab, cluster), "group": _ring(cluster)}},
    )
    azure.save()


def lose(azure: Azure, lab: Lab, cluster: Cluster) -> None:
    """The cluster is deleted, and its node resource group with it."""
    azure.delete(cluster_id(lab, cluster))
    azure.delete(group(lab, place(lab, cluster).group))


def kubeconfig(lab: Lab, cluster: Cluster) -> str:
    """What listClusterUserCredential hands out: who signs in is asked of kubelogin."""
    from tasks.lab import users

    user = f"clusterUser_{CLUSTERS}_{cluster.name}"
    arguments = ["get-token", "--environment", "AzurePublicCloud", "--server-id", SERVER_ID]
    arguments += ["--client-id", CLIENT_ID, "--tenant-id", tenant(lab), "--login", "devicecode"]
    hint = "kubelogin is not installed: see https://aka.ms/aks/kubelogin"
    login = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "kubelogin",
        "args": arguments,
        "env": None,
        "installHint": hint,
        "provideClusterInfo": False,
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster.name, "cluster": users.reached(cluster)}],
        "contexts": [{"name": cluster.name, "context": {"cluster": cluster.name, "user": user}}],
        "current-context": cluster.name,
        "preferences": {},
        "users": [{"name": user, "user": {"exec": login}}],
    }
    return yaml.safe_dump(content, sort_keys=False)


def _network(cluster: Cluster, security_group: str) -> Object:
    subnet = {
        "name": "aks-subnet",
        "properties": {
            "addressPrefix": cluster.load_balancer_range,
            "networkSecurityGroup": {"id": security_group},
        },
    }
    space = {"addressPrefixes": [cluster.load_balancer_range]}
    return {"location": LOCATION, "properties": {"addressSpace": space, "subnets": [subnet]}}


def _outbound_address() -> Object:
    tags = {"aks-managed-type": "aks-slb-managed-outbound-ip", "aks-managed-cluster-rg": CLUSTERS}
    return {
        "location": LOCATION,
        "sku": {"name": "Standard", "tier": "Regional"},
        "zones": ["1", "2", "3"],
        "tags": tags,
        "properties": {"publicIPAllocationMethod": "Static", "idleTimeoutInMinutes": 30},
    }


def _load_balancer(where: Place, outbound: str) -> Object:
    """The one AKS makes with a cluster: its nodes reach the Internet through it."""
    own = where.network("loadBalancers", EXTERNAL)
    frontend, pool = outbound.rsplit("/", 1)[-1], "aksOutboundBackendPool"
    rule = {
        "protocol": "All",
        "allocatedOutboundPorts": 0,
        "idleTimeoutInMinutes": 30,
        "enableTcpReset": True,
        "backendAddressPool": {"id": f"{own}/backendAddressPools/{pool}"},
        "frontendIPConfigurations": [{"id": f"{own}/frontendIPConfigurations/{frontend}"}],
    }
    held = {"publicIPAddress": {"id": outbound}}
    return {
        "location": LOCATION,
        "sku": {"name": "Standard", "tier": "Regional"},
        "properties": {
            "frontendIPConfigurations": [{"name": frontend, "properties": held}],
            "backendAddressPools": [{"name": pool}, {"name": CLUSTER}],
            "loadBalancingRules": [],
            "probes": [],
            "outboundRules": [{"name": "aksOutboundRule", "properties": rule}],
        },
    }


def _managed_cluster(lab: Lab, cluster: Cluster, asks: Identity, kubelet: Identity) -> Object:
    where = place(lab, cluster)
    pool = {
        "name": "nodepool1",
        "count": 1,
        "vmSize": "Standard_D4s_v5",
        "osType": "Linux",
        "mode": "System",
        "type": "VirtualMachineScaleSets",
        "vnetSubnetID": where.subnet,
        "availabilityZones": ["1"],
        "orchestratorVersion": "1.35.0",
        "provisioningState": "Succeeded",
        "powerState": {"code": "Running"},
    }
    return {
        "location": LOCATION,
        "tags": {"ring": _ring(cluster), "environment": "lab"},
        "sku": {"name": "Base", "tier": "Standard"},
        "identity": {
            "type": "SystemAssigned",
            "principalId": asks.object_id,
            "tenantId": tenant(lab),
        },
        "properties": {
            "provisioningState": "Succeeded",
            "powerState": {"code": "Running"},
            "kubernetesVersion": "1.35.0",
            "currentKubernetesVersion": "1.35.0",
            "dnsPrefix": cluster.name,
            "fqdn": cluster.node_address,
            "nodeResourceGroup": where.group,
            "enableRBAC": True,
            "disableLocalAccounts": True,
            "agentPoolProfiles": [pool],
            "servicePrincipalProfile": {"clientId": "msi"},
            "aadProfile": {
                "managed": True,
                "enableAzureRBAC": False,
                "adminGroupObjectIDs": [admins(lab)],
                "tenantID": tenant(lab),
            },
            "identityProfile": {
                "kubeletidentity": {
                    "clientId": kubelet.client_id,
                    "objectId": kubelet.object_id,
                }
            },
            "networkProfile": {
                "networkPlugin": "azure",
                "loadBalancerSku": "standard",
                "outboundType": "loadBalancer",
                "podCidr": cluster.pod_range,
                "serviceCidr": cluster.service_range,
            },
        },
    }


def _ring(cluster: Cluster) -> str:
    """The first cluster goes first, then the second, then all others."""
    return str(min(cluster.number - 1, 2))


def _digits(cluster: Cluster) -> str:
    return str(int(_made("digits", cluster.name)[:8], 16) % 10**8).zfill(8)


def _made(*words: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, "/".join(words)))
