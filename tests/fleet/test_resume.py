"""Which run a command goes on with, and which it must not meet."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.fleet import process, resume
from tasks.fleet.inventory import parsed
from tasks.fleet.journal import Journal
from tasks.fleet.recorder import Recorder
from tasks.fleet.run import Refused, Run
from tasks.plans.lease import Holder

AT = "2026-11-21T14:02:11Z"
FIRST = "20261121T140211Z-upgrade"
DEAD = Holder(FIRST, "anna@jump-1", "", "", "", 0, 0)


@dataclass
class Inventory:
    """Stands in for pyinfra's, of which only the names are read."""

    names: list[str]

    def __iter__(self) -> Iterator[Any]:
        return iter([SimpleNamespace(name=it) for it in self.names])


def a_run(version: str = "1.9.1", deploy: str = "upgrade", limit: str | None = None) -> Run:
    names = ["weu-1", "weu-2"]
    run = Run(
        deploy,
        "inventory/prod.py",
        (f"deploys/{deploy}.py",),
        datetime(2026, 11, 21, 15, tzinfo=UTC),
    )
    run.clusters = {it: parsed({"ring": 0, "envoy_gateway_version": version}) for it in names}
    limited = [limit] if limit else names
    run.state = SimpleNamespace(
        inventory=Inventory(names), is_host_in_limit=lambda it: it.name in limited
    )
    return run


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def journal(name: str = FIRST, holder: Holder = DEAD, exit: int | None = None, **more: Any) -> Path:
    """A run that was broken off between the beginning and the end of a step, or ended."""
    written = Journal(Path("runs") / name)
    about = {**resume.identity(a_run()), **more}
    written.write("run", AT, id=name, process=asdict(holder), **about)
    written.write("step", AT, cluster="weu-1", step="Ring 0 | Upgrade | CRDs")
    if exit is not None:
        written.write("run ended", AT, exit=exit)
    return written.path


def gone_on(run: Run) -> str | None:
    before = run.id
    resume.go_on(run)
    assert bool(run.before) == (run.id != before)
    return run.id if run.before else None


def test_nothing_was_broken_off() -> None:
    assert gone_on(a_run()) is None


def test_goes_on_with_what_was_broken_off(capsys: pytest.CaptureFixture[str]) -> None:
    journal()
    assert gone_on(a_run()) == FIRST
    assert capsys.readouterr().err == (
        f"Goes on with run {FIRST}, which ended {AT} in the middle of Ring 0 | Upgrade | CRDs on "
        "weu-1\n"
    )


@pytest.mark.parametrize(
    ("code", "goes_on"),
    [(0, False), (1, False), (5, False), (4, True), (6, True), (130, True), (143, True)],
)
def test_how_it_ended_decides(code: int, goes_on: bool) -> None:
    journal(exit=code)
    assert gone_on(a_run()) == (FIRST if goes_on else None)


def test_the_newest_counts() -> None:
    journal()
    journal("20261121T143000Z-upgrade")
    assert gone_on(a_run()) == "20261121T143000Z-upgrade"


def test_one_that_ended_since_closes_the_older() -> None:
    journal()
    journal("20261121T143000Z-upgrade", exit=0)
    assert gone_on(a_run()) is None


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(a_run(version="1.8.3"), id="another version"),
        pytest.param(a_run(deploy="rollback"), id="another deploy"),
        pytest.param(a_run(limit="weu-1"), id="other clusters"),
    ],
)
def test_another_command_begins_anew(other: Run) -> None:
    journal()
    assert gone_on(other) is None


def test_an_operation_by_hand_begins_anew() -> None:
    journal()
    run = a_run()
    run.arguments = ("tasks.operations.kube.apply", "manifests=[]")
    assert gone_on(run) is None


def test_a_line_that_was_cut_off_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    path = journal()
    path.write_bytes(path.read_bytes()[:-5])
    assert gone_on(a_run()) == FIRST
    assert "line 2 is cut off, that line is left out" in capsys.readouterr().err


def test_an_altered_journal_is_not_trusted() -> None:
    path = journal()
    path.write_bytes(path.read_bytes().replace(b"weu-2", b"weu-9"))
    path.write_bytes(path.read_bytes() + b"x\n")
    run = a_run()
    run.clusters["weu-9"] = run.clusters.pop("weu-2")
    run.state.inventory.names[1] = "weu-9"
    run.state.is_host_in_limit = lambda it: True
    with pytest.raises(Refused, match=r"line 2 does not follow from line 1: .* not trusted"):
        resume.go_on(run)


def living(name: str = FIRST) -> Holder:
    """A process of this machine that runs while the tests do."""
    return replace(process.myself(name), pid=os.getppid(), begun=process._begun(os.getppid()) or 0)


def test_two_runs_at_the_same_clusters_do_not_meet() -> None:
    journal(holder=living())
    with pytest.raises(Refused) as refused:
        resume.go_on(a_run(deploy="rollback", limit="weu-1"))
    who = living().who
    assert str(refused.value) == (
        f"run {FIRST} of {who} works on weu-1 since {AT} (Ring 0 | Upgrade | CRDs on weu-1): wait "
        f"for its end, or stop it with kill -USR1 {os.getppid()}, which lets it finish the "
        "clusters under way"
    )


def test_runs_at_other_clusters_do() -> None:
    journal(holder=living(), clusters={"neu-1": "1.9.1"})
    assert gone_on(a_run()) is None


def test_the_journal_goes_on_with_the_run() -> None:
    path = journal()
    run = a_run()
    resume.go_on(run)
    Journal.going_on(run.folder).write("run goes on", AT, process=resume.myself(run))
    lines = [json.loads(it)["event"] for it in path.read_text().splitlines()]
    assert lines == ["run", "step", "run goes on"]


def test_the_report_tells_of_both_parts() -> None:
    written = Journal(Path("runs") / FIRST)
    written.write("run", AT, id=FIRST, process=asdict(DEAD), **resume.identity(a_run()))
    steps = ("Ring 0 | Upgrade | CRDs", "Ring 0 | Upgrade | Controller")
    written.write("step", AT, cluster="weu-1", step=steps[0])
    ended = {"status": "unchanged", "error": None}
    written.write("step ended", "2026-11-21T14:02:19.5Z", cluster="weu-1", step=steps[0], **ended)
    written.write("step", AT, cluster="weu-1", step=steps[1])
    run = a_run()
    resume.go_on(run)
    told = Recorder(run).clusters["weu-1"].steps
    assert [(it.name, it.status, it.seconds) for it in told] == [
        (steps[0], "unchanged", 8.5),
        (steps[1], "broken off", 0.0),
    ]
