"""
AKS clusters whose public IPs are all well: planted in the stand-in for Azure, and answered for by
the stand-in API server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.api_server import Answer, ApiServer
from tests.azure import SUBSCRIPTION, Azure
from tests.stand_in import CONTROLLER, NAMESPACE, listed

Object = dict[str, Any]
CREATED = "2026-11-01T10:00:00Z"
PREFIX = "service.beta.kubernetes.io/azure-"
HEALTH = 32100
API = "gateway.networking.k8s.io/v1"
KINDS = {
    f"{API}/gatewayclasses": "GatewayClass",
    f"{API}/gateways": "Gateway",
    f"{API}/httproutes": "HTTPRoute",
    f"{API}/grpcroutes": "GRPCRoute",
    "gateway.envoyproxy.io/v1alpha1/envoyproxies": "EnvoyProxy",
}


@dataclass(frozen=True)
class Aks:
    """
    + number: of the cluster in its fleet, from which its addresses follow
    + gateways: how many, each with an address of its own; + port: of their HTTPS listeners
    + at: the address of its only Gateway, None for one that follows from ``number``
    """

    name: str = "weu-1"
    subscription: str = SUBSCRIPTION
    number: int = 0
    gateways: int = 1
    port: int = 443
    at: str | None = None

    @property
    def group(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/clusters"

    @property
    def id(self) -> str:
        return f"{self.group}/providers/Microsoft.ContainerService/managedClusters/{self.name}"

    @property
    def nodes(self) -> str:
        """The name of its node resource group."""
        return f"MC_clusters_{self.name}_westeurope"

    @property
    def principal(self) -> str:
        return f"00000000-0000-4000-8000-{self.number:012d}"

    @property
    def subnet(self) -> str:
        return f"{self.group}/providers/Microsoft.Network/virtualNetworks/net/subnets/{self.name}"

    @property
    def balancer(self) -> str:
        return self._network(self.nodes, "loadBalancers", "kubernetes")

    @property
    def security_group(self) -> str:
        return self._network(self.nodes, "networkSecurityGroups", "aks-agentpool-nsg")

    def ip(self, gateway: int = 0) -> str:
        """The id of the public IP of one of its Gateways."""
        return self._network("addresses", "publicIPAddresses", f"{self.name}-{gateway}")

    def address(self, gateway: int = 0) -> str:
        """In the network of this machine, so that something can answer there."""
        return self.at or f"127.{20 + self.number}.{gateway}.1"

    def host(self, gateway: int = 0) -> str:
        return f"{self.name}-{gateway}.example.com"

    def base(self, gateway: int = 0) -> str:
        """What its Service is called in Azure: "a" and its UID."""
        return f"a{self.number:015d}{gateway:016d}"

    def _network(self, group: str, kind: str, name: str) -> str:
        place = f"/subscriptions/{self.subscription}/resourceGroups/{group}"
        return f"{place}/providers/Microsoft.Network/{kind}/{name}"


def planted(azure: Azure, it: Aks) -> None:
    """All that Azure has of one cluster."""
    azure.subscription(it.subscription)
    cluster = {
        "location": "westeurope",
        "identity": {"type": "SystemAssigned", "principalId": it.principal},
        "properties": {
            "nodeResourceGroup": it.nodes,
            "powerState": {"code": "Running"},
            "provisioningState": "Succeeded",
            "agentPoolProfiles": [{"name": "system", "vnetSubnetID": it.subnet}],
        },
    }
    azure.plant(it.id, cluster)
    azure.plant(f"/subscriptions/{it.subscription}/resourceGroups/{it.nodes}", _in_weu())
    addresses = f"/subscriptions/{it.subscription}/resourceGroups/addresses"
    azure.plant(addresses, _in_weu())
    azure.assign(it.principal, "Network Contributor", addresses)
    lock = f"{addresses}/providers/Microsoft.Authorization/locks/keep"
    azure.put(lock, {"properties": {"level": "CanNotDelete"}})
    frontends = [_frontend(it, number) for number in range(it.gateways)]
    azure.plant(it.balancer, _balancer(it, frontends))
    azure.plant(it.security_group, _security_group(it))
    for number, frontend in enumerate(frontends):
        azure.plant(it.ip(number), ip(it.address(number), frontend["id"]))


def _in_weu(**properties: Any) -> Object:
    return {"location": "westeurope", "properties": properties}


def ip(address: str, frontend: str | None = None, **properties: Any) -> Object:
    """A public IP. + frontend: that holds it, None for nothing"""
    held = {"ipConfiguration": {"id": frontend}} if frontend else {}
    said = {
        "provisioningState": "Succeeded",
        "ipAddress": address,
        "publicIPAddressVersion": "IPv4",
        "publicIPAllocationMethod": "Static",
        "idleTimeoutInMinutes": 4,
        "ddosSettings": {"protectionMode": "VirtualNetworkInherited"},
        **held,
        **properties,
    }
    sku = {"name": "Standard", "tier": "Regional"}
    return {**_in_weu(**said), "sku": sku, "zones": ["1", "2", "3"], "tags": {}}


def _frontend(it: Aks, gateway: int) -> Object:
    base = it.base(gateway)
    rule = f"{it.balancer}/loadBalancingRules/{base}-TCP-{it.port}"
    return {
        "id": f"{it.balancer}/frontendIPConfigurations/{base}",
        "name": base,
        "properties": {
            "provisioningState": "Succeeded",
            "publicIPAddress": {"id": it.ip(gateway)},
            "loadBalancingRules": [{"id": rule}],
        },
    }


def _balancer(it: Aks, frontends: list[Object]) -> Object:
    rules = [_rule(it, number, one["id"]) for number, one in enumerate(frontends)]
    probes = [_probe(it, number) for number in range(len(frontends))]
    said = {
        "frontendIPConfigurations": frontends,
        "loadBalancingRules": rules,
        "probes": probes,
        "backendAddressPools": [
            {"id": f"{it.balancer}/backendAddressPools/kubernetes", "name": "kubernetes"}
        ],
    }
    sku = {"name": "Standard", "tier": "Regional"}
    return {**_in_weu(provisioningState="Succeeded", **said), "sku": sku}


def _rule(it: Aks, gateway: int, frontend: str) -> Object:
    name = f"{it.base(gateway)}-TCP-{it.port}"
    return {
        "id": f"{it.balancer}/loadBalancingRules/{name}",
        "name": name,
        "properties": {
            "provisioningState": "Succeeded",
            "frontendIPConfiguration": {"id": frontend},
            "backendAddressPool": {"id": f"{it.balancer}/backendAddressPools/kubernetes"},
            "probe": {"id": _probe(it, gateway)["id"]},
            "protocol": "Tcp",
            "frontendPort": it.port,
            "backendPort": it.port,
            "enableFloatingIP": True,
            "idleTimeoutInMinutes": 4,
            "enableTcpReset": True,
            "disableOutboundSnat": True,
        },
    }


def _probe(it: Aks, gateway: int) -> Object:
    name = f"{it.base(gateway)}-TCP-{HEALTH}"
    return {
        "id": f"{it.balancer}/probes/{name}",
        "name": name,
        "properties": {
            "protocol": "Http",
            "port": HEALTH,
            "requestPath": "/healthz",
            "intervalInSeconds": 5,
            "probeThreshold": 2,
        },
    }


def _security_group(it: Aks) -> Object:
    """As the cloud provider writes it, and with what Azure adds to each."""
    rule = {
        "priority": 500,
        "direction": "Inbound",
        "access": "Allow",
        "protocol": "Tcp",
        "sourceAddressPrefix": "Internet",
        "sourcePortRange": "*",
        "destinationAddressPrefixes": [it.address(number) for number in range(it.gateways)],
        "destinationPortRanges": [str(it.port)],
    }
    default = {
        "direction": "Inbound",
        "protocol": "*",
        "sourcePortRange": "*",
        "destinationPortRange": "*",
        "destinationAddressPrefix": "*",
    }
    balancer = {**default, "priority": 65001, "access": "Allow"}
    defaults = [
        {"name": "AllowAzureLoadBalancerInBound", **balancer},
        {"name": "DenyAllInBound", **default, "priority": 65500, "access": "Deny"},
    ]
    sources = ("AzureLoadBalancer", "*")
    return _in_weu(
        provisioningState="Succeeded",
        securityRules=[{"name": "k8s-azure-lb_allow_IPv4", "properties": rule}],
        defaultSecurityRules=[
            {"name": one.pop("name"), "properties": {**one, "sourceAddressPrefix": source}}
            for one, source in zip(defaults, sources, strict=True)
        ],
        subnets=[{"id": it.subnet}],
    )


def answered(api: ApiServer, it: Aks) -> None:
    """All that is read of one cluster."""
    of_class: Object = {"metadata": {"name": "envoy"}, "spec": {"controllerName": CONTROLLER}}
    things = {
        "GatewayClass": [of_class],
        "Gateway": [gateway(it, number) for number in range(it.gateways)],
        "HTTPRoute": [route(it, number) for number in range(it.gateways)],
    }
    api.cluster(it.name)
    groups: dict[tuple[str, str], list[Object]] = {}
    for place in KINDS:
        group, version, plural = place.split("/")
        groups.setdefault((group, version), []).append({"resource": plural})
    served = [
        {"metadata": {"name": group}, "versions": [{"version": version, "resources": resources}]}
        for (group, version), resources in groups.items()
    ]
    answers: dict[str, Any] = {"/apis": {"items": served}}
    for place, kind in KINDS.items():
        group = place.rpartition("/")[0]
        answers[f"/apis/{place}"] = listed(group, kind, things.get(kind, []))
    services = [service(it, number) for number in range(it.gateways)]
    answers[f"/api/v1/namespaces/{NAMESPACE}/services"] = listed("v1", "Service", services)
    answers["/api/v1/nodes"] = listed("v1", "Node", [node(it)])
    for path, body in answers.items():
        api.answer("GET", path, Answer(body=body), cluster=it.name)


def gateway(it: Aks, number: int = 0) -> Object:
    listener = {
        "name": "https",
        "protocol": "HTTPS",
        "port": it.port,
        "hostname": it.host(number),
        "tls": {"certificateRefs": [{"name": "tls"}]},
    }
    return {
        "kind": "Gateway",
        "metadata": {
            "namespace": "edge",
            "name": f"public-{number}",
            "generation": 1,
            "creationTimestamp": CREATED,
        },
        "spec": {
            "gatewayClassName": "envoy",
            "listeners": [listener],
            "infrastructure": {"annotations": notes(it, number)},
        },
        "status": {"addresses": [{"type": "IPAddress", "value": it.address(number)}]},
    }


def notes(it: Aks, number: int = 0) -> dict[str, str]:
    return {
        f"{PREFIX}pip-name": f"{it.name}-{number}",
        f"{PREFIX}load-balancer-resource-group": "addresses",
    }


def route(it: Aks, number: int = 0) -> Object:
    parent = {"name": f"public-{number}", "namespace": "edge"}
    return {
        "kind": "HTTPRoute",
        "metadata": {"namespace": "edge", "name": f"shop-{number}"},
        "spec": {"parentRefs": [parent], "hostnames": [it.host(number)], "rules": []},
    }


def service(it: Aks, number: int = 0) -> Object:
    base = it.base(number)[1:]
    uid = "-".join((base[:8], base[8:12], base[12:16], base[16:20], base[20:]))
    return {
        "metadata": {
            "namespace": NAMESPACE,
            "name": f"envoy-edge-public-{number}-5c9f",
            "uid": uid,
            "creationTimestamp": CREATED,
            "annotations": notes(it, number),
            "labels": {
                "app.kubernetes.io/managed-by": "envoy-gateway",
                "app.kubernetes.io/component": "proxy",
                "gateway.envoyproxy.io/owning-gateway-namespace": "edge",
                "gateway.envoyproxy.io/owning-gateway-name": f"public-{number}",
            },
        },
        "spec": {
            "type": "LoadBalancer",
            "externalTrafficPolicy": "Local",
            "healthCheckNodePort": HEALTH,
            "ipFamilies": ["IPv4"],
            "ports": [
                {
                    "name": f"https-{it.port}",
                    "protocol": "TCP",
                    "port": it.port,
                    "targetPort": 10443,
                    "nodePort": 31443,
                }
            ],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": it.address(number), "ipMode": "VIP"}]}},
    }


def node(it: Aks) -> Object:
    group = f"azure:///subscriptions/{it.subscription}/resourceGroups/{it.nodes.lower()}"
    scale_set = f"{group}/providers/Microsoft.Compute/virtualMachineScaleSets/aks-system-vmss"
    return {
        "metadata": {"name": "aks-system-vmss000000"},
        "spec": {"providerID": f"{scale_set}/virtualMachines/0"},
    }
