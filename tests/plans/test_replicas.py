from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tasks.plans.replicas import to_hold

LABEL = "gateway.envoyproxy.io/owning-gateway"


def deployment(
    gateway: Mapping[str, str], manager: str = "envoy-gateway", replicas: int = 4
) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}, "f:template": {}}}
    about = {
        "name": "envoy-public",
        "namespace": "eg",
        "labels": {f"{LABEL}-{key}": it for key, it in gateway.items()},
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


@pytest.mark.parametrize(
    ("it", "expected"),
    [
        pytest.param(deployment(PUBLIC), [HELD], id="held"),
        pytest.param(deployment({}), [HELD], id="of merged Gateways"),
        pytest.param(deployment({**PUBLIC, "name": "other"}), [], id="is not to be scaled"),
        pytest.param(deployment(PUBLIC, "kubectl"), [], id="somebody else's number stays"),
        pytest.param(deployment(PUBLIC, replicas=0), [], id="none at all"),
    ],
)
def test_to_hold(it: dict[str, Any], expected: list[Any]) -> None:
    scaled = {("edge", "public"), ("", "")}
    assert list(to_hold([it], lambda *gateway: gateway in scaled)) == expected
