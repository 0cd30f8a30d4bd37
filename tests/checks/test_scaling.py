from __future__ import annotations

from typing import Any

import pytest

from tasks.checks.wanted.scaling import sizes, unmeasured
from tasks.checks.wanted.view import View
from tasks.plans.references import to

ENVOY = "gateway.envoyproxy.io/v1alpha1"
GATEWAYS = "gateway.networking.k8s.io/v1"
SHUTDOWN = {"drainTimeout": "60s", "minDrainDuration": "20s"}
PERCENT = {"type": "Utilization", "averageUtilization": 70}
BY_CPU = [{"type": "Resource", "resource": {"name": "cpu", "target": PERCENT}}]
NO_REQUEST = (
    "GW380 envoyHpa looks at {0} in percent of a request that is not there, so the number of "
    "proxies never changes: set envoyDeployment.container.resources.requests.{0}"
)
GONE_EARLY = (
    "GW386 a proxy that leaves may be gone after {} s, and Azure's load balancer goes on sending "
    "to it for up to {} s: set minDrainDuration to {}s or more"
)


def thing(kind: str, name: str, version: str = ENVOY, **spec: Any) -> dict[str, Any]:
    about = {"name": name, "namespace": "eg"}
    return {"apiVersion": version, "kind": kind, "metadata": about, "spec": spec}


def proxy(shutdown: Any = SHUTDOWN, name: str = "envoy", **kubernetes: Any) -> dict[str, Any]:
    provider = {"type": "Kubernetes", "kubernetes": kubernetes}
    said = {} if shutdown is None else {"shutdown": shutdown}
    return thing("EnvoyProxy", name, provider=provider, **said)


def sized(**resources: Any) -> dict[str, Any]:
    return {"container": {"resources": resources}}


def texts(*things: dict[str, Any]) -> list[str]:
    view = View("weu-1", things, {to(it): "proxy" for it in things})
    return [f"{it.code} {it.what}: {it.fix}" for it in sizes(view)]


@pytest.mark.parametrize(
    ("it", "expected"),
    [
        pytest.param(proxy(), [], id="nothing said"),
        pytest.param(
            proxy(
                envoyHpa={"minReplicas": 2, "maxReplicas": 6, "metrics": BY_CPU},
                envoyDeployment=sized(requests={"cpu": "1"}),
            ),
            [],
            id="by load",
        ),
        pytest.param(
            proxy(
                envoyHpa={"minReplicas": 2, "maxReplicas": 6, "metrics": BY_CPU},
                envoyDeployment=sized(requests={"memory": "1Gi"}),
            ),
            [NO_REQUEST.format("cpu")],
            id="by a resource without a request",
        ),
        pytest.param(
            proxy(envoyHpa={"minReplicas": 2}, envoyDeployment=sized(limits={"cpu": "1"})),
            [],
            id="a limit is a request, and CPU is looked at by itself",
        ),
        pytest.param(
            proxy(
                envoyHpa={
                    "minReplicas": 2,
                    "metrics": [
                        {"type": "Resource", "resource": {"name": "memory", "target": PERCENT}},
                        {"type": "Pods", "pods": {"metric": {"name": "requests"}}},
                        {
                            "type": "ContainerResource",
                            "containerResource": {
                                "name": "cpu",
                                "target": {"type": "AverageValue", "averageValue": "1"},
                            },
                        },
                    ],
                },
                envoyDeployment=sized(),
            ),
            [NO_REQUEST.format("memory")],
            id="only what is a share of a request",
        ),
        pytest.param(
            proxy(envoyHpa={"maxReplicas": 6}, envoyDeployment={"replicas": 3}),
            [
                "GW381 envoyHpa.minReplicas is 1: with little load one proxy serves, and whatever "
                "happens to it is an outage: set it to 2 or more",
                "GW382 envoyHpa and envoyDeployment.replicas 3 both say how many proxies there "
                "are: Envoy Gateway before 1.9 sets them back each time it looks: leave replicas "
                "out",
            ],
            id="two numbers, and one proxy",
        ),
        pytest.param(
            proxy(envoyDeployment={"replicas": 2}, envoyPDB={"minAvailable": 2}),
            [
                "GW383 no proxy may ever be evicted (envoyPDB.minAvailable 2 of 2), so that a "
                "drain of its node waits for ever: let one go: envoyPDB.maxUnavailable 25%, or "
                "fewer in minAvailable"
            ],
            id="never evicted",
        ),
        pytest.param(
            proxy(envoyDeployment=sized(limits={"cpu": "500m"})),
            [],
            id="a CPU limit without a number of workers",
        ),
        pytest.param(
            proxy({"drainTimeout": "10s", "minDrainDuration": "20s"}),
            [
                "GW386 a proxy that leaves is to serve for 20 s and is gone after 10 s: set "
                "drainTimeout to minDrainDuration or more"
            ],
            id="gone before it may be",
        ),
        pytest.param(proxy(None), [GONE_EARLY.format(10, 15, 15)], id="Envoy Gateway's own drain"),
        pytest.param(
            proxy(
                envoyService={
                    "annotations": {
                        "service.beta.kubernetes.io/azure-load-balancer-health-probe-interval": "15"
                    }
                }
            ),
            [GONE_EARLY.format(20, 45, 45)],
            id="a load balancer that looks seldom",
        ),
        pytest.param(proxy({"minDrainDuration": "soon"}), [], id="no time at all"),
    ],
)
def test_sizes(it: dict[str, Any], expected: list[str]) -> None:
    assert texts(it) == expected


def test_more_workers_than_processors() -> None:
    it = proxy(envoyDeployment=sized(limits={"cpu": "1500m"}))
    it["spec"]["concurrency"] = 1
    assert texts(it) == []
    it["spec"]["concurrency"] = 2
    assert texts(it) == [
        "GW385 2 worker threads share a CPU limit of 1500m: the kernel stops all of them for the "
        "rest of a period when it is used up: set concurrency to the limit, or take limits.cpu away"
    ]


def test_one_that_is_merged_has_the_drain_of_another() -> None:
    it = proxy(None)
    it["spec"]["mergeType"] = "StrategicMerge"
    assert texts(it) == []


LISTENERS = [{"name": "http"}, {"name": "https"}]
OF_CLASS = {"kind": "EnvoyProxy", "name": "envoy", "namespace": "eg"}
CLASS = thing("GatewayClass", "envoy", GATEWAYS, parametersRef=OF_CLASS)
GATEWAY = thing("Gateway", "public", GATEWAYS, gatewayClassName="envoy", listeners=LISTENERS)
OWN = thing(
    "Gateway",
    "public",
    GATEWAYS,
    gatewayClassName="envoy",
    listeners=LISTENERS,
    infrastructure={"parametersRef": {"kind": "EnvoyProxy", "name": "own"}},
)


def bound(value: int) -> dict[str, Any]:
    return thing(
        "ClientTrafficPolicy",
        "public",
        targetRefs=[{"kind": "Gateway", "name": "public"}],
        connection={"connectionLimit": {"value": value}},
    )


SMALL = proxy(envoyDeployment=sized(limits={"memory": "256Mi"}))
TOO_SMALL = (
    "GW384 20,000 connections, which ClientTrafficPolicies let in, need about 929 MiB of each "
    "proxy, and its limit is 256Mi: raise limits.memory, or lower connectionLimit"
)


def route(rules: int, kind: str = "Gateway", name: str = "public") -> dict[str, Any]:
    parent = {"kind": kind, "name": name}
    return thing("HTTPRoute", "many", GATEWAYS, parentRefs=[parent], rules=[{}] * rules)


BESIDE = thing(
    "ListenerSet", "more", GATEWAYS, parentRef={"name": "public"}, listeners=[{"name": "shop"}]
)


@pytest.mark.parametrize(
    ("things", "expected"),
    [
        pytest.param([SMALL, CLASS, GATEWAY, bound(10000)], [TOO_SMALL], id="of the class"),
        pytest.param([SMALL, CLASS, GATEWAY, bound(1000)], [], id="few enough"),
        pytest.param([SMALL, CLASS, GATEWAY], [], id="no bound"),
        pytest.param([SMALL, CLASS, OWN, bound(10000)], [], id="the Gateway has another"),
        pytest.param(
            [{**SMALL, "metadata": {"name": "own", "namespace": "eg"}}, CLASS, OWN, bound(10000)],
            [TOO_SMALL],
            id="of a Gateway alone",
        ),
        pytest.param([SMALL, CLASS, GATEWAY, route(2000)], [], id="few enough routes"),
        pytest.param(
            [SMALL, CLASS, GATEWAY, BESIDE, route(3000, "ListenerSet", "more")],
            [
                "GW384 3,000 rules of routes need about 334 MiB of each proxy, and its limit is "
                "256Mi: raise limits.memory"
            ],
            id="too many routes",
        ),
        pytest.param(
            [SMALL, CLASS, GATEWAY, bound(2000), route(1000)],
            [
                "GW384 4,000 connections, which ClientTrafficPolicies let in, and 1,000 rules of "
                "routes need about 330 MiB of each proxy, and its limit is 256Mi: raise "
                "limits.memory, or lower connectionLimit"
            ],
            id="both",
        ),
        pytest.param(
            [proxy(envoyDeployment=sized(limits={"memory": "32Mi"})), CLASS, GATEWAY],
            [],
            id="nothing to carry",
        ),
    ],
)
def test_memory_for_connections(things: list[dict[str, Any]], expected: list[str]) -> None:
    assert texts(*things) == expected


def test_nobody_tells_what_proxies_use() -> None:
    it = proxy(envoyHpa={"minReplicas": 2, "maxReplicas": 6})
    assert list(unmeasured(View("weu-1", [it], {to(it): "proxy"}))) == []
    [found] = unmeasured(View("weu-1", [it], {to(it): "objects/own.yaml"}, unmeasured=[it]))
    assert found.text == (
        "warning GW387 weu-1: EnvoyProxy eg/envoy, objects/own.yaml: envoyHpa follows what proxies "
        "use, and metrics.k8s.io does not answer: the number of proxies never changes, whatever "
        "the load: install metrics-server, or mend it (kubectl get apiservice "
        "v1beta1.metrics.k8s.io)"
    )
