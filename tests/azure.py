"""An Azure for tests: the stand-in on a loopback port, and an environment that leads to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tasks.lab.azure import tokens
from tasks.lab.azure.server import Serving, serving
from tasks.lab.azure.state import SUBSCRIPTION, TENANT, Azure
from tasks.lab.state import write

__all__ = ["SUBSCRIPTION", "TENANT", "Azure", "Serving", "environment", "standing_azure"]


@contextmanager
def standing_azure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    """
    ``serving.azure`` is its state, with one subscription that ``owner`` owns; the environment signs
    in as that one.
    """
    write(folder / "entra.key", _key())
    azure = Azure()
    owner = azure.identity("owner", ("Owner", azure.subscription(SUBSCRIPTION, "lab")))
    with serving(azure, folder) as started:
        leading_here = {
            "AZURE_CLOUD": "AzureCloud",
            "AZURE_AUTHORITY_HOST": started.url,
            "AZURE_RESOURCE_MANAGER_URL": started.url,
            "AZURE_RESOURCE_MANAGER_AUDIENCE": started.url,
            "AZURE_TENANT_ID": azure.tenant,
            "AZURE_CLIENT_ID": owner.client_id,
            "AZURE_CLIENT_SECRET": str(owner.secret),
            "REQUESTS_CA_BUNDLE": str(started.authority),
        }
        for name, value in leading_here.items():
            monkeypatch.setenv(name, value)
        yield started


def environment() -> dict[str, str]:
    """What leads to Azure here, for a process that gets nothing else of the environment."""
    known = ("AZURE_", "REQUESTS_CA_BUNDLE")
    return {key: it for key, it in os.environ.items() if key.startswith(known)}


@cache
def _key() -> bytes:
    """One for all tests of a process: to make it takes longer than most of them."""
    with TemporaryDirectory() as folder:
        tokens.key(Path(folder))
        return (Path(folder) / "entra.key").read_bytes()
