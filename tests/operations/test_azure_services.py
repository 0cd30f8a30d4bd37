"""What SDKs of Azure raise, as a line. Real services are in test_blobs and test_key_vault."""

from __future__ import annotations

import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from pyinfra.api.exceptions import DeployError

from tasks.connectors.azure import SignInError
from tasks.operations.azure_services import Service, told

SERVICE = Service("Blob Storage", "the service", "the storage account", "backup.container")
AWAY = (
    "the storage account cannot be reached: no route: correct backup.container, or let this "
    "machine reach it"
)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        pytest.param(SignInError("AADSTS7", "no sign-in"), "no sign-in", id="no token"),
        pytest.param(
            ClientAuthenticationError("another tenant\r\nTrace: x"),
            "the service takes no token of this identity: another tenant: correct "
            "AZURE_TENANT_ID, or sign in again",
            id="a token that is not taken",
        ),
        pytest.param(HttpResponseError("busy"), "refused: busy", id="a refusal"),
        pytest.param(ServiceRequestError("no route"), AWAY, id="nobody there"),
        pytest.param(ServiceResponseError("no route"), AWAY, id="no answer"),
        pytest.param(
            ValueError("not of that domain"),
            "no Blob Storage answers there: not of that domain: correct backup.container",
            id="something else is there",
        ),
        pytest.param(AzureError("odd"), "AzureError: odd", id="anything else"),
    ],
)
def test_what_is_raised_is_a_line(error: Exception, line: str) -> None:
    with (
        pytest.raises(DeployError) as caught,
        told("https://x/y", SERVICE, lambda it: f"refused: {it}"),
    ):
        raise error
    assert str(caught.value) == f"https://x/y: {line}"
    assert caught.value.__cause__ is None


def test_a_deploy_error_is_left_as_it_is() -> None:
    wanted = DeployError("a line")
    with pytest.raises(DeployError) as caught, told("x", SERVICE, str):
        raise wanted
    assert caught.value is wanted
