"""
Public IPs that the Gateways of an archive ask for, in a cluster that takes the place of the one
that had them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.plans import arm, public_ips, reservable, reservation
from tasks.plans.aks import ManagedCluster
from tasks.plans.kinds import title
from tasks.plans.preflight import Reason, warning
from tasks.plans.public_ips import INTERNAL, Landscape, Wanted

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Moved:
    """
    + gateway: such as "Gateway edge/public"; + wanted: what it asks for
    + address: that the public IP has, None where it is not there
    + reasons: that speak against it, and what could not be looked at
    """

    gateway: str
    wanted: Wanted
    address: str | None
    reasons: tuple[Reason, ...] = ()

    @property
    def free(self) -> bool:
        """Whether nothing speaks against it."""
        return self.address is not None and not any(it.stops for it in self.reasons)

    @property
    def text(self) -> str:
        """Such as "Gateway edge/public: 20.103.0.10 of public IP addresses/weu-1-public"."""
        return f"{self.gateway}: {self.address} of {reservable.title(self.wanted)}"


def asked(addresses: Iterable[Object], gateways: Collection[str]) -> dict[str, Wanted]:
    """
    What the Services of some Gateways asked Azure for, by the Gateway's title.

    + addresses: of the archive's manifest; + gateways: titles of those that are restored
    """
    found = {}
    for it in addresses:
        name, notes = f"Gateway {it['gateway']}", it.get("annotations") or {}
        what = public_ips.asked(notes, {})
        if name in gateways and notes.get(INTERNAL) != "true" and (what.name or what.address):
            found[name] = Wanted(what.name, what.group, address=what.address)
    return found


def moved(wanted: Mapping[str, Wanted], aks: ManagedCluster, there: Landscape) -> list[Moved]:
    """What of each is there, and whether this cluster may have it. + wanted: ``asked``"""
    return [_moved(gateway, it, aks, there) for gateway, it in wanted.items()]


def _moved(gateway: str, wanted: Wanted, aks: ManagedCluster, there: Landscape) -> Moved:
    unread = there.unread.get((aks.subscription.lower(), "publicIPAddresses"))
    if unread:
        said = f"{gateway} asks for {_named(wanted)}, which could not be looked for: {unread}"
        return Moved(gateway, wanted, None, (warning(said),))
    found = _found(wanted, aks, there)
    if found is None:
        return Moved(gateway, wanted, None, (_missing(gateway, wanted, aks),))
    named = Wanted(public_ips.named(found), wanted.group)
    reasons = (
        *_held(gateway, named, found, aks, there),
        *(Reason(f"{gateway}: {it}", "address") for it in reservable.unfit(named, found, aks)),
        *_forbidden(gateway, named, found, aks, there),
    )
    return Moved(gateway, named, arm.text(found, "properties", "ipAddress") or None, reasons)


def _found(wanted: Wanted, aks: ManagedCluster, there: Landscape) -> Object | None:
    """Where Azure looks for it: in the group that it names, else in the node resource group."""
    if wanted.name:
        return there.of("publicIPAddresses").get(reservable.id_of(wanted, aks).lower())
    group = arm.group_id(aks.subscription, wanted.group or aks.node_group)
    return next(
        (
            it
            for id_, it in sorted(there.of("publicIPAddresses").items())
            if arm.within(id_, group) and arm.text(it, "properties", "ipAddress") == wanted.address
        ),
        None,
    )


def _named(wanted: Wanted) -> str:
    if wanted.name:
        return reservable.title(wanted)
    return f"address {wanted.address}" + (f" of {wanted.group}" if wanted.group else "")


def _missing(gateway: str, wanted: Wanted, aks: ManagedCluster) -> Reason:
    where = f"resource group {wanted.group or aks.node_group}"
    lost = "" if wanted.group else ": one of a node resource group is lost with its cluster"
    return Reason(
        f"{gateway} asks for {_named(wanted)}, which is not in {where}{lost}: put public_ip of the "
        "inventory right and make it with deploys/reserve_public_ip.py, which gives it another "
        "address; until then the Gateway has none",
        "address",
    )


def _held(
    gateway: str, wanted: Wanted, found: Object, aks: ManagedCluster, there: Landscape
) -> Iterator[Reason]:
    holder = public_ips.other_holder(found, there, aks)
    if holder is None:
        return
    said = f"{gateway} asks for {reservable.title(wanted)}, which is held by {holder.text}"
    cluster = arm.parsed(holder.cluster)
    if cluster is None:
        yield Reason(f"{said}: wait until Azure has deleted that, or free it there", "address")
        return
    yield Reason(
        f"{said}, which Azure still has: if that cluster is lost, delete what is left of it (az "
        f"aks delete --resource-group {cluster.group} --name {cluster.name}); if it lives, its "
        "address stays there",
        "address",
    )


def _forbidden(
    gateway: str, wanted: Wanted, found: Object, aks: ManagedCluster, there: Landscape
) -> Iterator[Reason]:
    unread = there.unread.get((aks.subscription.lower(), "roleAssignments"))
    group = arm.group_id(aks.subscription, public_ips.group_of(found))
    command = reservation.role_command(aks, group)
    about = f"{gateway}: the identity of cluster {aks.name}"
    if unread or aks.identity is None:
        yield warning(
            f"{about} was not looked at for {reservable.title(wanted)}: if it may not use "
            f"it, {command}"
        )
        return
    allowed = reservable.may_use(arm.text(found, "id"), aks, there)
    if allowed.unsure:
        yield warning(
            f"{about} may not use {reservable.title(wanted)}, as far as is known: "
            f"{'; '.join(allowed.unsure)}"
        )
    elif allowed.missing:
        yield Reason(f"{about} may not use {reservable.title(wanted)}: {command}", "address")


def not_back(addresses: Mapping[str, str], gateways: Iterable[Object]) -> list[str]:
    """
    Gateways that do not have the address yet that they are to have again, a line each.

    + addresses: by title of the Gateway
    """
    found = []
    for it in gateways:
        wanted = addresses.get(title(it))
        has = [arm.text(one, "value") for one in arm.objects(it, "status", "addresses")]
        if wanted is not None and wanted not in has:
            found.append(f"{title(it)}: it has {', '.join(has) or 'no address'}, not {wanted} yet")
    return found
