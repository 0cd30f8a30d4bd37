"""Which objects of a cluster are a controller's, and how each would have been written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.plans import adopted_entries
from tasks.plans.adoption import (
    as_written,
    equal,
    handed_over,
    is_ours_alone,
    manifest,
    obstacle,
    of_controller,
)
from tasks.plans.ours import LABELS
from tasks.plans.references import to

Object = dict[str, Any]
API, EG = "gateway.networking.k8s.io/v1", "gateway.envoyproxy.io/v1alpha1"
OURS, THEIRS = "gateway.envoyproxy.io/gatewayclass-controller", "example.com/other"


def thing(
    kind: str, place: str, api: str = API, labels: Object | None = None, **spec: Any
) -> Object:
    namespace, _, name = place.rpartition("/")
    meta: Object = {"name": name, **({"namespace": namespace} if namespace else {})}
    if labels:
        meta["labels"] = labels
    return {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec}


def ref(kind: str, name: str, group: str = "gateway.networking.k8s.io") -> Object:
    return {"group": group, "kind": kind, "name": name}


def grant(place: str, source: str) -> Object:
    """Routes of a namespace may refer to Services."""
    spec = {"from": [{"group": "x", "kind": "HTTPRoute", "namespace": source}]}
    return {**thing("ReferenceGrant", place), "spec": {**spec, "to": [{"kind": "Service"}]}}


CLUSTER = [
    thing("GatewayClass", "mine", controllerName=OURS),
    thing("GatewayClass", "other", controllerName=THEIRS),
    thing(
        "Gateway",
        "edge/public",
        gatewayClassName="mine",
        infrastructure={"parametersRef": ref("EnvoyProxy", "own", "gateway.envoyproxy.io")},
    ),
    thing("Gateway", "edge/theirs", gatewayClassName="other"),
    thing("EnvoyProxy", "edge/own", EG),
    thing("EnvoyProxy", "edge/unused", EG),
    thing("ListenerSet", "shop/more", parentRef={"name": "public", "namespace": "edge"}),
    thing(
        "HTTPRoute",
        "shop/cart",
        labels={"app": "cart"},
        parentRefs=[{"kind": "ListenerSet", "name": "more"}],
        rules=[
            {
                "backendRefs": [
                    {"name": "cart", "namespace": "pay", "port": 80},
                    ref("Backend", "outside", "gateway.envoyproxy.io"),
                ]
            }
        ],
    ),
    thing("HTTPRoute", "shop/theirs", parentRefs=[{"name": "theirs", "namespace": "edge"}]),
    thing("Backend", "shop/outside", EG),
    thing("BackendTLSPolicy", "pay/cart", targetRefs=[ref("Service", "cart", "")]),
    thing("BackendTLSPolicy", "pay/other", targetRefs=[ref("Service", "other", "")]),
    thing("SecurityPolicy", "shop/cart", EG, targetRefs=[ref("HTTPRoute", "cart")]),
    thing("SecurityPolicy", "shop/theirs", EG, targetRefs=[ref("HTTPRoute", "theirs")]),
    thing(
        "BackendTrafficPolicy",
        "shop/all",
        EG,
        targetSelectors=[{"kind": "HTTPRoute", "matchLabels": {"app": "cart"}}],
    ),
    grant("pay/carts", "shop"),
    grant("edge/other", "blog"),
]


def test_takes_what_its_gateways_reach_and_nothing_of_others() -> None:
    assert [to(it).title for it in of_controller(CLUSTER, OURS, [])] == [
        "GatewayClass mine",
        "Gateway edge/public",
        "EnvoyProxy edge/own",
        "ListenerSet shop/more",
        "HTTPRoute shop/cart",
        "Backend shop/outside",
        "BackendTLSPolicy pay/cart",
        "SecurityPolicy shop/cart",
        "BackendTrafficPolicy shop/all",
        "ReferenceGrant pay/carts",
    ]
    assert [to(it).title for it in of_controller(CLUSTER, OURS, ["shop"])] == ["GatewayClass mine"]


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        pytest.param({}, None, id="nobody's"),
        pytest.param(
            {"annotations": {"argocd.argoproj.io/tracking-id": "shop:x"}}, "Argo CD keeps it"
        ),
        pytest.param({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "Flux keeps it"),
        pytest.param(
            {"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "a Helm release keeps it"
        ),
        pytest.param(
            {"ownerReferences": [{"kind": "Ingress", "name": "shop"}]}, "Ingress shop made it"
        ),
        pytest.param({"deletionTimestamp": "2026-11-22T00:00:00Z"}, "it is being deleted"),
    ],
)
def test_what_stands_in_the_way(meta: Object, expected: str | None) -> None:
    it = thing("HTTPRoute", "shop/cart")
    found = obstacle({**it, "metadata": {**it["metadata"], **meta}})
    assert (found and found[0]) == expected


def live(written: Object, **more: Any) -> Object:
    """As kubectl apply leaves it, with a default of the server."""
    said = json.dumps(written)
    meta = {
        **written["metadata"],
        "uid": "1",
        "resourceVersion": "7",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": said},
        **more,
    }
    return {**written, "metadata": meta, "spec": {**written["spec"], "weight": 1}, "status": {}}


def test_writes_it_as_it_was_written() -> None:
    written = thing("HTTPRoute", "shop/cart", hostnames=["a.test"])
    assert as_written(live(written)) == written
    assert manifest(live(written)) == {**written, "spec": {"hostnames": ["a.test"], "weight": 1}}
    assert as_written({**live(written), "apiVersion": f"{API}beta1"}) is None
    assert as_written(written) is None
    broken = {**written, "metadata": {**written["metadata"], "annotations": {}}}
    broken["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{"
    assert as_written(broken) is None


def test_our_labels_versions_and_names_are_no_difference() -> None:
    one = thing("HTTPRoute", "shop/cart", labels={"app": "cart"}, hostnames=["a.test"])
    ours = {**one, "metadata": {"name": "tried", "labels": {"app": "cart", **LABELS}}}
    assert equal(one, {**ours, "apiVersion": f"{API}beta1"})
    assert not equal(one, {**one, "spec": {}})
    assert not equal(one, {**one, "metadata": {**one["metadata"], "labels": {}}})


def test_who_says_what_an_object_is_to_be() -> None:
    spec: Object = {"fieldsV1": {"f:spec": {"f:hostnames": {}}}}
    entries = [
        {"manager": "envoyfleet", "operation": "Apply", **spec},
        {"manager": "kubectl-client-side-apply", "operation": "Update", **spec},
        {"manager": "envoy-gateway", "operation": "Update", "subresource": "status", **spec},
        {"manager": "keeper", "operation": "Update", "fieldsV1": {"f:metadata": {}}},
    ]
    meta = {"name": "cart", "namespace": "shop", "managedFields": entries}
    it = {**thing("HTTPRoute", "shop/cart"), "metadata": meta}
    assert not is_ours_alone(it)
    assert handed_over(it) == [entries[0], entries[2], entries[3]]
    meta["managedFields"] = handed_over(it)
    assert is_ours_alone(it)
    meta["managedFields"] = entries[1:]
    assert not is_ours_alone(it)


def test_objects_in_the_words_of_the_inventory() -> None:
    listener = {
        "name": "https",
        "port": 443,
        "protocol": "HTTPS",
        "hostname": "*.test",
        "tls": {"certificateRefs": [{"name": "tls"}]},
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    notes = {
        "service.beta.kubernetes.io/azure-load-balancer-ipv4": "20.1.2.3",
        "example.com/a": "b",
    }
    gateway = thing(
        "Gateway", "edge/public", listeners=[listener], infrastructure={"annotations": notes}
    )
    assert adopted_entries.gateway_entry(gateway) == {
        "name": "public",
        "namespace": "edge",
        "listeners": [
            {
                "name": "https",
                "port": 443,
                "protocol": "HTTPS",
                "hostname": "*.test",
                "secret": "tls",
                "routes_from": "All",
            }
        ],
        "address": "20.1.2.3",
        "annotations": {"example.com/a": "b"},
    }
    parent = {"name": "public", "namespace": "edge", "sectionName": "https"}
    backend = {"name": "cart", "port": 80, "weight": 3}
    rule = {"matches": [{"path": {"value": "/cart"}}], "backendRefs": [backend]}
    route = thing("HTTPRoute", "shop/cart", parentRefs=[parent], hostnames=["a.test"], rules=[rule])
    assert adopted_entries.route_entry(route) == {
        "name": "cart",
        "namespace": "shop",
        "kind": "HTTPRoute",
        "gateway": "edge/public",
        "listener": "https",
        "hostnames": ["a.test"],
        "path": "/cart",
        "backends": [{"service": "cart", "port": 80, "weight": 3}],
    }
    unsaid: list[Object] = [{"rules": [rule, rule]}, {"rules": [{}]}, {"parentRefs": []}]
    for spec in unsaid:
        other = {**route, "spec": {**route["spec"], **spec}}
        assert adopted_entries.route_entry(other) is None
