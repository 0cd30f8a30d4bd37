"""What the pages of a run say: how it ended, what to do, who needs somebody."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.fleet.recorder import ClusterResult
from tasks.plans.run_pages import (
    ENDINGS,
    STATUSES,
    Group,
    Line,
    Probes,
    fence,
    line,
    page,
    probes,
    problems,
    same_changes,
)


def cluster(name: str, status: str, why: str | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "ring": 0, "status": status, "why": why, "steps": [], **more}


def test_every_status_of_a_cluster_has_its_tone() -> None:
    said = (ClusterResult.__doc__ or "").partition("why")[0]
    assert [it for it in STATUSES if f'"{it}"' not in said] == []
    assert set(STATUSES.values()) == {"good", "wait", "bad"}


def test_what_is_wrong_is_said_once_worst_first() -> None:
    clusters = [
        cluster("a", "done"),
        cluster("b", "held", "after ring 0"),
        cluster("c", "failed", "no answer"),
        cluster("d", "held", "after ring 0"),
        cluster("e", "not run"),
    ]
    assert problems(clusters) == [
        Group("failed", "bad", ("c",), "no answer"),
        Group("held", "wait", ("b", "d"), "after ring 0"),
        Group("not run", "wait", ("e",), "not run"),
    ]


def test_probes_of_all_clusters() -> None:
    met = [
        {"requests": 900, "failures": {}, "longest_gap": 0.2},
        {"requests": 100, "failures": {"503": 2, "TimeoutError": 1}, "longest_gap": 1.5},
    ]
    clusters = [cluster("a", "done", traffic=met[0]), cluster("b", "done", traffic=met[1])]
    assert probes([*clusters, cluster("c", "held", traffic=None)]) == Probes(1000, 3, 1.5, 2)
    assert probes([cluster("c", "held", traffic=None)]) is None


@pytest.mark.parametrize("code", ENDINGS)
def test_every_exit_code_is_said_in_words(code: int) -> None:
    found = page({"exit": code, "clusters": [cluster("a", "done")]})
    assert (found.tone, found.verdict, found.next) == ENDINGS[code]
    assert (found.next is None) is (code == 0)
    assert found.counts == [("done", "good", 1)]


def test_lines_of_steps_are_counted_alone() -> None:
    entries = [
        {"event": "run", "at": "2026-11-21T15:10:47Z", "deploy": "upgrade", "before": "0"},
        {"event": "step", "at": "", "cluster": "a", "step": "CRDs"},
        {"event": "step ended", "at": "", "cluster": "a", "step": "CRDs"},
    ]
    found = page({"exit": 0, "clusters": []}, entries)
    assert (found.lines, found.steps) == (
        [Line("2026-11-21T15:10:47Z", "run", "deploy upgrade")],
        2,
    )


def test_a_line_of_the_journal_in_words() -> None:
    entry = {
        "event": "gate",
        "at": "t",
        "ring": None,
        "passed": True,
        "rings": {"weu-1": 0, "weu-2": 1},
        "names": ["a", "b"],
        "long": "x" * 500,
        "process": {"who": "anna@jump-1", "pid": 4},
        "before": "9f86",
    }
    assert line(entry) == Line(
        "t",
        "gate",
        "who anna@jump-1, passed yes, rings weu-1: 0, weu-2: 1, names a, b, long "
        + "x" * 159
        + "…",
    )


def test_equal_changes_are_one() -> None:
    one = {"title": "Will change a", "diff": ["+x"]}
    other = {"title": "Will change a", "diff": ["+y"]}
    plan: list[dict[str, Any]] = [
        {"name": "weu-1", "changes": [one]},
        {"name": "weu-2", "changes": [one, other]},
        {"name": "weu-3", "changes": []},
    ]
    assert same_changes(plan) == [
        {**one, "clusters": ["weu-1", "weu-2"]},
        {**other, "clusters": ["weu-2"]},
    ]


@pytest.mark.parametrize(
    ("lines", "mark"),
    [
        pytest.param(["a"], "```", id="nothing to hide"),
        pytest.param(["````", "`b`"], "`````", id="longer than what is in it"),
    ],
)
def test_a_fence_that_no_line_ends(lines: list[str], mark: str) -> None:
    assert fence(lines) == mark
