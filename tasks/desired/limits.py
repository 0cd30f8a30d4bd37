"""Policies on what goes on to backends: how much of it, how long, and by which TLS."""

from __future__ import annotations

from typing import Any

from tasks.fleet.inventory import Cluster, Gateway, Limits, Route
from tasks.fleet.render import render


def traffic_policy(
    name: str, kind: str, target: Gateway | Route, limits: Limits | None
) -> list[dict[str, Any]]:
    """The BackendTrafficPolicy of a Gateway or a route, none where nothing is said."""
    if limits is None or not limits.of_backends:
        return []
    return render(
        "gateway/backendtrafficpolicy.yaml.j2",
        name,
        kind=kind,
        target=target,
        limits=limits,
        merged=kind != "Gateway",
        part=f"{kind.lower()}-{target.namespace}-{target.name}",
    )


def backend_tls(name: str, data: Cluster) -> list[dict[str, Any]]:
    """One BackendTLSPolicy a Service, however many routes lead to it."""
    by_service = {
        (route.namespace, it.service): (route, it)
        for route in data.routes
        for it in route.backends
        if it.tls is not None
    }
    return [
        thing
        for (namespace, service), (route, backend) in by_service.items()
        for thing in render(
            "gateway/backendtlspolicy.yaml.j2",
            name,
            route=route,
            backend=backend,
            part=f"{namespace}-{service}",
        )
    ]
