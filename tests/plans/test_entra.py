"""Why nobody was signed in, in a line."""

from __future__ import annotations

import pytest

from tasks.plans import entra

AUTHORITY = "https://login.microsoftonline.com"
#: As azure-identity 1.27 says it.
CHAIN = """DefaultAzureCredential failed to retrieve a token from the included credentials.
Attempted credentials:
\t{}
To mitigate this issue, please refer to the troubleshooting guidelines here."""
ABSENT = (
    "EnvironmentCredential: EnvironmentCredential authentication unavailable. Environment "
    "variables are not fully configured.\n"
    "\tManagedIdentityCredential: ManagedIdentityCredential authentication unavailable, no "
    "response from the IMDS endpoint.\n"
    "\tAzureCliCredential: Azure CLI not found on path\n"
    "\tAzureDeveloperCliCredential: Azure Developer CLI could not be found. Please visit https://x "
    "for installation instructions and then, once installed, authenticate to your Azure account "
    "using 'azd auth login'."
)

SAID = [
    pytest.param(
        CHAIN.format(
            "EnvironmentCredential: Authentication failed: AADSTS7000222: The provided client "
            "secret keys for app 'a1' are expired. Trace ID: x Correlation ID: y"
        ),
        "AADSTS7000222",
        "no sign-in to Azure: AADSTS7000222: the client secret has expired: az ad app credential "
        'reset --append --id "$AZURE_CLIENT_ID", then set AZURE_CLIENT_SECRET',
        id="a code that is known",
    ),
    pytest.param(
        "AADSTS999999: Something new.",
        "AADSTS999999",
        f"no sign-in to Azure: AADSTS999999: look it up at {AUTHORITY}/error",
        id="a code that is not",
    ),
    pytest.param(CHAIN.format(ABSENT), "", entra.NOBODY, id="nobody"),
    pytest.param(
        CHAIN.format(
            "EnvironmentCredential: Authentication failed: HTTPSConnection(host='x', port=443): "
            "Failed to establish a new connection: [Errno 111] Connection refused"
        ),
        "",
        f"no sign-in to Azure: {AUTHORITY} cannot be reached: let this machine reach it "
        "(HTTPS_PROXY, REQUESTS_CA_BUNDLE), or correct AZURE_AUTHORITY_HOST",
        id="nobody answers",
    ),
    pytest.param(
        CHAIN.format(f"{ABSENT}\n\tAzurePowerShellCredential: Something odd\nhappened"),
        "",
        "no sign-in to Azure with AzurePowerShell: Something odd",
        id="anything else",
    ),
    pytest.param(
        CHAIN.format(
            "EnvironmentCredential: Authentication failed: Unable to get authority configuration "
            "for https://login.microsoftonline.com/x. Authority would typically be in a format of"
        ),
        "",
        f"no sign-in to Azure: {AUTHORITY} knows no such tenant: correct AZURE_TENANT_ID, or "
        "AZURE_CLOUD and AZURE_AUTHORITY_HOST",
        id="no such tenant",
    ),
    pytest.param("", "", "no sign-in to Azure: no reason given", id="nothing"),
]


@pytest.mark.parametrize(("text", "code", "line"), SAID)
def test_says_why_and_what_to_do(text: str, code: str, line: str) -> None:
    assert entra.explained(text, AUTHORITY) == entra.Explained(code, line)


@pytest.mark.parametrize("number", [7000215, 700016, 90002, 500011, 50076, 50173, 53003, 70043])
def test_common_codes_are_known(number: int) -> None:
    found = entra.explained(f"AADSTS{number}: x", AUTHORITY)
    assert found.line.startswith(f"no sign-in to Azure: AADSTS{number}: ")
    assert "look it up" not in found.line
