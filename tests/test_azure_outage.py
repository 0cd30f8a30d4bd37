"""What runs while Azure does not answer, and what is said where that cannot be."""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api_server import ApiServer
from tests.azure import Serving, standing_azure
from tests.command_line import CommandLine, fresh
from tests.test_backup import RECIPIENTS, ROOT, clone, server

__all__ = ["server"]
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
#: Read by every Python before anything else: what was imported is written down at its end.
SITE = """
import atexit, json, os, sys
atexit.register(lambda: open(os.environ["MODULES"], "w").write(json.dumps(sorted(sys.modules))))
"""


@pytest.fixture
def nobody() -> str:
    """An address of which nobody takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"https://127.0.0.1:{port}"


def outage(url: str) -> dict[str, str]:
    """The environment of a machine that signs in to Azure, with Azure out."""
    return {
        "AZURE_AUTHORITY_HOST": url,
        "AZURE_RESOURCE_MANAGER_URL": url,
        "AZURE_TENANT_ID": SUBSCRIPTION,
        "AZURE_CLIENT_ID": SUBSCRIPTION,
        "AZURE_CLIENT_SECRET": "t0p-s3cret",
    }


def test_clusters_of_a_kubeconfig_need_no_azure(
    server: ApiServer,
    tmp_path: Path,
    nobody: str,
) -> None:
    folder = tmp_path / "clone"
    kubeconfig = clone(folder, server, {}, {"recipients": RECIPIENTS, "identity": "key"})
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(SITE)
    environment = {
        **outage(nobody),
        "KUBECONFIG": str(kubeconfig),
        "PYTHONPATH": str(tmp_path / "site"),
        "MODULES": str(tmp_path / "modules.json"),
    }
    for deploy, *flags in (["status"], ["backup", "-y"], ["verify"]):
        ended = fresh(folder, ("inventory/prod.py", f"deploys/{deploy}.py", *flags), **environment)
        assert ended.code == 0, ended.text
        modules = json.loads((tmp_path / "modules.json").read_text())
        assert "tasks.fleet.run" in modules
        assert [it for it in modules if it.split(".")[0] in ("azure", "msal")] == []


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    with standing_azure(tmp_path, monkeypatch) as serving:
        yield serving


def listing(command_line: CommandLine, folder: Path, **environment: str) -> list[str]:
    """What a run says of an inventory of AKS clusters that it cannot list."""
    (folder / "inventory").mkdir(parents=True)
    data = '{"ring": 0, "envoy_gateway_version": "1.9.1"}'
    (folder / "inventory/aks.py").write_text(f'clusters = [("@aks/{SUBSCRIPTION}", {data})]')
    shutil.copy(ROOT / "config.py", folder)
    shutil.copytree(ROOT / "deploys", folder / "deploys")
    ended = command_line.run(
        folder, ("inventory/aks.py", "deploys/status.py"), NO_PROXY="*", **environment
    )
    assert ended.code == 2
    assert "Traceback" not in ended.text
    assert "t0p-s3cret" not in ended.text
    return ended.lines


def test_without_entra_id(command_line: CommandLine, tmp_path: Path, nobody: str) -> None:
    assert listing(command_line, tmp_path / "clone", **outage(nobody)) == [
        f"@aks/{SUBSCRIPTION}: no sign-in to Azure: {nobody} cannot be reached: let this machine "
        "reach it (HTTPS_PROXY, REQUESTS_CA_BUNDLE), or correct AZURE_AUTHORITY_HOST"
    ]


def test_without_resource_manager(
    command_line: CommandLine, tmp_path: Path, nobody: str, azure: Serving
) -> None:
    [owner] = azure.azure.identities.values()
    environment = {
        "AZURE_AUTHORITY_HOST": azure.url,
        "AZURE_TENANT_ID": azure.azure.tenant,
        "AZURE_CLIENT_ID": owner.client_id,
        "AZURE_CLIENT_SECRET": str(owner.secret),
        "AZURE_RESOURCE_MANAGER_AUDIENCE": "https://management.azure.com",
        "AZURE_RESOURCE_MANAGER_URL": nobody,
        "REQUESTS_CA_BUNDLE": str(azure.authority),
    }
    [line] = listing(command_line, tmp_path / "clone", **environment)
    assert re.match(rf"@aks/{SUBSCRIPTION}: .*{nobody}.* cannot be reached", line), line
