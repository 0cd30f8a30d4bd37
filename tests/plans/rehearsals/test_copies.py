"""What of a source is put on another cluster, and in which form."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.rehearsals import copies
from tasks.plans.rehearsals.lookalikes import Mint

AZURE = "service.beta.kubernetes.io/azure-"
INSIDE = {f"{AZURE}load-balancer-internal": "true"}


def thing(kind: str, spec: Any, group: str = "gateway.networking.k8s.io/v1") -> dict[str, Any]:
    meta = {"namespace": "edge", "name": "one"}
    return {"apiVersion": group, "kind": kind, "metadata": meta, "spec": spec}


def proxy(**kubernetes: Any) -> dict[str, Any]:
    spec = {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}}
    return thing("EnvoyProxy", spec, "gateway.envoyproxy.io/v1alpha1")


CLAIMS = {
    f"{AZURE}pip-name": "weu-1",
    f"{AZURE}dns-label-name": "shop",
    f"{AZURE}load-balancer-internal-subnet": "apps",
    **INSIDE,
    "example.com/team": "shop",
}
KEPT = {**INSIDE, "example.com/team": "shop"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            thing("Gateway", {"addresses": [{"value": "20.1.2.3"}], "listeners": []}),
            thing("Gateway", {"listeners": []}),
            id="no fixed address",
        ),
        pytest.param(
            thing("Gateway", {"infrastructure": {"annotations": CLAIMS}}),
            thing("Gateway", {"infrastructure": {"annotations": KEPT}}),
            id="no claim on Azure, but inside stays inside",
        ),
        pytest.param(
            proxy(envoyService={"annotations": CLAIMS, "loadBalancerIP": "20.1.2.3"}),
            proxy(envoyService={"annotations": KEPT}),
            id="the same of an EnvoyProxy",
        ),
        pytest.param(
            proxy(
                envoyDeployment={
                    "replicas": 6,
                    "pod": {"nodeSelector": {"pool": "edge"}, "labels": {"a": "b"}},
                    "container": {"resources": {"requests": {"cpu": "4"}}, "env": []},
                },
                envoyHpa={"maxReplicas": 20},
                envoyPDB={"minAvailable": 3},
            ),
            proxy(
                envoyDeployment={
                    "replicas": 1,
                    "pod": {"labels": {"a": "b"}},
                    "container": {"env": []},
                }
            ),
            id="one small proxy",
        ),
        pytest.param(
            thing("Service", {"type": "LoadBalancer", "loadBalancerIP": "20.1.2.3"}, "v1"),
            thing("Service", {"type": "ClusterIP"}, "v1"),
            id="no load balancer of an application",
        ),
        pytest.param(
            thing("Service", {"type": "ExternalName", "externalName": "x.com"}, "v1"),
            thing("Service", {"type": "ExternalName", "externalName": "x.com"}, "v1"),
            id="an outside name stays",
        ),
        pytest.param(
            thing("HTTPRoute", {"rules": [{"name": "a"}]}),
            thing("HTTPRoute", {"rules": [{"name": "a"}]}),
            id="a route as it is",
        ),
    ],
)
def test_an_object_asks_for_nothing_of_the_source(before: Any, after: Any) -> None:
    assert copies.changed(before) == after


def test_a_secret_is_never_copied_as_it_is() -> None:
    with pytest.raises(ValueError, match="Secret edge/one: a Secret is not copied"):
        copies.changed(thing("Secret", None, "v1"))


def test_what_is_not_of_a_gateway_stays_behind() -> None:
    keys = {**thing("Secret", None, "v1"), "metadata": {"namespace": "system", "name": "envoy"}}
    objects = [
        thing("HTTPRoute", {}),
        thing("Certificate", {}, "cert-manager.io/v1"),
        thing("PodMonitor", {}, "monitoring.coreos.com/v1"),
        thing("CustomResourceDefinition", {}, "apiextensions.k8s.io/v1"),
        keys,
        thing("Secret", None, "v1"),
        thing("ConfigMap", None, "v1"),
    ]
    found = copies.copied(objects, "system", Mint(b""))
    assert copies.counted(found) == {"ConfigMap": 1, "HTTPRoute": 1, "Secret": 1}


def test_a_digest_is_of_what_is_asked_for_alone() -> None:
    one = thing("TCPRoute", {"rules": []}, "gateway.networking.k8s.io/v1alpha2")
    other = {**thing("TCPRoute", {"rules": []}), "status": {"parents": []}}
    assert copies.digests([one]) == copies.digests([other])
    more = [thing("ReferenceGrant", {}), thing("Service", {}, "v1"), thing("Unknown", {})]
    assert list(copies.digests([one, *more])) == ["TCPRoute edge/one"]
    changed = copies.digests([thing("TCPRoute", {"rules": [{}]}), thing("HTTPRoute", {})])
    assert copies.moved_on(copies.digests([one]), changed) == [
        "HTTPRoute edge/one",
        "TCPRoute edge/one",
    ]
