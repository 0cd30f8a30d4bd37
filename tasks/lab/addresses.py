"""
Which address each Service of type LoadBalancer gets, decided from the Services alone.

Rules as Azure's cloud provider has them: a wanted address is given or the Service keeps what it
has, with a Warning event ``SyncLoadBalancerFailed``; nobody else's address is ever taken.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

AZURE_ADDRESS = "service.beta.kubernetes.io/azure-load-balancer-ipv4"
# What Azure answers once a subscription has no public address left.
NO_ADDRESS_LEFT = (
    "PublicIPCountLimitReached: Cannot create more than 10 public IP addresses for this "
    "subscription in this region."
)


@dataclass(frozen=True)
class Assignment:
    """The address a Service gets (``None``: none) and why it is not the wanted one, if so."""

    address: str | None
    problem: str | None = None


def wanted(service: Mapping[str, Any]) -> str | None:
    """The fixed address a Service asks for, by annotation or, the older way, by its spec."""
    annotations = service["metadata"].get("annotations") or {}
    return annotations.get(AZURE_ADDRESS) or service["spec"].get("loadBalancerIP") or None


def current(service: Mapping[str, Any]) -> str | None:
    """The address a Service has."""
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    return ingress[0].get("ip") if ingress else None


def balanced(services: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The Services that want an address, oldest first."""
    ours = [
        service
        for service in services
        if service["spec"].get("type") == "LoadBalancer"
        and not service["spec"].get("loadBalancerClass")
    ]
    return sorted(ours, key=lambda one: (one["metadata"]["creationTimestamp"], _name(one)))


def assign(services: Iterable[dict[str, Any]], block: str) -> dict[str, Assignment]:
    """The assignment of each Service by UID, addresses out of a block such as "10.200.18.0/24"."""
    network = ipaddress.ip_network(block)
    ours = balanced(services)
    owners: dict[str, str] = {}
    for service in ours:
        address = current(service)
        if address and ipaddress.ip_address(address) in network:
            owners.setdefault(address, service["metadata"]["uid"])

    found: dict[str, Assignment] = {}
    for service in sorted(ours, key=lambda one: wanted(one) is None):
        uid = service["metadata"]["uid"]
        has = current(service)
        keeps = has if has and owners.get(has) == uid else None
        asked = wanted(service)
        if asked is None:
            address = keeps or _free(network, owners)
            found[uid] = Assignment(address, None if address else NO_ADDRESS_LEFT)
        elif problem := _refusal(asked, network, owners, uid):
            found[uid] = Assignment(keeps, problem)
        else:
            found[uid] = Assignment(asked)
        given = found[uid].address
        if given:
            owners[given] = uid
    return found


def _refusal(
    asked: str,
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
    owners: Mapping[str, str],
    uid: str,
) -> str | None:
    """Why a Service cannot have the address it asks for, in Azure's words."""
    try:
        inside = ipaddress.ip_address(asked) in network
    except ValueError:
        return f"loadBalancerIP {asked} is not a valid IP address"
    if not inside:
        return f"user supplied IP Address {asked} was not found in resource group MC_lab"
    if owners.get(asked, uid) != uid:
        return (
            f"PublicIPAddressInUse: Resource with IP Address {asked} is already allocated to "
            "another load balancer frontend"
        )
    return None


def _free(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network, owners: Mapping[str, str]
) -> str | None:
    """An address nobody has, the upper half first: the lower one is there to choose from."""
    hosts = [str(address) for address in network.hosts()]
    middle = len(hosts) // 2
    return next((one for one in hosts[middle:] + hosts[:middle] if one not in owners), None)


def _name(service: Mapping[str, Any]) -> tuple[str, str]:
    return service["metadata"]["namespace"], service["metadata"]["name"]
