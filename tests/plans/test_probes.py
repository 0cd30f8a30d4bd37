"""Which requests prove that a Gateway serves, and what an answer says."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.probes import Answer, Request, answered_by, concrete, covered, problem, requests

GATEWAY_META = {"name": "public", "namespace": "edge"}
HTTP = {"name": "http", "port": 80, "protocol": "HTTP"}


def gateway(*listeners: dict[str, Any], addresses: tuple[str, ...] = ("10.0.0.1",)) -> Any:
    return {
        "metadata": GATEWAY_META,
        "spec": {"listeners": list(listeners)},
        "status": {"addresses": [{"value": it} for it in addresses]},
    }


def route(*hostnames: str, match: Any = None, kind: str = "HTTPRoute", **parent: Any) -> Any:
    return {
        "kind": kind,
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {
            "parentRefs": [{**GATEWAY_META, **parent}],
            "hostnames": list(hostnames),
            "rules": [{"matches": [match]}] if match is not None else [],
        },
    }


def https(hostname: str) -> dict[str, Any]:
    return {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": hostname}


def path(value: str, kind: str = "PathPrefix") -> dict[str, Any]:
    return {"path": {"type": kind, "value": value}}


BARE = "edge/public:http http://10.0.0.1:80/ unrouted"
SHOP = "edge/public:http http://shop.example.com:80/ routed"
REQUESTS = [
    pytest.param(gateway(HTTP), [], [BARE], id="no route: any answer of the proxy"),
    pytest.param(gateway(HTTP, addresses=()), [], [], id="no address"),
    pytest.param(gateway(HTTP), [route("shop.example.com")], [SHOP], id="a route"),
    pytest.param(
        gateway(HTTP, addresses=("10.0.0.1", "fd00::1")),
        [route("shop.example.com")],
        [SHOP, SHOP],
        id="every address",
    ),
    pytest.param(
        gateway(https("*.example.com")),
        [route("shop.example.com", match=path("/cart"))],
        ["edge/public:https https://shop.example.com:443/cart routed"],
        id="HTTPS and a path",
    ),
    pytest.param(
        gateway(https("*.example.com")),
        [route("shop.example.org")],
        ["edge/public:https https://probe.example.com:443/ unrouted"],
        id="a route whose name the listener does not take",
    ),
    pytest.param(
        gateway(https("shop.example.com")),
        [route("*.example.com")],
        ["edge/public:https https://shop.example.com:443/ routed"],
        id="a wildcard route on one name",
    ),
    pytest.param(
        gateway(https("*.shop.example.com")),
        [route()],
        ["edge/public:https https://probe.shop.example.com:443/ routed"],
        id="a route of every name",
    ),
    pytest.param(gateway(HTTP), [route("a.b", sectionName="https")], [BARE], id="other listener"),
    pytest.param(gateway(HTTP), [route("a.b", port=8080)], [BARE], id="other port"),
    pytest.param(gateway(HTTP), [route("a.b", name="internal")], [BARE], id="other Gateway"),
    pytest.param(gateway(HTTP), [route("a.b", kind="GRPCRoute")], [BARE], id="no HTTPRoute"),
    pytest.param(
        gateway(HTTP),
        [route("a.b", match=path("/v[0-9]", "RegularExpression"))],
        [BARE],
        id="a pattern is no path",
    ),
    pytest.param(
        gateway(HTTP),
        [route("a.b", match={**path("/"), "headers": [{"name": "x", "value": "y"}]})],
        [BARE],
        id="a header that we do not send",
    ),
    pytest.param(
        gateway(
            {"name": "tcp", "port": 9000, "protocol": "TCP"},
            {"name": "tls", "port": 8443, "protocol": "TLS"},
            {"name": "udp", "port": 53, "protocol": "UDP"},
        ),
        [],
        [
            "edge/public:tcp tcp 10.0.0.1:9000 unrouted",
            "edge/public:tls tcp 10.0.0.1:8443 unrouted",
        ],
        id="connections; silence of UDP proves nothing",
    ),
    pytest.param(
        gateway(HTTP),
        [route("a.b"), route("a.b")],
        ["edge/public:http http://a.b:80/ routed"],
        id="each once",
    ),
]


@pytest.mark.parametrize(("thing", "routes", "wanted"), REQUESTS)
def test_requests(thing: Any, routes: list[Any], wanted: list[str]) -> None:
    found = requests(thing, routes)
    assert [f"{it.text} {'routed' if it.routed else 'unrouted'}" for it in found] == wanted


@pytest.mark.parametrize(
    ("hostname", "by", "taken"),
    [
        pytest.param("a.com", None, True, id="a listener of all names"),
        pytest.param("a.com", "a.com", True),
        pytest.param("b.com", "a.com", False),
        pytest.param("x.a.com", "*.a.com", True),
        pytest.param("y.x.a.com", "*.a.com", True, id="several labels"),
        pytest.param("a.com", "*.a.com", False, id="a wildcard is not the name itself"),
        pytest.param("xa.com", "*.a.com", False, id="whole labels"),
        pytest.param("*.a.com", "x.a.com", True, id="a wildcard route"),
        pytest.param("*.b.com", "x.a.com", False),
    ],
)
def test_covered(hostname: str, by: str | None, taken: bool) -> None:
    assert covered(hostname, by) is taken


def test_concrete() -> None:
    assert [concrete(it) for it in ("*.a.com", "a.com", None)] == ["probe.a.com", "a.com", None]


ROUTED = Request("edge/public", "http", "http", "10.0.0.1", 80, "a.b", "/", routed=True)
UNROUTED = Request("edge/public", "http", "http", "10.0.0.1", 80, "a.b")
TCP = Request("edge/public", "tcp", "tcp", "10.0.0.1", 9000)
TEXT = "edge/public:http http://a.b:80/"


@pytest.mark.parametrize(
    ("request_", "answer", "why"),
    [
        pytest.param(ROUTED, Answer(200), None, id="200"),
        pytest.param(ROUTED, Answer(404), None, id="a 404 of the application"),
        pytest.param(ROUTED, Answer(401), None, id="a login page"),
        pytest.param(
            ROUTED,
            Answer(404, empty=True),
            f"{TEXT}: 404 from Envoy itself: no route took the request",
            id="a 404 of Envoy",
        ),
        pytest.param(
            ROUTED, Answer(503, empty=True), f"{TEXT}: 503 from Envoy itself", id="a 503 of Envoy"
        ),
        pytest.param(ROUTED, Answer(502), f"{TEXT}: 502 from behind it", id="a broken backend"),
        pytest.param(UNROUTED, Answer(404, empty=True), None, id="no route was to take it"),
        pytest.param(TCP, Answer(0), None, id="a connection"),
    ],
)
def test_problem(request_: Request, answer: Answer, why: str | None) -> None:
    assert problem(request_, answer) == why


@pytest.mark.parametrize(
    ("headers", "body", "by"),
    [
        pytest.param(
            {},
            b'{"pod":"blue-5c9f","namespace":"demo","ingress":"lab-1"}',
            "demo/blue-5c9f (lab-1)",
            id="the echo backend",
        ),
        pytest.param({}, b'{"pod":"blue-5c9f","namespace":"demo"}', "demo/blue-5c9f"),
        pytest.param({"server": "nginx"}, b"<html>", "nginx", id="a Server header"),
        pytest.param({"server": "nginx"}, b'["pod"]', "nginx", id="JSON that is no object"),
        pytest.param({}, b"\xff\xfe", "", id="no text at all"),
    ],
)
def test_answered_by(headers: dict[str, str], body: bytes, by: str) -> None:
    assert answered_by(headers, body) == by
