"""What would end an overlap: one listener for all names, and 421 for names of other listeners."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.plans.cures import APPLIED, merge, route_configurations
from tasks.plans.listeners import Listener, of_gateways
from tasks.plans.overlap import overlaps
from tasks.plans.x509 import Certificate
from tests.plans.test_overlap import WILD, A, B, certificate, served

META = {"name": "public", "namespace": "edge"}


def listener(name: str, hostname: str | None, secret: str = "wild", **more: Any) -> dict[str, Any]:
    tls = {"mode": "Terminate", "certificateRefs": [{"name": secret}]}
    named = {"hostname": hostname} if hostname else {}
    return {"name": name, "port": 443, "protocol": "HTTPS", **named, "tls": tls, **more}


def gateway(*listeners: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {
            **META,
            "uid": "1",
            "resourceVersion": "2",
            "labels": {"team": "shop"},
            "annotations": {APPLIED: "{}"},
        },
        "spec": {"gatewayClassName": "envoy", "listeners": [*listeners]},
        "status": {"addresses": [{"value": "20.0.0.1"}]},
    }


def route(name: str, section: str | None, *hostnames: str) -> dict[str, Any]:
    parent = {**META, **({"sectionName": section} if section else {})}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"parentRefs": [parent], **({"hostnames": [*hostnames]} if hostnames else {})},
    }


def merged(
    live: dict[str, Any], *routes: dict[str, Any], held: dict[str, Certificate] | None = None
) -> Any:
    every = of_gateways("weu-1", [live])
    certificates = {it: [(held or {}).get(it.secrets[0].name, WILD)] for it in every}
    (found,) = overlaps(every, certificates)
    return merge(found, live, routes, certificates)


HTTP = {"name": "http", "port": 80, "protocol": "HTTP"}


def test_one_listener_takes_the_place_of_all() -> None:
    found = merged(gateway(HTTP, listener("a", "a.example.com"), listener("b", "b.example.com")))
    assert found.objects == (
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {**META, "labels": {"team": "shop"}},
            "spec": {
                "gatewayClassName": "envoy",
                "listeners": [HTTP, listener("a", "*.example.com")],
            },
        },
    )
    assert found.gone == ("b",)


@pytest.mark.parametrize(
    ("hostnames", "wanted"),
    [
        pytest.param(("a.example.com", "b.example.com"), "*.example.com", id="one domain"),
        pytest.param(("*.example.com", "b.example.com"), "*.example.com", id="a wildcard"),
        pytest.param(("a.example.com", "b.example.org"), None, id="two domains"),
        pytest.param((None, "b.example.com"), None, id="every name"),
    ],
)
def test_the_name_that_all_have_in_common(hostnames: tuple[str, str], wanted: str | None) -> None:
    both = certificate("a.example.com", "b.example.com", "b.example.org", "*.example.com")
    names = zip("ab", hostnames, strict=True)
    found = merged(gateway(*(listener(*it) for it in names)), held={"wild": both})
    [one] = found.objects[-1]["spec"]["listeners"]
    assert one.get("hostname") == wanted


def test_routes_keep_their_names_and_their_old_parent() -> None:
    a, b = listener("a", "a.example.com"), listener("b", "b.example.com")
    every = (
        route("with-section", "b"),
        route("wider", "b", "*.example.com"),
        route("kept", "a", "a.example.com"),
        route("without-section", None, "b.example.com"),
    )
    found = merged(gateway(a, b), *every)
    wanted = [{**META, "sectionName": "b"}, {**META, "sectionName": "a"}]
    assert [
        (it["metadata"]["name"], it["spec"]["parentRefs"], it["spec"]["hostnames"])
        for it in found.objects[:-1]
    ] == [("with-section", wanted, ["b.example.com"]), ("wider", wanted, ["b.example.com"])]


def test_a_route_of_the_listener_that_stays_gets_its_name() -> None:
    """It had all names of the listener; the listener has more of them now."""
    a, b = listener("a", "a.example.com"), listener("b", "b.example.com")
    found = merged(gateway(a, b), route("kept", "a"))
    assert found.objects[0]["spec"] == {
        "parentRefs": [{**META, "sectionName": "a"}],
        "hostnames": ["a.example.com"],
    }


def test_only_the_secrets_that_are_needed() -> None:
    """Of two for one name Envoy Gateway refuses one."""
    live = gateway(
        listener("a", "a.example.com", "one"),
        listener("b", "b.example.com", "copy"),
        listener("c", "c.example.com", "own"),
    )
    held = {
        "one": certificate("a.example.com", "b.example.com"),
        "copy": certificate("a.example.com", "b.example.com"),
        "own": certificate("c.example.com", "a.example.com"),
    }
    [one] = merged(live, held=held).objects[-1]["spec"]["listeners"]
    assert one["tls"]["certificateRefs"] == [{"name": "one"}, {"name": "own"}]


@pytest.mark.parametrize(
    "live",
    [
        pytest.param(
            gateway(
                listener("a", "a.example.com", allowedRoutes={"namespaces": {"from": "All"}}),
                listener("b", "b.example.com"),
            ),
            id="different rules for routes",
        ),
    ],
)
def test_no_listener_stands_for_these(live: dict[str, Any]) -> None:
    assert merged(live) is None


def test_listeners_of_several_owners_are_not_merged() -> None:
    every, held = served((A, WILD), (replace(B, owner="ListenerSet shop/own"), WILD))
    (found,) = overlaps(every, held)
    assert merge(found, gateway(listener("a", "a.example.com")), (), held) is None


@pytest.mark.parametrize(
    ("second", "wanted"),
    [
        pytest.param(B, ["edge/public/a", "edge/public/b"], id="of the Gateway"),
        pytest.param(
            replace(B, owner="ListenerSet shop/own"),
            ["edge/public/a", "edge/public/shop/own/b"],
            id="of a ListenerSet",
        ),
        pytest.param(replace(B, hostname=None), [], id="one that takes every name"),
    ],
)
def test_where_421_can_be_put(second: Listener, wanted: list[str]) -> None:
    held = certificate("*.example.com", "example.org")
    (found,) = overlaps(*served((A, held), (second, held)))
    assert route_configurations(found) == wanted


def test_421_is_not_put_into_merged_gateways() -> None:
    merged_ = [replace(it, workload="eg") for it in (A, B)]
    (found,) = overlaps(merged_, {it: [WILD] for it in merged_})
    assert route_configurations(found) == []
