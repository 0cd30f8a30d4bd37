"""Who refers to whom: what ARM shows of a resource that another one uses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.lab.azure.rules import Resource, properties, reference

if TYPE_CHECKING:
    from tasks.lab.azure.state import Azure

#: Types that hold public IPs, and the property that lists what holds each.
HOLDERS = {
    "Microsoft.Network/loadBalancers": "frontendIPConfigurations",
    "Microsoft.Network/networkInterfaces": "ipConfigurations",
    "Microsoft.Network/applicationGateways": "frontendIPConfigurations",
    "Microsoft.Network/virtualNetworkGateways": "ipConfigurations",
    "Microsoft.Network/azureFirewalls": "ipConfigurations",
}


@dataclass
class Links:
    """
    By the key of what is referred to.

    + holders: of a public IP, the ids of frontends and the like; + gateways: ids of NAT gateways
    + subnets: of a network security group; + addresses: of a prefix
    """

    holders: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    gateways: dict[str, str] = field(default_factory=dict)
    subnets: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    addresses: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def of(azure: Azure) -> Links:
    return azure.derived("links", _collected)


def _collected(azure: Azure) -> Links:
    links = Links()
    for kind, children in HOLDERS.items():
        for resource in azure.of(kind):
            for child, held in frontends(resource, children):
                links.holders[held.lower()].append(child)
    for gateway in azure.of("Microsoft.Network/natGateways"):
        for it in properties(gateway).get("publicIpAddresses") or []:
            links.gateways[it["id"].lower()] = gateway["id"]
    for network in azure.of("Microsoft.Network/virtualNetworks"):
        for subnet in properties(network).get("subnets") or []:
            group = reference(properties(subnet), "networkSecurityGroup")
            if group:
                name = f"{network['id']}/subnets/{subnet['name']}"
                links.subnets[group.lower()].append(name)
    for address in azure.of("Microsoft.Network/publicIPAddresses"):
        prefix = reference(properties(address), "publicIPPrefix")
        if prefix:
            links.addresses[prefix.lower()].append(address["id"])
    return links


def frontends(resource: Resource, children: str) -> Iterator[tuple[str, str]]:
    """The id of each frontend, and that of its public IP."""
    for child in properties(resource).get(children) or []:
        address = reference(properties(child), "publicIPAddress")
        if address:
            yield child.get("id") or f"{resource['id']}/{children}/{child['name']}", address
