"""
CRDs alone, on the first cluster of the lab: from those of an old release to the newest, with
objects in versions that are no longer stored. The tests stand in the order of a cluster's life.
"""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.fleet import NEW, OLD, Ended, Fleet, opened
from tests.lab.running import REPOSITORY, until

pytestmark = pytest.mark.lab

ROUTES = {"TCPRoute": "v1alpha2", "TLSRoute": "v1alpha3"}
#: One that no release drops a version of, so only the policy can refuse it.
GATEWAYS = "gateways.gateway.networking.k8s.io"


@pytest.fixture(scope="module", params=[pytest.param("1.6.7", marks=pytest.mark.nightly), "1.7.5"])
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, release: str) -> Iterator[Fleet]:
    """A cluster without Envoy Gateway, with the CRDs of ``release`` and an object of each alpha."""
    fleet = opened(tmp_path_factory.mktemp("fleet"))
    empty(fleet)
    apply(fleet, *crds(release), manager="somebody")
    kubectl(fleet, "wait", "crd", "--all", "--for=condition=Established", "--timeout=240s")
    if "namespace/demo" not in kubectl(fleet, "get", "namespace", "--output", "name"):
        kubectl(fleet, "create", "namespace", "demo")
    apply(fleet, *(route(kind, version) for kind, version in ROUTES.items()))
    yield fleet
    empty(fleet)


def empty(fleet: Fleet) -> None:
    for kind in ("validatingadmissionpolicy", "validatingadmissionpolicybinding", "crd"):
        kubectl(fleet, "delete", kind, "--all", "--timeout=240s")


def kubectl(fleet: Fleet, *arguments: str) -> str:
    return fleet.kubectl(fleet.names[0], *arguments)


def crds(release: str) -> list[dict[str, Any]]:
    packed = REPOSITORY / "tests" / "data" / "crds" / f"envoy-gateway-{release}.json.gz"
    found: list[dict[str, Any]] = json.loads(gzip.decompress(packed.read_bytes()))["items"]
    return found


def route(kind: str, version: str) -> dict[str, Any]:
    return {
        "apiVersion": f"gateway.networking.k8s.io/{version}",
        "kind": kind,
        "metadata": {"name": "old", "namespace": "demo"},
        "spec": {
            "rules": [{"backendRefs": [{"name": "blue", "port": 8080}]}],
            **({"hostnames": ["old.lab.test"]} if kind == "TLSRoute" else {}),
        },
    }


def apply(fleet: Fleet, *things: dict[str, Any], manager: str = "kubectl") -> str:
    """What kubectl said, refused or not."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": things})
    how = ("--server-side", "--force-conflicts", "--field-manager", manager, "-f", "-")
    return fleet.lab.kubectl("--context", fleet.names[0], "apply", *how, text=text, check=False)


def bring(fleet: Fleet, *more: str) -> Ended:
    return fleet.pyinfra("crds", "-y", "--limit", fleet.names[0], *more)


def live(fleet: Fleet) -> dict[str, dict[str, Any]]:
    items = json.loads(kubectl(fleet, "get", "crd", "--output", "json"))["items"]
    return {it["metadata"]["name"]: it for it in items}


def test_crds_of_somebody_stop_the_cluster(fleet: Fleet) -> None:
    ended = bring(fleet)
    assert ended.code == 1
    assert "somebody manages its spec: ask who that is" in ended.err
    assert 'add "somebody" to crd_managers' in ended.err
    assert {it["metadata"]["generation"] for it in live(fleet).values()} == {1}


def test_all_are_brought_and_stored_in_one_version(fleet: Fleet) -> None:
    allowed = ("--data", 'crd_managers=["helm", "kubectl", "somebody"]')
    ended = bring(fleet, *allowed)
    assert ended.code == 0, ended.text
    for name, crd in live(fleet).items():
        versions = crd["spec"]["versions"]
        if "xlistenersets" not in name:  # a leftover, no release has it any more
            assert crd["metadata"]["annotations"]["envoyfleet.dev/version"] == NEW
            assert crd["status"]["storedVersions"] == [
                it["name"] for it in versions if it["storage"]
            ]
    for resource in ("tcproutes.v1", "tcproutes.v1alpha2", "tlsroutes.v1", "tlsroutes.v1alpha3"):
        full = f"{resource}.gateway.networking.k8s.io"
        assert "/old" in kubectl(fleet, "get", full, "-n", "demo", "-o", "name")


def test_objects_are_where_they_were(fleet: Fleet) -> None:
    """Stored anew without a change of theirs: nobody else's field, and the same generation."""
    for kind in ROUTES:
        found = json.loads(
            kubectl(fleet, "get", kind, "old", "-n", "demo", "-o", "json", "--show-managed-fields")
        )
        assert found["metadata"]["generation"] == 1
        assert [it["manager"] for it in found["metadata"]["managedFields"]] == ["kubectl"]


def test_again_there_is_nothing_to_do_in_five_requests(fleet: Fleet) -> None:
    before = len(fleet.requests(fleet.names[0]))
    ended = bring(fleet)
    assert ended.code == 0, ended.text
    assert fleet.statuses()[fleet.names[0]] == "unchanged"
    made = fleet.requests(fleet.names[0])[before:]
    assert [it["verb"] for it in made] == ["get", "get", "list", "list", "list"]


def test_newer_crds_stay_for_an_older_controller(fleet: Fleet) -> None:
    ended = bring(fleet, "--data", f'envoy_gateway_version="{OLD}"')
    assert ended.code == 0, ended.text
    assert "newer than those of gateway-helm" in ended.err
    assert fleet.statuses()[fleet.names[0]] == "unchanged"


def test_the_policy_denies_an_old_bundle(fleet: Fleet, release: str) -> None:
    [old] = [it for it in crds(release) if it["metadata"]["name"] == GATEWAYS]

    def denied() -> bool:
        return "denied request: Installing CRDs with version" in apply(fleet, old)

    until("the policy is in force", denied)
    assert "ValidatingAdmissionPolicy 'safe-upgrades.envoyfleet.dev'" in apply(fleet, old)


def test_a_release_that_owns_the_policy_of_its_chart_can_still_go_back(fleet: Fleet) -> None:
    """Installed by hand with crds.enabled, taken on without, then rolled back by hand."""
    data = fleet.lab.data

    def helm(verb: str, *arguments: str) -> None:
        place = ("--kubeconfig", data["kubeconfig"], "--kube-context", fleet.names[0])
        there = ("--namespace", "crdtest", *place)
        done = subprocess.run(
            [data["helm"], verb, "crdtest", *arguments, *there],
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr

    def chart(version: str) -> tuple[str, ...]:
        image = f"global.images.envoyGateway.image={data['images']['envoy_gateway'][version]}"
        return (data["charts"][0]["ref"], "--version", version, "--plain-http", "--set", image)

    helm("install", *chart(OLD), "--create-namespace", "--skip-crds")
    try:
        assert bring(fleet).code == 0
        helm("upgrade", *chart(NEW), "--set", "crds.enabled=false")
        assert bring(fleet).code == 0
        helm("rollback", "1")
        policies = kubectl(fleet, "get", "validatingadmissionpolicy", "--output", "name")
        assert "safe-upgrades.envoyfleet.dev" in policies
        assert "safe-upgrades.gateway.networking.k8s.io" in policies
    finally:
        helm("uninstall")
        kubectl(fleet, "delete", "namespace", "crdtest", "--timeout=240s")
