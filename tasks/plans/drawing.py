"""
Series of Prometheus as the lines of a chart, and values as people read them. A chart is as high as
``HEIGHT`` and as wide as it is said to be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HEIGHT = 170
#: Room for what is written left of the lines, above and below them.
LEFT, ABOVE, BELOW = 84, 9, 18
#: Lines across a chart.
TICKS = 4
#: Samples that are further apart are not joined, in steps.
GAP = 3
Samples = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Series:
    """+ name: for the legend; + samples: (seconds since 1970, value)"""

    name: str
    samples: Samples


@dataclass(frozen=True)
class Line:
    """+ path: of SVG; + last: its newest value, in words"""

    name: str
    path: str
    last: str


@dataclass(frozen=True)
class Mark:
    """Something written at a place: across at ``at`` pixels, or a colour for a threshold."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """+ ticks: of values, from the top; + times: from the left; + steps: thresholds by colour"""

    lines: Sequence[Line]
    ticks: Sequence[Mark]
    times: Sequence[Mark]
    steps: Sequence[Mark]


def chart(
    series: Sequence[Series],
    width: int,
    start: float,
    end: float,
    unit: str,
    step: float,
    stacked: bool = False,
    steps: Sequence[tuple[float | None, str]] = (),
) -> Chart:
    """+ step: seconds between samples; + stacked: each upon the one before"""
    drawn = _upon_each_other(series) if stacked else series
    values = [value for it in drawn for _, value in it.samples if math.isfinite(value)]
    marks = [value for value, _ in steps if value is not None]
    low, high = _range(values if any(values) else marks)

    def x(at: float) -> float:
        return round(LEFT + (at - start) / (end - start) * (width - LEFT), 1)

    def y(value: float) -> float:
        return round(ABOVE + (high - value) / (high - low) * (HEIGHT - ABOVE - BELOW), 1)

    def path(samples: Samples) -> str:
        found, before = [], -math.inf
        for at, value in samples:
            if math.isfinite(value):
                found.append(f"{'L' if at - before <= GAP * step else 'M'}{x(at)},{y(value)}")
                before = at
        return "".join(found)

    levels = [low + (high - low) * it / TICKS for it in range(TICKS, -1, -1)]
    thirds = [start + (end - start) * it / 4 for it in range(1, 4)]
    return Chart(
        [
            Line(it.name, path(it.samples), shown(_last(own.samples), unit, end))
            for it, own in zip(drawn, series, strict=True)
        ],
        [Mark(y(it), shown(it, unit, end)) for it in levels],
        [Mark(x(it), _clock(it)) for it in thirds],
        [Mark(y(value), color) for value, color in steps if value is not None and value <= high],
    )


def color(value: float, steps: Sequence[tuple[float | None, str]]) -> str:
    """The colour of the highest step that a value has reached, or ""."""
    reached = [name for at, name in steps if at is None or value >= at]
    return reached[-1] if reached else ""


def shown(value: float, unit: str, now: float) -> str:
    """
    A value with its unit, such as "1.2 s" of 1200 "ms". Units are Grafana's.

    + now: seconds since 1970, for ``dateTimeFromNow``, whose values are milliseconds
    """
    if not math.isfinite(value):
        return "-"
    if unit == "dateTimeFromNow":
        left = value / 1000 - now
        return f"in {_lasting(left)}" if left >= 0 else f"{_lasting(-left)} ago"
    if unit == "s":
        return _lasting(value)
    if unit == "ms":
        return f"{_digits(value)} ms" if abs(value) < 1000 else _lasting(value / 1000)
    if unit == "d":
        return f"{_digits(value)} d"
    if unit == "percentunit":
        return f"{_digits(value * 100)} %"
    if unit == "percent":
        return f"{_digits(value)} %"
    if unit in ("bytes", "Bps"):
        return _scaled(value, 1024, ("B", "KiB", "MiB", "GiB"), "/s" if unit == "Bps" else "")
    return _scaled(value, 1000, ("", "K", "M", "G"), _SUFFIXES.get(unit, ""))


_SUFFIXES: Mapping[str, str] = {"reqps": " req/s", "ops": " ops/s", "cps": " conn/s"}
_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def _lasting(seconds: float) -> str:
    for length, name in _SPANS:
        if abs(seconds) >= length:
            return f"{_digits(seconds / length)} {name}"
    return f"{_digits(seconds * 1000)} ms" if seconds else "0 s"


def _scaled(value: float, base: int, names: Sequence[str], suffix: str) -> str:
    power = 0
    while abs(value) >= base and power < len(names) - 1:
        value, power = value / base, power + 1
    space = " " if base == 1024 else ""
    return f"{_digits(value)}{space}{names[power]}{suffix}"


def _digits(value: float) -> str:
    """Three that count, and no zeros behind them: such as "12.3", "0.004", "120"."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 or value == 0 else f"{value:.0e}"


def _range(values: Sequence[float]) -> tuple[float, float]:
    """From 0, or lower where values are, to a round number above all of them."""
    low, high = min([0.0, *values]), max([0.0, *values])
    if high - low <= 0:
        return low, low + 1.0
    size = 10 ** math.floor(math.log10(high - low))
    unit = next(it * size for it in (0.2, 0.4, 0.5, 1, 2, 4) if it * size * TICKS >= high - low)
    low = math.floor(low / unit) * unit
    return low, max(math.ceil(high / unit) * unit, low + unit)


def _upon_each_other(series: Sequence[Series]) -> list[Series]:
    total: dict[float, float] = {}
    found = []
    for it in series:
        for at, value in it.samples:
            if math.isfinite(value):
                total[at] = total.get(at, 0.0) + value
        found.append(Series(it.name, [(at, total[at]) for at, _ in it.samples if at in total]))
    return found


def _last(samples: Samples) -> float:
    return samples[-1][1] if samples else math.nan


def _clock(at: float) -> str:
    """Hours and minutes in UTC, such as "07:15"."""
    minutes = int(at // 60)
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"
