"""Backups of one cluster, through the command line and back out of their archives."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyrage import decrypt, x25519  # type: ignore[import-untyped]

from tasks.fleet.journal import read
from tasks.plans.archive import Contents, unpacked
from tests.api_server import Answer, ApiServer, status
from tests.command_line import CommandLine, Outcome

ROOT = Path(__file__).parents[1]
KEY = x25519.Identity.generate()
RECIPIENTS = [str(KEY.to_public())]
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
GATEWAY_API, ENVOY_GATEWAY = "gateway.networking.k8s.io", "gateway.envoyproxy.io"
GATEWAYS = f"/apis/{GATEWAY_API}/v1/gateways"
CERTIFICATES = {"certificateRefs": [{"name": it} for it in ("tls", "gone")]}
OWNER = {"kind": "ExternalSecret", "name": "vault", "uid": "1"}
LABELS = {"team": "edge"}


def thing(name: str, namespace: str | None = None, spec: Any = None, **meta: Any) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    found = {"metadata": {"name": name, **place, "uid": "4711", "resourceVersion": "17", **meta}}
    return {**found, "spec": spec} if spec is not None else found


def secret(secret: str, namespace: str, kind: str = "Opaque", **meta: Any) -> dict[str, Any]:
    return {
        **thing(secret, namespace, **meta),
        "type": kind,
        "data": {"tls.key": "dDBwLXMzY3JldA=="},
    }


def listed(kind: str, *items: dict[str, Any], version: str = "v1", more: str = "") -> Answer:
    meta = {"continue": more} if more else {}
    body = {"apiVersion": version, "kind": f"{kind}List", "metadata": meta, "items": list(items)}
    return Answer(body=body)


def discovery(*groups: dict[str, Any]) -> Answer:
    return Answer(body={"items": list(groups)})


def group(name: str, version: str, **kinds: str) -> dict[str, Any]:
    """+ kinds: by plural"""
    resources = [
        {
            "resource": plural,
            "responseKind": {"kind": kind},
            "scope": "Namespaced",
            "verbs": ["get", "list"],
        }
        for plural, kind in kinds.items()
    ]
    versions = [{"version": version, "resources": resources}]
    return {"metadata": {"name": name}, "versions": versions}


def definition(name: str) -> dict[str, Any]:
    note = f"{GATEWAY_API}/bundle-version"
    crd = thing(name, annotations={note: "v1.6.1"})
    spec = {"group": GATEWAY_API, "versions": [{"name": "v1", "served": True}]}
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    return {**kind, **crd, "spec": spec, "status": {"storedVersions": ["v1"]}}


@pytest.fixture
def server(api_server: ApiServer) -> ApiServer:
    api_server.cluster("weu-1")
    gateway = thing(
        "public",
        "edge",
        {"gatewayClassName": "envoy", "listeners": [{"tls": CERTIFICATES}]},
    )
    route = {"rules": [{"backendRefs": [{"name": "blue"}, {"name": "lost"}]}]}
    name = f"gateways.{GATEWAY_API}"
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    generated = {"app.kubernetes.io/managed-by": "envoy-gateway"}
    for path, answer in {
        "/apis": discovery(
            group(GATEWAY_API, "v1", gateways="Gateway", httproutes="HTTPRoute"),
            group("apps", "v1", deployments="Deployment"),
        ),
        GATEWAYS: listed("Gateway", gateway, version=f"{GATEWAY_API}/v1"),
        f"/apis/{GATEWAY_API}/v1/httproutes": listed(
            "HTTPRoute", thing("shop", "demo", route), version=f"{GATEWAY_API}/v1"
        ),
        f"{crds}/{name}": Answer(body=definition(name)),
        f"{crds}/httproutes.{GATEWAY_API}": Answer(body=definition(f"httproutes.{GATEWAY_API}")),
        "/api/v1/services": listed(
            "Service",
            thing("blue", "demo", {"ports": []}),
            thing("other", "demo", {"ports": []}),
            thing("envoy-edge", NAMESPACE, {"ports": []}, labels=generated),
        ),
        "/api/v1/namespaces": listed(
            "Namespace",
            thing("edge", spec={"finalizers": ["kubernetes"]}, labels=LABELS),
            thing("demo"),
            thing(NAMESPACE),
            thing("unrelated"),
        ),
        "/api/v1/namespaces/edge/secrets": listed(
            "Secret",
            secret("tls", "edge", ownerReferences=[OWNER]),
            secret("database", "edge"),
        ),
        f"/api/v1/namespaces/{NAMESPACE}/secrets": listed(
            "Secret", secret("envoy", NAMESPACE), secret("other", NAMESPACE)
        ),
        f"/api/v1/namespaces/{NAMESPACE}/secrets?labelSelector=owner%3Dhelm%2Cname%3Deg": listed(
            "Secret"
        ),
        f"/api/v1/namespaces/{NAMESPACE}/configmaps": listed("ConfigMap"),
    }.items():
        api_server.answer("GET", path, answer)
    return api_server


def clone(
    folder: Path,
    server: ApiServer,
    more: dict[str, Any],
    backup: dict[str, Any],
    names: tuple[str, ...] = ("weu-1",),
) -> Path:
    """A folder to run in, and its kubeconfig."""
    data = {"ring": 0, "envoy_gateway_version": "1.9.1", "backup": backup, **more}
    clusters = [(f"@kube/{it}", data) for it in names]
    (folder / "inventory").mkdir(parents=True, exist_ok=True)
    (folder / "inventory/prod.py").write_text(f"clusters = {clusters!r}")
    if not (folder / "deploys").exists():
        shutil.copy(ROOT / "config.py", folder)
        shutil.copytree(ROOT / "deploys", folder / "deploys")
    (folder / "deploys/keep.py").write_text(KEEP)
    (folder / "key").write_text(f"{KEY}\n")
    return server.write_kubeconfig(folder / "kubeconfig", *names)


def ran(
    command_line: CommandLine,
    server: ApiServer,
    folder: Path,
    deploy: str,
    *flags: str,
    data: dict[str, Any] | None = None,
    **backup: Any,
) -> Outcome:
    kubeconfig = clone(folder, server, data or {}, backup)
    arguments = ("inventory/prod.py", f"deploys/{deploy}.py", *flags)
    return command_line.run(folder, arguments, KUBECONFIG=str(kubeconfig))


def only(folder: Path) -> Path:
    [path] = (folder / "backups/weu-1").iterdir()
    return path


def contents(path: Path) -> Contents:
    return unpacked(decrypt(path.read_bytes(), [KEY]))


def test_what_is_kept_and_what_is_said(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    folder = tmp_path / "clone"
    ended = ran(command_line, server, folder, "keep", "-y", recipients=RECIPIENTS)
    assert ended.code == 0
    path = only(folder)
    assert path.name.endswith("-keep.tar.gz.age")
    assert f"[weu-1] kept {path.relative_to(folder)}" in ended.lines

    found = contents(path)
    assert list(found.files) == [
        "apiextensions.k8s.io/CustomResourceDefinition/gateways.gateway.networking.k8s.io.json",
        "apiextensions.k8s.io/CustomResourceDefinition/httproutes.gateway.networking.k8s.io.json",
        "core/Namespace/demo.json",
        "core/Namespace/edge.json",
        "core/Namespace/envoy-gateway-system.json",
        "core/Secret/edge/tls.json",
        "core/Secret/envoy-gateway-system/envoy.json",
        "core/Service/demo/blue.json",
        "gateway.networking.k8s.io/Gateway/edge/public.json",
        "gateway.networking.k8s.io/HTTPRoute/demo/shop.json",
    ]
    assert json.loads(found.files["core/Secret/edge/tls.json"]) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tls", "namespace": "edge", "ownerReferences": [OWNER]},
        "type": "Opaque",
        "data": {"tls.key": "dDBwLXMzY3JldA=="},
    }
    assert json.loads(found.files["core/Namespace/edge.json"]) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "edge", "labels": LABELS},
    }
    own = ("entries", "sha256", "taken", "run")
    assert {it: found.manifest[it] for it in found.manifest if it not in own} == {
        "schema": "envoyfleet.backup/2",
        "cluster": "weu-1",
        "uid": "uid-of-weu-1",
        "kubernetes": "1.35.4",
        "envoy_gateway": None,
        "helm": None,
        "served": {f"gateways.{GATEWAY_API}": ["v1"], f"httproutes.{GATEWAY_API}": ["v1"]},
        "crds": [
            {
                "name": f"{it}.{GATEWAY_API}",
                "served": ["v1"],
                "stored": ["v1"],
                "bundle": "v1.6.1",
                "channel": None,
            }
            for it in ("gateways", "httproutes")
        ],
        "addresses": [
            {"gateway": "edge/public", "addresses": [], "service": None, "annotations": {}}
        ],
        "needs": [
            "Secret edge/tls: made by ExternalSecret vault: it is kept as it was, and made again "
            "from there"
        ],
        "missing": [
            "ConfigMap envoy-gateway-system/envoy-gateway-config",
            "GatewayClass envoy",
            "Secret edge/gone",
            "Secret envoy-gateway-system/envoy-gateway",
            "Secret envoy-gateway-system/envoy-oidc-hmac",
            "Secret envoy-gateway-system/envoy-rate-limit",
            "Service demo/lost",
        ],
        "left_out": [],
    }
    [run] = (folder / "runs").iterdir()
    journal, _ = read(run / "journal.jsonl")
    [kept] = [it for it in journal if it["event"] == "backup"]
    assert kept["sha256"] == sha256(path.read_bytes()).hexdigest()
    left = b"".join(it.read_bytes() for it in run.iterdir()) + ended.text.encode()
    assert b"t0p-s3cret" not in left
    assert b"dDBwLXMzY3JldA" not in left


def test_what_is_found_around(command_line: CommandLine, server: ApiServer, tmp_path: Path) -> None:
    """Certificates and their Issuer, our monitors, and a record of Helm that nobody can read."""
    issuers, monitors = "cert-manager.io/v1", "monitoring.coreos.com/v1"
    server.answer(
        "GET",
        "/apis",
        discovery(
            group(GATEWAY_API, "v1", gateways="Gateway"),
            group("cert-manager.io", "v1", certificates="Certificate", issuers="Issuer"),
            group("monitoring.coreos.com", "v1", podmonitors="PodMonitor", probes="Probe"),
        ),
    )
    labels = {"owner": "helm", "name": "eg", "status": "deployed"}
    records = [
        thing(f"sh.helm.release.v1.eg.v{it}", NAMESPACE, labels={**labels, "version": it})
        for it in ("1", "2")
    ]
    newest = {"kind": "Secret", "apiVersion": "v1", "type": "helm.sh/release.v1", **records[1]}
    release = {
        "name": "eg",
        "namespace": NAMESPACE,
        "version": 1,
        "info": {"status": "deployed"},
        "config": {"a": "b"},
        "chart": {"metadata": {"name": "gateway-helm", "version": "1.9.1", "appVersion": "v1.9.1"}},
    }
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode())))
    secrets = f"/api/v1/namespaces/{NAMESPACE}/secrets"
    certificate = {"secretName": "tls", "issuerRef": {"name": "ca"}}
    for path, answer in {
        f"/apis/{issuers}/certificates": listed(
            "Certificate",
            thing("shop", "edge", certificate),
            thing("other", "demo", {"secretName": "tls", "issuerRef": {"name": "ca"}}),
            version=issuers,
        ),
        f"/apis/{issuers}/issuers": listed(
            "Issuer",
            thing("ca", "edge", {"ca": {"secretName": "database"}}),
            thing("ca", "demo", {"ca": {"secretName": "x"}}),
            version=issuers,
        ),
        f"/apis/{monitors}/podmonitors": listed(
            "PodMonitor", thing("proxies", "edge", {}), version=monitors
        ),
        f"{secrets}?labelSelector=owner%3Dhelm%2Cname%3Deg": Answer(
            body={"kind": "PartialObjectMetadataList", "apiVersion": "v1", "items": records}
        ),
        f"{secrets}/{records[1]['metadata']['name']}": Answer(
            body={**newest, "data": {"release": "bm90aGluZw=="}}
        ),
        f"{secrets}/{records[0]['metadata']['name']}": Answer(
            body={**newest, **records[0], "data": {"release": packed.decode()}}
        ),
    }.items():
        server.answer("GET", path, answer)
    folder = tmp_path / "clone"
    ended = ran(command_line, server, folder, "backup", "-y", recipients=RECIPIENTS)
    assert ended.code == 0, ended.text
    found = contents(only(folder))
    own = ("apiextensions.k8s.io/", "core/Namespace/", f"core/Secret/{NAMESPACE}/envoy")
    assert [it for it in found.files if not it.startswith(own)] == [
        "cert-manager.io/Certificate/edge/shop.json",
        "cert-manager.io/Issuer/edge/ca.json",
        "core/Secret/edge/database.json",
        "core/Secret/edge/tls.json",
        f"core/Secret/{NAMESPACE}/sh.helm.release.v1.eg.v2.json",
        f"{GATEWAY_API}/Gateway/edge/public.json",
        "monitoring.coreos.com/PodMonitor/edge/proxies.json",
    ]
    assert found.manifest["helm"] == {
        "release": "eg",
        "namespace": NAMESPACE,
        "chart": "gateway-helm",
        "version": "1.9.1",
        "revision": 1,
        "values": {"a": "b"},
    }
    assert "Issuer edge/ca: cert-manager, and what it signs with" in found.manifest["needs"]
    assert "sealed, not opened again: no identity here" in ended.text
    [asked] = [it.path for it in server.asked if "podmonitors" in it.path]
    assert "labelSelector=app.kubernetes.io/managed-by%3Denvoyfleet" in asked


def test_what_cannot_be_read_is_said_and_nothing_is_left(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    server.answer("GET", "/api/v1/namespaces/edge/secrets", status(403, "secrets is forbidden"))
    folder = tmp_path / "clone"
    ended = ran(command_line, server, folder, "keep", "-y", recipients=RECIPIENTS)
    assert ended.code == 1
    line = (
        "weu-1 0 failed no backup: GET /api/v1/namespaces/edge/secrets: 403 secrets is forbidden: "
        "mend that, or switch backup off here 0 s"
    )
    assert line in ended.lines
    assert not (folder / "backups").exists()


def test_a_list_is_read_page_by_page_and_anew_where_the_server_forgot(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    version = f"{GATEWAY_API}/v1"
    first, second = (thing(it, "edge", {}) for it in ("a", "b"))
    server.answer(
        "GET",
        GATEWAYS,
        listed("Gateway", first, version=version, more="1"),
        status(410, "the provided continue parameter is too old"),
        listed("Gateway", first, version=version, more="2"),
        listed("Gateway", second, version=version),
    )
    folder = tmp_path / "clone"
    ended = ran(command_line, server, folder, "keep", "-y", recipients=RECIPIENTS)
    assert ended.code == 0
    own = [it for it in contents(only(folder)).files if "/Gateway/" in it]
    assert own == [f"{GATEWAY_API}/Gateway/edge/{it}.json" for it in ("a", "b")]
    asked = [it.path.partition("?")[2] for it in server.asked if it.path.startswith(GATEWAYS)]
    assert asked == ["limit=500", "limit=500&continue=1", "limit=500", "limit=500&continue=2"]


def test_a_server_that_always_forgets(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    server.answer("GET", GATEWAYS, status(410, "too old"))
    folder = tmp_path / "clone"
    ended = ran(command_line, server, folder, "keep", "-y", recipients=RECIPIENTS)
    assert ended.code == 1
    assert f"no backup: GET {GATEWAYS}: 410 too old: mend that" in ended.text
    assert not (folder / "backups").exists()


def test_a_backup_is_made_verified_and_older_ones_go(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    folder = tmp_path / "clone"
    place = folder / "backups/weu-1"
    place.mkdir(parents=True)
    old, way_back, note = (
        "20200101T000000Z.tar.gz.age",
        "20200102T000000Z-upgrade.tar.gz.age",
        "notes.txt",
    )
    for it in (old, way_back, note, ".20200103T000000Z.tar.gz.age.4711.part"):
        (place / it).write_text("")
    good = {"revision": 1, "version": "1.8.3", "backup": f"x/{way_back}", "run": "x"}
    lease = thing(
        "envoyfleet", NAMESPACE, {}, annotations={"envoyfleet.dev/last-good": json.dumps(good)}
    )
    path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/envoyfleet"
    server.answer("GET", path, Answer(body=lease))
    keep = {"daily": 1, "weekly": 0, "monthly": 0}
    backup: dict[str, Any] = {"recipients": RECIPIENTS, "identity": "key", "keep": keep}
    ended = ran(command_line, server, folder, "backup", "-y", **backup)
    assert ended.code == 0, ended.text
    [new] = {it.name for it in place.iterdir()} - {way_back, note}
    assert len(contents(place / new).files) == 10
    what = (
        f"backup backups/weu-1/{new}, objects 10, kinds 6, verified opened again, needs 1, "
        "missing 7, deleted 1, seconds "
    )
    assert any(it.startswith(f"weu-1 0 done {what}") for it in ended.lines), ended.text
    assert "[weu-1] missing: Secret edge/gone" in ended.lines
    writes = Counter(it.method for it in server.asked)
    assert set(writes) == {"GET"}

    (place / f"{new}.copy").write_bytes((place / new).read_bytes())
    server.asked.clear()
    ended = ran(command_line, server, folder, "verify", **backup)
    assert ended.code == 0, ended.text
    assert any(
        it.startswith(f"weu-1 backups/weu-1/{new} 20") and it.endswith("UTC none 10 7 1")
        for it in ended.lines
    ), ended.text
    assert "weu-1: missing: Service demo/lost" in ended.lines
    assert server.asked == []  # the cluster may be lost


def test_one_that_fails_stops_no_other(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    """weu-2 lets nobody read its Gateways, weu-3 does not answer."""
    server.cluster("weu-2")
    for (cluster, method, path), answers in list(server.answers.items()):
        if cluster == "weu-1" and path not in ("/version", "/api/v1/namespaces/kube-system"):
            server.answer(method, path, *answers, cluster="weu-2")
    server.answer("GET", GATEWAYS, status(403, "forbidden"), cluster="weu-2")
    folder, backup = tmp_path / "clone", {"recipients": RECIPIENTS, "identity": "key"}
    kubeconfig = clone(folder, server, {}, backup, ("weu-1", "weu-2", "weu-3"))
    environment = {"KUBECONFIG": str(kubeconfig)}
    ended = command_line.run(
        folder, ("inventory/prod.py", "deploys/backup.py", "-y"), **environment
    )
    assert ended.code == 1
    text = "\n".join(ended.lines)
    assert "weu-1 0 done backup backups/weu-1/" in text
    assert f"weu-2 0 failed no backup: GET {GATEWAYS}: 403 forbidden: mend that" in text
    assert "weu-3 0 unreachable cannot reach this cluster: 404 not found" in text
    assert [it.name for it in (folder / "backups").iterdir()] == ["weu-1"]

    ended = command_line.run(folder, ("inventory/prod.py", "deploys/verify.py"), **environment)
    assert ended.code == 1
    text = "\n".join(ended.lines)
    assert "weu-1 backups/weu-1/" in text
    for name in ("weu-2", "weu-3"):
        assert f"{name} not good: backups/{name} holds no backup" in text


def test_one_that_is_not_good_is_said(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    folder = tmp_path / "clone"
    backup: dict[str, Any] = {"recipients": RECIPIENTS, "identity": "key"}
    ended = ran(command_line, server, folder, "verify", **backup)
    assert ended.code == 1
    none = (
        "backups/weu-1 holds no backup: make one with deploys/backup.py, name one with --data "
        "archive=FILE, or correct backup.folder"
    )
    assert f"weu-1 not good: {none} - - - - -" in ended.lines
    place = folder / "backups/weu-1"
    place.mkdir(parents=True)
    (place / "20260101T000000Z.tar.gz.age").write_bytes(b"age-encryption.org/v1\nx")
    ended = ran(command_line, server, folder, "verify", "--data", "output=json", **backup)
    assert ended.code == 1
    document = json.loads(ended.text[ended.text.index("{") :].rpartition("}")[0] + "}")
    assert document["clusters"] == [
        {
            "name": "weu-1",
            "ring": 0,
            "unreachable": "backups/weu-1/20260101T000000Z.tar.gz.age is damaged, not all of it "
            "can be decrypted: take another archive",
        }
    ]


def test_without_secrets_nothing_is_sealed(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    folder = tmp_path / "clone"
    ended = ran(command_line, server, folder, "backup", "-y", secrets=False)
    assert ended.code == 0, ended.text
    path = only(folder)
    assert path.name.endswith("Z.tar.gz")
    found = unpacked(path.read_bytes())
    assert not [it for it in found.files if "/Secret/" in it]
    assert found.manifest["left_out"][0] == "Secret edge/gone: Secrets are left out of this backup"
    assert found.manifest["needs"] == ["6 Secrets: they are left out of this backup"]
    assert not [it for it in found.manifest["missing"] if it.startswith("Secret ")]
    assert not [it for it in server.asked if "/namespaces/edge/secrets" in it.path]
    ended = ran(command_line, server, folder, "verify", secrets=False)
    assert ended.code == 0, ended.text


def test_a_tree_is_replaced_as_a_whole(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    folder = tmp_path / "clone"
    tree = folder / "backups/weu-1/tree"
    (tree / "Gateway/edge").mkdir(parents=True)
    (tree / "Gateway/edge/gone.yaml").write_text("")
    ended = ran(command_line, server, folder, "backup", "-y", data={"format": "tree"})
    assert ended.code == 0, ended.text
    files = {str(it.relative_to(tree)): it for it in tree.rglob("*.yaml")}
    assert sorted(files) == [
        "Gateway/edge/public.yaml",
        "HTTPRoute/demo/shop.yaml",
        "Namespace/demo.yaml",
        "Namespace/edge.yaml",
        *(f"Secret/edge/{it}.yaml" for it in ("gone", "tls")),
        *(
            f"Secret/envoy-gateway-system/{it}.yaml"
            for it in ("envoy-gateway", "envoy-oidc-hmac", "envoy-rate-limit", "envoy")
        ),
        "Service/demo/blue.yaml",
    ]
    assert files["Secret/edge/tls.yaml"].read_text() == (
        "# Secret edge/tls: in no tree, only in a sealed archive\n"
    )
    assert yaml.safe_load(files["Service/demo/blue.yaml"].read_text()) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "blue", "namespace": "demo"},
        "spec": {"ports": []},
    }
    assert [it.name for it in tree.parent.iterdir()] == ["tree"]


@pytest.mark.parametrize("deploy", ["upgrade", "backup"])
def test_without_a_key_it_is_refused(
    command_line: CommandLine, server: ApiServer, tmp_path: Path, deploy: str
) -> None:
    ended = ran(command_line, server, tmp_path / "clone", deploy, "--dry", enabled=True)
    assert (ended.code, ended.lines) == (
        2,
        [
            'inventory/prod.py: weu-1: backup has no recipients: make a key with "age-keygen -o '
            'FILE", write the public key it prints into recipients and keep FILE, or leave '
            'Secrets out with "secrets": False, or set "enabled": False'
        ],
    )
    assert server.asked == []


def test_without_an_identity_nothing_is_opened(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    ended = ran(command_line, server, tmp_path / "clone", "verify", recipients=RECIPIENTS)
    assert (ended.code, ended.lines) == (
        2,
        [
            "inventory/prod.py: weu-1: no age identity here opens backups: write the file of the "
            "key into backup.identity, or into the environment variable ENVOYFLEET_AGE_IDENTITY"
        ],
    )


def test_a_dry_run_writes_nothing(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    folder = tmp_path / "clone"
    ended = ran(command_line, server, folder, "backup", "--dry", recipients=RECIPIENTS)
    assert ended.code == 0, ended.text
    assert "Will write a backup into backups/weu-1" in ended.text
    assert not (folder / "backups").exists()
