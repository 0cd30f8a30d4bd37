"""Which names are said to which ports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.plans.handshakes import Ask, Pod, names_to_ask, to_addresses, to_pods
from tasks.plans.listeners import Listener, SecretRef

ONE = SecretRef("edge", "shop-tls")
SHOP = Listener(
    "weu-1",
    "Gateway edge/public",
    "edge/public",
    "https",
    443,
    "*.example.com",
    ("20.103.0.10",),
    "edge/public",
    (ONE,),
)


@pytest.mark.parametrize(
    ("listener", "names"),
    [
        pytest.param({"hostname": "shop.example.com"}, ("shop.example.com",), id="its own"),
        pytest.param({}, ("probe.example.com",), id="a wildcard without routes"),
        pytest.param(
            {"hosts": ("a.example.com", "b.example.com")}, ("a.example.com",), id="one of a route"
        ),
        pytest.param(
            {"hosts": ("*.shop.example.com",)}, ("probe.shop.example.com",), id="any of a route"
        ),
        pytest.param({"hostname": None}, ("",), id="no name at all"),
        pytest.param({"hostname": None, "hosts": ("a.b",)}, ("a.b",), id="every name, one route"),
        pytest.param(
            {"hosts": ("a.example.com", "b.example.com"), "secrets": (ONE, ONE)},
            ("a.example.com", "b.example.com"),
            id="several Secrets are chosen by name",
        ),
        pytest.param(
            {"hosts": ("a.example.com", "b.example.com"), "passthrough": True},
            ("a.example.com", "b.example.com"),
            id="backends are chosen by name",
        ),
    ],
)
def test_names(listener: dict[str, Any], names: tuple[str, ...]) -> None:
    made = replace(SHOP, **listener)
    assert names_to_ask([made]) == {made: names}


def test_a_name_that_a_more_precise_listener_takes_says_nothing_of_this_one() -> None:
    precise = replace(SHOP, name="cart", hostname="cart.example.com")
    wide = replace(SHOP, hosts=("cart.example.com", "pay.example.com"))
    assert names_to_ask([precise, wide])[wide] == ("pay.example.com",)
    elsewhere = replace(precise, port=8443)
    assert names_to_ask([elsewhere, wide])[wide] == ("cart.example.com",)


def test_a_name_is_said_with_its_dots_at_every_address() -> None:
    two = replace(SHOP, addresses=("10.0.0.1", "10.0.0.2"))
    ask = Ask(two, "probe.example.com", 443)
    assert to_addresses([two]) == {"10.0.0.1": [ask], "10.0.0.2": [ask]}


LABELS = {
    "gateway.envoyproxy.io/owning-gateway-namespace": "edge",
    "gateway.envoyproxy.io/owning-gateway-name": "public",
}
MERGED = {"gateway.envoyproxy.io/owning-gatewayclass": "envoy"}


def pod(name: str = "envoy-1", ready: str = "True", **meta: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "eg", "name": name, "labels": LABELS, **meta},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def service(target: int) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "eg", "name": "envoy", "labels": LABELS},
        "spec": {"ports": [{"port": 443, "targetPort": target}]},
    }


def test_pods_that_are_ready_and_stay_are_asked_on_the_port_of_their_service() -> None:
    pods = [pod(), pod("new", ready="False"), pod("old", deletionTimestamp="2026-11-21T00:00:00Z")]
    asks = (Ask(SHOP, "probe.example.com", 8443),)
    assert to_pods(pods, [service(8443)], [SHOP]) == [Pod("eg", "envoy-1", asks)]


def test_without_a_service_the_port_is_the_usual_one() -> None:
    [found] = to_pods([pod()], [], [SHOP])
    assert found.asks[0].port == 10443


def test_a_pod_of_merged_gateways_has_the_listeners_of_all() -> None:
    one = replace(SHOP, workload="envoy")
    two = replace(one, gateway="shop/own", hostname="shop.example.org")
    other = replace(SHOP, gateway="edge/other", workload="edge/other")
    [found] = to_pods([pod(labels=MERGED)], [], [one, two, other])
    assert [it.listener for it in found.asks] == [one, two]
