"""
Rings in pyinfra's real engine, on clusters in memory: the order of what reaches them, the budget,
and what is held. ``ENVOYFLEET_EXAMPLES`` sets how many random fleets are tried.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tasks.fleet import run as fleet_run
from tasks.plans.budget import allowed, parse_budget
from tests.fleet import in_memory
from tests.fleet.in_memory import Fleet, prepared

DEPLOY = """
from tasks.fleet.rings import rings
from tests.fleet.in_memory import step

for _ring in rings(max_failed=0):
    step(name="Upgrade", number=1)
    step(name="Prove", number=2)
"""
RESCUED = """
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.rings import rings
from tests.fleet.in_memory import step
from tests.fleet.test_attempt import rolled_back

for _ring in rings():
    with attempt("Upgrade") as a:
        step(name="Upgrade", number=1)
        step(name="Prove", number=2)
    with a.rescue():
        rolled_back(name="Last good release")
    with a.always():
        step(name="Lease", number="end")
    settle(a)
"""
#: Where a cluster fails: when it is connected to, when it is read, at its steps.
FAULTS = ["connect", "read", "1", "2", "2 and back"]
pytestmark = pytest.mark.usefixtures("in_memory")


def executed(fleet: Fleet, check: bool = True) -> fleet_run.Run:
    return in_memory.executed(fleet, DEPLOY, check)


def test_one_ring_after_the_other() -> None:
    fleet = Fleet({"c0": 0, "c1": 1, "c2": 1, "c3": 5})
    run = executed(fleet)
    assert fleet.written[:2] == [("c0", "1"), ("c0", "2")]
    assert sorted(fleet.written[2:4]) == [("c1", "1"), ("c2", "1")]
    assert sorted(fleet.written[4:6]) == [("c1", "2"), ("c2", "2")]
    assert fleet.written[6:] == [("c3", "1"), ("c3", "2")]
    assert (run.exit_code(), run.failures, run.held) == (0, {}, {})


def test_nothing_is_written_while_it_is_planned() -> None:
    fleet = Fleet({"c0": 0, "c1": 1})
    with prepared(fleet, DEPLOY) as state:
        assert {host.name: state.meta[host].ops_change for host in state.inventory} == {
            "c0": 2,
            "c1": 2,
        }
    assert fleet.written == []


def test_a_failed_ring_holds_the_later_ones_untouched() -> None:
    fleet = Fleet({"c0": 0, "c1": 1, "c2": 2}, {"c0": "2"})
    run = executed(fleet)
    why = "after ring 0: 1 of 3 clusters failed (c0), max_failed allows 0"
    assert run.held == {"c1": why, "c2": why}
    assert run.failures == {"c0": ["POST /step/2: 500 step 2 failed"]}
    assert fleet.written == [("c0", "1"), ("c0", "2")]
    assert run.exit_code() == 5
    assert {it.name: (it.status, it.why) for it in run.report.results()} == {
        "c0": ("failed", "POST /step/2: 500 step 2 failed"),
        "c1": ("held", why),
        "c2": ("held", why),
    }


def test_the_others_of_a_ring_are_finished() -> None:
    fleet = Fleet({"c0": 0, "c1": 0, "c2": 1}, {"c0": "1"})
    run = executed(fleet)
    assert sorted(fleet.written) == [("c0", "1"), ("c1", "1"), ("c1", "2")]
    assert list(run.held) == ["c2"]


def test_within_the_budget_the_run_goes_on() -> None:
    fleet = Fleet({"c0": 0, "c1": 0, "c2": 1}, {"c0": "1"}, max_failed=1)
    run = executed(fleet)
    assert ("c2", "2") in fleet.written
    assert (run.exit_code(), run.held) == (1, {})


def test_a_share_counts_all_clusters_of_the_run() -> None:
    rings = {f"c{it}": 0 if it < 2 else 1 for it in range(10)}
    assert executed(Fleet(rings, {"c0": "1"}, "10%")).held == {}
    run = executed(Fleet(rings, {"c0": "1", "c1": "1"}, "10%"))
    assert len(run.held) == 8
    assert run.held["c9"] == ("after ring 0: 2 of 10 clusters failed (c0, c1), max_failed allows 1")


def test_a_cluster_that_cannot_be_reached_counts() -> None:
    fleet = Fleet({"c0": 0, "c1": 0, "c2": 1}, {"c1": "connect"})
    run = executed(fleet)
    assert fleet.written == [("c0", "1"), ("c0", "2")]
    assert run.held == {"c2": "after ring 0: 1 of 3 clusters failed (c1), max_failed allows 0"}


def test_a_ring_of_which_nothing_is_left() -> None:
    fleet = Fleet({"c0": 0, "c1": 0, "c2": 1}, {"c0": "connect", "c1": "read"}, max_failed=2)
    run = executed(fleet)
    assert fleet.written == [("c2", "1"), ("c2", "2")]
    assert run.exit_code() == 1


def test_all_fail() -> None:
    fleet = Fleet({"c0": 0, "c1": 1}, {"c0": "1", "c1": "connect"}, max_failed=2)
    run = executed(fleet)
    assert (run.exit_code(), sorted(run.failures), run.held) == (1, ["c0", "c1"], {})


@dataclass
class Case:
    """
    A fleet, and what else a gate looks at. + unapproved: rings that wait; + on_hold: clusters;
    + stop_in: the cluster whose first step asks for a stop.
    """

    fleet: Fleet
    max_parallel: int | None = None
    unapproved: set[int] = field(default_factory=set)
    on_hold: set[str] = field(default_factory=set)
    stop_in: str | None = None


def expected(case: Case, check: bool) -> tuple[set[str], dict[str, str], int]:
    """Which clusters fail, which are held by which rule, and the exit code: told a second time."""
    fleet = case.fleet
    early = {"connect", "read"} if check else {"connect"}
    failed = {name for name, fault in fleet.faults.items() if fault in early}
    budget = allowed(parse_budget(fleet.max_failed), len(fleet.rings))
    held: dict[str, str] = {}
    stopped = False
    waves: list[tuple[int, list[str]]] = []
    for ring in sorted(set(fleet.rings.values())):
        names = sorted(name for name, its in fleet.rings.items() if its == ring)
        size = case.max_parallel or len(names)
        waves += [(ring, names[it : it + size]) for it in range(0, len(names), size)]
    before = None
    for number, (ring, names) in enumerate(waves):
        rule = None
        if stopped:
            rule = "stop"
        elif before is not None and len(failed) > budget:
            rule = "budget"
        elif ring != before and ring in case.unapproved:
            rule = "approval"
        if rule:
            later = {name for _, its in waves[number:] for name in its}
            held |= dict.fromkeys(later - failed, rule)
            break
        held |= {name: "hold" for name in names if name in case.on_hold - failed}
        for name in set(names) - set(held) - failed:
            stopped |= name == case.stop_in and fleet.faults.get(name) != "read"
            failed |= {name} & set(fleet.faults)
        before = ring
    rules = set(held.values())
    if "stop" in rules:
        return failed, held, 6
    if failed:
        return failed, held, 5 if "budget" in rules else 1
    return failed, held, 4 if "approval" in rules else 0


NAMES = [f"c{it}" for it in range(4)]
CASES = st.builds(
    Case,
    fleet=st.builds(
        Fleet,
        rings=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2), min_size=1),
        faults=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(FAULTS)),
        max_failed=st.integers(0, 3) | st.sampled_from(["0%", "25%", "50%", "100%"]),
    ),
    max_parallel=st.none() | st.integers(1, 2),
    unapproved=st.just(set()) | st.sets(st.integers(0, 2), max_size=1),
    on_hold=st.just(set()) | st.sets(st.sampled_from(NAMES), max_size=1),
    stop_in=st.none() | st.sampled_from(NAMES),
)
#: What reaches a cluster that is begun, by its fault.
REACHES: dict[str | None, list[str]] = {
    "connect": [],
    "read": [],
    "1": ["1", "back", "end"],
    "2": ["1", "2", "back", "end"],
    "2 and back": ["1", "2", "back", "end"],
    None: ["1", "2", "end"],
}


@settings(
    max_examples=int(os.environ.get("ENVOYFLEET_EXAMPLES", "25")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a shrunk one may take minutes
)
@given(CASES, st.booleans())
@example(Case(Fleet({"c0": 0, "c1": 1}, {"c0": "read"})), False)
@example(Case(Fleet({"c0": 0, "c1": 0, "c2": 1}), max_parallel=1, stop_in="c0"), False)
@example(Case(Fleet({"c0": 0, "c1": 1}, {"c0": "2 and back"}, 1), unapproved={1}), True)
@pytest.mark.timeout(1800)
def test_any_fleet(case: Case, check: bool) -> None:
    fleet = case.fleet
    fleet.faults = {name: it for name, it in fleet.faults.items() if name in fleet.rings}
    if isinstance(fleet.max_failed, int):  # more than there are is refused
        fleet.max_failed = min(fleet.max_failed, len(fleet.rings))
    fleet.written = []
    fleet.data = {
        name: {
            "max_parallel": case.max_parallel,
            "approval": ring in case.unapproved,
            "hold": {"until": "2999-12-31", "reason": "sale"} if name in case.on_hold else None,
        }
        for name, ring in fleet.rings.items()
    }

    def asks(cluster: str, number: str) -> None:
        if (cluster, number) == (case.stop_in, "1"):
            fleet_run.current().stop = "SIGUSR1"

    fleet.on_write = asks
    run = in_memory.executed(fleet, RESCUED, check)
    failed, held, code = expected(case, check)
    assert set(run.failures) == failed
    assert run.held_by == held
    assert run.exit_code() == code
    for name in fleet.rings:
        done = [number for whose, number in fleet.written if whose == name]
        assert done == ([] if name in held else REACHES[fleet.faults.get(name)])
    back = {name for name in failed if fleet.faults[name] in ("1", "2")}
    assert {it.name for it in run.report.results() if it.status == "rolled back"} == back
    order = [fleet.rings[name] for name, _ in fleet.written]
    assert order == sorted(order)
