"""Lengths of time in two spellings."""

from __future__ import annotations

import pytest

from tasks.plans.durations import iso, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", 30),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1w", 604800),
        ("0", 0),
        ("PT5M", 300),
        ("PT60S", 60),
        ("P1DT1H", 90000),
        ("PT0.5S", 0.5),
    ],
)
def test_reads_both(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "5 m", "m5", "PT", "P", "P5", "5m and more"])
def test_refuses_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration such as '5m'"):
        seconds(text)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [(0, "PT0S"), (60, "PT1M"), (90, "PT1M30S"), (3600, "PT1H"), (90000, "P1DT1H")],
)
def test_writes_iso(amount: float, expected: str) -> None:
    assert iso(amount) == expected
