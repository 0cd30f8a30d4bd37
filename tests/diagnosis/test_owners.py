"""Which objects are behind what Envoy did with a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tasks.diagnosis import owners
from tasks.diagnosis.case import Case
from tasks.diagnosis.diagnosis import Ref
from tasks.diagnosis.evidence import Entry, Evidence
from tasks.diagnosis.objects import Objects

ROUTE = "httproute/shop/cart/rule/1/match/0/cart_example_com"
CART, STOCK = Ref("Service", "cart", "shop"), Ref("Service", "stock", "shop")


def thing(kind: str, name: str, spec: Mapping[str, Any] | None = None, **more: Any) -> Any:
    return {"kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec, **more}


def endpoints(service: str, address: str, ready: bool) -> Any:
    found = thing("EndpointSlice", f"{service}-1", ports=[{"port": 3000}])
    found["metadata"]["labels"] = {"kubernetes.io/service-name": service}
    return {**found, "endpoints": [{"addresses": [address], "conditions": {"ready": ready}}]}


RULES = [{}, {"backendRefs": [{"name": "cart", "port": 80}, {"name": "stock", "port": 80}]}]
SHOP = [
    thing("HTTPRoute", "cart", {"rules": RULES}),
    thing("Gateway", "public"),
    thing("Service", "cart"),
    thing("Service", "stock"),
    endpoints("cart", "10.0.0.7", ready=True),
    endpoints("stock", "10.0.0.8", ready=False),
]


def case(objects: list[Any] | None, **line: Any) -> Case:
    return Case(Evidence(), None, Entry("access.log", 1, **line), Objects(objects))


@pytest.mark.parametrize(
    ("given", "service"),
    [
        pytest.param(case(SHOP, route=ROUTE, upstream_host="10.0.0.7:3000"), CART, id="asked"),
        pytest.param(case(SHOP, route=ROUTE), STOCK, id="the least ready of the rule's"),
        pytest.param(case(SHOP, upstream_cluster="stock"), STOCK, id="called as the cluster is"),
        pytest.param(
            case(None, upstream_cluster="shop/cilium-gateway-public/shop:cart:80"),
            CART,
            id="of Cilium's names",
        ),
        pytest.param(
            case(None, upstream_cluster="httproute/shop/cart/rule/0"),
            CART,
            id="without objects, as the route is called",
        ),
        pytest.param(case(None, upstream_cluster="app"), Ref("Cluster", "app"), id="plain Envoy"),
    ],
)
def test_the_service_behind_a_request(given: Case, service: Ref) -> None:
    assert owners.service_of(given) == service


def test_the_route_and_its_field() -> None:
    field = "spec.rules[1].filters"
    assert owners.filters_of(case(SHOP, route=ROUTE), "redirect") == (
        Ref("HTTPRoute", "cart", "shop"),
        field,
    )
    assert owners.filters_of(case(None), "redirect") == (
        Ref("RouteConfiguration", ""),
        "virtual_hosts[].routes[].redirect",
    )


def test_the_gateway() -> None:
    assert owners.gateway_of(case(SHOP)) == Ref("Gateway", "public", "shop")
    assert owners.gateway_of(case(None)) == Ref("Listener", "")


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"targetRefs": [{"kind": "HTTPRoute", "name": "cart"}], "jwt": {}}, True),
        ({"targetRefs": [{"kind": "Gateway", "name": "public"}], "jwt": {}}, True),
        ({"targetRefs": [{"kind": "HTTPRoute", "name": "cart"}], "cors": {}}, False),
        ({"targetRefs": [{"kind": "HTTPRoute", "name": "search"}], "jwt": {}}, False),
    ],
)
def test_the_policy_for_a_request(spec: Mapping[str, Any], found: bool) -> None:
    given = case([*SHOP, thing("SecurityPolicy", "tokens", spec)], route=ROUTE)
    wanted = Ref("SecurityPolicy", "tokens", "shop") if found else None
    assert owners.policy_of(given, "SecurityPolicy", "jwt") == wanted
