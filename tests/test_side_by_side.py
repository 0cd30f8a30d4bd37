"""What is made of measurements beside the peers: bounds, losing rows, and the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.sides import page, rows
from benchmarks.sides.commands import NOTHING
from benchmarks.sides.rows import BASH, OURS, Row, Scene

TITLE = Scene(NOTHING, 64).title
MINE = Row(TITLE, OURS, 8.0, 5.0, 200.0, 1280.0, 0.0, (0, 0, 0), (), "2026-11-23T04:00:00+00:00")
THEIRS = replace(MINE, side=BASH, wall=75.0, processor=120.0, memory=700.0, requests=2000.0)


def test_each_bound_is_said_with_its_figure() -> None:
    slow = replace(MINE, wall=11.0)
    assert list(rows.judged([slow, THEIRS])) == [
        (True, f"{TITLE}: 24.0 times less processor time than bash (at least 20)"),
        (False, f"{TITLE}: wall s 11.0 (at most 10)"),
        (True, f"{TITLE}: memory MB 200.0 (at most 300)"),
        (True, f"{TITLE}: requests/s a cluster 1.8 (at most 20)"),
    ]


def test_what_a_cluster_costs_must_not_grow() -> None:
    every = [replace(MINE, scene=Scene(NOTHING, it).title, processor=it / 10) for it in (8, 500)]
    dear = replace(every[1], processor=100.0)
    assert (True, "processor time a cluster: 8: 100 ms, 500: 100 ms (flat)") in rows.judged(every)
    said = (False, "processor time a cluster: 8: 100 ms, 500: 200 ms (flat)")
    assert said in rows.judged([every[0], dear])


def test_a_peer_that_is_better_is_named_unless_it_went_wrong() -> None:
    light = replace(THEIRS, memory=80.0)
    assert list(rows.losing([MINE, light])) == [f"{TITLE}: memory MB: bash 80.0, envoyfleet 200.0"]
    assert list(rows.losing([MINE, replace(light, wrong=("c-1 is not named",))])) == []


def test_a_scene_takes_the_place_of_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "results.jsonl")
    rows.kept([MINE, THEIRS])
    newer = replace(MINE, wall=7.0)
    assert rows.kept([newer]) == [newer, THEIRS] == rows.known()


def test_the_page_is_what_was_measured() -> None:
    written = "\n".join(page.text(rows.known()))
    assert page.PAGE.read_text() == written, "run benchmarks/side_by_side.py --page"
