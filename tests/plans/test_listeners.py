"""Listeners that end TLS, as Gateways write them."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.listeners import Listener, SecretRef, granted, merged, of_gateways

TLS: dict[str, Any] = {
    "name": "https",
    "protocol": "HTTPS",
    "port": 443,
    "hostname": "*.example.com",
    "tls": {"certificateRefs": [{"name": "shop-tls"}]},
}


def gateway(*listeners: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "edge", "name": "public"},
        "spec": {"gatewayClassName": "envoy", "listeners": list(listeners)},
        "status": {"addresses": [{"value": "20.103.0.10"}]},
    }


def test_a_listener_has_the_place_and_the_secret_that_it_serves() -> None:
    http = {"name": "http", "protocol": "HTTP", "port": 80}
    assert of_gateways("weu-1", [gateway(http, TLS)]) == [
        Listener(
            "weu-1",
            "Gateway edge/public",
            "edge/public",
            "https",
            443,
            "*.example.com",
            ("20.103.0.10",),
            "edge/public",
            (SecretRef("edge", "shop-tls"),),
        )
    ]


def test_merged_gateways_share_the_proxies_of_their_class() -> None:
    [found] = of_gateways("weu-1", [gateway(TLS)], merged=frozenset({"envoy"}))
    assert found.workload == "envoy"


GRANT: dict[str, Any] = {
    "metadata": {"namespace": "certs", "name": "for-edge"},
    "spec": {
        "from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "edge"}],
        "to": [{"group": "", "kind": "Secret", "name": "shop-tls"}],
    },
}


@pytest.mark.parametrize(
    ("ref", "grants", "wanted"),
    [
        pytest.param({"name": "shop-tls"}, [], True, id="its own namespace"),
        pytest.param({"name": "shop-tls", "namespace": "certs"}, [], False, id="no grant"),
        pytest.param({"name": "shop-tls", "namespace": "certs"}, [GRANT], True, id="a grant"),
        pytest.param({"name": "other", "namespace": "certs"}, [GRANT], False, id="of another name"),
    ],
)
def test_a_secret_of_another_namespace_needs_a_grant(
    ref: dict[str, str], grants: list[dict[str, Any]], wanted: bool
) -> None:
    assert granted("edge", "Gateway", ref, grants) is wanted


OWN: dict[str, Any] = {
    "kind": "ListenerSet",
    "metadata": {"namespace": "shop", "name": "own"},
    "spec": {
        "parentRef": {"name": "public", "namespace": "edge"},
        "listeners": [{**TLS, "name": "cart", "hostname": "cart.example.com"}],
    },
}


@pytest.mark.parametrize(
    ("condition", "taken"),
    [
        pytest.param({"status": "True", "reason": "Accepted"}, True, id="accepted"),
        pytest.param({"status": "False", "reason": "ListenersNotValid"}, True, id="all broken"),
        pytest.param({"status": "False", "reason": "NotAllowed"}, False, id="not let in"),
        pytest.param(None, False, id="of a controller that does not know it"),
    ],
)
def test_a_listener_set_counts_where_its_gateway_let_it_in(
    condition: dict[str, str] | None, taken: bool
) -> None:
    status = {"conditions": [{"type": "Accepted", **condition}]} if condition else {}
    sets = [{**OWN, "status": status}]
    found = of_gateways("weu-1", [gateway(TLS)], listener_sets=sets)
    assert [it.text for it in found[1:]] == (
        ["ListenerSet shop/own, listener cart"] if taken else []
    )
    for it in found[1:]:
        assert (it.gateway, it.workload, it.addresses) == (
            "edge/public",
            "edge/public",
            ("20.103.0.10",),
        )
        assert it.secrets == (SecretRef("shop", "shop-tls"),)


def route(
    *hostnames: str, kind: str = "HTTPRoute", accepted: str = "True", **ref: Any
) -> dict[str, Any]:
    parent = {"name": "public", "namespace": "edge", **ref}
    conditions = [{"type": "Accepted", "status": accepted}]
    return {
        "kind": kind,
        "metadata": {"namespace": "shop", "name": "shop"},
        "spec": {"parentRefs": [parent], "hostnames": list(hostnames)},
        "status": {"parents": [{"parentRef": parent, "conditions": conditions}]},
    }


@pytest.mark.parametrize(
    ("routes", "hosts"),
    [
        pytest.param(
            [route("b.example.com", "*.b.example.com"), route("a.example.com", kind="GRPCRoute")],
            ("a.example.com", "b.example.com", "*.b.example.com"),
            id="whole names first",
        ),
        pytest.param([route("shop.example.org")], (), id="of another domain"),
        pytest.param([route("a.example.com", sectionName="http")], (), id="of another listener"),
        pytest.param([route("a.example.com", port=80)], (), id="of another port"),
        pytest.param([route("a.example.com", name="other")], (), id="of another Gateway"),
        pytest.param([route("a.example.com", kind="TLSRoute")], (), id="of another protocol"),
        pytest.param([route("a.example.com", accepted="False")], (), id="refused"),
        pytest.param([route()], (), id="without names"),
    ],
)
def test_hosts_are_those_that_routes_ask_of_a_listener(
    routes: list[dict[str, Any]], hosts: tuple[str, ...]
) -> None:
    [found] = of_gateways("weu-1", [gateway(TLS)], routes=routes)
    assert found.hosts == hosts


def test_a_wide_route_asks_a_listener_for_its_own_name_alone() -> None:
    narrow = {**TLS, "hostname": "shop.example.com"}
    [found] = of_gateways("weu-1", [gateway(narrow)], routes=[route("*.example.com")])
    assert found.hosts == ("shop.example.com",)


def policy(alpn: list[str], created: str = "2026-01-01", **target: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "edge", "name": "p", "creationTimestamp": created},
        "spec": {"tls": {"alpnProtocols": alpn}, **target},
    }


def ref(**more: str) -> dict[str, str]:
    return {"kind": "Gateway", "name": "public", **more}


ALL: dict[str, Any] = {"targetRefs": [ref()]}
ONE: dict[str, Any] = {"targetRefs": [ref(sectionName="https")]}


@pytest.mark.parametrize(
    ("policies", "alpn"),
    [
        pytest.param([], None, id="none"),
        pytest.param([policy(["h2"], **ALL)], ("h2",), id="for the Gateway"),
        pytest.param([policy(["h2"], targetRef=ref())], ("h2",), id="in the older spelling"),
        pytest.param(
            [policy(["h2"], **ALL), policy(["http/1.1"], "2026-02-01", **ONE)],
            ("http/1.1",),
            id="for the listener before one for all",
        ),
        pytest.param(
            [policy(["h2"], "2026-02-01", **ALL), policy(["http/1.1"], **ALL)],
            ("http/1.1",),
            id="the oldest",
        ),
        pytest.param([policy([], **ONE), policy(["h2"], **ALL)], None, id="they are not merged"),
        pytest.param(
            [
                policy(
                    ["h2"],
                    targetSelectors=[{"kind": "Gateway", "matchLabels": {"team": "edge"}}],
                )
            ],
            ("h2",),
            id="by labels",
        ),
        pytest.param(
            [
                policy(
                    ["h2"],
                    targetSelectors=[
                        {
                            "kind": "Gateway",
                            "matchExpressions": [
                                {"key": "team", "operator": "NotIn", "values": ["edge"]}
                            ],
                        }
                    ],
                )
            ],
            None,
            id="by other labels",
        ),
    ],
)
def test_alpn_is_that_of_the_one_policy_that_counts(
    policies: list[dict[str, Any]], alpn: tuple[str, ...] | None
) -> None:
    thing = gateway(TLS)
    thing["metadata"]["labels"] = {"team": "edge"}
    [found] = of_gateways("weu-1", [thing], policies=policies)
    assert found.alpn == alpn


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        pytest.param({"proxyProtocol": {}}, True, id="wanted"),
        pytest.param({"enableProxyProtocol": True}, True, id="in the older spelling"),
        pytest.param({"enableProxyProtocol": False}, False, id="said not to be"),
        pytest.param({}, False, id="not said"),
    ],
)
def test_proxy_protocol(setting: dict[str, Any], wanted: bool) -> None:
    [found] = of_gateways("weu-1", [gateway(TLS)], policies=[policy([], **ALL, **setting)])
    assert found.proxy_protocol is wanted


def test_classes_merge_whose_proxy_says_so() -> None:
    names = {"kind": "EnvoyProxy", "namespace": "eg", "name": "one"}
    classes: list[dict[str, Any]] = [
        {"metadata": {"name": "envoy"}, "spec": {"parametersRef": names}},
        {"metadata": {"name": "other"}, "spec": {"parametersRef": {**names, "name": "two"}}},
        {"metadata": {"name": "plain"}, "spec": {}},
    ]
    found: list[dict[str, Any]] = [
        {"metadata": {"namespace": "eg", "name": "one"}, "spec": {"mergeGateways": True}},
        {"metadata": {"namespace": "eg", "name": "two"}, "spec": {}},
    ]
    assert merged(classes, found) == frozenset({"envoy"})
