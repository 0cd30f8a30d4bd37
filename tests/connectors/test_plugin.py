"""How a program of a run signs in: it asks this process, and nothing is on disk."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.connectors.plugin import Plugin

TOKEN = "n0t-0n-disk"


@contextmanager
def plugin(folder: Path, credential: Callable[[], Mapping[str, str]]) -> Iterator[Plugin]:
    made = Plugin(folder, credential)
    try:
        yield made
    finally:
        made.close()


def asked(made: Plugin) -> subprocess.CompletedProcess[str]:
    entry = made.user["exec"]
    command = [entry["command"], *entry["args"]]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_program_asks_each_time(tmp_path: Path) -> None:
    tokens = iter([TOKEN, "another"])
    with plugin(tmp_path, lambda: {"token": next(tokens)}) as made:
        answers = [json.loads(asked(made).stdout) for _ in range(2)]
        assert TOKEN not in json.dumps(made.user)
    assert answers[0] == {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": TOKEN},
    }
    assert answers[1]["status"] == {"token": "another"}
    files = [it for it in tmp_path.rglob("*") if it.is_file()]
    assert files == []


def refuse() -> Mapping[str, str]:
    raise ValueError("no sign-in to Azure")


@pytest.mark.parametrize(
    ("credential", "line"), [pytest.param(refuse, "no sign-in to Azure", id="no credential")]
)
def test_a_program_is_told_why_there_is_none(
    tmp_path: Path, credential: Callable[[], Mapping[str, str]], line: str
) -> None:
    with plugin(tmp_path, credential) as made:
        done = asked(made)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{line}\n")


def test_a_program_that_outlived_the_run_is_told_so(tmp_path: Path) -> None:
    with plugin(tmp_path, dict) as made:
        pass
    done = asked(made)
    assert done.returncode == 1
    assert done.stderr.startswith("the run that started this program has ended: ")
