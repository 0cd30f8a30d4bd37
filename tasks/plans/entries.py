"""
Entries of an inventory that ask Azure for clusters:
``@aks/<subscription>[/<group>[/<cluster>]][?<filter>&<filter>...]``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from tasks.plans import aks, arm
from tasks.plans.aks import ManagedCluster

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
#: What may stand behind the question mark, besides tag.<name>.
FILTERS = ("name", "location", "fleet", "prefix")


@dataclass(frozen=True)
class Filter:
    """
    Such as ``tag.environment=prod*``. + key: one of FILTERS, or "tag.environment"
    + value: in lower case, with * and ? as in names of files; + but: ``!=``
    """

    key: str
    value: str
    but: bool = False


@dataclass(frozen=True)
class Entry:
    """
    One entry of an inventory, without its @aks/. + subscription: an id or a display name
    + prefix: what begins the names of its hosts, where another cluster has the same name
    """

    subscription: str
    group: str | None = None
    cluster: str | None = None
    filters: tuple[Filter, ...] = ()
    prefix: str = ""

    @property
    def fleets(self) -> tuple[str, ...]:
        """Such as ("fleets/europe",), as the filters name them."""
        return tuple(dict.fromkeys(it.value for it in self.filters if it.key == "fleet"))


def entry(text: str) -> Entry:
    """Of what follows ``@aks/``. Raises ValueError, in one line."""
    path, _, query = text.partition("?")
    parts = [unquote(it) for it in path.rstrip("/").split("/")]
    if len(parts) > 3 or not all(parts):
        raise ValueError("write @aks/<subscription>, or /<group> and /<cluster> behind it")
    filters = [_filter(it) for it in query.split("&")] if query else []
    subscription, group, cluster = [*parts, None, None][:3]
    return Entry(
        str(subscription),
        group,
        cluster,
        tuple(it for it in filters if it.key != "prefix"),
        "".join(it.value for it in filters if it.key == "prefix"),
    )


def _filter(text: str) -> Filter:
    key, said, value = (unquote(it) for it in text.partition("="))
    key, but = key.removesuffix("!").lower(), key.endswith("!")
    if not said or not value or (but and key == "prefix"):
        raise ValueError(f"{text!r} is no filter: write such as location=westeurope")
    if not key.startswith("tag.") and key not in FILTERS:
        near = get_close_matches(key, (*FILTERS, "tag."), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(FILTERS)}, tag.<name>"
        raise ValueError(f"no filter {key}: {hint}")
    if key == "fleet" and value.count("/") != 1:
        raise ValueError(f"{text!r}: a fleet is <group>/<fleet>")
    return Filter(key, value if key == "prefix" else value.lower(), but)


@dataclass(frozen=True)
class Subscription:
    id: str
    name: str
    tenant: str | None = None


def subscriptions(resources: Sequence[Mapping[str, Any]]) -> list[Subscription]:
    """Of what ``/subscriptions`` lists."""
    return [
        Subscription(
            it["subscriptionId"], it.get("displayName") or it["subscriptionId"], it.get("tenantId")
        )
        for it in resources
    ]


def named(text: str, known: Sequence[Subscription]) -> Subscription:
    """The one with this id or display name. Raises ValueError, in one line."""
    found = [it for it in known if text.lower() in (it.id.lower(), it.name.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        ids = " and ".join(it.id for it in found)
        raise ValueError(f"{text!r} is the name of {ids}: write the id of one of them")
    if not known:
        raise ValueError(
            "this identity sees no subscription: az role assignment create --assignee OBJECT_ID "
            f'--role "Azure Kubernetes Service Cluster User Role" --scope /subscriptions/{text}'
        )
    names = {name.lower(): name for it in known for name in (it.id, it.name)}
    near = [names[it] for it in get_close_matches(text.lower(), names, n=3)]
    near = near or sorted(it.name for it in known)[:5]
    raise ValueError(
        f"this identity sees no subscription {text!r}, but {', '.join(near)}: correct it, or give "
        "the identity a role there"
    )


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def chosen(
    entry: Entry, clusters: Sequence[ManagedCluster], members: Mapping[str, Collection[str]]
) -> list[ManagedCluster]:
    """
    Those of a subscription's clusters that an entry asks for, stopped ones too. Raises ValueError,
    in one line, where it asks for none: that is a mistake, never an empty fleet.

    + members: by fleet, as ``Entry.fleets``, the ids of its clusters in lower case
    """
    if not clusters:
        raise ValueError("no AKS cluster that this identity may see is in this subscription")
    inside = [it for it in clusters if entry.group is None or arm.same(it.group, entry.group)]
    if not inside:
        groups = sorted({it.group for it in clusters})
        raise ValueError(
            f"no AKS cluster is in resource group {entry.group}: they are in {_few(groups)}"
        )
    found = [it for it in inside if entry.cluster is None or arm.same(it.name, entry.cluster)]
    if not found:
        names = [it.name for it in inside]
        near = get_close_matches(str(entry.cluster), names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {_few(sorted(names))}"
        raise ValueError(f"no AKS cluster {entry.cluster} is in {entry.group}: {hint}")
    kept = [it for it in found if _passes(it, entry.filters, members)]
    if not kept:
        raise ValueError(f"no AKS cluster passes these filters, of {len(found)}: correct them")
    return kept


def _passes(
    cluster: ManagedCluster, filters: Sequence[Filter], members: Mapping[str, Collection[str]]
) -> bool:
    """All keys must pass; of one key that is there twice, one of its values."""
    for key in {it.key for it in filters}:
        wanted = [it for it in filters if it.key == key and not it.but]
        if wanted and not any(_fits(cluster, it, members) for it in wanted):
            return False
    return not any(_fits(cluster, it, members) for it in filters if it.but)


def _fits(cluster: ManagedCluster, it: Filter, members: Mapping[str, Collection[str]]) -> bool:
    match it.key:
        case "fleet":
            return cluster.key in members.get(it.value, ())
        case "name":
            value: str | None = cluster.name
        case "location":
            value = cluster.location.replace(" ", "")
        case _:
            value = aks.tag(cluster, it.key.removeprefix("tag."))
    return value is not None and fnmatchcase(value.lower(), it.value)


def _few(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
