"""Faults of routes: hosts, paths, redirects, rewrites, what a route answers itself."""

from __future__ import annotations

from functools import partial

from tests.captures.faults.connections import secured
from tests.captures.table import GATEWAY, fault
from tests.captures.world import Json, Route, Rule, Service, World

DUMP = ("access_log", "config_dump")
REFUSED = "Failed to process route rule 0 backendRef 0"


def prefix(value: str, **more: object) -> Json:
    return {"path": {"type": "PathPrefix", "value": value}, **more}


_no_host = partial(fault, "no_virtual_host_match", 404, "NR", "route_not_found", needs=DUMP)


@_no_host("a typo in the host")
def host_typo(world: World, faulty: bool) -> None:
    name, rest = world.host.split(".", 1)
    world.ask("/", 3, host=f"{name[:-1]}.{rest}" if faulty else None)
    world.blame("HTTPRoute")


@_no_host("the route is for *.domain, which the domain itself is not")
def apex(world: World, faulty: bool) -> None:
    world.route.hosts = [f"*.{world.main.name}.{world.domain}"]
    host = f"{world.main.name}.{world.domain}"
    world.ask("/", 1, host=f"eu.{host}")
    world.ask("/", 3, host=host if faulty else f"us.{host}")
    world.blame("HTTPRoute")


@_no_host("the host ends in a dot, which makes it another one for Envoy")
def trailing_dot(world: World, faulty: bool) -> None:
    world.ask("/", 3, host=f"{world.host}." if faulty else None)
    world.blame("HTTPRoute")


@fault(
    "host_port_mismatch",
    404,
    "NR",
    "route_not_found",
    "the host has a port, the virtual host has none, and Envoy does not ignore it",
    needs=DUMP,
)
def host_with_port(world: World, faulty: bool) -> None:
    world.table["ignore_port_in_host_matching"] = None
    world.ask("/", 3, host=f"{world.host}:8443" if faulty else None)
    world.blame("HTTPRoute")
    world.truth.also_objects = [("Gateway", *world.gateway)]


@fault(
    "ok", 200, "-", "via_upstream", "the port in the host is ignored", by="upstream", alike=False
)
def host_port_ignored(world: World, faulty: bool) -> None:
    world.truth.must_not = ["host_port_mismatch", "no_virtual_host_match"]
    world.ask("/", 3, host=f"{world.host}:9443")


_no_route = partial(fault, "no_route_in_virtual_host", 404, "NR", "route_not_found", needs=DUMP)


@_no_route("PathPrefix is matched by whole segments of the path")
def path_segment(world: World, faulty: bool) -> None:
    world.rule.matches = [prefix(f"/{world.main.name}")]
    world.ask(f"/{world.main.name}/1", 1)
    world.ask(f"/{world.main.name}{'-new' if faulty else '/new'}/1", 3)
    world.blame("HTTPRoute")


@_no_route("the rule wants another method, and Envoy answers 404, not 405")
def method(world: World, faulty: bool) -> None:
    world.rule.matches = [prefix("/", method="GET")]
    world.ask("/items", 1)
    world.ask("/items", 3, method="DELETE" if faulty else "GET")
    world.blame("HTTPRoute")


@_no_route("the rule wants a header that the request does not have")
def header(world: World, faulty: bool) -> None:
    wanted = [{"type": "Exact", "name": "x-stage", "value": "canary"}]
    world.rule.matches = [prefix("/", headers=wanted)]
    world.ask("/", 1, headers={"X-Stage": "canary"})
    world.ask("/", 3, headers={"X-Stage": "stable" if faulty else "canary"})
    world.blame("HTTPRoute")


@_no_route("the rule wants exactly /status, the request is for /status/")
def exact(world: World, faulty: bool) -> None:
    world.rule.matches = [{"path": {"type": "Exact", "value": "/status"}}, prefix("/api")]
    world.ask("/api/1", 1)
    world.ask("/status/" if faulty else "/status", 3)
    world.blame("HTTPRoute")


@_no_route("the rule wants a parameter in the query")
def query(world: World, faulty: bool) -> None:
    world.rule.matches = [prefix("/", queryParams=[{"name": "version", "value": "2"}])]
    world.ask(f"/?version={1 if faulty else 2}", 3)
    world.blame("HTTPRoute")


def _direct(world: World, faulty: bool, status: int, body: str = "") -> None:
    said: Json = {"status": status}
    spec: Json = {"statusCode": status}
    if body:
        said["body"] = {"inline_string": body}
        spec.update(contentType="text/plain", body={"type": "Inline", "inline": body})
    name = f"answer-{status}"
    world.policies.append(
        {"kind": "HTTPRouteFilter", "name": name, "spec": {"directResponse": spec}}
    )
    reference = {"group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": name}
    filters: list[Json] = [{"type": "ExtensionRef", "extensionRef": reference}]
    rule = Rule([], [prefix("/retired")], filters, instead={"direct_response": said})
    route = Route(world.route.namespace, f"{world.route.name}-retired", [world.host], [rule])
    world.others.append(route)
    world.ask("/retired/page" if faulty else "/retiredpage", 3)
    world.blame("HTTPRoute", route.name)
    world.truth.also_objects = [("HTTPRouteFilter", route.namespace, name)]


@fault("intended_direct_response", 404, "-", "direct_response", "the route answers 404", needs=DUMP)
def direct_404(world: World, faulty: bool) -> None:
    _direct(world, faulty, 404)


@fault(
    "intended_direct_response",
    503,
    "-",
    "direct_response",
    "the route answers 503 while there is maintenance",
    needs=DUMP,
)
def direct_maintenance(world: World, faulty: bool) -> None:
    _direct(world, faulty, 503, "We are back at noon.\n")


@fault("intended_direct_response", 403, "-", "direct_response", "the route answers 403", needs=DUMP)
def direct_403(world: World, faulty: bool) -> None:
    _direct(world, faulty, 403, "closed\n")


def _absent(world: World, faulty: bool, reason: str, message: str) -> None:
    """The rule has a backend that Envoy Gateway cannot resolve, so it answers 500."""
    world.ask("/", 3)
    if faulty:
        world.rule.instead = {"direct_response": {"status": 500}}
        world.route.conditions["ResolvedRefs"] = (reason, message)
    world.blame("HTTPRoute")
    world.truth.also_objects = [("Service", world.main.namespace, world.main.name)]


_invalid = partial(
    fault,
    "invalid_backend_ref",
    500,
    "-",
    "direct_response",
    shapes=GATEWAY,
    needs=(*DUMP, "kubernetes"),
)


@_invalid("the Service of the backendRef does not exist, so Envoy Gateway answers 500")
def no_service(world: World, faulty: bool) -> None:
    place = f"{world.main.namespace}/{world.main.name}"
    said = f"{REFUSED}: service {place} not found."
    world.main.present = not faulty
    _absent(world, faulty, "BackendNotFound", said)


@_invalid("the backendRef names a port that the Service does not have")
def no_port(world: World, faulty: bool) -> None:
    port, place = 8888, f"{world.main.namespace}/{world.main.name}"
    said = f"{REFUSED}: TCP Port {port} not found on Service {place}."
    if faulty:
        world.rule.port = port
    _absent(world, faulty, "PortNotFound", said)


@_invalid("the Service is in another namespace, and no ReferenceGrant there allows it")
def no_grant(world: World, faulty: bool) -> None:
    if faulty:
        world.main.namespace = "backoffice"
    place = f"{world.main.namespace}/{world.main.name}"
    said = f"{REFUSED}: backend ref to Service {place} not permitted by any ReferenceGrant."
    _absent(world, faulty, "RefNotPermitted", said)


def _unattached(world: World, faulty: bool, reason: str, message: str) -> None:
    world.ask("/", 3)
    if faulty:
        world.route.attached = False
        world.route.conditions["Accepted"] = (reason, message)
    world.blame("HTTPRoute")


_not_attached = partial(
    fault,
    "route_not_attached",
    404,
    "NR",
    "route_not_found",
    shapes=GATEWAY,
    needs=(*DUMP, "kubernetes"),
    also=("no_virtual_host_match",),
)


@_not_attached("the listener takes routes of its own namespace only")
def not_allowed(world: World, faulty: bool) -> None:
    world.listeners[0].allowed = "Same" if faulty else "All"
    world.beside.namespace = world.neighbour.namespace = world.gateway[0]
    said = "No listeners included by this parent ref allowed this attachment."
    _unattached(world, faulty, "NotAllowedByListeners", said)


@_not_attached("the parentRef names a listener that the Gateway does not have")
def no_section(world: World, faulty: bool) -> None:
    world.route.section = "web" if faulty else "http"
    _unattached(world, faulty, "NoMatchingParent", "No listeners match this parent ref")


@_not_attached("the parentRef names a Gateway that does not exist")
def no_parent(world: World, faulty: bool) -> None:
    if faulty:
        world.route.parent = f"{world.gateway[1]}-gw"
    world.route.attached = not faulty
    world.ask("/", 3)
    world.blame("HTTPRoute")


@_not_attached("no hostname of the route is one that the listener takes")
def other_hostname(world: World, faulty: bool) -> None:
    world.listeners[0].hostname = f"*.{world.domain}"
    if faulty:
        world.route.hosts = [f"{world.main.name}.elsewhere.example"]
    said = "There were no hostname intersections between the HTTPRoute and this parent ref's"
    _unattached(world, faulty, "NoMatchingListenerHostname", f"{said} Listener(s).")


FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.23"}


@fault(
    "redirect_loop",
    301,
    "-",
    "direct_response",
    "TLS ends before Envoy, so what is redirected to https comes back as http",
    needs=DUMP,
)
def https_loop(world: World, faulty: bool) -> None:
    """The look-alike redirects once, and the client follows to a listener that answers."""
    redirect = {"requestRedirect": {"scheme": "https", "statusCode": 301}}
    instead: Json = {"redirect": {"scheme_redirect": "https", "port_redirect": 443}}
    rule = Rule([], [prefix("/")], [{"type": "RequestRedirect", **redirect}], instead=instead)
    world.blame("HTTPRoute")
    if faulty:
        world.route.rules = [rule]
        world.ask("/", 6, headers=FORWARDED)
        return
    secured(world)
    world.route.sections = ["https"]
    to_https = Route(world.route.namespace, "to-https", [world.host], [rule], sections=["http"])
    world.beside.sections = ["http"]
    world.others.append(to_https)
    world.ask("/", 1)
    world.ask("/", 1, scheme="https")


@fault(
    "redirect_loop",
    302,
    "-",
    "direct_response",
    "the path is redirected to one below itself, which the same rule matches again",
    needs=DUMP,
)
def path_loop(world: World, faulty: bool) -> None:
    said = {"type": "ReplaceFullPath", "replaceFullPath": "/app/home"}
    spec: Json = {"type": "RequestRedirect", "requestRedirect": {"path": said, "statusCode": 302}}
    instead: Json = {"redirect": {"path_redirect": "/app/home", "response_code": "FOUND"}}
    match = prefix("/app") if faulty else {"path": {"type": "Exact", "value": "/app"}}
    world.rule.matches = [prefix("/")]
    world.route.rules.append(Rule([], [match], [spec], instead=instead))
    if faulty:
        world.ask("/app", 1)
        world.ask("/app/home", 5)
    else:
        world.ask("/app", 1)
        world.ask("/app/home", 1)
    world.blame("HTTPRoute")


@fault(
    "ok",
    301,
    "-",
    "direct_response",
    "one redirect to https is what the route is for",
    alike=False,
    needs=DUMP,
)
def https_once(world: World, faulty: bool) -> None:
    redirect = {"requestRedirect": {"scheme": "https", "statusCode": 301}}
    instead: Json = {"redirect": {"scheme_redirect": "https", "port_redirect": 443}}
    rule = Rule([], [prefix("/")], [{"type": "RequestRedirect", **redirect}], instead=instead)
    secured(world)
    world.route.sections = ["https"]
    world.beside.sections = ["http"]
    world.others.append(
        Route(world.route.namespace, "to-https", [world.host], [rule], sections=["http"])
    )
    world.truth.must_not = ["redirect_loop", "intended_direct_response"]
    world.ask("/", 1)


def _rewrite(world: World, value: str, to: str, action: Json) -> None:
    path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": to}
    world.rule.matches = [prefix(value)]
    world.rule.filters = [{"type": "URLRewrite", "urlRewrite": {"path": path}}]
    world.rule.action.update(action)
    world.blame("HTTPRoute")


@fault(
    "path_rewrite_mismatch",
    404,
    "-",
    "via_upstream",
    "the rule rewrites to a path that the application does not have",
    by="upstream",
    needs=DUMP,
    also=("backend_404",),
)
def rewritten(world: World, faulty: bool) -> None:
    world.main.answer.known = ("/api/",)
    to = "/apis" if faulty else "/api"
    _rewrite(world, "/shop/api", to, {"prefix_rewrite": to})
    world.ask("/shop/api/items", 3)


@fault(
    "path_rewrite_mismatch",
    404,
    "-",
    "via_upstream",
    "the rule takes the prefix away, and the application serves below it",
    by="upstream",
    needs=DUMP,
    also=("backend_404",),
)
def prefix_taken_away(world: World, faulty: bool) -> None:
    name = world.main.name
    world.main.answer.known = (f"/{name}/",)
    world.ask(f"/{name}/items/7", 3)
    if not faulty:
        world.rule.matches = [prefix(f"/{name}")]
        return
    regex = {"pattern": {"regex": f"^/{name}/*"}, "substitution": "/"}
    _rewrite(world, f"/{name}", "/", {"regex_rewrite": regex})


@fault(
    "cluster_not_found",
    503,
    "NC",
    "cluster_not_found",
    "the route names a cluster that Envoy does not have",
    needs=DUMP,
)
def missing_cluster(world: World, faulty: bool) -> None:
    beta = Service(world.main.namespace, f"{world.main.name}-beta", target=8090)
    rule = Rule([(beta, 1)], [prefix("/beta")], missing=faulty)
    if faulty and world.plain:
        rule.action["cluster"] = f"{world.main.name}-betta"
    world.route.rules.append(rule)
    world.ask("/", 1)
    world.ask("/beta/1", 3)
    world.blame("HTTPRoute")


@fault(
    "cluster_not_found",
    503,
    "NC",
    "cluster_not_found",
    "the route takes the cluster from a header, and none is called so",
    needs=DUMP,
    shapes=("plain-envoy",),
)
def cluster_from_header(world: World, faulty: bool) -> None:
    world.rule.action["cluster_header"] = "x-tenant"
    world.ask("/", 3, headers={"X-Tenant": "acme" if faulty else world.main.name})
    world.blame("HTTPRoute")
