"""How often a diagnosis is right about the gym: recorded states anew, and what was said live."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.gym import archive, ledger
from tests.gym.fault import Fault
from tests.gym.faults import EVERY
from tests.gym.judge import Row, Verdict, judged
from tests.gym.offline import diagnosed

#: By the functions behind the deploys, on states that were recorded; and by the deploys.
WAYS = ("bundle", "live", *ledger.WAYS)


@dataclass(frozen=True)
class Total:
    """+ recall: of faults; + precision: of findings; + accused: of look-alikes"""

    way: str
    faults: int
    found: int
    fields: int
    findings: int
    right: int
    alikes: int
    accused: int

    @property
    def recall(self) -> float:
        return self.found / max(self.faults, 1)

    @property
    def precision(self) -> float:
        return self.right / max(self.findings, 1)


def rows() -> list[Row]:
    """Of all faults that were recorded."""
    with archive.recorded() as folders:
        return list(_rows(folders, EVERY))


def _rows(folders: dict[str, Path], faults: Iterable[Fault]) -> Iterable[Row]:
    noted = ledger.kept()
    for it in faults:
        fault = _verdicts(folders.get(it.name), it) | ledger.verdicts(noted, it.name, "fault")
        alike = _verdicts(folders.get(f"{it.name}.well"), None)
        alike |= ledger.verdicts(noted, it.name, "alike")
        if fault or alike:
            yield Row(it, fault, alike)


def _verdicts(folder: Path | None, fault: Fault | None) -> dict[str, Verdict]:
    if folder is None:
        return {}
    truth = fault.truth if fault else None
    found = {"bundle": judged(diagnosed(folder), truth)}
    live = folder / archive.LIVE
    if live.exists():
        found["live"] = judged(json.loads(live.read_text()), truth)
    return found


def total(every: Sequence[Row], way: str) -> Total:
    faults = [it.fault[way] for it in every if way in it.fault]
    alikes = [it.alike[way] for it in every if way in it.alike]
    both = [*faults, *alikes]
    return Total(
        way,
        len(faults),
        sum(it.found for it in faults),
        sum(it.field for it in faults),
        sum(it.right + it.wrong for it in both),
        sum(it.right for it in both),
        len(alikes),
        sum(not it.found for it in alikes),
    )
