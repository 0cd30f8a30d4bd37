from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.hand_set import differences, reasons
from tasks.plans.preflight import Reason

NEW = {
    "deployment": {"replicas": 2, "envoyGateway": {"resources": {"limits": {"memory": "1Gi"}}}},
    "global": {"images": {"envoyGateway": {"image": "x/gateway:v1.9.1"}}, "imagePullSecrets": []},
}
OLD = {
    "deployment": {"replicas": 2, "envoyGateway": {"resources": {"limits": {"memory": "1Gi"}}}},
    "global": {"images": {"envoyGateway": {"image": "x/gateway:v1.8.3"}}},
}


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        pytest.param(OLD, [], id="as the inventory had it"),
        pytest.param(NEW, [], id="as it will be"),
        pytest.param({}, [], id="nothing was set"),
        pytest.param(
            {**OLD, "deployment": {"replicas": 5, "pod": {}}},
            ["deployment.replicas: 5 → 2"],
            id="another number",
        ),
        pytest.param(
            {"config": {"envoyGateway": {"extensionApis": {"enableLua": True}}}},
            ["config.envoyGateway.extensionApis.enableLua: true → not set"],
            id="unknown switch",
        ),
        pytest.param(
            {"redis": {"password": "s3cr3t", "hosts": ["a"]}},
            ["redis.password: a text → not set", "redis.hosts: a list → not set"],
            id="what may be a secret is not shown",
        ),
        pytest.param(
            {"global": {"images": {"envoyGateway": {"image": "mine/gateway:v1.8.3-fix"}}}},
            ['global.images.envoyGateway.image: "mine/gateway:v1.8.3-fix" → "x/gateway:v1.9.1"'],
            id="an image of one's own",
        ),
        pytest.param(
            {"global": {"imagePullSecrets": [{"name": "mine"}]}},
            ["global.imagePullSecrets: a list → not set"],
            id="a list",
        ),
    ],
)
def test_differences(values: dict[str, Any], lines: list[str]) -> None:
    assert differences(values, [NEW, OLD], ours=False) == lines


def test_what_envoyfleet_itself_applied_is_a_change_of_the_inventory() -> None:
    assert differences({"deployment": {"replicas": 5}}, [NEW, OLD], ours=True) == []


def test_reasons() -> None:
    assert reasons("eg-system/eg", []) == []
    assert reasons("eg-system/eg", ["deployment.replicas: 5 → 2"]) == [
        Reason(
            "Helm release eg-system/eg has values that the inventory does not know, and this "
            "change would undo them: deployment.replicas: 5 → 2: bring them into the inventory or "
            "the template templates/envoy-gateway/values.yaml.j2",
            "values",
        )
    ]
