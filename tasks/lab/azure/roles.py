"""Roles of Azure RBAC, and what they permit (Azure docs, "Azure built-in roles": the ids too)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from tasks.lab.azure import ids
from tasks.lab.azure.answers import Refused

if TYPE_CHECKING:
    from tasks.lab.azure.state import Azure

DEFINITIONS = "Microsoft.Authorization/roleDefinitions"
ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
_READ_CLUSTERS = "Microsoft.ContainerService/managedClusters/read"
_USER_CREDENTIAL = "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"
_ADMIN_CREDENTIAL = "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action"
_EVERYTHING_BUT_ACCESS = (
    "Microsoft.Authorization/*/Delete",
    "Microsoft.Authorization/*/Write",
    "Microsoft.Authorization/elevateAccess/Action",
)

#: By name: id, actions, actions that it does not have.
BUILT_IN: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "Owner": ("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", ("*",), ()),
    "Contributor": ("b24988ac-6180-42a0-ab88-20f7382dd24c", ("*",), _EVERYTHING_BUT_ACCESS),
    "Reader": ("acdd72a7-3385-48ef-bd42-f606fba81ae7", ("*/read",), ()),
    "User Access Administrator": (
        "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        ("*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"),
        (),
    ),
    "Network Contributor": (
        "4d97b98b-1d4f-4787-a291-c67834d212e7",
        (
            "Microsoft.Authorization/*/read",
            "Microsoft.Network/*",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ),
        (),
    ),
    "DNS Zone Contributor": (
        "befefa01-2a29-4197-83a8-272ff33ce314",
        (
            "Microsoft.Authorization/*/read",
            "Microsoft.Network/dnsZones/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ),
        (),
    ),
    "Monitoring Contributor": (
        "749f88d5-cbae-40b8-bcfc-e573ddc772fa",
        (
            "*/read",
            "Microsoft.AlertsManagement/prometheusRuleGroups/*",
            "Microsoft.Insights/actiongroups/*",
            "Microsoft.Monitor/*",
            "Microsoft.Support/*",
        ),
        (),
    ),
    "Managed Identity Operator": (
        "f1a07417-d97a-45cb-824c-7a7467783830",
        (
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
            "Microsoft.Authorization/*/read",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ),
        (),
    ),
    "Azure Kubernetes Service Cluster User Role": (
        "4abbcc35-e782-43d8-92c5-2d3f1bd2253f",
        (_USER_CREDENTIAL, _READ_CLUSTERS),
        (),
    ),
    "Azure Kubernetes Service Cluster Admin Role": (
        "0ab0b1a8-8aac-4efd-b8c2-3ee1fb270be8",
        (_ADMIN_CREDENTIAL, _READ_CLUSTERS),
        (),
    ),
    "Azure Kubernetes Service RBAC Cluster Admin": (
        "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b",
        ("Microsoft.Authorization/*/read", "Microsoft.Resources/subscriptions/resourceGroups/read"),
        (),
    ),
}


def built_in(name: str) -> dict[str, Any] | None:
    """By its id; the same in every scope."""
    return next((it for it in built_ins() if it["name"] == name.lower()), None)


@cache
def built_ins() -> tuple[dict[str, Any], ...]:
    return tuple(_definition(name, *BUILT_IN[name]) for name in BUILT_IN)


def _definition(
    name: str, id: str, actions: Iterable[str], not_actions: Iterable[str]
) -> dict[str, Any]:
    permissions = {
        "actions": list(actions),
        "notActions": list(not_actions),
        "dataActions": [],
        "notDataActions": [],
    }
    return {
        "id": f"/providers/{DEFINITIONS}/{id}",
        "name": id,
        "type": DEFINITIONS,
        "properties": {
            "roleName": name,
            "type": "BuiltInRole",
            "description": "",
            "assignableScopes": ["/"],
            "permissions": [permissions],
        },
    }


def named(azure: Azure, name: str, scope: str) -> str:
    """The id of a role in a scope's subscription; raises KeyError for one that is not there."""
    subscription = "/".join(scope.split("/")[:3])
    if name in BUILT_IN:
        return f"{subscription}/providers/{DEFINITIONS}/{BUILT_IN[name][0]}"
    for it in azure.of(DEFINITIONS):
        if it["properties"].get("roleName") == name:
            return str(it["id"])
    raise KeyError(name)


@dataclass(frozen=True)
class Grant:
    """+ scope: in lower case; + role: the definition's id"""

    scope: str
    role: str


def grants(azure: Azure) -> dict[str, list[Grant]]:
    """By the object id of who has them."""
    return azure.derived("grants", _collected)


def _collected(azure: Azure) -> dict[str, list[Grant]]:
    found: dict[str, list[Grant]] = {}
    for it in azure.of(ASSIGNMENTS):
        said = it["properties"]
        grant = Grant(said["scope"].lower(), said["roleDefinitionId"])
        found.setdefault(said["principalId"], []).append(grant)
    return found


def permits(azure: Azure, principals: Iterable[str], action: str, scope: str) -> bool:
    """
    Whether one of these object ids (of the caller and its groups) may act on a scope, such as
    "Microsoft.Network/publicIPAddresses/read" on a resource's id.
    """
    known = grants(azure)
    return any(
        ids.lies_in(scope, it.scope) and _allows(azure, it.role, action)
        for principal in principals
        for it in known.get(principal, ())
    )


def scopes_below(azure: Azure, principals: Iterable[str], action: str, scope: str) -> list[str]:
    """The scopes in this one in which an action is permitted."""
    known = grants(azure)
    return [
        it.scope
        for principal in principals
        for it in known.get(principal, ())
        if ids.lies_in(it.scope, scope) and _allows(azure, it.role, action)
    ]


def _allows(azure: Azure, definition: str, action: str) -> bool:
    role = built_in(definition.rsplit("/", 1)[-1]) or azure.held(definition)
    if role is None:
        return False
    return any(
        _matches(it.get("actions") or (), action)
        and not _matches(it.get("notActions") or (), action)
        for it in role["properties"]["permissions"]
    )


def _matches(patterns: Iterable[str], action: str) -> bool:
    return any(_pattern(it).match(action) for it in patterns)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(text), re.IGNORECASE)


def forbidden(client: str, principal: str, action: str, scope: str) -> Refused:
    return Refused(
        403,
        "AuthorizationFailed",
        f"The client '{client}' with object id '{principal}' does not have authorization to "
        f"perform action '{action}' over scope '{scope}' or the scope is invalid. If access was "
        "recently granted, please refresh your credentials.",
    )


def forbidden_link(
    client: str, principal: str, did: tuple[str, str], needs: tuple[str, str]
) -> Refused:
    """+ did, needs: action and scope"""
    return Refused(
        403,
        "LinkedAuthorizationFailed",
        f"The client '{client}' with object id '{principal}' has permission to perform action "
        f"'{did[0]}' on scope '{did[1]}'; however, it does not have permission to perform "
        f"action(s) '{needs[0]}' on the linked scope(s) '{needs[1]}' (respectively) or the linked "
        "scope(s) are invalid.",
    )
