"""
Scenes of a cluster of the lab, with its own Envoy Gateway and kube-state-metrics: what conditions
of objects say, and what the controller does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
PLACE = "scenes"
GATEWAY_API, ENVOY = "gateway.networking.k8s.io/v1", "gateway.envoyproxy.io/v1alpha1"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"


@dataclass(frozen=True)
class ClusterScene:
    """
    + name: of the scene, and of its objects; + what: happens; + alert: that fires
    + labels: of it that tell whose it is
    + objects: that are wrong; deleting them ends it
    """

    name: str
    what: str
    alert: str
    labels: Mapping[str, str] = field(default_factory=dict)
    objects: Sequence[Object] = ()


def thing(api: str, kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": PLACE}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def gateway(name: str, proxy: str | None = None, **listener: Any) -> Object:
    """+ proxy: the EnvoyProxy that it asks for"""
    one = {"name": "http", "port": 80, "protocol": "HTTP", **listener}
    spec: Object = {"gatewayClassName": "envoy", "listeners": [one]}
    if proxy is not None:
        reference = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": proxy}
        spec["infrastructure"] = {"parametersRef": reference}
    return thing(GATEWAY_API, "Gateway", name, spec)


def proxies(name: str, **deployment: Any) -> Object:
    """An EnvoyProxy whose Deployment is so."""
    provider = {"type": "Kubernetes", "kubernetes": {"envoyDeployment": deployment}}
    return thing(ENVOY, "EnvoyProxy", name, {"provider": provider})


def route(name: str, host: str, service: str = "blue", parent: str = "scenes") -> Object:
    spec = {
        "parentRefs": [{"name": parent}],
        "hostnames": [host],
        "rules": [{"backendRefs": [{"name": service, "port": 8080}]}],
    }
    return thing(GATEWAY_API, "HTTPRoute", name, spec)


def _of(name: str) -> dict[str, str]:
    return {"namespace": PLACE, "name": name}


#: What is well, and stays so.
WELL: Sequence[Object] = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}},
    gateway("scenes", hostname="*.scenes.test"),
)
CLASS: Object = {
    "apiVersion": GATEWAY_API,
    "kind": "GatewayClass",
    "metadata": {"name": "cluster-class"},
    "spec": {
        "controllerName": CONTROLLER,
        "parametersRef": {
            "group": "gateway.envoyproxy.io",
            "kind": "EnvoyProxy",
            "name": "nothing",
            "namespace": PLACE,
        },
    },
}

SCENES = (
    ClusterScene(
        "cluster-class",
        "a GatewayClass names an EnvoyProxy that is not there",
        "EnvoyGatewayClassNotAccepted",
        {"name": "cluster-class"},
        (CLASS,),
    ),
    ClusterScene(
        "cluster-gateway",
        "a Gateway names an EnvoyProxy that is not there",
        "EnvoyGatewayNotAccepted",
        _of("cluster-gateway"),
        (gateway("cluster-gateway", "nothing"),),
    ),
    ClusterScene(
        "cluster-no-node",
        "proxies of a Gateway find no node",
        "EnvoyGatewayNotProgrammed",
        _of("cluster-no-node"),
        (
            proxies("cluster-no-node", pod={"nodeSelector": {"disk": "none"}}),
            gateway("cluster-no-node", "cluster-no-node"),
        ),
    ),
    ClusterScene(
        "cluster-no-image",
        "the image of proxies cannot be pulled",
        "EnvoyProxyDoesNotStart",
        {},
        (
            proxies("cluster-no-image", container={"image": "docker.io/lab/envoy:nothing"}),
            gateway("cluster-no-image", "cluster-no-image"),
        ),
    ),
    ClusterScene(
        "cluster-route",
        "no listener has the host name of an HTTPRoute",
        "EnvoyRouteNotAccepted",
        _of("cluster-route"),
        (route("cluster-route", "shop.other.test"),),
    ),
    ClusterScene(
        "cluster-references",
        "an HTTPRoute names a Service that is not there",
        "EnvoyRouteBackendsUnresolved",
        _of("cluster-references"),
        (route("cluster-references", "shop.scenes.test", "nothing"),),
    ),
    ClusterScene(
        "cluster-unavailable",
        "the proxies of two of these Gateways are not available",
        "EnvoyProxyDeploymentUnavailable",
    ),
    ClusterScene(
        "cluster-controller",
        "the controller is scaled to nothing",
        "EnvoyGatewayControllerDown",
    ),
    ClusterScene(
        "cluster-stream",
        "the proxies have no stream to the controller that is scaled to nothing",
        "EnvoyProxyDisconnected",
    ),
)
