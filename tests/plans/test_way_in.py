"""What speaks against restoring an archive into a cluster, and where its objects find a place."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans import way_in
from tasks.plans.kinds import GATEWAY_API
from tasks.plans.resources import CORE, Resource

HOSTS: dict[str, Any] = {"properties": {"hostnames": {}, "rules": {}}}


def crd(kind: str, *versions: str, schema: Any = HOSTS, **spec: Any) -> dict[str, Any]:
    """+ versions: all served, the first one stored"""
    return {
        "metadata": {"name": f"{kind.lower()}s.{GATEWAY_API}"},
        "spec": {
            "group": GATEWAY_API,
            "names": {"kind": kind, "plural": f"{kind.lower()}s"},
            "versions": [
                {
                    "name": it,
                    "served": True,
                    "storage": it == versions[0],
                    "schema": {"openAPIV3Schema": {"properties": {"spec": schema}}},
                }
                for it in versions
            ],
            **spec,
        },
    }


def route(kind: str, version: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"{GATEWAY_API}/{version}",
        "kind": kind,
        "metadata": {"name": "a", "namespace": "shop"},
        "spec": spec,
    }


CERTIFICATE = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Certificate",
    "metadata": {"name": "tls", "namespace": "edge"},
}
WEBHOOK = {"strategy": "Webhook"}
PLACES = way_in.places(
    CORE,
    [
        crd("HTTPRoute", "v1", "v1beta1"),
        crd("TCPRoute", "v1"),
        crd("UDPRoute", "v1", conversion=WEBHOOK),
    ],
)


@pytest.mark.parametrize(
    ("thing", "found"),
    [
        pytest.param(route("HTTPRoute", "v1beta1"), "v1beta1", id="the archive's own version"),
        pytest.param(route("TCPRoute", "v1alpha2", rules=[]), "v1", id="another one, no loss"),
        pytest.param(
            route("TCPRoute", "v1alpha2", useDefaultGateways="All"),
            f"as {GATEWAY_API}/v1, which this cluster serves, it would lose "
            "spec.useDefaultGateways",
            id="another one, with loss",
        ),
        pytest.param(
            route("UDPRoute", "v1alpha2"),
            f"this cluster serves UDPRoute as v1, the archive has {GATEWAY_API}/v1alpha2",
            id="converted by a webhook, nobody knows to what",
        ),
        pytest.param(
            route("XMesh", "v1"),
            f"this cluster does not serve XMesh of {GATEWAY_API}",
            id="not served",
        ),
        pytest.param({**CERTIFICATE, "apiVersion": "v1", "kind": "Secret"}, "v1", id="core"),
    ],
)
def test_place(thing: dict[str, Any], found: str) -> None:
    place = way_in.place(thing, PLACES)
    assert (place.version if isinstance(place, Resource) else place) == found


def test_what_has_no_place_is_refused_or_left_out() -> None:
    reasons, left_out = way_in.of_places([route("XMesh", "v1"), CERTIFICATE], PLACES)
    assert [it.text for it in reasons] == [
        f"XMesh shop/a: this cluster does not serve XMesh of {GATEWAY_API}: restore it with the "
        "Envoy Gateway that it was backed up with, or leave it out with only"
    ]
    assert left_out == {
        "Certificate edge/tls": "this cluster does not serve Certificate of cert-manager.io: "
        "install what brings it, then run again"
    }


def test_crds_that_come_count_before_what_is_served() -> None:
    served = [Resource(GATEWAY_API, "v1alpha2", "tcproutes", "TCPRoute", True)]
    found = way_in.places(served, [crd("TCPRoute", "v1")])
    assert [it.version for it in found.resources[GATEWAY_API, "TCPRoute"]] == ["v1"]


@pytest.mark.parametrize(
    ("of", "given", "said"),
    [
        pytest.param("weu-1", None, [], id="its own"),
        pytest.param("weu-2", "weu-2", [], id="of a cluster that was named"),
        pytest.param(
            "weu-2",
            None,
            [
                "the archive is of cluster weu-2: if it shall be restored into weu-1, add --data "
                "from_cluster=weu-2"
            ],
            id="of another",
        ),
        pytest.param(
            "weu-2",
            "weu-3",
            [
                "the archive is of cluster weu-2: if it shall be restored into weu-1, add --data "
                "from_cluster=weu-2"
            ],
            id="of neither",
        ),
    ],
)
def test_of_cluster(of: str, given: str | None, said: list[str]) -> None:
    assert [it.text for it in way_in.of_cluster({"cluster": of}, "weu-1", given)] == said


def test_another_cluster_of_the_same_name_is_said() -> None:
    manifest = {"cluster": "weu-1", "uid": "old"}
    assert way_in.of_identity(manifest, "weu-1", "old") == []
    [said] = way_in.of_identity(manifest, "weu-1", "new")
    assert not said.stops


LUA = {"EnvoyExtensionPolicy": [route("EnvoyExtensionPolicy", "v1", lua=[{}])]}


@pytest.mark.parametrize(
    ("archived", "wanted", "stops", "said"),
    [
        pytest.param("1.9.1", "1.9.1", [], [], id="the same"),
        pytest.param("1.8.3", "1.9.1", ["behaviour"], [], id="older: what changes, stops"),
        pytest.param("1.6.7", "1.9.1", ["behaviour"], [], id="older by several lines"),
        pytest.param(
            "1.9.1",
            "1.8.3",
            [],
            [
                "the archive is of Envoy Gateway 1.9.1, newer than 1.8.3: what its objects use is "
                "there, what they mean may differ"
            ],
            id="newer",
        ),
        pytest.param(
            None, "1.9.1", [], ["which Envoy Gateway the archive is of is not known"], id="unknown"
        ),
    ],
)
def test_of_versions(archived: str | None, wanted: str, stops: list[str], said: list[str]) -> None:
    found = way_in.of_versions(archived, wanted, LUA, {})
    assert [it.accept for it in found if it.stops] == stops
    assert [it.text for it in found if not it.stops] == said


@pytest.mark.parametrize(
    ("installed", "only", "stops"),
    [
        pytest.param(None, [], False, id="into an empty cluster"),
        pytest.param(None, ["* edge/*"], True, id="a selection needs a controller"),
        pytest.param("1.9.1", ["* edge/*"], False, id="a selection"),
        pytest.param("1.8.3", [], True, id="a restore is no upgrade"),
    ],
)
def test_of_release(installed: str | None, only: list[str], stops: bool) -> None:
    assert bool(way_in.of_release(installed, "1.9.1", only)) is stops


def test_values_and_namespace_are_those_of_the_inventory() -> None:
    assert way_in.of_values([]) == []
    [reason] = way_in.of_values(["deployment.replicas: 3 → 2"])
    assert reason.accept == "values"
    assert way_in.of_namespace(None, "envoy-gateway-system") == []
    assert way_in.of_namespace("envoy-gateway-system", "envoy-gateway-system") == []
    [reason] = way_in.of_namespace("gateways", "envoy-gateway-system")
    assert reason.stops


CORE_SECRET = {**CERTIFICATE, "apiVersion": "v1", "kind": "Secret"}


@pytest.mark.parametrize(
    ("thing", "otherwise"),
    [
        pytest.param(route("HTTPRoute", "v1"), False, id="a route"),
        pytest.param(CORE_SECRET, False, id="a Secret"),
        pytest.param(
            {**CORE_SECRET, "metadata": {"name": "r", "labels": {"owner": "helm"}}},
            True,
            id="a record of Helm",
        ),
        pytest.param(
            {
                **CORE_SECRET,
                "kind": "ConfigMap",
                "metadata": {
                    "name": "envoy-gateway-config",
                    "annotations": {"meta.helm.sh/release-name": "eg"},
                },
            },
            True,
            id="what the release made",
        ),
        pytest.param(
            {**CERTIFICATE, "apiVersion": "apiextensions.k8s.io/v1"}, True, id="a CRD, by its group"
        ),
    ],
)
def test_what_comes_with_the_chart(thing: dict[str, Any], otherwise: bool) -> None:
    assert way_in.comes_otherwise(thing, "eg") is otherwise
