"""Listeners of a dump: filter chains, what they end TLS with, and where their routes are."""

from __future__ import annotations

from typing import Any

from tasks.diagnosis import config_routes
from tasks.diagnosis.config import Chain, Listener, RouteTable
from tasks.diagnosis.config_endpoints import place, written
from tasks.diagnosis.leniency import NOTHING, Lenient, Object

#: How the types of what we look into end.
MANAGER, TCP_PROXY = "HttpConnectionManager", "TcpProxy"
TLS = ("DownstreamTlsContext", "UpstreamTlsContext", "QuicDownstreamTransport")


def listener(
    raw: Object, it: Lenient, name: str = "", state: str = "active", error: str | None = None
) -> tuple[Listener, dict[str, RouteTable]]:
    """The listener, and the route tables that are written in it."""
    name = it.text(raw.get("name"), "listeners, name") or name
    host, port = place(raw.get("address"), it, "listeners, address")
    called = name or written(host, port)
    inline: dict[str, RouteTable] = {}
    chains = tuple(
        _chain(one, called, inline, it)
        for one in it.objects(raw.get("filter_chains"), "filter chains")
    )
    fallback = it.mapping(raw.get("default_filter_chain"), "filter chains")
    default = _chain(fallback, called, inline, it) if fallback else None
    further = [
        written(*place(one.get("address"), it, "listeners, address"))
        for one in it.objects(raw.get("additional_addresses"), "listeners, address")
    ]
    return Listener(
        called,
        host,
        port,
        chains,
        default,
        inspects_tls(raw, it),
        is_udp(raw, it),
        raw,
        error,
        state,
        tuple(further),
    ), inline


def is_udp(raw: Object, it: Lenient) -> bool:
    address = it.mapping(raw.get("address"), "listeners, address")
    socket = it.mapping(address.get("socket_address"), "listeners, address")
    return socket.get("protocol") == "UDP"


def inspects_tls(raw: Object, it: Lenient) -> bool:
    """Without it no chain that asks for a server name is ever taken: Envoy adds none by itself."""
    filters = it.objects(raw.get("listener_filters"), "listener filters")
    return any(is_a(one, "TlsInspector", "tls_inspector") for one in filters)


def is_a(extension: Object, kind: str, name: str) -> bool:
    """Whether it is of a type, or called so where its type is not there."""
    config = extension.get("typed_config")
    called = config.get("@type") if isinstance(config, dict) else None
    if isinstance(called, str):
        return called.rpartition(".")[2] == kind
    own = extension.get("name")
    return isinstance(own, str) and own.rpartition(".")[2] == name


def _chain(raw: Object, owner: str, inline: dict[str, RouteTable], it: Lenient) -> Chain:
    match = it.mapping(raw.get("filter_chain_match"), "filter chains, match")
    filters = it.objects(raw.get("filters"), "network filters")
    managers = [one for one in filters if is_a(one, MANAGER, "http_connection_manager")]
    manager = _config(managers[0], it) if managers else None
    proxies = [one for one in filters if is_a(one, TCP_PROXY, "tcp_proxy")]
    names = it.texts(match.get("server_names"), "filter chains, server_names")
    return Chain(
        it.text(raw.get("name"), "filter chains, name"),
        match,
        tuple(one.lower() for one in names),
        speaks_tls(raw, it),
        _table(manager, owner, inline, it) if manager is not None else None,
        manager,
        _names((manager or NOTHING).get("http_filters"), it),
        _proxied(_config(proxies[0], it), it) if proxies else None,
        raw,
        _names(raw.get("filters"), it),
    )


def _config(extension: Object, it: Lenient) -> Object:
    return it.mapping(extension.get("typed_config"), "filters, typed_config")


def _names(filters: Any, it: Lenient) -> tuple[str, ...]:
    found = (it.text(one.get("name"), "filters, name") for one in it.objects(filters, "filters"))
    return tuple(one for one in found if one)


def speaks_tls(raw: Object, it: Lenient) -> bool:
    """Of a filter chain, or of a cluster to its endpoints."""
    if _is_tls(it.mapping(raw.get("transport_socket"), "transport socket"), it):
        return True
    matches = it.objects(raw.get("transport_socket_matches"), "transport sockets")
    return any(
        _is_tls(it.mapping(one.get("transport_socket"), "transport socket"), it) for one in matches
    )


def _is_tls(socket: Object, it: Lenient) -> bool:
    """One may be inside another, such as that of the PROXY protocol."""
    if not socket:
        return False
    config = it.mapping(socket.get("typed_config"), "transport socket")
    kind = it.text(config.get("@type"), "transport socket").rpartition(".")[2]
    if kind in TLS or (not kind and str(socket.get("name")).endswith((".tls", ".quic"))):
        return True
    inner = config.get("transport_socket")
    return isinstance(inner, dict) and _is_tls(inner, it)


def _table(manager: Object, owner: str, inline: dict[str, RouteTable], it: Lenient) -> str | None:
    """Its key; one that is written here is put beside the others."""
    rds = it.mapping(manager.get("rds"), "rds")
    named = it.text(rds.get("route_config_name"), "rds, route_config_name")
    if named:
        return named
    raw = it.mapping(manager.get("route_config"), "route tables")
    if not raw:
        return None
    table = config_routes.table(raw, it)
    key = f"{owner}: {table.name}"
    while key in inline and inline[key] != table:
        key += "'"
    inline[key] = table
    return key


def _proxied(config: Object, it: Lenient) -> str | None:
    """The cluster of a TCP proxy; of several, the one with the most weight."""
    name = it.text(config.get("cluster"), "TCP proxy, cluster")
    if name:
        return name
    weighted = it.mapping(config.get("weighted_clusters"), "TCP proxy, clusters")
    found = it.objects(weighted.get("clusters"), "TCP proxy, clusters")
    by_weight = sorted(found, key=lambda one: -it.number(one.get("weight"), "TCP proxy, weight"))
    return next((it.text(one.get("name"), "TCP proxy, cluster") for one in by_weight), None)
