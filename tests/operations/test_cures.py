"""What is written where a cure can be given as objects, and that nothing is where it cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tasks.operations import cures
from tasks.plans.listeners import of_gateways
from tasks.plans.overlap import overlaps
from tests.plans.test_cures import gateway, listener, route
from tests.plans.test_overlap import OTHER, WILD, A, B, served


def test_manifests_of_one_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    live = gateway(listener("a", "a.example.com"), listener("b", "b.example.com"))
    every = of_gateways("weu-1", [live])
    held = {it: [WILD] for it in every}
    moved = {**route("b", "b"), "spec": {**route("b", "b")["spec"], "rules": [{"name": "☃"}]}}
    written = cures.write(overlaps(every, held), held, {"weu-1": [live]}, {"weu-1": [moved]})
    names = ("merged-edge-public-443.yaml", "misdirected-edge-public-443.yaml")
    assert written == {("weu-1", "port 443 of edge/public"): names}
    folder = tmp_path / "rendered" / "weu-1" / "overlap"
    merged, misdirected = (folder / it for it in names)
    first, last = yaml.safe_load_all(merged.read_text())
    assert first["spec"]["rules"] == [{"name": "☃"}]
    assert last["spec"]["listeners"] == [listener("a", "*.example.com")]
    assert "take the parentRefs of b out" in merged.read_text()
    [policy] = yaml.safe_load_all(misdirected.read_text())
    assert [it["name"] for it in policy["spec"]["jsonPatches"]] == [
        "edge/public/a",
        "edge/public/b",
    ]


def test_nothing_for_a_shared_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    every, held = served((A, WILD), (replace(B, **OTHER), WILD))
    live = gateway(listener("a", "a.example.com"))
    assert cures.write(overlaps(every, held), held, {"weu-1": [live]}, {}) == {}
    assert not (tmp_path / "rendered").exists()
