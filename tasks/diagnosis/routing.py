"""
Where an Envoy sends a request, as it decides: filter chain, virtual host, route; and why not the
others.

Sources: Envoy docs v1.39, "HTTP routing", "Route matching", config.route.v3.VirtualHost (order of
domains), FilterChainMatch (order of criteria).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tasks.diagnosis import asking, chain_choice, host_choice, nearest, route_match
from tasks.diagnosis.config import (
    Chain,
    Configuration,
    Listener,
    Route,
    RouteTable,
    VirtualHost,
)
from tasks.diagnosis.evidence import Request


@dataclass(frozen=True)
class Matched:
    """
    How far a request gets: the first part that is None is where it ends.

    + misses: why each other route of the virtual host does not match, such as
      'httproute/shop/cart/rule/0: path "/carts/1" is not under "/cart"'; those before the route
      that does, or all
    + near: the route, domain or server name that fits best among those that do not match
    + notes: what was taken for granted, what cannot be known, what Envoy does before it looks
    + ends: what Envoy does itself at this point, so that the next part is never looked at, such as
      "virtual host shop redirects to https (require_tls)"
    + domain: of the virtual host that matches, such as "*.example.com"
    + near_host, near_route, near_chain: the things that ``near`` speaks of
    """

    listener: Listener | None = None
    chain: Chain | None = None
    table: RouteTable | None = None
    host: VirtualHost | None = None
    route: Route | None = None
    misses: tuple[str, ...] = ()
    near: str = ""
    notes: tuple[str, ...] = field(default_factory=tuple)
    ends: str = ""
    domain: str | None = None
    near_host: VirtualHost | None = None
    near_route: Route | None = None
    near_chain: Chain | None = None


@dataclass(frozen=True)
class Elsewhere:
    """
    A filter chain that has a host.

    + host, domain: its virtual host, and the domain that matches; None where only its server names
      cover the host
    + server_name: of the chain's match that covers the host, None where it takes any name
    + without_port: whether the host matches only once its port is left out
    """

    listener: Listener
    chain: Chain
    table: RouteTable | None
    host: VirtualHost | None
    domain: str | None
    server_name: str | None
    without_port: bool = False


def matched(
    configuration: Configuration,
    request: Request,
    *,
    port: int | None = None,
    local: str | None = None,
) -> Matched:
    """
    + port, local: where the access log says that the request arrived, such as 10443 and
      "10.0.0.7:10443"; without them the listener is that of the request's port or scheme
    """
    listeners, notes = chain_choice.listeners(configuration, request, port, local)
    reached = [_at(configuration, it, request, local, notes) for it in listeners]
    return max(reached, key=_far, default=Matched(notes=notes))


def _far(it: Matched) -> int:
    """How far that is."""
    return sum(part is not None for part in (it.chain, it.table, it.host, it.route))


def _at(
    configuration: Configuration,
    listener: Listener,
    request: Request,
    local: str | None,
    notes: tuple[str, ...],
) -> Matched:
    chain, said = chain_choice.chain(listener, request, local)
    reached = Matched(listener, chain, notes=(*notes, *said))
    if chain is None:
        names, near = nearest.server_name(listener, chain_choice.server_name(request))
        return replace(reached, near=names, near_chain=near)
    return _in_chain(configuration, reached, listener, chain, request)


def _in_chain(
    configuration: Configuration,
    reached: Matched,
    listener: Listener,
    chain: Chain,
    request: Request,
) -> Matched:
    ends = chain_choice.refused(chain, request)
    if ends or chain.table is None:
        return replace(reached, ends=ends or _without_routes(chain))
    table = configuration.tables.get(chain.table)
    if table is None:
        why = f"route table {chain.table}: not in the dump"
        return replace(reached, notes=(*reached.notes, why))
    asked = asking.asked(request, chain, table, listener.port, configuration.version)
    if asked.ends:
        return replace(reached, table=table, ends=asked.ends)
    host, domain = host_choice.host(table, asked.host)
    reached = replace(
        reached, table=table, host=host, domain=domain, notes=(*reached.notes, *asked.notes)
    )
    if host is None:
        said, near = nearest.domain(table, asked.host)
        return replace(reached, near=said, near_host=near)
    return _in_host(reached, host, asked)


def _without_routes(chain: Chain) -> str:
    """Where its connections go, there being no route table."""
    if chain.manager is not None:
        return f"filter chain {chain.name} has its routes by scope, which is not followed"
    if chain.cluster:
        return f"filter chain {chain.name} sends all of a connection to cluster {chain.cluster}"
    return f"filter chain {chain.name} speaks no HTTP"


def _in_host(reached: Matched, host: VirtualHost, asked: asking.Asked) -> Matched:
    if host.raw.get("require_tls") in ("ALL", "EXTERNAL_ONLY") and asked.scheme != "https":
        return replace(reached, ends=f"virtual host {host.name} redirects to https (require_tls)")
    notes = list(reached.notes)
    misses: list[str] = []
    if "matcher" in host.raw:
        notes.append(f"virtual host {host.name}: its matcher tree is not followed")
    for number, route in enumerate(host.routes):
        verdict = route_match.verdict(route.match, asked)
        called = route.name or f"route {number}"
        notes += [f"{called}: {it}" for it in verdict.unknown]
        if not verdict.reasons:
            return replace(reached, route=route, misses=tuple(misses), notes=tuple(notes))
        misses.append(f"{called}: {'; '.join(verdict.reasons)}")
    said, near = nearest.route(host, asked)
    return replace(reached, misses=tuple(misses), notes=tuple(notes), near=said, near_route=near)


def elsewhere(configuration: Configuration, host: str) -> list[Elsewhere]:
    """
    Filter chains that have this host, whatever name a connection was opened with. Those whose only
    virtual host for it is "*" count where their server names cover it. Of Envoy's own listeners
    (statistics, readiness) none.
    """
    return list(_elsewhere(configuration, host.lower()))


def _elsewhere(configuration: Configuration, host: str) -> Iterator[Elsewhere]:
    bare = asking.without_port(host)
    for listener in configuration.listeners:
        if listener.state != "active" or chain_choice.is_own(listener):
            continue
        for chain in listener.every_chain:
            table = configuration.tables.get(chain.table) if chain.table is not None else None
            found, domain = host_choice.host(table, host) if table else (None, None)
            stripped = False
            if domain in (None, "*") and bare != host and table is not None:
                other = host_choice.host(table, bare)
                stripped = other[1] not in (None, "*")
                found, domain = other if stripped else (found, domain)
            covers = chain_choice.covering(chain.server_names, bare)
            if domain not in (None, "*") or covers is not None:
                yield Elsewhere(listener, chain, table, found, domain, covers, stripped)
