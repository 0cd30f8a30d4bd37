from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.plans.health import controller_problems, counting_problems, is_own, reasons, split
from tasks.plans.preflight import Reason, warning

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NAME = "eg/envoy-gateway"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
OWNING = "gateway.envoyproxy.io/owning-gateway"


def workload(name: str, available: int = 1, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "eg", "labels": labels or {}},
        "spec": {
            "replicas": 1,
            "template": {"spec": {"containers": [{"name": "envoy", "image": "x"}]}},
        },
        "status": {"replicas": 1, "updatedReplicas": 1, "availableReplicas": available},
    }


def lease(renewed: str | None = "2026-11-21T11:59:50.123456Z", holder: str = "p_1") -> Any:
    return {"spec": {"holderIdentity": holder, "renewTime": renewed}}


SILENT = "no controller of eg/envoy-gateway leads: "


@pytest.mark.parametrize(
    ("deployment", "leader", "lines"),
    [
        pytest.param(workload("envoy-gateway"), lease(), [], id="leads"),
        pytest.param(workload("envoy-gateway"), lease(renewed=None), [], id="no time at all"),
        pytest.param(None, lease(), ["Deployment eg/envoy-gateway does not exist"], id="gone"),
        pytest.param(
            workload("envoy-gateway", 0),
            lease(),
            ["Deployment eg/envoy-gateway: 0 of 1 Pods are available"],
            id="not available",
        ),
        pytest.param(workload("envoy-gateway"), None, [f"{SILENT}it holds no Lease"], id="none"),
        pytest.param(
            workload("envoy-gateway"), lease(holder=""), [f"{SILENT}it holds no Lease"], id="empty"
        ),
        pytest.param(
            workload("envoy-gateway"),
            lease("2026-11-21T11:50:00.000000Z"),
            [f"{SILENT}its Lease was last renewed 2026-11-21 11:50 UTC by this machine's clock"],
            id="lost its API server",
        ),
    ],
)
def test_controller_problems(deployment: Any, leader: Any, lines: list[str]) -> None:
    assert controller_problems(deployment, leader, NAME, NOW) == lines


@pytest.mark.parametrize(
    ("deployment", "lines"),
    [
        pytest.param(workload("envoy-ratelimit"), [], id="counts"),
        pytest.param(None, ["Deployment eg/envoy-ratelimit does not exist"], id="not there"),
        pytest.param(
            workload("envoy-ratelimit", 0),
            [
                "Deployment eg/envoy-ratelimit: 0 of 1 Pods are available: its image must be there "
                "(images.ratelimit), and redis.shared.svc:6379 must answer"
            ],
            id="no image, or no Redis",
        ),
    ],
)
def test_counting_problems(deployment: Any, lines: list[str]) -> None:
    assert counting_problems(deployment, "eg/envoy-ratelimit", "redis.shared.svc:6379") == lines


def conditions(**status: str) -> list[dict[str, Any]]:
    return [
        {"type": key, "status": it, "reason": "Why", "message": ""} for key, it in status.items()
    ]


def gateway(name: str, programmed: str) -> dict[str, Any]:
    return {
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "edge"},
        "spec": {"listeners": []},
        "status": {
            "conditions": conditions(Accepted="True", Programmed=programmed),
            "addresses": [{"value": "10.0.0.1"}],
        },
    }


def route(name: str, accepted: str) -> dict[str, Any]:
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "demo"},
        "spec": {"parentRefs": [{"name": "public"}]},
        "status": {
            "parents": [
                {
                    "controllerName": CONTROLLER,
                    "parentRef": {"name": "public"},
                    "conditions": conditions(Accepted=accepted, ResolvedRefs="True"),
                }
            ]
        },
    }


def found(interrupted: bool = False, **seen: Any) -> list[Reason]:
    parts: dict[str, Any] = {
        "controller": [],
        "classes": [],
        "gateways": [],
        "routes": [],
        "proxies": [],
        "own_gateways": {("edge", "public")},
        "own_routes": {("HTTPRoute", "demo", "blue")},
        "own_class": "envoy",
        "controller_name": CONTROLLER,
        "interrupted": interrupted,
    }
    return reasons(**(parts | seen))


def test_a_well_cluster() -> None:
    assert found(gateways=[gateway("public", "True")], routes=[route("blue", "True")]) == []


def test_what_is_ours_stops() -> None:
    sick = "Gateway edge/public: Programmed is False: Why: mend it first"
    assert found(gateways=[gateway("public", "False")]) == [Reason(sick, "sick")]
    assert found(gateways=[gateway("public", "False")], interrupted=True) == [
        Reason(sick, "sick", stops=False)
    ]
    assert found(routes=[route("blue", "False")]) == [
        Reason("HTTPRoute demo/blue, parent public: Accepted is False: Why: mend it first", "sick")
    ]
    assert found(controller=["no controller leads"]) == [
        Reason("no controller leads: mend it first", "sick")
    ]


def test_what_is_of_others_is_a_warning() -> None:
    assert found(gateways=[gateway("other", "False")], routes=[route("a", "False")] * 2) == [
        warning("not well, and left as it is: Gateway edge/other: Programmed is False: Why"),
        warning(
            "2 routes of others are not well: HTTPRoute demo/a, parent public: Accepted is False: "
            "Why; HTTPRoute demo/a, parent public: Accepted is False: Why"
        ),
    ]


def test_a_route_of_another_controller_is_none_of_ours() -> None:
    assert found(routes=[route("a", "False")], controller_name="another") == []


def proxies(name: str, available: int, gateway: str) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/component": "proxy",
        f"{OWNING}-namespace": "edge",
        f"{OWNING}-name": gateway,
    }
    return workload(name, available, labels)


def test_proxies() -> None:
    ours, theirs = proxies("envoy-public", 0, "public"), proxies("envoy-other", 0, "other")
    assert found(proxies=[ours, theirs]) == [
        Reason("Deployment eg/envoy-public: 0 of 1 Pods are available: mend it first", "sick"),
        warning(
            "not well, and left as it is: Deployment eg/envoy-other: 0 of 1 Pods are available"
        ),
    ]
    controller = workload("envoy-gateway")
    assert split([ours, controller, theirs], "eg", "envoy-gateway") == (controller, [ours, theirs])
    assert split([ours], "eg", "envoy-gateway") == (None, [ours])


def test_proxies_of_merged_gateways_are_of_the_class() -> None:
    merged = workload("envoy", labels={f"{OWNING}class": "envoy"})
    assert is_own(merged, set(), "envoy")
    assert not is_own(merged, set(), "other")
