"""Which team has a host name, and which namespaces a listener is there for."""

from __future__ import annotations

from typing import Any

import pytest

from tasks import desired
from tasks.fleet.inventory import Cluster, Team, problems
from tasks.plans.ours import LABELS
from tasks.plans.teams import NAME, admits, admitted, overlapping, owner, within

LEAST: dict[str, Any] = {"ring": 0, "envoy_gateway_version": "1.9.1"}
SHOP = Team(name="shop", namespaces=["shop"], zones=["shop.test", "*.shop.test"])
PLATFORM = Team(name="platform", namespaces=["tools"], zones=["*.test"])


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [
        ("shop.test", "shop"),
        ("a.b.shop.test", "shop"),
        ("*.a.shop.test", "shop"),
        ("ashop.test", "platform"),
        ("*.test", "platform"),
        ("test", None),
        ("shop.example", None),
        (None, None),
    ],
)
def test_the_longest_zone_has_a_name(hostname: str | None, expected: str | None) -> None:
    found = owner(hostname, [PLATFORM, SHOP])
    assert (found and found.name) == expected


@pytest.mark.parametrize(
    ("one", "other", "inside", "common"),
    [
        ("a.test", "*.test", True, True),
        ("*.test", "a.test", False, True),
        ("*.a.test", "*.test", True, True),
        ("*.test", "*.a.test", False, True),
        ("test", "*.test", False, False),
        ("a.test", "b.test", False, False),
    ],
)
def test_wildcards_of_zones(one: str, other: str, inside: bool, common: bool) -> None:
    assert (within(one, other), overlapping(one, other)) == (inside, common)


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        pytest.param({}, False, id="nothing said is Same"),
        pytest.param({"from": "All"}, True, id="all"),
        pytest.param({"from": "None"}, False, id="none"),
        pytest.param(
            {"from": "Selector", "selector": {"matchLabels": {NAME: "shop"}}}, True, id="by name"
        ),
        pytest.param(
            {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}, True, id="by label"
        ),
        pytest.param(
            {"from": "Selector", "selector": {"matchLabels": {"team": "b"}}}, False, id="another"
        ),
    ],
)
def test_admits_as_the_gateway_api_does(allowed: dict[str, Any], expected: bool) -> None:
    listener = {"name": "http", "allowedRoutes": {"namespaces": allowed}}
    assert admits(listener, "edge", "shop", {"team": "a"}) is expected


def test_a_listener_is_for_who_names_it_or_its_gateway() -> None:
    one = SHOP.model_copy(update={"listeners": ["edge/public/shop"]})
    other = PLATFORM.model_copy(update={"listeners": ["edge/public"]})
    found = {it: admitted([one, other], "edge/public", it) for it in ("shop", "rest")}
    assert found == {"shop": ["edge", "shop", "tools"], "rest": ["edge", "tools"]}
    assert admitted([one], "edge/public", "rest") is None


def data(*teams: dict[str, Any], **more: Any) -> dict[str, Any]:
    listeners = [{"name": "shop", "port": 80, "hostname": "*.shop.test"}]
    gateway = {"name": "public", "namespace": "edge", "listeners": listeners}
    return {**LEAST, "gateways": [gateway], "teams": [*teams], **more}


TEAM = {"name": "shop", "namespaces": ["shop"], "listeners": ["edge/public/shop"]}
LENT = {"namespace": "shop", "name": "cart", "to": ["blog"], "by": ["GRPCRoute", "SecurityPolicy"]}
ROUTE = {
    "name": "one",
    "namespace": "blog",
    "gateway": "edge/public",
    "listener": "shop",
    "backends": [{"service": "one", "port": 80}],
}
REFUSED = [
    pytest.param(
        data(TEAM, {**TEAM, "namespaces": ["other"]}),
        "teams: team shop is there twice",
        id="one name",
    ),
    pytest.param(
        data(TEAM, {**TEAM, "name": "blog"}),
        "teams: namespace shop is of team shop and of team blog: keep one",
        id="one namespace",
    ),
    pytest.param(
        data(
            {**TEAM, "zones": ["*.test"]}, {"name": "b", "namespaces": ["b"], "zones": ["*.test"]}
        ),
        "teams: zone *.test is of team shop and of team b: keep one",
        id="one zone",
    ),
    pytest.param(
        data({**TEAM, "zones": ["*"]}), "teams.0.zones.0: '*' is not a valid name here", id="a zone"
    ),
    pytest.param(
        data({**TEAM, "listeners": ["public"]}),
        "teams.0.listeners.0: 'public' is not a valid name here",
        id="a listener",
    ),
    pytest.param(
        data({**TEAM, "grants": [{**LENT, "namespace": "blog"}]}),
        "teams.0: team shop grants Service blog/cart, and blog is none of its namespaces",
        id="a grant of another team",
    ),
    pytest.param(
        data({**TEAM, "grants": [LENT, LENT]}),
        "teams.0: team shop grants Service shop/cart twice: list all namespaces in one grant",
        id="a grant twice",
    ),
    pytest.param(
        data(TEAM, routes=[ROUTE]),
        "teams: route one is in namespace blog, of no team that names edge/public/shop in "
        "listeners",
        id="a route that its listener would not take",
    ),
]


@pytest.mark.parametrize(("wrong", "expected"), REFUSED)
def test_refuses_teams_that_cannot_be(wrong: dict[str, Any], expected: str) -> None:
    assert problems("weu-1", wrong) == [f"weu-1: {expected}"]


def test_listeners_and_grants_follow_from_teams(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = Cluster.model_validate(data({**TEAM, "grants": [LENT]}))
    found = {it["kind"]: it for it in desired.objects("weu-1", wanted)}
    [listener] = found["Gateway"]["spec"]["listeners"]
    expression = {"key": NAME, "operator": "In", "values": ["edge", "shop"]}
    assert listener["allowedRoutes"] == {
        "namespaces": {"from": "Selector", "selector": {"matchExpressions": [expression]}}
    }
    api, group = "gateway.networking.k8s.io", "gateway.envoyproxy.io"
    assert found["ReferenceGrant"]["metadata"] == {
        "name": "envoyfleet-service-cart",
        "namespace": "shop",
        "labels": LABELS,
    }
    assert found["ReferenceGrant"]["spec"] == {
        "from": [
            {"group": api, "kind": "GRPCRoute", "namespace": "blog"},
            {"group": group, "kind": "SecurityPolicy", "namespace": "blog"},
        ],
        "to": [{"group": "", "kind": "Service", "name": "cart"}],
    }
