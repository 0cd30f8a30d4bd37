"""
What Azure Resource Manager refused, and what to do about it (ARM docs, "Common deployment errors",
"Troubleshoot Azure RBAC"; AKS docs, "Use Azure RBAC for Kubernetes authorization").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_FORBIDDEN = re.compile(
    r"object id '(?P<who>[^']+)'.*? action '(?P<action>[^']+)' over scope '(?P<scope>[^']+)'"
)
_WRONG_TENANT = re.compile(r"must match (?:one of )?the tenants? 'https://sts\.[^/]+/([^/']+)/?'")

CLUSTER_USER = "Azure Kubernetes Service Cluster User Role"
#: The smallest built-in role for an action, by how the action begins; the first that fits.
ROLES: Sequence[tuple[str, str]] = (
    ("Microsoft.ContainerService/managedClusters/listClusterUserCredential/", CLUSTER_USER),
    ("Microsoft.ContainerService/managedClusters/read", CLUSTER_USER),
    ("Microsoft.Network/dnszones/", "DNS Zone Contributor"),
    ("Microsoft.Network/", "Network Contributor"),
    ("Microsoft.Authorization/roleAssignments/", "Role Based Access Control Administrator"),
    ("Microsoft.Authorization/locks/", "User Access Administrator"),
    ("Microsoft.AlertsManagement/", "Monitoring Contributor"),
    ("Microsoft.Resources/", "Contributor"),
)
#: By code in lower case, what to do.
ADVICE: Mapping[str, str] = {
    "subscriptionnotfound": "correct its id: az account list --output table",
    "resourcegroupnotfound": "correct its name: az group list --output table",
    "resourcenotfound": "correct its name, or make it",
    "parentresourcenotfound": "correct its name, or make it",
    "notfound": "correct its name, or make it",
    "scopelocked": "a lock forbids it: az lock list, and take it away only where that is meant",
    "requestdisallowedbypolicy": "an Azure Policy forbids it: do as it says, or ask its owner",
    "missingsubscriptionregistration": "az provider register --namespace with its namespace",
    "readonlydisabledsubscription": "the subscription is disabled: az account show, and enable it",
    "subscriptionnotregistered": "az provider register --namespace with its namespace",
    "toomanyrequests": "Azure throttles this identity: run again later",
    "invalidauthenticationtokenaudience": "correct AZURE_RESOURCE_MANAGER_AUDIENCE",
    "anotheroperationinprogress": "wait until it has ended, then run again",
    "operationnotallowed": "do what it says, then run again",
}


@dataclass(frozen=True)
class Refusal:
    """
    + call: such as "GET /subscriptions/5b0.../..."; + status: 0 where there was no answer
    + code, message: Azure's own, such as "AuthorizationFailed"
    """

    call: str
    status: int
    code: str
    message: str


def line(refusal: Refusal) -> str:
    """What happened and what to do, in one line."""
    forbidden = _FORBIDDEN.search(refusal.message)
    if refusal.status == 403 and forbidden:
        return missing_role(forbidden["action"], forbidden["scope"], forbidden["who"])
    if refusal.code.lower() == "invalidauthenticationtokentenant":
        found = _WRONG_TENANT.search(refusal.message)
        tenant = found[1] if found else "another tenant"
        return (
            f"this identity is of another tenant than the subscription, which is of {tenant}: "
            f"set AZURE_TENANT_ID, or az login --tenant {tenant}"
        )
    text = " ".join(refusal.message.split())[:300].rstrip(". ")
    what = " ".join(it for it in (str(refusal.status or ""), refusal.code) if it)
    advice = ADVICE.get(refusal.code.lower()) or _by_status(refusal.status)
    return ": ".join(it for it in (f"Azure answers {what} to {refusal.call}", text, advice) if it)


def missing_role(action: str, scope: str, who: str | None = None) -> str:
    """
    Such as ``missing_role("Microsoft.Network/publicIPAddresses/write", "/subscriptions/...",
    "<object id>")``.
    """
    return (
        f"no permission for {action} on {scope}: az role assignment create --assignee "
        f'{who or "OBJECT_ID"} --role "{role(action)}" --scope {scope}'
    )


def role(action: str) -> str:
    if action.lower().endswith("/read") and "managedclusters" not in action.lower():
        return "Reader"
    fits = (name for begin, name in ROLES if action.lower().startswith(begin.lower()))
    return next(fits, "Contributor")


def _by_status(status: int) -> str:
    if status == 401:
        return "sign in again"
    if status == 429:
        return ADVICE["toomanyrequests"]
    return "look at status.azure.com, then run again" if status >= 500 else ""
