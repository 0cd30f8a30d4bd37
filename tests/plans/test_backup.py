"""What belongs into a backup, what does not, and what is said of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.plans import backup
from tasks.plans.helm import Release
from tasks.plans.references import Reference
from tasks.plans.resources import Resource

GATEWAY_API, ENVOY_GATEWAY = "gateway.networking.k8s.io", "gateway.envoyproxy.io"
PREFIX = "service.beta.kubernetes.io"


def thing(
    kind: str, name: str, namespace: str | None = "edge", api: str = "v1", **more: Any
) -> dict[str, Any]:
    meta = {"name": name, **({"namespace": namespace} if namespace else {}), **more.pop("meta", {})}
    return {"apiVersion": api, "kind": kind, "metadata": meta, **more}


def gateway(name: str = "public", addresses: Any = (), **status: Any) -> dict[str, Any]:
    spec = {"gatewayClassName": "envoy", "addresses": [{"value": it} for it in addresses]}
    return thing("Gateway", name, api=f"{GATEWAY_API}/v1", spec=spec, status=status)


def test_every_kind_in_the_version_that_is_preferred() -> None:
    served = [
        Resource(GATEWAY_API, "v1", "gateways", "Gateway", True),
        Resource(GATEWAY_API, "v1beta1", "gateways", "Gateway", True),
        Resource(GATEWAY_API, "v1alpha9", "inventedroutes", "InventedRoute", True),
        Resource("gateway.networking.x-k8s.io", "v1alpha1", "xmeshes", "XMesh", False),
        Resource(ENVOY_GATEWAY, "v1alpha1", "backends", "Backend", True),
        Resource(ENVOY_GATEWAY, "v1alpha1", "reviews", "Review", True, frozenset({"create"})),
        Resource("apps", "v1", "deployments", "Deployment", True),
        Resource("networking.istio.io", "v1", "gateways", "Gateway", True),
    ]
    assert [it.path() for it in backup.preferred(served)] == [
        "/apis/gateway.envoyproxy.io/v1alpha1/backends",
        "/apis/gateway.networking.k8s.io/v1/gateways",
        "/apis/gateway.networking.k8s.io/v1alpha9/inventedroutes",
        "/apis/gateway.networking.x-k8s.io/v1alpha1/xmeshes",
    ]
    assert backup.definitions(served[:5]) == [
        "backends.gateway.envoyproxy.io",
        "gateways.gateway.networking.k8s.io",
        "inventedroutes.gateway.networking.k8s.io",
        "xmeshes.gateway.networking.x-k8s.io",
    ]


@pytest.mark.parametrize(
    ("thing", "why"),
    [
        pytest.param(thing("Secret", "tls", type="kubernetes.io/tls"), None, id="kept"),
        pytest.param(
            thing(
                "Service",
                "envoy-edge",
                meta={"labels": {"app.kubernetes.io/managed-by": "envoy-gateway"}},
            ),
            "made by Envoy Gateway",
            id="generated",
        ),
        pytest.param(
            thing(
                "Service", "x", meta={"ownerReferences": [{"kind": "Gateway", "name": "public"}]}
            ),
            "made by Envoy Gateway for Gateway public",
            id="owned",
        ),
        pytest.param(
            thing("Secret", "x", meta={"ownerReferences": [{"kind": "Certificate", "name": "x"}]}),
            None,
            id="owned by a Certificate",
        ),
        pytest.param(
            thing("Secret", "x", type="helm.sh/release.v1"),
            "a record of Helm, which makes it anew",
            id="Helm",
        ),
        pytest.param(
            thing("Secret", "x", type="kubernetes.io/service-account-token"),
            "a token that another cluster does not know",
            id="token",
        ),
    ],
)
def test_what_is_left_out(thing: dict[str, Any], why: str | None) -> None:
    assert backup.why_left_out(thing) == why


def test_a_file_can_be_applied_elsewhere() -> None:
    owners = [{"kind": "Certificate", "name": "x", "uid": "9"}]
    live = thing(
        "Secret", "a", meta={"uid": "1", "resourceVersion": "2", "ownerReferences": owners}
    )
    assert json.loads(backup.content({**live, "status": {}})) == thing(
        "Secret", "a", meta={"ownerReferences": owners}
    )
    namespace = thing("Namespace", "a", None, spec={"finalizers": ["kubernetes"]})
    assert json.loads(backup.content(namespace)) == thing("Namespace", "a", None)


def test_what_a_manifest_says_of_a_crd() -> None:
    notes = {f"{GATEWAY_API}/bundle-version": "v1.6.1", f"{GATEWAY_API}/channel": "experimental"}
    versions = [{"name": "v1", "served": True}, {"name": "v1beta1", "served": False}]
    crd = thing(
        "CustomResourceDefinition",
        f"gateways.{GATEWAY_API}",
        None,
        meta={"annotations": notes},
        spec={"versions": versions},
        status={"storedVersions": ["v1beta1", "v1"]},
    )
    assert backup.definition(crd) == {
        "name": f"gateways.{GATEWAY_API}",
        "served": ["v1"],
        "stored": ["v1beta1", "v1"],
        "bundle": "v1.6.1",
        "channel": "experimental",
    }


def test_what_a_manifest_says_of_helm() -> None:
    release = Release(
        "eg", "system", 3, "deployed", "gateway-helm", "1.9.1", "v1.9.1", {"a": 1}, ""
    )
    found = backup.release_entry(release, values=True)
    assert found == {
        "release": "eg",
        "namespace": "system",
        "chart": "gateway-helm",
        "version": "1.9.1",
        "revision": 3,
        "values": {"a": 1},
    }
    hidden = backup.release_entry(release, values=False)
    assert hidden is not None
    assert hidden["values"] is None
    assert backup.release_entry(None, values=True) is None


def test_how_gateways_are_reached() -> None:
    owning = "gateway.envoyproxy.io/owning-gateway"
    notes = {f"{PREFIX}/azure-pip-name": "edge"}
    services = [
        thing(
            "Service",
            "one",
            "system",
            meta={
                "labels": {f"{owning}-name": "public", f"{owning}-namespace": "edge"},
                "annotations": notes,
            },
        ),
        thing("Service", "app", "demo"),
    ]
    own = gateway(status={}, addresses=[])
    own["status"] = {"addresses": [{"type": "IPAddress", "value": "20.1.2.3"}, {}]}
    entries = backup.address_entries([own, gateway("private"), thing("Secret", "x")], services)
    assert entries == [
        {
            "gateway": "edge/public",
            "addresses": ["20.1.2.3"],
            "service": "system/one",
            "annotations": notes,
        },
        {"gateway": "edge/private", "addresses": [], "service": None, "annotations": {}},
    ]
    merged = thing("Service", "all", "system", meta={"labels": {f"{owning}class": "envoy"}})
    assert {it["service"] for it in backup.address_entries([own], [merged])} == {"system/all"}


@pytest.mark.parametrize(
    ("objects", "addresses", "lines"),
    [
        pytest.param([thing("Secret", "tls"), gateway()], [], [], id="nothing"),
        pytest.param(
            [
                thing(
                    "Secret", "a", meta={"ownerReferences": [{"kind": "SealedSecret", "name": "s"}]}
                ),
                thing("Secret", "b", meta={"labels": {"secrets-store.csi.k8s.io/managed": "true"}}),
            ],
            [],
            [
                "Secret edge/a: made by SealedSecret s: it is kept as it was, and made again from "
                "there",
                "Secret edge/b: made by the Secrets Store CSI driver: it is kept as it was, and "
                "made again from there",
            ],
            id="from a vault",
        ),
        pytest.param(
            [
                thing("Certificate", "c", api="cert-manager.io/v1", spec={"secretName": "x"}),
                thing("ClusterIssuer", "le", None, api="cert-manager.io/v1", spec={}),
            ],
            [],
            ["ClusterIssuer le: cert-manager, and what it signs with"],
            id="cert-manager",
        ),
        pytest.param(
            [gateway(addresses=["20.1.2.3"])],
            [
                {
                    "gateway": "edge/public",
                    "annotations": {f"{PREFIX}/azure-pip-name": "edge", "other": "x"},
                }
            ],
            [
                "Gateway edge/public: the address 20.1.2.3, which it asks for",
                "Gateway edge/public: azure-pip-name edge",
            ],
            id="addresses",
        ),
        pytest.param(
            [
                thing(
                    "HTTPRoute",
                    "shop",
                    api=f"{GATEWAY_API}/v1",
                    spec={
                        "backendRefs": [
                            {
                                "group": "multicluster.x-k8s.io",
                                "kind": "ServiceImport",
                                "name": "far",
                            }
                        ]
                    },
                )
            ],
            [],
            ["ServiceImport edge/far (multicluster.x-k8s.io): HTTPRoute edge/shop refers to it"],
            id="of a group that is not kept",
        ),
    ],
)
def test_what_a_restore_needs_besides(
    objects: list[dict[str, Any]], addresses: list[dict[str, Any]], lines: list[str]
) -> None:
    assert backup.needs(objects, addresses) == lines


def test_what_the_controller_lives_on() -> None:
    assert [it.title for it in backup.controls("system")] == [
        "Secret system/envoy",
        "Secret system/envoy-gateway",
        "Secret system/envoy-oidc-hmac",
        "Secret system/envoy-rate-limit",
        "ConfigMap system/envoy-gateway-config",
    ]
    redis = {"redis": {"tls": {"certificateRef": {"name": "redis-tls"}}}}
    config = {"rateLimit": {"backend": redis}}
    assert backup.configured(config, "system")[1:] == [
        Reference("", "Secret", "system", "redis-tls")
    ]
    assert backup.configured("text", "system")[1:] == []


def test_where_the_tree_has_them() -> None:
    paths = [
        "core/Service/demo/blue.json",
        "core/Namespace/demo.json",
        "apiextensions.k8s.io/CustomResourceDefinition/x.json",
        "monitoring.coreos.com/PodMonitor/demo/a.json",
        "azmonitoring.coreos.com/PodMonitor/demo/a.json",
    ]
    assert backup.tree_paths(paths) == {
        "core/Service/demo/blue.json": "Service/demo/blue.yaml",
        "core/Namespace/demo.json": "Namespace/demo.yaml",
        "monitoring.coreos.com/PodMonitor/demo/a.json": (
            "PodMonitor.monitoring.coreos.com/demo/a.yaml"
        ),
        "azmonitoring.coreos.com/PodMonitor/demo/a.json": (
            "PodMonitor.azmonitoring.coreos.com/demo/a.yaml"
        ),
    }
    assert backup.kinds_of(paths)["PodMonitor"] == 2
