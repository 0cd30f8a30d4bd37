"""Recorded states of the gym, diagnosed anew: a sample, ``make score`` takes all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gym import archive
from tests.gym.fault import Fault, thing
from tests.gym.faults import EVERY
from tests.gym.judge import judged
from tests.gym.offline import diagnosed

SAMPLE = (
    "secret-absent",
    "rewrite-to-nowhere",
    "target-port-of-nobody",
    "jwt-missing",
    "controller-gone",
    "tcp-routes-lost",
)
#: Faults of which the object alone was told once.
FIELDS = ("listener-hostname", "section-absent", "weight-zero", "filter-absent", "tls-other-name")


@pytest.fixture(scope="module")
def states() -> Iterator[dict[str, Path]]:
    with archive.recorded() as found:
        yield found


@pytest.mark.parametrize("fault", [it for it in EVERY if it.name in SAMPLE], ids=lambda it: it.name)
def test_a_fault_is_found_and_its_look_alike_is_not_accused(
    states: dict[str, Path], fault: Fault
) -> None:
    verdict = judged(diagnosed(states[fault.name]), fault.truth)
    assert verdict.found, verdict.said
    alike = states.get(f"{fault.name}.well")
    if alike is not None:
        assert judged(diagnosed(alike), None).found


@pytest.mark.parametrize("fault", [it for it in EVERY if it.name in FIELDS], ids=lambda it: it.name)
def test_the_field_is_named(states: dict[str, Path], fault: Fault) -> None:
    verdict = judged(diagnosed(states[fault.name]), fault.truth)
    assert verdict.field, verdict.said


def test_all_of_it_is_small() -> None:
    assert archive.FILE.stat().st_size <= 2_000_000


def test_names_are_each_of_one_fault() -> None:
    assert len({it.name for it in EVERY}) == len(EVERY) >= 40


@pytest.mark.parametrize("fault", EVERY, ids=lambda it: it.name)
def test_what_is_made_wrong_differs_from_what_is_well(fault: Fault) -> None:
    if fault.truth is None:
        return
    before = {thing(it): it for it in fault.well}
    changed = any(before.get(thing(it)) != it for it in fault.wrong)
    assert changed or fault.gone or fault.breaks or fault.asks
