"""What keeps gRPC or browsers out: the smallest objects that trip a check, and the nearest."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.checks.http2 import http2_findings

Object = dict[str, Any]


def thing(api: str, kind: str, place: str, **spec: Any) -> Object:
    namespace, _, name = place.partition("/")
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec}


def listener(name: str = "https", secret: str = "tls", hostname: str = "*.example.com") -> Object:
    tls = {"certificateRefs": [{"name": secret}]}
    return {"name": name, "port": 443, "protocol": "HTTPS", "hostname": hostname, "tls": tls}


def gateway(*listeners: Object) -> Object:
    every = [*listeners] or [listener()]
    return thing("gateway.networking.k8s.io/v1", "Gateway", "edge/public", listeners=every)


def route(
    kind: str,
    *matches: Object,
    host: str = "argo.example.com",
    section: str | None = "https",
) -> Object:
    rule: Object = {"backendRefs": [{"name": "argo", "port": 80}]}
    if matches:
        rule["matches"] = [*matches]
    named = {"sectionName": section} if section else {}
    return thing(
        "gateway.networking.k8s.io/v1",
        kind,
        f"argo/{'cli' if kind == 'GRPCRoute' else 'ui'}",
        parentRefs=[{"name": "public", "namespace": "edge", **named}],
        hostnames=[host],
        rules=[rule],
    )


def service(protocol: str | None = None) -> Object:
    port = {"port": 80, **({"appProtocol": protocol} if protocol else {})}
    return thing("v1", "Service", "argo/argo", ports=[port])


def offering(*alpn: str) -> Object:
    return thing(
        "gateway.envoyproxy.io/v1alpha1",
        "ClientTrafficPolicy",
        "edge/public",
        targetRefs=[{"kind": "Gateway", "name": "public"}],
        tls={"alpnProtocols": list(alpn)},
    )


GRPC: Object = {"headers": [{"name": "content-type", "value": "^application/grpc.*$"}]}
METHOD = {"method": {"service": "shop.Cart"}}
CLI, UI = route("GRPCRoute", GRPC), route("HTTPRoute")
SEALED = thing(
    "gateway.networking.k8s.io/v1",
    "BackendTLSPolicy",
    "argo/argo",
    targetRefs=[{"group": "", "kind": "Service", "name": "argo"}],
)
H2C = "kubernetes.io/h2c"
CASES = [
    pytest.param([gateway(), CLI, UI], service(), [], id="Argo CD as documented"),
    pytest.param(
        [gateway(), CLI],
        service("kubernetes.io/ws"),
        ["error GW363 weu-1: GRPCRoute argo/cli"],
        id="a port of WebSockets",
    ),
    pytest.param(
        [gateway(), route("HTTPRoute", GRPC)],
        service(),
        ["error GW363 weu-1: HTTPRoute argo/ui, rule 0"],
        id="gRPC by an HTTPRoute, and nobody says HTTP/2",
    ),
    pytest.param([gateway(), route("HTTPRoute", GRPC)], service(H2C), [], id="somebody does"),
    pytest.param(
        [gateway(), CLI, UI],
        service(H2C),
        ["warning GW364 weu-1: HTTPRoute argo/ui"],
        id="HTTP/2 to a port of browsers too",
    ),
    pytest.param([gateway(), CLI], service(H2C), [], id="HTTP/2 to a port of gRPC alone"),
    pytest.param(
        [gateway(), route("GRPCRoute"), UI],
        service(),
        ["error GW365 weu-1: GRPCRoute argo/cli"],
        id="two routes for everything",
    ),
    pytest.param(
        [gateway(), route("GRPCRoute", section=None), UI],
        service(),
        ["error GW365 weu-1: GRPCRoute argo/cli"],
        id="one of them on every listener",
    ),
    pytest.param(
        [gateway(), route("GRPCRoute", section="other"), UI],
        service(),
        [],
        id="on listeners of their own",
    ),
    pytest.param([gateway(), route("GRPCRoute", METHOD), UI], service(), [], id="one for a method"),
    pytest.param(
        [gateway(), route("GRPCRoute"), route("HTTPRoute", host="other.example.com")],
        service(),
        [],
        id="one for another host",
    ),
    pytest.param(
        [gateway(), route("GRPCRoute"), route("HTTPRoute", {"path": {"value": "/ui"}})],
        service(),
        [],
        id="one for a path",
    ),
    pytest.param(
        [gateway(), CLI, offering("http/1.1")],
        service(),
        ["error GW366 weu-1: ClientTrafficPolicy edge/public"],
        id="listeners without HTTP/2",
    ),
    pytest.param([gateway(), CLI, offering("h2", "http/1.1")], service(), [], id="with both"),
    pytest.param(
        [gateway(listener(), listener("more", hostname="example.org")), CLI],
        service(),
        ["error GW367 weu-1: Gateway edge/public, listener https"],
        id="one certificate on two listeners",
    ),
    pytest.param(
        [gateway(listener(), listener("more", "other", "example.org")), CLI],
        service(),
        [],
        id="a certificate each",
    ),
    pytest.param(
        [gateway(listener(), listener("more", hostname="example.org")), CLI, offering("h2")],
        service(),
        [],
        id="somebody says HTTP/2 all the same",
    ),
    pytest.param(
        [gateway(), route("TLSRoute"), SEALED],
        service(),
        ["error GW368 weu-1: TLSRoute argo/ui"],
        id="TLS within TLS",
    ),
    pytest.param([gateway(), UI, SEALED], service(), [], id="TLS once"),
]


@pytest.mark.parametrize(("objects", "backend", "expected"), CASES)
def test_what_keeps_clients_out(
    objects: list[Object], backend: Object, expected: list[str]
) -> None:
    found = http2_findings("weu-1", objects, [backend])
    assert [f"{it.severity} {it.code} {it.where.text}" for it in found] == expected
