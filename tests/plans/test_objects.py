"""
What differs between an object as wanted and as the cluster has it. The ``managedFields`` are as a
Kubernetes 1.35 API server wrote them for our own templates.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.plans.objects import diff, extracted, holds, is_applied, left_out, spelt

HTTP = {"name": "http", "port": 80, "protocol": "HTTP"}
HTTPS = {
    "name": "https",
    "port": 443,
    "protocol": "HTTPS",
    "hostname": "*.example.com",
    "tls": {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": "tls"}]},
}
GATEWAY: dict[str, Any] = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "public", "namespace": "edge", "labels": {"team": "edge"}},
    "spec": {"gatewayClassName": "envoy", "listeners": [HTTP, HTTPS]},
}
GATEWAY_FIELDS = {
    "f:metadata": {"f:labels": {"f:team": {}}},
    "f:spec": {
        "f:gatewayClassName": {},
        "f:listeners": {
            'k:{"name":"http"}': {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}},
            'k:{"name":"https"}': {
                ".": {},
                "f:name": {},
                "f:port": {},
                "f:protocol": {},
                "f:hostname": {},
                "f:tls": {"f:certificateRefs": {}, "f:mode": {}},
            },
        },
    },
}
BACKEND = {"group": "", "kind": "Service", "name": "shop", "port": 8080, "weight": 1}
ROUTE: dict[str, Any] = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "shop", "namespace": "shop"},
    "spec": {"hostnames": ["shop.example.com"], "rules": [{"backendRefs": [BACKEND]}]},
}
ROUTE_FIELDS: dict[str, Any] = {"f:spec": {"f:hostnames": {}, "f:rules": {}}}
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "shop", "namespace": "shop", "finalizers": ["example.com/keep"]},
    "spec": {"ports": [{"name": "web", "port": 80}], "selector": {"app": "shop"}},
}
SERVICE_FIELDS = {
    "f:metadata": {"f:finalizers": {'v:"example.com/keep"': {}}},
    "f:spec": {
        "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}}},
        "f:selector": {},
    },
}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}}


def stored(wanted: dict[str, Any], fields: Any, manager: str = "envoyfleet") -> dict[str, Any]:
    """The object as the server has it after ``manager`` applied it, with what the server adds."""
    live = deepcopy(wanted)
    live["metadata"] |= {"uid": "7", "generation": 3, "resourceVersion": "99"}
    live["metadata"]["managedFields"] = [
        {"manager": "envoy-gateway", "operation": "Update", "subresource": "status"},
        {"manager": manager, "operation": "Apply", "fieldsV1": fields},
    ]
    live["status"] = {"conditions": []}
    for port in live.get("spec", {}).get("ports", ()):
        port |= {"protocol": "TCP", "targetPort": port["port"]}
    return live


def changed(thing: dict[str, Any], path: str, value: Any = None) -> dict[str, Any]:
    """A copy with the value at "spec.ports.0.name" replaced, or removed where it is None."""
    copy = deepcopy(thing)
    *way, last = [int(it) if it.isdecimal() else it for it in path.split(".")]
    here: Any = copy
    for step in way:
        here = here[step]
    if value is None:
        del here[last]
    else:
        here[last] = value
    return copy


LIVE_GATEWAY = stored(GATEWAY, GATEWAY_FIELDS)
LIVE_ROUTE = stored(ROUTE, ROUTE_FIELDS)
LIVE_SERVICE = stored(SERVICE, SERVICE_FIELDS)


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        pytest.param(GATEWAY, LIVE_GATEWAY, id="as it was applied"),
        pytest.param(ROUTE, LIVE_ROUTE, id="rules, which the server keeps as a whole"),
        pytest.param(
            changed(ROUTE, "spec.rules.0.backendRefs.0.weight"), LIVE_ROUTE, id="a default left out"
        ),
        pytest.param(SERVICE, LIVE_SERVICE, id="a key that the server filled in"),
        pytest.param(
            GATEWAY, changed(LIVE_GATEWAY, "metadata.annotations", {"a": "b"}), id="others add"
        ),
        pytest.param(
            GATEWAY, changed(LIVE_GATEWAY, "spec.addresses", ["1.2.3.4"]), id="others add a field"
        ),
        pytest.param(NAMESPACE, stored(NAMESPACE, {}, "kubectl"), id="a bare Namespace of others"),
    ],
)
def test_is_applied(wanted: dict[str, Any], live: dict[str, Any]) -> None:
    assert is_applied(wanted, live)


def taken_over(route: dict[str, Any]) -> dict[str, Any]:
    """The rules of a route are a whole: who changes a part of them, takes all."""
    edit = {
        "manager": "kubectl-edit",
        "operation": "Update",
        "fieldsV1": {"f:spec": {"f:rules": {}}},
    }
    ours = {
        **ROUTE_FIELDS,
        "f:spec": {k: it for k, it in ROUTE_FIELDS["f:spec"].items() if k != "f:rules"},
    }
    found = stored({**route, "metadata": ROUTE["metadata"]}, ours)
    found["metadata"]["managedFields"].append(edit)
    return found


SHOP_PORT = {"name": "web", "port": 80, "protocol": "UDP"}
RULE = LIVE_ROUTE["spec"]["rules"][0]
NOT_APPLIED = [
    pytest.param(GATEWAY, None, id="not there"),
    pytest.param(
        GATEWAY, stored(GATEWAY, GATEWAY_FIELDS, "kubectl"), id="equal, but applied by others"
    ),
    pytest.param(
        changed(GATEWAY, "spec.gatewayClassName", "other"), LIVE_GATEWAY, id="another value"
    ),
    pytest.param(
        GATEWAY, changed(LIVE_GATEWAY, "spec.listeners.0.port", 81), id="changed by others"
    ),
    pytest.param(changed(GATEWAY, "spec.listeners.1"), LIVE_GATEWAY, id="a listener less"),
    pytest.param(changed(GATEWAY, "spec.listeners.1.hostname"), LIVE_GATEWAY, id="hostname left"),
    pytest.param(changed(GATEWAY, "metadata.labels"), LIVE_GATEWAY, id="labels left out"),
    pytest.param(changed(SERVICE, "metadata.finalizers"), LIVE_SERVICE, id="set left out"),
    pytest.param(
        changed(SERVICE, "spec.ports.0.name"),
        LIVE_SERVICE,
        id="a field left out of an item whose key the server filled in",
    ),
    pytest.param(
        changed(SERVICE, "spec.ports", [SHOP_PORT]), LIVE_SERVICE, id="another key of an item"
    ),
    pytest.param(
        ROUTE,
        changed(LIVE_ROUTE, "spec.rules.0", {**RULE, "filters": [{"type": "URLRewrite"}]}),
        id="a filter left out of a rule",
    ),
    pytest.param(
        changed(ROUTE, "spec.rules.0.backendRefs.0.weight"),
        changed(LIVE_ROUTE, "spec.rules.0.backendRefs.0.weight", 2),
        id="a weight left out, of which nobody can say whose it is",
    ),
    pytest.param(
        SERVICE,
        changed(LIVE_SERVICE, "spec.selector", {"app": "shop", "track": "canary"}),
        id="a selector that is a whole",
    ),
    pytest.param({**NAMESPACE, "spec": {}}, stored(NAMESPACE, {}), id="something to say"),
    pytest.param(
        ROUTE,
        taken_over(
            changed(LIVE_ROUTE, "spec.rules.0", {**RULE, "filters": [{"type": "URLRewrite"}]})
        ),
        id="a filter that somebody added, who has all of the rules since",
    ),
]


@pytest.mark.parametrize(("wanted", "live"), NOT_APPLIED)
def test_is_not_applied(wanted: dict[str, Any], live: dict[str, Any] | None) -> None:
    assert not is_applied(wanted, live)


LEFT_OUT = [
    pytest.param(GATEWAY, GATEWAY_FIELDS, [], id="nothing"),
    pytest.param(
        changed(GATEWAY, "spec.listeners", [HTTP]),
        GATEWAY_FIELDS,
        [".spec.listeners[name=https]"],
        id="an item by its key",
    ),
    pytest.param(
        changed(GATEWAY, "spec.listeners.1.tls.mode"),
        GATEWAY_FIELDS,
        [".spec.listeners[name=https].tls.mode"],
        id="a field in an item",
    ),
    pytest.param(
        changed(changed(GATEWAY, "metadata.labels"), "spec"),
        GATEWAY_FIELDS,
        [".metadata.labels", ".spec"],
        id="whole branches",
    ),
    pytest.param(
        changed(SERVICE, "metadata.finalizers", []),
        SERVICE_FIELDS,
        ['.metadata.finalizers["example.com/keep"]'],
        id="an item by its value",
    ),
    pytest.param(
        changed(SERVICE, "spec.ports", [SHOP_PORT]),
        SERVICE_FIELDS,
        [".spec.ports[port=80,protocol=TCP]"],
        id="the same port of another protocol",
    ),
]


@pytest.mark.parametrize(("wanted", "fields", "paths"), LEFT_OUT)
def test_left_out(wanted: dict[str, Any], fields: dict[str, Any], paths: list[str]) -> None:
    assert [*map(spelt, left_out(fields, wanted))] == paths


@pytest.mark.parametrize(
    ("live", "wanted", "same"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1}, True, id="more is fine in a map"),
        pytest.param([1, 2], [1], False, id="more is not fine in a list"),
        pytest.param([1, 2], [2, 1], False, id="another order"),
        pytest.param({}, {"a": {}}, False, id="an empty map that is not there"),
        pytest.param({"a": True}, {"a": 1}, False, id="1 is not True"),
        pytest.param({"a": "80"}, {"a": 80}, False, id="text is not a number"),
        pytest.param("a", {"a": 1}, False, id="text is no map"),
    ],
)
def test_holds(live: Any, wanted: Any, same: bool) -> None:
    assert holds(live, wanted) is same


def test_diff_of_a_change() -> None:
    planned = changed(LIVE_GATEWAY, "spec.listeners.0.port", 8080)
    planned["metadata"]["generation"] = 4
    assert diff(LIVE_GATEWAY, planned) == [
        "@@ -10,5 +10,5 @@",
        "   listeners:",
        "   - name: http",
        "-    port: 80",
        "+    port: 8080",
        "     protocol: HTTP",
        "   - hostname: '*.example.com'",
    ]


def test_diff_of_a_new_object_is_all_of_it() -> None:
    assert diff(None, NAMESPACE) == [
        "@@ -0,0 +1,4 @@",
        "+apiVersion: v1",
        "+kind: Namespace",
        "+metadata:",
        "+  name: edge",
    ]


def test_diff_leaves_out_what_the_server_owns() -> None:
    planned = {**LIVE_GATEWAY, "status": {"conditions": [1]}}
    notes = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    planned = changed(planned, "metadata.annotations", notes)
    assert diff(LIVE_GATEWAY, changed(planned, "metadata.resourceVersion", "100")) == []


def test_diff_shows_lines_that_look_like_a_header() -> None:
    live = {**NAMESPACE, "metadata": {"name": "edge", "x": "a"}, "--x": 1}
    assert "---x: 1" in diff(live, NAMESPACE)


def test_diff_of_a_secret_says_that_a_value_differs() -> None:
    live = secret({"old": "b2xk", "same": "c2FtZQ==", "tls.key": "YmVmb3Jl"})
    planned = secret({"new": "bmV3", "same": "c2FtZQ==", "tls.key": "YWZ0ZXI="})
    assert diff(live, planned) == [
        "@@ -1,7 +1,7 @@",
        " apiVersion: v1",
        " data:",
        "-  old: '*** (before)'",
        "+  new: '*** (after)'",
        "   same: '***'",
        "-  tls.key: '*** (before)'",
        "+  tls.key: '*** (after)'",
        " kind: Secret",
        " metadata:",
    ]


def secret(data: dict[str, str], field: str = "data", **notes: str) -> dict[str, Any]:
    metadata = {"name": "shop", "namespace": "edge", "annotations": notes}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, field: data}


NAMES = st.sampled_from(["tls.crt", "tls.key", "a", "b"])
VALUES = st.text(alphabet="abcXYZ019+/=\n :'\"-", max_size=20).map(lambda it: f"s3cr3t{it}")
DATA = st.dictionaries(NAMES, VALUES)
FIELDS = st.sampled_from(["data", "stringData"])


@given(DATA, DATA, FIELDS, FIELDS)
def test_no_value_of_a_secret_is_ever_shown(
    before: dict[str, str], after: dict[str, str], old_field: str, new_field: str
) -> None:
    last = {"kubectl.kubernetes.io/last-applied-configuration": str(before)}
    live = secret(before, old_field, **last)
    for lines in (diff(live, secret(after, new_field)), diff(None, secret(after, new_field))):
        assert "s3cr3t" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        pytest.param(GATEWAY, LIVE_GATEWAY, id="items by key"),
        pytest.param(ROUTE, LIVE_ROUTE, id="a whole list"),
        pytest.param(SERVICE, LIVE_SERVICE, id="with defaults"),
    ],
)
def test_what_was_applied_can_be_had_back(wanted: dict[str, Any], live: dict[str, Any]) -> None:
    """Applied again, it changes nothing, and it holds nothing of anybody else."""
    again = extracted(live)
    assert again is not None
    assert is_applied(again, live)
    assert holds(again, wanted)
    assert "managedFields" not in again["metadata"]


def test_nothing_of_ours_is_nothing_to_have_back() -> None:
    assert extracted(stored(GATEWAY, GATEWAY_FIELDS, manager="other")) is None
