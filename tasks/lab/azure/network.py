"""
Load balancers, network security groups and virtual networks (Azure REST API reference; Azure docs,
"Network security groups": default rules).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tasks.lab.azure import links
from tasks.lab.azure.answers import Refused
from tasks.lab.azure.public_ips import ADDRESS, missing_reference
from tasks.lab.azure.rules import Resource, Rules, properties, reference, with_properties

if TYPE_CHECKING:
    from tasks.lab.azure.state import Azure

BALANCER = "Microsoft.Network/loadBalancers"
OF_BALANCERS = (
    "frontendIPConfigurations",
    "backendAddressPools",
    "loadBalancingRules",
    "probes",
    "inboundNatRules",
    "outboundRules",
    "inboundNatPools",
)


def with_children(resource: Resource, *names: str) -> Resource:
    """What lives inside, with the id, type and state that ARM gives to each."""
    filled = {}
    for name in names:
        children = properties(resource).get(name) or []
        filled[name] = [_child(resource, name, it) for it in children]
    return with_properties(resource, **filled)


def _child(parent: Resource, word: str, child: dict[str, Any]) -> dict[str, Any]:
    return {
        **child,
        "id": f"{parent['id']}/{word}/{child['name']}",
        "type": f"{parent['type']}/{word}",
        "etag": parent["etag"],
        "properties": {**properties(child), "provisioningState": "Succeeded"},
    }


def put_balancer(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    """Frontends and probes name the rules that use them."""
    sku = {"name": "Standard", "tier": "Regional", **(resource.get("sku") or {})}
    whole = with_children({**resource, "sku": sku}, *OF_BALANCERS)
    said = properties(whole)
    users = {
        "frontendIPConfigurations": ("loadBalancingRules", "outboundRules", "inboundNatRules"),
        "probes": ("loadBalancingRules",),
        "backendAddressPools": ("loadBalancingRules", "outboundRules"),
    }
    used: dict[str, Any] = {}
    for name, kinds in users.items():
        used[name] = [_used(it, {kind: said[kind] for kind in kinds}) for it in said[name]]
    return with_properties(whole, **used)


def _used(child: Resource, users: dict[str, list[Resource]]) -> Resource:
    """With the ids of what refers to it."""
    key, found = child["id"].lower(), {}
    for kind, some in users.items():
        found[kind] = [{"id": it["id"]} for it in some if key in _referred(it)] or None
    return with_properties(child, **found)


def _referred(rule: Resource) -> set[str]:
    said = properties(rule)
    one = ("frontendIPConfiguration", "probe", "backendAddressPool")
    ids = [reference(said, name) for name in one]
    ids += [it.get("id") for it in said.get("frontendIPConfigurations") or []]
    return {it.lower() for it in ids if it}


def check_balancer(azure: Azure, resource: Resource, old: Resource | None) -> None:
    """Raises `Refused`."""
    own = resource["id"].lower()
    sku = (resource.get("sku") or {}).get("name", "Basic")
    for frontend, address in links.frontends(resource, "frontendIPConfigurations"):
        held = azure.held(address)
        if held is None or held.get("location") != resource.get("location"):
            raise missing_reference(address, resource["id"])
        other = (held.get("sku") or {}).get("name", "Basic")
        if other != sku:
            raise Refused(
                400,
                "PublicIPAndLBSkuDoNotMatch",
                f"{sku} sku load balancer {resource['id']} cannot reference {other} sku publicIP "
                f"{address}.",
            )
        holders = [reference(properties(held), "ipConfiguration") or ""]
        holders += links.of(azure).holders.get(address.lower(), [])
        others = [it for it in holders if it and not it.lower().startswith(f"{own}/")]
        if others:
            raise in_use(frontend, address, others[0])
    _check_twice(resource)
    _check_rules(resource)


def in_use(frontend: str, address: str, holder: str) -> Refused:
    return Refused(
        400,
        "PublicIPAddressInUse",
        f"Resource {frontend} is referencing public IP address {address} that is already allocated "
        f"to resource {holder}.",
    )


def _check_twice(resource: Resource) -> None:
    seen: dict[str, str] = {}
    for frontend, address in links.frontends(resource, "frontendIPConfigurations"):
        if address.lower() in seen:
            raise in_use(frontend, address, seen[address.lower()])
        seen[address.lower()] = frontend


def _check_rules(resource: Resource) -> None:
    """Rules refer to frontends, pools and probes of the same load balancer."""
    said, own = properties(resource), resource["id"]
    there = {
        f"{own}/{kind}/{it['name']}".lower() for kind in OF_BALANCERS for it in said.get(kind) or []
    }
    for kind in ("loadBalancingRules", "outboundRules"):
        for rule in said.get(kind) or []:
            for id in _referred(rule) - there:
                raise missing_reference(id, f"{own}/{kind}/{rule['name']}")


def join_balancer(resource: Resource) -> Iterable[tuple[str, str]]:
    for _, address in links.frontends(resource, "frontendIPConfigurations"):
        yield f"{ADDRESS}/join/action", address
    for frontend in properties(resource).get("frontendIPConfigurations") or []:
        subnet = reference(properties(frontend), "subnet")
        if subnet:
            yield "Microsoft.Network/virtualNetworks/subnets/join/action", subnet


def put_security_group(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    whole = with_children(resource, "securityRules")
    standard = with_properties(
        whole,
        defaultSecurityRules=[{"name": name, "properties": it} for name, it in _defaults()],
        subnets=None,
        networkInterfaces=None,
    )
    return with_children(standard, "defaultSecurityRules")


def _defaults() -> Iterable[tuple[str, dict[str, Any]]]:
    for direction, rules in _DEFAULT_RULES.items():
        for priority, name, access, source, destination in rules:
            yield (
                name,
                {
                    "description": "",
                    "protocol": "*",
                    "sourcePortRange": "*",
                    "destinationPortRange": "*",
                    "sourceAddressPrefix": source,
                    "destinationAddressPrefix": destination,
                    "access": access,
                    "priority": priority,
                    "direction": direction,
                },
            )


#: Priority, name, access, source, destination.
_DEFAULT_RULES = {
    "Inbound": (
        (65000, "AllowVnetInBound", "Allow", "VirtualNetwork", "VirtualNetwork"),
        (65001, "AllowAzureLoadBalancerInBound", "Allow", "AzureLoadBalancer", "*"),
        (65500, "DenyAllInBound", "Deny", "*", "*"),
    ),
    "Outbound": (
        (65000, "AllowVnetOutBound", "Allow", "VirtualNetwork", "VirtualNetwork"),
        (65001, "AllowInternetOutBound", "Allow", "*", "Internet"),
        (65500, "DenyAllOutBound", "Deny", "*", "*"),
    ),
}


def check_security_group(azure: Azure, resource: Resource, old: Resource | None) -> None:
    """Raises `Refused` for two rules of one priority and direction."""
    seen: dict[tuple[Any, Any], str] = {}
    for rule in properties(resource).get("securityRules") or []:
        said = properties(rule)
        place = (said.get("direction"), said.get("priority"))
        if place in seen:
            raise Refused(
                400,
                "SecurityRuleConflict",
                f"Security rule {rule['name']} conflicts with rule {seen[place]}. Rules cannot "
                f"have the same Priority and Direction.",
            )
        seen[place] = rule["name"]


def view_security_group(azure: Azure, resource: Resource) -> Resource:
    kept = properties(resource).get("subnets")
    subnets = links.of(azure).subnets.get(resource["id"].lower()) or []
    return with_properties(resource, subnets=kept or [{"id": it} for it in subnets] or None)


def security_group_is_needed(azure: Azure, resource: Resource) -> None:
    """Raises `Refused` while a subnet has it."""
    subnets = links.of(azure).subnets.get(resource["id"].lower())
    if subnets:
        raise Refused(
            400,
            "InUseNetworkSecurityGroupCannotBeDeleted",
            f"Network security group {resource['id']} cannot be deleted because it is in use by "
            f"the following resources: {', '.join(subnets)}. In order to delete the Network "
            "security group, remove the association with the resource(s).",
        )


def put_network(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    return with_children(resource, "subnets")


def join_security_groups(resource: Resource) -> Iterable[tuple[str, str]]:
    for subnet in properties(resource).get("subnets") or []:
        group = reference(properties(subnet), "networkSecurityGroup")
        if group:
            yield "Microsoft.Network/networkSecurityGroups/join/action", group


def put_interface(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    return with_children(resource, "ipConfigurations")


BALANCERS = Rules(put=put_balancer, check=check_balancer, links=join_balancer)
SECURITY_GROUPS = Rules(
    put=put_security_group,
    check=check_security_group,
    view=view_security_group,
    needed=security_group_is_needed,
)
NETWORKS = Rules(put=put_network, links=join_security_groups)
INTERFACES = Rules(put=put_interface)
