"""
Public IPs and prefixes (Azure REST API reference, Public IP Addresses; Azure docs, "Public IP
addresses": SKUs, allocation, zones). The codes of refusals are those that users report of ARM; of
a change of the SKU and a prefix that is full none could be found, so these two are our own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tasks.lab.azure import links
from tasks.lab.azure.answers import Refused
from tasks.lab.azure.rules import Resource, Rules, properties, reference, with_properties

if TYPE_CHECKING:
    from tasks.lab.azure.state import Azure

ADDRESS, PREFIX = "Microsoft.Network/publicIPAddresses", "Microsoft.Network/publicIPPrefixes"
FIRST = 4  # the addresses of a range that are left alone at its beginning
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def put_address(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    """With all that has a default; the address is allocated once and kept."""
    said = properties(resource)
    sku = {"name": "Basic", "tier": "Regional", **(resource.get("sku") or {})}
    usual = "Dynamic" if sku["name"] == "Basic" else "Static"
    version = said.get("publicIPAddressVersion") or "IPv4"
    whole = with_properties(
        {**resource, "sku": sku},
        publicIPAddressVersion=version,
        publicIPAllocationMethod=said.get("publicIPAllocationMethod") or usual,
        idleTimeoutInMinutes=said.get("idleTimeoutInMinutes") or 4,
        ipTags=said.get("ipTags") or [],
        ddosSettings=said.get("ddosSettings") or {"protectionMode": "VirtualNetworkInherited"},
        dnsSettings=_dns(resource),
        ipConfiguration=None,
        natGateway=None,
    )
    kept = properties(old or {}).get("ipAddress") or said.get("ipAddress")
    return with_properties(whole, ipAddress=kept or _free(azure, whole))


def _dns(resource: Resource) -> dict[str, str] | None:
    settings = properties(resource).get("dnsSettings")
    if not settings or not settings.get("domainNameLabel"):
        return settings or None
    place = f"{resource.get('location', 'westeurope')}.cloudapp.azure.com"
    return {**settings, "fqdn": f"{settings['domainNameLabel']}.{place}"}


def _free(azure: Azure, resource: Resource) -> str:
    version = properties(resource)["publicIPAddressVersion"]
    prefix = reference(properties(resource), "publicIPPrefix")
    taken = {str(properties(it).get("ipAddress")) for it in azure.of(ADDRESS)}
    if prefix:
        held = azure.held(prefix)
        ranges = [ipaddress.ip_network(properties(held)["ipPrefix"])] if held else []
        found = next((it for range in ranges for it in map(str, range) if it not in taken), None)
        if found is None:
            raise Refused(400, "PublicIPPrefixFull", f"{prefix} has no free IP address.")
        return found
    reserved = [ipaddress.ip_network(properties(it)["ipPrefix"]) for it in azure.of(PREFIX)]
    for candidate in _candidates(azure, version):
        if str(candidate) not in taken and not any(candidate in it for it in reserved):
            return str(candidate)
    raise Refused(400, "PublicIPCountLimitReached", "There is no free public IP address.")


def _candidates(
    azure: Azure, version: str
) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    range = ipaddress.ip_network(azure.ranges[version])
    for number in _numbers(range):
        yield range[number]


def _numbers(range_: Network) -> Iterable[int]:
    return range(FIRST, range_.num_addresses - 1)


def check_address(azure: Azure, resource: Resource, old: Resource | None) -> None:
    """Raises `Refused`."""
    said, id = properties(resource), resource["id"]
    sku = (resource.get("sku") or {}).get("name", "Basic")
    if sku == "Basic" and old is None:
        raise Refused(
            400,
            "IPv4BasicSkuPublicIpCountLimitReached",
            "Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in "
            "this region.",
        )
    if sku != "Basic" and said.get("publicIPAllocationMethod") != "Static":
        raise Refused(
            400,
            "StandardSkuPublicIPAddressesMustBeStatic",
            f"Standard sku publicIp {id} must have AllocationMethod set to Static.",
        )
    prefix = reference(said, "publicIPPrefix")
    if prefix and azure.held(prefix) is None:
        raise missing_reference(prefix, id)
    if old is not None:
        _check_change(azure, resource, old)
    _check_label(azure, resource)


def _check_change(azure: Azure, resource: Resource, old: Resource) -> None:
    id, was, now = resource["id"], _zones(old), _zones(resource)
    if was != now:
        raise Refused(
            400,
            "ResourceAvailabilityZonesCannotBeModified",
            f"Resource {id} has an existing availability zone constraint {was} and the request has "
            f"availability zone constraint {now}, which do not match. Zones cannot be added/updated"
            "/removed once the resource is created. The resource cannot be updated from regional "
            "to zonal or vice-versa.",
        )
    before, after = ((it.get("sku") or {}).get("name", "Basic") for it in (old, resource))
    bound = links.of(azure).holders.get(id.lower())
    if before != after and (before != "Basic" or bound):
        raise Refused(
            400,
            "PublicIPAddressSkuCannotBeChanged",
            f"The sku of {id} cannot be changed from {before} to {after}.",
        )
    if bound and _method(resource) != _method(old):
        raise Refused(
            400,
            "PublicIPAddressInUseAllocationMethodCannotBeChanged",
            f"The allocation method of {id} cannot be changed while it is in use.",
        )


def _method(resource: Resource) -> str:
    return str(properties(resource).get("publicIPAllocationMethod") or "Dynamic")


def _zones(resource: Resource) -> str:
    return ", ".join(sorted(resource.get("zones") or [])) or "NoZone"


def _check_label(azure: Azure, resource: Resource) -> None:
    name = (_dns(resource) or {}).get("fqdn")
    for it in azure.of(ADDRESS) if name else ():
        other = properties(it).get("dnsSettings") or {}
        if other.get("fqdn") == name and it["id"].lower() != resource["id"].lower():
            raise Refused(
                400, "DnsRecordInUse", f"DNS record {name} is already used by another public IP."
            )


def missing_reference(wanted: str, by: str) -> Refused:
    return Refused(
        400,
        "InvalidResourceReference",
        f"Resource {wanted} referenced by resource {by} was not found. Please make sure that the "
        "referenced resource exists, and that both resources are in the same region.",
    )


def view_address(azure: Azure, resource: Resource) -> Resource:
    """With what holds it; a Dynamic one has an address only while something does."""
    said, known, key = properties(resource), links.of(azure), resource["id"].lower()
    held = known.holders.get(key)
    holder = said.get("ipConfiguration") or ({"id": held[0]} if held else None)
    gateway = {"id": known.gateways[key]} if key in known.gateways else said.get("natGateway")
    address = said.get("ipAddress")
    if said.get("publicIPAllocationMethod") == "Dynamic" and holder is None and gateway is None:
        address = None
    return with_properties(resource, ipConfiguration=holder, natGateway=gateway, ipAddress=address)


def address_is_needed(azure: Azure, resource: Resource) -> None:
    """Raises `Refused` while something holds it."""
    said = properties(view_address(azure, resource))
    holder = reference(said, "ipConfiguration") or reference(said, "natGateway")
    if holder:
        raise Refused(
            400,
            "PublicIPAddressCannotBeDeleted",
            f"Public IP address {resource['id']} can not be deleted since it is still allocated to "
            f"resource {holder}. In order to delete the public IP, disassociate/detach the Public "
            "IP address from the resource.  To learn how to do this, see aka.ms/deletepublicip.",
        )


def join_prefix(resource: Resource) -> Iterable[tuple[str, str]]:
    prefix = reference(properties(resource), "publicIPPrefix")
    return [(f"{PREFIX}/join/action", prefix)] if prefix else []


def put_prefix(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    said = properties(resource)
    length = int(said.get("prefixLength") or 28)
    version = said.get("publicIPAddressVersion") or "IPv4"
    kept = properties(old or {}).get("ipPrefix") or said.get("ipPrefix")
    return with_properties(
        {
            **resource,
            "sku": {"name": "Standard", "tier": "Regional", **(resource.get("sku") or {})},
        },
        prefixLength=length,
        publicIPAddressVersion=version,
        ipTags=said.get("ipTags") or [],
        ipPrefix=kept or _free_prefix(azure, version, length),
        publicIPAddresses=None,
    )


def _free_prefix(azure: Azure, version: str, length: int) -> str:
    """From the end of the range: single addresses come from its beginning."""
    whole = ipaddress.ip_network(azure.ranges[version])
    taken: list[Network] = [
        ipaddress.ip_network(properties(it)["ipPrefix"]) for it in azure.of(PREFIX)
    ]
    singles = [
        ipaddress.ip_address(properties(it)["ipAddress"])
        for it in azure.of(ADDRESS)
        if properties(it).get("ipAddress")
    ]
    if whole.prefixlen <= length <= whole.max_prefixlen:
        size = 2 ** (whole.max_prefixlen - length)
        for start in range(whole.num_addresses - size, -1, -size):
            found = ipaddress.ip_network(f"{whole[start]}/{length}")
            used = any(found.version == it.version and found.overlaps(it) for it in taken)
            if not used and not any(it in found for it in singles):
                return str(found)
    raise Refused(400, "PublicIPPrefixCountLimitReached", f"There is no free /{length}.")


def view_prefix(azure: Azure, resource: Resource) -> Resource:
    addresses = links.of(azure).addresses.get(resource["id"].lower()) or []
    kept = properties(resource).get("publicIPAddresses")
    listed = kept or [{"id": it} for it in addresses]
    return with_properties(resource, publicIPAddresses=listed or None)


def prefix_is_needed(azure: Azure, resource: Resource) -> None:
    """Raises `Refused` while a public IP comes from it."""
    if links.of(azure).addresses.get(resource["id"].lower()):
        raise Refused(
            400,
            "PublicIPPrefixInUse",
            f"Public IP prefix {resource['id']} is in use by public IP addresses, and cannot be "
            "deleted.",
        )


ADDRESSES = Rules(
    put=put_address,
    check=check_address,
    view=view_address,
    needed=address_is_needed,
    links=join_prefix,
)
PREFIXES = Rules(put=put_prefix, view=view_prefix, needed=prefix_is_needed)
