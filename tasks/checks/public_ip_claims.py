"""Public IPs that several claim, and those that nobody does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from tasks.checks.findings import Finding, Where
from tasks.plans import arm, az_commands
from tasks.plans.load_balancers import ports
from tasks.plans.public_ips import (
    Claim,
    Holder,
    Landscape,
    Object,
    group_of,
    holder,
    named,
    node_groups,
    subscription_of,
)


def claimed_twice(
    found: Object, claims: Sequence[Claim], landscape: Landscape
) -> Iterator[Finding]:
    """
    One cluster may have it, for Services with ports of their own. Where another one holds it,
    GW706 says so of every cluster that was read.
    """
    held = holder(found, landscape, next((it.aks for it in claims if it.aks), None))
    left = [it for it in claims if not _told(it, held)]
    first = next((it for it in left if _holds(it, held)), left[0] if left else None)
    for it in left:
        if first is None or it is first:
            continue
        shared = _shared(first, it)
        if it.cluster != first.cluster or shared:
            on = f" for port {', '.join(map(str, shared))}" if it.cluster == first.cluster else ""
            yield Finding(
                "GW725",
                "error",
                Where(it.cluster, it.title),
                f"public IP {named(found)} is claimed by {first.title} of {first.cluster} too{on}",
                "give one of them another public IP",
            )


def _told(claim: Claim, held: Holder | None) -> bool:
    read = claim.service is not None or bool(claim.gateways)
    return read and held is not None and not _holds(claim, held)


def _holds(claim: Claim, held: Holder | None) -> bool:
    return held is not None and claim.aks is not None and held.cluster == claim.aks.key


def _shared(one: Claim, other: Claim) -> list[int]:
    mine = {(it.protocol, it.number) for it in ports(one.service)}
    return sorted(it.number for it in ports(other.service) if (it.protocol, it.number) in mine)


def unused(
    landscape: Landscape, wanted: Mapping[str, Sequence[Claim]], not_looked_at: Collection[str]
) -> Iterator[Finding]:
    """Azure docs, "Public IP addresses": a Standard one costs by the hour, bound or not."""
    of_aks = set(_outbound(landscape))
    groups = node_groups(landscape)
    for it, found in sorted(landscape.of("publicIPAddresses").items()):
        if it in wanted or it in of_aks or not arm.parsed(arm.text(found, "id")):
            continue
        bound = any(arm.at(found, "properties", what) for what in _BINDINGS)
        if subscription_of(found).lower() in not_looked_at:
            continue
        if bound or _managed(found) or arm.at(found, "properties", "publicIPPrefix"):
            continue
        group = arm.group_id(subscription_of(found), group_of(found)).lower()
        left = " by a Service that is gone" if group in groups else ""
        yield Finding(
            "GW726",
            "info",
            Where(None, f"public IP {group_of(found)}/{named(found)}"),
            f"nothing uses {arm.text(found, 'properties', 'ipAddress') or 'it'}, and no cluster of "
            f"the inventory claims it{', left' + left if left else ''}: it costs by the hour",
            f"{az_commands.delete(found)}, where nothing else counts on it",
        )


_BINDINGS = ("ipConfiguration", "natGateway", "servicePublicIPAddress", "linkedPublicIPAddress")


def _outbound(landscape: Landscape) -> Iterator[str]:
    """Keys of those that AKS has for what leaves its clusters."""
    for cluster in landscape.of("managedClusters").values():
        for profile in ("loadBalancerProfile", "natGatewayProfile"):
            said = arm.at(cluster, "properties", "networkProfile", profile)
            for it in (
                *arm.objects(said, "effectiveOutboundIPs"),
                *arm.objects(said, "outboundIPs", "publicIPs"),
            ):
                yield arm.text(it, "id").lower()


def _managed(found: Object) -> bool:
    """Whether AKS made it for itself (its tags), or makes it for a Service right now."""
    tags = {name.lower(): value.lower() for name, value in arm.pairs(found, "tags").items()}
    return any(it.startswith("aks-managed") for it in tags) or "aks-slb" in tags.get("type", "")
