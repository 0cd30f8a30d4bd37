"""What the script is told, and what is read off proxies and scripts."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans import dynamic_routing as plans
from tasks.plans.dynamic_routing import InForce
from tasks.plans.probes import Answer

OURS = frozenset({("HTTPRoute", "shop", "join-resolver")})
OTHER = frozenset({("HTTPRoute", "shop", "cart"), ("Service", "shop", "join-resolver")})
NAME = "httproute/shop/join-resolver/rule/0"
ASKED = "edge/public:http http://join.lab.test:80/join"


def test_networks_are_numbers() -> None:
    assert plans.ranges(["10.0.0.0/8", "255.255.255.255/32"]) == [
        (167772160, 184549375),
        (4294967295, 4294967295),
    ]


@pytest.mark.parametrize(
    ("routes", "found"),
    [
        pytest.param([InForce(OURS, (NAME,))], NAME, id="one"),
        pytest.param([InForce(OURS, (NAME,)), InForce(OURS, (NAME,))], NAME, id="a host each"),
        pytest.param([InForce(OTHER, ("httproute/shop/cart/rule/0",))], None, id="another's"),
        pytest.param([InForce(OURS, ())], None, id="answers by itself: no endpoint"),
        pytest.param([], None, id="no proxy"),
    ],
)
def test_name_is_that_of_the_proxies(routes: list[InForce], found: str | None) -> None:
    assert plans.cluster_of(routes, "shop", "join-resolver") == found


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param(
            ("a", "b"), "HTTPRoute shop/join-resolver has 2 clusters in the proxies", id="two"
        ),
        pytest.param(
            ('a"]]',), "the proxies call HTTPRoute shop/join-resolver 'a\"]]'", id="no name"
        ),
    ],
)
def test_name_that_cannot_be_asked_is_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match="shop/join-resolver") as error:
        plans.cluster_of([InForce(OURS, names)], "shop", "join-resolver")
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        pytest.param({"spec": {"lua": [{"inline": f'local RESOLVER = "{NAME}" -- x'}]}}, NAME),
        pytest.param({"spec": {"lua": [{"inline": "-- empty"}]}}, None, id="of somebody else"),
        pytest.param({"spec": {"lua": [{"valueRef": {"name": "x"}}]}}, None, id="elsewhere"),
        pytest.param({"spec": {}}, None, id="no script"),
        pytest.param(None, None, id="no policy"),
    ],
)
def test_script_says_whom_it_asks(policy: dict[str, Any] | None, name: str | None) -> None:
    assert plans.named(plans.script_of(policy)) == name


@pytest.mark.parametrize(
    ("version", "asks"), [("1.8.3", False), ("1.9.0", True), ("1.10.0", True), ("2.0.0", True)]
)
def test_lua_is_off_from_1_9_on(version: str, asks: bool) -> None:
    assert plans.asks_for_lua(version) is asks


def ours(kind: str, name: str, deploy: str = "dynamic-routing") -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "envoyfleet", "envoyfleet.dev/deploy": deploy}
    managers = [{"manager": "envoyfleet", "operation": "Apply", "fieldsV1": {"f:spec": {}}}]
    meta = {"namespace": "shop", "name": name, "labels": labels, "managedFields": managers}
    return {"kind": kind, "metadata": meta}


LIVE = [
    ours("SecurityPolicy", "join-resolver"),
    ours("EnvoyExtensionPolicy", "old"),
    ours("EnvoyExtensionPolicy", "join"),
    ours("HTTPRoute", "old"),
    ours("HTTPRoute", "join-resolver"),
    ours("HTTPRoute", "cart", "gateways"),
    {"kind": "HTTPRoute", "metadata": {"namespace": "shop", "name": "of-others"}},
]


@pytest.mark.parametrize(
    ("is_open", "prune", "found"),
    [
        pytest.param(False, False, [], id="nothing"),
        pytest.param(True, False, ["join-resolver"], id="what closes an open resolver"),
        pytest.param(False, True, ["old", "old"], id="what no entry has"),
        pytest.param(True, True, ["old", "old", "join-resolver"], id="both"),
    ],
)
def test_what_is_left_over(is_open: bool, prune: bool, found: list[str]) -> None:
    left = plans.left_over(LIVE, [("shop", "join", is_open)], prune)
    assert [it["metadata"]["name"] for it in left] == found
    order = [plans.KINDS.index(it["kind"]) for it in left]
    assert order == sorted(order), "routes first"


def test_mark_is_fit_for_a_header() -> None:
    assert plans.mark("admin@weu 1\r\n", "shop", "join") == "admin_weu_1__/shop/join"


@pytest.mark.parametrize(
    ("entries", "routes", "lines"),
    [
        pytest.param([("shop/join", "/join", "/where")], ["shop/cart"], [], id="fine"),
        pytest.param(
            [("shop/join", "/join", "/where")],
            ["shop/join-resolver"],
            ["dynamic_routing shop/join: HTTPRoute shop/join-resolver is of routes too"],
            id="a route of that name",
        ),
        pytest.param(
            [("shop/join", "/join", "/where"), ("shop/join-resolver", "/a", "/b")],
            [],
            [
                "dynamic_routing shop/join-resolver: HTTPRoute shop/join-resolver is of "
                "dynamic_routing shop/join too"
            ],
            id="another's resolver",
        ),
        pytest.param(
            [("shop/join", "/join/", "/join")],
            [],
            ["dynamic_routing shop/join: path and resolver.path are both /join/"],
            id="one path for both",
        ),
    ],
)
def test_inventory_that_contradicts_itself(
    entries: list[tuple[str, str, str]], routes: list[str], lines: list[str]
) -> None:
    assert plans.contradictions(entries, routes) == lines


@pytest.mark.parametrize(
    ("wanted", "answer", "lines"),
    [
        pytest.param(400, Answer(400), [], id="the script's own"),
        pytest.param(
            400,
            Answer(200),
            [f"{ASKED}: 200, not the 400 of the script, which is not in force"],
            id="no script",
        ),
        pytest.param(200, Answer(401), [], id="a server that wants a sign-in"),
        pytest.param(200, Answer(504), [f"{ASKED}: 504, not the answer of a server"], id="slow"),
        pytest.param(200, Answer(404), [f"{ASKED}: 404, not the answer of a server"], id="unknown"),
        pytest.param(400, "Connection refused", [f"{ASKED}: Connection refused"], id="no answer"),
    ],
)
def test_what_a_request_proves(wanted: int, answer: Answer | str, lines: list[str]) -> None:
    assert plans.unproven(ASKED, wanted, answer) == lines
