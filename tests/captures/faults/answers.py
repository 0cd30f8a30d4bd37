"""Faults that the application itself answers with, and clients that do not wait."""

from __future__ import annotations

from collections.abc import Mapping

from tests.captures.table import fault
from tests.captures.world import Ask, Route, Rule, World


def _answered(world: World, faulty: bool, status: int, path: str) -> None:
    """The path that is asked for last is wrong; in the look-alike it was another one, before."""
    world.main.pods = 2
    world.main.answer.paths = {path: status}
    world.ask("/", 1)
    world.ask(path, 3) if faulty else world.ask(path, 1)
    if not faulty:
        world.ask("/", 2)
    world.blame("Service")


@fault(
    "backend_400", 400, "-", "via_upstream", "the application calls the request bad", by="upstream"
)
def app_says_bad_request(world: World, faulty: bool) -> None:
    _answered(world, faulty, 400, "/import?format=xml")


@fault("backend_401", 401, "-", "via_upstream", "the application wants a login", by="upstream")
def app_wants_login(world: World, faulty: bool) -> None:
    _answered(world, faulty, 401, "/account")


@fault("backend_403", 403, "-", "via_upstream", "the application forbids the path", by="upstream")
def app_forbids(world: World, faulty: bool) -> None:
    _answered(world, faulty, 403, "/admin")


@fault("backend_404", 404, "-", "via_upstream", "the application knows no such path", by="upstream")
def app_knows_no_path(world: World, faulty: bool) -> None:
    world.main.pods = 2
    world.main.answer.known = ("/v1/",)
    world.route.rules[0].matches = [{"path": {"type": "PathPrefix", "value": "/"}}]
    world.ask("/v1/list", 1)
    world.ask("/list" if faulty else "/v1/list?page=2", 3)
    world.blame("Service")


@fault("backend_429", 429, "-", "via_upstream", "the application limits its callers", by="upstream")
def app_limits(world: World, faulty: bool) -> None:
    world.main.answer.headers = {"retry-after": "30"}
    _answered(world, faulty, 429, "/search")


@fault("backend_5xx", 500, "-", "via_upstream", "the application fails", by="upstream")
def app_fails(world: World, faulty: bool) -> None:
    _answered(world, faulty, 500, "/orders/7")


@fault(
    "backend_5xx",
    503,
    "-",
    "via_upstream",
    "the application itself answers 503, all of its endpoints are healthy",
    by="upstream",
)
def app_says_unavailable(world: World, faulty: bool) -> None:
    world.main.answer.headers = {"server": "nginx/1.27.1"}
    _answered(world, faulty, 503, "/reports")


@fault(
    "backend_5xx",
    504,
    "-",
    "via_upstream",
    "a proxy behind the Service gave up on something behind itself and says 504",
    by="upstream",
)
def app_says_gateway_timeout(world: World, faulty: bool) -> None:
    world.main.answer.headers = {"server": "nginx/1.27.1"}
    _answered(world, faulty, 504, "/slow-query")


@fault(
    "backend_5xx",
    502,
    "URX",
    "via_upstream",
    "every try was answered 502 by the application",
    by="upstream",
)
def app_fails_every_try(world: World, faulty: bool) -> None:
    world.rule.action["retry_policy"] = {"retry_on": "5xx", "num_retries": 2}
    if not world.plain:
        world.policy("BackendTrafficPolicy", "retry", {"retry": {"numRetries": 2}})
    if faulty:
        world.main.answer.status = 502
        world.ask("/render", 2)
    else:
        world.main.answer.first = [502]
        world.ask("/render", 1)
    world.blame("Service")


def speaks_grpc(world: World) -> None:
    """The main application speaks gRPC behind a GRPCRoute."""
    name = world.main.name
    world.main.answer.grpc = 0
    world.main.answer.message = b"\x0a\x02ok"
    world.main.protocol = "kubernetes.io/h2c"
    match = {"method": {"service": f"{name}.v1.{name.title()}", "method": "Get"}}
    world.route.kind = "GRPCRoute"
    world.rule.matches = [match]
    world.rule.cluster["typed_extension_protocol_options"] = HTTP2


HTTP2 = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}


def calls(
    world: World, times: int, method: str = "Get", headers: Mapping[str, str] | None = None
) -> None:
    """Of a gRPC client."""
    name = world.main.name
    world.asks.append(
        Ask(
            world.host,
            f"/{name}.v1.{name.title()}/{method}",
            "POST",
            headers or {},
            times,
            version="2",
            grpc=True,
            agent="grpc-go/1.64.0",
        )
    )


@fault(
    "grpc_backend_error",
    200,
    "-",
    "via_upstream",
    "the status of HTTP is 200, that of gRPC is 14: the application said so",
    by="upstream",
    needs=("access_log", "client"),
)
def grpc_unavailable(world: World, faulty: bool) -> None:
    speaks_grpc(world)
    if faulty:
        world.main.answer.grpc, world.main.answer.said = 14, "database is away"
    calls(world, 2)
    world.blame("Service")


@fault(
    "grpc_backend_error",
    200,
    "-",
    "via_upstream",
    "the application answers every call with gRPC status 13 (internal)",
    by="upstream",
    needs=("access_log", "client"),
)
def grpc_internal(world: World, faulty: bool) -> None:
    speaks_grpc(world)
    world.main.answer.first = [13]
    calls(world, 1 if faulty else 2)
    world.blame("Service")


@fault(
    "client_disconnected",
    None,
    "DC",
    "downstream_remote_disconnect",
    "the client waited 0.4 s and went; the application would have answered after 1.5 s",
    by="client",
)
def client_goes(world: World, faulty: bool) -> None:
    world.main.answer.delay = 1.5 if faulty else 0.3
    world.ask("/export", 2, timeout=0.4 if faulty else 5)


@fault("ok", 200, "-", "via_upstream", "healthy control", by="upstream", alike=False)
def baseline(world: World, faulty: bool) -> None:
    world.main.pods = 3
    world.truth.more["healthy"] = True
    world.ask("/", 4)


@fault(
    "ok",
    200,
    "-",
    "via_upstream",
    "two applications share a host, both well",
    by="upstream",
    alike=False,
)
def two_rules(world: World, faulty: bool) -> None:
    api = Rule([(world.main, 1)], [{"path": {"type": "PathPrefix", "value": "/api"}}])
    world.others.append(
        Route(world.route.namespace, f"{world.route.name}-api", [world.host], [api])
    )
    world.ask("/api/1", 2)
    world.ask("/", 2)
