"""
Why Entra ID refused to sign somebody in, and what to do about it (Microsoft Entra docs,
"Authentication and authorization error codes").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_CODE = re.compile(r"AADSTS(\d+)")
_UNREACHABLE = re.compile(
    r"failed to establish a new connection|failed to resolve|name resolution|timed? ?out|"
    r"connection (aborted|refused|reset)|max retries exceeded|certificate verify failed",
    re.IGNORECASE,
)
#: How MSAL says that the authority has no such tenant, or is none.
_NO_AUTHORITY = "Unable to get authority configuration"
#: What a developer tool that is not there, or that nobody signed in with, says is no help.
_ATTEMPT = re.compile(r"^\s*(\w+Credential): (.+)$", re.MULTILINE)
_ABSENT = re.compile(
    r"unavailable|not installed|not found on path|is not supported|not fully configured|az login|"
    r"azd auth login|Connect-AzAccount|no identity has been assigned",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Refusal:
    """Such as ("the client secret has expired", "make a new one and set AZURE_CLIENT_SECRET")."""

    what: str
    fix: str


_SIGN_IN_AGAIN = "az login again"
_FEDERATED = (
    "correct issuer, subject and audience of the federated credential: az identity "
    "federated-credential list"
)

#: By number of the code; those that people meet.
REFUSALS: Mapping[int, Refusal] = {
    7000215: Refusal(
        "the client secret is wrong", "set AZURE_CLIENT_SECRET to its value, not to its id"
    ),
    7000222: Refusal(
        "the client secret has expired",
        'az ad app credential reset --append --id "$AZURE_CLIENT_ID", then set AZURE_CLIENT_SECRET',
    ),
    7000112: Refusal("the application is disabled", "let its owner enable it in Entra ID"),
    7000229: Refusal(
        "the application has no service principal in this tenant",
        'az ad sp create --id "$AZURE_CLIENT_ID", or correct AZURE_TENANT_ID',
    ),
    700016: Refusal(
        "the application is not in this tenant", "correct AZURE_CLIENT_ID or AZURE_TENANT_ID"
    ),
    700024: Refusal(
        "the token that this machine signs in with is too old, or its clock is wrong",
        "set the clock; with workload identity the kubelet must renew AZURE_FEDERATED_TOKEN_FILE",
    ),
    700027: Refusal(
        "the certificate is not one of the application's, or has expired",
        'az ad app credential reset --append --id "$AZURE_CLIENT_ID" --cert @certificate.pem',
    ),
    70021: Refusal("no federated credential matches the token of this machine", _FEDERATED),
    700211: Refusal("no federated credential has the issuer of this token", _FEDERATED),
    700212: Refusal("no federated credential has the audience of this token", _FEDERATED),
    700213: Refusal("no federated credential has the subject of this token", _FEDERATED),
    90002: Refusal("there is no such tenant", "correct AZURE_TENANT_ID, or AZURE_CLOUD"),
    900023: Refusal("this is no name of a tenant", "correct AZURE_TENANT_ID"),
    500011: Refusal(
        "the audience does not exist in this tenant",
        "correct AZURE_TENANT_ID, AZURE_KUBERNETES_AUDIENCE or AZURE_RESOURCE_MANAGER_AUDIENCE",
    ),
    500133: Refusal("the token that this machine signs in with is too old", "sign in again"),
    50020: Refusal(
        "this user is not in the tenant", "let somebody invite them, or az login --tenant TENANT"
    ),
    50034: Refusal("this user is not in the tenant", "az login --tenant TENANT with another one"),
    50053: Refusal("the account is locked", "wait, or let an administrator unlock it"),
    50055: Refusal("the password has expired", "set a new one, then az login again"),
    50057: Refusal("the account is disabled", "let an administrator enable it"),
    50076: Refusal(
        "a second factor is needed", "az login --tenant TENANT again; pipelines need an identity"
    ),
    50078: Refusal("the second factor has expired", "az login --tenant TENANT again"),
    50079: Refusal("a second factor must be set up first", "set it up, then az login again"),
    50105: Refusal("nobody assigned this identity to the application", "let its owner assign it"),
    50126: Refusal("user name or password is wrong", "correct AZURE_USERNAME, AZURE_PASSWORD"),
    50132: Refusal("the session was ended", _SIGN_IN_AGAIN),
    50133: Refusal("the session was ended, the password has changed", _SIGN_IN_AGAIN),
    50158: Refusal("another check is needed to sign in", "az login --tenant TENANT again"),
    50173: Refusal("the session was ended, the password has changed", _SIGN_IN_AGAIN),
    53000: Refusal("this device does not comply", "sign in from one that does"),
    53001: Refusal("this device is not joined to the directory", "sign in from one that is"),
    53003: Refusal(
        "a Conditional Access policy blocks this sign-in",
        "sign in from where it allows it, or let an administrator read the sign-in log",
    ),
    65001: Refusal("nobody consented to this application", "let an administrator consent"),
    70043: Refusal("the session has ended, its time was limited", _SIGN_IN_AGAIN),
    700082: Refusal("the session was not used for too long", _SIGN_IN_AGAIN),
}

NOBODY = (
    "nobody is signed in to Azure: az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and "
    "AZURE_CLIENT_SECRET (docs/azure.md has all ways)"
)


@dataclass(frozen=True)
class Explained:
    """+ code: such as "AADSTS7000222", or "" where there is none; + line: what and what to do"""

    code: str
    line: str


def explained(text: str, authority: str) -> Explained:
    """
    What azure-identity said when it got no token, in one line without ids or traces; a chain of
    credentials names each that it tried, on a line of its own.

    + authority: that was asked, such as "https://login.microsoftonline.com"
    """
    found = _CODE.search(text)
    if found:
        code, known = found[0], REFUSALS.get(int(found[1]))
        if known is None:
            return Explained(code, f"no sign-in to Azure: {code}: look it up at {authority}/error")
        return Explained(code, f"no sign-in to Azure: {code}: {known.what}: {known.fix}")
    tried = _ATTEMPT.findall(text)
    failed = [(who, said) for who, said in tried if not _ABSENT.search(said)]
    if tried and not failed:
        return Explained("", NOBODY)
    who, said = failed[-1] if failed else ("", text)
    if _NO_AUTHORITY in said:
        return Explained(
            "",
            f"no sign-in to Azure: {authority} knows no such tenant: correct AZURE_TENANT_ID, or "
            "AZURE_CLOUD and AZURE_AUTHORITY_HOST",
        )
    if _UNREACHABLE.search(said):
        return Explained(
            "",
            f"no sign-in to Azure: {authority} cannot be reached: let this machine reach it "
            "(HTTPS_PROXY, REQUESTS_CA_BUNDLE), or correct AZURE_AUTHORITY_HOST",
        )
    with_what = f" with {who.removesuffix('Credential')}" if who else ""
    first = " ".join((said.strip().splitlines() or ["no reason given"])[0].split())[:200]
    return Explained("", f"no sign-in to Azure{with_what}: {first}")
