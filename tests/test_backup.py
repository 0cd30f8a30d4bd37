"""A backup of one cluster, through the command line and back out of its archive."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pyrage import decrypt, x25519  # type: ignore[import-untyped]

from tasks.fleet.journal import read
from tests.api_server import Answer, ApiServer, status
from tests.command_line import CommandLine, Outcome

ROOT = Path(__file__).parents[1]
KEY = x25519.Identity.generate()
KEEP = """
from pyinfra import host
from tasks import backup
from tasks.fleet import run
from tasks.fleet.guard import fleet_operation

@fleet_operation()
def keep():
    yield from ()
    host.log(f"kept {backup.made(run.cluster())}")

keep(name="Backup")
"""
NAMESPACE = "envoy-gateway-system"
CERTIFICATES = {"certificateRefs": [{"kind": "Secret", "name": it} for it in ("tls", "gone")]}


def secret(secret: str, namespace: str, **labels: str) -> dict[str, Any]:
    meta = {"name": secret, "namespace": namespace, "labels": labels, "uid": "4711"}
    return {"metadata": meta, "data": {"tls.key": "dDBwLXMzY3JldA=="}}


def listed(kind: str, *items: dict[str, Any], version: str = "v1") -> Answer:
    return Answer(body={"apiVersion": version, "kind": f"{kind}List", "items": list(items)})


@pytest.fixture(scope="module")
def command_line() -> Iterator[CommandLine]:
    with CommandLine() as started:
        yield started


@pytest.fixture
def server(api_server: ApiServer) -> ApiServer:
    api_server.cluster("weu-1")
    group = {
        "metadata": {"name": "gateway.networking.k8s.io"},
        "versions": [{"version": "v1", "resources": [{"resource": "gateways"}]}],
    }
    gateway = {
        "metadata": {"name": "public", "namespace": "edge"},
        "spec": {"listeners": [{"tls": CERTIFICATES}]},
    }
    version = "gateway.networking.k8s.io/v1"
    record = secret("sh.helm.release.v1.eg.v3", NAMESPACE, owner="helm", name="eg", version="3")
    for path, answer in {
        "/apis": Answer(body={"items": [group]}),
        f"/apis/{version}/gateways": listed("Gateway", gateway, version=version),
        "/api/v1/namespaces/edge/secrets": listed(
            "Secret", secret("tls", "edge"), secret("database", "edge")
        ),
        f"/api/v1/namespaces/{NAMESPACE}/secrets": listed(
            "Secret", secret("envoy", NAMESPACE), secret("other", NAMESPACE), record
        ),
        f"/api/v1/namespaces/{NAMESPACE}/configmaps": listed("ConfigMap"),
    }.items():
        api_server.answer("GET", path, answer)
    return api_server


def ran(
    command_line: CommandLine,
    server: ApiServer,
    folder: Path,
    deploy: str,
    *more: str,
    **backup: Any,
) -> Outcome:
    data = {"ring": 0, "envoy_gateway_version": "1.9.1", "backup": backup}
    (folder / "inventory").mkdir(parents=True)
    (folder / "inventory/prod.py").write_text(f"clusters = [('@kube/weu-1', {data!r})]")
    shutil.copy(ROOT / "config.py", folder)
    shutil.copytree(ROOT / "deploys", folder / "deploys")
    (folder / "deploys/keep.py").write_text(KEEP)
    kubeconfig = server.write_kubeconfig(folder / "kubeconfig", "weu-1")
    arguments = ("inventory/prod.py", f"deploys/{deploy}.py", *more)
    return command_line.run(folder, arguments, KUBECONFIG=str(kubeconfig))


def test_what_is_kept_and_what_is_said(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    folder = tmp_path / "clone"
    ended = ran(command_line, server, folder, "keep", "-y", recipients=[str(KEY.to_public())])
    assert ended.code == 0
    [path] = (folder / "backups/weu-1").iterdir()
    assert f"[weu-1] kept {path.relative_to(folder)}" in ended.lines

    sealed = path.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(decrypt(sealed, [KEY]))) as archive:
        files = {it.name: archive.extractfile(it).read() for it in archive}  # type: ignore[union-attr]
    manifest = json.loads(files.pop("manifest.json"))
    assert sorted(files) == [
        "core/Secret/edge/tls.json",
        "core/Secret/envoy-gateway-system/envoy.json",
        "core/Secret/envoy-gateway-system/sh.helm.release.v1.eg.v3.json",
        "gateway.networking.k8s.io/Gateway/edge/public.json",
    ]
    assert {it["path"]: it["sha256"] for it in manifest["entries"]} == {
        name: sha256(content).hexdigest() for name, content in files.items()
    }
    assert manifest["missing"] == [
        "ConfigMap envoy-gateway-system/envoy-gateway-config",
        "Secret edge/gone",
        "Secret envoy-gateway-system/envoy-gateway",
        "Secret envoy-gateway-system/envoy-oidc-hmac",
        "Secret envoy-gateway-system/envoy-rate-limit",
    ]
    about = ("schema", "cluster", "uid", "kubernetes", "envoy_gateway", "served")
    assert [manifest[it] for it in about] == [
        "envoyfleet.backup/1",
        "weu-1",
        "uid-of-weu-1",
        "1.35.4",
        None,
        {"gateways.gateway.networking.k8s.io": ["v1"]},
    ]
    [run] = (folder / "runs").iterdir()
    journal, _ = read(run / "journal.jsonl")
    [kept] = [it for it in journal if it["event"] == "backup"]
    assert kept["sha256"] == sha256(sealed).hexdigest()
    left = b"".join(it.read_bytes() for it in run.iterdir()) + ended.text.encode()
    assert b"t0p-s3cret" not in left
    assert b"dDBwLXMzY3JldA" not in left


def test_what_cannot_be_read_is_said_and_nothing_is_left(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    server.answer("GET", "/api/v1/namespaces/edge/secrets", status(403, "secrets is forbidden"))
    folder = tmp_path / "clone"
    ended = ran(command_line, server, folder, "keep", "-y", recipients=[str(KEY.to_public())])
    assert ended.code == 1
    line = (
        "weu-1 0 failed no backup: GET /api/v1/namespaces/edge/secrets: 403 secrets is forbidden: "
        "mend that, or switch backup off here 0 s"
    )
    assert line in ended.lines
    assert not (folder / "backups").exists()


def test_an_upgrade_without_a_key_is_refused(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    ended = ran(command_line, server, tmp_path / "clone", "upgrade", "--dry", enabled=True)
    assert (ended.code, ended.lines) == (
        2,
        [
            'inventory/prod.py: weu-1: backup has no recipients: make a key with "age-keygen -o '
            'FILE", write the public key it prints into recipients and keep FILE, or set '
            '"enabled": False'
        ],
    )
    assert server.asked == []
