"""
What Azure's cloud provider writes for a Service is in order: its rules as the lab has them, written
by others from the same sources, judged by the checks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.lab.azure import cloud_provider, load_balancers, security_groups
from tasks.plans.public_ips import IDLE
from tests.azure_situations import (
    ADDRESS_1,
    SUBSCRIPTION,
    Object,
    Situation,
    around,
    asks,
    bound,
    claim,
    node_group,
    other,
    public_ip,
    security,
    subnet,
)

UID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
RANGES = "service.beta.kubernetes.io/azure-allowed-ip-ranges"
TAGS = "service.beta.kubernetes.io/azure-allowed-service-tags"
PLACE = cloud_provider.Place(SUBSCRIPTION, node_group("weu-1"), "westeurope", subnet())


def written(annotations: dict[str, str], **about: Any) -> Situation:
    """A Service with everything that the cloud provider makes for it."""
    found = claim(annotations=asks() | annotations, answers=[], **about)
    service: Object = dict(found.service or {})
    service["metadata"] = {**service["metadata"], "uid": UID}
    wish = cloud_provider.asked(service)
    ip = public_ip()
    holds = {"publicIPAddress": {"id": ip["id"]}}
    made = load_balancers.load_balancer(None, service, wish, PLACE, holds)
    balancer = with_ids({**made, "id": PLACE.network("loadBalancers", wish.balancer)})
    front = balancer["properties"]["frontendIPConfigurations"][0]["id"]
    before = security(subnets=[subnet()])
    opened = security_groups.opened(service, wish, ADDRESS_1)
    group = security_groups.security_group(before, opened)
    resources = [bound(ip, front), *other(around(), balancer, group)]
    return Situation([replace(found, service=service)], resources)


def with_ids(balancer: Object) -> Object:
    """As ARM answers it: each part has an id."""
    for kind in ("frontendIPConfigurations", "loadBalancingRules", "probes"):
        for it in balancer["properties"][kind]:
            it["id"] = f"{balancer['id']}/{kind}/{it['name']}"
    return balancer


@pytest.mark.parametrize(
    ("annotations", "about"),
    [
        pytest.param({}, {}, id="Local"),
        pytest.param({}, {"policy": "Cluster"}, id="Cluster"),
        pytest.param({}, {"ports": (80, 443, 8080)}, id="three ports"),
        pytest.param({}, {"loadBalancerSourceRanges": ["20.1.0.0/16", "52.1.0.0/16"]}, id="ranges"),
        pytest.param({RANGES: "20.1.0.0/16, 52.1.0.0/16"}, {}, id="ranges by annotation"),
        pytest.param({TAGS: "AzureFrontDoor.Backend"}, {}, id="a tag of a service"),
        pytest.param({IDLE: "30"}, {}, id="idle connections"),
    ],
)
def test_what_the_cloud_provider_writes_is_in_order(
    annotations: dict[str, str], about: dict[str, Any]
) -> None:
    it = written(annotations, **about)
    assert it.found == [], [one.text for one in it.findings]


def test_a_range_that_is_none_shuts_others_out_and_is_said_once() -> None:
    it = written({}, loadBalancerSourceRanges=["20.1.0.0/16", "office"])
    assert it.found == ["error GW721 weu-1"], [one.text for one in it.findings]
