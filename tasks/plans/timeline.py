"""
When each cluster of a run did what, ring by ring, as bars of a page: places in percent of the time
that a ring took. Time in which a ring did nothing, as between two parts of a run, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

#: Seconds of nothing that are left out, where a run waited for approval or was broken off.
IDLE = 120.0
#: Steps that wait for other clusters, or did nothing.
_GATE = re.compile(r"Gate (before|after) ")
_OF_RING = re.compile(r"Ring \d+(, part \d+ of \d+)? \| ")


@dataclass(frozen=True)
class Bar:
    """One step. + left, width: percent of its ring's time; + status: as in report.json"""

    left: float
    width: float
    status: str
    text: str


@dataclass(frozen=True)
class Lane:
    """One cluster, its steps in order."""

    cluster: str
    status: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Ring:
    """
    + began, ended: "15:10:47"; + seconds: of work; + idle: seconds left out of it
    + gate: how it was opened or why it was not, such as "approved by anna", None where it just was
    + bake: seconds that it had to hold before the next one
    """

    number: int
    began: str | None
    ended: str | None
    seconds: float
    idle: float
    lanes: tuple[Lane, ...]
    gate: str | None = None
    bake: int = 0


def rings(
    clusters: Sequence[Mapping[str, Any]],
    gates: Iterable[Mapping[str, Any]] = (),
    bakes: Mapping[int, int] | None = None,
) -> list[Ring]:
    """
    + clusters: of report.json, by ring; + gates: of report.json, in the order of time
    + bakes: by ring, for how long it baked
    """
    said = {it["following"]: _said(it) for it in gates if it.get("following") is not None}
    return [
        replace(_ring(number, [*members], said.get(number)), bake=(bakes or {}).get(number, 0))
        for number, members in groupby(clusters, key=lambda it: int(it["ring"]))
    ]


def step_name(name: str) -> str:
    """Without the ring that it stands below: "Upgrade | CRDs" of "Ring 0 | Upgrade | CRDs"."""
    return _OF_RING.sub("", name)


def _said(gate: Mapping[str, Any]) -> str | None:
    if not gate.get("passed"):
        return str(gate.get("why") or "held")
    by = gate.get("approved_by")
    return f"approved by {by}" if by else None


def _ring(number: int, members: Sequence[Mapping[str, Any]], gate: str | None) -> Ring:
    spans = {it["name"]: [*_spans(it["steps"])] for it in members}
    every = sorted((begun, ended) for its in spans.values() for begun, ended, _ in its)
    if not every:
        lanes = [Lane(it["name"], it["status"], ()) for it in members]
        return Ring(number, None, None, 0.0, 0.0, tuple(lanes), gate)
    gaps = _gaps(every)
    start, end = every[0][0], max(it for _, it in every)
    idle = sum(after - before for before, after in gaps)
    total = max(end - start - idle, 0.001)

    def place(at: float) -> float:
        passed = sum(min(after, at) - before for before, after in gaps if before < at)
        return round((at - start - passed) / total * 100, 3)

    def bar(begun: float, ended: float, step: Mapping[str, Any]) -> Bar:
        width = max(place(ended) - place(begun), 0.0)
        text = f"{step_name(step['name'])}: {step['status']}, {step['seconds']:.1f} s"
        return Bar(place(begun), round(width, 3), step["status"], text)

    lanes = [
        Lane(it["name"], it["status"], tuple(bar(*one) for one in spans[it["name"]]))
        for it in members
    ]
    return Ring(number, _clock(start), _clock(end), total, idle, tuple(lanes), gate)


def _spans(
    steps: Iterable[Mapping[str, Any]],
) -> Iterable[tuple[float, float, Mapping[str, Any]]]:
    """Begin and end of each step that took part, in seconds since 1970."""
    for it in steps:
        if it["status"] == "skipped" or _GATE.match(it["name"]):
            continue
        try:
            begun = datetime.fromisoformat(it["started"]).timestamp()
        except ValueError:
            continue
        yield begun, begun + it["seconds"], it


def _gaps(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where none of these spans is, for longer than ``IDLE``; they are sorted."""
    found: list[tuple[float, float]] = []
    reached: float | None = None
    for begun, ended in spans:
        if reached is not None and begun - reached > IDLE:
            found.append((reached, begun))
        reached = ended if reached is None else max(reached, ended)
    return found


def _clock(at: float) -> str:
    seconds = int(at) % 86400
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
