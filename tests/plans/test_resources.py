"""What discovery tells of an API server, and the paths that follow from it."""

from __future__ import annotations

from tasks.plans.resources import CORE, Resource, resources

GATEWAYS = Resource(
    "gateway.networking.k8s.io", "v1", "gateways", "Gateway", True, frozenset({"list", "get"})
)


def test_what_discovery_tells() -> None:
    gateways = {
        "resource": "gateways",
        "responseKind": {"group": "", "version": "", "kind": "Gateway"},
        "scope": "Namespaced",
        "verbs": ["get", "list"],
        "subresources": [{"subresource": "status"}],
    }
    nameless = {"resource": "x", "scope": "Cluster", "verbs": []}
    document = {
        "items": [
            {
                "metadata": {"name": "gateway.networking.k8s.io"},
                "versions": [
                    {"version": "v1", "resources": [gateways, nameless]},
                    {"version": "v1beta1", "resources": [{**gateways, "scope": "Cluster"}]},
                ],
            },
            {"metadata": {"name": "example.com"}, "versions": [{"version": "v1"}]},
        ]
    }
    older = Resource(
        "gateway.networking.k8s.io", "v1beta1", "gateways", "Gateway", False, GATEWAYS.verbs
    )
    assert resources(document) == [GATEWAYS, older]
    assert resources({}) == []


def test_paths() -> None:
    root = "/apis/gateway.networking.k8s.io/v1"
    assert GATEWAYS.path() == f"{root}/gateways"
    assert GATEWAYS.path("edge") == f"{root}/namespaces/edge/gateways"
    assert GATEWAYS.path("edge", "public") == f"{root}/namespaces/edge/gateways/public"
    assert GATEWAYS.api_version == "gateway.networking.k8s.io/v1"
    core = {it.kind: it for it in CORE}
    assert core["Namespace"].path(None, "edge") == "/api/v1/namespaces/edge"
    assert core["Secret"].path("edge") == "/api/v1/namespaces/edge/secrets"
    assert core["Secret"].api_version == "v1"
