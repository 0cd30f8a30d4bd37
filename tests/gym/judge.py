"""What a diagnosis says, held against the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.gym.fault import Fault, Thing, Truth

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """
    + found: the first finding has cause, object and who answered; + field: and it names the field
    + right, wrong: how many findings are true of the fault, and how many accuse something else
    + said: of the first finding, for people
    """

    found: bool
    field: bool
    right: int
    wrong: int
    said: str


@dataclass(frozen=True)
class Row:
    """
    One fault. + fault, alike: by way, such as "bundle" and "live"; without what was not recorded,
    such as a look-alike of a fault that has none
    """

    it: Fault
    fault: dict[str, Verdict]
    alike: dict[str, Verdict]


def judged(answer: Json, truth: Truth | None) -> Verdict:
    """+ truth: None where nothing is wrong"""
    findings: Sequence[Json] = answer.get("findings") or ()
    if truth is None:
        return Verdict(not findings, not findings, 0, len(findings), _said(findings))
    right = [it for it in findings if is_right(it, truth, truth.besides)]
    first = bool(findings) and is_right(findings[0], truth)
    answered = truth.answered_by is None or bool(
        findings and findings[0].get("answered_by") == truth.answered_by
    )
    named = first and _names(str(findings[0].get("field") or ""), truth.field)
    wrong = len(findings) - len(right)
    return Verdict(first and answered, named, len(right), wrong, _said(findings))


def is_right(finding: Json, truth: Truth, more: Sequence[tuple[str, Thing]] = ()) -> bool:
    every = [(truth.cause, truth.thing), *truth.also, *more]
    return any(finding.get("cause") == cause and _same(finding, it) for cause, it in every)


def _same(finding: Json, wanted: Thing) -> bool:
    said = finding.get("object") or {}
    kind, namespace, name = wanted
    return bool(
        said.get("kind") == kind
        and (said.get("namespace") or "") == namespace
        and fnmatchcase(said.get("name") or "", name)
    )


def _names(field: str, wanted: str) -> bool:
    """+ wanted: words of which one is enough, "" asks for none"""
    return not wanted or any(it in field for it in wanted.split("|"))


def _said(findings: Sequence[Json]) -> str:
    if not findings:
        return "nothing"
    first = findings[0]
    thing = first.get("object") or {}
    place = f"{thing.get('namespace') or ''}/{thing.get('name')}".lstrip("/")
    more = f" (+{len(findings) - 1})" if len(findings) > 1 else ""
    what = [first.get(it) for it in ("cause", "answered_by")]
    return " ".join(map(str, [*what, thing.get("kind"), place, first.get("field")])) + more
