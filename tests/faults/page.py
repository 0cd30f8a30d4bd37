"""docs/faults.md: every kind of fault, at which deploys it was tried, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.array import MOMENTS
from tests.faults.judged import Judged
from tests.faults.kinds import FAMILIES, KINDS
from tests.faults.machine import Tried
from tests.faults.running import ALWAYS

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
HEAD = """\
# Faults between a run and its clusters

`make faults` writes this page. A proxy stands between whole runs of pyinfra and the real API
server of a lab cluster (tests/faults/), and answers one request of a run, or all from one on, in
its place. Each deploy meets one kind of each family, each family comes at each moment: while
connecting, while reading, and at the first and a later write (tests/faults/array.py).

**Right** is: the run ended as it does without the fault, with the same lines and exit
code. **Stopped** is: it ended with another exit code than 0 and said which cluster it is, why, at
which step, and the next command; with exit 3 it is a finding that says so. **Told** is: the exit
code without the fault, and a line that says what was not read. **Not met** is: it asked too little.
**Wrong** would be a traceback, the name of an error of Python's, an exit code 0 with
another result, or more than 150 seconds.

"""

HARMS = """\
## On the machine that runs, and at the registry
Each run was followed by the same command without the harm, whose exit code is under "then". Install
had a change for helm to make, and no chart in its cache where the registry was harmed.
"""


@dataclass(frozen=True)
class Row:
    """+ moment, times: when a request met it, and how many did"""

    deploy: str
    kind: str
    moment: str
    times: int
    code: int
    seconds: float
    judged: Judged

    @property
    def text(self) -> str:
        many = "from there on" if self.times == ALWAYS else "once"
        said = self.judged.why or self.judged.line
        return (
            f"{self.kind}, {self.moment}, {many}: {self.judged.verdict}, exit {self.code}, "
            f"{self.seconds:.0f} s {said}"
        )


def page(rows: Sequence[Row], harmed: Sequence[Tried]) -> str:
    return HEAD + "\n".join(
        [
            *_summary(rows),
            "",
            *_kinds(rows),
            "",
            *_moments(rows),
            "",
            *_deploys(rows),
            "",
            *_harms(harmed),
            "",
        ]
    )


def _count(rows: Sequence[Row], verdict: str) -> int:
    return sum(it.judged.verdict == verdict for it in rows)


def _summary(rows: Sequence[Row]) -> Iterator[str]:
    kinds, deploys = {it.kind for it in rows}, {it.deploy.split()[0] for it in rows}
    yield (
        f"{len(rows)} runs, {len(kinds)} kinds of faults, {len(deploys)} deploys: "
        f"{_count(rows, 'right')} right, {_count(rows, 'told')} told, "
        f"{_count(rows, 'stopped')} stopped, {_count(rows, 'not met')} not met, "
        f"{_count(rows, 'wrong')} wrong."
    )


def _kinds(rows: Sequence[Row]) -> Iterator[str]:
    yield "| fault | what | runs | right | told | stopped | wrong | such as |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for name, kind in KINDS.items():
        of = [it for it in rows if it.kind == name]
        line = next((it.judged.line for it in of if it.judged.line), "")
        counts = " | ".join(str(_count(of, it)) for it in ("right", "told", "stopped", "wrong"))
        yield f"| {name} | {kind.what} | {len(of)} | {counts} | {_cell(line)} |"


def _moments(rows: Sequence[Row]) -> Iterator[str]:
    yield f"| family | {' | '.join(MOMENTS)} |"
    yield f"| --- |{' --- |' * len(MOMENTS)}"
    for name, of in FAMILIES.items():
        met = [it.moment for it in rows if it.kind in of and it.judged.verdict != "not met"]
        yield f"| {name} | {' | '.join(str(met.count(it)) for it in MOMENTS)} |"


def _harms(harmed: Sequence[Tried]) -> Iterator[str]:
    yield HARMS
    yield "| what | how | deploy | came of it | exit | then | such as |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for it in harmed:
        about = f"{it.harm.name} | {it.harm.what} | {it.harm.deploy} | {it.judged.verdict}"
        yield f"| {about} | {it.code} | {it.after} | {_cell(it.judged.line or it.judged.why)} |"


def _deploys(rows: Sequence[Row]) -> Iterator[str]:
    yield "| deploy | met | right | told | stopped | wrong |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name in dict.fromkeys(it.deploy for it in rows):
        of = [it for it in rows if it.deploy == name]
        met = len(of) - _count(of, "not met")
        counts = " | ".join(str(_count(of, it)) for it in ("right", "told", "stopped", "wrong"))
        yield f"| {name} | {met} | {counts} |"


def _cell(line: str) -> str:
    line = re.sub(r"\S*/faults-\w+/clone/", "", line)  # where this machine has them
    short = line if len(line) <= 160 else f"{line[:160]}..."
    return f"`{short.replace('|', '/').replace('`', '')}`" if line else ""
