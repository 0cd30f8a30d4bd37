"""What objects say about themselves, and whether they say it about what was asked for last."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.conditions import gateway, gateway_class, leads, policy, rolled_out, route

OURS = "gateway.envoyproxy.io/gatewayclass-controller"
TITLE = "Gateway edge/public"


def said(kind: str, generation: int = 2, status: str = "True", **more: Any) -> dict[str, Any]:
    return {"type": kind, "status": status, "observedGeneration": generation, **more}


def gw(
    conditions: list[Any] | None = None,
    listener: list[Any] | None = None,
    **status: Any,
) -> dict[str, Any]:
    """A Gateway of generation 2; its status is as a controller writes it, but for what is given."""
    whole = [said("Accepted"), said("Programmed")]
    of_listener = [said("Accepted"), said("ResolvedRefs"), said("Programmed")]
    return {
        "kind": "Gateway",
        "metadata": {"name": "public", "namespace": "edge", "generation": 2},
        "spec": {"listeners": [{"name": "https"}]},
        "status": {
            "addresses": [{"value": "20.103.0.10"}],
            "conditions": whole if conditions is None else conditions,
            "listeners": [
                {"name": "https", "conditions": of_listener if listener is None else listener}
            ],
            **status,
        },
    }


NO_ADDRESS: dict[str, Any] = {
    "reason": "AddressNotAssigned",
    "message": "No addresses have been assigned",
}
NO_CERT: dict[str, Any] = {
    "reason": "InvalidCertificateRef",
    "message": "Secret edge/tls does not exist",
}
GATEWAYS = [
    pytest.param(gw(), [], id="serves"),
    pytest.param(
        gw([said("Accepted"), said("Programmed", 1)]),
        [f"{TITLE}: Programmed is reported for generation 1, not yet for 2"],
        id="the controller died before the newest change",
    ),
    pytest.param(
        gw([said("Accepted"), said("Programmed", status="False", **NO_ADDRESS)]),
        [f"{TITLE}: Programmed is False: AddressNotAssigned: No addresses have been assigned"],
        id="no address",
    ),
    pytest.param(
        gw([said("Accepted"), said("Programmed", status="Unknown", reason="Pending")]),
        [f"{TITLE}: Programmed is Unknown: Pending"],
        id="waiting for a controller",
    ),
    pytest.param(
        {**gw(), "status": {}},
        [f"{TITLE}: Accepted is not reported yet", f"{TITLE}: Programmed is not reported yet"],
        id="no controller",
    ),
    pytest.param(
        gw(listeners=[]), [f"{TITLE}, listener https: not reported yet"], id="missing listener"
    ),
    pytest.param(
        gw(listener=[said("Accepted"), said("ResolvedRefs", 1), said("Programmed", 1)]),
        [
            f"{TITLE}, listener https: ResolvedRefs is reported for generation 1, not yet for 2",
            f"{TITLE}, listener https: Programmed is reported for generation 1, not yet for 2",
        ],
        id="a listener behind",
    ),
    pytest.param(
        gw(
            listener=[
                said("Accepted"),
                said("ResolvedRefs", status="False", **NO_CERT),
                said("Programmed"),
            ]
        ),
        [
            f"{TITLE}, listener https: ResolvedRefs is False: InvalidCertificateRef: "
            "Secret edge/tls does not exist"
        ],
        id="a certificate that is not there",
    ),
    pytest.param(
        gw(addresses=[]), [f"{TITLE}: Programmed, but without an address"], id="programmed in vain"
    ),
    pytest.param(
        gw([{"type": "Accepted", "status": "True"}, {"type": "Programmed", "status": "True"}]),
        [],
        id="conditions without a generation",
    ),
    pytest.param(
        gw(listeners=[{"name": "https", "attachedRoutes": 0}]),
        [
            f"{TITLE}, listener https: {it} is not reported yet"
            for it in ("Accepted", "ResolvedRefs", "Programmed")
        ],
        id="a listener without conditions",
    ),
]


@pytest.mark.parametrize(("thing", "lines"), GATEWAYS)
def test_gateway(thing: dict[str, Any], lines: list[str]) -> None:
    assert gateway(thing) == lines


def test_merged_gateways_are_judged_each_by_its_own_status() -> None:
    other = gw([said("Accepted", 1), said("Programmed", 1)])
    other["metadata"]["name"] = "internal"
    assert [gateway(gw()), gateway(other)] == [
        [],
        [
            "Gateway edge/internal: Accepted is reported for generation 1, not yet for 2",
            "Gateway edge/internal: Programmed is reported for generation 1, not yet for 2",
        ],
    ]


def test_gateway_class() -> None:
    thing = {"kind": "GatewayClass", "metadata": {"name": "envoy", "generation": 1}}
    refused = said("Accepted", 1, "False", reason="InvalidParameters", message="no such EnvoyProxy")
    assert gateway_class({**thing, "status": {"conditions": [said("Accepted", 1)]}}) == []
    assert gateway_class({**thing, "status": {"conditions": [refused]}}) == [
        "GatewayClass envoy: Accepted is False: InvalidParameters: no such EnvoyProxy"
    ]
    assert gateway_class(thing) == ["GatewayClass envoy: Accepted is not reported yet"]


def parent(*conditions: Any, controller: str = OURS) -> dict[str, Any]:
    return {
        "controllerName": controller,
        "parentRef": {"name": "public"},
        "conditions": conditions,
    }


GOOD = (said("Accepted"), said("ResolvedRefs"))
NOT_TAKEN_UP = f"HTTPRoute shop/shop: not taken up by {OURS} yet"
ROUTES = [
    pytest.param([parent(*GOOD)], [], id="serves"),
    pytest.param([], [NOT_TAKEN_UP], id="nobody"),
    pytest.param([parent(*GOOD, controller="other")], [NOT_TAKEN_UP], id="another controller"),
    pytest.param(
        [parent(said("Accepted"), said("ResolvedRefs", 1))],
        [
            "HTTPRoute shop/shop, parent public: ResolvedRefs is reported for generation 1, "
            "not yet for 2"
        ],
        id="behind",
    ),
]


@pytest.mark.parametrize(("parents", "lines"), ROUTES)
def test_route(parents: list[Any], lines: list[str]) -> None:
    thing = {
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": "shop", "generation": 2},
        "spec": {"parentRefs": [{"name": "public"}]},
        "status": {"parents": parents},
    }
    assert route(thing, OURS) == lines


def test_policy() -> None:
    thing = {
        "kind": "ClientTrafficPolicy",
        "metadata": {"name": "public", "namespace": "edge", "generation": 2},
    }
    refused = said("Accepted", status="False", reason="Conflicted", message="another is older")
    ancestor = {"controllerName": OURS, "conditions": [refused]}
    assert policy(thing, OURS) == [f"ClientTrafficPolicy edge/public: not taken up by {OURS} yet"]
    assert policy({**thing, "status": {"ancestors": [ancestor]}}, OURS) == [
        "ClientTrafficPolicy edge/public: Accepted is False: Conflicted: another is older"
    ]


DEPLOYMENT = "Deployment envoy-gateway-system/envoy-edge-public"
DONE = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}


def workload(status: dict[str, int], kind: str = "Deployment", **spec: Any) -> dict[str, Any]:
    containers = [
        {"name": "envoy", "image": "envoy:1.39.1"},
        {"name": "shutdown-manager", "image": "gateway:1.9.1"},
    ]
    return {
        "kind": kind,
        "metadata": {
            "name": "envoy-edge-public",
            "namespace": "envoy-gateway-system",
            "generation": 2,
        },
        "spec": {"replicas": 2, "template": {"spec": {"containers": containers}}, **spec},
        "status": status,
    }


SCHEDULED = {
    "observedGeneration": 2,
    "desiredNumberScheduled": 3,
    "updatedNumberScheduled": 3,
    "numberAvailable": 3,
}
ROLLED_OUT = [
    pytest.param(workload(DONE), [], id="done"),
    pytest.param(
        workload({**DONE, "observedGeneration": 1}),
        [f"{DEPLOYMENT}: its newest specification was not acted on yet"],
        id="not looked at",
    ),
    pytest.param(
        workload({**DONE, "updatedReplicas": 1}),
        [f"{DEPLOYMENT}: 1 of 2 Pods are of the newest specification"],
        id="half way",
    ),
    pytest.param(
        workload({**DONE, "replicas": 3}),
        [f"{DEPLOYMENT}: 1 Pods of an older specification are left"],
        id="an old Pod is left",
    ),
    pytest.param(
        workload({**DONE, "availableReplicas": 1}),
        [f"{DEPLOYMENT}: 1 of 2 Pods are available"],
        id="a Pod is not up",
    ),
    pytest.param(workload({"observedGeneration": 2}, replicas=0), [], id="scaled to nothing"),
    pytest.param(workload({}), [f"{DEPLOYMENT}: its newest specification was not acted on yet"]),
    pytest.param(workload(SCHEDULED, "DaemonSet"), [], id="DaemonSet"),
    pytest.param(
        workload({**SCHEDULED, "updatedNumberScheduled": 2}, "DaemonSet"),
        [
            "DaemonSet envoy-gateway-system/envoy-edge-public: 2 of 3 Pods are of the newest "
            "specification"
        ],
        id="DaemonSet half way",
    ),
]


@pytest.mark.parametrize(("thing", "lines"), ROLLED_OUT)
def test_rolled_out(thing: dict[str, Any], lines: list[str]) -> None:
    assert rolled_out(thing) == lines


@pytest.mark.parametrize(
    ("image", "container", "lines"),
    [
        pytest.param("envoy:1.39.1", "envoy", [], id="by name"),
        pytest.param("envoy:1.39.1", None, [], id="the first"),
        pytest.param("gateway:1.9.1", "shutdown-manager", [], id="the second"),
        pytest.param(
            "envoy:1.40.0",
            "envoy",
            [f"{DEPLOYMENT}: container envoy still has image envoy:1.39.1, not envoy:1.40.0"],
            id="another image",
        ),
        pytest.param("x", "none", [f"{DEPLOYMENT}: has no container none"], id="no container"),
    ],
)
def test_rolled_out_with_an_image(image: str, container: str | None, lines: list[str]) -> None:
    assert rolled_out(workload(DONE), image, container) == lines


LEASE = {"kind": "Lease", "metadata": {"name": "5b98", "namespace": "eg"}}
PODS = [{"metadata": {"name": "envoy-gateway-7d_f"}}, {"metadata": {"name": "envoy-gateway-8e"}}]


@pytest.mark.parametrize(
    ("lease", "lines"),
    [
        pytest.param(None, ["no controller has become leader yet"], id="no Lease"),
        pytest.param({**LEASE, "spec": {"holderIdentity": "envoy-gateway-8e_4b1c"}}, []),
        pytest.param({**LEASE, "spec": {"holderIdentity": "envoy-gateway-7d_f_4b1c"}}, []),
        pytest.param(
            {**LEASE, "spec": {"holderIdentity": "envoy-gateway-old_4b1c"}},
            [
                "Lease eg/5b98 is held by envoy-gateway-old_4b1c, not by a Pod of the wanted "
                "version yet"
            ],
            id="the old leader keeps it",
        ),
        pytest.param(
            LEASE,
            ["Lease eg/5b98 is held by nobody, not by a Pod of the wanted version yet"],
            id="given back",
        ),
    ],
)
def test_leads(lease: dict[str, Any] | None, lines: list[str]) -> None:
    assert leads(lease, PODS) == lines
