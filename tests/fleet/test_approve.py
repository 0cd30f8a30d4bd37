"""The question on a terminal: who approves a ring there, and what ends the wait."""

from __future__ import annotations

import getpass
import json
import os
import pty
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.fleet import approve
from tasks.fleet.run import Run

STARTED = datetime(2026, 11, 21, 14, 2, 11, tzinfo=UTC)
RUN = Run("upgrade", "inventory/prod.py", (), STARTED)
HOW = (
    "ring 1 waits for approval: python -m tasks.fleet.approve 20261121T140211Z-upgrade 1, then the "
    "same command again"
)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """The end of a terminal at which somebody types."""
    monkeypatch.chdir(tmp_path)
    keyboard, terminal = pty.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield keyboard
    os.close(keyboard)


@pytest.mark.parametrize(
    ("line", "who"),
    [
        pytest.param(b"yes\n", getpass.getuser(), id="yes"),
        pytest.param(b"y\n", None, id="not the word"),
        pytest.param(b"\n", None, id="nothing"),
        pytest.param(b"\x04", None, id="end of file"),
    ],
)
def test_an_answer(
    typed: int, capsys: pytest.CaptureFixture[str], line: bytes, who: str | None
) -> None:
    os.write(typed, line)
    assert approve.given(RUN, 1, lambda: None) == (who, HOW)
    assert capsys.readouterr().err == f"{HOW}. Or begin it now? Type yes: "


def test_a_file_of_somebody_else_ends_the_question(typed: int) -> None:
    asked = iter([None, None])

    def stop() -> str | None:
        approval = {"run": RUN.id, "ring": 1, "by": "ann", "at": "now"}
        RUN.folder.mkdir(parents=True, exist_ok=True)
        (RUN.folder / "approval-ring-1.json").write_text(json.dumps(approval))
        return next(asked)

    assert approve.given(RUN, 1, stop) == ("ann", HOW)


def test_a_stop_ends_the_question(typed: int) -> None:
    assert approve.given(RUN, 1, lambda: "stop was asked") == (None, HOW)
