"""
Which deploy meets which kind of fault, and when: a covering array. Each deploy meets a kind of each
family, in turn; each family is met at each moment, and each deploy at each moment that it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from tests.faults.kinds import (
    FAMILIES,
    KINDS,
    after_connecting,
    all_of_them,
    applies,
    lists,
    writes,
)
from tests.faults.running import ALWAYS, ONCE, Place

#: By moment, the request that is the first to meet the fault: of all, of those after connecting,
#: and of lists. None is no moment of these.
READING: Mapping[str, tuple[int | None, int | None, int | None]] = {
    "connecting": (1, None, None),
    "reading": (3, 1, 1),
    "later reading": (9, 7, 3),
}
#: By moment, which of the writes.
WRITING = {"first write": 1, "later write": 2}
MOMENTS = (*READING, *WRITING)
#: Writes of one deploy that meet a fault, before its reading has its turn.
ENOUGH = 3
#: A family with more kinds than there are deploys that meet it.
THRICE = "refused writes"


@dataclass(frozen=True)
class Trial:
    deploy: str
    family: str
    kind: str
    moment: str
    times: int

    @property
    def place(self) -> Place:
        return place(self.kind, self.moment, self.times)


def place(kind: str, moment: str, times: int) -> Place:
    if moment in WRITING:
        return Place(WRITING[moment], times, True)
    column = _column(kind)
    first = READING[moment][column] if column < len(READING[moment]) else 1
    return Place(first or 1, times)


def moments(kind: str, writing: bool) -> tuple[str, ...]:
    """At which it can happen to a deploy."""
    about = KINDS[kind].about
    if about in (writes, applies):
        return tuple(WRITING) if writing else ()
    if KINDS[kind].tls or KINDS[kind].address or _column(kind) == len(READING["connecting"]):
        return ("connecting",)
    found = tuple(it for it, columns in READING.items() if columns[_column(kind)])
    return (*found, *WRITING) if writing and about is not lists else found


def _column(kind: str) -> int:
    """Of READING; behind the last one where it happens to one request of a run alone."""
    columns = (all_of_them, after_connecting, lists)
    about = KINDS[kind].about
    return columns.index(about) if about in columns else len(columns)


def trials(deploys: Mapping[str, bool], families: Iterable[str] = FAMILIES) -> Iterator[Trial]:
    """+ deploys: by name, whether it writes"""
    used: Counter[object] = Counter()
    for (deploy, writing), family in product(deploys.items(), families):
        for _ in range(3 if family == THRICE else 1):
            choices = [
                Trial(deploy, family, kind, moment, times)
                for kind in FAMILIES[family]
                for moment in moments(kind, writing)
                for times in (ONCE, ALWAYS)
            ]
            if not choices:
                continue
            best = min(choices, key=lambda it: _cost(used, it))
            used.update(_pairs(best))
            yield best


def _cost(used: Counter[object], it: Trial) -> tuple[int, ...]:
    """
    A write that is new to this family is best, for few deploys write, unless this one has enough;
    then a moment that is new to this deploy, and then what was met least.
    """
    mine = used[it.deploy, it.moment]
    rare = it.moment in WRITING and not used[it.family, it.moment] and mine < ENOUGH
    return not rare, mine > 0, *(used[one] for one in _pairs(it))


def _pairs(it: Trial) -> tuple[object, ...]:
    """What shall be met as often as others of its sort, the rarest first."""
    return (
        it.kind,
        (it.family, it.moment),
        (it.deploy, it.moment),
        (it.family, it.moment, it.times),
        (it.deploy, it.times),
    )
