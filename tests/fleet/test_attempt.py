"""attempt, rescue, always and settle in pyinfra's real engine, on clusters in memory."""

from __future__ import annotations

from typing import Any

import pytest
from pyinfra import host

from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fleet_operation
from tests.fleet.in_memory import Fleet, executed, prepared, step

DEPLOY = """
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.rings import rings
from tests.fleet.in_memory import step
from tests.fleet.test_attempt import rolled_back

for _ring in rings():
    with attempt("Upgrade") as a:
        step(name="Controller", number=1)
        step(name="Traffic", number=2)
    with a.rescue():
        rolled_back(name="Last good release")
        step(name="Traffic again", number="again")
    with a.always():
        step(name="Lease", number="release")
        step(name="Note", number="note")
    settle(a)
"""
pytestmark = pytest.mark.usefixtures("in_memory")


@fleet_operation()
def rolled_back() -> Steps:
    yield from step._inner(number="back")
    fleet_run.current().rolled_back[host.name] = "to 1.8.3 (revision 1), serving"


def ended(faults: set[str]) -> tuple[list[str], fleet_run.Run, Any]:
    """What was written to the only cluster, its run, and its line of the report."""
    fleet = Fleet({"c0": 0}, {"c0": faults})
    run = executed(fleet, DEPLOY)
    return [number for _, number in fleet.written], run, run.report.results()[0]


def test_nothing_fails() -> None:
    written, run, result = ended(set())
    assert written == ["1", "2", "release", "note"]
    assert (run.exit_code(), result.status, result.why) == (0, "done", None)
    assert [(it.name.removeprefix("Ring 0 | "), it.status) for it in result.steps] == [
        ("Gate before ring 0", "unchanged"),
        ("Upgrade | Controller", "changed"),
        ("Upgrade | Traffic", "changed"),
        ("Roll back | Last good release", "skipped"),
        ("Roll back | Traffic again", "skipped"),
        ("Afterwards | Lease", "changed"),
        ("Afterwards | Note", "changed"),
        ("Outcome", "unchanged"),
    ]


@pytest.mark.parametrize(
    ("faults", "written", "status", "why"),
    [
        pytest.param(
            {"1"},
            ["1", "back", "again", "release", "note"],
            "rolled back",
            "POST /step/1: 500 step 1 failed; rolled back to 1.8.3 (revision 1), serving",
            id="the rest of the attempt is skipped",
        ),
        pytest.param(
            {"2"},
            ["1", "2", "back", "again", "release", "note"],
            "rolled back",
            "POST /step/2: 500 step 2 failed; rolled back to 1.8.3 (revision 1), serving",
            id="the last of the attempt",
        ),
        pytest.param(
            {"1", "back"},
            ["1", "back", "release", "note"],
            "failed",
            "POST /step/1: 500 step 1 failed; "
            "rolling back failed too: POST /step/back: 500 step back failed",
            id="a rescue that fails",
        ),
        pytest.param(
            {"2", "again", "release"},
            ["1", "2", "back", "again", "release", "note"],
            "failed",
            "POST /step/2: 500 step 2 failed; rolling back failed too: POST /step/again: 500 step "
            "again failed; afterwards: POST /step/release: 500 step release failed",
            id="all fail, each message is there",
        ),
        pytest.param(
            {"1", "note"},
            ["1", "back", "again", "release", "note"],
            "rolled back",
            "POST /step/1: 500 step 1 failed; afterwards: POST /step/note: 500 step note failed; "
            "rolled back to 1.8.3 (revision 1), serving",
            id="rolled back, and a note that fails",
        ),
        pytest.param(
            {"release"},
            ["1", "2", "release", "note"],
            "failed",
            "POST /step/release: 500 step release failed",
            id="only afterwards",
        ),
    ],
)
def test_what_fails(faults: set[str], written: list[str], status: str, why: str) -> None:
    assert ended(faults)[0] == written
    run = fleet_run.current()
    result = run.report.results()[0]
    assert (run.exit_code(), result.status, result.why) == (1, status, why)
    assert len(result.steps) == 8


def test_a_step_says_what_failed_in_it() -> None:
    result = ended({"1", "back"})[2]
    assert {it.name: it.error for it in result.steps if it.error} == {
        "Ring 0 | Upgrade | Controller": "POST /step/1: 500 step 1 failed",
        "Ring 0 | Roll back | Last good release": "POST /step/back: 500 step back failed",
        "Ring 0 | Outcome": "POST /step/1: 500 step 1 failed; "
        "rolling back failed too: POST /step/back: 500 step back failed",
    }


def test_a_rolled_back_cluster_counts_as_failed() -> None:
    fleet = Fleet({"c0": 0, "c1": 0, "c2": 1}, {"c0": {"2"}})
    run = executed(fleet, DEPLOY)
    assert [it.status for it in run.report.results()] == ["rolled back", "done", "held"]
    assert run.exit_code() == 5
    assert not [it for it in fleet.written if it[0] == "c2"]


def test_a_cluster_whose_plan_fails_is_not_rolled_back() -> None:
    fleet = Fleet({"c0": 0, "c1": 1}, {"c0": "read"}, max_failed=1)
    run = executed(fleet, DEPLOY)
    assert {name for name, _ in fleet.written} == {"c1"}
    assert run.exit_code() == 1


def test_a_rescue_is_not_planned() -> None:
    with prepared(Fleet({"c0": 0}), DEPLOY) as state:
        planned = {
            ", ".join(state.op_meta[key].names): data.operation_meta.will_change
            for host in state.inventory
            for key, data in state.ops[host].items()
        }
    assert {name for name, changes in planned.items() if changes} == {
        "Ring 0 | Upgrade | Controller",
        "Ring 0 | Upgrade | Traffic",
        "Ring 0 | Afterwards | Lease",
        "Ring 0 | Afterwards | Note",
    }


def test_what_two_attempts_say_is_said_once() -> None:
    deploy = """
from tasks.fleet.attempt import attempt, settle
from tests.fleet.in_memory import step

for name in ("First", "Second"):
    with attempt(name) as a:
        step(name="Controller", number=1)
settle(a)
"""
    run = executed(Fleet({"c0": 0}, {"c0": {"1"}}), deploy)
    assert run.report.results()[0].why == "POST /step/1: 500 step 1 failed"
