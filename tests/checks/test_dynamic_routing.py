"""The smallest objects that keep requests from their server, and the nearest that do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tasks.checks.dynamic_routing import Seen, Wanted, findings, renamed

WANTED = Wanted(
    "weu-1",
    "shop",
    "join",
    "join-resolver",
    "edge/public",
    {"resolver": ("resolver", 80), "servers": ("server", 8081)},
)
NAME = "httproute/shop/join-resolver/rule/0"


def service(name: str, port: int) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"name": "http", "port": port}]}}


def slice_of(name: str, *addresses: str, ready: bool = True, port: str = "http") -> dict[str, Any]:
    endpoints = [{"addresses": [it], "conditions": {"ready": ready}} for it in addresses]
    labels = {"kubernetes.io/service-name": name}
    ports = [{"name": port, "port": 3000}]
    return {"metadata": {"labels": labels}, "ports": ports, "endpoints": endpoints}


def policy(
    kind: str, name: str, target: str = "HTTPRoute", of: str = "join", namespace: str = "shop"
) -> dict[str, Any]:
    targets = [{"kind": target, "name": of}]
    meta = {"name": name, "namespace": namespace}
    return {"kind": kind, "metadata": meta, "spec": {"targetRefs": targets}}


SEEN = Seen(
    "1.9.1",
    {"extensionApis": {"enableLua": True}},
    [{"metadata": {"namespace": "edge", "name": "public"}}],
    [service("resolver", 80), service("server", 8081)],
    [slice_of("resolver", "10.0.0.9"), slice_of("server", "10.0.0.5", "10.0.0.6")],
    [policy("BackendTrafficPolicy", "join"), policy("BackendTrafficPolicy", "a", of="cart")],
)


def test_nothing_is_wrong() -> None:
    assert list(findings(WANTED, SEEN)) == []


CASES = [
    pytest.param({"configuration": None}, ["error GW370"], id="no Lua on 1.9"),
    pytest.param({"configuration": None, "version": None}, ["error GW370"], id="no release known"),
    pytest.param({"configuration": None, "version": "1.8.3"}, [], id="Lua of 1.8"),
    pytest.param(
        {"configuration": {"extensionApis": {"disableLua": True}}, "version": "1.8.3"},
        ["error GW370"],
        id="Lua of 1.8, switched off",
    ),
    pytest.param({"gateways": []}, ["error GW371"], id="no Gateway"),
    pytest.param({"services": [service("server", 8081)]}, ["error GW371"], id="no Service"),
    pytest.param(
        {"services": [service("resolver", 80), service("server", 80)]},
        ["error GW371"],
        id="another port",
    ),
    pytest.param({"slices": [slice_of("resolver", "10.0.0.9")]}, ["warning GW372"], id="no server"),
    pytest.param(
        {"slices": [slice_of("resolver", "10.0.0.9", ready=False), *SEEN.slices[1:]]},
        ["error GW372"],
        id="no ready resolver",
    ),
    pytest.param(
        {"slices": [slice_of("resolver", "10.0.0.9", port="metrics"), *SEEN.slices[1:]]},
        ["error GW372"],
        id="another port of the resolver",
    ),
    pytest.param(
        {"policies": [policy("BackendTrafficPolicy", "retries")]}, ["error GW374"], id="retries"
    ),
    pytest.param(
        {"policies": [policy("EnvoyExtensionPolicy", "wasm", of="join-resolver")]},
        ["error GW374"],
        id="another script",
    ),
    pytest.param(
        {"policies": [policy("BackendTrafficPolicy", "retries", namespace="demo")]},
        [],
        id="a route of that name elsewhere",
    ),
    pytest.param(
        {"policies": [policy("EnvoyExtensionPolicy", "wasm", "Gateway", "public", "edge")]},
        ["info GW375"],
        id="one of the whole Gateway",
    ),
    pytest.param(
        {"policies": [policy("BackendTrafficPolicy", "retries", "Gateway", "public", "edge")]},
        [],
        id="retries of the whole Gateway, which ours keep away",
    ),
]


@pytest.mark.parametrize(("changed", "found"), CASES)
def test_what_is_wrong(changed: Mapping[str, Any], found: list[str]) -> None:
    lines = [f"{it.severity} {it.code}" for it in findings(WANTED, replace(SEEN, **changed))]
    assert lines == found


@pytest.mark.parametrize(
    ("cidrs", "ports", "found"),
    [
        pytest.param((), (), [], id="all"),
        pytest.param(("10.0.0.0/24",), (3000,), [], id="those"),
        pytest.param(("10.0.0.4/31",), (), ["10.0.0.6:3000"], id="one of them"),
        pytest.param((), (8081,), ["10.0.0.5:3000 and 1 more"], id="the Service's port, no Pod's"),
    ],
)
def test_allowed_leaves_endpoints_out(
    cidrs: tuple[str, ...], ports: tuple[int, ...], found: list[str]
) -> None:
    texts = [it.text for it in findings(replace(WANTED, cidrs=cidrs, ports=ports), SEEN)]
    assert texts == [
        f"warning GW373 weu-1: dynamic_routing shop/join: Service shop/server has {it}, which "
        "allowed leaves out: their clients get 502: widen allowed, or take it out: other "
        "endpoints than the Service's are never reached"
        for it in found
    ]


@pytest.mark.parametrize(
    ("asks", "now", "found"),
    [
        pytest.param(NAME, NAME, [], id="the same"),
        pytest.param(None, NAME, ["warning GW376"], id="not set up"),
        pytest.param(NAME, "route/shop/join-resolver/0", ["error GW377"], id="named anew"),
        pytest.param(NAME, None, ["error GW377"], id="no resolver"),
    ],
)
def test_script_and_proxies_agree(asks: str | None, now: str | None, found: list[str]) -> None:
    assert [f"{it.severity} {it.code}" for it in renamed(WANTED, asks, now)] == found
