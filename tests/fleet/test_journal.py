"""The journal of a run: on the disk at once, and any later change of it is found."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.fleet.journal import START, Journal, heads, read

AT = "2026-11-21T14:02:11Z"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of four lines."""
    journal = Journal(tmp_path / "runs" / "20261121T140211Z-upgrade")
    journal.write("run", AT, id="20261121T140211Z-upgrade", clusters={"weu-1": "1.9.1"}, process={})
    for step in ("CRDs", "Controller", "Gateways"):
        journal.write("step", AT, cluster="weu-1", step=step)
    return journal.path


def altered(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(lines))
    return path


def test_a_line_that_the_disk_has_no_room_for_is_not_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, write = Journal.going_on(path.parent), os.write
    with monkeypatch.context() as disk:
        pieces = iter([20])

        def full(file: int, line: bytes) -> int:
            try:
                return write(file, line[: next(pieces)])
            except StopIteration:
                raise OSError(errno.ENOSPC, "No space left on device") from None

        disk.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            journal.write("step", AT, cluster="weu-1", step="Traffic")
    journal.write("step", AT, cluster="weu-1", step="Lease")
    entries, problem = read(path)
    assert problem is None
    assert entries[-1]["step"] == "Lease"


def test_reads_what_was_written(path: Path) -> None:
    entries, problem = read(path)
    assert problem is None
    assert [it["event"] for it in entries] == ["run", "step", "step", "step"]
    assert entries[0] == {
        "event": "run",
        "at": AT,
        "id": "20261121T140211Z-upgrade",
        "clusters": {"weu-1": "1.9.1"},
        "process": {},
        "before": START,
    }


def test_belongs_to_its_run_and_user(path: Path) -> None:
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with pytest.raises(FileExistsError):
        Journal(path.parent)


def test_goes_on_after_what_was_written(path: Path) -> None:
    Journal.going_on(path.parent).write("step ended", AT, step="CRDs", status="done")
    entries, problem = read(path)
    assert (problem, [it["event"] for it in entries][3:]) == (None, ["step", "step ended"])


def test_goes_on_without_the_line_that_was_cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])
    Journal.going_on(path.parent).write("step", AT, step="Gateways")
    entries, problem = read(path)
    assert (problem, [it.get("step") for it in entries]) == (
        None,
        [None, "CRDs", "Controller", "Gateways"],
    )


def test_every_head_that_it_ever_had(path: Path) -> None:
    journal = Journal.going_on(path.parent)
    seen = {journal.head}
    for step in ("Traffic", "Lease"):
        journal.write("step", AT, step=step)
        seen.add(journal.head)
    entries, _ = read(path)
    assert seen <= heads(entries, path)
    assert journal.head not in heads(entries[:-1], path)


def test_an_empty_journal(tmp_path: Path) -> None:
    assert read(altered(tmp_path / "journal.jsonl", [])) == ([], None)


ALTERED = "does not follow from line {before}: the journal was altered"
FAULTS = [
    pytest.param(lambda it: [*it[:-1], it[-1][:-9]], 3, "line 4 is cut off", id="cut in a line"),
    pytest.param(
        lambda it: [*it[:-1], it[-1][:-1]], 3, "line 4 is cut off", id="cut by one character"
    ),
    pytest.param(
        lambda it: [it[0], it[1].replace(b"CRDs", b"crds"), *it[2:]],
        2,
        f"line 3 {ALTERED.format(before=2)}",
        id="a word altered",
    ),
    pytest.param(
        lambda it: [it[0], *it[2:]], 1, f"line 2 {ALTERED.format(before=1)}", id="a line removed"
    ),
    pytest.param(
        lambda it: it[1:], 0, f"line 1 {ALTERED.format(before=0)}", id="the first line removed"
    ),
    pytest.param(
        lambda it: [it[0], it[2], it[1], it[3]],
        1,
        f"line 2 {ALTERED.format(before=1)}",
        id="two lines swapped",
    ),
    pytest.param(lambda it: [*it, b"[]\n"], 4, "line 5 is no entry", id="a line that is no entry"),
    pytest.param(lambda it: [b"\xff\n", *it], 0, "line 1 is no entry", id="bytes that are no text"),
]


@pytest.mark.parametrize(("change", "entries", "problem"), FAULTS)
def test_finds_what_was_changed(path: Path, change: object, entries: int, problem: str) -> None:
    assert callable(change)
    lines = path.read_bytes().splitlines(keepends=True)
    found, said = read(altered(path, change(lines)))
    assert (len(found), said) == (entries, problem)


@settings(max_examples=100)
@given(st.data())
def test_finds_any_altered_byte_but_in_the_last_line(path: Path, data: st.DataObject) -> None:
    """No line after the last one vouches for it."""
    original = path.read_bytes()
    last = original[:-1].rindex(b"\n")
    at = data.draw(st.integers(0, last))
    byte = data.draw(st.integers(0, 255).filter(lambda it: it != original[at]))
    try:
        _, problem = read(altered(path, [original[:at], bytes([byte]), original[at + 1 :]]))
    finally:
        path.write_bytes(original)
    assert problem is not None
