"""
How often a diagnosis is right: each capture as a bundle, the answer against its truth.

    python -m tests.score [FILE ...]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.diagnosis import bundle as reading
from tasks.diagnosis.diagnosis import as_json
from tasks.diagnosis.explain import diagnosis
from tests.captures import bundle, committed, read
from tests.gym.page import page
from tests.gym.score import WAYS, rows, total

PAGE = Path(__file__).parents[1] / "docs" / "diagnosis-score.md"
SCENARIOS = Path(__file__).parent / "data" / "scenarios"


@dataclass(frozen=True)
class Judged:
    """
    One capture: + wanted, also: causes that are right; + got: cause of the first finding, "ok"
    without; + answered, object: whether they are as expected; + count: of findings
    """

    name: str
    wanted: str
    also: tuple[str, ...]
    got: str
    answered: bool
    object: bool
    count: int
    seconds: float
    said: str

    @property
    def right(self) -> bool:
        return self.got == self.wanted or self.got in self.also


def judged(capture: Mapping[str, Any]) -> Judged:
    expected = capture["expected"]
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        answer = as_json(diagnosis(reading.read(bundle(capture, Path(folder) / "bundle"))))
    first = answer["findings"][0] if answer["findings"] else None
    got = first or answer["verdict"]
    wanted = _named(expected.get("faulty_object"))
    faulty = wanted is not None and expected["cause"] != "ok"
    objects = [wanted, *_objects(expected)] if faulty else []
    called = first["object"] if first else None
    also = [it if isinstance(it, str) else it.get("cause") for it in _also(expected)]
    return Judged(
        capture["scenario"],
        expected["cause"],
        tuple(it for it in also if it),
        got["cause"],
        got["answered_by"] == expected["answered_by"],
        not objects or called in objects,
        len(answer["findings"]),
        time.perf_counter() - begin,
        f"{called} {got['answered_by']}; wanted {wanted} {expected['answered_by']}",
    )


def _also(expected: Mapping[str, Any]) -> list[Any]:
    found = expected.get("also_acceptable") or []
    return found if isinstance(found, list) else [found]


def _named(it: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """An object of a plain Envoy has no namespace: null and "" are the same."""
    return {**it, "namespace": it.get("namespace") or ""} if it else None


def _objects(expected: Mapping[str, Any]) -> list[Any]:
    """Others that may be called faulty."""
    also = [it.get("faulty_object") for it in _also(expected) if isinstance(it, dict)]
    return [_named(it) for it in (*also, *expected.get("also_acceptable_objects", ())) if it]


def main(names: Iterable[str]) -> int:
    """Without names all captures and the recorded gym, and the page of the documentation."""
    names = list(names)
    chosen = [Path(it) for it in names] or [*sorted(SCENARIOS.glob("*.json.gz")), *committed()]
    found = [judged(read(it)) for it in chosen]
    per: dict[str, list[Judged]] = defaultdict(list)
    for it in found:
        per[it.wanted].append(it)
    said = Counter(it.got for it in found)
    for cause, those in sorted(per.items()):
        right = sum(it.right for it in those)
        print(f"{cause:36} {right}/{len(those)}  said {said[cause]}")
    for it in found:
        if not (it.right and it.answered and it.object):
            word = "" if it.right else f"{it.wanted} -> {it.got}: "
            print(f"- {it.name}: {word}{it.said}")
    accused = [it for it in found if it.count]
    agreed = [it for it in found if it.right]
    faults = [it for it in found if it.wanted != "ok"]
    healthy = [it for it in found if it.wanted == "ok"]
    print(
        f"{len(found)} captures: recall {_share([it for it in faults if it.right], faults)}, "
        f"precision {_share([it for it in accused if it.right], accused)}, "
        f"accused {sum(it.count > 0 for it in healthy)} of {len(healthy)} healthy, "
        f"answered_by {_share([it for it in agreed if it.answered], agreed)}, "
        f"object {_share([it for it in agreed if it.object], agreed)}, "
        f"slowest {max((it.seconds for it in found), default=0):.2f} s"
    )
    if not names:
        every = rows()
        PAGE.write_text(page(found, every))
        for way in WAYS:
            gym = total(every, way)
            print(
                f"gym, {way}: {gym.faults} faults: recall {gym.recall:.3f}, precision "
                f"{gym.precision:.3f}, accused {gym.accused} of {gym.alikes} look-alikes"
            )
        print(f"{PAGE.relative_to(PAGE.parents[1])} has the tables")
    return 0


def _share(part: list[Any], whole: list[Any]) -> str:
    return f"{len(part)}/{len(whole)} = {len(part) / len(whole):.3f}" if whole else "0/0"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
