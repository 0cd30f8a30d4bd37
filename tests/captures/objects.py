"""The objects of a world, as an API server keeps them."""

from __future__ import annotations

import base64
from hashlib import sha256

from tests.captures.backends import pod_name
from tests.captures.casts import RELEASES
from tests.captures.world import Json, Listener, Route, Rule, Service, World

SINCE = "2026-11-01T08:00:00Z"
GATEWAY, ENVOY = "gateway.networking.k8s.io", "gateway.envoyproxy.io"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
SYSTEM = "envoy-gateway-system"
GOOD = {
    "Accepted": ("Accepted", "Route is accepted"),
    "ResolvedRefs": ("ResolvedRefs", "Resolved all the Object references for the Route"),
}
VERSIONS = {
    "SecurityPolicy": f"{ENVOY}/v1alpha1",
    "BackendTrafficPolicy": f"{ENVOY}/v1alpha1",
    "ClientTrafficPolicy": f"{ENVOY}/v1alpha1",
    "EnvoyExtensionPolicy": f"{ENVOY}/v1alpha1",
    "HTTPRouteFilter": f"{ENVOY}/v1alpha1",
    "EnvoyProxy": f"{ENVOY}/v1alpha1",
    "BackendTLSPolicy": f"{GATEWAY}/v1",
}
ANCESTORS = ("SecurityPolicy", "BackendTrafficPolicy", "ClientTrafficPolicy")


def listed(world: World, address: str) -> Json:
    items: list[Json] = []
    if not world.plain:
        items = [_class(), _gateway(world, address), *_proxy(world, address)]
        for namespace, name in world.pairs:
            items.append(_secret(world, namespace, name))
        shown: list[Service] = []
        for route in world.routes:
            items.append(_route(world, route))
            for rule in route.rules:
                for service, _ in rule.services:
                    if not any(service is it for it in shown):
                        shown.append(service)
                        items += _service(service)
        items += [_policy(world, it) for it in world.policies]
        for service in world.helpers.values():
            items += _service(service)
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _object(version: str, kind: str, name: str, namespace: str | None = None, **more: Json) -> Json:
    meta: Json = {"name": name, "generation": 1, "creationTimestamp": SINCE}
    if namespace is not None:
        meta["namespace"] = namespace
    meta.update(more.pop("metadata", {}))
    return {"apiVersion": version, "kind": kind, "metadata": meta, **more}


def condition(type_: str, reason: str, message: str, status: str = "True") -> Json:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": SINCE,
    }


def _class() -> Json:
    accepted = condition("Accepted", "Accepted", "Valid GatewayClass")
    return _object(
        f"{GATEWAY}/v1",
        "GatewayClass",
        "eg",
        spec={"controllerName": CONTROLLER},
        status={"conditions": [accepted]},
    )


def _gateway(world: World, address: str) -> Json:
    namespace, name = world.gateway
    return _object(
        f"{GATEWAY}/v1",
        "Gateway",
        name,
        namespace,
        spec={
            "gatewayClassName": "eg",
            "listeners": [_listener(it) for it in world.listeners],
        },
        status={
            "addresses": [{"type": "IPAddress", "value": address}],
            "conditions": [
                condition(
                    "Accepted", "Accepted", "The Gateway has been scheduled by Envoy Gateway"
                ),
                condition(
                    "Programmed",
                    "Programmed",
                    "Address assigned to the Gateway, 1/1 envoy replicas available",
                ),
            ],
            "listeners": [_listener_status(world, it) for it in world.listeners],
        },
    )


def _listener(it: Listener) -> Json:
    made: Json = {
        "name": it.name,
        "port": it.port,
        "protocol": "HTTPS" if it.secret else "HTTP",
        "allowedRoutes": {"namespaces": {"from": it.allowed}},
    }
    if it.hostname is not None:
        made["hostname"] = it.hostname
    if it.secret is not None:
        namespace, name = it.secret
        reference = {"group": "", "kind": "Secret", "name": name, "namespace": namespace}
        made["tls"] = {"mode": "Terminate", "certificateRefs": [reference]}
    return made


def _listener_status(world: World, it: Listener) -> Json:
    from tests.captures.xds import attached

    count = sum(one.attached and one.seen and attached(one, it) for one in world.routes)
    return {
        "name": it.name,
        "attachedRoutes": count,
        "supportedKinds": [{"group": GATEWAY, "kind": kind} for kind in ("HTTPRoute", "GRPCRoute")],
        "conditions": [
            condition(
                "Programmed",
                "Programmed",
                "Sending translated listener configuration to the data plane",
            ),
            condition("Accepted", "Accepted", "Listener has been successfully translated"),
            condition("ResolvedRefs", "ResolvedRefs", "Listener references have been resolved"),
        ],
    }


def _proxy(world: World, address: str) -> list[Json]:
    """The Service and the Pod of the proxy."""
    namespace, name = world.gateway
    digest = sha256(f"{namespace}/{name}".encode()).hexdigest()[:8]
    full = f"envoy-{namespace}-{name}-{digest}"
    labels = {
        "app.kubernetes.io/component": "proxy",
        "app.kubernetes.io/managed-by": "envoy-gateway",
        "app.kubernetes.io/name": "envoy",
        "gateway.envoyproxy.io/owning-gateway-name": name,
        "gateway.envoyproxy.io/owning-gateway-namespace": namespace,
    }
    ports = {it.port: it for it in world.listeners}
    named = [(f"{'https' if it.secret else 'http'}-{it.port}", it) for it in ports.values()]
    service = _object(
        "v1",
        "Service",
        full,
        SYSTEM,
        metadata={"labels": labels},
        spec={
            "type": "LoadBalancer",
            "clusterIP": "10.96.210.7",
            "externalTrafficPolicy": "Local",
            "selector": labels,
            "ports": [
                {"name": title, "port": it.port, "protocol": "TCP", "targetPort": it.inner}
                for title, it in named
            ],
        },
        status={"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}},
    )
    envoy = {
        "name": "envoy",
        "image": f"docker.io/envoyproxy/envoy:distroless-v{RELEASES[world.release]}",
        "ports": [
            *({"containerPort": it.inner, "name": title} for title, it in named),
            {"containerPort": 19001, "name": "metrics"},
            {"containerPort": 19003, "name": "readiness"},
        ],
    }
    manager = {
        "name": "shutdown-manager",
        "image": f"docker.io/envoyproxy/gateway:v{world.release}",
    }
    pod = _object(
        "v1",
        "Pod",
        f"{full}-68d7f9b9c8-q4x2m",
        SYSTEM,
        metadata={"labels": labels},
        spec={"containers": [envoy, manager]},
        status={
            "phase": "Running",
            "podIP": address,
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": it, "ready": True, "restartCount": 0}
                for it in ("envoy", "shutdown-manager")
            ],
        },
    )
    return [service, pod]


def _secret(world: World, namespace: str, name: str) -> Json:
    pair = world.pairs[namespace, name]
    data = {"tls.crt": base64.b64encode(pair.pem).decode(), "tls.key": ""}
    return {**_object("v1", "Secret", name, namespace), "type": "kubernetes.io/tls", "data": data}


def _route(world: World, route: Route) -> Json:
    namespace, name = world.gateway
    sections: list[str | None] = [*route.sections]
    if route.section is not None:
        sections = [route.section]
    parents = []
    for section in sections or [None]:
        parent = {"group": GATEWAY, "kind": "Gateway", "name": route.parent or name}
        parent["namespace"] = namespace
        if section is not None:
            parent["sectionName"] = section
        parents.append(parent)
    status = [
        {"controllerName": CONTROLLER, "parentRef": it, "conditions": _conditions(route)}
        for it in parents
    ]
    return _object(
        f"{GATEWAY}/v1",
        route.kind,
        route.name,
        route.namespace,
        spec={
            "parentRefs": parents,
            "rules": [_rule(it) for it in route.rules],
            "hostnames": route.hosts,
        },
        status={"parents": status if route.parent is None else []},
    )


def _conditions(route: Route) -> list[Json]:
    made = []
    for kind, (reason, message) in GOOD.items():
        wrong = route.conditions.get(kind)
        made.append(
            condition(kind, *wrong, status="False") if wrong else condition(kind, reason, message)
        )
    for kind, (reason, message) in route.conditions.items():
        if kind not in GOOD:
            made.append(condition(kind, reason, message, status="False"))
    return made


def _rule(rule: Rule) -> Json:
    said: Json = {
        "matches": rule.matches or [{"path": {"type": "PathPrefix", "value": "/"}}],
    }
    if rule.filters:
        said["filters"] = rule.filters
    if rule.timeouts:
        said["timeouts"] = rule.timeouts
    if rule.services:
        said["backendRefs"] = [
            {
                "group": "",
                "kind": "Service",
                "name": service.name,
                "port": rule.port or service.port,
                "weight": weight,
            }
            for service, weight in rule.services
        ]
    return said


def _service(it: Service) -> list[Json]:
    if not it.present:
        return []
    labels = {"app": it.name}
    port: Json = {"name": "http", "port": it.port, "protocol": "TCP", "targetPort": it.target}
    if it.protocol is not None:
        port["appProtocol"] = it.protocol
    selector = labels if it.selected else {"app": f"{it.name}-v2"}
    pods = [(pod_name(it.name, number), address) for number, address in enumerate(it.addresses)]
    service = _object(
        "v1",
        "Service",
        it.name,
        it.namespace,
        metadata={"labels": labels},
        spec={
            "type": "ClusterIP",
            "clusterIP": "10.96.14.21",
            "selector": selector,
            "ports": [port],
        },
    )
    draining = it.health == "DRAINING"
    endpoints = [
        {
            "addresses": [address],
            "conditions": {
                "ready": it.ready and not draining,
                "serving": it.ready,
                "terminating": draining,
            },
            "targetRef": {"kind": "Pod", "namespace": it.namespace, "name": name},
        }
        for name, address in pods
    ]
    slice_: Json = _object(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        f"{it.name}-x7k2p",
        it.namespace,
        metadata={"labels": {"kubernetes.io/service-name": it.name}},
    )
    slice_.update(
        addressType="IPv4",
        ports=[{"name": "http", "port": it.target, "protocol": "TCP"}],
        endpoints=endpoints if it.selected else [],
    )
    return [service, slice_, *(_pod(it, name, address) for name, address in pods)]


def _pod(it: Service, name: str, address: str) -> Json:
    listens = it.listens or it.target
    image = f"registry.example.com/{it.name}:1.4.2"
    container = {
        "name": "app",
        "image": image,
        "ports": [{"containerPort": listens, "name": "http"}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": listens}},
    }
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    state = {"running": {"startedAt": SINCE}} if it.ready else waiting
    status = {"name": "app", "ready": it.ready, "restartCount": 0, "image": image, "state": state}
    return _object(
        "v1",
        "Pod",
        name,
        it.namespace,
        metadata={"labels": {"app": it.name}},
        spec={"containers": [container]},
        status={
            "phase": "Running",
            "podIP": address,
            "containerStatuses": [status],
            "conditions": [{"type": "Ready", "status": str(it.ready)}],
        },
    )


def _policy(world: World, it: Json) -> Json:
    namespace, name = world.gateway
    where = it.get("namespace", world.route.namespace)
    made = _object(VERSIONS[it["kind"]], it["kind"], it["name"], where, spec=it["spec"])
    if it["kind"] in ANCESTORS:
        reference = {"group": GATEWAY, "kind": "Gateway", "name": name, "namespace": namespace}
        accepted = condition("Accepted", "Accepted", "Policy has been accepted.")
        ancestor = {"controllerName": CONTROLLER, "ancestorRef": reference}
        made["status"] = {"ancestors": [{**ancestor, "conditions": [accepted]}]}
    return made
