"""
Which clusters are changed together and in which order, and what a gate between them decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

#: Which rule left a cluster untouched; a failed bake counts as a spent budget.
Rule = Literal["budget", "stop", "approval", "window", "hold"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Wave:
    """Clusters that are changed at the same time: a ring, or one of its parts, counted from 1."""

    ring: int
    part: int
    parts: int
    clusters: tuple[str, ...]

    @property
    def text(self) -> str:
        """Such as "ring 1", or "ring 1, part 2 of 3"."""
        return f"ring {self.ring}" + (
            f", part {self.part} of {self.parts}" if self.parts > 1 else ""
        )


@dataclass(frozen=True)
class Situation:
    """
    What is known at a gate.

    + done: the wave before it, None before the first; + following: the wave that it opens
    + failed: all clusters that failed so far, of the whole run; + allowed: how many may
    + waiting: every cluster of the ring before waits for its window, so the ring proved nothing
    + stop: who asked for a stop, such as "SIGUSR1"
    + approval: whether the following ring needs one; + approved_by: who gave it
    + bake: seconds that the ring before must hold; + baked: problems by cluster, None before it
    """

    done: Wave | None
    following: Wave
    clusters: int
    failed: Sequence[str] = ()
    allowed: int = 0
    waiting: bool = False
    stop: str | None = None
    approval: bool = False
    approved_by: str | None = None
    bake: int = 0
    baked: Mapping[str, str] | None = field(default=None)

    @property
    def between_rings(self) -> bool:
        return self.done is None or self.done.ring != self.following.ring


@dataclass(frozen=True)
class Decision:
    """
    What a gate does: open, look at the ring before for a while and decide again, or hold every
    later cluster by a rule, which ``why`` explains.
    """

    action: Literal["go on", "bake", "hold"]
    rule: Rule | None = None
    why: str | None = None


def waves(
    rings: Mapping[str, int],
    max_parallel: Mapping[str, int | None],
    newest_first: bool = False,
) -> list[Wave]:
    """
    All clusters in the order in which they are changed. ``rings`` and ``max_parallel`` go by
    cluster: {"weu-1": 0}; the smallest max_parallel of a ring splits it, in the order of names.
    """
    found = []
    ordered = sorted(rings, key=lambda it: (-rings[it] if newest_first else rings[it], it))
    for ring, group in groupby(ordered, key=lambda it: rings[it]):
        names = list(group)
        limits = [it for it in (max_parallel.get(name) for name in names) if it is not None]
        size = min(limits, default=len(names))
        parts = [tuple(names[it : it + size]) for it in range(0, len(names), size)]
        found += [Wave(ring, number, len(parts), it) for number, it in enumerate(parts, start=1)]
    return found


def decide(at: Situation) -> Decision:
    """
    Between the parts of a ring, a stop and the budget count; between rings, baking and an approval
    as well.
    """
    if at.stop:
        return Decision(
            "hold", "stop", f"stop was asked ({at.stop}): run the same command to go on"
        )
    if at.baked:
        said = "; ".join(f"{name}: {problem}" for name, problem in sorted(at.baked.items()))
        return Decision("hold", "budget", f"while baking {_place(at)}: {said}")
    if len(at.failed) > at.allowed:
        where = f"before {at.following.text}" if at.done is None else f"after {_place(at)}"
        return Decision(
            "hold",
            "budget",
            f"{where}: {len(at.failed)} of {at.clusters} clusters failed "
            f"({', '.join(sorted(at.failed))}), max_failed allows {at.allowed}",
        )
    if not at.between_rings:
        return Decision("go on")
    if at.waiting:
        return Decision("hold", "window", f"{_place(at)} comes first, and waits for its window")
    if at.bake and at.baked is None:
        return Decision("bake")
    if at.approval and not at.approved_by:
        return Decision("hold", "approval", f"ring {at.following.ring} waits for approval")
    return Decision("go on")


def _place(at: Situation) -> str:
    if at.done is None:
        return at.following.text
    return f"ring {at.done.ring}" if at.between_rings else at.done.text


def passed(journal: Iterable[Mapping[str, Any]]) -> set[int]:
    """
    The rings whose last gate was open already, by the journal of the run that goes on:
    {"event": "gate", "ring": 0, "part": 1, "parts": 1, "passed": true, ...}.
    """
    return {
        it["ring"]
        for it in journal
        if it.get("event") == "gate"
        and it.get("ring") is not None
        and it.get("passed") is True
        and it.get("part") == it.get("parts")
    }


def broken_off(journal: Iterable[Mapping[str, Any]]) -> set[str]:
    """The clusters that the same journal leaves half changed."""
    found: set[str] = set()
    for it in journal:
        if it.get("event") == "change":
            found.add(it["cluster"])
        elif it.get("event") == "change ended":
            found.discard(it["cluster"])
    return found


def approved(journal: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    """Who approved which ring, by the same journal: {1: "ann"}."""
    return {
        it["following"]: it["approved_by"]
        for it in journal
        if it.get("event") == "gate" and it.get("approved_by")
    }


def seconds(text: str) -> int:
    """
    "90s" -> 90, "10m" -> 600, "1h" -> 3600, "30d" -> 2592000. Raises ValueError for anything else.
    """
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise ValueError(f'{text!r} is not a time such as "90s", "10m", "1h" or "30d"')
    return int(found[1]) * _UNITS[found[2]]
