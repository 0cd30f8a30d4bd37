"""
Role assignments, role definitions and locks (Azure REST API reference, Authorization and Management
Locks; Azure docs, "Lock your resources").
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tasks.lab.azure import ids, roles
from tasks.lab.azure.answers import Refused
from tasks.lab.azure.rules import Resource, Rules, properties, with_properties

if TYPE_CHECKING:
    from tasks.lab.azure.state import Azure

LOCK = "Microsoft.Authorization/locks"


def put_assignment(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    scope = ids.target(resource["id"]).scope or "/"
    kind = properties(resource).get("principalType") or "ServicePrincipal"
    bare = {key: it for key, it in resource.items() if key != "etag"}
    return with_properties(bare, scope=scope, principalType=kind, provisioningState=None)


def check_assignment(azure: Azure, resource: Resource, old: Resource | None) -> None:
    """Raises `Refused`."""
    said, target = properties(resource), ids.target(resource["id"])
    _check_name(target.name)
    definition = str(said.get("roleDefinitionId", ""))
    if roles.built_in(definition.rsplit("/", 1)[-1]) is None and azure.held(definition) is None:
        raise Refused(
            400,
            "RoleDefinitionDoesNotExist",
            f"The specified role definition with ID '{definition.rsplit('/', 1)[-1]}' does not "
            "exist.",
        )
    principal = said.get("principalId")
    known = {it.object_id for it in azure.identities.values()}
    known.update(group for it in azure.identities.values() for group in it.groups)
    if said.get("principalType") is None and principal not in known:
        raise Refused(
            400,
            "PrincipalNotFound",
            f"Principal {principal} does not exist in the directory {azure.tenant}. Check that you "
            "have the correct principal ID. If you are creating this principal and then "
            "immediately assigning a role, this error might be related to a replication delay. In "
            "this case, set the role assignment principalType property to a value, such as "
            "ServicePrincipal, User, or Group.",
        )
    for it in azure.of(roles.ASSIGNMENTS):
        if _same(it, resource) and it["name"].lower() != target.name.lower():
            raise Refused(
                409,
                "RoleAssignmentExists",
                "The role assignment already exists. The ID of the existing role assignment is "
                f"{it['name'].replace('-', '')}.",
            )
    if old is not None and not _same(old, resource):
        raise Refused(
            400,
            "RoleAssignmentUpdateNotPermitted",
            "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
        )


def _check_name(name: str) -> None:
    try:
        uuid.UUID(name)
    except ValueError:
        raise Refused(
            400,
            "InvalidRoleAssignmentId",
            f"The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID.",
        ) from None


def _same(one: Resource, other: Resource) -> bool:
    """Whether two assignments say the same."""
    return _meaning(one) == _meaning(other)


def _meaning(assignment: Resource) -> tuple[str, str, str]:
    said = properties(assignment)
    definition = str(said.get("roleDefinitionId", "")).rsplit("/", 1)[-1].lower()
    scope = ids.target(assignment["id"]).scope.lower()
    return str(said.get("principalId", "")).lower(), definition, scope


def listed(azure: Azure, scope: str, filter: str) -> Iterable[Resource]:
    """
    Role assignments as a list shows them: without a filter those of the scope, above and below it;
    "atScope()" leaves out what is below, "principalId eq" and "assignedTo" all of others.
    """
    principal = re.search(r"(?:principalId eq |assignedTo\()'([^']*)'", filter)
    wanted = {principal[1].lower()} if principal else None
    if wanted and "assignedTo" in filter:
        asked = azure.by_object(principal[1]) if principal else None
        wanted.update(it.lower() for it in (asked.groups if asked else ()))
    for it in azure.of(roles.ASSIGNMENTS):
        at = properties(it)["scope"]
        below = ids.lies_in(at, scope) and at.lower() != scope.lower()
        if not (below or ids.lies_in(scope, at)) or (below and "atScope()" in filter):
            continue
        if wanted is None or properties(it)["principalId"].lower() in wanted:
            yield it


def definitions(azure: Azure, scope: str, filter: str) -> list[Resource]:
    """Role definitions as a list shows them; filters: roleName eq '', type eq ''."""
    own = azure.of(roles.DEFINITIONS)
    found = [*roles.built_ins(), *own]
    for word, key in (("roleName", "roleName"), ("type", "type")):
        asked = re.search(rf"{word} eq '([^']*)'", filter)
        if asked:
            found = [it for it in found if properties(it)[key].lower() == asked[1].lower()]
    subscription = "/".join(scope.split("/")[:3])
    return [
        it
        if it in own
        else {**it, "id": f"{subscription}/providers/{roles.DEFINITIONS}/{it['name']}"}
        for it in found
    ]


def put_definition(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    return with_properties(resource, type="CustomRole", provisioningState=None)


def put_lock(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    bare = {key: it for key, it in resource.items() if key != "etag"}
    return with_properties(bare, provisioningState=None)


def check_lock(azure: Azure, resource: Resource, old: Resource | None) -> None:
    """Raises `Refused` for a level that is none."""
    level = properties(resource).get("level")
    if level not in ("CanNotDelete", "ReadOnly"):
        raise Refused(
            400,
            "LockLevelNotSupported",
            f"The lock level '{level}' is not supported: 'CanNotDelete' or 'ReadOnly'.",
        )


def check_locks(azure: Azure, target: ids.Target, word: str) -> None:
    """
    Raises `Refused` where a lock forbids to "write" or "delete": one on the resource or on what it
    lies in, and for a deletion also one on what lies in it. Locks themselves can go.
    """
    if target.type.lower() == LOCK.lower():
        return
    found = []
    for lock in azure.of(LOCK):
        scope = ids.target(lock["id"]).scope
        over = ids.lies_in(target.path, scope) or (
            word == "delete" and ids.lies_in(scope, target.path)
        )
        if over and (word == "delete" or properties(lock).get("level") == "ReadOnly"):
            found.append(scope)
    if found:
        scopes = ",".join(sorted(set(found)))
        raise Refused(
            409,
            "ScopeLocked",
            f"The scope '{target.path}' cannot perform {word} operation because following scope(s) "
            f"are locked: '{scopes}'. Please remove the lock and try again.",
        )


ASSIGNMENTS = Rules(put=put_assignment, check=check_assignment)
DEFINITIONS = Rules(put=put_definition)
LOCKS = Rules(put=put_lock, check=check_lock)
