"""Which requests prove that a Gateway serves, and what an answer says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.plans import probes
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
SHOP = "edge/public:http http://shop.example.com:80/ shop/shop"
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
        ["edge/public:https https://shop.example.com:443/cart shop/shop"],
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
        ["edge/public:https https://shop.example.com:443/ shop/shop"],
        id="a wildcard route on one name",
    ),
    pytest.param(
        gateway(https("*.shop.example.com")),
        [route()],
        ["edge/public:https https://probe.shop.example.com:443/ shop/shop"],
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
        ["edge/public:http http://a.b:80/ shop/shop"],
        id="each once",
    ),
]


@pytest.mark.parametrize(("thing", "routes", "wanted"), REQUESTS)
def test_requests(thing: Any, routes: list[Any], wanted: list[str]) -> None:
    found = requests(thing, routes)
    assert [f"{it.text} {it.route or 'unrouted'}" for it in found] == wanted


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


ROUTED = Request("edge/public", "http", "http", "10.0.0.1", 80, "a.b", "/", "shop/shop")
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


BEFORE = {probes.at(ROUTED): Answer(200, "shop/shop-1")}
CHANGED = "HTTPRoute shop/shop answered 200 from shop/shop-1 before the change, and now"


@pytest.mark.parametrize(
    ("outcomes", "before", "lines"),
    [
        pytest.param({ROUTED: Answer(200), TCP: Answer(0)}, {}, [], id="all serve"),
        pytest.param({TCP: "Connection refused"}, {}, [f"{TCP.text}: Connection refused"]),
        pytest.param({ROUTED: "timed out"}, {}, [f"{TEXT}: timed out"], id="new route"),
        pytest.param(
            {ROUTED: "timed out"}, BEFORE, [f"{CHANGED} {TEXT}: timed out"], id="answered before"
        ),
        pytest.param(
            {ROUTED: Answer(503, empty=True)},
            BEFORE,
            [f"{CHANGED} {TEXT}: 503 from Envoy itself"],
        ),
        pytest.param({ROUTED: Answer(403)}, BEFORE, [f"{CHANGED} {TEXT}: 403"], id="locked out"),
        pytest.param({ROUTED: Answer(302)}, BEFORE, [], id="as good as before"),
        pytest.param({ROUTED: Answer(403)}, {probes.at(ROUTED): Answer(401)}, [], id="no worse"),
        pytest.param({UNROUTED: Answer(404, empty=True)}, BEFORE, [], id="no route in question"),
    ],
)
def test_problems(
    outcomes: dict[Request, Answer | str], before: dict[Request, Answer], lines: list[str]
) -> None:
    assert probes.problems(outcomes, before) == lines


def test_an_address_may_change_meanwhile() -> None:
    elsewhere = Request("edge/public", "http", "http", "10.0.0.9", 80, "a.b", "/", "shop/shop")
    assert probes.at(ROUTED) == probes.at(elsewhere)


def test_what_the_journal_remembers() -> None:
    answers = {probes.at(ROUTED): Answer(200, "shop/shop-1"), probes.at(TCP): Answer(0)}
    said = [
        {"event": "run"},
        {"event": "answers", "cluster": "weu-2", "answers": []},
        {"event": "answers", "cluster": "weu-1", "answers": probes.recorded(answers)},
        {"event": "answers", "cluster": "weu-1", "answers": []},  # of a later attempt
    ]
    entries = json.loads(json.dumps(said))
    assert probes.remembered(entries, "answers", "weu-1") == answers
    assert probes.remembered(entries, "answers", "weu-3") == {}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        pytest.param(Answer(0), "connected"),
        pytest.param(Answer(404), "404"),
        pytest.param(
            Answer(200, "demo/blue-1 (weu-1)", certificate="3fa1b2c4d5e6"),
            "200 from demo/blue-1 (weu-1), certificate 3fa1b2c4",
        ),
    ],
)
def test_answer_text(answer: Answer, text: str) -> None:
    assert answer.text == text


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        pytest.param(
            probes.Seen(1204, {}, 0.113), "1,204 requests, 0 failed, longest gap 0.11 s", id="none"
        ),
        pytest.param(
            probes.Seen(90, {"503": 2, "ConnectionResetError": 1}, 4.6),
            "90 requests, 3 failed (503: 2, ConnectionResetError: 1), longest gap 4.60 s",
            id="some",
        ),
    ],
)
def test_seen_text(seen: probes.Seen, text: str) -> None:
    assert seen.text == text
