"""The objects that faults are made of, in the namespace that the applications of the gym are in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.gym.fault import DOORS, EDGE, Object, Thing

SHOP, SYSTEM = "shop", "envoy-gateway-system"
GATEWAY_API, EXTENSIONS = "gateway.networking.k8s.io", "gateway.envoyproxy.io"
ECHO = "docker.io/lab/echo:v1"
#: Stands for the lab's bridge, where the applications outside of the cluster listen.
OUTSIDE = "192.0.2.254"


def made(api: str, kind: str, name: str, spec: Any, namespace: str = SHOP) -> Object:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec}


def policy(kind: str, name: str, spec: Mapping[str, Any], route: str = "cart") -> Object:
    """One of Envoy Gateway's, on a route."""
    target = {"group": GATEWAY_API, "kind": "HTTPRoute", "name": route}
    return made(f"{EXTENSIONS}/v1alpha1", kind, name, {"targetRefs": [target], **spec})


def on_gateway(kind: str, name: str, spec: Mapping[str, Any], gateway: str = "doors") -> Object:
    target = {"group": GATEWAY_API, "kind": "Gateway", "name": gateway}
    return made(f"{EXTENSIONS}/v1alpha1", kind, name, {"targetRefs": [target], **spec})


def backend(name: str = "cart", port: int = 8080, **more: Any) -> Object:
    return {"name": name, "port": port, **more}


def rule(
    path: str = "/",
    backends: Sequence[Object] | None = None,
    filters: Sequence[Object] = (),
    match: Mapping[str, Any] | None = None,
    **more: Any,
) -> Object:
    made: Object = {
        "matches": [{"path": {"type": "PathPrefix", "value": path}, **(match or {})}],
        **more,
    }
    if filters:
        made["filters"] = list(filters)
    wanted = [backend()] if backends is None else list(backends)
    if wanted:
        made["backendRefs"] = wanted
    return made


def route(
    *rules: Object,
    name: str = "cart",
    hosts: Sequence[str] = ("cart.lab.test",),
    gateway: str = EDGE,
    section: str = "http",
    namespace: str = SHOP,
) -> Object:
    """Of HTTP; without rules one for all paths, to Service cart."""
    place, _, parent = gateway.partition("/")
    spec = {
        "parentRefs": [
            {
                "name": parent,
                "namespace": place,
                **({"sectionName": section} if section else {}),
            }
        ],
        "hostnames": list(hosts),
        "rules": list(rules) or [rule()],
    }
    return made(f"{GATEWAY_API}/v1", "HTTPRoute", name, spec, namespace)


def service(
    name: str = "cart",
    target: int | str = 3000,
    port: int = 8080,
    protocol: str | None = None,
    app: str | None = "cart",
    namespace: str = SHOP,
) -> Object:
    """Of an application of the gym; ``app`` None selects nothing."""
    one: Object = {"name": "http", "port": port, "targetPort": target, "protocol": "TCP"}
    if protocol:
        one["appProtocol"] = protocol
    spec: Object = {"ports": [one]}
    if app:
        spec["selector"] = {"app": app}
    return made("v1", "Service", name, spec, namespace)


def endpoints(service: str, port: int, address: str = OUTSIDE) -> Object:
    """Of a Service without selector: an application outside of the cluster."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-outside",
            "namespace": SHOP,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }


def deployment(
    name: str,
    replicas: int = 1,
    env: Mapping[str, str] | None = None,
    probe: Mapping[str, Any] | None = None,
    args: Sequence[str] = (),
    command: Sequence[str] = (),
    secret: str = "",
) -> Object:
    """An echo server; + secret: mounted as /tls"""
    container: Object = {
        "name": "echo",
        "image": ECHO,
        "env": [
            {"name": "SERVICE_NAME", "value": name},
            {"name": "NAMESPACE", "value": SHOP},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            *({"name": key, "value": value} for key, value in (env or {}).items()),
        ],
        "ports": [{"name": "http", "containerPort": 3000}],
        "readinessProbe": probe or {"tcpSocket": {"port": 3000}, "periodSeconds": 1},
        **({"args": list(args)} if args else {}),
        **({"command": list(command)} if command else {}),
    }
    pod: Object = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    if secret:
        container["volumeMounts"] = [{"name": "tls", "mountPath": "/tls"}]
        pod["volumes"] = [{"name": "tls", "secret": {"secretName": secret}}]
    labels = {"app": name}
    spec = {
        "replicas": replicas,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return made("apps/v1", "Deployment", name, spec)


def listener(
    name: str,
    port: int,
    protocol: str = "HTTP",
    host: str = "",
    secret: str = "",
    routes: str = "All",
) -> Object:
    one: Object = {
        "name": name,
        "port": port,
        "protocol": protocol,
        "allowedRoutes": {"namespaces": {"from": routes}},
    }
    if host:
        one["hostname"] = host
    if secret:
        one["tls"] = {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": secret}]}
    return one


def gateway(
    *listeners: Object,
    name: str = "doors",
    of: str = "envoy",
    infrastructure: Object | None = None,
    **more: Any,
) -> Object:
    spec = {"gatewayClassName": of, "listeners": list(listeners), **more}
    if infrastructure:
        spec["infrastructure"] = infrastructure
    return made(f"{GATEWAY_API}/v1", "Gateway", name, spec)


def doors(*more: Object, **other: Any) -> Object:
    """The gym's own Gateway, as it is where nothing is wrong, with more listeners or others."""
    replaced = {it["name"]: it for it in (HTTP, HTTPS, *more)}
    return gateway(*replaced.values(), **other)


HTTP = listener("http", 80)
HTTPS = listener("https", 443, "HTTPS", "*.doors.test", "doors-tls")


def secret(name: str, certificate: bytes, key: bytes, namespace: str = SHOP) -> Object:
    from base64 import b64encode

    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/tls",
        "data": {
            "tls.crt": b64encode(certificate).decode(),
            "tls.key": b64encode(key).decode(),
        },
    }


def service_thing(name: str = "cart") -> Thing:
    return "Service", SHOP, name


def route_thing(name: str = "cart") -> Thing:
    return "HTTPRoute", SHOP, name


DOORS_THING: Thing = ("Gateway", *DOORS.split("/"))  # type: ignore[assignment]
