"""What the pages of a run say beside its figures: how it ended, what to do, who needs somebody."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tasks.plans.timeline import Ring, rings

Document = Mapping[str, Any]
Tone = Literal["good", "wait", "bad"]

#: Worst first: as a manager reads them.
STATUSES: Mapping[str, Tone] = {
    "failed": "bad",
    "unreachable": "bad",
    "rolled back": "bad",
    "interrupted": "wait",
    "held": "wait",
    "waiting": "wait",
    "not run": "wait",
    "done": "good",
    "unchanged": "good",
}
_AGAIN = "run the same command again to go on: what is done is left alone"
#: By exit code (docs/how-a-run-works.md, Exit codes): what it means, and what to do.
ENDINGS: Mapping[int, tuple[Tone, str, str | None]] = {
    0: ("good", "done", None),
    1: ("bad", "clusters failed", f"correct what is said below, then {_AGAIN}"),
    3: ("wait", "done, with findings", "see the findings: each says what to do"),
    4: ("wait", "waits", f"approve the ring, or wait for the window, then {_AGAIN}"),
    5: (
        "bad",
        "clusters failed, later rings were held",
        f"correct what is said below, then {_AGAIN}",
    ),
    6: ("wait", "stopped half way", _AGAIN),
    130: ("wait", "interrupted", _AGAIN),
    143: ("wait", "interrupted", _AGAIN),
}
#: Lines of a journal that stand for a step, which the page shows elsewhere.
STEPS = ("step", "step ended")
_HIDDEN = ("event", "at", "before", "process")
#: Characters of a value in a line of the journal.
LONGEST = 160


@dataclass(frozen=True)
class Group:
    """Clusters of which the same is to be said."""

    status: str
    tone: Tone
    clusters: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Probes:
    """Requests that were sent through all proxies while clusters were changed."""

    requests: int
    lost: int
    longest_gap: float
    clusters: int


@dataclass(frozen=True)
class Line:
    """One line of the journal. + text: its details, "cluster weu-1, seconds 600"."""

    at: str
    event: str
    text: str


@dataclass(frozen=True)
class Page:
    """
    + counts: clusters by status, worst first; + lines: of the journal without its steps, whose
      lines are counted; + next: what to do, None where nothing is
    """

    tone: Tone
    verdict: str
    next: str | None
    counts: Sequence[tuple[str, Tone, int]]
    problems: Sequence[Group]
    probes: Probes | None
    rings: Sequence[Ring]
    lines: Sequence[Line]
    steps: int


def page(document: Document, journal: Iterable[Mapping[str, Any]] = ()) -> Page:
    """+ document: report.json; + journal: the entries of journal.jsonl"""
    clusters, entries = document["clusters"], [*journal]
    tone, verdict, what = ENDINGS.get(document["exit"], ("bad", f"exit {document['exit']}", None))
    counts = Counter(it["status"] for it in clusters)
    bakes = {it["ring"]: it["seconds"] for it in entries if it.get("event") == "bake"}
    return Page(
        tone,
        verdict,
        what,
        [(it, STATUSES[it], counts[it]) for it in STATUSES if counts[it]],
        problems(clusters),
        probes(clusters),
        rings(clusters, document.get("gates", ()), bakes),
        [line(it) for it in entries if it.get("event") not in STEPS],
        sum(it.get("event") in STEPS for it in entries),
    )


def problems(clusters: Iterable[Mapping[str, Any]]) -> list[Group]:
    """Clusters that are not as they should be, by what is said of them, worst first."""
    found: dict[tuple[str, str], list[str]] = {}
    for it in clusters:
        if STATUSES[it["status"]] != "good":
            found.setdefault((it["status"], it["why"] or it["status"]), []).append(it["name"])
    order = [*STATUSES]
    return [
        Group(status, STATUSES[status], tuple(names), why)
        for (status, why), names in sorted(found.items(), key=lambda it: order.index(it[0][0]))
    ]


def probes(clusters: Iterable[Mapping[str, Any]]) -> Probes | None:
    """None where no request was sent."""
    met = [it["traffic"] for it in clusters if it.get("traffic")]
    if not met:
        return None
    return Probes(
        sum(it["requests"] for it in met),
        sum(lost(it) for it in met),
        max(it["longest_gap"] for it in met),
        len(met),
    )


def lost(traffic: Mapping[str, Any]) -> int:
    """Requests without a good answer, of {"failures": {"503": 2}, ...}."""
    return sum(traffic["failures"].values())


def line(entry: Mapping[str, Any]) -> Line:
    """Of the journal, for people."""
    details = {key: it for key, it in entry.items() if key not in _HIDDEN}
    process = entry.get("process") or {}
    who = {"who": process["who"]} if "who" in process else {}
    return Line(
        str(entry.get("at", "")),
        str(entry.get("event", "")),
        ", ".join(f"{key} {_said(it)}" for key, it in {**who, **details}.items() if it is not None),
    )


def _said(value: Any) -> str:
    """Values that are long or hold others in short: the journal has them whole."""
    if isinstance(value, Mapping):
        value = ", ".join(f"{key}: {_said(it)}" for key, it in value.items())
    elif isinstance(value, list | tuple):
        value = ", ".join(_said(it) for it in value)
    elif isinstance(value, bool):
        value = "yes" if value else "no"
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def same_changes(plan: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """
    Each change of plan.json once, in the order of its clusters: [{"title": "Will upgrade ...",
    "diff": ["change Deployment ...", ...], "clusters": ["weu-1", "weu-2"]}].
    """
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for it in plan:
        for one in it["changes"]:
            found.setdefault((one["title"], tuple(one["diff"])), []).append(it["name"])
    return [
        {"title": title, "diff": [*diff], "clusters": [*dict.fromkeys(names)]}
        for (title, diff), names in found.items()
    ]


def fence(lines: Iterable[str]) -> str:
    """What a block of code in Markdown begins and ends with, so that none of its lines does."""
    ticks = (len(run) for it in lines for run in re.findall(r"`+", it))
    return "`" * max(3, max(ticks, default=0) + 1)
