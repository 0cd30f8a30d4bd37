"""What the listeners of an Envoy take, by port and by name of the handshake."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.plans.rehearsals.equal_forms import plain
from tasks.plans.rehearsals.named import Object, Place, Thing, mapping, number, objects, short, text
from tasks.plans.rehearsals.routes import FILTERED, Served, provided

_GATEWAY = re.compile(r"([^/]+)/([^/]+)/([^/]+)")
Tables = Mapping[str, Object]


def listener(raw: Object, tables: Tables, served: dict[str, Served]) -> Iterator[Thing]:
    address = mapping(raw, "address", "socket_address")
    port, kind = int(number(address.get("port_value"))), text(address.get("protocol")) or "TCP"
    name = text(raw.get("name"))
    called = f"listener {name}" if "/" not in name else f"Gateway {name.rpartition('/')[0]}"
    at = f"port {port}{'' if kind == 'TCP' else ' (' + kind + ')'}"
    chains = ("filter_chains", "default_filter_chain")
    rest = {k: v for k, v in raw.items() if k not in ("name", "metadata", "stat_prefix", *chains)}
    keys = ((name, kind), (port, kind, text(address.get("address"))), (port, kind))
    yield Thing("listener", f"{called}, {at}", keys, plain(rest, "listener"))
    fallback = mapping(raw, "default_filter_chain")
    for position, one in enumerate((*objects(raw.get("filter_chains")), fallback)):
        if one:
            yield _chain(one, (name, port, kind, position), tables, served)


def _chain(
    raw: Object, owner: tuple[str, int, str, int], tables: Tables, served: dict[str, Served]
) -> Thing:
    listener, port, kind, position = owner
    match = plain(mapping(raw, "filter_chain_match"), "filter_chain_match")
    names = match.get("server_names") or []
    place: Place = (port, kind, tuple(it for it in names if isinstance(it, str)))
    said: dict[str, Any] = {"match": match} if match else {}
    rest = {k: v for k, v in raw.items() if k not in ("name", "filter_chain_match", "filters")}
    said.update(plain(rest, "chain"))
    for one in objects(raw.get("filters")):
        config = mapping(one, "typed_config")
        if "http_filters" in config:
            said["HTTP"] = _manager(config, place, tables, served)
        else:
            said[short(one)] = plain({k: v for k, v in config.items() if k != "@type"}, "TcpProxy")
    name = text(raw.get("name")) or listener
    found = _GATEWAY.fullmatch(name)
    called = f"Gateway {found[1]}/{found[2]}, listener {found[3]}" if found else ""
    called = called or f"listener {listener}, {', '.join(names) or 'any name'}"
    if kind != "TCP":
        called += f" ({kind})"
    return Thing(
        "listener",
        called,
        ((name, kind, place), (name, kind), place, (port, kind, position)),
        said,
        tuple(_asked(said)),
    )


def _asked(said: Any) -> Iterator[str]:
    """Clusters that are named anywhere in it."""
    if isinstance(said, Mapping):
        for key, one in said.items():
            if key in ("cluster", "cluster_name") and isinstance(one, str):
                yield one
            else:
                yield from _asked(one)
    elif isinstance(said, list):
        for one in said:
            yield from _asked(one)


def _manager(
    config: Object, place: Place, tables: Tables, served: dict[str, Served]
) -> dict[str, Any]:
    """Of an HTTP connection manager; its table is noted as served here, at its first place."""
    filters = [*objects(config.get("http_filters"))]
    inline = mapping(config, "route_config")
    name = text(mapping(config, "rds").get("route_config_name"))
    table = inline or tables.get(name, {})
    key = name or f"{place}"
    if table and (key not in served or place < served[key].place):
        served[key] = Served(place, table, filters)
    left = ("http_filters", "route_config", "rds", "@type")
    kept = {k: v for k, v in config.items() if k not in left}
    said: dict[str, Any] = plain({"@type": ".HttpConnectionManager", **kept})
    said.pop("type", None)
    rest = {
        k: v for k, v in table.items() if k not in ("virtual_hosts", "name", "@type", *FILTERED)
    }
    if rest:
        said["routing"] = plain(rest, "RouteConfiguration")
    # A filter that is off unless a route asks for it is told with that route.
    active = [it for it in filters if it.get("disabled") is not True]
    said["filters"] = [short(it) for it in active]
    for one in active:
        settings = plain(_listener_wide(one))
        key = short(one)
        while key in said:
            key += "'"
        if settings:
            said[key] = settings
    return said


def _listener_wide(one: Object) -> dict[str, Any]:
    config = dict(mapping(one, "typed_config"))
    if short(one) == "jwt_authn":
        rules = [
            {**it, "requires": provided(mapping(it, "requires"), mapping(config, "providers"))}
            for it in objects(config.get("rules"))
        ]
        left = ("providers", "requirement_map", "rules")
        kept = {k: v for k, v in config.items() if k not in left}
        return {**kept, **({"rules": rules} if rules else {})}
    return config
