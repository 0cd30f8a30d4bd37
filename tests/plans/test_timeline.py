"""When each cluster of a run did what, as bars."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.timeline import Bar, Lane, Ring, rings, step_name


def step(name: str, started: str, seconds: float, status: str = "changed") -> dict[str, Any]:
    at = f"2026-11-21T{started}Z" if started else ""
    return {"name": name, "started": at, "seconds": seconds, "status": status}


def cluster(name: str, ring: int, *steps: dict[str, Any], status: str = "done") -> dict[str, Any]:
    return {"name": name, "ring": ring, "status": status, "steps": [*steps]}


def test_bars_are_places_in_the_time_of_their_ring() -> None:
    found = rings(
        [
            cluster(
                "weu-1",
                0,
                step("Gate before ring 0", "14:59:00", 600, "unchanged"),
                step("Ring 0 | CRDs", "15:00:00", 10),
                step("Ring 0 | Controller", "15:00:10", 30),
                step("Ring 0 | Roll back", "15:00:40", 0, "skipped"),
            ),
            cluster("weu-2", 0, step("Ring 0 | CRDs", "15:00:20", 20, "failed"), status="failed"),
        ]
    )
    assert found == [
        Ring(
            0,
            "15:00:00",
            "15:00:40",
            40.0,
            0,
            (
                Lane(
                    "weu-1",
                    "done",
                    (
                        Bar(0.0, 25.0, "changed", "CRDs: changed, 10.0 s"),
                        Bar(25.0, 75.0, "changed", "Controller: changed, 30.0 s"),
                    ),
                ),
                Lane("weu-2", "failed", (Bar(50.0, 50.0, "failed", "CRDs: failed, 20.0 s"),)),
            ),
        )
    ]


def test_time_in_which_a_ring_did_nothing_is_left_out() -> None:
    [ring] = rings(
        [cluster("weu-1", 1, step("a", "15:00:00", 30), step("b", "18:00:30", 10, "unchanged"))]
    )
    assert (ring.began, ring.ended, ring.seconds, ring.idle) == (
        "15:00:00",
        "18:00:40",
        40.0,
        10800.0,
    )
    assert [(it.left, it.width) for it in ring.lanes[0].bars] == [(0.0, 75.0), (75.0, 25.0)]


def test_a_ring_that_did_not_begin_says_why() -> None:
    gates: list[dict[str, Any]] = [
        {"following": 0, "passed": True, "why": None, "approved_by": None},
        {"following": 1, "passed": False, "why": "ring 1 waits for approval", "approved_by": None},
        {"following": 1, "passed": True, "why": None, "approved_by": "anna@jump-1"},
        {"following": 2, "passed": False, "why": "after ring 1: 1 failed", "approved_by": None},
    ]
    clusters = [
        cluster("a", 0, step("x", "15:00:00", 0)),
        cluster("b", 1, step("x", "15:01:00", 1)),
        cluster("c", 2, step("Gate after ring 1", "15:02:00", 0), status="held"),
    ]
    found = rings(clusters, gates)
    assert [it.gate for it in found] == [None, "approved by anna@jump-1", "after ring 1: 1 failed"]
    assert [it.began for it in found] == ["15:00:00", "15:01:00", None]
    assert found[2].lanes == (Lane("c", "held", ()),)


def test_a_step_without_a_time_is_left_out() -> None:
    [ring] = rings([cluster("weu-1", 0, step("a", "", 30))])
    assert ring.lanes == (Lane("weu-1", "done", ()),)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Ring 0 | Upgrade | CRDs", "Upgrade | CRDs"),
        ("Ring 12, part 2 of 3 | CRDs", "CRDs"),
        ("Gate after ring 0", "Gate after ring 0"),
    ],
)
def test_a_step_without_its_ring(name: str, said: str) -> None:
    assert step_name(name) == said
