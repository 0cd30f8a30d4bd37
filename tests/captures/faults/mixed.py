"""Faults that are easily taken for others: statuses of gRPC, two things at once, old failures."""

from __future__ import annotations

from tests.authorities import issued
from tests.captures.faults.answers import HTTP2, calls, speaks_grpc
from tests.captures.faults.connections import secured
from tests.captures.faults.endpoints import health_checked, outlier
from tests.captures.faults.policies import RULED, limit_locally, only_header, require_token, token
from tests.captures.faults.routing import REFUSED, prefix
from tests.captures.faults.upstream import BEFORE, STATS, VERIFY, retries, trust_backend
from tests.captures.table import BOTH, GATEWAY, PLAIN, fault
from tests.captures.world import Rule, Service, World
from tests.scenes.gateway import typed

DUMP = ("access_log", "config_dump")


@fault(
    "upstream_connection_refused",
    200,
    "UF",
    BEFORE + "remote_connection_failure.*",
    "nothing listens in the Pod; to a gRPC client Envoy says so with HTTP 200 and gRPC status 14",
    needs=STATS,
)
def grpc_refused(world: World, faulty: bool) -> None:
    speaks_grpc(world)
    if faulty:
        world.main.answer.how = "refuse"
    calls(world, 2)
    world.blame("Service")


@fault(
    "no_route_in_virtual_host",
    200,
    "NR",
    "route_not_found",
    "the GRPCRoute has no such method; to a gRPC client Envoy says so with HTTP 200 and status 12",
    needs=DUMP,
)
def grpc_no_method(world: World, faulty: bool) -> None:
    speaks_grpc(world)
    calls(world, 2, "List" if faulty else "Get")
    world.blame("GRPCRoute")


@fault(
    "upstream_timeout",
    200,
    "UT",
    "response_timeout",
    "the application is slow; to a gRPC client Envoy says so with HTTP 200 and gRPC status 4",
)
def grpc_too_slow(world: World, faulty: bool) -> None:
    speaks_grpc(world)
    world.rule.action["timeout"] = "0.300s"
    world.main.answer.delay = 1 if faulty else 0.05
    calls(world, 2)
    spec = {"timeout": {"http": {"requestTimeout": "300ms"}}}
    if not world.plain:
        world.policy("BackendTrafficPolicy", "timeout", spec)
    world.blame("BackendTrafficPolicy", f"{world.route.name}-timeout")
    world.truth.also_objects = [
        ("GRPCRoute", world.route.namespace, world.route.name),
        ("Service", world.main.namespace, world.main.name),
    ]


@fault(
    "rbac_denied",
    200,
    "-",
    RULED,
    "the header of the caller is not allowed; HTTP 200 and gRPC status 7 say so",
)
def grpc_denied(world: World, faulty: bool) -> None:
    speaks_grpc(world)
    only_header(world)
    calls(world, 2, headers={"x-team": "sales" if faulty else "billing"})


@fault(
    "grpc_backend_error",
    200,
    "-",
    "via_upstream",
    "the application does not implement what is called, and says gRPC status 12 itself",
    by="upstream",
    needs=("access_log", "client"),
    also=("no_route_in_virtual_host",),
)
def grpc_unimplemented(world: World, faulty: bool) -> None:
    speaks_grpc(world)
    if faulty:
        world.main.answer.grpc, world.main.answer.said = 12, "unknown method"
    calls(world, 2)
    world.blame("Service")


@fault(
    "backend_5xx",
    500,
    "-",
    "via_upstream",
    "the route sends nearly all to a new release of the application, which fails",
    by="upstream",
)
def canary(world: World, faulty: bool) -> None:
    new = Service(world.main.namespace, f"{world.main.name}-canary", target=world.main.target)
    new.answer.status = 500 if faulty else 200
    if world.plain:
        world.rule.services = [(new, 1)]
        world.route.rules.append(Rule([(world.main, 1)], [prefix("/stable")]))
    else:
        world.rule.services = [(world.main, 2), (new, 98)]
    world.ask("/", 3)
    world.blame("Service", new.name)


@fault(
    "misdirected_request_421",
    421,
    "-",
    "via_upstream",
    "the application calls the request misdirected, for it does not serve that host",
    by="upstream",
    needs=("access_log",),
)
def app_says_421(world: World, faulty: bool) -> None:
    if faulty:
        world.main.answer.status = 421
    world.ask("/", 3)
    world.blame("Service")
    world.truth.also_objects = [("HTTPRoute", world.route.namespace, world.route.name)]


@fault(
    "upstream_connection_refused",
    503,
    "UF",
    BEFORE + "remote_connection_failure.*",
    "the Pods are dead: every health check fails, and panic routing sends to them all the same",
    needs=("access_log", "clusters", "stats"),
    also=("panic_routing", "health_check_failing"),
)
def panic_refused(world: World, faulty: bool) -> None:
    world.main.pods = 2
    if faulty:
        world.main.answer.how = "refuse"
    health_checked(world, panic=True)
    world.ask("/", 3)
    world.blame("Service")


@fault(
    "zero_endpoints",
    503,
    "UH",
    "no_healthy_upstream",
    "the name of the endpoints does not resolve, so the cluster has none",
    needs=("access_log", "clusters"),
    shapes=PLAIN,
    alike=False,
)
def unresolved(world: World, faulty: bool) -> None:
    address = {"socket_address": {"address": "app.nowhere.invalid", "port_value": 8080}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    world.rule.cluster.update(type="STRICT_DNS", load_assignment={"endpoints": endpoints})
    world.ask("/", 3)
    world.blame("Service")


@fault(
    "no_virtual_host_match",
    404,
    "NR",
    "route_not_found",
    "the route is attached to the HTTPS listener alone, and the client comes to the other",
    needs=DUMP,
    also=("route_not_attached",),
)
def other_listener(world: World, faulty: bool) -> None:
    secured(world)
    world.route.sections = ["https"]
    world.ask("/", 1, scheme="https")
    world.ask("/", 2, scheme="http" if faulty else "https")
    world.blame("HTTPRoute")
    world.truth.also_objects = [("Gateway", *world.gateway)]


@fault(
    "backend_404",
    404,
    "-",
    "via_upstream",
    "before, the host was mistyped; now the application has no such path",
    by="upstream",
)
def first_the_host(world: World, faulty: bool) -> None:
    world.main.answer.known = ("/v2/",)
    world.ask("/v2/items", 2, host=f"x{world.host}")
    world.ask("/v1/items" if faulty else "/v2/items", 2)
    world.blame("Service")


@fault(
    "no_route_in_virtual_host",
    404,
    "NR",
    "route_not_found",
    "before, the application failed; now no rule has the path",
    needs=DUMP,
)
def first_the_app(world: World, faulty: bool) -> None:
    world.main.answer.first = [500, 500]
    world.rule.matches = [prefix("/shop")]
    world.ask("/shop/1", 2)
    world.ask("/shopping" if faulty else "/shop/2", 2)
    world.blame("HTTPRoute")


@fault(
    "rate_limited",
    429,
    "RL",
    "local_rate_limited",
    "the application limited its callers first, then the policy did",
)
def limited_after_app(world: World, faulty: bool) -> None:
    limit_locally(world, 4)
    world.main.answer.first = [429]
    world.ask("/", 6 if faulty else 3)


@fault(
    "backend_5xx",
    503,
    "-",
    "via_upstream",
    "the application says 503; outlier detection is on, and has put nothing out yet",
    by="upstream",
)
def not_yet_ejected(world: World, faulty: bool) -> None:
    world.main.pods = 2
    outlier(world)
    world.main.answer.first = [200, 503] if faulty else [503, 200]
    world.ask("/", 2)
    world.blame("Service")


@fault(
    "upstream_closed_connection",
    503,
    "URX,UC",
    r"re:upstream_reset_before_response_started\{connection_termination\}",
    "every try ends with a connection that the application closes",
    needs=STATS,
)
def closed_every_try(world: World, faulty: bool) -> None:
    retries(world, "reset", 2)
    if faulty:
        world.main.answer.how = "close"
    world.ask("/", 2)
    world.blame("Service")


@fault(
    "rejected_underscore_header",
    None,
    "DR",
    "http2.unexpected_underscore",
    "the name of a header has an underscore, and the listener resets such streams",
    needs=("access_log", "stats"),
)
def underscore_two(world: World, faulty: bool) -> None:
    world.ask("/", 2, version="2", headers={"x_tenant_id" if faulty else "x-tenant-id": "7"})
    world.blame("Gateway")
    world.truth.also_objects = [("ClientTrafficPolicy", world.gateway[0], world.gateway[1])]


@fault(
    "backend_403",
    403,
    "-",
    "via_upstream",
    "the policy lets the caller pass, the application does not",
    by="upstream",
)
def passed_then_forbidden(world: World, faulty: bool) -> None:
    only_header(world)
    if faulty:
        world.main.answer.status = 403
    world.ask("/", 3, headers={"X-Team": "billing"})
    world.truth.also_objects = []
    world.blame("Service")


@fault(
    "ok",
    200,
    "-",
    "via_upstream",
    "what the client did wrong before, it does right now",
    by="upstream",
    alike=False,
    shapes=BOTH,
)
def learned(world: World, faulty: bool) -> None:
    world.rule.matches = [prefix("/shop")]
    world.ask("/shops", 1)
    world.ask("/shop", 1, host=f"www.{world.host}")
    world.ask("/shop/1", 2)


@fault(
    "ok",
    200,
    "-",
    "via_upstream",
    "HTTP/2 to a backend that says so is fine",
    by="upstream",
    alike=False,
    shapes=GATEWAY,
)
def two_all_the_way(world: World, faulty: bool) -> None:
    world.main.answer.http2 = True
    world.main.protocol = "kubernetes.io/h2c"
    world.rule.cluster["typed_extension_protocol_options"] = HTTP2
    world.ask("/", 3, version="2")


@fault(
    "client_disconnected",
    None,
    "DR",
    "http2.remote_reset",
    "the client of HTTP/2 gave up after 0.3 s and reset its stream",
    by="client",
)
def client_resets(world: World, faulty: bool) -> None:
    world.main.answer.delay = 1.2 if faulty else 0.1
    world.ask("/export", 2, version="2", timeout=0.3 if faulty else 5)


@fault(
    "upstream_closed_connection",
    503,
    "UR",
    r"re:upstream_reset_before_response_started\{remote_reset.*\}",
    "the application, which speaks HTTP/2, resets every stream",
    needs=STATS,
    also=("upstream_protocol_error",),
)
def stream_reset(world: World, faulty: bool) -> None:
    world.main.answer.http2 = True
    world.main.protocol = "kubernetes.io/h2c"
    world.rule.cluster["typed_extension_protocol_options"] = HTTP2
    if faulty:
        world.main.answer.how = "refuse_stream"
    world.ask("/", 2)
    world.blame("Service")


@fault(
    "upstream_protocol_error",
    502,
    "UPE",
    r"re:upstream_reset_before_response_started\{protocol_error.*\}",
    "the application answers with more headers than Envoy takes",
    needs=STATS,
)
def large_headers(world: World, faulty: bool) -> None:
    world.main.answer.headers = {f"x-part-{it}": "1" for it in range(140 if faulty else 40)}
    world.ask("/login", 1)
    world.blame("Service")


@fault(
    "host_port_mismatch",
    404,
    "NR",
    "route_not_found",
    "the virtual host has a port in its name, the host of the request has another",
    needs=DUMP,
    shapes=PLAIN,
    also=("no_virtual_host_match",),
)
def port_in_domain(world: World, faulty: bool) -> None:
    name = world.host
    world.table["ignore_port_in_host_matching"] = None
    world.route.hosts = [f"{name}:8443"]
    world.ask("/", 3, host=f"{name}:9443" if faulty else f"{name}:8443")
    world.blame("HTTPRoute")


@fault(
    "jwt_denied",
    401,
    "-",
    r"re:jwt_authn_access_denied\{Jwks_remote_fetch_is_failed\}",
    "the keys that tokens are checked with cannot be fetched",
    subcause="jwks",
)
def jwt_keys_away(world: World, faulty: bool) -> None:
    keys = Service("login", "keycloak", target=8180)
    provider = require_token(world)
    if faulty:
        keys.answer.how = "refuse"
        cluster = f"securitypolicy/{world.route.namespace}/{world.route.name}-login/jwt/0"
        world.helpers[cluster] = keys
        uri = {"uri": "http://keycloak.login/certs", "cluster": cluster, "timeout": "1s"}
        del provider["local_jwks"]
        provider["remote_jwks"] = {"http_uri": uri, "cache_duration": "300s"}
        for it in world.policies:
            said = it["spec"]["jwt"]["providers"][0]
            del said["localJWKS"]
            said["remoteJWKS"] = {"uri": "http://keycloak.login/certs"}
    world.ask("/", 2, headers=token(world))
    world.truth.also_objects = [("Service", "login", "keycloak")]


@fault(
    "ok",
    302,
    "-",
    "direct_response",
    "the route sends everybody to another host, once",
    alike=False,
    needs=DUMP,
)
def moved(world: World, faulty: bool) -> None:
    to = f"www.{world.domain}"
    spec = {"requestRedirect": {"hostname": to, "statusCode": 302}}
    instead = {"redirect": {"host_redirect": to, "response_code": "FOUND"}}
    filters = [{"type": "RequestRedirect", **spec}]
    world.route.rules = [Rule([], [prefix("/")], filters, instead=instead)]
    world.truth.must_not = ["redirect_loop", "intended_direct_response"]
    world.ask("/", 1)


@fault(
    "backend_404",
    404,
    "-",
    "via_upstream",
    "the rewrite is right, other paths below it are found; this one the application lacks",
    by="upstream",
    also=("path_rewrite_mismatch",),
)
def below_a_rewrite(world: World, faulty: bool) -> None:
    path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/api"}
    world.rule.matches = [prefix("/shop/api")]
    world.rule.filters = [{"type": "URLRewrite", "urlRewrite": {"path": path}}]
    world.rule.action["prefix_rewrite"] = "/api"
    world.main.answer.known = ("/api/items",)
    world.ask("/shop/api/items/1", 2)
    world.ask("/shop/api/nothing" if faulty else "/shop/api/items/2", 2)
    world.blame("Service")


@fault(
    "invalid_backend_ref",
    500,
    "-",
    "direct_response",
    "the Service of one rule does not exist; no condition was read that says so",
    shapes=GATEWAY,
    needs=("access_log", "config_dump", "kubernetes"),
)
def no_service_unsaid(world: World, faulty: bool) -> None:
    gone = Service(world.main.namespace, f"{world.main.name}-v2", present=not faulty)
    rule = Rule([(gone, 1)], [prefix("/v2")])
    if faulty:
        rule.instead = {"direct_response": {"status": 500}}
    world.route.rules.append(rule)
    world.ask("/", 1)
    world.ask("/v2/1", 3)
    world.blame("HTTPRoute")
    world.truth.also_objects = [("Service", gone.namespace, gone.name)]


@fault(
    "envoy_internal_error",
    503,
    "-",
    "overload",
    "the overload manager refuses requests, for the memory that Envoy may use is used up",
    needs=STATS,
)
def overloaded(world: World, faulty: bool) -> None:
    monitor = "envoy.resource_monitors.fixed_heap"
    config = typed("extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig")
    config["max_heap_size_bytes"] = str(2_000_000 if faulty else 1_000_000_000)
    action = "envoy.overload_actions.stop_accepting_requests"
    trigger = {"name": monitor, "threshold": {"value": 0.95}}
    world.bootstrap["overload_manager"] = {
        "refresh_interval": "0.250s",
        "resource_monitors": [{"name": monitor, "typed_config": config}],
        "actions": [{"name": action, "triggers": [trigger]}],
    }
    world.settle = 0.5
    world.ask("/", 2)
    world.blame("Gateway")
    world.truth.also_objects = [("EnvoyProxy", *world.gateway)]


@fault(
    "invalid_backend_ref",
    500,
    "NC",
    "cluster_not_found",
    "one of two backends of the rule does not exist, and its share is answered 500",
    shapes=GATEWAY,
    needs=("access_log", "config_dump", "kubernetes"),
    also=("cluster_not_found",),
)
def weighted_invalid(world: World, faulty: bool) -> None:
    gone = Service(world.main.namespace, f"{world.main.name}-next", present=not faulty)
    world.rule.services = [(world.main, 2), (gone, 98)]
    if faulty:
        shares = {"invalid-backend-cluster": 98, world.route.cluster(0): 2}
        clusters = [{"name": name, "weight": share} for name, share in shares.items()]
        world.rule.action["weighted_clusters"] = {"clusters": clusters}
        world.rule.action["cluster_not_found_response_code"] = "INTERNAL_SERVER_ERROR"
        said = f"{REFUSED[:-1]}1: service {gone.namespace}/{gone.name} not found."
        world.route.conditions["ResolvedRefs"] = ("BackendNotFound", said)
    world.ask("/", 3)
    world.blame("HTTPRoute")
    world.truth.also_objects = [("Service", gone.namespace, gone.name)]


@fault(
    "upstream_tls_failure",
    503,
    "UF",
    VERIFY,
    "the backend renewed its certificate with another authority; TLS is chosen by endpoint",
    needs=STATS,
    shapes=GATEWAY,
)
def renewed(world: World, faulty: bool) -> None:
    old, new = (issued(f"{it} CA", authority=True, end=900) for it in ("first", "second"))
    name = f"{world.main.name}.internal"
    world.main.pods = 2
    world.main.answer.pair = issued(name, [name], new)
    trust_backend(world, old if faulty else new, name)
    world.main.matched = True
    socket = world.rule.cluster.pop("transport_socket")
    wanted = {"name": f"{world.route.cluster(0)}/tls/0"}
    match = {**wanted, "match": wanted, "transport_socket": socket}
    world.rule.cluster["transport_socket_matches"] = [match]
    world.ask("/", 3)
