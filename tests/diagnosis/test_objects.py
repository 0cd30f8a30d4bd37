"""Objects by name, and what stands between a route and its Pods."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.diagnosis.diagnosis import Ref
from tasks.diagnosis.objects import Objects, Rule, covers, rule_of

CART = Ref("HTTPRoute", "cart", "shop")


def thing(kind: str, name: str, namespace: str = "shop", **rest: Any) -> dict[str, Any]:
    labels = rest.pop("labels", {})
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        **rest,
    }


def route(name: str, path: dict[str, str], *hostnames: str) -> dict[str, Any]:
    rule = {"matches": [{"path": path}], "backendRefs": [{"name": name, "port": 80}]}
    return thing("HTTPRoute", name, spec={"hostnames": list(hostnames), "rules": [rule]})


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("httproute/shop/cart/rule/0/match/0/cart_example_com", Rule(CART, 0)),
        ("httproute/shop/cart/rule/2", Rule(CART, 2)),
        ("grpcroute/shop/cart/rule/0", Rule(Ref("GRPCRoute", "cart", "shop"), 0)),
        ("tcproute/shop/cart/rule/-1", Rule(Ref("TCPRoute", "cart", "shop"), -1)),
        ("cart", None),
        ("", None),
    ],
)
def test_rule_of(name: str, rule: Rule | None) -> None:
    assert rule_of(name) == rule


@pytest.mark.parametrize(
    ("hostname", "host", "does"),
    [
        ("", "a.example.com", True),
        ("a.example.com", "a.example.com", True),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("a.example.com", "b.example.com", False),
    ],
)
def test_covers(hostname: str, host: str, does: bool) -> None:
    assert covers(hostname, host) is does


def test_service_of_an_address() -> None:
    points = thing(
        "EndpointSlice",
        "cart-x",
        labels={"kubernetes.io/service-name": "cart"},
        ports=[{"port": 3000}],
        endpoints=[
            {"addresses": ["10.0.0.7"], "conditions": {"ready": True}},
            {"addresses": ["10.0.0.8"], "conditions": {"ready": False}},
        ],
    )
    it = Objects([points])
    assert it.services_at("10.0.0.7:3000") == (Ref("Service", "cart", "shop"),)
    assert it.services_at("10.0.0.7:3001") == ()
    assert it.readiness(Ref("Service", "cart", "shop")) == (1, 2)
    assert it.readiness(Ref("Service", "other", "shop")) is None


def test_rule_for_a_request_is_the_most_exact_one() -> None:
    it = Objects(
        [
            route("any", {"type": "PathPrefix", "value": "/"}, "*.example.com"),
            route("cart", {"type": "PathPrefix", "value": "/cart"}, "shop.example.com"),
            route("exact", {"type": "Exact", "value": "/cart/1"}, "shop.example.com"),
        ]
    )

    def chosen(host: str, path: str) -> str:
        found = it.rule_for(host, "GET", path)
        return found.route.name if found else ""

    assert chosen("shop.example.com", "/cart/1?x=y") == "exact"
    assert chosen("shop.example.com", "/cart/2") == "cart"
    assert chosen("shop.example.com", "/carts") == "any"
    assert chosen("b.example.com", "/cart") == "any"
    assert chosen("example.org", "/") == ""


@pytest.mark.parametrize(
    "spec",
    [
        {"targetRefs": [{"kind": "HTTPRoute", "name": "cart"}]},
        {"targetRef": {"kind": "HTTPRoute", "name": "cart"}},
        {"targetSelectors": [{"kind": "HTTPRoute", "matchLabels": {"app": "cart"}}]},
    ],
    ids=["targetRefs", "targetRef", "targetSelectors"],
)
def test_policies_of_a_route(spec: dict[str, Any]) -> None:
    policy = thing("SecurityPolicy", "jwt", spec={**spec, "jwt": {}})
    other = thing("SecurityPolicy", "jwt", "pay", spec={**spec, "jwt": {}})
    it = Objects([thing("HTTPRoute", "cart", labels={"app": "cart"}), policy, other])
    assert it.policies("SecurityPolicy", [CART]) == (policy,)
    assert it.policies("SecurityPolicy", [Ref("HTTPRoute", "other", "shop")]) == ()


@pytest.mark.parametrize("wrong", [None, 1, "x", [1], {"a": 1}, [{"addresses": 1}]])
def test_objects_of_any_shape_are_read(wrong: Any) -> None:
    it = Objects(
        [
            thing("HTTPRoute", "cart", spec=wrong, status=wrong),
            thing("HTTPRoute", "cart2", spec={"rules": wrong, "hostnames": wrong}),
            thing("EndpointSlice", "x", ports=wrong, endpoints=wrong),
            thing("SecurityPolicy", "p", spec={"targetRefs": wrong, "targetSelectors": wrong}),
        ]
    )
    assert it.backends(Rule(CART, 0)) == ()
    assert it.services_at("10.0.0.7:80") == ()
    assert it.policies("SecurityPolicy", [CART]) == ()
    it.rule_for("a", "GET", "/")
