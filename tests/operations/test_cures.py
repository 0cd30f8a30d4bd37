"""What is written where a cure can be given as objects, and that nothing is where it cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tasks.checks.overlap import findings
from tasks.operations import cures
from tasks.plans.listeners import of_gateways
from tasks.plans.overlap import overlaps
from tests.plans.test_cures import gateway, listener, route
from tests.plans.test_overlap import OTHER, WILD, A, B, certificate, served


def test_manifests_of_one_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    live = gateway(listener("a", "a.example.com"), listener("b", "b.example.com"))
    every = of_gateways("weu-1", [live])
    held = {it: [WILD] for it in every}
    moved = {**route("b", "b"), "spec": {**route("b", "b")["spec"], "rules": [{"name": "☃"}]}}
    written = cures.write(overlaps(every, held), held, {"weu-1": [live]}, {"weu-1": [moved]})
    names = ("merged-edge-public-443-a.yaml", "misdirected-edge-public-443-a.yaml")
    assert written == {("weu-1", "port 443 of edge/public, Gateway edge/public, listener a"): names}
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


def test_two_groups_of_one_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hosts = ("a.example.com", "b.example.com", "c.example.org", "d.example.org")
    live = gateway(*(listener(it[0], it, it[-3:]) for it in hosts))
    every = of_gateways("weu-1", [live])
    held = {it: [certificate(f"*.{(it.hostname or '')[2:]}")] for it in every}
    found = overlaps(every, held)
    written = cures.write(found, held, {"weu-1": [live]}, {})
    assert [written[it.key][0] for it in found] == [
        "merged-edge-public-443-a.yaml",
        "merged-edge-public-443-c.yaml",
    ]
    fixes = [it.fix for it in findings(found, manifests=written)]
    assert "merged-edge-public-443-a.yaml" in fixes[0]
    assert "merged-edge-public-443-c.yaml" in fixes[1]
