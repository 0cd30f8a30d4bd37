"""
Certificates of the fleet: from each name and address to the Secret, who renews it, and the bytes
that every proxy really serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyinfra import host

from tasks import gateways
from tasks.facts.kube import KubeObjects, ServedVersions
from tasks.fleet.guard import fact
from tasks.fleet.inventory import Cluster
from tasks.plans import listeners
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API
from tasks.plans.listeners import Listener

Object = Mapping[str, Any]


def listeners_of(data: Cluster) -> list[Listener]:
    """
    The listeners of our controller that take TLS. One request for each kind that the cluster
    serves, ten at most.
    """
    served = fact(ServedVersions)

    def every(group: str, plural: str, kind: str) -> list[dict[str, Any]]:
        versions = served.get(f"{plural}.{group}")
        if not versions:
            return []
        return fact(KubeObjects, api_version=f"{group}/{versions[0]}", kind=kind)

    classes, own = gateways.of_our_controller(
        data,
        every(GATEWAY_API, "gatewayclasses", "GatewayClass"),
        every(GATEWAY_API, "gateways", "Gateway"),
    )
    return listeners.of_gateways(
        host.name,
        own,
        every(GATEWAY_API, "referencegrants", "ReferenceGrant"),
        listeners.merged(classes, every(ENVOY_GATEWAY, "envoyproxies", "EnvoyProxy")),
        every(GATEWAY_API, "listenersets", "ListenerSet"),
        [
            *every(GATEWAY_API, "httproutes", "HTTPRoute"),
            *every(GATEWAY_API, "grpcroutes", "GRPCRoute"),
            *every(GATEWAY_API, "tlsroutes", "TLSRoute"),
        ],
        every(ENVOY_GATEWAY, "clienttrafficpolicies", "ClientTrafficPolicy"),
    )
