"""Where the API server keeps each kind, and in which order objects are applied."""

from __future__ import annotations

import pytest

from tasks.plans.kinds import in_order, path, path_of, title

GATEWAY = "gateway.networking.k8s.io/v1"


@pytest.mark.parametrize(
    ("api_version", "kind", "namespace", "name", "wanted"),
    [
        pytest.param("v1", "Secret", "edge", "tls", "/api/v1/namespaces/edge/secrets/tls"),
        pytest.param("v1", "Secret", None, None, "/api/v1/secrets", id="all namespaces"),
        pytest.param("v1", "Namespace", None, "edge", "/api/v1/namespaces/edge"),
        pytest.param(
            "v1", "Namespace", "x", "edge", "/api/v1/namespaces/edge", id="of no namespace"
        ),
        pytest.param(
            GATEWAY,
            "Gateway",
            "edge",
            "public",
            f"/apis/{GATEWAY}/namespaces/edge/gateways/public",
        ),
        pytest.param(
            "gateway.networking.k8s.io/v1alpha2",
            "TCPRoute",
            "demo",
            None,
            "/apis/gateway.networking.k8s.io/v1alpha2/namespaces/demo/tcproutes",
            id="the version asked for",
        ),
    ],
)
def test_path(
    api_version: str, kind: str, namespace: str | None, name: str | None, wanted: str
) -> None:
    assert path(api_version, kind, namespace, name) == wanted


def test_path_of_an_object() -> None:
    manifest = {
        "apiVersion": GATEWAY,
        "kind": "GatewayClass",
        "metadata": {"name": "envoy"},
    }
    assert path_of(manifest) == f"/apis/{GATEWAY}/gatewayclasses/envoy"


def test_an_unknown_kind_is_one_line() -> None:
    with pytest.raises(LookupError) as error:
        path("apps/v1", "StatefulSet")
    assert str(error.value) == (
        "apps/v1 StatefulSet is not a kind that envoyfleet works on: see tasks/plans/kinds.py"
    )


def test_titles() -> None:
    of_cluster = {"kind": "GatewayClass", "metadata": {"name": "envoy"}}
    of_namespace = {"kind": "Gateway", "metadata": {"name": "public", "namespace": "edge"}}
    assert [title(of_cluster), title(of_namespace)] == [
        "GatewayClass envoy",
        "Gateway edge/public",
    ]


def test_what_others_refer_to_comes_first_and_equals_keep_their_order() -> None:
    wanted = [
        ("v1", "Namespace"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ("v1", "Secret"),
        ("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy"),
        (GATEWAY, "GatewayClass"),
        (GATEWAY, "Gateway"),
        (GATEWAY, "HTTPRoute"),
        ("gateway.envoyproxy.io/v1alpha1", "ClientTrafficPolicy"),
    ]
    things = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
        for version, kind in wanted
        for name in ("b", "a")
    ]
    mixed = [*things[1::2], *things[0::2]]
    assert in_order(mixed) == [it for pair in range(8) for it in (mixed[pair], mixed[pair + 8])]
