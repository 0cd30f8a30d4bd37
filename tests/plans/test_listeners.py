"""Listeners that end TLS, as Gateways write them."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.listeners import Listener, SecretRef, granted, of_gateways

TLS: dict[str, Any] = {
    "name": "https",
    "protocol": "HTTPS",
    "port": 443,
    "hostname": "*.example.com",
    "tls": {"certificateRefs": [{"name": "shop-tls"}]},
}


def gateway(*listeners: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "edge", "name": "public"},
        "spec": {"gatewayClassName": "envoy", "listeners": list(listeners)},
        "status": {"addresses": [{"value": "20.103.0.10"}]},
    }


def test_a_listener_has_the_place_and_the_secret_that_it_serves() -> None:
    http = {"name": "http", "protocol": "HTTP", "port": 80}
    assert of_gateways("weu-1", [gateway(http, TLS)]) == [
        Listener(
            "weu-1",
            "Gateway edge/public",
            "edge/public",
            "https",
            443,
            "*.example.com",
            ("20.103.0.10",),
            "edge/public",
            (SecretRef("edge", "shop-tls"),),
        )
    ]


def test_merged_gateways_share_the_proxies_of_their_class() -> None:
    [found] = of_gateways("weu-1", [gateway(TLS)], merged=frozenset({"envoy"}))
    assert found.workload == "envoy"


GRANT: dict[str, Any] = {
    "metadata": {"namespace": "certs", "name": "for-edge"},
    "spec": {
        "from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "edge"}],
        "to": [{"group": "", "kind": "Secret", "name": "shop-tls"}],
    },
}


@pytest.mark.parametrize(
    ("ref", "grants", "wanted"),
    [
        pytest.param({"name": "shop-tls"}, [], True, id="its own namespace"),
        pytest.param({"name": "shop-tls", "namespace": "certs"}, [], False, id="no grant"),
        pytest.param({"name": "shop-tls", "namespace": "certs"}, [GRANT], True, id="a grant"),
        pytest.param({"name": "other", "namespace": "certs"}, [GRANT], False, id="of another name"),
    ],
)
def test_a_secret_of_another_namespace_needs_a_grant(
    ref: dict[str, str], grants: list[dict[str, Any]], wanted: bool
) -> None:
    assert granted("edge", "Gateway", ref, grants) is wanted
