"""Kinds that are read only where they can tell something."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.diagnosis import bundle
from tasks.diagnosis.diagnosis import as_json
from tasks.diagnosis.explain import diagnosis
from tasks.diagnosis.needed import SOMETIMES, needed
from tests.diagnosis.recorded import Cluster, Wrong, condition
from tests.gym import archive

EG = "gateway.envoyproxy.io/v1alpha1"
FILTER = {"group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": "answer"}


def each_node(it: Cluster) -> None:
    provider = {"type": "Kubernetes", "kubernetes": {"envoyDaemonSet": {}}}
    it.add(EG, "EnvoyProxy", "nodes", "edge", spec={"provider": provider})


def of_each_node(it: Cluster) -> None:
    """Left from before: nobody wishes it any more."""
    owner = {"kind": "DaemonSet", "name": "envoy-edge-public"}
    it.get("Pod", "envoy-edge")["metadata"]["ownerReferences"] = [owner]


def no_address(it: Cluster) -> None:
    condition(it.get("Gateway", "public"), "Programmed", "False", "AddressNotAssigned", "none")


def not_ready(it: Cluster) -> None:
    condition(it.get("Pod", "envoy-edge"), "Ready", "False", "ContainersNotReady", "envoy")


def no_pod(it: Cluster) -> None:
    it.get("Deployment", "envoy-edge")["status"].pop("readyReplicas")


def filtered(it: Cluster) -> None:
    filters = [{"type": "ExtensionRef", "extensionRef": FILTER}]
    it.get("HTTPRoute", "blue")["spec"]["rules"][0]["filters"] = filters


def backend_elsewhere(it: Cluster) -> None:
    [backend] = it.get("HTTPRoute", "blue")["spec"]["rules"][0]["backendRefs"]
    backend["namespace"] = "shop"


def secret_elsewhere(it: Cluster) -> None:
    listeners = it.get("Gateway", "public")["spec"]["listeners"]
    tls = next(one["tls"] for one in listeners if "tls" in one)
    tls["certificateRefs"][0]["namespace"] = "shop"


def walled(it: Cluster) -> None:
    it.add("networking.k8s.io/v1", "NetworkPolicy", "wall", "demo", spec={"podSelector": {}})


@pytest.mark.parametrize(
    ("wrong", "kinds"),
    [
        (lambda it: None, []),
        (each_node, ["DaemonSet", "Event"]),
        (of_each_node, ["DaemonSet", "Event"]),
        (no_address, ["Event"]),
        (not_ready, ["Event"]),
        (no_pod, ["Event"]),
        (filtered, ["HTTPRouteFilter"]),
        (backend_elsewhere, ["ReferenceGrant"]),
        (secret_elsewhere, ["ReferenceGrant"]),
        (walled, ["Namespace"]),
    ],
)
def test_what_is_read(wrong: Wrong, kinds: list[str]) -> None:
    it = Cluster()
    wrong(it)
    found = [one for one in it.objects if one["kind"] not in SOMETIMES]
    assert [kind for kind in SOMETIMES if needed(kind, found)] == kinds


def test_every_other_kind_is_read() -> None:
    assert needed("HTTPRoute", [])


@pytest.fixture(scope="module")
def states() -> Iterator[dict[str, Path]]:
    with archive.recorded() as found:
        yield found


def test_no_fault_of_the_gym_is_told_by_what_is_left_out(states: dict[str, Path]) -> None:
    assert len(states) > 100
    for name, place in [*sorted(states.items())][::12]:
        seen = replace(bundle.read(place), live=True)
        every = seen.objects or ()
        found = [it for it in every if it["kind"] not in SOMETIMES]
        left = [kind for kind in SOMETIMES if not needed(kind, found)]
        kept = tuple(it for it in every if it["kind"] not in left)
        less = as_json(diagnosis(replace(seen, objects=kept)))
        assert less["findings"] == as_json(diagnosis(seen))["findings"], name
