"""Which Services need a stand-in, and which routes no drill can prove."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans import stand_ins
from tasks.plans.stand_ins import Port, Service

Object = dict[str, Any]


def thing(kind: str, name: str, **spec: Any) -> Object:
    labels = spec.pop("labels", {})
    return {
        "kind": kind,
        "metadata": {"namespace": "shop", "name": name, "labels": labels},
        "spec": spec,
    }


def route(*refs: Object, kind: str = "HTTPRoute", **rule: Any) -> Object:
    rules = [{"backendRefs": list(refs), **rule}]
    parents = [{"name": "public", "namespace": "edge", "sectionName": "https"}]
    return thing(kind, "cart", parentRefs=parents, rules=rules, labels={"app": "cart"})


def gateway(**labels: str) -> Object:
    return {
        "kind": "Gateway",
        "metadata": {"namespace": "edge", "name": "public", "labels": labels},
        "spec": {},
    }


CART = {"name": "cart", "port": 80}
SERVICE = thing("Service", "cart", ports=[{"port": 80}])
ON_ROUTE = [{"kind": "HTTPRoute", "name": "cart"}]


def backend(*endpoints: Object, **more: Any) -> Object:
    return thing("Backend", "far", endpoints=list(endpoints), **more)


FAR = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "far"}


def test_services_are_backends_mirrors_and_backends_with_the_name_of_a_service() -> None:
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "copy"}}}
    other = {"name": "other", "namespace": "else", "filters": [mirror]}
    inside = backend(
        {"fqdn": {"hostname": "blue.demo.svc.cluster.local", "port": 80}},
        {"fqdn": {"hostname": "example.com", "port": 80}},
    )
    assert stand_ins.services([route(CART, other, FAR), inside, thing("Service", "unused")]) == [
        Service("demo", "blue"),
        Service("else", "other"),
        Service("shop", "cart"),
        Service("shop", "copy"),
    ]


def test_ports_speak_what_the_service_says() -> None:
    ports = [
        {"name": "http", "port": 80},
        {"name": "grpc", "port": 81, "appProtocol": "kubernetes.io/h2c"},
        {"name": "dns", "port": 53, "protocol": "UDP"},
    ]
    assert stand_ins.ports(thing("Service", "cart", ports=ports)) == [
        Port("http", 3000),
        Port("grpc", 3001),
    ]
    assert stand_ins.ports(thing("Service", "none")) == []


def test_without_pods_are_those_without_a_ready_endpoint() -> None:
    def of(name: str, *conditions: Object) -> Object:
        labels = {"kubernetes.io/service-name": name}
        endpoints = [{"conditions": it} for it in conditions]
        return {"metadata": {"namespace": "shop", "labels": labels}, "endpoints": endpoints}

    wanted = [Service("shop", it) for it in ("good", "bad", "empty", "none", "silent")]
    slices = [
        of("good", {"ready": True}),
        of("bad", {"ready": False}),
        of("empty"),
        of("silent", {}),
    ]
    assert [it.name for it in stand_ins.without_pods(wanted, slices)] == ["bad", "empty", "none"]


@pytest.mark.parametrize(
    ("objects", "why"),
    [
        pytest.param([route(CART), SERVICE], None, id="a plain route"),
        pytest.param(
            [route(CART), SERVICE, thing("SecurityPolicy", "login", targetRefs=ON_ROUTE, oidc={})],
            "SecurityPolicy shop/login asks for a sign-in with OIDC",
            id="OIDC on the route",
        ),
        pytest.param(
            [route(CART), SERVICE, thing("SecurityPolicy", "login", targetRefs=ON_ROUTE, cors={})],
            None,
            id="CORS asks for nothing",
        ),
        pytest.param(
            [
                route(CART),
                SERVICE,
                {
                    "kind": "SecurityPolicy",
                    "metadata": {"namespace": "edge", "name": "token"},
                    "spec": {"targetRefs": [{"kind": "Gateway", "name": "public"}], "jwt": {}},
                },
            ],
            "SecurityPolicy edge/token asks for a JWT",
            id="a JWT on its Gateway",
        ),
        pytest.param(
            [
                route(CART),
                SERVICE,
                {
                    "kind": "ClientTrafficPolicy",
                    "metadata": {"namespace": "edge", "name": "mtls"},
                    "spec": {
                        "targetRef": {"kind": "Gateway", "name": "public", "sectionName": "other"},
                        "tls": {"clientValidation": {"caCertificateRefs": []}},
                    },
                },
            ],
            None,
            id="client certificates on another listener",
        ),
        pytest.param(
            [
                route(CART),
                SERVICE,
                {
                    "kind": "ClientTrafficPolicy",
                    "metadata": {"namespace": "edge", "name": "mtls"},
                    "spec": {
                        "targetRef": {"kind": "Gateway", "name": "public", "sectionName": "https"},
                        "tls": {"clientValidation": {"caCertificateRefs": []}},
                    },
                },
            ],
            "ClientTrafficPolicy edge/mtls asks clients for a certificate",
            id="client certificates on its listener",
        ),
        pytest.param(
            [
                route(CART),
                SERVICE,
                thing(
                    "SecurityPolicy",
                    "labelled",
                    targetSelectors=[{"kind": "HTTPRoute", "matchLabels": {"app": "cart"}}],
                    extAuth={},
                ),
            ],
            "SecurityPolicy shop/labelled asks for an external authorisation",
            id="chosen by labels",
        ),
        pytest.param(
            [
                route(CART),
                SERVICE,
                thing("EnvoyExtensionPolicy", "ext", targetRefs=ON_ROUTE, extProc=[{}]),
            ],
            "EnvoyExtensionPolicy shop/ext needs an external processor",
            id="external processing",
        ),
        pytest.param(
            [route(FAR), backend({"fqdn": {"hostname": "example.com", "port": 443}})],
            "Backend shop/far is an outside name (example.com)",
            id="an outside name",
        ),
        pytest.param(
            [route(FAR), backend({"fqdn": {"hostname": "a.b.svc.cluster.local", "port": 80}})],
            None,
            id="the name of a Service",
        ),
        pytest.param(
            [route(FAR), backend({"ip": {"address": "10.0.0.1", "port": 80}})],
            "Backend shop/far has an address of its own",
            id="an address",
        ),
        pytest.param(
            [route(FAR), thing("Backend", "far", type="DynamicResolver")],
            "Backend shop/far resolves what the request names",
            id="dynamic",
        ),
        pytest.param(
            [route(CART)], "Service shop/cart is not in the archive", id="a Service that is missing"
        ),
        pytest.param(
            [route(CART), thing("Service", "cart", type="ExternalName")],
            "Service shop/cart is an outside name",
            id="ExternalName",
        ),
        pytest.param(
            [route({"kind": "ServiceImport", "name": "cart"})],
            "ServiceImport shop/cart is of a kind that nothing stands in for",
            id="another kind",
        ),
        pytest.param(
            [
                route(CART),
                SERVICE,
                thing("BackendTLSPolicy", "tls", targetRefs=[{"kind": "Service", "name": "cart"}]),
            ],
            "BackendTLSPolicy shop/tls wants a certificate of Service shop/cart that no stand-in "
            "has",
            id="TLS to the backend",
        ),
        pytest.param(
            [route(CART, matches=[{"headers": [{"name": "x", "value": "y"}]}]), SERVICE],
            "its first match is more than a path: which request it takes is not to be read off it",
            id="a match by header",
        ),
    ],
)
def test_not_provable(objects: list[Object], why: str | None) -> None:
    expected = {"HTTPRoute shop/cart": why} if why else {}
    assert stand_ins.not_provable([*objects, gateway()]) == expected


@pytest.mark.parametrize("kind", ["UDPRoute", "GRPCRoute"])
def test_routes_that_no_request_of_ours_proves(kind: str) -> None:
    assert list(stand_ins.not_provable([route(CART, kind=kind), SERVICE])) == [f"{kind} shop/cart"]


PREFIX = "service.beta.kubernetes.io/azure-"
FIXED = f"{PREFIX}load-balancer-ipv4"
PLACE = {f"{PREFIX}load-balancer-resource-group": "addresses"}
V6 = {f"{PREFIX}pip-name-ipv6": "a", f"{PREFIX}pip-name-IPv6": "b"}


@pytest.mark.parametrize(
    ("kind", "before", "after", "asked"),
    [
        pytest.param(
            "Gateway",
            {"infrastructure": {"annotations": {FIXED: "20.1.2.3", "other": "kept"}}},
            {"infrastructure": {"annotations": {"other": "kept"}}},
            {"Gateway shop/cart": "20.1.2.3"},
            id="an annotation of the Gateway",
        ),
        pytest.param(
            "Gateway",
            {"addresses": [{"value": "20.1.2.3"}]},
            {},
            {"Gateway shop/cart": "20.1.2.3"},
            id="an address of the Gateway",
        ),
        pytest.param(
            "EnvoyProxy",
            {"provider": {"kubernetes": {"envoyService": {"annotations": {FIXED: "20.1.2.3"}}}}},
            {"provider": {"kubernetes": {"envoyService": {"annotations": {}}}}},
            {"EnvoyProxy shop/cart": "20.1.2.3"},
            id="an annotation of the proxies",
        ),
        pytest.param(
            "EnvoyProxy",
            {"provider": {"kubernetes": {"envoyService": {"annotations": {**PLACE, FIXED: "a"}}}}},
            {"provider": {"kubernetes": {"envoyService": {"annotations": {}}}}},
            {"EnvoyProxy shop/cart": "a"},
            id="with the group that it is in, where the copy may have no rights",
        ),
        pytest.param(
            "Gateway",
            {"infrastructure": {"annotations": {**V6, f"{PREFIX}pip-prefix-id-ipv6": "c"}}},
            {"infrastructure": {"annotations": {}}},
            {"Gateway shop/cart": "a, b"},
            id="of IPv6, as Azure reads it and as it is written too",
        ),
        pytest.param("Gateway", {"listeners": []}, {"listeners": []}, {}, id="none"),
        pytest.param("HTTPRoute", {"addresses": 1}, {"addresses": 1}, {}, id="another kind"),
    ],
)
def test_fixed_addresses_are_left_out_and_said(
    kind: str, before: Object, after: Object, asked: dict[str, str]
) -> None:
    given = thing(kind, "cart", **before)
    assert stand_ins.fixed_addresses([given]) == asked
    assert stand_ins.without_address(given) == thing(kind, "cart", **after)
    assert given == thing(kind, "cart", **before)


def test_routes_that_a_connection_is_for() -> None:
    parents = [{"name": "public", "namespace": "edge"}]
    whole = thing("TCPRoute", "all", parentRefs=parents)
    one = thing("TLSRoute", "one", parentRefs=[{**parents[0], "sectionName": "tcp"}])
    other = thing("TCPRoute", "other", parentRefs=[{**parents[0], "sectionName": "db"}])
    objects = [whole, one, other, route(CART)]
    assert stand_ins.through(objects, "edge/public", "tcp") == [
        "TCPRoute shop/all",
        "TLSRoute shop/one",
    ]
    assert stand_ins.through(objects, "edge/other", "tcp") == []


@pytest.mark.parametrize(
    ("behind", "leaves"),
    [
        pytest.param(thing("Service", "cart"), False, id="a Service"),
        pytest.param(thing("Service", "cart", type="ExternalName"), True, id="an outside name"),
        pytest.param(backend({"fqdn": {"hostname": "blue.demo.svc"}}), False, id="of a Service"),
        pytest.param(backend({"fqdn": {"hostname": "example.com"}}), True, id="a Backend outside"),
        pytest.param(backend({"ip": {"address": "10.0.0.1"}}), True, id="an address"),
        pytest.param(backend(type="DynamicResolver"), True, id="what the request names"),
    ],
)
def test_routes_that_leave_the_cluster(behind: Object, leaves: bool) -> None:
    ref = FAR if behind["kind"] == "Backend" else CART
    found = stand_ins.leaving([route(ref), behind])
    assert found == ({"HTTPRoute shop/cart"} if leaves else set())
