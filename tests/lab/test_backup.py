"""Backups of real clusters, opened again with the lab's own key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.fleet import archives
from tasks.plans.archive import Contents
from tests.lab.fleet import OLD, Fleet, opened

pytestmark = pytest.mark.lab

#: Of a class that no controller has, so that nothing comes of it.
OBJECTS = """
apiVersion: v1
kind: Namespace
metadata: {name: kept, labels: {team: backup}}
---
apiVersion: v1
kind: Secret
metadata: {name: canary, namespace: kept}
stringData: {tls.key: t0p-s3cret-canary}
---
apiVersion: v1
kind: Secret
metadata: {name: unrelated, namespace: kept}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: kept, namespace: kept}
spec:
  gatewayClassName: nobody
  listeners:
    - name: https
      port: 443
      protocol: HTTPS
      tls: {certificateRefs: [{name: canary}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: kept, namespace: kept}
spec:
  parentRefs: [{name: kept}]
  rules: [{backendRefs: [{name: lost, port: 80}]}]
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Any:
    fleet = opened(tmp_path_factory.mktemp("backup"))
    ended = fleet.pyinfra("crds", "-y", "--data", f'envoy_gateway_version="{OLD}"')
    assert ended.code == 0, ended.text
    for name in fleet.names:
        fleet.lab.kubectl("--context", name, "apply", "-f", "-", text=OBJECTS)
    yield fleet
    for name in fleet.names:
        fleet.kubectl(name, "delete", "namespace", "kept")


def newest(fleet: Fleet, cluster: str) -> Path:
    path = archives.newest(fleet.folder / "backups", cluster)
    assert path is not None
    return path


def kept(fleet: Fleet, cluster: str) -> Contents:
    return archives.opened(newest(fleet, cluster), Path(fleet.lab.data["age_identity"]))


def test_every_cluster_is_kept_and_opened_again(fleet: Fleet) -> None:
    ended = fleet.pyinfra("backup", "-y")
    assert ended.code == 0, ended.text
    assert set(fleet.statuses().values()) == {"done"}
    for name in fleet.names:
        found = kept(fleet, name)
        own = [it for it in found.files if "/kept" in it]
        assert own == [
            "core/Namespace/kept.json",
            "core/Secret/kept/canary.json",
            "gateway.networking.k8s.io/Gateway/kept/kept.json",
            "gateway.networking.k8s.io/HTTPRoute/kept/kept.json",
        ]
        assert json.loads(found.files[own[0]])["metadata"]["labels"]["team"] == "backup"
        assert {"GatewayClass nobody", "Service kept/lost"} <= set(found.manifest["missing"])
        crds = [it for it in found.files if "/CustomResourceDefinition/" in it]
        assert len(crds) == len(found.manifest["crds"]) > 15
        assert all(it["stored"] for it in found.manifest["crds"])
        system = json.loads(fleet.kubectl(name, "get", "namespace", "kube-system", "-o", "json"))
        assert (found.manifest["cluster"], found.manifest["uid"]) == (
            name,
            system["metadata"]["uid"],
        )
    left = [it for it in fleet.folder.rglob("*") if it.is_file() and not it.is_symlink()]
    texts = [it.read_bytes() for it in left] + [ended.text.encode()]
    assert not [it for it in texts if b"t0p-s3cret-canary" in it or b"dDBwLXMzY3JldC1" in it]


def test_they_are_verified_without_their_clusters(fleet: Fleet) -> None:
    before = {name: len(fleet.requests(name)) for name in fleet.names}
    ended = fleet.pyinfra("verify", "--data", "output=json")
    assert ended.code == 0, ended.text
    rows = {it["name"]: it for it in json.loads(ended.out)["clusters"]}
    for name in fleet.names:
        assert rows[name]["objects"] == len(kept(fleet, name).files)
        assert len(fleet.requests(name)) == before[name]

    broken = newest(fleet, fleet.names[0])
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    ended = fleet.pyinfra("verify", "--limit", fleet.names[0])
    broken.write_bytes(whole)
    assert ended.code == 1
    assert f"{broken.name} is damaged, not all of it can be decrypted" in ended.out


def test_a_tree_can_be_read(fleet: Fleet) -> None:
    ended = fleet.pyinfra("backup", "-y", "--data", "format=tree", "--limit", fleet.names[0])
    assert ended.code == 0, ended.text
    tree = fleet.folder / "backups" / fleet.names[0] / "tree"
    route = yaml.safe_load((tree / "HTTPRoute/kept/kept.yaml").read_text())
    assert route["spec"]["rules"][0]["backendRefs"][0]["name"] == "lost"
    assert "t0p-s3cret" not in (tree / "Secret/kept/canary.yaml").read_text()
