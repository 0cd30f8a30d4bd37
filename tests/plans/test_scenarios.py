"""What each scene of a game day destroys."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans import scenarios
from tasks.plans.kinds import title

API = "gateway.networking.k8s.io/v1"
CRDS = ["gateways.gateway.networking.k8s.io", "certificates.cert-manager.io"]


def thing(kind: str, name: str, namespace: str, api: str = API, **more: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": api, "kind": kind, "metadata": meta, **more}


ARCHIVE = [
    thing("Gateway", "public", "edge"),
    thing("HTTPRoute", "a", "shop"),
    thing("HTTPRoute", "b", "shop"),
    thing("HTTPRoute", "c", "default"),
    thing("Secret", "shop-tls", "edge", api="v1", type="kubernetes.io/tls"),
    thing("Secret", "password", "edge", api="v1", type="Opaque"),
    thing("Secret", "envoy", "envoy-gateway-system", api="v1", type="kubernetes.io/tls"),
]


@pytest.mark.parametrize(
    ("scenario", "text", "titles"),
    [
        ("namespace-deleted", "namespace shop is deleted", ["Namespace shop"]),
        (
            "controller-deleted",
            "namespace envoy-gateway-system, with controller and proxies, is deleted",
            ["Namespace envoy-gateway-system"],
        ),
        (
            "crds-deleted",
            "1 CRDs are deleted, and with them every object",
            ["CustomResourceDefinition gateways.gateway.networking.k8s.io"],
        ),
        ("tls-secrets-deleted", "1 TLS Secrets are deleted", ["Secret edge/shop-tls"]),
    ],
)
def test_damage(scenario: str, text: str, titles: list[str]) -> None:
    damage = scenarios.damage(scenario, ARCHIVE, "envoy-gateway-system", CRDS)
    assert damage.text == text
    assert [title(it) for it in damage.things] == titles


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        ("namespace-deleted", "the archive has no namespace with Gateway API objects to delete"),
        (
            "crds-deleted",
            "the CRDs were on the target before: a scene deletes only what a drill brought",
        ),
        ("tls-secrets-deleted", "the archive has no TLS Secret to delete"),
    ],
)
def test_nothing_to_destroy_is_said(scenario: str, message: str) -> None:
    with pytest.raises(LookupError) as refused:
        scenarios.damage(scenario, [], "envoy-gateway-system", CRDS[1:])
    assert str(refused.value) == message
