"""Times and limits that do not hold: the smallest objects that trip a check, and the nearest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tasks.checks.findings import Finding
from tasks.checks.limits import limit_findings, rates_without_redis
from tasks.checks.timeouts import timeout_findings

Object = dict[str, Any]
ENVOY, GATEWAY_API = "gateway.envoyproxy.io/v1alpha1", "gateway.networking.k8s.io/v1"


def thing(kind: str, place: str, **spec: Any) -> Object:
    namespace, _, name = place.partition("/")
    api = ENVOY if kind.endswith("Policy") or kind == "EnvoyProxy" else GATEWAY_API
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec}


def policy(kind: str, place: str, target: str = "Gateway", **spec: Any) -> Object:
    ref = {"kind": target, "name": place.partition("/")[2]}
    return thing(kind, place, targetRefs=[ref], **spec)


def gateway(**more: Any) -> Object:
    return thing("Gateway", "edge/public", gatewayClassName="envoy", listeners=[], **more)


def route(kind: str = "HTTPRoute", **rule: Any) -> Object:
    parent = {"name": "public", "namespace": "edge"}
    return thing(kind, "shop/cart", parentRefs=[parent], rules=[rule])


def of_backends(place: str = "edge/public", target: str = "Gateway", **spec: Any) -> Object:
    return policy("BackendTrafficPolicy", place, target, **spec)


def of_clients(**spec: Any) -> Object:
    return policy("ClientTrafficPolicy", "edge/public", **spec)


def told(findings: Iterable[Finding]) -> list[str]:
    """Such as ["warning GW350 weu-1: BackendTrafficPolicy edge/public"]."""
    return [f"{it.severity} {it.code} {it.where.text}" for it in findings]


def http(**times: str) -> Object:
    return {"http": times}


def retry(each: str | None = None, *triggers: str, **more: Any) -> Object:
    found: Object = {"numRetries": 2, **more}
    if each:
        found["perRetry"] = {"timeout": each}
    if triggers:
        found["retryOn"] = {"triggers": list(triggers)}
    return found


WHOLE = "BackendTrafficPolicy edge/public"
TIMES = [
    pytest.param([of_backends(retry=retry("1s"))], [f"GW350 {WHOLE}"], id="a slow try is the last"),
    pytest.param([of_backends(retry=retry("1s", "reset"))], [], id="a slow try is repeated"),
    pytest.param([of_backends(retry=retry())], [], id="tries without a time"),
    pytest.param(
        [of_backends(retry=retry("5s", "reset"), timeout=http(requestTimeout="5s"))],
        [f"GW351 {WHOLE}"],
        id="one try takes all of the time",
    ),
    pytest.param(
        [of_backends(retry=retry("2s", "reset"), timeout=http(requestTimeout="5s"))],
        [f"GW351 {WHOLE}"],
        id="three tries do not fit",
    ),
    pytest.param(
        [of_backends(retry=retry("1500ms", "reset"), timeout=http(requestTimeout="4500ms"))],
        [],
        id="three tries fit",
    ),
    pytest.param(
        [of_backends(retry=retry("6s", "reset"))],
        [f"GW351 {WHOLE}"],
        id="they do not fit into what Envoy allows where nobody says",
    ),
    pytest.param(
        [of_backends(retry=retry("1h", "reset"), timeout=http(requestTimeout="0s"))],
        [],
        id="a request without an end",
    ),
    pytest.param(
        [of_backends(retry=retry(), timeout={"tcp": {"connectTimeout": "20s"}})],
        [f"GW352 {WHOLE}"],
        id="connecting takes longer than the request may",
    ),
    pytest.param(
        [of_backends(timeout={"tcp": {"connectTimeout": "20s"}})], [], id="and nothing is repeated"
    ),
    pytest.param(
        [
            of_clients(timeout=http(streamIdleTimeout="5s"), tcpKeepalive={"idleTime": "60s"}),
            of_backends(timeout=http(requestTimeout="30s")),
        ],
        [f"GW353 {WHOLE}"],
        id="clients are left before the request's time",
    ),
    pytest.param(
        [
            of_clients(timeout=http(streamIdleTimeout="5s"), tcpKeepalive={"idleTime": "60s"}),
            of_backends(timeout=http(requestTimeout="30s", streamIdleTimeout="30s")),
        ],
        [],
        id="a backend's time goes before a client's",
    ),
    pytest.param(
        [of_backends(timeout=http(requestTimeout="30s", maxStreamDuration="10s"))],
        [f"GW354 {WHOLE}"],
        id="a stream ends before its request",
    ),
    pytest.param(
        [of_clients()],
        ["GW359 ClientTrafficPolicy edge/public"],
        id="the load balancer forgets a silent connection",
    ),
    pytest.param([of_clients(timeout=http(idleTimeout="3m"))], [], id="which ends before that"),
    pytest.param([of_clients(tcpKeepalive={"idleTime": "60s"})], [], id="or is not silent"),
]


@pytest.mark.parametrize(("policies", "expected"), TIMES)
def test_times_that_do_not_add_up(policies: list[Object], expected: list[str]) -> None:
    found = timeout_findings("weu-1", [gateway(), route(), *policies])
    assert told(found) == [f"warning {it[:5]} weu-1: {it[6:]}" for it in expected]


def test_times_of_a_rule_go_before_those_of_policies() -> None:
    rule: Object = {"timeouts": {"request": "2s", "backendRequest": "2s"}, "retry": {"attempts": 1}}
    found = timeout_findings("weu-1", [gateway(), route(**rule), of_backends(retry=retry("9s"))])
    assert told(found) == [
        "warning GW350 weu-1: HTTPRoute shop/cart, rule 0",
        "warning GW351 weu-1: HTTPRoute shop/cart, rule 0",
    ]


def test_a_gateway_and_its_route_are_read_together() -> None:
    """What one says is fitted to what the other does."""
    above = of_backends(timeout=http(requestTimeout="4s"))
    own = of_backends(
        "shop/cart", "HTTPRoute", mergeType="StrategicMerge", retry=retry("3s", "5xx")
    )
    [found] = timeout_findings("weu-1", [gateway(), route(), above, own])
    assert found.text == (
        "warning GW351 weu-1: BackendTrafficPolicy shop/cart: 3 tries of 3s do not fit into a "
        "request of 4s: the last is cut off: allow the request 9s or more, or make fewer tries"
    )


def test_streams_of_grpc_are_ended_by_a_timeout_that_nobody_said() -> None:
    [found] = timeout_findings("weu-1", [gateway(), route("GRPCRoute")])
    assert found.text == (
        "info GW355 weu-1: GRPCRoute shop/cart: Envoy's own timeout, where nobody says one, ends "
        "an answer after 15s: streams of the server too: set timeouts.request to 0s where methods "
        "stream for longer, and stream_idle beside it"
    )
    endless = of_backends("shop/cart", "GRPCRoute", timeout=http(requestTimeout="0s"))
    assert [*timeout_findings("weu-1", [gateway(), route("GRPCRoute"), endless])] == []


def proxy(memory: str = "1Gi", **service: Any) -> list[Object]:
    """The settings of all proxies, and the class that names them."""
    resources = {"limits": {"memory": memory}}
    kubernetes = {
        "envoyDeployment": {"container": {"resources": resources}},
        "envoyService": service,
    }
    about = {"name": "envoy", "namespace": "system"}
    return [
        thing("EnvoyProxy", "system/envoy", provider={"kubernetes": kubernetes}),
        thing("GatewayClass", "/envoy", parametersRef=about),
    ]


def connections(count: int, buffer: str | None = None) -> Object:
    more = {"bufferLimit": buffer} if buffer else {}
    return of_clients(connection={"connectionLimit": {"value": count}, **more})


BY_ADDRESS = {
    "local": {
        "rules": [{"clientSelectors": [{"sourceCIDR": {"value": "192.0.2.0/24"}}], "limit": {}}]
    }
}
NOTE = {"service.beta.kubernetes.io/azure-pls-proxy-protocol": "true"}
LIMITS = [
    pytest.param(
        [gateway(), *proxy(), connections(20000)],
        ["warning GW357 weu-1: ClientTrafficPolicy edge/public"],
        id="connections want more memory than there is",
    ),
    pytest.param([gateway(), *proxy(), connections(16384)], [], id="just enough memory"),
    pytest.param([gateway(), *proxy(), connections(20000, "16Ki")], [], id="smaller buffers"),
    pytest.param(
        [gateway(), *proxy(), of_clients(proxyProtocol={"optional": False})],
        ["warning GW358 weu-1: ClientTrafficPolicy edge/public"],
        id="nobody sends PROXY protocol",
    ),
    pytest.param(
        [gateway(), *proxy(), of_clients(proxyProtocol={"optional": True})],
        [],
        id="or nobody needs to",
    ),
    pytest.param(
        [gateway(), *proxy(annotations=NOTE), of_clients(proxyProtocol={"optional": False})],
        [],
        id="or the load balancer does",
    ),
    pytest.param(
        [
            gateway(),
            route(),
            of_backends(timeout={}, circuitBreaker={}),
            of_backends("shop/cart", "HTTPRoute", retry={}),
        ],
        ["warning GW360 weu-1: BackendTrafficPolicy shop/cart"],
        id="a route's policy stands in for the Gateway's",
    ),
    pytest.param(
        [
            gateway(),
            route(),
            of_backends(timeout={}),
            of_backends("shop/cart", "HTTPRoute", retry={}, mergeType="StrategicMerge"),
        ],
        [],
        id="or is added to it",
    ),
    pytest.param(
        [gateway(), route("GRPCRoute"), of_backends(requestBuffer={"limit": "1Mi"})],
        ["warning GW361 weu-1: GRPCRoute shop/cart"],
        id="streams are held back",
    ),
    pytest.param(
        [gateway(), route(), of_backends(requestBuffer={"limit": "1Mi"})],
        [],
        id="requests of HTTP may be",
    ),
    pytest.param(
        [gateway(), *proxy(externalTrafficPolicy="Cluster"), of_backends(rateLimit=BY_ADDRESS)],
        ["warning GW362 weu-1: BackendTrafficPolicy edge/public"],
        id="clients are told by addresses of nodes",
    ),
    pytest.param(
        [gateway(), *proxy(externalTrafficPolicy="Local"), of_backends(rateLimit=BY_ADDRESS)],
        [],
        id="by their own",
    ),
]


@pytest.mark.parametrize(("objects", "expected"), LIMITS)
def test_limits_that_do_not_hold(objects: list[Object], expected: list[str]) -> None:
    assert told(limit_findings("weu-1", objects)) == expected


def test_rates_of_all_proxies_need_a_redis() -> None:
    rates = [of_backends(rateLimit={"global": {"rules": []}}), of_backends(rateLimit=BY_ADDRESS)]
    assert told(rates_without_redis("weu-1", rates)) == [f"error GW356 weu-1: {WHOLE}"]
