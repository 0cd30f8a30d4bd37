"""
Rings in pyinfra's real engine, on clusters in memory: the order of what reaches them, the budget,
and what is held. ``ENVOYFLEET_EXAMPLES`` sets how many random fleets are tried.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyinfra
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyinfra.api import Config, Inventory, State
from pyinfra.api.connect import connect_all
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operations import run_ops
from pyinfra.api.state import StateStage
from pyinfra.context import ctx_config, ctx_state
from pyinfra_cli.util import load_deploy_file

from tasks.connectors import api
from tasks.connectors.api import ApiError
from tasks.connectors.command import Call, KubeCommand
from tasks.facts.kube import KubeObject
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fact, fleet_operation
from tasks.plans.budget import allowed, parse_budget

DEPLOY = """
from tasks.fleet.rings import rings
from tests.fleet.test_rings import step

for _ring in rings(max_failed=0):
    step(name="Upgrade", number=1)
    step(name="Prove", number=2)
"""
#: Where a cluster fails: when it is connected to, when it is read, at its first or second step.
FAULTS = ["connect", "read", "1", "2"]


@dataclass
class Fleet:
    """
    Clusters in memory. + rings: by cluster; + faults: by cluster, one of ``FAULTS``; + written: the
    steps that reached a cluster, in order, such as ("c0", "1").
    """

    rings: dict[str, int]
    faults: dict[str, str] = field(default_factory=dict)
    max_failed: int | str = 0
    written: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, cluster: str, call: Call) -> str:
        fault = self.faults.get(cluster)
        if call.path == "/version":
            if fault == "connect":
                raise ApiError(0, "ConnectionRefusedError: Connection refused")
            return json.dumps({"gitVersion": "v1.35.4"})
        if call.path == "/api/v1/namespaces/kube-system":
            return json.dumps({"metadata": {"uid": cluster}})
        if call.method == "GET":
            if fault == "read":
                raise ApiError(500, "etcd is away")
            return "{}"
        number = call.path.removeprefix("/step/")
        self.written.append((cluster, number))
        if fault == number:
            raise ApiError(500, f"step {number} failed")
        return "{}"


@fleet_operation()
def step(number: int) -> Steps:
    """Reads, then writes once."""
    fact(KubeObject, api_version="v1", kind="Namespace", resource="edge")
    yield KubeCommand("POST", f"/step/{number}")


@dataclass
class InMemory:
    """Stands in for the session with a cluster: ``tasks.connectors.api.Api``."""

    config: dict[str, Any]
    timeout: float

    def text(self, call: Call, timeout: float | None = None) -> str:
        return FLEET[0].answer(self.config["current-context"], call)

    def json(self, method: str, path: str, timeout: float | None = None) -> Any:
        return json.loads(self.text(Call(method, path, {}, None, "", None, frozenset())))

    def close(self) -> None:
        pass


FLEET: list[Fleet] = []


@pytest.fixture(autouse=True)
def _as_on_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pyinfra, "is_cli", True)  # order by line number, as deploys have it
    monkeypatch.setattr(api, "Api", InMemory)
    monkeypatch.setenv("PYINFRA_PROGRESS", "off")


@contextmanager
def prepared(fleet: Fleet, check: bool = True) -> Iterator[State]:
    """A run of the deploy above, up to where pyinfra would ask whether to go on."""
    names = sorted(fleet.rings)
    kubeconfig = {
        "contexts": [{"name": it, "context": {"cluster": "c", "user": "u"}} for it in names],
        "clusters": [{"name": "c", "cluster": {"server": "https://example.com"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    Path("kubeconfig").write_text(json.dumps(kubeconfig))
    Path("deploy.py").write_text(DEPLOY)
    data = {
        "envoy_gateway_version": "1.9.1",
        "kube_config": "kubeconfig",
        "max_failed": fleet.max_failed,
    }
    hosts = [(f"@kube/{it}", {**data, "ring": fleet.rings[it]}) for it in names]
    FLEET[:] = [fleet]
    fleet_run._current = None
    state = State(check_for_changes=check)
    with ctx_state.use(state), ctx_config.use(Config(DIFF=False)):
        state.init(Inventory((hosts, {})), Config())
        state.set_stage(StateStage.Connect)
        connect_all(state)
        state.set_stage(StateStage.Prepare)
        load_deploy_file(state, "deploy.py")
        yield state


def executed(fleet: Fleet, check: bool = True) -> fleet_run.Run:
    """The whole run. pyinfra raises where the last cluster fails."""
    try:
        with prepared(fleet, check) as state:
            state.set_stage(StateStage.Execute)
            run_ops(state)
    except PyinfraError as error:
        if str(error) != "No hosts remaining!":
            raise
    return fleet_run.current()


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
    with prepared(fleet) as state:
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
