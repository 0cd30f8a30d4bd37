"""What ARM makes of a resource that it is given, and how it shows one, for any type."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tasks.lab.azure import (
    authorization,
    clusters,
    ids,
    network,
    public_ips,
    roles,
    rule_groups,
    zones,
)
from tasks.lab.azure.catalogue import RECORDS, TYPES
from tasks.lab.azure.rules import Resource, Rules, properties

if TYPE_CHECKING:
    from tasks.lab.azure.state import Azure

RULES = {
    name.lower(): rules
    for name, rules in {
        "Microsoft.Network/publicIPAddresses": public_ips.ADDRESSES,
        "Microsoft.Network/publicIPPrefixes": public_ips.PREFIXES,
        "Microsoft.Network/loadBalancers": network.BALANCERS,
        "Microsoft.Network/networkSecurityGroups": network.SECURITY_GROUPS,
        "Microsoft.Network/virtualNetworks": network.NETWORKS,
        "Microsoft.Network/networkInterfaces": network.INTERFACES,
        "Microsoft.Network/dnszones": zones.ZONES,
        **{f"Microsoft.Network/dnszones/{it}": zones.RECORD_SETS for it in RECORDS},
        "Microsoft.ContainerService/managedClusters": clusters.CLUSTERS,
        "Microsoft.ContainerService/fleets/members": clusters.MEMBERS,
        "Microsoft.Authorization/roleAssignments": authorization.ASSIGNMENTS,
        "Microsoft.Authorization/roleDefinitions": authorization.DEFINITIONS,
        "Microsoft.Authorization/locks": authorization.LOCKS,
        rule_groups.GROUP: rule_groups.RULE_GROUPS,
        rule_groups.WORKSPACE: rule_groups.WORKSPACES,
    }.items()
}
_PLAIN = Rules()


def rules(type: str) -> Rules:
    return RULES.get(type.lower(), _PLAIN)


def given(azure: Azure, target: ids.Target, body: Resource) -> Resource:
    """A body as a resource: with the id, name, type and etag that ARM gives to it."""
    old = azure.held(target.path)
    kept = copy.deepcopy({key: it for key, it in body.items() if key not in ("etag", "type")})
    spelled = {} if old is None else {"id": old["id"], "name": old["name"]}
    said = {**(kept.get("properties") or {}), "provisioningState": "Succeeded"}
    named = {**azure.named(target), **spelled, "etag": f'W/"{uuid.uuid4()}"'}
    return {**kept, **named, "properties": said}


def put(azure: Azure, target: ids.Target, body: Resource) -> Resource:
    """What is kept of a body; of what lives inside another, all of that other one."""
    holder, all_of_it = whole(azure, target, body)
    return rules(holder.type).put(azure, given(azure, holder, all_of_it), azure.held(holder.path))


def whole(azure: Azure, target: ids.Target, body: Resource) -> tuple[ids.Target, Resource]:
    """
    What a body is part of: of what lives inside another, that other one with the body in it. Raises
    KeyError where that one is not there.
    """
    word = _inside(target)
    if word is None:
        return target, body
    parent = azure.held(target.parent)
    if parent is None:
        raise KeyError(target.parent)
    child = given(azure, target, body)
    others = [it for it in properties(parent).get(word) or [] if not _named(it, target.name)]
    said = {**properties(parent), word: [*others, child]}
    return ids.target(parent["id"]), {**parent, "properties": said}


def _inside(target: ids.Target) -> str | None:
    """The property of its parent that something lives in, None for what lives by itself."""
    kind = TYPES.get(target.type.lower())
    return kind.inside if kind is not None else None


def view(azure: Azure, resource: Resource) -> Resource:
    """A resource as ARM shows it: with what others make of it."""
    return rules(str(resource.get("type"))).view(azure, resource)


def find(azure: Azure, target: ids.Target) -> Resource | None:
    """Any resource that is there, as it is shown, also one that lives inside another."""
    held = azure.held(target.path)
    if held is not None:
        return view(azure, held)
    if _inside(target):
        return next((it for it in inside(azure, target) if _named(it, target.name)), None)
    if target.type.lower() == roles.DEFINITIONS.lower():
        return roles.built_in(target.name)
    return None


def inside(azure: Azure, target: ids.Target) -> Iterable[Resource]:
    """All that live beside one, or in a collection, of a type that lives inside another."""
    parent = azure.held(target.parent)
    return [] if parent is None else (properties(parent).get(str(_inside(target))) or [])


def delete(azure: Azure, target: ids.Target) -> None:
    """Take a resource away, with all that lies in it and all that goes with it."""
    word = _inside(target)
    if word is not None:
        _delete_inside(azure, target, word)
        return
    gone = [it for it in azure.everything() if ids.lies_in(it["id"], target.path)]
    azure.drop(gone)
    for it in gone:
        rules(str(it.get("type"))).gone(azure, it)


def _delete_inside(azure: Azure, target: ids.Target, word: str) -> None:
    parent = azure.held(target.parent)
    if parent is not None:
        left = [it for it in properties(parent).get(word) or [] if not _named(it, target.name)]
        said = {**properties(parent), word: left}
        azure.keep(put(azure, ids.target(parent["id"]), {**parent, "properties": said}))


def _named(resource: Resource, name: str) -> bool:
    return str(resource.get("name", "")).lower() == name.lower()
