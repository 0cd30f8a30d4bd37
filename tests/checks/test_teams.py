"""Holes between teams: the smallest objects that have one, and the nearest that do not."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.checks.teams import findings
from tasks.fleet.inventory import Team
from tasks.plans.teams import NAME

Object = dict[str, Any]
SHOP = Team(name="shop", namespaces=["shop"], zones=["*.shop.test"], listeners=["edge/public/shop"])
BLOG = Team(name="blog", namespaces=["blog"], zones=["blog.test"], listeners=["edge/public/blog"])
PLATFORM = Team(name="platform", namespaces=["tools"], zones=["*.test"])


def selecting(*names: str) -> Object:
    expression = {"key": NAME, "operator": "In", "values": [*names]}
    return {"from": "Selector", "selector": {"matchExpressions": [expression]}}


def listener(name: str, hostname: str | None, admitted: Object, **more: Any) -> Object:
    named = {"hostname": hostname} if hostname else {}
    allowed = {"allowedRoutes": {"namespaces": admitted}}
    return {"name": name, "port": 80, "protocol": "HTTP", **named, **allowed, **more}


def thing(kind: str, place: str, **spec: Any) -> Object:
    namespace, _, name = place.partition("/")
    group = "gateway.networking.k8s.io/v1"
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": group, "kind": kind, "metadata": meta, "spec": spec}


def gateway(*listeners: Object, **more: Any) -> Object:
    return thing("Gateway", "edge/public", gatewayClassName="envoy", listeners=[*listeners], **more)


def route(place: str, *hostnames: str, kind: str = "HTTPRoute", **ref: Any) -> Object:
    parent = {"name": "public", "namespace": "edge", **ref}
    return thing(kind, place, parentRefs=[parent], hostnames=[*hostnames])


def grant(to: Object) -> Object:
    source = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "blog"}
    return thing("ReferenceGrant", "shop/lent", **{"from": [source], "to": [to]})


def sending(place: str, service: str, namespace: str) -> Object:
    found = route(place)
    backend = {"name": service, "namespace": namespace, "port": 80}
    return {**found, "spec": {**found["spec"], "rules": [{"backendRefs": [backend]}]}}


def listener_set(place: str, *listeners: Object) -> Object:
    parent = {"name": "public", "namespace": "edge"}
    return thing("ListenerSet", place, parentRef=parent, listeners=[*listeners])


def bringing(admitted: Object) -> Object:
    return {"allowedListeners": {"namespaces": admitted}}


ALLOWING = bringing({"from": "All"})
OWN = [
    listener("shop", "*.shop.test", selecting("edge", "shop")),
    listener("blog", "blog.test", selecting("edge", "blog")),
]
NARROW = gateway(*OWN)
SHARED = gateway(
    listener("shop", "*.test", selecting("shop", "blog")),
    listener("blog", "blog.test", selecting("blog")),
)
CASES = [
    pytest.param([NARROW, route("shop/one", "a.shop.test"), route("blog/one")], [], id="none"),
    pytest.param(
        [NARROW, route("blog/thief", "a.shop.test")],
        [],
        id="one that does not attach takes nothing",
    ),
    pytest.param(
        [SHARED, route("blog/thief", "a.shop.test", sectionName="shop")],
        [
            "error GW330 weu-1: HTTPRoute blog/thief, host name a.shop.test: team blog takes "
            "a.shop.test of team shop: correct hostnames of the route, or the zones in teams",
            "warning GW331 weu-1: Gateway edge/public, listener shop: lets in routes of team blog, "
            "which could take *.shop.test of team shop: give *.shop.test a listener of its own "
            "that only team shop names",
            "warning GW331 weu-1: Gateway edge/public, listener shop: lets in routes of team shop, "
            "which could take blog.test of team blog: give blog.test a listener of its own that "
            "only team blog names",
        ],
        id="a shared listener, and who makes use of it",
    ),
    pytest.param(
        [
            gateway(
                listener("shop", None, {"from": "All"}),
                listener("blog", "b.test", {"from": "Same"}),
            ),
            route("legacy/all", sectionName="shop"),
        ],
        [
            "error GW330 weu-1: HTTPRoute legacy/all, host name *: namespace legacy, of no team, "
            "takes every host name, which includes that of team shop and blog: correct hostnames "
            "of the route, or the zones in teams",
            "warning GW332 weu-1: Gateway edge/public, listener shop: takes routes of every "
            "namespace, for every host name: name it in listeners of the teams that may use it, or "
            "set routes_from to Same",
            "warning GW334 weu-1: Namespace legacy: is of no team, and HTTPRoute legacy/all of it "
            "attaches to listener shop of Gateway edge/public: add it to namespaces of its team, "
            "or take allowedRoutes away from it",
        ],
        id="open to all, and a route of nobody",
    ),
    pytest.param(
        [gateway(*OWN, listener("http", None, {"from": "Same"})), route("edge/redirect")],
        [],
        id="the platform's own routes are beside the Gateway",
    ),
    pytest.param(
        [
            gateway(listener("shop", "*.test", selecting("shop")), OWN[1]),
            route("shop/other", "other.test"),
            route("shop/wide", "*.test", kind="GRPCRoute"),
        ],
        [
            "error GW330 weu-1: GRPCRoute shop/wide, host name *.test: team shop takes *.test, "
            "which includes that of team blog: correct hostnames of the route, or the zones in "
            "teams",
            "warning GW330 weu-1: HTTPRoute shop/other, host name other.test: team shop takes "
            "other.test, which is in none of its zones: correct hostnames of the route, or the "
            "zones in teams",
            "warning GW331 weu-1: Gateway edge/public, listener shop: lets in routes of team shop, "
            "which could take blog.test of team blog: give blog.test a listener of its own that "
            "only team blog names",
        ],
        id="a name in nobody's zone, and one that is too wide",
    ),
    pytest.param(
        [
            gateway(*OWN, **ALLOWING),
            listener_set("shop/own", listener("mine", "a.shop.test", {"from": "Same"})),
            listener_set("blog/own", listener("theirs", "a.shop.test", {"from": "Same"})),
        ],
        [
            "error GW336 weu-1: ListenerSet blog/own, listener theirs: team blog takes a.shop.test "
            "of team shop: set hostname to one of the team's zones, or correct the zones in teams",
            "warning GW338 weu-1: Gateway edge/public, allowedListeners: takes ListenerSets of "
            "every namespace, which bring any host name: name it in listener_sets of the teams "
            "that may bring some",
        ],
        id="a ListenerSet of another team",
    ),
    pytest.param(
        [
            gateway(*OWN, **bringing(selecting("edge", "shop"))),
            listener_set("blog/own", listener("theirs", "a.shop.test", {"from": "Same"})),
        ],
        [
            "warning GW338 weu-1: Gateway edge/public, allowedListeners: takes ListenerSets of "
            "team shop, which could take blog.test of team blog: give ListenerSets of team shop a "
            "Gateway that no other team uses",
        ],
        id="a Gateway that takes ListenerSets of one team, and not that of another",
    ),
    pytest.param(
        [
            gateway(*OWN),
            thing(
                "Gateway",
                "edge/own",
                listeners=[listener("a", None, {"from": "None"})],
                **bringing(selecting("edge", "shop")),
            ),
        ],
        [],
        id="a Gateway for the ListenerSets of one team",
    ),
    pytest.param([gateway(*OWN, **bringing({"from": "Same"}))], [], id="those beside the Gateway"),
    pytest.param(
        [
            gateway(
                *OWN, **bringing({"from": "Selector", "selector": {"matchLabels": {"own": "y"}}})
            ),
        ],
        [
            "info GW337 weu-1: Gateway edge/public, allowedListeners: whoever may label a "
            "namespace with own lets its ListenerSets in: select by kubernetes.io/metadata.name, "
            "as listener_sets of a team in the inventory do",
        ],
        id="ListenerSets by a label that anybody may set",
    ),
    pytest.param(
        [NARROW, listener_set("blog/own", listener("theirs", "a.shop.test", {"from": "Same"}))],
        [],
        id="a Gateway that takes no ListenerSets",
    ),
    pytest.param(
        [NARROW, grant({"group": "", "kind": "Service"})],
        [
            "warning GW333 weu-1: ReferenceGrant shop/lent: lets blog refer to every Service of "
            "shop: name the Service in to, or write it as grants of the team",
            "info GW333 weu-1: ReferenceGrant shop/lent: no HTTPRoute of blog refers to anything "
            "in shop that it allows: take it away until somebody needs it",
        ],
        id="a grant without a name, which nobody uses",
    ),
    pytest.param(
        [
            NARROW,
            grant({"group": "", "kind": "Service", "name": "cart"}),
            sending("blog/one", "cart", "shop"),
        ],
        [],
        id="a grant that is used",
    ),
    pytest.param(
        [gateway(OWN[0])],
        [
            "error GW335 weu-1: team blog: listener edge/public/blog does not exist: correct "
            "listeners of the team, or add it to a Gateway",
        ],
        id="a listener that is not there",
    ),
    pytest.param(
        [
            gateway(
                listener(
                    "shop",
                    "*.shop.test",
                    {"from": "Selector", "selector": {"matchLabels": {"team": "shop"}}},
                ),
                OWN[1],
            )
        ],
        [
            "info GW337 weu-1: Gateway edge/public, listener shop: whoever may label a namespace "
            "with team lets its routes in: select by kubernetes.io/metadata.name, as listeners "
            "of a team in the inventory do",
        ],
        id="a label that anybody may set",
    ),
]


@pytest.mark.parametrize(("objects", "expected"), CASES)
def test_says_what_is_open(objects: list[Object], expected: list[str]) -> None:
    found = [it.text for it in findings("weu-1", [SHOP, BLOG], objects, whole=True)]
    assert sorted(found) == sorted(expected)


def test_says_nothing_without_teams() -> None:
    assert list(findings("weu-1", [], [gateway(listener("a", None, {"from": "All"}))])) == []


def test_does_not_say_of_a_part_that_nobody_uses_a_grant() -> None:
    lent = grant({"group": "", "kind": "Service", "name": "cart"})
    assert list(findings("weu-1", [SHOP, BLOG], [NARROW, lent])) == []


def test_a_gateway_that_others_made_may_be_named_by_a_team() -> None:
    assert list(findings("weu-1", [SHOP, BLOG], [])) == []


def test_a_gateway_for_listener_sets_that_is_not_there() -> None:
    team = SHOP.model_copy(update={"listener_sets": ["edge/own"]})
    assert [it.text for it in findings("weu-1", [team, BLOG], [NARROW], whole=True)] == [
        "error GW335 weu-1: team shop: Gateway edge/own does not exist: correct listener_sets of "
        "the team, or add the Gateway"
    ]
    assert list(findings("weu-1", [team, BLOG], [NARROW])) == []


def test_the_longer_zone_has_a_name() -> None:
    """The platform has the rest of a domain, and nothing of a team's."""
    wide = gateway(*OWN, listener("rest", "*.test", selecting("tools")))
    routes = [route("tools/one", "one.test"), route("tools/thief", "blog.test")]
    found = list(findings("weu-1", [SHOP, BLOG, PLATFORM], [wide, *routes]))
    assert [(it.code, it.where.object, it.what) for it in found if it.code == "GW330"] == [
        ("GW330", "HTTPRoute tools/thief", "team platform takes blog.test of team blog")
    ]
