"""What belongs into a backup, and what its files look like."""

from __future__ import annotations

import io
import json
import tarfile
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from tasks.plans.backup import Reference, entries, lists, manifest, packed, references

GATEWAY_API = "gateway.networking.k8s.io"


def thing(kind: str, spec: Any, namespace: str | None = "edge", **meta: Any) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": f"{GATEWAY_API}/v1",
        "kind": kind,
        "metadata": {"name": "public", **place, **meta},
        "spec": spec,
    }


def test_one_list_for_each_kind_that_is_served() -> None:
    served = {
        f"gateways.{GATEWAY_API}": ["v1", "v1beta1"],
        f"inventedroutes.{GATEWAY_API}": ["v1alpha1"],
        "xmeshes.gateway.networking.x-k8s.io": ["v1alpha1"],
        "backends.gateway.envoyproxy.io": ["v1alpha1"],
        "deployments.apps": ["v1"],
        "gateways.networking.istio.io": ["v1"],
    }
    assert lists(served) == [
        "/apis/gateway.envoyproxy.io/v1alpha1/backends",
        "/apis/gateway.networking.k8s.io/v1/gateways",
        "/apis/gateway.networking.k8s.io/v1alpha1/inventedroutes",
        "/apis/gateway.networking.x-k8s.io/v1alpha1/xmeshes",
    ]


def certificate(**more: str) -> dict[str, Any]:
    reference = {"kind": "Secret", "name": "tls", **more}
    return {"listeners": [{"tls": {"certificateRefs": [reference]}}]}


@pytest.mark.parametrize(
    ("objects", "found"),
    [
        pytest.param(
            [thing("Gateway", certificate(group=""))],
            {Reference("Secret", "edge", "tls")},
            id="of its own namespace",
        ),
        pytest.param(
            [thing("Gateway", certificate(namespace="certificates"))],
            {Reference("Secret", "certificates", "tls")},
            id="of another",
        ),
        pytest.param(
            [
                thing(
                    "BackendTLSPolicy",
                    {"validation": {"caCertificateRefs": [{"kind": "ConfigMap", "name": "ca"}]}},
                ),
                thing("SecurityPolicy", {"basicAuth": {"users": {"kind": "Secret", "name": "u"}}}),
            ],
            {Reference("ConfigMap", "edge", "ca"), Reference("Secret", "edge", "u")},
            id="wherever it stands",
        ),
        pytest.param(
            [thing("Gateway", certificate(group="vault.example.com"))], set(), id="another group's"
        ),
        pytest.param(
            [thing("GatewayClass", {"parametersRef": {"kind": "EnvoyProxy", "name": "x"}}, None)],
            set(),
            id="another kind",
        ),
        pytest.param([{"metadata": {"name": "public"}}], set(), id="no spec"),
        pytest.param(
            [thing("HTTPRoute", {"rules": [{"matches": ["Secret", 1, None, [["x"]]]}]})],
            set(),
            id="lists of anything",
        ),
    ],
)
def test_what_objects_refer_to(objects: list[dict[str, Any]], found: set[Reference]) -> None:
    assert references(objects) == found


def test_an_entry_can_be_applied_elsewhere() -> None:
    live = thing("Gateway", {"gatewayClassName": "envoy"}, uid="4711", resourceVersion="17")
    live["status"] = {"addresses": []}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "b"}}
    cluster_wide = thing("GatewayClass", {}, None)
    files = entries([live, secret, cluster_wide])
    assert list(files) == [
        "gateway.networking.k8s.io/Gateway/edge/public.json",
        "core/Secret/b/a.json",
        "gateway.networking.k8s.io/GatewayClass/public.json",
    ]
    assert json.loads(files["gateway.networking.k8s.io/Gateway/edge/public.json"]) == thing(
        "Gateway", {"gatewayClassName": "envoy"}
    )


def test_a_tar_with_its_manifest_first() -> None:
    files = {"core/Secret/b/a.json": b"{}"}
    about = manifest(files, [Reference("Secret", "edge", "tls")], cluster="weu-1", uid="4711")
    assert about == {
        "schema": "envoyfleet.backup/1",
        "cluster": "weu-1",
        "uid": "4711",
        "missing": ["Secret edge/tls"],
        "entries": [{"path": "core/Secret/b/a.json", "sha256": sha256(b"{}").hexdigest()}],
    }
    taken = datetime(2026, 11, 21, tzinfo=UTC)
    with tarfile.open(fileobj=io.BytesIO(packed(about, files, taken))) as archive:
        first, second = archive.getmembers()
        assert (first.name, second.name, second.mode) == ("manifest.json", *files, 0o600)
        read = archive.extractfile(first)
        assert read is not None
        assert json.load(read) == about
