"""What Azure Resource Manager refused, in a line that says what to do."""

from __future__ import annotations

import pytest

from tasks.plans import arm_refusals
from tasks.plans.arm_refusals import Refusal

SCOPE = "/subscriptions/S"
ACTION = "Microsoft.ContainerService/managedClusters/read"
LINES = [
    pytest.param(
        Refusal(
            "GET /x",
            403,
            "AuthorizationFailed",
            f"The client 'app' with object id 'o-1' does not have authorization to perform action "
            f"'{ACTION}' over scope '{SCOPE}' or the scope is invalid. If access was recently "
            "granted, please refresh your credentials.",
        ),
        f"no permission for {ACTION} on {SCOPE}: az role assignment create --assignee o-1 --role "
        f'"Azure Kubernetes Service Cluster User Role" --scope {SCOPE}',
        id="no permission",
    ),
    pytest.param(
        Refusal(
            "GET /x",
            401,
            "InvalidAuthenticationTokenTenant",
            "The access token is from the wrong issuer 'https://sts.windows.net/A/'. It must match "
            "the tenant 'https://sts.windows.net/B/' associated with this subscription.",
        ),
        "this identity is of another tenant than the subscription, which is of B: set "
        "AZURE_TENANT_ID, or az login --tenant B",
        id="wrong tenant",
    ),
    pytest.param(
        Refusal("GET /x", 404, "SubscriptionNotFound", "The subscription 'S' was not found."),
        "Azure answers 404 SubscriptionNotFound to GET /x: The subscription 'S' was not found: "
        "correct its id: az account list --output table",
        id="no subscription",
    ),
    pytest.param(
        Refusal("GET /x", 503, "", "Service Unavailable"),
        "Azure answers 503 to GET /x: Service Unavailable: look at status.azure.com, then run "
        "again",
        id="an outage",
    ),
    pytest.param(
        Refusal("PUT /x", 0, "ZoneFull", "No room.\nTry another."),
        "Azure answers ZoneFull to PUT /x: No room. Try another",
        id="an operation that failed",
    ),
]


@pytest.mark.parametrize(("refusal", "line"), LINES)
def test_says_what_to_do(refusal: Refusal, line: str) -> None:
    assert arm_refusals.line(refusal) == line


ROLES = [
    ("Microsoft.Network/publicIPAddresses/read", "Reader"),
    ("Microsoft.Network/publicIPAddresses/write", "Network Contributor"),
    ("Microsoft.Network/dnszones/A/write", "DNS Zone Contributor"),
    ("Microsoft.Authorization/locks/write", "User Access Administrator"),
    (
        "microsoft.containerservice/managedclusters/listclusterusercredential/action",
        "Azure Kubernetes Service Cluster User Role",
    ),
    ("Microsoft.Sql/servers/write", "Contributor"),
]


@pytest.mark.parametrize(("action", "role"), ROLES)
def test_names_a_small_role(action: str, role: str) -> None:
    assert arm_refusals.role(action) == role
