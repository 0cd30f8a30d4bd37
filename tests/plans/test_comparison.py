"""What counts as a difference between an archive and a cluster, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.comparison import differences, filled

SCHEMA = {
    "properties": {
        "spec": {
            "properties": {
                "weight": {"type": "integer", "default": 1},
                "retry": {"default": {}, "properties": {"times": {"default": 2}}},
                "rules": {"items": {"properties": {"kind": {"default": "Service"}}}},
                "headers": {"additionalProperties": {"properties": {"on": {"default": True}}}},
                "listeners": {
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {"properties": {"protocol": {"default": "HTTP"}}},
                },
                "names": {"x-kubernetes-list-type": "set"},
            }
        }
    }
}


def route(spec: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "cart", "namespace": "shop", **meta},
        "spec": spec,
    }


def of_kind(kind: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "one"}, **fields}


@pytest.mark.parametrize(
    ("archived", "live"),
    [
        pytest.param(
            route({"hostnames": ["a"]}),
            route(
                {"hostnames": ["a"], "weight": 1, "retry": {"times": 2}},
                uid="4711",
                resourceVersion="9",
                generation=3,
                managedFields=[{}],
                finalizers=["x"],
                annotations={"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            )
            | {"status": {"parents": []}},
            id="what the server owns, and defaults of the CRD",
        ),
        pytest.param(
            route({"rules": [{"name": "a"}], "headers": {"x": {}}}),
            route({"rules": [{"name": "a", "kind": "Service"}], "headers": {"x": {"on": True}}}),
            id="defaults in lists and maps",
        ),
        pytest.param(
            route({"listeners": [{"name": "a"}, {"name": "b"}], "names": ["x", "y"]}),
            route(
                {
                    "listeners": [{"name": "b", "protocol": "HTTP"}, {"name": "a"}],
                    "names": ["y", "x"],
                }
            ),
            id="the order of maps and sets",
        ),
        pytest.param(
            route({}) | {"apiVersion": "gateway.networking.k8s.io/v1beta1"},
            route({}),
            id="the version it is read in",
        ),
        pytest.param(route({"x": None}), route({}), id="a null says nothing"),
        pytest.param(
            of_kind("Namespace"),
            {
                **of_kind("Namespace", spec={"finalizers": ["kubernetes"]}),
                "metadata": {"name": "one", "labels": {"kubernetes.io/metadata.name": "one"}},
            },
            id="a namespace's own name and finalizer",
        ),
        pytest.param(
            of_kind("Service", spec={"ports": [{"port": 80}], "clusterIP": "10.0.0.1"}),
            of_kind(
                "Service",
                spec={
                    "clusterIP": "10.0.9.9",
                    "clusterIPs": ["10.0.9.9"],
                    "ipFamilies": ["IPv4"],
                    "internalTrafficPolicy": "Cluster",
                    "sessionAffinity": "None",
                    "type": "ClusterIP",
                    "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP", "nodePort": 31000}],
                },
            ),
            id="what a cluster gives a Service",
        ),
        pytest.param(
            of_kind("Secret", stringData={"a": "b"}),
            of_kind("Secret", type="Opaque", data={"a": "Yg=="}),
            id="a Secret's text and its base64",
        ),
    ],
)
def test_equal(archived: dict[str, Any], live: dict[str, Any]) -> None:
    assert differences(archived, live, SCHEMA) == []


@pytest.mark.parametrize(
    ("archived", "live", "said"),
    [
        pytest.param(route({}), None, ["is missing"], id="not there"),
        pytest.param(
            route({"weight": 5}),
            route({"weight": 6}),
            ["spec.weight differs (5 in the archive, 6 here)"],
            id="numbers are shown",
        ),
        pytest.param(
            route({"password": "a"}),
            route({"password": "b"}),
            ["spec.password differs"],
            id="texts are not: one may be a secret",
        ),
        pytest.param(
            route({"timeouts": {}}),
            route({"retry": {"times": 3}}),
            [
                "spec.retry.times differs (2 in the archive, 3 here)",
                "spec.timeouts is missing",
            ],
            id="another value than the default",
        ),
        pytest.param(
            route({}),
            route({"unknown": 1}),
            ["spec.unknown is not in the archive"],
            id="a field that no default explains",
        ),
        pytest.param(
            route({"listeners": [{"name": "a"}]}),
            route({"listeners": [{"name": "a", "port": 1}, {"name": "b"}]}),
            [
                "spec.listeners[a].port is not in the archive",
                "spec.listeners[b] is not in the archive",
            ],
            id="an item somebody added",
        ),
        pytest.param(
            route({"rules": [{}]}),
            route({"rules": []}),
            ["spec.rules has 0 items, 1 in the archive"],
            id="another number of items",
        ),
        pytest.param(
            route({}, labels={"a": "b"}),
            route({}, labels={"c": "d"}),
            ["metadata.labels.a is missing", "metadata.labels.c is not in the archive"],
            id="labels",
        ),
        pytest.param(
            of_kind("Secret", data={"tls.key": "YQ=="}),
            of_kind("Secret", data={"tls.key": "Yg=="}),
            ["data.tls.key differs"],
            id="a Secret's value is not shown",
        ),
        pytest.param(
            of_kind("Service", spec={"clusterIP": "None"}),
            of_kind("Service", spec={"clusterIP": "10.0.0.1"}),
            ["spec.clusterIP is missing"],
            id="a headless Service that is none any more",
        ),
        pytest.param(
            route({}, ownerReferences=[{"kind": "Certificate", "name": "tls", "uid": "1"}]),
            route({}, ownerReferences=[{"kind": "Certificate", "name": "other", "uid": "1"}]),
            ["metadata.owners[0] differs"],
            id="owners by name, whatever their uid",
        ),
    ],
)
def test_different(archived: dict[str, Any], live: dict[str, Any] | None, said: list[str]) -> None:
    lines = differences(archived, live, SCHEMA)
    place = "HTTPRoute shop/cart" if archived["kind"] == "HTTPRoute" else f"{archived['kind']} one"
    assert lines == [f"{place}: {it}" for it in said]


def test_a_default_is_nobody_elses() -> None:
    schema: dict[str, Any] = {"properties": {"a": {"default": {"b": []}}}}
    found = filled(schema, {})
    found["a"]["b"].append(1)
    assert filled(schema, {}) == {"a": {"b": []}}
