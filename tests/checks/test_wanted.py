"""The smallest objects that trip each check of what is wanted, and the nearest that do not."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tasks.checks.wanted import View, findings
from tasks.plans.references import to

GATEWAY = """
kind: Gateway
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: public, namespace: edge}
spec:
  gatewayClassName: envoy
  listeners:
    - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
    - {name: shop, port: 443, protocol: HTTPS, hostname: "*.shop.test"}
    - {name: tcp, port: 9000, protocol: TCP, allowedRoutes: {namespaces: {from: All}}}
"""
SERVICE = """
kind: Service
apiVersion: v1
metadata: {name: cart, namespace: shop}
spec: {ports: [{port: 8080}]}
"""
NAMESPACES = """
kind: Namespace
apiVersion: v1
metadata: {name: shop, labels: {team: shop}}
---
kind: Namespace
apiVersion: v1
metadata: {name: edge}
"""
CLUSTER = "---".join((GATEWAY, SERVICE, NAMESPACES))
HTTP = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
PARENT = "{name: public, namespace: edge, sectionName: http}"


def route(
    name: str = "cart",
    parent: str = PARENT,
    host: str = "cart.test",
    rules: str = "[{backendRefs: [{name: cart, port: 8080}]}]",
    kind: str = "HTTPRoute",
) -> str:
    hosts = f"hostnames: [{host}], " if host else ""
    return f"""
kind: {kind}
apiVersion: gateway.networking.k8s.io/v1
metadata: {{name: {name}, namespace: shop}}
spec: {{{hosts}parentRefs: [{parent}], rules: {rules}}}
"""


def policy(name: str, kind: str = "SecurityPolicy", refs: str = "", more: str = "") -> str:
    target = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: cart}"
    return f"""
kind: {kind}
apiVersion: gateway.envoyproxy.io/v1alpha1
metadata: {{name: {name}, namespace: shop}}
spec: {{{more or f"targetRefs: [{refs or target}]"}}}
"""


def found(wanted: str, live: str | None = CLUSTER) -> list[str]:
    things = [*yaml.safe_load_all(wanted)]
    there = None if live is None else [*yaml.safe_load_all(live)]
    view = View("weu-1", things, {to(it): "a.yaml" for it in things}, there)
    return [it.text for it in findings(view)]


AT = "weu-1: HTTPRoute shop/cart, a.yaml: "
CASES = [
    pytest.param(route(), [], id="a good one"),
    pytest.param(
        route(rules="[{backendRefs: [{name: card, port: 8080}]}]"),
        [
            f"error GW313 {AT}Service shop/card does not exist: create it, or correct the name to "
            "cart"
        ],
        id="a Service that does not exist",
    ),
    pytest.param(
        route(rules="[{backendRefs: [{name: cart, port: 80}]}]"),
        [f"error GW313 {AT}Service shop/cart has no port 80: name one that it has: 8080"],
        id="a port that it has not",
    ),
    pytest.param(
        route(rules="[{backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: far}]}]"),
        [f"error GW313 {AT}Backend shop/far does not exist: create it, or correct the name"],
        id="a Backend that does not exist",
    ),
    pytest.param(
        route(rules="[{backendRefs: [{name: cart, port: 8080, weight: 0}]}]"),
        [
            f"error GW317 {AT}all backends of rule 1 have weight 0, so that it answers 500: give "
            "one of them a weight, or take the rule away"
        ],
        id="no weight",
    ),
    pytest.param(
        route(
            rules="[{backendRefs: [{name: cart, port: 8080, weight: 0}, {name: cart, port: 8080}]}]"
        ),
        [],
        id="some weight",
    ),
    pytest.param(
        route(parent="{name: publik, namespace: edge}"),
        [f"error GW314 {AT}Gateway edge/publik does not exist: create it, or correct parentRefs"],
        id="no such Gateway",
    ),
    pytest.param(
        route(parent="{name: public, namespace: edge, sectionName: web}"),
        [
            f"error GW314 {AT}Gateway edge/public has no listener web: name one that it has: http, "
            "shop, tcp"
        ],
        id="no such listener",
    ),
    pytest.param(
        route(parent="{name: public, namespace: edge, sectionName: tcp}"),
        [
            f"error GW314 {AT}listener tcp of Gateway edge/public takes no HTTPRoute: attach it to "
            "a listener of its protocol"
        ],
        id="a listener of another protocol",
    ),
    pytest.param(
        route(parent="{name: public, namespace: edge, sectionName: shop}", host="a.shop.test"),
        [
            f"error GW314 {AT}listener shop of Gateway edge/public does not take routes of "
            "namespace shop: let it in with allowedRoutes, or keep both together"
        ],
        id="a namespace that is not let in",
    ),
    pytest.param(
        "---".join(
            (
                GATEWAY.replace(
                    '"*.shop.test"',
                    '"*.shop.test", allowedRoutes: {namespaces: '
                    "{from: Selector, selector: {matchLabels: {team: shop}}}}",
                ),
                route(parent="{name: public, namespace: edge, sectionName: shop}"),
            )
        ),
        [
            f"error GW314 {AT}no name of the route is one that Gateway edge/public listens to "
            "(*.shop.test): correct hostnames of the route or of the listener"
        ],
        id="let in by a label, with a name of others",
    ),
    pytest.param(
        "---".join((route(), route("other"))),
        [
            "error GW315 weu-1: HTTPRoute shop/other, a.yaml: takes cart.test/ at listener http of "
            "Gateway edge/public, and so does HTTPRoute shop/cart (a.yaml): give each its own host "
            "or match, or join them in one route"
        ],
        id="two routes for one host and path",
    ),
    pytest.param(
        "---".join(
            (
                route(),
                route("other", rules="[{matches: [{path: {value: /a}}]}]"),
                route("third", rules="[{matches: [{path: {value: /}, method: GET}]}]"),
            )
        ),
        [],
        id="one host, different matches",
    ),
    pytest.param(
        GATEWAY.replace("port: 443", "port: 80"),
        [
            "error GW316 weu-1: Gateway edge/public, a.yaml: listener shop shares port 80 with "
            "listener http of Gateway edge/public: HTTP and HTTPS cannot: give it another port or "
            "hostname"
        ],
        id="two protocols on one port",
    ),
    pytest.param(
        GATEWAY.replace("port: 443", "port: 80").replace("HTTPS", "HTTP"),
        [],
        id="two names on one port",
    ),
    pytest.param(
        """
kind: ListenerSet
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: own, namespace: shop}
spec:
  parentRef: {name: public, namespace: edge}
  listeners: [{name: web, port: 80, protocol: HTTP}]
""",
        [
            "error GW314 weu-1: ListenerSet shop/own, a.yaml: Gateway edge/public takes no "
            "ListenerSet of namespace shop: let it in with allowedListeners of the Gateway",
            "error GW316 weu-1: ListenerSet shop/own, a.yaml: listener web shares port 80 with "
            "listener http of Gateway edge/public: both are for every name: give it another port "
            "or hostname",
        ],
        id="a ListenerSet that clashes and is not let in",
    ),
    pytest.param(
        route(rules="[{backendRefs: [{name: public, namespace: edge, port: 80}]}]"),
        [
            f"error GW313 {AT}Service edge/public does not exist: create it, or correct the name",
            f"error GW318 {AT}Service edge/public is in another namespace, and no ReferenceGrant "
            "there allows it: grant HTTPRoute of shop in edge, or keep both together",
        ],
        id="a Service of another namespace",
    ),
    pytest.param(
        "---".join((route(), policy("open"))),
        [],
        id="a policy for a route",
    ),
    pytest.param(
        policy("open"),
        [
            "error GW319 weu-1: SecurityPolicy shop/open, a.yaml: HTTPRoute shop/cart does not "
            "exist: create it, or correct targetRefs"
        ],
        id="a policy for nothing",
    ),
    pytest.param(
        policy("open", more="targetSelectors: [{kind: HTTPRoute, matchLabels: {a: b}}]"),
        [
            "warning GW319 weu-1: SecurityPolicy shop/open, a.yaml: its targetSelectors select no "
            "HTTPRoute in its namespace: correct the labels"
        ],
        id="a policy that selects nothing",
    ),
    pytest.param(
        "---".join((route(), policy("open"), policy("closed"))),
        [
            "error GW320 weu-1: SecurityPolicy shop/closed, a.yaml: is for HTTPRoute shop/cart, "
            "and so is SecurityPolicy shop/open (a.yaml): only the older one counts: join them in "
            "one policy"
        ],
        id="two policies for one target",
    ),
    pytest.param(
        SERVICE.replace("namespace: shop", "namespace: shp"),
        [
            "error GW321 weu-1: Service shp/cart, a.yaml: namespace shp does not exist: add a "
            "Namespace, or correct it"
        ],
        id="a namespace that is not there",
    ),
]


@pytest.mark.parametrize(("wanted", "lines"), CASES)
def test_says_what_is_wrong_and_where(wanted: str, lines: list[str]) -> None:
    assert found(wanted) == lines


def test_nothing_is_missing_from_a_cluster_that_was_not_asked() -> None:
    wanted = "---".join((route(), policy("open", refs="{kind: Gateway, name: x}")))
    assert found(wanted, None) == []


def test_what_others_have_counts_too() -> None:
    assert found(route("other"), "---".join((CLUSTER, route()))) == [
        "error GW315 weu-1: HTTPRoute shop/other, a.yaml: takes cart.test/ at listener http of "
        "Gateway edge/public, and so does HTTPRoute shop/cart: give each its own host or match, or "
        "join them in one route"
    ]


def test_merged_gateways_share_their_ports() -> None:
    merged = """
kind: GatewayClass
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: envoy}
spec: {parametersRef: {name: envoy, namespace: eg}}
---
kind: EnvoyProxy
apiVersion: gateway.envoyproxy.io/v1alpha1
metadata: {name: envoy, namespace: eg}
spec: {mergeGateways: true}
"""
    other = GATEWAY.replace("name: public", "name: other")
    assert found(other) == []
    assert len(found(other, "---".join((CLUSTER, merged)))) == 3


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda it: st.lists(it, max_size=2) | st.dictionaries(st.text(max_size=3), it, max_size=2),
    max_leaves=4,
)
EVERY = [*yaml.safe_load_all("---".join((CLUSTER, route(), policy("open"))))]


def _places(thing: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = (
        thing.items()
        if isinstance(thing, dict)
        else enumerate(thing)
        if isinstance(thing, list)
        else ()
    )
    return [it for key, value in below for it in ((*at, key), *_places(value, (*at, key)))]


@given(
    st.sampled_from(
        [(i, it) for i, thing in enumerate(EVERY) for it in _places(thing.get("spec", {}))]
    ),
    JUNK,
)
def test_whatever_a_spec_holds_is_no_traceback(
    place: tuple[int, tuple[Any, ...]], junk: Any
) -> None:
    """The API server says what is wrong with it, in the dry run that follows."""
    things = [*yaml.safe_load_all("---".join((CLUSTER, route(), policy("open"))))]
    below = things[place[0]]["spec"]
    for key in place[1][:-1]:
        below = below[key]
    below[place[1][-1]] = junk
    view = View("weu-1", things, {to(it): "a.yaml" for it in things}, things)
    assert all(it.text for it in findings(view))
