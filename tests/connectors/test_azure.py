"""Who this machine is for Azure: settings, and one token for all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from pyinfra.api.exceptions import InventoryError

from tasks.connectors import azure
from tasks.connectors.azure import Settings, SignInError
from tests.azure import TENANT, Serving, standing_azure

VARIABLES = (
    "AZURE_CLOUD",
    "AZURE_AUTHORITY_HOST",
    "AZURE_RESOURCE_MANAGER_URL",
    "AZURE_RESOURCE_MANAGER_AUDIENCE",
    "AZURE_KUBERNETES_AUDIENCE",
)
PUBLIC = Settings(
    "https://login.microsoftonline.com",
    False,
    "https://management.azure.com",
    "https://management.azure.com/.default",
    "6dae42f8-4368-4678-94ff-3960e28e3630/.default",
    False,
)

SETTINGS = [
    pytest.param({}, PUBLIC, id="the public cloud"),
    pytest.param(
        {"AZURE_CLOUD": "AzureUSGovernment"},
        Settings(
            "https://login.microsoftonline.us",
            False,
            "https://management.usgovcloudapi.net",
            "https://management.core.usgovcloudapi.net/.default",
            PUBLIC.kubernetes_scope,
            False,
        ),
        id="a sovereign cloud",
    ),
    pytest.param(
        {
            "AZURE_AUTHORITY_HOST": "login.example",
            "AZURE_RESOURCE_MANAGER_URL": "https://arm.example/",
            "AZURE_KUBERNETES_AUDIENCE": "k8s",
        },
        Settings(
            "https://login.example",
            True,
            "https://arm.example",
            "https://arm.example/.default",
            "k8s/.default",
            True,
        ),
        id="a cloud of one's own",
    ),
]


@pytest.mark.parametrize(("environment", "settings"), SETTINGS)
def test_settings_are_variables(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], settings: Settings
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert azure.settings() == settings


def test_an_address_without_tls_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "http://login.example")
    with pytest.raises(InventoryError, match="must be an address such as https://login"):
        azure.settings()


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    with standing_azure(tmp_path, monkeypatch) as started:
        yield started


def asked(serving: Serving) -> int:
    """How many tokens were fetched."""
    return len([it for it in serving.azure.requests if it.path.endswith("/token")])


def test_sixty_ask_and_one_is_fetched(serving: Serving) -> None:
    scope = azure.settings().kubernetes_scope
    waiting = [gevent.spawn(azure.token, TENANT, scope) for _ in range(60)]
    gevent.joinall(waiting, raise_error=True)
    assert len({it.value for it in waiting}) == 1
    assert asked(serving) == 1


def test_each_audience_has_its_own(serving: Serving) -> None:
    settings = azure.settings()
    one, other = (azure.token(None, it) for it in (settings.arm_scope, settings.kubernetes_scope))
    assert one != other
    assert asked(serving) == 2


def test_is_renewed_before_it_ends(serving: Serving) -> None:
    serving.entra.lifetime = 2
    scope = azure.settings().kubernetes_scope
    tokens = azure.tokens(azure.settings())
    first = tokens.held(None, scope)
    assert first.renew < first.ends
    assert azure.token(None, scope) == first.token
    gevent.sleep(max(first.renew - time.time(), 0) + 0.05)
    assert azure.token(None, scope) != first.token
    assert asked(serving) == 2


def test_a_token_that_is_still_good_outlives_an_outage(serving: Serving) -> None:
    serving.entra.lifetime = 5
    scope = azure.settings().kubernetes_scope
    tokens = azure.tokens(azure.settings())
    first = tokens.held(None, scope)
    serving.azure.identity("owner").secret = "another"
    first.renew = 0.0
    assert azure.token(None, scope) == first.token
    assert azure.token(None, scope) == first.token
    assert asked(serving) == 2  # and not once a request
    first.renew = first.ends = 0.0
    with pytest.raises(SignInError, match="AADSTS7000215"):
        azure.token(None, scope)


def test_one_that_was_refused_is_fetched_anew_once(serving: Serving) -> None:
    scope = azure.settings().kubernetes_scope
    tokens = azure.tokens(azure.settings())
    first = tokens.get(None, scope)
    for _ in range(60):
        tokens.refused(None, scope, first)
        assert tokens.get(None, scope) != first
    assert asked(serving) == 2


def test_nobody_is_signed_in(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [it for it in os.environ if it.startswith("AZURE_CLIENT")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("IDENTITY_ENDPOINT", "")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "dev")
    with pytest.raises(SignInError) as error:
        azure.Tokens(azure.settings()).get(None, "x/.default")
    assert str(error.value) == (
        "nobody is signed in to Azure: az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and "
        "AZURE_CLIENT_SECRET (docs/azure.md has all ways)"
    )


def test_az_login_is_asked_once_by_all(
    tmp_path: Path, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = (
        '{"accessToken": "0f-az", "expires_on": 4102444800, "expiresOn": "2100-01-01 00:00:00"}'
    )
    az = tmp_path / "az"
    az.write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/asked\necho '{answer}'\n")
    az.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "dev")
    tokens = azure.Tokens(azure.settings())
    waiting = [gevent.spawn(tokens.get, TENANT, "x/.default") for _ in range(60)]
    gevent.joinall(waiting, raise_error=True)
    assert {it.value for it in waiting} == {"0f-az"}
    [asked] = (tmp_path / "asked").read_text().splitlines()
    assert asked.endswith(f"--tenant {TENANT}")


@pytest.mark.parametrize(
    ("said", "line"),
    [
        pytest.param("(Conflict)  It is.\r\nTraceId: x", "(Conflict) It is.", id="without ids"),
        pytest.param(" \n", "ValueError", id="nothing"),
        pytest.param("a" * 300, "a" * 200, id="long"),
    ],
)
def test_what_an_sdk_says_is_a_line(said: str, line: str) -> None:
    assert azure.first_line(ValueError(said)) == line
