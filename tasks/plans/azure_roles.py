"""What the roles of Azure let an identity do at a place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.plans import arm

Object = Mapping[str, Any]
READ = "Microsoft.Network/publicIPAddresses/read"
JOIN = "Microsoft.Network/publicIPAddresses/join/action"
WRITE = "Microsoft.Network/publicIPAddresses/write"
JOIN_PREFIX = "Microsoft.Network/publicIPPrefixes/join/action"
NETWORK_CONTRIBUTOR = "Network Contributor"
#: The same in every tenant, as those below are (Azure RBAC docs, "Azure built-in roles").
NETWORK_CONTRIBUTOR_ID = "4d97b98b-1d4f-4787-a291-c67834d212e7"
#: For where the list of definitions could not be read.
BUILT_IN: Mapping[str, tuple[str, ...]] = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": ("*",),
    "b24988ac-6180-42a0-ab88-20f7382dd24c": ("*",),
    NETWORK_CONTRIBUTOR_ID: ("Microsoft.Network/*",),
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": ("*/read",),
}


@dataclass(frozen=True)
class Allowed:
    """
    + missing: actions that nothing gives; + unsure: why some of these may be given all the same, in
      words, none where it is certain
    """

    missing: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()


def may_use(
    identity: str,
    public_ip: str,
    assignments: Collection[Object],
    definitions: Mapping[str, Object],
) -> Allowed:
    """
    Whether an identity may give its load balancer a public IP. Azure lists the resource group, so a
    role on the public IP alone does not do (cloud-provider-azure 1.36, ``newPIPCache``; Azure/AKS
    issues 1624 and 1945 have the words of both refusals).

    + public_ip: its id
    """
    own = arm.parse(public_ip)
    group = arm.group_id(own.subscription, own.group or "")
    read = allowed(identity, (READ,), group, assignments, definitions)
    join = allowed(identity, (JOIN,), public_ip, assignments, definitions)
    unsure = tuple(dict.fromkeys([*read.unsure, *join.unsure]))
    return Allowed((*read.missing, *join.missing), unsure)


def allowed(
    identity: str,
    actions: Sequence[str],
    place: str,
    assignments: Iterable[Object],
    definitions: Mapping[str, Object],
) -> Allowed:
    """
    Whether an identity may do these actions at a place: assignments there, or at anything above it,
    add up (Azure RBAC docs, "How Azure RBAC determines if a user has access").

    + identity: its principal id; + place: id of the resource or group
    """
    by_name = {it.rsplit("/", 1)[-1].lower(): body for it, body in definitions.items()}
    given: set[str] = set()
    unsure: list[str] = []
    for it in assignments:
        of_group = arm.text(it, "properties", "principalType").lower() == "group"
        own = arm.same(arm.text(it, "properties", "principalId"), identity)
        if not (own or of_group) or not arm.within(place, _scope(it)):
            continue
        role = arm.text(it, "properties", "roleDefinitionId").rsplit("/", 1)[-1].lower()
        gives = _gives(role, by_name.get(role), actions)
        if own and gives is None:
            unsure.append(f"what its role {role} allows is not known here")
        elif own and gives:
            given |= gives
        elif of_group and gives:
            group = arm.text(it, "properties", "principalId")
            unsure.append(f"the Entra group {group} may, and who is in it is not known here")
    missing = tuple(it for it in actions if it not in given)
    return Allowed(missing, tuple(sorted(set(unsure))) if missing else ())


def _scope(assignment: Object) -> str:
    """Where it holds: of a management group it was listed for what is below, so everywhere."""
    said = arm.text(assignment, "properties", "scope")
    own = arm.text(assignment, "id").lower()
    scope = (said or own.rpartition("/providers/microsoft.authorization/")[0]).rstrip("/")
    above = scope.lower().startswith("/providers/microsoft.management/")
    if not said and not own:
        return "nowhere"
    return "" if above else scope


def _gives(role: str, definition: Object | None, actions: Sequence[str]) -> set[str] | None:
    """Those of these actions that a role gives; None where it is not known."""
    if definition is None:
        known = BUILT_IN.get(role)
        return None if known is None else {it for it in actions if _matches(known, it)}
    return {it for it in actions if any(_permits(each, it) for each in _permissions(definition))}


def _permissions(definition: Object) -> Iterator[Object]:
    yield from arm.objects(definition, "properties", "permissions")


def _permits(permission: Object, action: str) -> bool:
    return _matches(arm.texts(permission, "actions"), action) and not _matches(
        arm.texts(permission, "notActions"), action
    )


def _matches(patterns: Iterable[str], action: str) -> bool:
    """Without case; "*" stands for any text, with slashes in it."""
    return any(
        re.fullmatch(".*".join(map(re.escape, it.split("*"))), action, re.IGNORECASE)
        for it in patterns
    )
