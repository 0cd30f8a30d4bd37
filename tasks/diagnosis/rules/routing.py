"""Virtual hosts and routes: why Envoy found none."""

from __future__ import annotations

import difflib
from dataclasses import replace

from tasks.diagnosis.asking import bare
from tasks.diagnosis.case import Case
from tasks.diagnosis.diagnosis import Found, Ref
from tasks.diagnosis.evidence import Entry
from tasks.diagnosis.objects import attached, hostnames, ref, rule_of
from tasks.diagnosis.owners import field_of, gateway_of, made_from, service_of, table_of
from tasks.diagnosis.routing import elsewhere, matched
from tasks.diagnosis.rules.attachment import not_attached, routes_for


def not_found(case: Case) -> Found | None:
    """Envoy has no route: which of the reasons."""
    if not case.details.startswith("route_not_found"):
        return None
    for reason in (reused, no_route, not_attached, port_in_host):
        if (found := reason(case)) is not None:
            return found
    return no_virtual_host(case)


def reused(case: Case) -> Found | None:
    """A connection opened for another name, whose filter chain lacks this host."""
    entry, request = case.entry, case.request
    sni = (entry.sni if entry is not None else None) or request.sni or ""
    host = bare(request.host)
    if not sni or sni.lower() == host:
        return None
    if case.matched is not None and case.matched.host is not None:
        return None
    others = _other_chains(case, host)
    if case.configuration is not None and not others:
        return None
    if case.configuration is None and not _served(case, host) and not _routed_here(case, host):
        return None
    gateway = gateway_of(case)
    return case.found(
        "h2_connection_reuse",
        gateway,
        "spec.listeners[].hostname",
        f"The connection was opened with the name {sni} and then used for {host}: the routes of "
        f"{host} are in another filter chain, the one of {sni} has none for it.",
        f"serve both names by one listener of {gateway.text} (one hostname that covers both), give "
        "them certificates that do not cover each other, or leave HTTP/2 off in ALPN "
        "(ClientTrafficPolicy spec.tls.alpnProtocols: [http/1.1])",
        f"{host} is in {others[0]}" if others else "",
        answered_by="envoy",
    )


def _other_chains(case: Case, host: str) -> list[str]:
    if case.configuration is None:
        return []
    return [
        f"filter chain {it.chain.name or ', '.join(it.chain.server_names)} of listener "
        f"{it.listener.name}"
        for it in elsewhere(case.configuration, host)
        if it.chain is not case.chain and it.chain.tls and it.host is not None
    ]


def _served(case: Case, host: str) -> bool:
    """Whether another line tells that this host was served to who asked for it by name."""
    return any(
        bare(it.authority or "") == host and (it.sni or "").lower() == host and had_route(it)
        for it in case.evidence.entries
    )


def had_route(it: Entry) -> bool:
    """Whether a line tells of a request that had a route."""
    return bool(it.route or it.upstream_cluster or it.upstream_host) and it.flags != "NR"


def _routed_here(case: Case, host: str) -> bool:
    """Whether a route that is accepted has the host and takes the request."""
    rule = case.objects.rule_for(host, case.request.method, case.request.path)
    route = case.objects.get(rule.route) if rule is not None else None
    return route is not None and attached(route)


def no_route(case: Case) -> Found | None:
    """The virtual host is there; none of its routes takes the request."""
    it = case.matched
    if it is None or it.table is None:
        return _no_route_by_objects(case)
    if it.host is None or it.route is not None:
        return None
    near = it.near_route or (it.host.routes[0] if it.host.routes else None)
    object = made_from(near) or Ref("RouteConfiguration", it.table.name)
    misses = it.misses
    return case.found(
        "no_route_in_virtual_host",
        object,
        field_of(object, "spec.rules[].matches", "virtual_hosts[].routes"),
        f"Virtual host {it.host.name} takes {case.request.host}, but none of its routes matches "
        f"{case.request.method} {case.request.path}: "
        f"{misses[0].partition(': ')[2] if misses else 'it has no route'}.",
        f"add a match for it to {object.text}, or correct the request",
        *misses[:3],
        answered_by="envoy",
    )


def _no_route_by_objects(case: Case) -> Found | None:
    """Without a configuration: a route that is accepted has this host, or lines tell of it."""
    host = bare(case.request.host)
    routes = [it for it in routes_for(case, host) if attached(it)]
    lines = [
        it
        for it in case.evidence.entries
        if bare(it.authority or "") == host and host and had_route(it)
    ]
    if not routes and not lines:
        return None
    if bare(case.request.host) != case.request.host.lower() and _without(case, host):
        return None
    object = ref(routes[0]) if routes else _route_of(lines[-1].route or "")
    said = f"{lines[-1].source}:{lines[-1].line}: route {lines[-1].route}" if lines else ""
    return case.found(
        "no_route_in_virtual_host",
        object,
        "spec.rules[].matches",
        f"{object.text} is for {host}, but no rule of it matches {case.request.method} "
        f"{case.request.path}.",
        f"add a match for it to {object.text}, or correct the request",
        said,
        answered_by="envoy",
        confidence=0.75,
    )


def _route_of(named: str) -> Ref:
    rule = rule_of(named)
    return rule.route if rule is not None else Ref("RouteConfiguration", named)


def port_in_host(case: Case) -> Found | None:
    """Host matches once its port is left out, and Envoy does not leave it out."""
    host = case.request.host
    it = case.matched
    if bare(host) == host.lower() and (it is None or it.table is None):
        return None
    if it is not None and it.table is not None:
        if it.host is not None:
            return None
        without = _without_port(case)
        if without is None:
            return None
        table, domain = it.table.name, without
    else:
        if case.configuration is not None or not _without(case, bare(host)):
            return None
        table, domain = "", bare(host)
    object = _host_object(case, bare(host), table)
    return case.found(
        "host_port_mismatch",
        object,
        "virtual_hosts[].domains",
        f"Host {host} and the domain of the virtual host ({domain}) differ in the port: Envoy "
        "compares the whole.",
        "set ignore_port_in_host_matching: true in the route configuration, or add "
        f'"{bare(host)}:*" to the domains of the virtual host',
        f"domain {domain} would match but for the port",
        answered_by="envoy",
    )


def _without_port(case: Case) -> str | None:
    """The domain that the host without its port matches."""
    if case.configuration is None:
        return None
    host = bare(case.request.host)
    table = case.matched.table if case.matched is not None else None
    for vhost in table.hosts if table is not None else ():
        for domain in vhost.domains:
            if bare(domain) == host and domain.lower() != host:
                return domain
    if host == case.request.host.lower():
        return None
    request = replace(case.seen, host=host)
    at_port = case.listener.port if case.listener is not None else None
    local = case.entry.local if case.entry is not None else None
    found = matched(case.configuration, request, port=at_port, local=local or None)
    if found.host is None:
        return None
    return found.domain or (found.host.domains[0] if found.host.domains else None)


def _without(case: Case, host: str) -> bool:
    """Without a configuration: whether the host is served once its port is left out."""
    lines = [it for it in case.evidence.entries if (it.authority or "").lower() == host]
    return any(had_route(it) for it in lines) or _routed_here(case, host)


def _host_object(case: Case, host: str, table: str) -> Ref:
    """The route for a host, else the table that lacks it."""
    routes = routes_for(case, host)
    if routes:
        return ref(routes[0])
    if table:
        return Ref("RouteConfiguration", table)
    return table_of(case)


def no_virtual_host(case: Case) -> Found | None:
    it = case.matched
    host = bare(case.request.host)
    if case.configuration is None and not any(case.objects.of("HTTPRoute", "GRPCRoute")):
        return None  # nothing tells a host without routes from a route that does not match
    if it is not None and it.route is not None:
        return None  # see contradicted
    object = _nearest_route(case, host)
    known = it is not None and it.table is not None
    near = it.near if it is not None else ""
    return case.found(
        "no_virtual_host_match",
        object,
        field_of(object, "spec.hostnames", "virtual_hosts[].domains"),
        f"No virtual host has a domain that matches {case.request.host or 'the Host it asks for'}"
        f"{f' (nearest: {near})' if near else ''}.",
        f"ask for a name that is served, or add {host} to "
        + field_of(object, "spec.hostnames of the route", "the domains of a virtual host"),
        f"nearest: {near}" if near else "",
        answered_by="envoy",
        confidence=0.95 if known else 0.6,
    )


def contradicted(case: Case) -> str | None:
    """Where Envoy had no route for what the configuration that was read does take."""
    it = case.matched
    if not case.details.startswith("route_not_found") or it is None or it.route is None:
        return None
    name = it.route.name or (it.host.name if it.host is not None else "")
    return (
        f"Envoy had no route for this request, but {name} of the configuration that was read takes "
        "it: the request came to another listener, filter chain or Envoy (another node's), or the "
        "configuration is newer than the request: ask again, and read the one that answers"
    )


def _nearest_route(case: Case, host: str) -> Ref:
    """The route whose hostname is most like the one that was asked for."""
    found: list[tuple[float, Ref]] = []
    if routes := routes_for(case, host):
        return ref(routes[0])
    if case.matched is not None and case.matched.near_host is not None:
        for route in case.matched.near_host.routes:
            if (it := made_from(route)) is not None:
                return it
    for one in case.objects.of("HTTPRoute", "GRPCRoute"):
        for named in hostnames(one):
            found.append((likeness(host, named), ref(one)))
    table = case.matched.table if case.matched is not None else None
    for vhost in table.hosts if table is not None else ():
        for route in vhost.routes[:1]:
            it = made_from(route)
            if it is not None:
                found += [(likeness(host, domain), it) for domain in vhost.domains]
    if found:
        return max(found, key=lambda it: it[0])[1]
    return table_of(case)


def likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def misdirected(case: Case) -> Found | None:
    if case.status != 421 and (case.entry is None or case.entry.status != 421):
        return None
    entry = case.entry
    sni = (entry.sni if entry is not None else None) or case.request.sni or "another name"
    gateway = gateway_of(case)
    object = service_of(case) if case.answered_by == "upstream" else gateway
    return case.found(
        "misdirected_request_421",
        object,
        "spec.listeners[].hostname",
        f"{case.request.host} was asked for over a connection that was opened for {sni}: the "
        f"answer was 421, so that the client opens one of its own.",
        "browsers do so by themselves; for other clients open a connection for each name, or serve "
        f"both names by one listener of {gateway.text}",
    )
