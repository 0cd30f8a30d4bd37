"""Which CRDs differ from a chart's, decided from metadata alone."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.crds import (
    DIGEST,
    GENERATION,
    bundle,
    changed,
    downgrades,
    marked,
    not_established,
    stamped,
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
    metadata = stamped(of, 4)["metadata"]
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


def test_stamped_says_the_generation() -> None:
    assert stamped(WANTED, 4)["metadata"]["annotations"] == {
        **WANTED["metadata"]["annotations"],
        GENERATION: "4",
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
    assert downgrades([WANTED], [crd(version=now)]) == lines
