"""
What a gate looks at beside failures, in pyinfra's real engine on clusters in memory: preflight,
parts of a ring, baking, approvals, windows, holds and a stop.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyinfra import host
from pyinfra.api.exceptions import DeployError

from tasks.fleet import approve, journal
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fleet_operation
from tests.fleet.in_memory import FLEET, Fleet, executed

DEPLOY = """
from tasks.fleet.rings import rings
from tests.fleet.in_memory import step
from tests.fleet.test_gates import checked, looked_at

looked_at(name="Preflight")
for _ring in rings({arguments}):
    step(name="Upgrade", number=1)
    checked(name="Check")
"""
PLAIN = DEPLOY.format(arguments="").replace('looked_at(name="Preflight")\n', "")
TWO = {"c0": 0, "c1": 1}
pytestmark = pytest.mark.usefixtures("in_memory")
#: By cluster, what baking finds, look by look.
LOOKS: dict[str, list[list[str]]] = {}


@fleet_operation()
def looked_at() -> Steps:
    """Preflight: a cluster whose data says ``_stops`` must not be changed."""
    yield from ()
    why = host.data.get("_stops")
    verdict = fleet_run.Verdict("1.8.3 → 1.9.1", (why,) if why else ())
    fleet_run.current().verdicts[host.name] = verdict
    if why:
        raise DeployError(why)


@fleet_operation()
def checked() -> Steps:
    yield from ()
    looks = LOOKS.get(host.name)
    if looks is not None:
        fleet_run.current().bakes[host.name] = lambda: looks.pop(0) if looks else []


def ran(fleet: Fleet, arguments: str = "", deploy: str = DEPLOY) -> fleet_run.Run:
    return executed(fleet, deploy.format(arguments=arguments), check=False)


def statuses(run: fleet_run.Run) -> dict[str, tuple[str, str | None]]:
    return {it.name: (it.status, it.why) for it in run.report.results()}


def gates(run: fleet_run.Run) -> list[dict[str, Any]]:
    entries, fault = journal.read(run.folder / "journal.jsonl")
    assert fault is None
    keys = ("ring", "part", "following", "passed", "approved_by")
    return [{key: it[key] for key in keys} for it in entries if it["event"] == "gate"]


def test_preflight_over_the_budget_touches_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    fleet = Fleet({"c0": 0, "c1": 0, "c2": 1}, {"c1": "connect"}, 1, {"c2": {"_stops": "sick"}})
    run = ran(fleet)
    assert fleet.written == []
    why = "before ring 0: 2 of 3 clusters failed (c1, c2), max_failed allows 1"
    assert run.held == {"c0": why}
    assert run.exit_code() == 5
    assert [it.split() for it in capsys.readouterr().err.splitlines()][-5:-1] == [
        ["Preflight"],
        ["cluster", "ring", "preflight", "change", "why"],
        ["c0", "0", "go", "1.8.3", "→", "1.9.1", "-"],
        ["c1", "0", "stop", "-", *UNREACHED.split()],
    ]


UNREACHED = "cannot reach this cluster: ConnectionRefusedError: Connection refused"


def test_preflight_within_the_budget() -> None:
    fleet = Fleet(TWO, {}, 1, {"c0": {"_stops": "sick"}})
    run = ran(fleet)
    assert fleet.written == [("c1", "1")]
    assert statuses(run) == {"c0": ("failed", "sick"), "c1": ("done", None)}


def test_parts_of_a_ring() -> None:
    fleet = Fleet({"c0": 0, "c1": 0, "c2": 0, "c3": 1}, {"c1": "1"}, 0, {"c2": {"max_parallel": 2}})
    run = ran(fleet, "max_parallel=3")
    assert sorted(fleet.written) == [("c0", "1"), ("c1", "1")]
    why = "after ring 0, part 1 of 2: 1 of 4 clusters failed (c1), max_failed allows 0"
    assert run.held == {"c2": why, "c3": why}
    assert [it.name for it in run.report.clusters["c0"].steps][2] == "Ring 0, part 1 of 2 | Upgrade"


def test_newest_ring_first() -> None:
    fleet = Fleet(TWO)
    ran(fleet, "newest_first=True")
    assert fleet.written == [("c1", "1"), ("c0", "1")]


def test_a_ring_that_bakes_well() -> None:
    LOOKS.clear()
    LOOKS["c0"] = [["no answer"], ["no answer"], []]
    fleet = Fleet(TWO)
    assert ran(fleet, 'bake="1s"').exit_code() == 0
    assert fleet.written == [("c0", "1"), ("c1", "1")]
    assert LOOKS["c0"] == []


def test_a_problem_that_stays_while_baking() -> None:
    LOOKS.clear()
    LOOKS["c0"] = [["no answer"]] * 99
    run = ran(Fleet(TWO, max_failed="100%"), 'bake="1s"')
    assert statuses(run) == {
        "c0": ("failed", "while baking: no answer"),
        "c1": ("held", "while baking ring 0: c0: no answer"),
    }
    assert run.exit_code() == 5


def test_the_data_says_how_long() -> None:
    LOOKS.clear()
    LOOKS["c0"] = [["no answer"]] * 99
    run = ran(Fleet(TWO, data={"c0": {"bake": "0s"}}), 'bake="1h"')
    assert (run.exit_code(), len(LOOKS["c0"])) == (0, 99)


def test_a_gate_that_was_passed_does_not_bake_again(monkeypatch: pytest.MonkeyPatch) -> None:
    LOOKS.clear()
    LOOKS["c0"] = [["no answer"]] * 99
    gate = {"event": "gate", "ring": 0, "part": 1, "parts": 1, "following": 1, "passed": True}
    fleet = Fleet(TWO, on_write=lambda *_: fleet_run.current().before.append(gate))
    assert ran(fleet, 'bake="1s"').exit_code() == 0
    assert len(LOOKS["c0"]) == 99


def test_a_ring_waits_for_approval(capsys: pytest.CaptureFixture[str]) -> None:
    fleet = Fleet({**TWO, "c2": 2}, data={"c1": {"approval": True}})
    run = ran(fleet)
    assert fleet.written == [("c0", "1")]
    why = (
        f"ring 1 waits for approval: python -m tasks.fleet.approve {run.id} 1, then the same "
        "command again"
    )
    assert statuses(run) == {"c0": ("done", None), "c1": ("waiting", why), "c2": ("waiting", why)}
    assert run.exit_code() == 4
    assert gates(run)[-1] == {
        "ring": 0, "part": 1, "following": 1, "passed": False, "approved_by": None,
    }  # fmt: skip


def approving(number: int, **more: Any) -> Callable[[str, str], None]:
    """Approve ring ``number`` while the ring before it is changed."""

    def write(cluster: str, step: str) -> None:
        run = fleet_run.current()
        document = {"run": run.id, "ring": number, "by": "ann", "at": "now", **more}
        (run.folder / f"approval-ring-{number}.json").write_text(json.dumps(document))

    return write


def test_an_approved_ring_begins() -> None:
    fleet = Fleet(TWO, on_write=approving(1))
    run = ran(fleet, "approval=True")
    assert (run.exit_code(), len(fleet.written)) == (0, 2)
    assert [it["approved_by"] for it in gates(run)] == [None, "ann"]


def test_an_approval_of_another_run_does_not_count() -> None:
    fleet = Fleet(TWO, on_write=approving(1, run="yesterday"))
    run = ran(fleet, "approval=True")
    assert (run.exit_code(), len(fleet.written)) == (4, 1)
    assert run.held["c1"] == (
        f"{run.folder}/approval-ring-1.json: approves ring 1 of run yesterday, not ring 1 of run "
        f"{run.id}: remove it"
    )


def test_an_approval_that_the_journal_knows() -> None:
    gate = {"event": "gate", "ring": 0, "following": 1, "passed": False, "approved_by": "ann"}
    fleet = Fleet(TWO, on_write=lambda *_: fleet_run.current().before.append(gate))
    assert ran(fleet, "approval=True").exit_code() == 0


def test_outside_its_window_and_on_hold() -> None:
    past = {"window": {"opens": "2020-01-01T00:00", "closes": "2020-01-02T00:00"}}
    on_hold = {"hold": {"until": "2999-12-31", "reason": "OPS-413: sale"}}
    fleet = Fleet({"c0": 0, "c1": 0, "c2": 1}, data={"c0": past, "c1": on_hold})
    run = ran(fleet)
    assert fleet.written == [("c2", "1")]
    assert statuses(run) == {
        "c0": ("held", "outside its window: opens never again"),
        "c1": ("held", "on hold until 2999-12-31: OPS-413: sale"),
        "c2": ("done", None),
    }
    assert run.exit_code() == 4
    fleet = Fleet({"c1": 0, "c2": 1}, data={"c1": on_hold})
    assert ran(fleet).exit_code() == 0


def test_a_ring_that_only_waits_proves_nothing() -> None:
    past = {"window": {"opens": "2020-01-01T00:00", "closes": "2020-01-02T00:00"}}
    fleet = Fleet({"c0": 0, "c1": 1, "c2": 2}, data={"c0": past})
    run = ran(fleet)
    assert fleet.written == []
    assert statuses(run)["c1"] == ("held", "ring 0 comes first, and waits for its window")
    assert run.exit_code() == 4


def test_a_hold_that_is_over_and_a_window_that_is_open() -> None:
    data = {
        "hold": {"until": "2020-01-01", "reason": "it is over"},
        "window": {"opens": "2020-01-01T00:00", "closes": "2999-01-01T00:00"},
    }
    assert ran(Fleet({"c0": 0}, data={"c0": data})).held == {}


def test_a_cluster_that_is_half_changed_is_finished_outside_its_window() -> None:
    past = {"window": {"opens": "2020-01-01T00:00", "closes": "2020-01-02T00:00"}}
    change = {"event": "change", "cluster": "c1"}
    fleet = Fleet(
        TWO, data={"c1": past}, on_write=lambda *_: fleet_run.current().before.append(change)
    )
    assert ran(fleet).exit_code() == 0
    assert ("c1", "1") in fleet.written


def test_a_stop_lets_the_ring_finish() -> None:
    def stop(cluster: str, step: str) -> None:
        fleet_run.current().folder.joinpath("stop").touch()

    fleet = Fleet({"c0": 0, "c1": 0, "c2": 1}, {"c0": "1"}, on_write=stop)
    run = ran(fleet, deploy=PLAIN)
    assert sorted(fleet.written) == [("c0", "1"), ("c1", "1")]
    why = f"stop was asked ({run.folder}/stop): run the same command to go on"
    assert run.held == {"c2": why}
    assert run.exit_code() == 6


@pytest.mark.parametrize(
    ("data", "arguments", "said"),
    [
        (
            {"c0": {"max_failed": 1}},
            "",
            "max_failed: 1 on c0, 0 on c1: a run has one: set it in group_data, or with --data",
        ),
        (
            {"c0": {"max_failed": 3}, "c1": {"max_failed": 3}},
            "",
            "max_failed: 3 clusters may fail, but there are only 2: set it to fewer",
        ),
        ({}, 'bake="soon"', 'bake: \'soon\' is not a time such as "90s", "10m", "1h" or "30d"'),
    ],
)
def test_refused(data: dict[str, Any], arguments: str, said: str) -> None:
    with pytest.raises(fleet_run.Refused) as error:
        ran(Fleet(TWO, data=data), arguments)
    assert str(error.value) == said
    assert FLEET[0].written == []


def test_the_command_that_approves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    run = ran(Fleet(TWO, data={"c1": {"approval": True}}))
    capsys.readouterr()
    assert approve.main([run.id, "7"]) == 2
    assert approve.main(["yesterday", "1"]) == 2
    assert approve.main(["../secrets", "1"]) == 2
    assert approve.main([run.id, "one"]) == 2
    assert approve.main([run.id, "1"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        f"run {run.id} has no ring 7: its rings are 0, 1",
        "there is no run yesterday under runs/: ls runs",
        "there is no run ../secrets under runs/: ls runs",
        "usage: python -m tasks.fleet.approve RUN RING, such as 20261121T140211Z-upgrade 1",
    ]
    assert out == f"ring 1 of run {run.id} is approved: run the same command again to go on\n"
    path = run.folder / "approval-ring-1.json"
    found = json.loads(path.read_bytes())
    assert (found["run"], found["ring"], found["by"]) == (run.id, 1, "ann")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", None),
        ("soon", "ENVOYFLEET_APPROVE: 'soon' is not <run id>:<ring>, such as {id}:1"),
        (
            "yesterday:1",
            "ENVOYFLEET_APPROVE approves run yesterday, and this is run {id}: approve this one, or "
            "unset it",
        ),
        ("{id}:1", None),
        ("{id}:7", "ENVOYFLEET_APPROVE approves ring 7, but no cluster of this run is in it"),
    ],
)
def test_an_approval_in_the_environment(
    value: str, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ran(Fleet(TWO, data={"c1": {"approval": True}}))
    monkeypatch.setenv("ENVOYFLEET_APPROVE", value.format(id=run.id))
    if said is None:
        approve.check(run)
        who, _ = approve.given(run, 1, lambda: None)
        assert (who is not None) == bool(value)
        return
    with pytest.raises(fleet_run.Refused) as error:
        approve.check(run)
    assert str(error.value) == said.format(id=run.id)
