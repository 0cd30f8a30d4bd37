"""
A canary in every Secret: what backs up, verifies and shows a cluster lets none of them out. The
same for a restore on real clusters is in tests/lab/test_whole.py.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api_server import Answer, ApiServer
from tests.command_line import CommandLine
from tests.leaks import Leaks, watched
from tests.test_backup import (
    GATEWAY_API,
    NAMESPACE,
    RECIPIENTS,
    definition,
    discovery,
    group,
    listed,
    ran,
    thing,
)

CANARY = "canary-9f27d1c05e8a4b63"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"


def secret(name: str, namespace: str) -> dict[str, object]:
    data = {"tls.key": base64.b64encode(f"a key and {CANARY}".encode()).decode()}
    return {**thing(name, namespace), "type": "Opaque", "data": data}


@pytest.fixture
def server(api_server: ApiServer) -> ApiServer:
    api_server.cluster("weu-1")
    listener = {"tls": {"certificateRefs": [{"name": "tls"}]}}
    gateway = thing("public", "edge", {"gatewayClassName": "envoy", "listeners": [listener]})
    name = f"gateways.{GATEWAY_API}"
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    names = ("envoy", "envoy-gateway", "envoy-oidc-hmac", "envoy-rate-limit")
    for path, answer in {
        "/apis": discovery(group(GATEWAY_API, "v1", gateways="Gateway")),
        f"/apis/{GATEWAY_API}/v1/gateways": listed("Gateway", gateway, version=f"{GATEWAY_API}/v1"),
        f"{crds}/{name}": Answer(body=definition(name)),
        "/api/v1/services": listed("Service"),
        "/api/v1/namespaces": listed("Namespace", thing("edge"), thing(NAMESPACE)),
        "/api/v1/namespaces/edge/secrets": listed("Secret", secret("tls", "edge")),
        SECRETS: listed("Secret", *(secret(it, NAMESPACE) for it in names)),
        f"{SECRETS}?labelSelector=owner%3Dhelm%2Cname%3Deg": listed("Secret"),
        f"/api/v1/namespaces/{NAMESPACE}/configmaps": listed("ConfigMap"),
    }.items():
        api_server.answer("GET", path, answer)
    return api_server


@pytest.mark.timeout(240)
def test_no_canary_gets_out(command_line: CommandLine, server: ApiServer, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    tree = {"format": "tree"}
    with watched([CANARY], tmp_path) as leaks:
        for deploy, flags, data in (
            ("backup", ("-y", "-vvv"), None),
            ("backup", ("-y", "-vvv"), tree),
            ("backup", ("--dry", "--diff", "-vvv"), None),
            ("verify", ("-vvv",), None),
        ):
            backup = {"recipients": RECIPIENTS, "identity": str(folder / "key")}
            ended = ran(command_line, server, folder, deploy, *flags, data=data, **backup)
            assert ended.code == 0, ended.text
            leaks.look_at(f"output of {deploy}", ended.text.encode())
    assert any(it.path.startswith(SECRETS) for it in server.asked)
    assert list((folder / "backups/weu-1").glob("*.age"))
    assert leaks.files > 10
    assert leaks.looks > 3
    assert leaks.found == set()


@pytest.mark.parametrize("form", [CANARY, base64.b64encode(CANARY.encode()).decode()])
def test_what_gets_out_is_found(tmp_path: Path, form: str) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/report.json").write_text(f'"a {form}"')
    with watched([CANARY], tmp_path) as leaks:
        subprocess.run(
            [sys.executable, "-c", "import time; time.sleep(1)", form],
            env={**os.environ, "VALUES": form},
            check=True,
        )
    where = {it.partition(" ")[0] for it in leaks.found}
    assert where == {f"{tmp_path}/runs/report.json:", "cmdline", "environ"}


def test_forms_are_searched_one_by_one() -> None:
    leaks = Leaks([CANARY], [])
    leaks.look_at("a file", CANARY.encode().hex().encode())
    assert leaks.found == {"a file: hex"}
