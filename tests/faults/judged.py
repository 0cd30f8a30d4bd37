"""What came of a run that met a fault, beside the same run without one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.command_line import Outcome

#: + right: as without the fault; + told: the same exit code, and a line says what was not read
#: + stopped: another exit code than 0, and it says which cluster, why, at which step and which
#: command comes next; + not met: it asked too little to meet it
Verdict = Literal["right", "told", "stopped", "wrong", "not met"]
#: How an error of Python's begins that nobody made a sentence of.
DEFECT = re.compile(
    r"\b(Key|Type|Attribute|Index|Value|Assertion|Recursion|JSONDecode|Unicode\w*)Error\b"
)
CLUSTER = re.compile(r"\b(weu-1|lab-1|[a-z]+-1)\b")
#: The lines with which a run says where clusters stopped and what is next (tasks/plans/stops.py).
STOPPED_AT = re.compile(r"stopped: .+ at \S")
NEXT = re.compile(r"next: .*pyinfra inventory/\S+ deploys/\w+\.py")
#: A finding says what to do itself.
FINDING = re.compile(r"(error|warning) [A-Z]+\d{3} .+: .+")
REFUSED, FINDINGS = 2, 3
TOLD = re.compile(
    r"not (read|asked|known)|cannot|could not|(was|were) not|: \d{3} |no answer|cannot tell"
)
#: What a run says of the one before it, which met a fault of its own.
_OF_BEFORE = re.compile(r"\[\S+\] takes over from run \S+ ")
#: What differs between two runs that are the same, in lines that differ.
_VARIES = re.compile(r"[0-9a-f]{8,}|\d+(\.\d+)?|waits .*|still .*")


@dataclass(frozen=True)
class Judged:
    """+ why: it is wrong; + line: that tells of the fault, where it stopped"""

    verdict: Verdict
    why: str = ""
    line: str = ""


def judged(wells: Sequence[Outcome], it: Outcome) -> Judged:
    """``wells`` are runs without a fault: what is the same in all of them must be there again."""
    if "Traceback (most recent call last)" in it.text:
        return Judged("wrong", "a traceback: " + _last(it.text))
    if it.code not in range(7):
        return Judged("wrong", f"exit {it.code}")
    if defect := DEFECT.search(it.text):
        return Judged("wrong", f"{defect[0]}: {_around(it.text, defect.start())}")
    known = {_plain(line) for well in wells for line in well.lines}
    steady = set(wells[0].lines).intersection(*(well.lines for well in wells))
    lines = [line for line in it.lines if not _OF_BEFORE.match(line)]
    new = [line for line in lines if _plain(line) not in known]
    there = {_plain(line) for line in lines}
    gone = [line for line in steady if _plain(line) not in there]
    told = [line for line in new if CLUSTER.search(line) and re.search(r"[a-z]{3}.*: ?\S", line)]
    if it.code == wells[0].code and not new and not gone:
        return Judged("right")
    if it.code == wells[0].code and (said := [line for line in new if TOLD.search(line)]):
        return Judged("told", line=said[0])
    if it.code == 0:
        return Judged("wrong", f"says 0 and something else: {'; '.join(new or gone)[:300]}")
    if not told:
        return Judged("wrong", f"exit {it.code} without a line: {'; '.join(it.lines)[-300:]}")
    if lacks := _lacks(it, new):
        return Judged("wrong", f"exit {it.code} without {lacks}: {'; '.join(it.lines)[-300:]}")
    return Judged("stopped", line=told[0])


def _lacks(it: Outcome, new: Sequence[str]) -> str:
    """What a run that stopped did not say; what was refused before it began has no step."""
    if it.code == REFUSED:
        return ""
    if it.code == FINDINGS:
        return "" if any(FINDING.match(line) for line in new) else "a finding"
    if not any(STOPPED_AT.match(line) and CLUSTER.search(line) for line in it.lines):
        return "the step"
    return "" if any(NEXT.match(line) for line in it.lines) else "the next command"


def _plain(line: str) -> str:
    return _VARIES.sub("-", line)


def _last(text: str) -> str:
    return next((it for it in reversed(text.splitlines()) if it.strip()), "")[:300]


def _around(text: str, at: int) -> str:
    return " ".join(text[max(0, at - 120) : at + 160].split())
