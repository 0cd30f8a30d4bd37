"""Which CRDs differ from a chart's, decided from metadata alone."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.crds import (
    DIGEST,
    GENERATION,
    STORED,
    VERSION,
    bundle,
    changed,
    collection,
    downgrades,
    foreign_managers,
    in_order,
    item,
    marked,
    not_established,
    not_served,
    stamped,
    storage_version,
    unproven,
)

GROUP = "gateway.networking.k8s.io"
NOTE, CHANNEL = f"{GROUP}/bundle-version", f"{GROUP}/channel"


def crd(name: str = "gateways", version: str = "v1.6.1", **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{name}.{GROUP}",
            "creationTimestamp": None,
            "annotations": {NOTE: version, CHANNEL: "experimental"},
        },
        "spec": {"group": GROUP, "names": {"plural": name}},
        "status": {"conditions": []},
        **more,
    }


WANTED = marked(crd())


def live(of: dict[str, Any] = WANTED, generation: int = 4, **changes: Any) -> dict[str, Any]:
    metadata = stamped(of, "1.9.1", 4, proven=True)["metadata"]
    return {"metadata": {**metadata, "generation": generation, **changes}}


def test_marked_is_the_manifest_to_apply_with_its_digest() -> None:
    assert set(WANTED) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(WANTED["metadata"]) == {"name", "annotations"}
    assert len(WANTED["metadata"]["annotations"][DIGEST]) == 64
    assert marked(crd()) == WANTED
    assert marked(crd(spec={})) != WANTED


def test_marked_leaves_the_chart_alone() -> None:
    original = crd()
    marked(original)
    assert original == crd()


@pytest.mark.parametrize("proven", [True, False])
def test_stamped_says_generation_and_version(proven: bool) -> None:
    assert stamped(WANTED, "1.9.1", 4, proven)["metadata"]["annotations"] == {
        **WANTED["metadata"]["annotations"],
        VERSION: "1.9.1",
        GENERATION: "4",
        **({STORED: "4"} if proven else {}),
    }


@pytest.mark.parametrize(
    ("there", "differs"),
    [
        pytest.param([live()], False, id="as we applied it"),
        pytest.param([], True, id="not there"),
        pytest.param([{"metadata": {"name": f"gateways.{GROUP}"}}], True, id="of another tool"),
        pytest.param([live(generation=5)], True, id="changed by somebody since"),
        pytest.param([live(marked(crd(spec={})))], True, id="of another chart"),
    ],
)
def test_changed(there: list[dict[str, Any]], differs: bool) -> None:
    assert changed([WANTED], there) == ([WANTED] if differs else [])


@pytest.mark.parametrize(
    ("true", "lines"),
    [
        pytest.param(["Established", "NamesAccepted"], [], id="served"),
        pytest.param(
            ["NamesAccepted"],
            [f"CustomResourceDefinition gateways.{GROUP}: not Established yet"],
            id="not yet",
        ),
    ],
)
def test_not_established(true: list[str], lines: list[str]) -> None:
    conditions = [{"type": it, "status": "True"} for it in true]
    conditions.append({"type": "Terminating", "status": "False"})
    there = crd(status={"conditions": conditions})
    assert not_established([f"gateways.{GROUP}"], [there]) == lines


def test_not_established_while_it_is_not_there() -> None:
    assert not_established(["a.b"], []) == [
        "CustomResourceDefinition a.b: not Established yet",
    ]


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        pytest.param([], ("", ""), id="none"),
        pytest.param([crd(), crd("httproutes")], ("v1.6.1", "experimental"), id="one bundle"),
        pytest.param(
            [crd(), crd("tcproutes", "v1.4.1")], ("v1.4.1+v1.6.1", "experimental"), id="mixed"
        ),
        pytest.param([crd(), crd("xmeshes", "v1.0.0")], ("v1.6.1", "experimental"), id="leftovers"),
        pytest.param(
            [{"metadata": {"name": f"gateways.{GROUP}"}}], ("", ""), id="without annotations"
        ),
        pytest.param(
            [{"metadata": {"name": "pods.example.com", "annotations": {NOTE: "v9"}}}],
            ("", ""),
            id="of another group",
        ),
    ],
)
def test_bundle(there: list[dict[str, Any]], wanted: tuple[str, str]) -> None:
    assert bundle(there) == wanted


@pytest.mark.parametrize(
    ("now", "lines"),
    [
        pytest.param("v1.4.1", [], id="newer than what is there"),
        pytest.param("v1.6.1", [], id="the same"),
        pytest.param(
            "v1.10.0",
            [f"gateways.{GROUP} is of bundle v1.10.0, newer than v1.6.1"],
            id="numbers, not text",
        ),
        pytest.param(
            "main",
            [f"gateways.{GROUP} has the unreadable bundle version main"],
            id="unreadable",
        ),
        pytest.param("", [], id="without a bundle"),
    ],
)
def test_downgrades(now: str, lines: list[str]) -> None:
    assert downgrades([WANTED], [crd(version=now)], "1.9.1") == lines


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [
        pytest.param("1.9.1", [], id="the same"),
        pytest.param("1.10.0", [], id="forward"),
        pytest.param("1.9.0", ["proxies.x is of chart 1.9.1, newer than 1.9.0"], id="back"),
    ],
)
def test_crds_without_a_bundle_know_the_chart_that_they_came_with(
    wanted: str, lines: list[str]
) -> None:
    own = {"metadata": {"name": "proxies.x", "annotations": {DIGEST: "1"}}}
    there = stamped(own, "1.9.1", 2, proven=False)
    assert downgrades([own], [there], wanted) == lines


def managed(manager: str, *fields: str, **more: str) -> dict[str, Any]:
    entry = {"manager": manager, "fieldsV1": {"f:spec": {f"f:{it}": {} for it in fields}}, **more}
    return {"metadata": {"name": f"gateways.{GROUP}", "managedFields": [entry]}}


@pytest.mark.parametrize(
    "there",
    [
        pytest.param(managed("helm", "versions"), id="allowed"),
        pytest.param(managed("kubectl-client-side-apply", "versions"), id="every kubectl"),
        pytest.param(managed("envoyfleet", "versions"), id="ourselves"),
        pytest.param(managed("kube-apiserver", "x", subresource="status"), id="only the status"),
        pytest.param(managed("old", "group", "names", "scope"), id="nothing that differs"),
        pytest.param({"metadata": {"name": f"gateways.{GROUP}"}}, id="nobody"),
        pytest.param({**managed("old", "versions"), "metadata": {"name": "a.b"}}, id="another CRD"),
    ],
)
def test_these_managers_are_not_foreign(there: dict[str, Any]) -> None:
    assert foreign_managers([WANTED], [there], ["helm", "kubectl"]) == []


def test_foreign_managers_are_named_with_the_key_to_set() -> None:
    assert foreign_managers([WANTED], [managed("somebody", "versions")], ["helm"]) == [
        f"CustomResourceDefinition gateways.{GROUP}: somebody manages its spec: ask who that is, "
        'then let it stop, or add "somebody" to crd_managers'
    ]
    assert foreign_managers([WANTED], [managed("kubectl-edit", "versions")], ["helm"]) != []


def versioned(name: str = "tcproutes", **served: bool) -> dict[str, Any]:
    """A CRD with these versions, the first is stored."""
    versions = [
        {"name": it, "served": is_served, "storage": number == 0}
        for number, (it, is_served) in enumerate(served.items())
    ]
    return crd(name, spec={"group": GROUP, "names": {"plural": name}, "versions": versions})


def test_the_gateway_api_comes_first() -> None:
    own = {"metadata": {"name": "backends.gateway.envoyproxy.io"}}
    assert in_order([own, crd("httproutes"), crd("gateways")]) == [
        crd("gateways"),
        crd("httproutes"),
        own,
    ]


@pytest.mark.parametrize(
    ("served", "late"),
    [
        pytest.param(["v1", "v1alpha2"], None, id="all"),
        pytest.param(["v1alpha2"], "v1", id="the new one not yet"),
        pytest.param([], "v1, v1alpha2", id="none"),
    ],
)
def test_not_served(served: list[str], late: str | None) -> None:
    wanted = [versioned(v1=True, v1alpha2=True, v0=False)]
    name = f"tcproutes.{GROUP}"
    lines = [f"CustomResourceDefinition {name}: {late} is not served yet"] if late else []
    assert not_served(wanted, {name: served}) == lines


@pytest.mark.parametrize(
    ("wanted", "mark", "names"),
    [
        pytest.param(versioned(v1=True, v1alpha2=True), "4", [], id="proven for this generation"),
        pytest.param(versioned(v1=True, v1alpha2=True), "3", [f"tcproutes.{GROUP}"], id="before"),
        pytest.param(versioned(v1=True, v1alpha2=True), None, [f"tcproutes.{GROUP}"], id="never"),
        pytest.param(versioned(v1=True), None, [], id="one version"),
    ],
)
def test_unproven(wanted: dict[str, Any], mark: str | None, names: list[str]) -> None:
    notes = {STORED: mark} if mark else None
    there = {"metadata": {"name": f"tcproutes.{GROUP}", "generation": 4, "annotations": notes}}
    assert unproven([wanted], [there]) == names
    assert unproven([wanted], []) == []


def test_paths_are_those_of_the_stored_version_where_it_is_served() -> None:
    assert storage_version(versioned(v1=True, v1alpha2=True)) == "v1"
    root = f"/apis/{GROUP}"
    assert collection(versioned(v1=True, v1alpha2=True)) == f"{root}/v1/tcproutes"
    assert collection(versioned(v1=False, v1alpha2=True)) == f"{root}/v1alpha2/tcproutes"
    one = versioned(v1=True)
    assert (
        item(one, {"metadata": {"name": "old", "namespace": "demo"}})
        == f"{root}/v1/namespaces/demo/tcproutes/old"
    )
    assert item(one, {"metadata": {"name": "old"}}) == f"{root}/v1/tcproutes/old"
