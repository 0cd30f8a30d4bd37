"""Runs of the past in words, and what counts as changed since one of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.plans.drift import Difference
from tasks.plans.history import Past, is_since, last, last_good, of_somebody, written_at

BEGAN = datetime(2026, 11, 21, 14, 2, tzinfo=UTC)
ENDED = BEGAN + timedelta(minutes=3)
ROUTE = {"apiVersion": "v1", "kind": "HTTPRoute", "metadata": {"name": "cart", "namespace": "a"}}


def run(deploy: str, exit_code: int | None = 0, **clusters: str) -> Past:
    ended = ENDED if exit_code is not None else None
    state = "ended" if ended else "broken off"
    who, inventory = "anna@jump-1", "inventory/prod.py"
    return Past(deploy, deploy, inventory, who, BEGAN, ended, exit_code, state, clusters)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("past", "how", "counted"),
    [
        pytest.param(run("upgrade", 0, a="done", b="done"), "done", "2 done", id="done"),
        pytest.param(
            run("upgrade", 5, a="done", b="failed", c="held", d="held", e="held", f="held"),
            "clusters failed, later rings were held",
            "1 done, 4 held (c, d, e, …), 1 failed (b)",
            id="failed",
        ),
        pytest.param(
            run("upgrade", None, a="not known"), "broken off", "1 not known", id="broken off"
        ),
        pytest.param(run("upgrade", 77, a="odd"), "exit 77", "1 odd (a)", id="of another version"),
    ],
)
def test_a_run_in_words(past: Past, how: str, counted: str) -> None:
    assert (past.how, past.counted) == (how, counted)


def test_the_last_run_and_the_last_good_one() -> None:
    runs = [
        run("backup", 0, weu="done"),
        run("upgrade", 1, weu="failed", neu="done"),
        run("gateways", 0, weu="unchanged"),
        run("install", 0, weu="done", sea="done"),
    ]
    assert [last(runs, it) for it in ("weu", "neu", "sea", "far")] == [*runs[:2], runs[3], None]
    good = [last_good(runs, it) for it in ("weu", "neu", "sea", "far")]
    assert good == [runs[2], runs[1], runs[3], None]


def entry(manager: str, time: Any, **more: Any) -> dict[str, Any]:
    return {"manager": manager, "time": time, **more}


@pytest.mark.parametrize(
    ("by", "entries", "at"),
    [
        pytest.param(
            "kubectl-edit",
            [
                entry("kubectl-edit", "2026-11-21T14:10:00Z"),
                entry("kubectl-edit", "2026-11-21T14:20:00Z"),
                entry("other", "2026-11-21T15:00:00Z"),
                entry("kubectl-edit", "2026-11-21T16:00:00Z", subresource="status"),
            ],
            datetime(2026, 11, 21, 14, 20, tzinfo=UTC),
            id="the newest of its author",
        ),
        pytest.param("x", [entry("x", "yesterday"), entry("x", None)], None, id="no times"),
        pytest.param(None, [entry("x", "2026-11-21T14:10:00Z")], None, id="nobody"),
    ],
)
def test_when_a_difference_was_written(by: str | None, entries: Any, at: datetime | None) -> None:
    there = {**ROUTE, "metadata": {"managedFields": entries}}
    assert written_at(Difference("changed", ROUTE, by), there) == at
    assert written_at(Difference("missing", ROUTE, by), None) is None


def test_what_is_older_than_the_run_is_no_drift_since() -> None:
    good = run("upgrade", 0)
    second = timedelta(seconds=1)
    assert is_since(ENDED + second, good)
    assert not is_since(ENDED - second, good)
    assert is_since(None, good)
    assert is_since(ENDED - second, None)
    assert is_since(ENDED - second, replace(good, ended=None))


def test_what_the_inventory_alone_changed_is_nobodys() -> None:
    found = [
        Difference("changed", ROUTE),
        Difference("not wanted", ROUTE),
        Difference("missing", ROUTE),
        Difference("changed", ROUTE, "kubectl-edit"),
        Difference("kept by others", ROUTE, "Argo CD application shop"),
    ]
    assert [of_somebody(it) for it in found] == [False, False, True, True, True]
