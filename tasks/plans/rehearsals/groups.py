"""Rehearsals of many clusters for people: those that showed the same are told once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tasks.plans.rehearsals.change import Change, Severity, in_order
from tasks.plans.rehearsals.outcome import Outcome, Rehearsal

Tone = Literal["good", "wait", "bad"]
#: Stands for the name of a cluster in what is said of several.
CLUSTER = "<cluster>"
#: Of an outcome: what a section is called, and what is in it.
SECTIONS: Mapping[str, tuple[str, str]] = {
    "refused": (
        "Refused",
        "Objects that are not taken any more, by the controller or by the new CRDs.",
    ),
    "pruned": ("Dropped", "Fields of your objects that the new CRDs do not know."),
    "traffic": ("Traffic", "Requests that are answered otherwise, or were lost meanwhile."),
    "configuration": ("Proxies", "What Envoy does otherwise with the same objects."),
    "way_back": ("Way back", "What is not again as it was once the old release is back."),
    "defaulted": ("Filled in", "Fields that nobody sent, and to which the new CRDs give a value."),
}
TONES: Mapping[Severity, Tone | Literal["quiet"]] = {
    "error": "bad",
    "warning": "wait",
    "info": "quiet",
}
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Line:
    """The same words of many. + names: such as ("HTTPRoute shop/cart, rule 0",)"""

    severity: Severity
    words: str
    names: tuple[str, ...]

    @property
    def tone(self) -> str:
        return TONES[self.severity]


@dataclass(frozen=True)
class Section:
    title: str
    meaning: str
    lines: Sequence[Line]
    changes: int


@dataclass(frozen=True)
class Group:
    """
    Clusters whose rehearsals showed the same. + rehearsals: the records, by name of their source
    """

    rehearsals: Sequence[Rehearsal]
    sections: Sequence[Section]

    @property
    def first(self) -> Rehearsal:
        return self.rehearsals[0]

    @property
    def clusters(self) -> tuple[str, ...]:
        return tuple(it.source for it in self.rehearsals)

    @property
    def tone(self) -> Tone:
        if self.first.result != "nothing breaks":
            return "bad"
        lines = (line for section in self.sections for line in section.lines)
        return "wait" if any(it.severity == "warning" for it in lines) else "good"

    @property
    def result(self) -> str:
        return self.first.result + (", see the warnings" if self.tone == "wait" else "")

    @property
    def next(self) -> str:
        """What to do now."""
        source, cluster = self.first, "these clusters" if len(self.rehearsals) > 1 else "it"
        go_on = f"upgrade {cluster} with deploys/upgrade.py"
        if source.problems:
            return "correct what is said below, then rehearse again"
        if self.tone == "bad":
            return "mend what is marked as an error, then rehearse again"
        if self.tone == "wait":
            return f"see whether each warning is meant, then {go_on}"
        return go_on

    @property
    def objects(self) -> int:
        return sum(sum(it.kinds.values()) for it in self.rehearsals)

    def requests(self, key: str) -> int:
        """+ key: "sent", "lost"."""
        return sum(it.requests.get(key, 0) for it in self.rehearsals)


def groups(rehearsals: Iterable[Rehearsal]) -> list[Group]:
    """Those that break first, then the larger ones; in each, clusters by name."""
    found: dict[object, list[Rehearsal]] = {}
    for it in sorted(rehearsals, key=_by_number):
        said = tuple((name, _alike(them, it.source)) for name, them in it.outcome.sections.items())
        problems = tuple(_anywhere(one, it.source) for one in it.problems)
        found.setdefault((it.before, it.after, problems, said), []).append(it)
    made = [Group(them, sections(_common(them))) for them in found.values()]
    rank = {"bad": 0, "wait": 1, "good": 2}
    return sorted(made, key=lambda it: (rank[it.tone], -len(it.rehearsals)))


def _by_number(rehearsal: Rehearsal) -> list[str]:
    """weu-2 comes before weu-10."""
    parts = re.split(r"(\d+)", rehearsal.source)
    return [it.zfill(9) if it.isdigit() else it for it in parts]


def _common(them: Sequence[Rehearsal]) -> Outcome:
    """What is said of all: of one in its own words."""
    first = them[0]
    if len(them) == 1:
        return first.outcome
    return Outcome(**{k: _alike(it, first.source) for k, it in first.outcome.sections.items()})


def _alike(changes: Iterable[Change], source: str) -> tuple[Change, ...]:
    """Without what is a cluster's own: its name, and how many requests were lost."""
    found = []
    for it in changes:
        words = _anywhere(it.words, source)
        if it.what == "request" and it.name.startswith("requests"):
            words = _NUMBER.sub("…", words)
        found.append(replace(it, name=_anywhere(it.name, source), words=words))
    return in_order(found)


def _anywhere(text: str, source: str) -> str:
    """A cluster's name as a word of its own, with and without what is before it."""
    for name in (source, source.rpartition("/")[2]):
        if len(name) > 2:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w|-\d)", CLUSTER, text)
    return text


def sections(outcome: Outcome) -> list[Section]:
    """Those in which there is something; the same words once, with all whom they are about."""
    made = []
    for name, (title, meaning) in SECTIONS.items():
        changes: Sequence[Change] = getattr(outcome, name)
        told: dict[tuple[Severity, str], list[str]] = {}
        for it in in_order(changes):
            told.setdefault((it.severity, it.words), []).append(it.name)
        lines = [Line(how, words, tuple(names)) for (how, words), names in told.items()]
        if lines:
            made.append(Section(title, meaning, lines, len(changes)))
    return made
