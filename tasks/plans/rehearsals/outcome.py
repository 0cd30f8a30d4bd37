"""
What a rehearsal showed, as a document that an upgrade reads again: whether it counts, and what it
says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Literal

from tasks.plans.preflight import Reason, listed, warning
from tasks.plans.rehearsals.change import Change
from tasks.plans.rehearsals.copies import moved_on

SCHEMA = "envoyfleet.rehearsal/1"
Result = Literal["nothing breaks", "breaks", "not ended"]


@dataclass(frozen=True)
class Outcome:
    """
    + refused: objects that are not taken any more, by the controller or by the new CRDs
    + pruned: fields that the new CRDs drop; + defaulted: those that they fill in
    + configuration: what the proxies run otherwise; + traffic: what is answered otherwise
    + way_back: what is not again as it was once the old release is back
    """

    refused: tuple[Change, ...] = ()
    pruned: tuple[Change, ...] = ()
    defaulted: tuple[Change, ...] = ()
    configuration: tuple[Change, ...] = ()
    traffic: tuple[Change, ...] = ()
    way_back: tuple[Change, ...] = ()

    @property
    def sections(self) -> dict[str, tuple[Change, ...]]:
        """Each by its name, in the order of a report."""
        return {it.name: getattr(self, it.name) for it in fields(self)}

    @property
    def breaking(self) -> list[Change]:
        """What works now and would not after the upgrade."""
        return [it for them in self.sections.values() for it in them if it.severity == "error"]


@dataclass
class Rehearsal:
    """
    One rehearsal, while it runs and as it is kept.

    + before, after: releases, such as "1.8.3"; + kinds: how many objects of each were copied
    + digests: of the source's objects, by title; + problems: why it did not end, a line each
    + requests: such as {"sent": 1200, "lost": 0}; + kept: whether the target was left as it was
    """

    run: str
    who: str
    source: str
    target: str
    began: str
    before: str = ""
    after: str = ""
    ended: str = ""
    kinds: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)
    outcome: Outcome = Outcome()
    problems: list[str] = field(default_factory=list)
    kept: bool = False

    @property
    def result(self) -> Result:
        if self.problems:
            return "not ended"
        return "breaks" if self.outcome.breaking else "nothing breaks"

    @property
    def text(self) -> str:
        """Such as "1.8.3 → 1.9.1: 2 refused, 1 pruned, 4 configuration"."""
        counts = [
            f"{len(them)} {name.replace('_', ' ')}"
            for name, them in self.outcome.sections.items()
            if them
        ]
        said = "; ".join(self.problems[:1]) if self.problems else ", ".join(counts)
        return f"{self.before} → {self.after}: {said or 'no difference'}"


def document(rehearsal: Rehearsal) -> dict[str, Any]:
    """For ``rehearsal-<source>.json``: no value of a Secret is in it."""
    return {"schema": SCHEMA, "result": rehearsal.result, **asdict(rehearsal)}


def read(found: Any) -> Rehearsal:
    """What ``document`` wrote. Raises ValueError, in one line, for anything else."""
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        said = found.get("schema") if isinstance(found, dict) else type(found).__name__
        raise ValueError(f"it has the format {said!r}, and this envoyfleet reads {SCHEMA!r}")
    try:
        known = {it.name for it in fields(Rehearsal)}
        given = {key: it for key, it in found.items() if key in known}
        sections = {
            name: tuple(Change(**it) for it in them) for name, them in given["outcome"].items()
        }
        made = Rehearsal(**{**given, "outcome": Outcome(**sections)})
        datetime.fromisoformat(made.began)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"it is no whole rehearsal ({type(error).__name__}: {error})") from error
    return made


def standing(
    rehearsal: Rehearsal, digests: Mapping[str, str], now: datetime, days: int
) -> list[Reason]:
    """
    What speaks, by its rehearsal, against an upgrade that is about to begin; nothing where that
    found nothing. + digests: of the cluster's objects now; + days: for how long one counts
    """
    age = now - datetime.fromisoformat(rehearsal.began)
    when = f"the rehearsal of {rehearsal.began[:10]} ({rehearsal.before} → {rehearsal.after})"
    if age > timedelta(days=days):
        return [warning(f"{when} is older than {days} days: deploys/rehearse.py makes a new one")]
    since = moved_on(rehearsal.digests, digests)
    if since:
        return [
            warning(
                f"{when} is stale, since then these changed: {listed(since)}: deploys/rehearse.py "
                "makes a new one"
            )
        ]
    if rehearsal.problems:
        return [
            Reason(
                f"{when} did not end: {listed(rehearsal.problems)}: docs/rehearse.md", "rehearsal"
            )
        ]
    breaking = [it.text for it in rehearsal.outcome.breaking]
    if breaking:
        return [
            Reason(
                f"{when} found what breaks: {listed(breaking)}: mend that, then rehearse again",
                "rehearsal",
            )
        ]
    return []


def summary(rehearsal: Rehearsal, reasons: Iterable[Reason]) -> str:
    """The line of an upgrade's report, such as "2026-11-23 on lab-2: nothing breaks"."""
    if any(not it.stops for it in reasons):
        return "stale"
    return f"{rehearsal.began[:10]} on {rehearsal.target}: {rehearsal.result}"
