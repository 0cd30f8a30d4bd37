"""Entries of ``dynamic_routing``: what is wrong with one, before any cluster is connected to."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.fleet.inventory import parsed, problems

LEAST: dict[str, Any] = {"ring": 0, "envoy_gateway_version": "1.9.1"}
RESOLVER = {"service": "resolver", "port": 8080}
ENTRY: dict[str, Any] = {
    "name": "join",
    "namespace": "shop",
    "gateway": "edge/public",
    "resolver": RESOLVER,
    "servers": {"service": "server", "port": 8081},
}


def of(**changes: Any) -> dict[str, Any]:
    return {**LEAST, "dynamic_routing": [{**ENTRY, **changes}]}


def test_the_least_is_enough() -> None:
    assert problems("weu-1", of()) == []
    [it] = parsed(of()).dynamic_routing
    assert (it.title, it.resolver.milliseconds) == ("shop/join", 250)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        pytest.param({"path": "join"}, "path: 'join' is not a valid name here", id="no path"),
        pytest.param(
            {"path": '/join" .. x'}, "path: '/join\" .. x' is not a valid name here", id="of Lua"
        ),
        pytest.param(
            {"parameter": "client-id"},
            "parameter: 'client-id' is not a valid name here",
            id="a pattern of Lua",
        ),
        pytest.param({"client": "a b"}, "client: 'a b' is not a valid name here", id="no client"),
        pytest.param(
            {"gateway": "public"}, "gateway: 'public' is not a valid name here", id="no namespace"
        ),
        pytest.param(
            {"resolver": {**RESOLVER, "timeout": "0"}},
            "resolver.timeout: '0' is not between 1ms and 5s",
            id="would wait for ever",
        ),
        pytest.param(
            {"resolver": {**RESOLVER, "timeout": "6s"}},
            "resolver.timeout: '6s' is not between 1ms and 5s",
            id="would wait long",
        ),
        pytest.param(
            {"resolver": {**RESOLVER, "timeout": "soon"}},
            "resolver.timeout: 'soon' is no duration such as '5m'",
            id="no duration",
        ),
        pytest.param(
            {"resolver": {"service": "resolver"}},
            "resolver.port: missing: set it beside the host or in group_data",
            id="no port",
        ),
        pytest.param(
            {"allowed": {"cidrs": ["10.0.0.1/8"]}},
            "allowed.cidrs: '10.0.0.1/8' is no IPv4 network such as 10.244.0.0/16",
            id="an address in a network",
        ),
        pytest.param(
            {"allowed": {"cidrs": ["fd00::/8"]}},
            "allowed.cidrs: 'fd00::/8' is no IPv4 network such as 10.244.0.0/16",
            id="IPv6",
        ),
        pytest.param(
            {"allow": {}}, "allow: unknown key: see docs/inventory.md for the keys", id="a misprint"
        ),
    ],
)
def test_what_is_wrong(changes: dict[str, Any], line: str) -> None:
    assert problems("weu-1", of(**changes)) == [f"weu-1: dynamic_routing.0.{line}"]
