"""What teams may use and lend each other, as a cluster is to have it."""

from __future__ import annotations

from typing import Any

from tasks.fleet.inventory import Cluster, Gateway
from tasks.fleet.render import render
from tasks.plans import teams
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API

_OF_ENVOY_GATEWAY = ("Backend", "SecurityPolicy", "EnvoyExtensionPolicy")


def admitted(data: Cluster, gateway: Gateway) -> dict[str, list[str] | None]:
    """By listener, the namespaces that it is for; None leaves that to ``routes_from``."""
    named = f"{gateway.namespace}/{gateway.name}"
    return {it.name: teams.admitted(data.teams, named, it.name) for it in gateway.listeners}


def bringing(data: Cluster, gateway: Gateway) -> list[str] | None:
    """The namespaces whose ListenerSets it takes; None leaves that to ``listeners_from``."""
    return teams.bringing(data.teams, f"{gateway.namespace}/{gateway.name}")


def grants(name: str, data: Cluster) -> list[dict[str, Any]]:
    """The ReferenceGrants of a cluster's teams, one for each object that is lent."""
    found = []
    for team in data.teams:
        for it in team.grants:
            found += render(
                "gateway/referencegrant.yaml.j2",
                name,
                grant=it,
                group=ENVOY_GATEWAY if it.kind in _OF_ENVOY_GATEWAY else "",
                by={
                    kind: ENVOY_GATEWAY if kind in _OF_ENVOY_GATEWAY else GATEWAY_API
                    for kind in it.by
                },
                part=f"{it.namespace}-{it.kind}-{it.name}".lower(),
            )
    return found
