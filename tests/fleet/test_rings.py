"""
Rings in pyinfra's real engine, on clusters in memory: the order of what reaches them, the budget,
and what is held. ``ENVOYFLEET_EXAMPLES`` sets how many random fleets are tried.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, example, given, settings
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
#: Where a cluster fails: when it is connected to, when it is read, at its first or second step.
FAULTS = ["connect", "read", "1", "2"]
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


def expected(fleet: Fleet, check: bool) -> tuple[set[str], set[str]]:
    """Which clusters fail and which are held, told a second time, by hand."""
    early = {"connect", "read"} if check else {"connect"}
    failed = {name for name, fault in fleet.faults.items() if fault in early}
    present = sorted(set(fleet.rings.values()))
    budget = allowed(parse_budget(fleet.max_failed), len(fleet.rings))
    for ring in present:
        failed |= {name for name in fleet.faults if fleet.rings[name] == ring}
        if ring != present[-1] and len(failed) > budget:
            later = {name for name, its in fleet.rings.items() if its > ring}
            return failed, later - failed
    return failed, set()


NAMES = [f"c{it}" for it in range(4)]
FLEETS = st.builds(
    Fleet,
    rings=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2), min_size=1),
    faults=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(FAULTS)),
    max_failed=st.integers(0, 3) | st.sampled_from(["0%", "25%", "50%", "100%"]),
)


@settings(
    max_examples=int(os.environ.get("ENVOYFLEET_EXAMPLES", "25")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(FLEETS, st.booleans())
@example(Fleet({"c0": 0, "c1": 1}, {"c0": "read"}), False)
@pytest.mark.timeout(1800)
def test_any_fleet(fleet: Fleet, check: bool) -> None:
    fleet.faults = {name: it for name, it in fleet.faults.items() if name in fleet.rings}
    if isinstance(fleet.max_failed, int):  # more than there are is refused
        fleet.max_failed = min(fleet.max_failed, len(fleet.rings))
    fleet.written = []
    run = executed(fleet, check)
    failed, held = expected(fleet, check)
    assert set(run.failures) == failed
    assert set(run.held) == held
    assert run.exit_code() == (0 if not failed else 5 if held else 1)
    steps = {it: [number for name, number in fleet.written if name == it] for it in fleet.rings}
    until = {"connect": [], "read": [], "1": ["1"], "2": ["1", "2"], None: ["1", "2"]}
    for name, done in steps.items():
        assert done == ([] if name in held else until[fleet.faults.get(name)])
    order = [fleet.rings[name] for name, _ in fleet.written]
    assert order == sorted(order)
