"""What is particular to a type of resource; each type's own module fills one of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tasks.lab.azure.answers import Answer

if TYPE_CHECKING:
    from tasks.lab.azure.calls import Call
    from tasks.lab.azure.state import Azure

Resource = dict[str, Any]


def _as_given(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    return resource


def _accepts(azure: Azure, resource: Resource, old: Resource | None) -> None:
    pass


def _as_kept(azure: Azure, resource: Resource) -> Resource:
    return resource


def _nothing(azure: Azure, resource: Resource) -> None:
    pass


def _no_links(resource: Resource) -> Iterable[tuple[str, str]]:
    return ()


@dataclass(frozen=True)
class Rules:
    """
    + put: what is kept of a resource that somebody gave; third argument: the one before, or None
    + check: raises `Refused` where ARM would not take what a caller asks for
    + view: how a resource is shown, with what others make of it
    + needed: raises `Refused` where something needs a resource that a caller wants to delete
    + gone: what goes with a resource that was deleted
    + links: what else one must be permitted to use it: ("Microsoft.Network/publicIPAddresses/join/
      action", <id>)
    + actions: the answer to a POST, by its name in lower case
    """

    put: Callable[[Azure, Resource, Resource | None], Resource] = _as_given
    check: Callable[[Azure, Resource, Resource | None], None] = _accepts
    view: Callable[[Azure, Resource], Resource] = _as_kept
    needed: Callable[[Azure, Resource], None] = _nothing
    gone: Callable[[Azure, Resource], None] = _nothing
    links: Callable[[Resource], Iterable[tuple[str, str]]] = _no_links
    actions: Mapping[str, Callable[[Call, Resource], Answer]] = field(default_factory=dict)


def with_properties(resource: Resource, **properties: Any) -> Resource:
    """Another one with these properties; those that are None are left out."""
    said = {**resource["properties"], **properties}
    return {**resource, "properties": {key: it for key, it in said.items() if it is not None}}


def properties(resource: Resource) -> dict[str, Any]:
    return resource.get("properties") or {}


def reference(holder: Mapping[str, Any], name: str) -> str | None:
    """The id that ``{"publicIPAddress": {"id": ...}}`` names."""
    return (holder.get(name) or {}).get("id")
