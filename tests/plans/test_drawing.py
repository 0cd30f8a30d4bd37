"""Series as lines, and values as people read them."""

from __future__ import annotations

import math

import pytest

from tasks.plans import drawing
from tasks.plans.drawing import Chart, Line, Mark, Series

NOW = 1_795_331_760.0


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0, "reqps", "0 req/s"),
        (12.345, "reqps", "12.3 req/s"),
        (12_345, "reqps", "12.3K req/s"),
        (0.0042, "ops", "0.0042 ops/s"),
        (0.00001, "cps", "1e-05 conn/s"),
        (1234, "short", "1.23K"),
        (2, "short", "2"),
        (250, "ms", "250 ms"),
        (9_900, "ms", "9.9 s"),
        (0.02, "s", "20 ms"),
        (0, "s", "0 s"),
        (90, "s", "1.5 min"),
        (7200, "s", "2 h"),
        (-86400, "s", "-1 d"),
        (0.0123, "percentunit", "1.23 %"),
        (90, "percent", "90 %"),
        (13.5, "d", "13.5 d"),
        (2048, "bytes", "2 KiB"),
        (3 << 30, "bytes", "3 GiB"),
        (512, "Bps", "512 B/s"),
        ((NOW + 14 * 86400) * 1000, "dateTimeFromNow", "in 14 d"),
        ((NOW - 3600) * 1000, "dateTimeFromNow", "1 h ago"),
        (math.nan, "ms", "-"),
        (math.inf, "ms", "-"),
    ],
)
def test_says_a_value(value: float, unit: str, said: str) -> None:
    assert drawing.shown(value, unit, NOW) == said


@pytest.mark.parametrize(
    ("value", "name"), [(0, "green"), (0.01, "yellow"), (0.049, "yellow"), (7, "red")]
)
def test_colours_a_value(value: float, name: str) -> None:
    assert drawing.color(value, ((None, "green"), (0.01, "yellow"), (0.05, "red"))) == name


def test_knows_no_colour_below_the_first_step() -> None:
    assert drawing.color(-1, ((0, "green"),)) == ""


def drawn(*series: Series, stacked: bool = False) -> Chart:
    return drawing.chart(series, 484, 0, 400, "short", 100, stacked, ((None, "green"), (3, "red")))


def test_draws_lines_between_the_edges() -> None:
    found = drawn(Series("a", [(0, 0), (100, 4), (400, 2)]))
    assert found == Chart(
        [Line("a", "M84.0,152.0L184.0,9.0L484.0,80.5", "2")],
        [Mark(9.0, "4"), Mark(44.8, "3"), Mark(80.5, "2"), Mark(116.2, "1"), Mark(152.0, "0")],
        [Mark(184.0, "00:01"), Mark(284.0, "00:03"), Mark(384.0, "00:05")],
        [Mark(44.8, "red")],
    )


def test_leaves_a_gap_where_nothing_was_said() -> None:
    found = drawing.chart([Series("a", [(0, 1), (10, 1), (60, 1), (70, math.nan), (80, 1)])],
                          484, 0, 400, "short", 10)  # fmt: skip
    assert found.lines[0].path.count("M") == 2
    assert found.lines[0].path.count("L") == 2


def test_stacks_lines_and_says_their_own_values() -> None:
    found = drawn(Series("a", [(0, 1), (100, 1)]), Series("b", [(0, 2), (100, 3)]), stacked=True)
    assert [it.last for it in found.lines] == ["1", "3"]
    assert found.ticks[0].text == "4"
    assert found.lines[1].path.endswith("L184.0,9.0")


def test_shows_what_is_bad_where_all_is_well() -> None:
    assert drawn(Series("a", [(0, 0), (100, 0)])).ticks[0].text == "3"
    assert drawing.chart([Series("a", [(0, 0)])], 484, 0, 400, "short", 100).ticks[0].text == "1"


def test_has_room_below_nothing() -> None:
    found = drawn(Series("a", [(0, -3), (100, 5)]))
    assert [it.text for it in found.ticks] == ["6", "3.5", "1", "-1.5", "-4"]


def test_draws_nothing_of_nothing() -> None:
    assert drawn().lines == []
