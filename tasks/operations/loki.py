"""Older lines of access logs for a diagnosis, where an inventory names a Loki."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyinfra.api.exceptions import DeployError

from tasks.diagnosis import loki
from tasks.diagnosis.evidence import Entry, Gap, Skipped
from tasks.facts.loki import Place, lines_of


@dataclass
class Found:
    """+ entries: oldest first"""

    entries: list[Entry] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


def read(place: Place, host: str, now: float, seconds: float, most: int = 300) -> Found:
    """
    The newest entries of one host. What goes wrong is a gap.

    + host: without a port; + now: seconds since 1970; + seconds: how old they may be
    """
    found = Found()
    try:
        answer = lines_of(place, [host], now - seconds, now)
    except DeployError as problem:
        found.gaps.append(_gap(str(problem)))
        return found
    if not answer.whole:
        found.gaps.append(_gap(answer.why))
    for it in loki.entries(answer.lines):
        if isinstance(it, Entry):
            found.entries.append(it)
        else:
            found.skipped.append(it)
    found.entries = sorted(found.entries, key=lambda it: it.at)[-most:]
    return found


def _gap(why: str) -> Gap:
    return Gap("access logs in Loki", why, "what became of older requests")
