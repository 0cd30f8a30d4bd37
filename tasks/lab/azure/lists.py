"""What a list of ARM holds, for who may see it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tasks.lab.azure import authorization, ids, roles, types, zones
from tasks.lab.azure.answers import Refused
from tasks.lab.azure.catalogue import RESOURCES, ZONES, Type
from tasks.lab.azure.rules import Resource

if TYPE_CHECKING:
    from tasks.lab.azure.calls import Call

#: Lists of more than one type.
KINDS = {
    "resources": Type("resources", RESOURCES),
    "microsoft.network/dnszones/all": Type("Microsoft.Network/dnszones/all", ZONES),
    "microsoft.network/dnszones/recordsets": Type("Microsoft.Network/dnszones/recordsets", ZONES),
}


def entries(call: Call) -> Iterable[Resource]:
    """
    Not yet as shown. Raises `Refused` where nothing of it may be seen, or what it lies in is not
    there.
    """
    kind, target = call.kind, call.target
    if kind.name == "subscriptions":
        return [it for it in call.azure.of("subscriptions") if _in_sight(call, it)]
    _check_place(call)
    if kind.name in (roles.ASSIGNMENTS, roles.DEFINITIONS, authorization.LOCK):
        call.need("read", target.scope)
    if len(target.names) > 0 and "." in kind.name:
        call.need("read", target.parent)
    return _permitted(call, _all(call))


def _check_place(call: Call) -> None:
    """Raises `Refused` where the group or the parent of a list is not there."""
    azure, target = call.azure, call.target
    group = ids.group_of(target.path)
    if target.group and azure.held(group) is None:
        call.need("read")
        raise Refused(
            404, "ResourceGroupNotFound", f"Resource group '{target.group}' could not be found."
        )
    if target.names and "." in call.kind.name and azure.held(target.parent) is None:
        call.need("read")
        raise Refused(
            404,
            "ParentResourceNotFound",
            "Failed to perform 'read' on resource(s) of type "
            f"'{call.kind.word}', because the parent resource '{target.parent}' could not be "
            "found.",
        )


def _all(call: Call) -> Iterable[Resource]:
    azure, kind, target = call.azure, call.kind, call.target
    filter = call.request.query.get("$filter", "")
    if kind.inside:
        return types.inside(azure, target)
    if kind.name in ("Microsoft.Network/dnszones/all", "Microsoft.Network/dnszones/recordsets"):
        return zones.records(azure, target.parent)
    if kind.name == roles.ASSIGNMENTS:
        return [*authorization.listed(azure, target.scope, filter)]
    if kind.name == roles.DEFINITIONS:
        return authorization.definitions(azure, target.scope, filter)
    if kind.name == authorization.LOCK:
        found = azure.of(kind.name, target.scope)
        at = [it for it in found if _scope(it) == target.scope.lower()]
        return at if "atScope()" in filter else found
    if kind.name == "resources":
        return _resources(call, filter)
    return azure.of(kind.name, target.parent if target.names else target.scope)


def shown(call: Call, resource: Resource) -> Resource:
    """One entry of a list."""
    return resource if call.kind.name == "resources" else types.view(call.azure, resource)


def _scope(resource: Resource) -> str:
    return ids.target(resource["id"]).scope.lower()


def _resources(call: Call, filter: str) -> list[Resource]:
    """Of any type; the filter may name one: resourceType eq ''."""
    asked = re.search(r"resourceType eq '([^']*)'", filter)
    found = [
        it
        for it in call.azure.everything()
        if "location" in it
        and "resourceGroups" not in str(it["type"])
        and ids.lies_in(it["id"], call.target.scope)
        and (asked is None or asked[1].lower() == str(it["type"]).lower())
    ]
    shown = ("id", "name", "type", "location", "tags", "sku", "identity", "managedBy", "zones")
    return [{key: it[key] for key in shown if key in it} for it in found]


def _permitted(call: Call, found: Iterable[Resource]) -> list[Resource]:
    """
    All of them for who may read in the whole scope, else those below it that one may read. Raises
    `Refused` where that is nothing at all; groups are listed empty to who has any other role.
    """
    target, found = call.target, list(found)
    scope = target.parent if target.names and "." in call.kind.name else target.scope
    if call.kind.name in (roles.ASSIGNMENTS, roles.DEFINITIONS) or call.may("read", scope):
        return found
    seen = roles.scopes_below(call.azure, call.caller.principals, call.action("read"), scope)
    if not seen and not (call.kind.name == "resourceGroups" and has_role(call, scope)):
        place = f"/providers/{call.kind.namespace}" if target.group and call.kind.tracked else ""
        call.need("read", f"{scope}{place}")
    return [it for it in found if any(ids.lies_in(it["id"], one) for one in seen)]


def _in_sight(call: Call, subscription: Resource) -> bool:
    """A tenant's subscriptions are seen by who has any role in them."""
    same = subscription["tenantId"].lower() == call.caller.tenant.lower()
    return same and has_role(call, subscription["id"])


def has_role(call: Call, scope: str) -> bool:
    """Any role, on the scope, above or below it."""
    known = roles.grants(call.azure)
    held = [it for principal in call.caller.principals for it in known.get(principal, ())]
    return any(ids.lies_in(it.scope, scope) or ids.lies_in(scope, it.scope) for it in held)
