"""What keeps gRPC, or browsers beside it, from being served: HTTP/2 is not spoken all the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tasks.checks.findings import Finding, Severity, Where
from tasks.plans.kinds import title
from tasks.plans.limits import at, ways
from tasks.plans.probes import covered

Object = Mapping[str, Any]
#: What Services say of a port: HTTP/2 without TLS, and what makes Envoy Gateway speak HTTP/1.
H2C, WEBSOCKETS = "kubernetes.io/h2c", ("kubernetes.io/ws", "kubernetes.io/wss")


def http2_findings(
    cluster: str, objects: Iterable[Object], services: Iterable[Object] = ()
) -> Iterator[Finding]:
    """
    Of Gateways, routes and policies. + services: those of the cluster; of one that is not among
    them nothing is said
    """
    every = list(objects)
    ports = {
        (it["metadata"]["namespace"], it["metadata"]["name"], port.get("port")): port
        for it in services
        for port in at(it, "spec", "ports") or ()
    }
    grpc = [it for it in every if it["kind"] == "GRPCRoute"]
    http = [it for it in every if it["kind"] == "HTTPRoute"]
    beside: dict[tuple[str, str], list[Object]] = {}
    for route in http:
        for key in _gateways(route):
            beside.setdefault(key, []).append(route)
    for route in grpc:
        yield from _speaks_http1(cluster, route, ports)
        yield from _takes_all(cluster, route, beside)
    sealed = _with_policies(every)
    of_grpc = {
        key: it for it in grpc for key in _ports(it) if at(ports.get(key), "appProtocol") == H2C
    }
    for route in every:
        if route["kind"] == "TLSRoute":
            yield from _twice(cluster, route, sealed)
    for route in http:
        yield from _is_grpc(cluster, route, ports)
        yield from _shared_port(cluster, route, of_grpc)
    found: dict[Finding, None] = {}
    for way in ways(every):
        if way.route["kind"] == "GRPCRoute":
            for it in _offered(cluster, way.route, way.gateway, way.clients, way.of_clients):
                found.setdefault(it)
    yield from found


def _finding(
    code: str, severity: Severity, cluster: str, thing: Object, what: str, fix: str
) -> Finding:
    return Finding(code, severity, Where(cluster, title(thing)), what, fix)


def _ports(route: Object) -> set[tuple[str, str, int]]:
    """Of Services, as (namespace, name, port)."""
    own = route["metadata"]["namespace"]
    return {
        (it.get("namespace") or own, it["name"], it.get("port"))
        for rule in at(route, "spec", "rules") or ()
        for it in rule.get("backendRefs") or ()
        if it.get("kind", "Service") == "Service"
    }


def _speaks_http1(cluster: str, route: Object, ports: Mapping[Any, Object]) -> Iterator[Finding]:
    for key in sorted(_ports(route) & set(ports), key=str):
        if ports[key].get("appProtocol") in WEBSOCKETS:
            yield _finding(
                "GW363",
                "error",
                cluster,
                route,
                f"port {key[2]} of Service {key[0]}/{key[1]} says {ports[key]['appProtocol']}, so "
                "proxies speak HTTP/1 to it, in which there is no gRPC",
                f"give gRPC a port of its own in the Service, with appProtocol {H2C}",
            )


def _is_grpc(cluster: str, route: Object, ports: Mapping[Any, Object]) -> Iterator[Finding]:
    """An HTTPRoute that asks for gRPC's content type, to a port that says nothing of HTTP/2."""
    for number, rule in enumerate(at(route, "spec", "rules") or ()):
        headers = [
            it
            for match in rule.get("matches") or ()
            for it in match.get("headers") or ()
            if it["name"].lower() == "content-type" and "application/grpc" in it["value"]
        ]
        one = {"metadata": route["metadata"], "spec": {"rules": [rule]}}
        for key in sorted(_ports(one) & set(ports), key=str) if headers else ():
            if ports[key].get("appProtocol") not in (H2C, "grpc"):
                yield Finding(
                    "GW363",
                    "error",
                    Where(cluster, title(route), f"rule {number}"),
                    f"it takes gRPC, and proxies speak HTTP/1 to port {key[2]} of Service "
                    f"{key[0]}/{key[1]}, which does not say {H2C}",
                    f"make it a GRPCRoute, or set appProtocol of the port to {H2C}",
                )


def _with_policies(objects: Iterable[Object]) -> set[tuple[str, str]]:
    """Services to which proxies speak TLS, as (namespace, name)."""
    return {
        (it["metadata"]["namespace"], ref["name"])
        for it in objects
        if it["kind"] == "BackendTLSPolicy"
        for ref in at(it, "spec", "targetRefs") or ()
        if ref["kind"] == "Service"
    }


def _twice(cluster: str, route: Object, sealed: set[tuple[str, str]]) -> Iterator[Finding]:
    for namespace, name in sorted({key[:2] for key in _ports(route)} & sealed):
        yield _finding(
            "GW368",
            "error",
            cluster,
            route,
            f"a BackendTLSPolicy makes proxies speak TLS to Service {namespace}/{name}, and what "
            "this route hands on is TLS already: the backend understands neither",
            "lead it to a Service of its own for the same Pods, which no policy names",
        )


def _shared_port(
    cluster: str, route: Object, of_grpc: Mapping[tuple[str, str, int], Object]
) -> Iterator[Finding]:
    for key in sorted(_ports(route) & set(of_grpc), key=str):
        yield _finding(
            "GW364",
            "warning",
            cluster,
            route,
            f"port {key[2]} of Service {key[0]}/{key[1]}, to which {title(of_grpc[key])} leads "
            f"too, says {H2C}: browsers' requests go there as HTTP/2, which a server that tells "
            "both apart by connection (argocd-server) takes for gRPC",
            "take appProtocol off: proxies speak HTTP/2 for a GRPCRoute all the same",
        )


def _takes_all(
    cluster: str, route: Object, beside: Mapping[tuple[str, str], list[Object]]
) -> Iterator[Finding]:
    """+ beside: HTTPRoutes by Gateway"""
    rules: Sequence[Object] = at(route, "spec", "rules") or [{}]
    if all(_tells(match) for rule in rules for match in rule.get("matches") or [{}]):
        return
    others = {title(it): it for key in _gateways(route) for it in beside.get(key, ())}
    for name, other in sorted(others.items()):
        rules = at(other, "spec", "rules") or ()
        if _one_host(route, other) and any(_all_paths(it) for it in rules):
            yield _finding(
                "GW365",
                "error",
                cluster,
                route,
                f"it takes every request, as {name} does for the same host of the same listener: "
                "one of both never gets any",
                "match methods, or the header content-type with ^application/grpc.*$",
            )


def _tells(match: Object) -> bool:
    return bool(match.get("method") or match.get("headers"))


def _all_paths(rule: Object) -> bool:
    root = {"type": "PathPrefix", "value": "/"}
    return any(
        not it.get("headers") and {**root, **(it.get("path") or {})} == root
        for it in rule.get("matches") or [{}]
    )


def _one_host(one: Object, other: Object) -> bool:
    """Of one listener, too."""
    these, those = _gateways(one), _gateways(other)
    both = ((these[key], those[key]) for key in set(these) & set(those))
    if not any(a & b or None in a or None in b for a, b in both):
        return False
    names, others = (it["spec"].get("hostnames") for it in (one, other))
    return not names or not others or any(covered(a, b) for a in names for b in others)


def _gateways(route: Object) -> dict[tuple[str, str], set[str | None]]:
    """By namespace and name of its parents, the listeners it names; None is every one."""
    found: dict[tuple[str, str], set[str | None]] = {}
    for it in at(route, "spec", "parentRefs") or ():
        key = it.get("namespace") or route["metadata"]["namespace"], it["name"]
        found.setdefault(key, set()).add(it.get("sectionName"))
    return found


def _offered(
    cluster: str, route: Object, gateway: Object, clients: Object, policy: Object | None
) -> Iterator[Finding]:
    """Whether the TLS listeners of its Gateway offer HTTP/2 at all."""
    of_tls = [it for it in at(gateway, "spec", "listeners") or () if it["protocol"] == "HTTPS"]
    named = {it.get("sectionName") for it in route["spec"].get("parentRefs") or ()}
    of_tls = [it for it in of_tls if None in named or it["name"] in named]
    alpn = at(clients, "tls", "alpnProtocols")
    if of_tls and policy is not None and alpn and "h2" not in alpn:
        yield _finding(
            "GW366",
            "error",
            cluster,
            policy,
            f"its listeners offer {', '.join(alpn)}, and {title(route)} needs h2: clients of gRPC "
            "cannot connect",
            'put "h2" before them in alpn',
        )
    if alpn:
        return
    every = [it for it in at(gateway, "spec", "listeners") or () if it["protocol"] == "HTTPS"]
    for it in of_tls:
        for other in every:
            if other is not it and other["port"] == it["port"] and _secrets(it) & _secrets(other):
                yield Finding(
                    "GW367",
                    "error",
                    Where(cluster, title(gateway), f"listener {it['name']}"),
                    f"it has a certificate that listener {other['name']} has too, so Envoy Gateway "
                    f"offers no HTTP/2, which {title(route)} needs",
                    'give them certificates without names in common, or set alpn to ["h2", '
                    '"http/1.1"] where no client may reuse a connection for both names',
                )
                return


def _secrets(listener: Object) -> set[tuple[Any, Any]]:
    refs = at(listener, "tls", "certificateRefs") or ()
    return {(it.get("namespace"), it["name"]) for it in refs}
