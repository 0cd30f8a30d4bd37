"""
The scenes that are measured, what came of each side in them, and the bounds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.sides.commands import AUDIT, BACKUP, CHART, NOTHING, OBJECTS

RESULTS = Path(__file__).with_name("results.jsonl")
#: Real API servers; work that writes has one each.
SERVERS = 8
OURS, BASH = "envoyfleet", "bash"
FORKS = (5, 16, 64)
#: Ours alone: what a cluster costs must not grow with their number.
CURVE = (8, 64, 200, 500)
GRID = tuple(
    (milliseconds, errors) for milliseconds in (0, 50, 150) for errors in (0.0, 0.01, 0.05)
)


@dataclass(frozen=True)
class Scene:
    """
    + clusters: how many; + milliseconds: how far away; + errors: share of requests that fail
    + failing: clusters that do not answer as they should
    """

    work: str
    clusters: int
    milliseconds: int = 50
    errors: float = 0.0
    failing: Mapping[str, str] | None = None

    @property
    def title(self) -> str:
        more = f", {self.errors:.0%} errors" if self.errors else ""
        ill = f", {len(self.failing)} failing" if self.failing else ""
        return f"{self.work}, {self.clusters} clusters, {self.milliseconds} ms{more}{ill}"


@dataclass(frozen=True)
class Row:
    """One side in a scene: the median of its runs, and what was wrong in any of them."""

    scene: str
    side: str
    wall: float
    processor: float
    memory: float
    requests: float
    writes: float
    codes: tuple[int, ...]
    wrong: tuple[str, ...]
    when: str

    @property
    def cells(self) -> list[str]:
        codes = ",".join(sorted({str(it) for it in self.codes}))
        runs = str(len(self.codes))
        figures = (f"{self.wall:.1f}", f"{self.processor:.1f}", f"{self.memory:.0f}")
        counts = (f"{self.requests:.0f}", f"{self.writes:.0f}")
        return [self.side, runs, *figures, *counts, codes, "; ".join(self.wrong) or "right"]


HEAD = [
    *("side", "runs", "wall s", "CPU s", "memory MB", "requests", "writes", "exit"),
    "clusters afterwards",
]


def scenes() -> list[Scene]:
    from tests.lab.distant import REFUSES, SILENT, UNAUTHORIZED

    failing = {"c-3": REFUSES, "c-7": UNAUTHORIZED, "c-11": SILENT}
    return [
        Scene(NOTHING, 64),
        Scene(AUDIT, 16),
        Scene(OBJECTS, SERVERS),
        Scene(CHART, SERVERS),
        Scene(BACKUP, 16),
        Scene(NOTHING, 16, failing=failing),
        *(Scene(NOTHING, 16, *it) for it in GRID),
    ]


def kept(rows: Sequence[Row]) -> list[Row]:
    """All that was ever measured, these in the place of what they were before."""
    found = {(it.scene, it.side): it for it in [*known(), *rows]}
    lines = [json.dumps(asdict(it)) + "\n" for it in found.values()]
    RESULTS.write_text("".join(lines))
    return list(found.values())


def known() -> list[Row]:
    if not RESULTS.exists():
        return []
    return [_row(json.loads(line)) for line in RESULTS.read_text().splitlines()]


def _row(said: dict[str, object]) -> Row:
    listed = {key: tuple(it) for key, it in said.items() if isinstance(it, list)}
    return Row(**{**said, **listed})  # type: ignore[arg-type]


def judged(rows: Sequence[Row]) -> Iterator[tuple[bool, str]]:
    """Each bound that these rows can tell of: whether it is kept, and the line that says so."""
    ours = {it.scene: it for it in rows if it.side == OURS}
    times = {
        Scene(NOTHING, 64).title: {"ansible": 20.0, BASH: 20.0},
        Scene(OBJECTS, SERVERS).title: {"ansible": 15.0, BASH: 2.0},
        Scene(CHART, SERVERS).title: {"ansible": 2.5, BASH: 1.0},
    }
    for it in rows:
        least = times.get(it.scene, {}).get(it.side.split()[0])
        if least is not None and it.scene in ours:
            found = it.processor / ours[it.scene].processor
            what = f"{it.scene}: {found:.1f} times less processor time than {it.side}"
            yield found >= least, f"{what} (at least {least:g})"
    yield from _absolute(ours)
    on_curve = {n: ours.get(Scene(NOTHING, n).title) for n in CURVE}
    each = {n: it.processor / n for n, it in on_curve.items() if it}
    if len(each) > 1:
        told = ", ".join(f"{n}: {1000 * it:.0f} ms" for n, it in each.items())
        yield each[max(each)] <= 1.2 * each[min(each)], f"processor time a cluster: {told} (flat)"


def _absolute(ours: Mapping[str, Row]) -> Iterator[tuple[bool, str]]:
    for count, bounds in {
        64: {"wall s": 10.0, "memory MB": 300.0, "requests/s a cluster": 20.0},
        500: {"wall s": 60.0, "memory MB": 500.0},
    }.items():
        if one := ours.get(Scene(NOTHING, count).title):
            figures = {
                "wall s": one.wall,
                "memory MB": one.memory,
                "requests/s a cluster": one.requests / count / one.wall,
            }
            for name, most in bounds.items():
                what = f"{one.scene}: {name} {figures[name]:.1f} (at most {most:g})"
                yield figures[name] <= most, what


def losing(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each figure in which a peer is better than ours."""
    for it in (it for it in rows if it.side != OURS):
        ours = next((one for one in rows if (one.scene, one.side) == (it.scene, OURS)), None)
        if ours is None or it.wrong:
            continue
        for name, mine, theirs in (
            ("wall s", ours.wall, it.wall),
            ("CPU s", ours.processor, it.processor),
            ("memory MB", ours.memory, it.memory),
            ("requests", ours.requests, it.requests),
        ):
            if theirs < 0.95 * mine:
                yield f"{it.scene}: {name}: {it.side} {theirs:.1f}, {OURS} {mine:.1f}"


def by_scene(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for it in rows:
        found.setdefault(it.scene, []).append(it)
    return found
