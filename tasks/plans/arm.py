"""
Names of things in Azure Resource Manager: ids, which compare without case, and the kinds that
envoyfleet asks for, each in one API version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

KindName = Literal[
    "managedClusters",
    "publicIPAddresses",
    "publicIPPrefixes",
    "loadBalancers",
    "networkSecurityGroups",
    "dnszones",
    "locks",
    "roleAssignments",
    "roleDefinitions",
]


@dataclass(frozen=True)
class Kind:
    """+ type: as in an id; + api_version: the one that is asked for"""

    type: str
    api_version: str


#: All that is listed, one list a subscription and run (Azure REST API reference, "List" or "List
#: All" of each).
KINDS: dict[KindName, Kind] = {
    "managedClusters": Kind("Microsoft.ContainerService/managedClusters", "2025-10-01"),
    "publicIPAddresses": Kind("Microsoft.Network/publicIPAddresses", "2025-05-01"),
    "publicIPPrefixes": Kind("Microsoft.Network/publicIPPrefixes", "2025-05-01"),
    "loadBalancers": Kind("Microsoft.Network/loadBalancers", "2025-05-01"),
    "networkSecurityGroups": Kind("Microsoft.Network/networkSecurityGroups", "2025-05-01"),
    "dnszones": Kind("Microsoft.Network/dnszones", "2018-05-01"),
    "locks": Kind("Microsoft.Authorization/locks", "2020-05-01"),
    "roleAssignments": Kind("Microsoft.Authorization/roleAssignments", "2022-04-01"),
    "roleDefinitions": Kind("Microsoft.Authorization/roleDefinitions", "2022-04-01"),
}
SUBSCRIPTIONS = Kind("subscriptions", "2022-12-01")
RESOURCE_GROUPS = Kind("resourceGroups", "2021-04-01")
RECORD_SETS = Kind("Microsoft.Network/dnszones/recordsets", "2018-05-01")
FLEET_MEMBERS = Kind("Microsoft.ContainerService/fleets/members", "2025-03-01")


def list_of(subscription: str, kind: KindName) -> tuple[str, str]:
    """The path of the list of all of a kind in a subscription, and its API version."""
    it = KINDS[kind]
    return f"/subscriptions/{subscription.lower()}/providers/{it.type}", it.api_version


@dataclass(frozen=True)
class ResourceId:
    """
    An id, as ARM writes it: ``/subscriptions/<subscription>/resourceGroups/<group>/providers/
    Microsoft.Network/loadBalancers/kubernetes/frontendIPConfigurations/a1``.

    + group: None for what lies in the subscription itself; + type: such as
      "Microsoft.Network/loadBalancers"; + names: such as ("kubernetes", "a1"), the last one its own
    """

    subscription: str
    group: str | None
    type: str
    names: tuple[str, ...]
    text: str

    @property
    def name(self) -> str:
        return self.names[-1]

    @property
    def key(self) -> str:
        """What two ids are compared by (ARM, "Resource naming rules": without case)."""
        return self.text.lower()

    @property
    def parent(self) -> str:
        """The key of what a child lies in: of the load balancer for one of its frontends."""
        return self.key.rsplit("/", 2)[0]


@cache
def parse(text: str) -> ResourceId:
    """
    Raises ValueError, in one line, for what is no id of a resource; an id of a resource group has
    type "resourceGroups".
    """
    parts = text.strip("/").split("/")
    if len(parts) < 4 or len(parts) % 2 or parts[0].lower() != "subscriptions" or not all(parts):
        raise ValueError(f"{text!r} is no id of Azure: it looks like /subscriptions/...")
    group = parts[3] if parts[2].lower() == "resourcegroups" else None
    rest = parts[4:] if group else parts[2:]
    if not rest:
        return ResourceId(parts[1], group, "resourceGroups", (str(group),), text)
    if rest[0].lower() != "providers" or len(rest) < 4:
        raise ValueError(f"{text!r} is no id of Azure: providers/<type>/<name> is missing")
    provider, pairs = rest[1], rest[2:]
    kind = "/".join([provider, *pairs[::2]])
    return ResourceId(parts[1], group, kind, tuple(pairs[1::2]), text)


def same(one: str | None, other: str | None) -> bool:
    """Whether two ids, names or groups are one; None is never."""
    return one is not None and other is not None and one.lower() == other.lower()


def group_id(subscription: str, group: str) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}"


def parsed(text: object) -> ResourceId | None:
    """``parse`` of what a resource says, None where it says no id."""
    try:
        return parse(text) if isinstance(text, str) else None
    except ValueError:
        return None


def within(place: str, scope: str) -> bool:
    """Whether an id lies in a scope, or is it: a subscription, a group, a resource, "/" for all."""
    inner, outer = place.lower().rstrip("/"), scope.lower().rstrip("/")
    return inner == outer or inner.startswith(f"{outer}/")


def at(thing: object, *keys: str) -> Any:
    """What a resource has at this place, None where anything on the way is not there."""
    for key in keys:
        if type(thing) is not dict and not isinstance(thing, Mapping):  # the first alone is quick
            return None
        thing = thing.get(key)
    return thing


def text(thing: object, *keys: str) -> str:
    """The text there, "" where there is none."""
    found = at(thing, *keys)
    return found if isinstance(found, str) else ""


def texts(thing: object, *keys: str) -> list[str]:
    """The texts of a list there."""
    found = at(thing, *keys)
    return [it for it in found if isinstance(it, str)] if isinstance(found, (list, tuple)) else []


def objects(thing: object, *keys: str) -> list[Mapping[str, Any]]:
    """The objects of a list there."""
    found = at(thing, *keys)
    return (
        [it for it in found if isinstance(it, Mapping)] if isinstance(found, (list, tuple)) else []
    )


def number(thing: object, *keys: str) -> int | None:
    """The whole number there, also where it is written as text; None where there is none."""
    found = at(thing, *keys)
    if isinstance(found, str) and found.strip().isascii() and found.strip().isdecimal():
        return int(found)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def pairs(thing: object, *keys: str) -> dict[str, str]:
    """The texts of an object there, by key: tags, annotations."""
    found = at(thing, *keys)
    if not isinstance(found, Mapping):
        return {}
    return {str(key): value for key, value in found.items() if isinstance(value, str)}
