"""At which moments runs are killed: the same ones for the same number of points, every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Kill:
    """
    + line: of the journal, counted from 1, that the run must have written; + wait: seconds more
    + group: its helm is killed with it; else helm lives on alone
    """

    line: int
    wait: float
    group: bool


@dataclass(frozen=True)
class Point:
    """
    One run that is killed, and gone on with.

    + number: which of the campaign, from 0
    + kill: when the first attempt is killed; + again: when the second one is, lines counted from
      its own first, None where it is left to end
    """

    number: int
    kill: Kill
    again: Kill | None


def points(count: int, times: Sequence[float], first: int = 1) -> list[Point]:
    """
    Every other point is right behind a line, until each line had its turn; the others are at any
    moment.

    + times: when an uninterrupted run wrote each line of its journal, in seconds from the first
    + first: the line, counted from 1, before which nothing is killed
    """
    lines, begin = list(range(first, len(times) + 1)), times[first - 1]
    Random(0).shuffle(lines)
    found = []
    for number in range(count):
        random = Random(number)
        if number % 2 == 0 and number // 2 < len(lines):
            kill = Kill(lines[number // 2], 0.0, random.random() < 0.5)
        else:
            kill = _at(random.uniform(begin, times[-1]), times, random)
        again = None
        if random.random() < 0.25:
            again = _at(random.uniform(0, times[-1]), times, random)
        found.append(Point(number, kill, again))
    return found


def _at(moment: float, times: Sequence[float], random: Random) -> Kill:
    line = sum(it <= moment for it in times)
    return Kill(line, moment - times[line - 1], random.random() < 0.5)
