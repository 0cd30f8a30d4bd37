"""What objects refer to, and what must be there before them."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.references import Reference, in_order, references, to

GATEWAY_API, ENVOY_GATEWAY = "gateway.networking.k8s.io", "gateway.envoyproxy.io"
CERT_MANAGER = "cert-manager.io"
OWN = Reference("", "Namespace", None, "edge")


def thing(
    kind: str,
    spec: Any = None,
    name: str = "public",
    namespace: str | None = "edge",
    group: str = GATEWAY_API,
) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    found: dict[str, Any] = {
        "apiVersion": f"{group}/v1" if group else "v1",
        "kind": kind,
        "metadata": {"name": name, **place},
    }
    return {**found, "spec": spec} if spec is not None else found


def secret(name: str, namespace: str = "edge") -> Reference:
    return Reference("", "Secret", namespace, name)


def config_map(name: str, namespace: str = "edge") -> Reference:
    return Reference("", "ConfigMap", namespace, name)


def service(name: str, namespace: str = "edge") -> Reference:
    return Reference("", "Service", namespace, name)


def of_gateway_api(kind: str, name: str, namespace: str | None = "edge") -> Reference:
    return Reference(GATEWAY_API, kind, namespace, name)


def of_envoy_gateway(kind: str, name: str, namespace: str | None = "edge") -> Reference:
    return Reference(ENVOY_GATEWAY, kind, namespace, name)


GATEWAY = {
    "gatewayClassName": "envoy",
    "infrastructure": {
        "parametersRef": {"group": ENVOY_GATEWAY, "kind": "EnvoyProxy", "name": "big"}
    },
    "listeners": [
        {"tls": {"certificateRefs": [{"name": "tls"}, {"name": "far", "namespace": "keys"}]}},
        {"name": "http", "allowedRoutes": {"kinds": [{"kind": "HTTPRoute"}]}},
    ],
    "tls": {
        "frontend": {
            "default": {
                "validation": {
                    "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]
                }
            }
        }
    },
}
ROUTE = {
    "parentRefs": [{"name": "public", "namespace": "infra"}, {"kind": "ListenerSet", "name": "x"}],
    "rules": [
        {
            "backendRefs": [
                {"name": "blue", "port": 80},
                {"group": ENVOY_GATEWAY, "kind": "Backend", "name": "out", "namespace": "shop"},
            ],
            "filters": [
                {"requestMirror": {"backendRef": {"name": "mirror"}}},
                {"extensionRef": {"group": ENVOY_GATEWAY, "kind": "HTTPRouteFilter", "name": "f"}},
            ],
        },
        {"backendRefs": [{"name": "blue", "port": 81}]},
    ],
}
SECURITY = {
    "targetRefs": [{"group": GATEWAY_API, "kind": "Gateway", "name": "public"}],
    "targetSelectors": [{"kind": "HTTPRoute", "matchLabels": {"a": "b"}}],
    "basicAuth": {"users": {"name": "htpasswd"}},
    "apiKeyAuth": {"credentialRefs": [{"group": "", "kind": "Secret", "name": "keys"}]},
    "oidc": {
        "clientSecret": {"name": "oidc"},
        "clientIDRef": {"name": "id"},
        "provider": {"issuer": "https://x", "backendRefs": [{"name": "idp"}]},
    },
    "extAuth": {"grpc": {"backendRefs": [{"name": "auth"}]}},
    "jwt": {
        "providers": [
            {
                "name": "p",
                "localJWKS": {"valueRef": {"group": "", "kind": "ConfigMap", "name": "jwks"}},
            }
        ]
    },
}
POD = {
    "imagePullSecrets": [{"name": "pull"}],
    "volumes": [
        {"name": "a", "secret": {"secretName": "mounted"}},
        {"name": "b", "configMap": {"name": "script"}},
        {"name": "c", "projected": {"sources": [{"secret": {"name": "token"}}]}},
    ],
}
PROXY = {
    "provider": {
        "kubernetes": {
            "envoyDeployment": {
                "pod": POD,
                "container": {
                    "env": [
                        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}}
                    ]
                },
            }
        }
    },
    "telemetry": {"tracing": {"provider": {"backendRefs": [{"name": "otel"}]}}},
    "backendTLS": {"clientCertificateRef": {"name": "client"}},
}


@pytest.mark.parametrize(
    ("thing", "found"),
    [
        pytest.param(
            thing("Gateway", GATEWAY),
            [
                OWN,
                of_envoy_gateway("EnvoyProxy", "big"),
                secret("tls"),
                secret("far", "keys"),
                config_map("ca"),
                of_gateway_api("GatewayClass", "envoy", None),
            ],
            id="Gateway",
        ),
        pytest.param(
            thing("HTTPRoute", ROUTE),
            [
                OWN,
                of_gateway_api("Gateway", "public", "infra"),
                of_gateway_api("ListenerSet", "x"),
                service("blue"),
                of_envoy_gateway("Backend", "out", "shop"),
                service("mirror"),
                of_envoy_gateway("HTTPRouteFilter", "f"),
            ],
            id="route, each once",
        ),
        pytest.param(
            thing("SecurityPolicy", SECURITY, group=ENVOY_GATEWAY),
            [
                OWN,
                of_gateway_api("Gateway", "public"),
                secret("htpasswd"),
                secret("keys"),
                secret("oidc"),
                secret("id"),
                service("idp"),
                service("auth"),
                config_map("jwks"),
            ],
            id="SecurityPolicy; a selector names nothing",
        ),
        pytest.param(
            thing("EnvoyProxy", PROXY, group=ENVOY_GATEWAY),
            [
                OWN,
                service("otel"),
                secret("client"),
                secret("pull", "proxies"),
                secret("mounted", "proxies"),
                config_map("script", "proxies"),
                secret("token", "proxies"),
                secret("env", "proxies"),
            ],
            id="EnvoyProxy: what its Pods mount is where they run",
        ),
        pytest.param(
            thing(
                "GatewayClass",
                {
                    "controllerName": "x",
                    "parametersRef": {
                        "group": ENVOY_GATEWAY,
                        "kind": "EnvoyProxy",
                        "name": "envoy",
                        "namespace": "system",
                    },
                },
                namespace=None,
            ),
            [of_envoy_gateway("EnvoyProxy", "envoy", "system")],
            id="GatewayClass",
        ),
        pytest.param(
            thing(
                "EnvoyPatchPolicy",
                {"targetRef": {"group": GATEWAY_API, "kind": "GatewayClass", "name": "envoy"}},
                group=ENVOY_GATEWAY,
            ),
            [OWN, of_gateway_api("GatewayClass", "envoy", None)],
            id="what has no namespace",
        ),
        pytest.param(
            thing(
                "Certificate",
                {"secretName": "tls", "issuerRef": {"name": "letsencrypt"}},
                group=CERT_MANAGER,
            ),
            [OWN, Reference(CERT_MANAGER, "Issuer", "edge", "letsencrypt"), secret("tls")],
            id="Certificate",
        ),
        pytest.param(
            thing(
                "Certificate",
                {
                    "secretName": "tls",
                    "issuerRef": {"name": "all", "kind": "ClusterIssuer"},
                    "keystores": {"jks": {"passwordSecretRef": {"name": "password", "key": "x"}}},
                },
                group=CERT_MANAGER,
            ),
            [
                OWN,
                Reference(CERT_MANAGER, "ClusterIssuer", None, "all"),
                secret("tls"),
                secret("password"),
            ],
            id="Certificate of a ClusterIssuer",
        ),
        pytest.param(
            thing("ClusterIssuer", {"ca": {"secretName": "x"}}, namespace=None, group=CERT_MANAGER),
            [],
            id="ClusterIssuer: nobody knows where",
        ),
        pytest.param(
            thing("Issuer", {"acme": {"privateKeySecretRef": {"name": "k"}}}, group=CERT_MANAGER),
            [OWN, secret("k")],
            id="Issuer",
        ),
        pytest.param(
            thing(
                "Gateway", {"listeners": [{"tls": {"certificateRefs": "tls"}}, 1, None, [["x"]]]}
            ),
            [OWN],
            id="anything",
        ),
        pytest.param(
            thing("HTTPRoute", {"rules": [{"filters": [{"extensionRef": {"name": "x"}}]}]}),
            [OWN],
            id="no kind where one must be",
        ),
        pytest.param(thing("Secret", group=""), [OWN], id="core"),
        pytest.param(thing("Gateway"), [OWN], id="no spec"),
    ],
)
def test_what_an_object_refers_to(thing: dict[str, Any], found: list[Reference]) -> None:
    assert references(thing, proxies="proxies") == found


def test_names() -> None:
    assert to(thing("Gateway")) == of_gateway_api("Gateway", "public")
    assert secret("tls").title == "Secret edge/tls"
    assert to(thing("Namespace", group="", namespace=None)).title == "Namespace public"


def names(objects: list[dict[str, Any]]) -> list[str]:
    return [to(it).title for it in objects]


def test_what_is_needed_comes_first() -> None:
    refer = {"group": GATEWAY_API, "kind": "Gateway", "name": "public"}
    definition = {"group": GATEWAY_API, "names": {"kind": "Gateway"}}
    far = {"backendRefs": [{"name": "blue", "namespace": "shop"}]}
    objects = [
        thing("SecurityPolicy", {"targetRefs": [refer]}, group=ENVOY_GATEWAY),
        thing("HTTPRoute", {"parentRefs": [{"name": "public"}], "rules": [far]}),
        thing("Unknown", {"parentRef": {"name": "public"}}),
        thing("ReferenceGrant", {"to": [{"group": "", "kind": "Service"}]}, namespace="shop"),
        thing("Gateway", GATEWAY),
        thing("Certificate", {"secretName": "tls"}, group=CERT_MANAGER),
        thing("EnvoyProxy", {}, name="big", group=ENVOY_GATEWAY),
        thing("GatewayClass", {}, name="envoy", namespace=None),
        thing("Service", name="blue", namespace="shop", group=""),
        thing("Secret", name="tls", group=""),
        thing(
            "CustomResourceDefinition",
            definition,
            name=f"gateways.{GATEWAY_API}",
            namespace=None,
            group="apiextensions.k8s.io",
        ),
        thing("Namespace", name="shop", namespace=None, group=""),
        thing("Namespace", name="edge", namespace=None, group=""),
    ]
    assert names(in_order(objects)) == [
        "Namespace shop",
        "Namespace edge",
        f"CustomResourceDefinition gateways.{GATEWAY_API}",
        "Secret edge/tls",
        "Certificate edge/public",
        "Service shop/blue",
        "EnvoyProxy edge/big",
        "GatewayClass envoy",
        "ReferenceGrant shop/public",
        "Gateway edge/public",
        "HTTPRoute edge/public",
        "SecurityPolicy edge/public",
        "Unknown edge/public",
    ]


def test_a_reference_wins_over_the_rank_of_a_kind() -> None:
    class_of_gateway = {"group": GATEWAY_API, "kind": "HTTPRoute", "name": "late"}
    early = thing("Gateway", {"infrastructure": {"parametersRef": class_of_gateway}})
    assert names(in_order([early, thing("HTTPRoute", {}, name="late")])) == [
        "HTTPRoute edge/late",
        "Gateway edge/public",
    ]


def test_a_circle_is_cut_by_rank() -> None:
    def route(name: str, other: str) -> dict[str, Any]:
        return thing("HTTPRoute", {"parentRefs": [{"kind": "HTTPRoute", "name": other}]}, name)

    behind = thing("Unknown", {"parentRef": {"kind": "HTTPRoute", "name": "b"}})
    objects = [behind, route("a", "b"), route("b", "a"), route("c", "c")]
    assert names(in_order(objects)) == [
        "HTTPRoute edge/c",
        "HTTPRoute edge/a",
        "HTTPRoute edge/b",
        "Unknown edge/public",
    ]
