"""Routes: what they match, where they send to, what they make of a request."""

from __future__ import annotations

from dataclasses import replace

from tests.gym import backends
from tests.gym.fault import Ask, Fault, Truth
from tests.gym.objects import (
    EXTENSIONS,
    GATEWAY_API,
    SHOP,
    backend,
    endpoints,
    made,
    route,
    route_thing,
    rule,
    service,
)

CART = Ask("http://cart.lab.test/cart/1")
WELL = route()
ROUTE = route_thing()


def mismatch(name: str, match: dict[str, object], asks: Ask, field: str) -> Fault:
    """A rule that wants more than a path."""
    one = route(rule("/cart", match=match))
    truth = Truth("no_route_in_virtual_host", ROUTE, field)
    return Fault(name, "route", truth, asks, 404, well=[WELL], wrong=[one])


def redirect(**how: object) -> dict[str, object]:
    return {"type": "RequestRedirect", "requestRedirect": how}


def rewrite(to: str) -> dict[str, object]:
    path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": to}
    return {"type": "URLRewrite", "urlRewrite": {"path": path}}


def extension(name: str) -> dict[str, object]:
    ref = {"group": EXTENSIONS, "kind": "HTTPRouteFilter", "name": name}
    return {"type": "ExtensionRef", "extensionRef": ref}


#: To the application outside of the cluster, which knows paths below /v1 alone.
OUTSIDE = [service("stock", app=None, target=backends.SHOP), endpoints("stock", backends.SHOP)]
TO_BLUE = route(rule(backends=[backend("blue", 8080, namespace="demo")]))
GRANT = made(
    f"{GATEWAY_API}/v1",
    "ReferenceGrant",
    "shop",
    {
        "from": [{"group": GATEWAY_API, "kind": "HTTPRoute", "namespace": SHOP}],
        "to": [{"group": "", "kind": "Service"}],
    },
    "demo",
)

EVERY = [
    Fault(
        "hostname-mistyped",
        "route",
        Truth("no_virtual_host_match", ROUTE, "hostnames"),
        CART,
        404,
        well=[WELL],
        wrong=[route(hosts=["cart.lab.tset"])],
    ),
    Fault(
        "path-of-no-rule",
        "route",
        Truth("no_route_in_virtual_host", ROUTE, "matches|path"),
        CART,
        404,
        well=[route(rule("/cart"))],
        wrong=[route(rule("/carts"))],
    ),
    mismatch("method-of-no-rule", {"method": "POST"}, CART, "matches|method"),
    mismatch(
        "header-of-no-rule",
        {"headers": [{"name": "x-tenant", "value": "blue"}]},
        replace(CART, headers={"x-tenant": "green"}),
        "matches|headers",
    ),
    mismatch(
        "query-of-no-rule",
        {"queryParams": [{"name": "beta", "value": "1"}]},
        replace(CART, url="http://cart.lab.test/cart/1?beta=0"),
        "matches|queryParams",
    ),
    Fault(
        "no-reference-grant",
        "route",
        Truth(
            *("reference_not_permitted", ROUTE, "backendRefs"),
            also=[("invalid_backend_ref", ROUTE)],
        ),
        CART,
        500,
        well=[TO_BLUE, GRANT],
        gone=[("ReferenceGrant", "demo", "shop")],
    ),
    Fault(
        "weight-zero",
        "route",
        Truth("invalid_backend_ref", ROUTE, "weight"),
        CART,
        500,
        well=[route(rule(backends=[backend(weight=1)]))],
        wrong=[route(rule(backends=[backend(weight=0)]))],
        notes="all weights of the rule are 0",
    ),
    Fault(
        "rewrite-to-nowhere",
        "route",
        Truth("path_rewrite_mismatch", ROUTE, "filters|urlRewrite", "upstream"),
        CART,
        404,
        well=[*OUTSIDE, route(rule("/cart", [backend("stock")], [rewrite("/v1")]))],
        wrong=[route(rule("/cart", [backend("stock")], [rewrite("/v2")]))],
    ),
    Fault(
        "redirect-to-itself",
        "route",
        Truth("redirect_loop", ROUTE, "filters|requestRedirect"),
        CART,
        302,
        well=[WELL],
        wrong=[route(rule(backends=[], filters=[redirect(hostname="cart.lab.test")]))],
    ),
    Fault(
        "timeout-of-the-route",
        "route",
        Truth("upstream_timeout", ROUTE, "timeouts"),
        replace(CART, url="http://cart.lab.test/cart/1?delay=1500ms"),
        504,
        well=[route(rule(timeouts={"request": "10s"}))],
        wrong=[route(rule(timeouts={"request": "500ms"}))],
    ),
    Fault(
        "answered-by-the-route",
        "route",
        Truth("intended_direct_response", ROUTE, "filters"),
        CART,
        410,
        well=[WELL],
        wrong=[
            made(
                f"{EXTENSIONS}/v1alpha1",
                "HTTPRouteFilter",
                "closed",
                {
                    "directResponse": {
                        "statusCode": 410,
                        "body": {"type": "Inline", "inline": "closed"},
                    }
                },
            ),
            route(rule(filters=[extension("closed")])),
        ],
    ),
    Fault(
        "service-absent",
        "backend",
        Truth(
            "invalid_backend_ref",
            ROUTE,
            "backendRefs",
            also=[("invalid_backend_ref", ("Service", SHOP, "kart"))],
        ),
        CART,
        500,
        well=[WELL],
        wrong=[route(rule(backends=[backend("kart")]))],
    ),
    Fault(
        "port-absent",
        "backend",
        Truth(
            *("invalid_backend_ref", ROUTE, "backendRefs|port"),
            also=[("invalid_backend_ref", ("Service", SHOP, "cart"))],
        ),
        CART,
        500,
        well=[WELL],
        wrong=[route(rule(backends=[backend(port=8888)]))],
    ),
    Fault(
        "filter-absent",
        "route",
        Truth("invalid_backend_ref", ROUTE, "filters", also=[("route_not_attached", ROUTE)]),
        CART,
        500,
        well=[WELL],
        wrong=[route(rule(filters=[extension("nobody")]))],
    ),
    Fault(
        "https-by-redirect",
        "look-alike",
        None,
        CART,
        fine=301,
        well=[route(rule(backends=[], filters=[redirect(scheme="https", statusCode=301)]))],
        notes="a redirect from http to https, once",
    ),
    Fault(
        "host-with-port",
        "look-alike",
        None,
        Ask("http://cart.lab.test:8443/cart/1", port=80),
        well=[WELL],
    ),
]
