from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tasks.plans.replicas import need_metrics, to_hold

OWNING = "gateway.envoyproxy.io/owning-gateway"
LABELS = {"namespace": f"{OWNING}-namespace", "name": f"{OWNING}-name", "class": f"{OWNING}class"}


def deployment(
    labels: Mapping[str, str], manager: str = "envoy-gateway", replicas: int = 4
) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}, "f:template": {}}}
    about = {
        "name": "envoy-public",
        "namespace": "eg",
        "labels": {LABELS[key]: it for key, it in labels.items()},
        "managedFields": [{"manager": manager, "operation": "Apply", "fieldsV1": fields}],
    }
    return {"metadata": about, "spec": {"replicas": replicas}}


HELD = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "envoy-public", "namespace": "eg"},
    "spec": {"replicas": 4},
}
PUBLIC = {"namespace": "edge", "name": "public"}
BY_LOAD = {"envoyHpa": {"minReplicas": 2, "maxReplicas": 6}}
CLASS = {
    "kind": "GatewayClass",
    "metadata": {"name": "envoy"},
    "spec": {"parametersRef": {"kind": "EnvoyProxy", "namespace": "eg", "name": "of-class"}},
}


def gateway(name: str = "public", proxy: str | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = {"gatewayClassName": "envoy"}
    if proxy:
        spec["infrastructure"] = {"parametersRef": {"kind": "EnvoyProxy", "name": proxy}}
    return {"kind": "Gateway", "metadata": {"namespace": "edge", "name": name}, "spec": spec}


def settings(
    name: str, namespace: str = "edge", kubernetes: Any = None, **spec: Any
) -> dict[str, Any]:
    provider = {"type": "Kubernetes", "kubernetes": kubernetes or {}}
    about = {"name": name, "namespace": namespace}
    return {"kind": "EnvoyProxy", "metadata": about, "spec": {"provider": provider, **spec}}


OF_CLASS = settings("of-class", "eg", BY_LOAD)
FIXED = settings("of-class", "eg")
MERGED = settings("of-class", "eg", BY_LOAD, mergeGateways=True)


@pytest.mark.parametrize(
    ("it", "objects", "expected"),
    [
        pytest.param(deployment(PUBLIC), [CLASS, gateway(), OF_CLASS], [HELD], id="by the class"),
        pytest.param(deployment(PUBLIC), [CLASS, gateway(), FIXED], [], id="nobody scales"),
        pytest.param(
            deployment(PUBLIC),
            [CLASS, gateway(proxy="own"), FIXED, settings("own", kubernetes=BY_LOAD)],
            [HELD],
            id="by one of its own",
        ),
        pytest.param(
            deployment(PUBLIC),
            [CLASS, gateway(proxy="own"), OF_CLASS, settings("own")],
            [],
            id="one of its own in place of the class",
        ),
        pytest.param(
            deployment(PUBLIC),
            [CLASS, gateway(proxy="own"), OF_CLASS, settings("own", mergeType="StrategicMerge")],
            [HELD],
            id="one of its own over that of the class",
        ),
        pytest.param(
            deployment({"class": "envoy"}), [CLASS, gateway(), MERGED], [HELD], id="merged Gateways"
        ),
        pytest.param(
            deployment({"class": "other"}), [CLASS, gateway(), MERGED], [], id="merged elsewhere"
        ),
        pytest.param(
            deployment({**PUBLIC, "name": "other"}),
            [CLASS, gateway(), OF_CLASS],
            [],
            id="a Gateway that is not there",
        ),
        pytest.param(
            deployment(PUBLIC, "kubectl"),
            [CLASS, gateway(), OF_CLASS],
            [],
            id="somebody else's number stays",
        ),
        pytest.param(
            deployment(PUBLIC, replicas=0), [CLASS, gateway(), OF_CLASS], [], id="none at all"
        ),
    ],
)
def test_to_hold(it: dict[str, Any], objects: list[dict[str, Any]], expected: list[Any]) -> None:
    assert list(to_hold([it], objects)) == expected


def metric(kind: str, name: str) -> dict[str, Any]:
    return {"type": "Pods", kind: {"name": name, "target": {"type": "AverageValue"}}}


@pytest.mark.parametrize(
    ("it", "expected"),
    [
        pytest.param(settings("a", kubernetes={"envoyHpa": {}}), True, id="CPU by itself"),
        pytest.param(
            settings("a", kubernetes={"envoyHpa": {"metrics": [metric("resource", "memory")]}}),
            True,
            id="memory",
        ),
        pytest.param(
            settings("a", kubernetes={"envoyHpa": {"metrics": [metric("pods", "requests")]}}),
            False,
            id="something that others serve",
        ),
        pytest.param(settings("a"), False, id="no autoscaler"),
        pytest.param({"kind": "EnvoyProxy", "metadata": {"name": "a"}}, False, id="empty"),
        pytest.param(gateway(), False, id="something else"),
    ],
)
def test_need_metrics(it: dict[str, Any], expected: bool) -> None:
    assert need_metrics([it]) == ([it] if expected else [])
