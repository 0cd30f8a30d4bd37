"""
Whether a public IP can be a cluster's: where it lies, what it is, and who holds it. Each problem is
a line that says what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from tasks.plans import arm, azure_roles, public_ips
from tasks.plans.aks import ManagedCluster
from tasks.plans.arm import KINDS
from tasks.plans.public_ips import Landscape, Wanted

Object = Mapping[str, Any]


def id_of(wanted: Wanted, aks: ManagedCluster) -> str:
    """Where Azure looks for it: without a group in the node resource group."""
    group = arm.group_id(aks.subscription, wanted.group or aks.node_group)
    return f"{group}/providers/{KINDS['publicIPAddresses'].type}/{wanted.name}"


def title(wanted: Wanted) -> str:
    """Such as "public IP addresses/weu-1-public"."""
    return f"public IP {f'{wanted.group}/' if wanted.group else ''}{wanted.name}"


def misplaced(wanted: Wanted, aks: ManagedCluster, there: Landscape) -> str | None:
    """Why it cannot lie where it is to, or None. AKS looks in the cluster's subscription alone."""
    if wanted.subscription and not arm.same(wanted.subscription, aks.subscription):
        return (
            f"{title(wanted)} is to be in subscription {wanted.subscription}, and AKS looks for it "
            f"in the cluster's own, {aks.subscription}, alone: take subscription out of public_ip"
        )
    if wanted.group is None:
        return (
            f"public_ip {wanted.name} has no resource_group, and the node resource group "
            f"{aks.node_group} is deleted with the cluster: name one that outlives it"
        )
    group = arm.group_id(aks.subscription, wanted.group).lower()
    owner = public_ips.node_groups(there, aks).get(group)
    if owner is None:
        return None
    return (
        f"{title(wanted)} is to be in the node resource group of cluster "
        f"{owner.rpartition('/')[2]}, which is deleted with it: name a group that outlives it"
    )


def no_group(wanted: Wanted, aks: ManagedCluster) -> str:
    """Who owns a group, and what it is called, is not ours to decide."""
    return (
        f"resource group {wanted.group} does not exist: az group create --subscription "
        f"{aks.subscription} --name {wanted.group} --location {aks.location}"
    )


def prefix_of(wanted: Wanted, aks: ManagedCluster, there: Landscape) -> Object | None:
    group = arm.group_id(aks.subscription, str(wanted.group))
    id_ = f"{group}/providers/{KINDS['publicIPPrefixes'].type}/{wanted.prefix}"
    return there.of("publicIPPrefixes").get(id_.lower())


def cannot_be_made(wanted: Wanted, aks: ManagedCluster, there: Landscape) -> Iterator[str]:
    """Why a public IP that does not exist cannot be made as it is wanted."""
    if wanted.address:
        yield (
            f"{title(wanted)} does not exist, and Azure chooses the address of a new one: take "
            f"address {wanted.address} out, or name the public IP that has it"
        )
    if not wanted.prefix:
        return
    name, prefix = f"public IP prefix {wanted.group}/{wanted.prefix}", prefix_of(wanted, aks, there)
    if prefix is None:
        why = there.unread.get((aks.subscription.lower(), "publicIPPrefixes"))
        yield f"{name} cannot be read: {why}" if why else f"{name} does not exist: make it first"
        return
    place = arm.text(prefix, "location")
    if not arm.same(place, aks.location):
        yield f"{name} is in {place}, the cluster in {aks.location}: name one of that region"
    size = _size(arm.text(prefix, "properties", "ipPrefix"))
    if size is not None and len(arm.objects(prefix, "properties", "publicIPAddresses")) >= size:
        yield f"{name} is full, all its {size} addresses are taken: name another one, or none"


def _size(prefix: str) -> int | None:
    try:
        return ip_network(prefix).num_addresses
    except ValueError:
        return None


def unfit(wanted: Wanted, found: Object, aks: ManagedCluster) -> Iterator[str]:
    """Why a public IP that exists cannot be this cluster's, whoever holds it."""
    name, id_, another = title(wanted), arm.text(found, "id"), "name another one"
    place = arm.text(found, "location")
    if not arm.same(place, aks.location):
        yield f"{name} is in {place}, the cluster in {aks.location}: {another}"
    if arm.same(arm.text(found, "sku", "name"), "Basic"):
        yield (
            f"{name} has SKU Basic, which AKS cannot use: az network public-ip update --ids {id_} "
            f"--sku Standard while nothing holds it, or {another}"
        )
    if arm.same(arm.text(found, "sku", "tier"), "Global"):
        yield f"{name} has tier Global, which is for load balancers across regions: {another}"
    if arm.same(arm.text(found, "properties", "publicIPAllocationMethod"), "Dynamic"):
        yield (
            f"{name} is Dynamic, its address can be lost: az network public-ip update --ids {id_} "
            "--allocation-method Static"
        )
    if arm.same(arm.text(found, "properties", "publicIPAddressVersion"), "IPv6"):
        yield f"{name} is IPv6, and the address of a Gateway is IPv4: {another}"
    state = arm.text(found, "properties", "provisioningState")
    if state and state != "Succeeded":
        yield (
            f"{name} is {state} in Azure: wait until that has ended, or mend it with az resource "
            f"update --ids {id_}, then run again"
        )
    has = arm.text(found, "properties", "ipAddress")
    if wanted.address and has and has != wanted.address:
        yield f"{name} has {has}, and address says {wanted.address}: correct one of them"


def held(wanted: Wanted, found: Object, aks: ManagedCluster, there: Landscape) -> str | None:
    """What to say where something else than this cluster holds a public IP."""
    holder = public_ips.other_holder(found, there, aks)
    if holder is None:
        return None
    return (
        f"{title(wanted)} is held by {holder.text}, and two cannot hold it: name another one, or "
        "free it there first"
    )


def different(wanted: Wanted, found: Object) -> Iterator[str]:
    """What of a public IP that exists is not as it would be made, and is left so."""
    zones = sorted(arm.texts(found, "zones"))
    if wanted.zones is not None and zones != sorted(wanted.zones):
        yield (
            f"{title(wanted)} is in {_zones(zones)}, not in {_zones(wanted.zones)}: they are "
            "chosen once, when it is made"
        )
    idle = arm.number(found, "properties", "idleTimeoutInMinutes")
    if wanted.idle_timeout is not None and idle not in (None, wanted.idle_timeout):
        yield (
            f"{title(wanted)} has an idle timeout of {idle} minutes, not {wanted.idle_timeout}: az "
            f"network public-ip update --ids {arm.text(found, 'id')} --idle-timeout "
            f"{wanted.idle_timeout}"
        )


def _zones(zones: Iterable[str]) -> str:
    names = ", ".join(zones)
    return f"zones {names}" if names else "no zone"


def may_use(id_: str, aks: ManagedCluster, there: Landscape) -> azure_roles.Allowed:
    """Whether a cluster's identity may give its load balancer the public IP with this id."""
    return azure_roles.may_use(
        aks.identity or "",
        id_,
        there.of("roleAssignments").values(),
        there.of("roleDefinitions"),
    )
