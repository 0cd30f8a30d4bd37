"""
The tree for Argo CD and Flux as both read it: by kustomize, the one within kubectl. What it makes
of a cluster's folder is what the inventory wants, no more and no less.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import desired, render
from tasks.desired import tree
from tasks.lab import catalogue, parts
from tasks.plans.references import to

FLEET = """
_gateway = {
    "name": "public",
    "namespace": "edge",
    "listeners": [
        {"name": "http", "port": 80},
        {"name": "https", "port": 443, "protocol": "HTTPS", "secret": "tls"},
    ],
    "proxy": {"hpa": {"min": 2, "max": 6}},
    "limits": {"clients": {"buffer": "64Ki"}},
}
_data = {
    "envoy_gateway_version": "1.9.1",
    "gateways": [_gateway],
    "routes": [
        {
            "name": "cart",
            "namespace": "shop",
            "gateway": "edge/public",
            "hostnames": ["cart.a.test"],
            "backends": [{"service": "cart", "port": 8080}],
        }
    ],
    "teams": [
        {
            "name": "shop",
            "namespaces": ["shop"],
            "zones": ["*.a.test"],
            "listeners": ["edge/public"],
            "grants": [{"namespace": "shop", "kind": "Service", "name": "x", "to": ["1e3"]}],
        }
    ],
    "objects": ["objects/*"],
}
clusters = [("@kube/weu-1", {**_data, "ring": 0}), ("@kube/weu-2", {**_data, "ring": 1})]
"""
OBJECTS = """
kind: Service
apiVersion: v1
metadata: {name: cart, namespace: shop, annotations: {build: "12e4", switch: "on"}}
spec: {ports: [{name: http, port: 8080}], selector: {app: cart}}
---
kind: BackendTrafficPolicy
apiVersion: gateway.envoyproxy.io/v1alpha1
metadata: {name: cart, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: cart}]
  responseOverride:
    - match: {statusCodes: [{type: Value, value: 503}]}
      response: {contentType: text/plain, body: {type: Inline, inline: "so sorry\\n\\tcart\\n"}}
"""
WORDS = """
1e3 12345e7 0o17 0x1F 017 1_000 y n Y yes on null ~ 2026-11-22 1:30 .5 1. +1 - = << !x &a *a %a @a
`a 0b11 .inf .nan 1E5 1e+3 0x true False 'q' "q" ? {a} [a] 1.0e5 12_3e4 -0 0 08 0_8 1,000 1.9.1
"""
TEXTS = WORDS.split()
TEXTS += ["", " a", "a ", "a: b", "a #b", "- x", "a\nb\n", "a\nb", "a\n\n b\n", "\na", "a\n\n"]
TEXTS += ["a\tb\n", "é", "\u2028a", "\x07", "😀"]


class Reader(yaml.SafeLoader):
    """Python's, which knows more of YAML 1.1 than is in use: "=" and "<<" alone are texts."""


for _tag in ("value", "merge"):
    Reader.add_constructor(f"tag:yaml.org,2002:{_tag}", lambda _, node: str(node.value))


@pytest.fixture(scope="module")
def kubectl() -> Path:
    [part] = [it for it in catalogue.parts(()) if it.name == "helm"]
    return parts.find([part])["helm"] / "kubectl"


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects/shop.yaml").write_text(OBJECTS)
    (tmp_path / "fleet.py").write_text(FLEET)
    return tmp_path


def built(kubectl: Path, folder: Path) -> list[Any]:
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return [*yaml.load_all(done.stdout, Loader=Reader)]


def test_each_folder_is_what_the_inventory_wants(kubectl: Path) -> None:
    assert render.main(["fleet.py"]) == 0
    fleet = render.fleet(Path("fleet.py"))
    assert len(fleet) == 2
    for name, data in fleet.items():
        found = {to(it): it for it in built(kubectl, Path("rendered-tree") / name)}
        wanted = {to(it): it for it in desired.wanted(name, data).objects}
        assert len(wanted) > 9
        assert found == wanted


def test_every_text_comes_back_as_the_text_that_it_is(kubectl: Path, place: Path) -> None:
    """Go's YAML takes for numbers what Python's takes for texts, such as 12e4 of a hash."""
    meta = {"name": "texts", "namespace": "shop"}
    thing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
    data = {f"k{number}": text for number, text in enumerate(TEXTS)}
    data |= dict.fromkeys(["1e3", "0o17", "on", "null", "y", "12e4"], "a key")
    listed = {"resources": ["texts.yaml"]}
    (place / "texts.yaml").write_text(tree.text("texts", {**thing, "data": data}))
    (place / tree.KUSTOMIZATION).write_text(tree.text("texts", listed))
    [found] = built(kubectl, place)
    assert found["data"] == data
