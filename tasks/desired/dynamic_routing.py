"""Objects of ``dynamic_routing``, for which the proxies have to be asked first."""

from __future__ import annotations

from typing import Any

from tasks.fleet.inventory import DynamicRoute
from tasks.fleet.render import render
from tasks.plans import dynamic_routing as plans
from tasks.plans.ours import labelled


def way(name: str, it: DynamicRoute) -> list[dict[str, Any]]:
    """
    The route through which the proxies of a cluster know the resolver. Raises TemplateRefused, as
    all of these.
    """
    route = plans.resolver_route(it.name)
    about: dict[str, Any] = {"part": f"{it.namespace}-{route}", "it": it, "name": route}
    found = _route(name, it, route, match="Exact", path=it.resolver.path, backend=it.resolver)
    found += _render("backendtrafficpolicy-resolver", name, **about)
    if not it.resolver.open:
        found += _render("securitypolicy", name, **about)
    return found


def policies(name: str, it: DynamicRoute, resolver: str) -> list[dict[str, Any]]:
    """+ resolver: what the proxies call its cluster"""
    about: dict[str, Any] = {"part": f"{it.namespace}-{it.name}", "it": it}
    found = _render("backendtrafficpolicy", name, **about)
    return found + _render("envoyextensionpolicy", name, **about, **script(name, it, resolver))


def script(name: str, it: DynamicRoute, resolver: str) -> dict[str, Any]:
    """What templates/dynamic-routing/pinned.lua.j2 is told."""
    return {
        "title": it.title,
        "resolver": resolver,
        "authority": f"{it.resolver.service}.{it.namespace}",
        "question": f"{it.resolver.path}?{it.parameter}=",
        "parameter": it.parameter,
        "pattern": plans.pattern(it.resolver.answer),
        "timeout": it.resolver.milliseconds,
        "mark": plans.mark(name, it.namespace, it.name),
        "refused": plans.ranges(plans.REFUSED),
        "allowed": plans.ranges(it.allowed.cidrs),
        "ports": it.allowed.ports,
    }


def join(name: str, it: DynamicRoute) -> list[dict[str, Any]]:
    """The route of the clients."""
    return _route(name, it, it.name, match="PathPrefix", path=it.path, backend=it.servers)


def _route(name: str, it: DynamicRoute, route: str, **more: Any) -> list[dict[str, Any]]:
    namespace, _, parent = it.gateway.partition("/")
    return _render(
        "httproute",
        name,
        part=f"{it.namespace}-{route}",
        it=it,
        name=route,
        parent_name=parent,
        parent_namespace=namespace,
        **more,
    )


def _render(kind: str, cluster: str, **values: Any) -> list[dict[str, Any]]:
    found = render(f"dynamic-routing/{kind}.yaml.j2", cluster, **values)
    return [labelled(it, plans.DEPLOY) for it in found]
