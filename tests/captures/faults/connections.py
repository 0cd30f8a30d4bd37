"""Faults between client and listener: TLS, names of handshakes, connections that are shared."""

from __future__ import annotations

from tests.authorities import Pair, issued
from tests.captures.table import BOTH, GATEWAY, fault
from tests.captures.world import Listener, Route, Rule, Service, World
from tests.scenes.gateway import typed

CHAIN = "filter_chain_not_found"


def secured(
    world: World,
    hosts: list[str] | None = None,
    names: list[str] | None = None,
    *,
    name: str = "https",
    secret: str | None = None,
    hostname: str | None = "",
    end: float = 200,
    begin: int = -20,
) -> Pair:
    """An HTTPS listener of the Gateway for the main route, and its certificate."""
    hosts = hosts or world.route.hosts
    if world.authority is None:
        world.authority = issued(f"{world.domain} CA", authority=True, end=3000)
    pair = issued(hosts[0], names or hosts, world.authority, begin=begin, end=end)
    place = (world.gateway[0], secret or f"{world.main.name}-cert")
    world.pairs[place] = pair
    said = hosts[0] if hostname == "" else hostname
    world.listeners.append(Listener(name, 443, said, place))
    return pair


def _listener_object(world: World, name: str) -> None:
    world.plain_object = ("Listener", f"listener_{name}")


@fault(
    "certificate_expired",
    None,
    "-",
    None,
    "the certificate of the listener ended two days ago; clients that check it refuse it",
    by="client",
    needs=("client", "certs"),
)
def expired(world: World, faulty: bool) -> None:
    secured(world, end=-2 if faulty else 9, begin=-90)
    world.route.sections = ["https"]
    world.ask("/", 3, scheme="https", verify=True)
    world.blame("Secret", f"{world.main.name}-cert", world.gateway[0])
    world.truth.also_objects = [("Gateway", *world.gateway)]
    _listener_object(world, "https")


@fault(
    "certificate_expired",
    200,
    "-",
    "via_upstream",
    "the wildcard certificate has ended; clients that do not check still get their answer",
    by="upstream",
    alike=False,
    needs=("certs",),
    degraded=True,
)
def expired_unchecked(world: World, faulty: bool) -> None:
    secured(world, names=[f"*.{world.domain}"], end=-1, begin=-91, hostname=f"*.{world.domain}")
    world.route.sections = ["https"]
    world.ask("/", 1, scheme="https", verify=True)
    world.ask("/", 2, scheme="https")
    world.blame("Secret", f"{world.main.name}-cert", world.gateway[0])
    _listener_object(world, "https")


@fault(
    "sni_no_filter_chain",
    None,
    "NR",
    CHAIN,
    "the name in the handshake is that of no listener, so Envoy closes the connection",
    needs=("listener_access_log", "stats"),
)
def unknown_name(world: World, faulty: bool) -> None:
    secured(world)
    world.route.sections = ["https"]
    world.ask("/", 1, scheme="https")
    world.ask("/", 3, scheme="https", sni=f"www.{world.host}" if faulty else None)
    world.blame("Gateway")
    _listener_object(world, "https")


@fault(
    "sni_no_filter_chain",
    None,
    "NR",
    CHAIN,
    "the client names no host in its handshake, and every listener wants one",
    needs=("listener_access_log", "stats"),
    also=("plaintext_to_tls_listener",),
)
def no_name(world: World, faulty: bool) -> None:
    secured(world)
    world.route.sections = ["https"]
    world.ask("/", 3, scheme="https", sni="" if faulty else None)
    world.blame("Gateway")
    _listener_object(world, "https")


@fault(
    "plaintext_to_tls_listener",
    None,
    "NR",
    CHAIN,
    "the client speaks HTTP without TLS to the port of the HTTPS listener",
    needs=("listener_access_log", "client"),
    also=("sni_no_filter_chain",),
)
def plain_to_tls(world: World, faulty: bool) -> None:
    secured(world)
    world.route.sections = ["https"]
    if faulty:
        world.ask("/login", 3, host=f"{world.host}:443", port=443)
    else:
        world.ask("/login", 3, scheme="https")
    world.blame("Gateway")
    _listener_object(world, "https")


@fault(
    "plaintext_to_tls_listener",
    None,
    "-",
    None,
    "the client speaks HTTP without TLS to a listener that takes any host over TLS",
    needs=("client", "stats"),
)
def plain_to_any_tls(world: World, faulty: bool) -> None:
    secured(world, names=[f"*.{world.domain}"], hostname=None)
    world.route.sections = ["https"]
    if faulty:
        world.ask("/", 3, port=443)
    else:
        world.ask("/", 3, scheme="https")
    world.blame("Gateway")
    _listener_object(world, "https")


def _shared(world: World) -> tuple[str, str]:
    """Two HTTPS listeners with one wildcard certificate, and an application behind each."""
    host, other = world.host, f"static.{world.domain}"
    secured(world, [host], [f"*.{world.domain}"], name="https-main", secret="wild")
    place = world.listeners[-1].secret
    world.listeners.append(Listener("https-static", 443, other, place))
    service = Service("assets", "files", target=8088)
    world.others.append(
        Route("assets", "files", [other], [Rule([(service, 1)])], sections=["https-static"])
    )
    world.route.sections = ["https-main"]
    return host, other


def _browse(world: World, asks: list[tuple[str, str, bool, str]]) -> None:
    for host, sni, reused, connection in asks:
        world.ask(
            "/app.js",
            1,
            host=host,
            sni=sni,
            reused=reused,
            connection=connection,
            scheme="https",
            version="2",
            agent="browser/1",
        )


@fault(
    "h2_connection_reuse",
    404,
    "NR",
    "route_not_found",
    "the certificate is good for both hosts, so the client sends requests for the second over "
    "the connection of the first, whose filter chain does not know it",
    needs=("access_log", "config_dump"),
)
def coalesced(world: World, faulty: bool) -> None:
    host, other = _shared(world)
    asks = [(host, host, False, "one")]
    if faulty:
        asks.append((other, host, True, "one"))
        world.truth.index = 1
        world.truth.more["proof"] = "requested_server_name differs from :authority"
    asks.append((other, other, False, "two"))
    _browse(world, asks)
    world.blame("Gateway")
    _listener_object(world, "https_main")


@fault(
    "h2_connection_reuse",
    404,
    "NR",
    "route_not_found",
    "the last request went over a connection that was opened for another host",
    needs=("access_log", "config_dump"),
)
def coalesced_last(world: World, faulty: bool) -> None:
    host, other = _shared(world)
    if faulty:
        asks = [(other, other, False, "one"), (host, other, True, "one")]
    else:
        asks = [(other, other, False, "one"), (other, other, True, "one"), (host, host, False, "2")]
    _browse(world, asks)
    world.blame("Gateway")
    _listener_object(world, "https_main")


@fault(
    "ok", 200, "-", "via_upstream", "reuse within one listener is fine", by="upstream", alike=False
)
def reuse_in_one_listener(world: World, faulty: bool) -> None:
    wild = f"*.{world.domain}"
    secured(world, [wild], [wild])
    other = f"static.{world.domain}"
    service = Service("assets", "files", target=8088)
    world.others.append(
        Route("assets", "files", [other], [Rule([(service, 1)])], sections=["https"])
    )
    world.route.sections = ["https"]
    world.truth.must_not = ["h2_connection_reuse", "misdirected_request_421"]
    _browse(world, [(world.host, world.host, False, "one"), (other, world.host, True, "one")])


@fault(
    "misdirected_request_421",
    421,
    "-",
    "direct_response",
    "the filter chain of one host answers 421 to requests for another that share its connection",
    needs=("access_log", "config_dump"),
    also=("h2_connection_reuse",),
)
def misdirected(world: World, faulty: bool) -> None:
    host, other = _shared(world)
    for name in ("https-main", "https-static"):
        world.catch_all[name] = [{"match": {"prefix": "/"}, "direct_response": {"status": 421}}]
    asks = [(host, host, False, "one")]
    asks.append((other, host, True, "one") if faulty else (other, other, False, "two"))
    _browse(world, asks)
    world.blame("Gateway")
    _listener_object(world, "https_main")


LUA = """function envoy_on_request(handle)
  local name = handle:streamInfo():requestedServerName()
  local host = handle:headers():get(":authority"):match("^[^:]+")
  if name ~= "" and name ~= host then
    handle:respond({[":status"] = "421"}, "misdirected request")
  end
end
"""


@fault(
    "misdirected_request_421",
    421,
    "-",
    "lua_response",
    "a Lua filter answers 421 where the name of the handshake is not the host of the request",
    needs=("access_log", "config_dump"),
    also=("h2_connection_reuse",),
    shapes=BOTH,
)
def misdirected_lua(world: World, faulty: bool) -> None:
    host, other = _shared(world)
    name = f"envoyextensionpolicy/{world.gateway[0]}/no-reuse/lua/0"
    lua = typed("extensions.filters.http.lua.v3.Lua", default_source_code={"inline_string": LUA})
    world.filters.append({"name": f"envoy.filters.http.lua/{name}", "typed_config": lua})
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": world.gateway[1]}
    spec = {"targetRefs": [target], "lua": [{"type": "Inline", "inline": LUA}]}
    said = {"kind": "EnvoyExtensionPolicy", "name": "no-reuse", "namespace": world.gateway[0]}
    world.policies.append({**said, "spec": spec})
    asks = [(host, host, False, "one")]
    asks.append((other, host, True, "one") if faulty else (other, other, False, "two"))
    _browse(world, asks)
    world.blame("Gateway")
    world.truth.also_objects = [("EnvoyExtensionPolicy", world.gateway[0], "no-reuse")]
    _listener_object(world, "https_main")


@fault(
    "rejected_underscore_header",
    400,
    "DPE",
    "http1.unexpected_underscore",
    "the name of a header has an underscore, and the listener refuses such requests",
    needs=("access_log", "stats"),
)
def underscore(world: World, faulty: bool) -> None:
    world.ask("/", 3, headers={"X_Tenant_Id" if faulty else "X-Tenant-Id": "7"})
    world.blame("Gateway")
    world.truth.also_objects = [("ClientTrafficPolicy", world.gateway[0], world.gateway[1])]


@fault(
    "ok",
    200,
    "-",
    "via_upstream",
    "the listener lets underscores pass",
    by="upstream",
    alike=False,
    shapes=GATEWAY,
)
def underscore_allowed(world: World, faulty: bool) -> None:
    allowed = {"headers_with_underscores_action": "ALLOW"}
    world.manager["common_http_protocol_options"] = allowed
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": world.gateway[1]}
    spec = {"targetRefs": [target], "headers": {"withUnderscoresAction": "Allow"}}
    said = {"kind": "ClientTrafficPolicy", "name": "old-headers", "namespace": world.gateway[0]}
    world.policies.append({**said, "spec": spec})
    world.truth.must_not = ["rejected_underscore_header"]
    world.ask("/", 3, headers={"X_Tenant_Id": "7"})
