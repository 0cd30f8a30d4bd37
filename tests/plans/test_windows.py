"""When a cluster may be changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from tasks.plans import windows


@dataclass(frozen=True)
class Window:
    opens: str
    closes: str
    days: tuple[str, ...] = ()
    zone: str = "Europe/Berlin"


@dataclass(frozen=True)
class Hold:
    until: str
    reason: str = "OPS-413: sale"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NIGHT = Window("22:00", "04:00")
WEEKEND = Window("22:00", "04:00", ("sat",))
ONCE = Window("2026-11-28T22:00", "2026-11-29T04:00")
GAP = Window("02:15", "02:45")
TWICE = Window("02:30", "03:30")


@pytest.mark.parametrize(
    ("window", "now", "opens"),
    [
        pytest.param(NIGHT, "2026-11-21T20:59", "2026-11-21 22:00 Europe/Berlin", id="before"),
        pytest.param(NIGHT, "2026-11-21T21:00", None, id="it is open from its first minute"),
        pytest.param(NIGHT, "2026-11-22T02:59", None, id="past midnight"),
        pytest.param(NIGHT, "2026-11-22T03:00", "2026-11-22 22:00 Europe/Berlin", id="closed"),
        pytest.param(NIGHT, "2026-07-21T20:00", None, id="in summer an hour earlier in UTC"),
        pytest.param(WEEKEND, "2026-11-21T22:00", None, id="Saturday night"),
        pytest.param(WEEKEND, "2026-11-22T02:00", None, id="it opened on Saturday"),
        pytest.param(
            WEEKEND, "2026-11-22T22:00", "2026-11-28 22:00 Europe/Berlin", id="Sunday night"
        ),
        pytest.param(ONCE, "2026-11-21T12:00", "2026-11-28 22:00 Europe/Berlin", id="to come"),
        pytest.param(ONCE, "2026-11-28T23:00", None, id="once, now"),
        pytest.param(ONCE, "2026-11-29T03:00", "never again", id="over"),
        pytest.param(GAP, "2026-03-29T01:20", None, id="clocks leave it out: an hour later"),
        pytest.param(GAP, "2026-03-29T00:30", "2026-03-29 03:15 Europe/Berlin", id="said so"),
        pytest.param(
            Window("02:30", "03:00"),
            "2026-03-29T00:30",
            "2026-03-30 02:30 Europe/Berlin",
            id="nothing of it is left that day",
        ),
        pytest.param(TWICE, "2026-10-25T00:30", None, id="it comes twice: from the first"),
        pytest.param(TWICE, "2026-10-25T02:29", None, id="until 03:30, which comes once"),
        pytest.param(Window("00:00", "23:59", zone="UTC"), "2026-11-21T12:00", None, id="UTC"),
    ],
)
def test_opens(window: Window, now: str, opens: str | None) -> None:
    assert windows.unreadable(window) is None
    assert windows.opens(window, at(now)) == opens
    said = None if opens is None else f"outside its window: opens {opens}"
    assert windows.problem(window, at(now)) == said
    assert windows.past(window, at(now)) is (opens == "never again")


def test_no_window_is_always_open() -> None:
    assert windows.problem(None, at("2026-11-21T12:00")) is None


@pytest.mark.parametrize(
    ("window", "problem"),
    [
        (
            Window("22:00", "04:00", zone="Europe/Bielefeld"),
            "zone 'Europe/Bielefeld' is not known: write one such as 'Europe/Berlin' or 'UTC'",
        ),
        (
            Window("22:00", "04:00", zone="../etc"),
            "zone '../etc' is not known: write one such as 'Europe/Berlin' or 'UTC'",
        ),
        (
            Window("22:00", "2026-11-28T04:00"),
            "opens and closes must both be times, or both days with times",
        ),
        (
            Window("25:00", "04:00"),
            "'25:00' is neither a time such as '22:00' nor '2026-11-28T22:00'",
        ),
        (
            Window("2026-11-31T22:00", "2026-12-01T04:00"),
            "'2026-11-31T22:00' is neither a time such as '22:00' nor '2026-11-28T22:00'",
        ),
        (
            Window("2026-11-28", "2026-11-29"),
            "'2026-11-28' is neither a time such as '22:00' nor '2026-11-28T22:00'",
        ),
        (Window("22:00", "22:00"), "opens and closes are the same time"),
        (
            Window("2026-11-28T22:00", "2026-11-29T04:00", ("sat",)),
            "days belong to a daily window, such as opens '22:00'",
        ),
        (
            Window("2026-11-28T22:00", "2026-11-28T04:00"),
            "it closes at 2026-11-28T04:00, not after it opens at 2026-11-28T22:00",
        ),
    ],
)
def test_unreadable(window: Window, problem: str) -> None:
    assert windows.unreadable(window) == problem


@pytest.mark.parametrize(
    ("now", "held"),
    [
        ("2026-12-27T23:59", "on hold until 2026-12-27: OPS-413: sale"),
        ("2026-12-28T00:00", None),
    ],
)
def test_hold(now: str, held: str | None) -> None:
    assert windows.held(Hold("2026-12-27"), at(now)) == held


def test_no_hold() -> None:
    assert windows.held(None, at("2026-11-21T12:00")) is None
