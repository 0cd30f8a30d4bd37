"""Folders of earlier runs: those that are whole, and what is said of those that are not."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.fleet import process
from tasks.fleet.journal import Journal
from tasks.fleet.past import runs
from tasks.plans.history import Past

AT, END = "2026-11-21T14:02:11.5Z", "2026-11-21T14:05:00Z"
ID = "20261121T140211Z-upgrade"
DONE = {"weu-1": "done"}
NONE_KNOWN = "how its clusters fared is not known"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def left(name: str = ID, exit_code: int | None = 0, clusters: Mapping[str, str] = DONE) -> Path:
    """What a run leaves."""
    journal = Journal(Path("runs") / name)
    about = {"deploy": "upgrade", "inventory": "inventory/prod.py", "id": name}
    versions = dict.fromkeys(clusters, "1.9.1")
    journal.write("run", AT, **about, clusters=versions, process={"who": "anna@jump-1"})
    journal.write("step", AT, cluster="weu-1", step="CRDs")
    if exit_code is not None:
        journal.write("run ended", END, exit=exit_code)
        rows = [{"name": it, "status": status} for it, status in clusters.items()]
        (journal.path.parent / "report.json").write_text(json.dumps({"clusters": rows}))
    return journal.path.parent


def past(name: str) -> Past:
    began = datetime(2026, 11, 21, 14, 2, 11, 500000, UTC)
    ended = datetime(2026, 11, 21, 14, 5, tzinfo=UTC)
    inventory, who = "inventory/prod.py", "anna@jump-1"
    return Past(name, "upgrade", inventory, who, began, ended, 0, "ended", DONE)


def test_the_newest_runs_at_these_clusters() -> None:
    names = [f"2026112{day}T140211Z-upgrade" for day in range(6)]
    for name in names:
        left(name, clusters={"weu-1": "done", "neu-1": "held"})
    left("20261129T140211Z-upgrade", clusters={"sea-1": "done"})
    found, problems = runs(["weu-1"], 4)
    assert problems == []
    assert found == [past(name) for name in reversed(names[2:])]


def test_there_are_none() -> None:
    assert runs(["weu-1"], 4) == ([], [])
    Path("runs").mkdir()
    Path("runs/notes.txt").write_text("")
    assert runs(["weu-1"], 4) == ([], [])


def test_a_run_that_did_not_end() -> None:
    left(exit_code=None)
    [found], problems = runs(["weu-1"], 4)
    assert (found.state, found.ended, found.exit) == ("broken off", None, None)
    assert (found.clusters, problems) == ({"weu-1": "not known"}, [])


def test_clusters_that_are_half_changed() -> None:
    folder = left(exit_code=None, clusters=dict.fromkeys(("weu-1", "weu-2", "weu-3"), ""))
    journal = Journal.going_on(folder)
    for event, cluster in (("change", "weu-1"), ("change", "weu-2"), ("change ended", "weu-1")):
        journal.write(event, AT, cluster=cluster)
    [found], _ = runs(["weu-1", "weu-2", "weu-3"], 4)
    assert found.clusters == {
        "weu-1": "not known",
        "weu-2": "interrupted",
        "weu-3": "not known",
    }


def test_a_run_of_a_process_that_lives() -> None:
    folder = left(exit_code=None)
    mine = process.myself(folder.name)
    holder = asdict(mine) | {"pid": os.getppid(), "begun": process._begun(os.getppid())}
    Journal.going_on(folder).write("run goes on", AT, process=holder)
    [found], _ = runs(["weu-1"], 4)
    assert found.state == "under way"


def cut(folder: Path) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-9])


def altered(folder: Path) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"CRDs", b"crds"))


def write(name: str, text: str) -> Any:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("harm", "state", "line"),
    [
        pytest.param(
            lambda folder: (folder / "journal.jsonl").unlink(),
            None,
            f"runs/{ID}: it has no journal: left out",
            id="no journal",
        ),
        pytest.param(
            write("journal.jsonl", ""),
            None,
            f"runs/{ID}: its journal does not begin with a run: left out",
            id="empty journal",
        ),
        pytest.param(
            write("journal.jsonl", "[" * 100_000 + "\n"),
            None,
            f"runs/{ID}: its journal does not begin with a run: line 1 is no entry: left out",
            id="no journal at all",
        ),
        pytest.param(
            write("journal.jsonl", '{"event": "ru'),
            None,
            f"runs/{ID}: its journal does not begin with a run: line 1 is cut off: left out",
            id="first line cut",
        ),
        pytest.param(
            cut, "broken off", f"runs/{ID}/journal.jsonl: line 3 is cut off", id="last line cut"
        ),
        pytest.param(
            altered,
            "broken off",
            f"runs/{ID}/journal.jsonl: line 3 does not follow from line 2: the journal was altered",
            id="altered",
        ),
        pytest.param(
            lambda folder: (folder / "report.json").unlink(),
            "ended",
            f"runs/{ID}/report.json is missing: {NONE_KNOWN}",
            id="no report",
        ),
        pytest.param(
            write("report.json", '{"clusters": [{"na'),
            "ended",
            f"runs/{ID}/report.json is no report of a run: {NONE_KNOWN}",
            id="report half written",
        ),
        pytest.param(
            write("report.json", "[1]"),
            "ended",
            f"runs/{ID}/report.json is no report of a run: {NONE_KNOWN}",
            id="another JSON",
        ),
    ],
)
def test_what_is_not_whole_is_one_line(harm: Any, state: str | None, line: str) -> None:
    harm(left())
    found, problems = runs(["weu-1"], 4)
    assert problems == [line]
    assert [it.state for it in found] == ([state] if state else [])


@given(st.binary(max_size=200), st.binary(max_size=200), st.integers(0, 400))
def test_anything_in_a_folder_is_read_without_an_exception(
    journal: bytes, report: bytes, at: int
) -> None:
    folder = Path("runs") / ID
    if not folder.exists():
        left()
        (folder / "whole").write_bytes((folder / "journal.jsonl").read_bytes())
    whole = (folder / "whole").read_bytes()
    (folder / "journal.jsonl").write_bytes(whole[:at] + journal + whole[at:])
    (folder / "report.json").write_bytes(report)
    found, problems = runs(["weu-1"], 4)
    assert len(found) <= 1
    assert all("\n" not in it for it in problems)
