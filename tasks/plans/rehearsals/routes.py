"""What an Envoy does with the requests of each route, its filters included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.plans.rehearsals.equal_forms import plain, shares, written
from tasks.plans.rehearsals.named import (
    Object,
    Place,
    Thing,
    mapping,
    number,
    objects,
    short,
    text,
    title,
    without_resources,
)

#: Written for filters by their names; told by ``_filters``.
FILTERED = ("typed_per_filter_config",)


@dataclass
class Served:
    """A route table where it is served. + filters: of the HTTP connection manager"""

    place: Place
    table: Object
    filters: Sequence[Object]


def routes(served: Served) -> Iterator[Thing]:
    for host in objects(served.table.get("virtual_hosts")):
        domains = tuple(sorted(it for it in host.get("domains") or () if isinstance(it, str)))
        called = ", ".join(domains) or text(host.get("name"))
        rest = {k: v for k, v in host.items() if k not in ("routes", "name", "metadata", *FILTERED)}
        at = served.place
        name = f"virtual host {called} on port {at[0]}"
        keys = ((at, domains), (at[0], domains), (at, host.get("name")))
        yield Thing("virtual host", name, keys, plain(rest, "virtual_hosts"))
        for position, one in enumerate(objects(host.get("routes"))):
            yield _route(one, host, served, domains, position)


def _route(
    raw: Object, host: Object, served: Served, domains: tuple[str, ...], position: int
) -> Thing:
    name, at = text(raw.get("name")), served.place
    match = plain(mapping(raw, "match"), "match")
    levels = (raw, host, served.table)
    filters, limits = _filters(levels, served.filters)
    rest = {k: v for k, v in raw.items() if k not in ("name", "match", *FILTERED)}
    said = plain(rest, "route")
    without_resources(said)
    action = said.get("route")
    if isinstance(action, dict):
        limits = [*_taken(action, "rate_limits"), *limits]
        _targets(action)
    if filters:
        said["filters"] = filters
    if limits:
        said["rate_limits"] = sorted(limits, key=written)
    asks = tuple(mapping(said, "route", "clusters"))
    owner = title(name) or _of_metadata(raw)
    called = owner or f"route {name or position} of {', '.join(domains)}"
    known = (at, domains, name) if name else (at, domains, written(match))
    keys = (known, (at[0], domains, written(match)), (at[0], owner, written(match)))
    return Thing("route", called, keys, {"match": match, **said, "": position}, asks)


def _taken(action: dict[str, Any], key: str) -> list[Any]:
    found = action.pop(key, None)
    return found if isinstance(found, list) else []


def _of_metadata(raw: Object) -> str | None:
    held = mapping(raw, "metadata", "filter_metadata", "envoy-gateway").get("resources")
    for it in objects(held):
        where, name = text(it.get("namespace")), text(it.get("name"))
        return f"{text(it.get('kind'))} {where}/{name}" if where else None
    return None


def _targets(action: dict[str, Any]) -> None:
    """Where requests go, in per cent, however it is written."""
    if isinstance(name := action.pop("cluster", None), str):
        action["clusters"] = {name: 100}
        return
    weighted = action.get("weighted_clusters")
    found = [*objects(mapping(weighted).get("clusters"))]
    if not found:
        return
    pairs = ((text(it.get("name")), number(it.get("weight"))) for it in found)
    action["clusters"] = shares(pairs)
    rest = {k: v for k, v in mapping(weighted).items() if k not in ("clusters", "total_weight")}
    own = {
        text(it.get("name")): kept
        for it in found
        if (kept := {k: v for k, v in it.items() if k not in ("name", "weight")})
    }
    del action["weighted_clusters"]
    if rest or own:
        action["weighted_clusters"] = {**rest, **({"each": own} if own else {})}


def _filters(
    levels: Sequence[Object], filters: Sequence[Object]
) -> tuple[dict[str, Any], list[Any]]:
    """
    What the filters of its listener do for one route alone, by their kind; and its rate limits,
    which 1.8 writes into the route and 1.9 into the settings of a filter.

    + levels: the route, its virtual host, its table: the first that says something counts
    """
    found: dict[str, Any] = {}
    limits: list[Any] = []
    for one in filters:
        name = text(one.get("name"))
        own = next((it for at in levels if (it := mapping(at, *FILTERED).get(name))), None)
        if not isinstance(own, Mapping):
            continue
        kind = short(one)
        said = _for_route(kind, one, own)
        limits += _taken(said, "rate_limits")
        if said == {"domain": mapping(one, "typed_config").get("domain")}:
            continue
        key, further = kind, 2
        while key in found:
            key, further = f"{kind} #{further}", further + 1
        found[key] = said
    return found, limits


def _for_route(kind: str, one: Object, own: Object) -> dict[str, Any]:
    """One filter for one route. + one: of the listener; + own: what the route says of it"""
    config = mapping(one, "typed_config")
    if text(own.get("@type")).endswith(".FilterConfig"):
        if own.get("disabled") is True:
            return {"off": True}
        own = mapping(own, "config")
    said: dict[str, Any] = plain({k: v for k, v in own.items() if k != "@type"}, kind)
    if kind == "jwt_authn":
        return _required(said, config)
    settings = plain(config)
    if kind == "lua":
        sources = mapping(config, "source_codes")
        source = own.get("source_code") or sources.get(text(own.get("name")))
        source = source or config.get("default_source_code") or config.get("inline_code")
        kept = {k: v for k, v in said.items() if k not in ("source_code", "name")}
        return {"script": mapping(source).get("inline_string") or plain(source), **kept}
    return {**({"settings": settings} if one.get("disabled") is True else {}), **said}


def _required(said: dict[str, Any], config: Object) -> dict[str, Any]:
    """Of a JWT, with what its names stand for: 1.8 makes them of routes, 1.9 of what they hold."""
    name = said.pop("requirement_name", None)
    if not isinstance(name, str):
        return said
    rule = mapping(config, "requirement_map", name)
    return {"requires": provided(plain(rule), mapping(config, "providers")), **said}


def provided(rule: Any, providers: Object) -> Any:
    if isinstance(rule, list):
        return [provided(it, providers) for it in rule]
    if not isinstance(rule, dict):
        return rule
    found = {key: provided(it, providers) for key, it in rule.items()}
    if isinstance(name := found.pop("provider_name", None), str):
        found["provider"] = plain(mapping(providers, name))
    return found
