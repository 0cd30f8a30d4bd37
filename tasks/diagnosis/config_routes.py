"""Route tables of a dump: virtual hosts and routes."""

from __future__ import annotations

import re

from tasks.diagnosis.config import Route, RouteTable, VirtualHost
from tasks.diagnosis.leniency import Lenient, Object

_ISTIO = re.compile(r".*/namespaces/(?P<namespace>[^/]+)/(?P<kind>[^/]+)/(?P<name>[^/]+)")


def table(raw: Object, it: Lenient) -> RouteTable:
    """A RouteConfiguration."""
    hosts = it.objects(raw.get("virtual_hosts"), "virtual hosts")
    rest = {key: value for key, value in raw.items() if key != "virtual_hosts"}
    name = it.text(raw.get("name"), "route tables, name")
    return RouteTable(name, tuple(_host(one, it) for one in hosts), rest)


def _host(raw: Object, it: Lenient) -> VirtualHost:
    routes = it.objects(raw.get("routes"), "routes")
    rest = {key: value for key, value in raw.items() if key != "routes"}
    return VirtualHost(
        it.text(raw.get("name"), "virtual hosts, name"),
        it.texts(raw.get("domains"), "virtual hosts, domains"),
        tuple(_route(one, it) for one in routes),
        rest,
    )


def _route(raw: Object, it: Lenient) -> Route:
    return Route(
        it.text(raw.get("name"), "routes, name"),
        it.mapping(raw.get("match"), "routes, match"),
        raw,
        _clusters(it.mapping(raw.get("route"), "routes, route"), it),
        resources(raw, it),
    )


def _clusters(action: Object, it: Lenient) -> dict[str, int]:
    """By name, with weights; empty where a header or a plugin names the cluster."""
    name = it.text(action.get("cluster"), "routes, cluster")
    if name:
        return {name: 1}
    weighted = it.mapping(action.get("weighted_clusters"), "routes, weighted_clusters")
    found: dict[str, int] = {}
    for one in it.objects(weighted.get("clusters"), "routes, weighted_clusters"):
        called = it.text(one.get("name"), "routes, cluster")
        if called:
            weight = it.number(one.get("weight"), "routes, weight")
            found[called] = found.get(called, 0) + weight
    return found


def resources(raw: Object, it: Lenient) -> tuple[Object, ...]:
    """Objects that this was made of, as Envoy Gateway and Istio say."""
    metadata = it.mapping(raw.get("metadata"), "metadata")
    if not metadata:
        return ()
    kept = it.mapping(metadata.get("filter_metadata"), "metadata")
    ours = it.mapping(kept.get("envoy-gateway"), "metadata")
    named = it.text(it.mapping(kept.get("istio"), "metadata").get("config"), "metadata")
    return (*it.objects(ours.get("resources"), "metadata, resources"), *_of_istio(named))


def _of_istio(path: str) -> tuple[Object, ...]:
    """Such as "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/cart"."""
    found = _ISTIO.fullmatch(path)
    if found is None:
        return ()
    kind = "".join(it.capitalize() for it in found["kind"].split("-"))
    return ({"kind": kind, "namespace": found["namespace"], "name": found["name"]},)
