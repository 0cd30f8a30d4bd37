"""Limits and routes of the inventory: what is rendered of them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import desired
from tasks.fleet.inventory import Cluster, problems

Object = dict[str, Any]
LEAST: Object = {"ring": 0, "envoy_gateway_version": "1.9.1"}
GATEWAY: Object = {
    "name": "public",
    "namespace": "edge",
    "listeners": [{"name": "http", "port": 80}],
}
ROUTE: Object = {
    "name": "cart",
    "namespace": "shop",
    "gateway": "edge/public",
    "backends": [{"service": "cart", "port": 80}],
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def specs(limits: Object | None = None, **more: Any) -> dict[str, Object]:
    """By kind and place, what the policies and routes say but for whom it is about."""
    data = {**LEAST, "gateways": [{**GATEWAY, "limits": limits} if limits else GATEWAY], **more}
    return {
        f"{it['kind']} {it['metadata']['namespace']}/{it['metadata']['name']}": {
            key: value for key, value in it["spec"].items() if key != "targetRefs"
        }
        for it in desired.objects("weu-1", Cluster.model_validate(data))
        if it["kind"].endswith(("TrafficPolicy", "TLSPolicy", "Route"))
    }


CLIENTS, WHOLE = "ClientTrafficPolicy edge/public", "BackendTrafficPolicy edge/public"
ALIVE = {"tcpKeepalive": {"idleTime": "60s", "interval": "30s", "probes": 3}}
RENDERED = [
    pytest.param(
        {"clients": {"connections": 9}}, {"connection": {"connectionLimit": {"value": 9}}}
    ),
    pytest.param({"clients": {"buffer": "32Ki"}}, {"connection": {"bufferLimit": "32Ki"}}),
    pytest.param(
        {"clients": {"connection_age": "1h", "connection_requests": 5}},
        {
            "connection": {
                "connectionLimit": {"maxConnectionDuration": "1h", "maxRequestsPerConnection": 5}
            }
        },
    ),
    pytest.param(
        {"clients": {"idle": "3m", "request_received": "9s", "stream_idle": "5m"}},
        {
            "timeout": {
                "http": {
                    "idleTimeout": "3m",
                    "requestReceivedTimeout": "9s",
                    "streamIdleTimeout": "5m",
                }
            }
        },
    ),
    pytest.param(
        {"clients": {"streams": 5, "stream_window": "64Ki", "connection_window": "1Mi"}},
        {
            "http2": {
                "maxConcurrentStreams": 5,
                "initialStreamWindowSize": "64Ki",
                "initialConnectionWindowSize": "1Mi",
            }
        },
    ),
    pytest.param(
        {"clients": {"proxy_protocol": "required"}}, {"proxyProtocol": {"optional": False}}
    ),
    pytest.param(
        {"clients": {"proxy_protocol": "optional"}}, {"proxyProtocol": {"optional": True}}
    ),
    pytest.param(
        {"clients": {"trusted_hops": 2}},
        {"clientIPDetection": {"xForwardedFor": {"numTrustedHops": 2}}},
    ),
    pytest.param(
        {"clients": {"trusted_proxies": ["10.0.0.0/8"]}},
        {"clientIPDetection": {"xForwardedFor": {"trustedCIDRs": ["10.0.0.0/8"]}}},
    ),
    pytest.param({"clients": {"alpn": ["h2"]}}, {"tls": {"alpnProtocols": ["h2"]}}),
    pytest.param({"clients": {"grpc_web": False}}, {"grpc": {"enableWeb": False}}),
    pytest.param(
        {"timeouts": {"request": "9s", "connect": "1s"}},
        {"timeout": {"http": {"requestTimeout": "9s"}, "tcp": {"connectTimeout": "1s"}}},
    ),
    pytest.param(
        {"timeouts": {"stream_idle": "5m", "stream": "1h", "idle": "1m"}},
        {
            "timeout": {
                "http": {
                    "streamIdleTimeout": "5m",
                    "maxStreamDuration": "1h",
                    "connectionIdleTimeout": "1m",
                }
            }
        },
    ),
    pytest.param({"retries": {}}, {"retry": {"numRetries": 2}}),
    pytest.param(
        {
            "retries": {
                "times": 0,
                "each": "1s",
                "on": ["reset"],
                "codes": [502],
                "wait": "5ms",
                "longest_wait": "1s",
            }
        },
        {
            "retry": {
                "numRetries": 0,
                "perRetry": {
                    "timeout": "1s",
                    "backOff": {"baseInterval": "5ms", "maxInterval": "1s"},
                },
                "retryOn": {
                    "triggers": ["reset", "retriable-status-codes"],
                    "httpStatusCodes": [502],
                },
            }
        },
    ),
    pytest.param(
        {"retries": {"codes": [502]}},
        {"retry": {"numRetries": 2, "retryOn": {"httpStatusCodes": [502]}}},
    ),
    pytest.param(
        {
            "circuit_breaker": {
                "connections": 1,
                "requests": 2,
                "pending": 0,
                "retries": 0,
                "retry_budget": 0,
                "per_endpoint": 3,
            }
        },
        {
            "circuitBreaker": {
                "maxConnections": 1,
                "maxParallelRequests": 2,
                "maxPendingRequests": 0,
                "maxParallelRetries": 0,
                "retryBudget": {"percent": {"numerator": 0}},
                "perEndpoint": {"maxConnections": 3},
            }
        },
    ),
    pytest.param(
        {
            "rates": [
                {"requests": 5, "path": "/api"},
                {
                    "requests": 9,
                    "per": "Hour",
                    "of": "all",
                    "clients": "0.0.0.0/0",
                    "each_client": True,
                    "headers": {"x-user": "*", "x-plan": "free"},
                },
            ]
        },
        {
            "rateLimit": {
                "local": {
                    "rules": [
                        {
                            "limit": {"requests": 5, "unit": "Second"},
                            "clientSelectors": [{"path": {"value": "/api"}}],
                        }
                    ]
                },
                "global": {
                    "rules": [
                        {
                            "limit": {"requests": 9, "unit": "Hour"},
                            "clientSelectors": [
                                {
                                    "headers": [
                                        {"name": "x-user", "type": "Distinct"},
                                        {"name": "x-plan", "value": "free"},
                                    ],
                                    "sourceCIDR": {"type": "Distinct", "value": "0.0.0.0/0"},
                                }
                            ],
                        }
                    ]
                },
            }
        },
    ),
    pytest.param(
        {"rates": [{"requests": 5, "of": "all", "shared": True}]},
        {
            "rateLimit": {
                "global": {"rules": [{"limit": {"requests": 5, "unit": "Second"}, "shared": True}]}
            }
        },
    ),
    pytest.param(
        {"backends": {"buffer": "64Ki", "keepalive": "60s"}},
        {
            "connection": {"bufferLimit": "64Ki"},
            "tcpKeepalive": {"idleTime": "60s", "interval": "30s", "probes": 3},
        },
    ),
    pytest.param(
        {"backends": {"streams": 5, "stream_window": "64Ki", "connection_window": "1Mi"}},
        {
            "http2": {
                "maxConcurrentStreams": 5,
                "initialStreamWindowSize": "64Ki",
                "initialConnectionWindowSize": "1Mi",
            }
        },
    ),
    pytest.param({"request_buffer": "1Mi"}, {"requestBuffer": {"limit": "1Mi"}}),
]


@pytest.mark.parametrize(("limits", "spec"), RENDERED, ids=lambda it: ", ".join(it))
def test_a_limit_is_one_of_envoy_gateway(limits: Object, spec: Object) -> None:
    if "clients" in limits:
        assert specs(limits) == {CLIENTS: {**ALIVE, **spec}}
    else:
        assert specs(limits) == {CLIENTS: ALIVE, WHOLE: spec}


def test_without_limits_the_text_is_what_it_was() -> None:
    specs()
    text = Path("rendered/weu-1/gateway/clienttrafficpolicy-edge-public.yaml").read_text()
    assert text.endswith("  tcpKeepalive:\n    idleTime: 60s\n    interval: 30s\n    probes: 3\n")
    assert text.count("\n") == 15


REDIS = {"rate_limit_redis": "redis.shared.svc:6379"}
COUNTED: Object = {"backend": {"type": "Redis", "redis": {"url": "redis.shared.svc:6379"}}}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        pytest.param({}, None, id="each proxy for itself"),
        pytest.param(REDIS, COUNTED, id="open after 20 ms, as Envoy Gateway is"),
        pytest.param(
            {**REDIS, "rate_limit_timeout": "100ms", "rate_limit_fails": "closed"},
            {**COUNTED, "timeout": "100ms", "failClosed": True},
            id="closed after 100 ms",
        ),
    ],
)
def test_the_controller_is_told_where_proxies_count(data: Object, found: Object | None) -> None:
    values = desired.values("weu-1", Cluster.model_validate({**LEAST, **data}))
    assert values["config"]["envoyGateway"].get("rateLimit") == found


def test_a_redis_has_a_port() -> None:
    [line] = problems("weu-1", {**LEAST, "rate_limit_redis": "redis"})
    assert "'redis' is not a host and port such as 'redis.shared.svc:6379'" in line


@pytest.mark.parametrize("key", [{"rate_limit_timeout": "1s"}, {"rate_limit_fails": "closed"}])
def test_nobody_waits_for_a_redis_that_is_not_there(key: Object) -> None:
    [line] = problems("weu-1", {**LEAST, **key})
    assert "it is of rates that all proxies count: set rate_limit_redis too" in line
    assert next(iter(key)) in line


def test_a_gateway_has_its_own_limits_or_the_clusters() -> None:
    every = {"timeouts": {"request": "9s"}}
    nine = {"timeout": {"http": {"requestTimeout": "9s"}}}
    data = Cluster.model_validate({**LEAST, "limits": every, "gateways": [GATEWAY]})
    [policy] = [it for it in desired.objects("weu-1", data) if it["kind"].startswith("BackendT")]
    assert policy["spec"]["timeout"] == nine["timeout"]
    own = {**GATEWAY, "limits": {"retries": {}}}
    data = Cluster.model_validate({**LEAST, "limits": every, "gateways": [own]})
    [policy] = [it for it in desired.objects("weu-1", data) if it["kind"].startswith("BackendT")]
    assert set(policy["spec"]) == {"targetRefs", "retry"}


def test_limits_of_a_route_are_added_to_the_gateways() -> None:
    routes = [{**ROUTE, "kind": "GRPCRoute", "limits": {"timeouts": {"request": "0s"}}}]
    assert specs(routes=routes)["BackendTrafficPolicy shop/cart"] == {
        "mergeType": "StrategicMerge",
        "timeout": {"http": {"requestTimeout": "0s"}},
    }


TO_CART = [{"group": "", "kind": "Service", "name": "cart", "port": 80, "weight": 1}]
ROUTES = [
    pytest.param({"kind": "GRPCRoute"}, {"rules": [{"backendRefs": TO_CART}]}, id="GRPCRoute"),
    pytest.param(
        {
            "kind": "GRPCRoute",
            "hostnames": ["a.test"],
            "methods": [{"service": "shop.Cart", "method": "Add"}, {"service": "shop.Pay"}],
            "headers": {"x-plan": "free"},
        },
        {
            "hostnames": ["a.test"],
            "rules": [
                {
                    "matches": [
                        {
                            "method": {"service": "shop.Cart", "method": "Add"},
                            "headers": [{"name": "x-plan", "value": "free"}],
                        },
                        {
                            "method": {"service": "shop.Pay"},
                            "headers": [{"name": "x-plan", "value": "free"}],
                        },
                    ],
                    "backendRefs": TO_CART,
                }
            ],
        },
        id="methods and a header",
    ),
    pytest.param(
        {"headers": {"content-type": "^application/grpc.*$"}},
        {
            "rules": [
                {
                    "matches": [
                        {
                            "path": {"type": "PathPrefix", "value": "/"},
                            "headers": [
                                {
                                    "name": "content-type",
                                    "type": "RegularExpression",
                                    "value": "^application/grpc.*$",
                                }
                            ],
                        }
                    ],
                    "backendRefs": TO_CART,
                }
            ]
        },
        id="a header's expression",
    ),
    pytest.param(
        {"kind": "TLSRoute", "hostnames": ["a.test"]},
        {"hostnames": ["a.test"], "rules": [{"backendRefs": TO_CART}]},
        id="TLSRoute",
    ),
    pytest.param({"kind": "UDPRoute"}, {"rules": [{"backendRefs": TO_CART}]}, id="UDPRoute"),
]


@pytest.mark.parametrize(("route", "spec"), ROUTES)
def test_a_route_is_of_its_kind(route: Object, spec: Object) -> None:
    kind = route.get("kind", "HTTPRoute")
    found = specs(routes=[{**ROUTE, **route}])[f"{kind} shop/cart"]
    parents = found.pop("parentRefs")
    assert [(it["kind"], it["namespace"], it["name"]) for it in parents] == [
        ("Gateway", "edge", "public")
    ]
    assert found == spec


def test_a_service_with_tls_has_one_policy_for_all_of_its_routes() -> None:
    backend = {"service": "cart", "port": 443, "tls": {"hostname": "cart", "authority": "cart-ca"}}
    routes = [{**ROUTE, "name": name, "backends": [backend]} for name in ("one", "two")]
    found = [yaml.safe_dump(it) for key, it in specs(routes=routes).items() if "TLSPolicy" in key]
    authority = {"group": "", "kind": "ConfigMap", "name": "cart-ca"}
    wanted = {"validation": {"hostname": "cart", "caCertificateRefs": [authority]}}
    assert found == [yaml.safe_dump(wanted)]


REFUSED = [
    pytest.param(
        {"limits": {"clients": {}}},
        "route cart: limits.clients is of connections, which a Gateway has: put it into limits of "
        "edge/public",
        id="clients of a route",
    ),
    pytest.param(
        {"kind": "GRPCRoute", "path": "/"},
        "route cart is a GRPCRoute, which has no path",
        id="path",
    ),
    pytest.param(
        {"methods": [{"service": "a.B"}]},
        "route cart is a HTTPRoute, which has no methods",
        id="methods",
    ),
    pytest.param(
        {"kind": "TLSRoute"}, "route cart is a TLSRoute, which needs hostnames", id="no hostname"
    ),
    pytest.param(
        {"kind": "TCPRoute", "limits": {"retries": {}}},
        "route cart is a TCPRoute, which has no retries",
        id="retries of TCP",
    ),
    pytest.param(
        {"limits": {"rates": [{"requests": 1, "each_client": True}]}},
        'each_client needs clients, such as "0.0.0.0/0" for all of them',
        id="no clients",
    ),
    pytest.param(
        {"limits": {"rates": [{"requests": 1, "shared": True}]}},
        'shared needs "of": "all": a proxy counts each route for itself',
        id="shared by none",
    ),
    pytest.param(
        {"limits": {"timeouts": {"request": "soon"}}},
        "'soon' is not a time such as '30s', '1m30s' or '250ms'",
        id="no time",
    ),
    pytest.param(
        {"limits": {"request_buffer": "1MB"}},
        "'1MB' is not a size such as '32Ki' or '1Mi'",
        id="no size",
    ),
    pytest.param(
        {"limits": {"rates": [{"requests": 1, "clients": "10.0.0.1/8"}]}},
        "'10.0.0.1/8' is not a network such as '203.0.113.0/24'",
        id="no network",
    ),
    pytest.param({"limits": {"retry": {}}}, "retry", id="no key"),
]


@pytest.mark.parametrize(("route", "message"), REFUSED)
def test_refused_in_one_line(route: Object, message: str) -> None:
    [line] = problems("weu-1", {**LEAST, "gateways": [GATEWAY], "routes": [{**ROUTE, **route}]})
    assert message in line
    assert "\n" not in line
