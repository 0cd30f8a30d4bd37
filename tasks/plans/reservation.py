"""
A public IP for a Gateway: what has to be made in Azure before its Service may ask for it.
"""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.plans import arm, az_commands, public_ips, reservable
from tasks.plans.aks import ManagedCluster
from tasks.plans.arm import KINDS, KindName
from tasks.plans.azure_roles import NETWORK_CONTRIBUTOR, NETWORK_CONTRIBUTOR_ID
from tasks.plans.public_ips import Landscape, Wanted

Object = Mapping[str, Any]

#: What is read of a subscription to decide.
NEEDED: tuple[KindName, ...] = (
    "managedClusters",
    "publicIPAddresses",
    "publicIPPrefixes",
    "locks",
    "roleAssignments",
    "roleDefinitions",
)
LOCK = "envoyfleet"
NOTE = "The address of a Gateway: envoyfleet, deploys/reserve_public_ip.py"


@dataclass(frozen=True)
class Order:
    """
    A public IP that is to be reserved for a cluster.

    + wanted: with its name; + role: give the cluster's identity a role where it lacks one
    + tags: on what is made
    """

    wanted: Wanted
    role: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Such as "addresses/weu-1-public"."""
        return f"{self.wanted.group}/{self.wanted.name}"


@dataclass(frozen=True)
class Make:
    """
    A resource that is missing.

    + title: such as "public IP addresses/weu-1-public"; + lines: what it will be
    + command: of az, for somebody who may make it
    """

    kind: KindName
    id: str
    body: Object
    title: str
    lines: Sequence[str]
    command: str


@dataclass(frozen=True)
class Decided:
    """
    + address: of the public IP, None where it is not there yet; + makes: in order
    + problems: why it cannot be had, a line each; + notes: what to know, a line each
    """

    address: str | None = None
    makes: Sequence[Make] = ()
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()


def decided(order: Order, aks: ManagedCluster, there: Landscape) -> Decided:
    """What has to be made for one order, and whether it can be had at all."""
    wanted = order.wanted
    misplaced = reservable.misplaced(wanted, aks, there)
    unread = there.unread.get((aks.subscription.lower(), "publicIPAddresses"))
    if misplaced or unread:
        return Decided(problems=[misplaced or f"public IPs cannot be read: {unread}"])
    found = there.of("publicIPAddresses").get(reservable.id_of(wanted, aks).lower())
    parts = [_address(order, found, aks, there), _lock(order, aks, there), _role(order, aks, there)]
    return Decided(
        arm.text(found, "properties", "ipAddress") or None,
        [make for it in parts for make in it.makes],
        [line for it in parts for line in it.problems],
        [line for it in parts for line in it.notes],
    )


def _address(order: Order, found: Object | None, aks: ManagedCluster, there: Landscape) -> Decided:
    wanted = order.wanted
    if found is not None:
        held = reservable.held(wanted, found, aks, there)
        problems = [*reservable.unfit(wanted, found, aks), *([held] if held else [])]
        return Decided(problems=problems, notes=[*reservable.different(wanted, found)])
    problems = [*reservable.cannot_be_made(wanted, aks, there)]
    return Decided(makes=[_public_ip(order, aks, there)], problems=problems)


def _public_ip(order: Order, aks: ManagedCluster, there: Landscape) -> Make:
    """An address takes its zones from its prefix (Azure docs, "Public IP address prefix")."""
    wanted, idle = order.wanted, order.wanted.idle_timeout or 4
    prefix = reservable.prefix_of(wanted, aks, there) if wanted.prefix else None
    zones = sorted(arm.texts(prefix, "zones") if prefix else wanted.zones or ())
    properties: dict[str, Any] = {
        "publicIPAllocationMethod": "Static",
        "publicIPAddressVersion": "IPv4",
        "idleTimeoutInMinutes": idle,
        **({"publicIPPrefix": {"id": arm.text(prefix, "id")}} if prefix else {}),
    }
    body: dict[str, Any] = {
        "location": aks.location,
        "sku": {"name": "Standard", "tier": "Regional"},
        "tags": dict(order.tags),
        "properties": properties,
        **({"zones": zones} if zones else {}),
    }
    group = arm.group_id(aks.subscription, str(wanted.group))
    made_by = az_commands.create(group, str(wanted.name), aks.location, zones, wanted.prefix)
    more = ["--idle-timeout", str(idle), *(["--tags"] if order.tags else [])]
    command = f"{made_by} {shlex.join([*more, *(f'{key}={it}' for key, it in order.tags.items())])}"
    lines = [
        f"Standard, Static, in {aks.location}",
        f"zones {', '.join(zones) or 'none'}",
        f"idle timeout {idle} minutes",
        *([f"of prefix {wanted.prefix}"] if prefix else []),
        *(f"tag {key}: {it}" for key, it in order.tags.items()),
    ]
    id_, name = reservable.id_of(wanted, aks), reservable.title(wanted)
    return Make("publicIPAddresses", id_, body, name, lines, command)


def _lock(order: Order, aks: ManagedCluster, there: Landscape) -> Decided:
    """Any lock will do, of the address, its group or its subscription."""
    id_ = reservable.id_of(order.wanted, aks)
    unread = there.unread.get((aks.subscription.lower(), "locks"))
    if not order.wanted.lock:
        return Decided()
    if unread:
        return Decided(notes=[f"whether {order.place} is locked is not known: {unread}"])
    if public_ips.locks({"id": id_}, there):
        return Decided()
    lock = f"{id_}/providers/{KINDS['locks'].type}/{LOCK}"
    command = az_commands.lock({"id": id_})
    body = {"properties": {"level": "CanNotDelete", "notes": NOTE}}
    name = f"lock {LOCK} on {reservable.title(order.wanted)}"
    return Decided(makes=[Make("locks", lock, body, name, ["CanNotDelete"], command)])


def _role(order: Order, aks: ManagedCluster, there: Landscape) -> Decided:
    group = arm.group_id(aks.subscription, str(order.wanted.group))
    unread = there.unread.get((aks.subscription.lower(), "roleAssignments"))
    name = f"role {NETWORK_CONTRIBUTOR} of cluster {aks.name} on {order.wanted.group}"
    command = role_command(aks, group)
    if unread or aks.identity is None:
        why = unread or "Azure does not tell the object id of its service principal"
        return Decided(notes=[f"{name} could not be looked for ({why}): if it lacks, {command}"])
    allowed = reservable.may_use(reservable.id_of(order.wanted, aks), aks, there)
    if not allowed.missing:
        return Decided()
    if allowed.unsure:
        return Decided(notes=[f"{name} was not found, but {'; '.join(allowed.unsure)}"])
    if not order.role:
        return Decided(problems=[f"{name} is missing, and role is False: {command}"])
    lines = [f"principal {aks.identity}", f"scope {group}"]
    assignment, body = _assignment(aks, group)
    return Decided(makes=[Make("roleAssignments", assignment, body, name, lines, command)])


def _assignment(aks: ManagedCluster, group: str) -> tuple[str, Object]:
    """Its id, made of what it says, so that whoever runs again makes the same one; and its body."""
    words = f"{group}/{aks.identity}/{NETWORK_CONTRIBUTOR_ID}".lower()
    name = uuid.uuid5(uuid.NAMESPACE_URL, words)
    roles = f"/subscriptions/{aks.subscription}/providers/{KINDS['roleDefinitions'].type}"
    body = {
        "properties": {
            "roleDefinitionId": f"{roles}/{NETWORK_CONTRIBUTOR_ID}",
            "principalId": aks.identity,
            "principalType": "ServicePrincipal",
        }
    }
    return f"{group}/providers/{KINDS['roleAssignments'].type}/{name}", body


def role_command(aks: ManagedCluster, group: str) -> str:
    """+ group: its id"""
    if aks.identity is not None:
        return az_commands.assign(aks.identity, group)
    client = aks.client_id or "CLIENT_ID"
    words = ("--assignee", client, "--role", NETWORK_CONTRIBUTOR, "--scope", group)
    return az_commands.az("role", "assignment", "create", *words)


def claimed_twice(orders: Mapping[str, Iterable[Order]]) -> str | None:
    """
    Two clusters of an inventory that want one public IP, or None.

    + orders: by cluster
    """
    seen: dict[tuple[str, str], str] = {}
    for cluster, those in orders.items():
        for it in those:
            place = (it.wanted.subscription or "", it.place.lower())
            other = seen.setdefault(place, cluster)
            if other != cluster and it.wanted.group is not None:
                return (
                    f"{cluster}: {reservable.title(it.wanted)} is wanted for {other} too: one of "
                    "them can have it"
                )
    return None


#: By a word of Azure's code, what to do about a public IP that could not be made.
ADVICE = (
    ("countlimit", "ask for more: az network list-usages --location {location} --output table"),
    ("quota", "ask for more: az network list-usages --location {location} --output table"),
    ("prefix", "name another prefix, or none"),
    ("zone", "set zones of public_ip to those that {location} has, [] for none"),
)


def refused(make: Make, location: str, status: int, code: str, line: str) -> str:
    """
    What to say where Azure did not make something.

    + line: what it said, and what to do as far as that is known
    """
    if status == 403 and code.lower() != "requestdisallowedbypolicy":
        return (
            f"{make.title} is missing, and this identity may not make it: hand this to somebody "
            f"who may, then run again: {make.command}"
        )
    advice = next((text for word, text in ADVICE if word in code.lower()), None)
    more = f": {advice.format(location=location)}" if advice else ""
    return f"{make.title} was not made: {line}{more}"
