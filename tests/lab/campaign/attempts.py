"""One run on one cluster, killed and begun again until it ends by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tasks.fleet import journal
from tests.lab.campaign.points import Kill, Point

#: Seconds after which an attempt has failed.
LONGEST = 400.0


@dataclass(frozen=True)
class Upgrade:
    """
    + folder: to run it in; + more: arguments for pyinfra; + code: with which it is to end
    + deploy: which one it is, where it is no upgrade
    """

    lab: str
    cluster: str
    folder: Path
    more: Sequence[str]
    code: int = 0
    deploy: str = "upgrade"

    def begun(self, attempt: int) -> subprocess.Popen[bytes]:
        """The command of an operator, in a process group of its own."""
        command = [str(Path(sys.executable).parent / "pyinfra"), "inventory/lab.py"]
        command += [f"deploys/{self.deploy}.py", "-y", "--limit", self.cluster, *self.more]
        with self.log(attempt).open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "NO_COLOR": "1", "ENVOYFLEET_LAB": self.lab},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self, attempt: int) -> Path:
        return self.folder / f"attempt-{attempt}.log"


@dataclass(frozen=True)
class Ended:
    """
    + killed: after which entries, such as ["step Ring 0 | Upgrade | CRDs, and 1.3 s, alone"]
    + wrong: what a run that was not lost would not have; the state of the cluster aside
    """

    killed: list[str]
    wrong: list[str]


def undisturbed(upgrade: Upgrade) -> list[dict[str, Any]]:
    """Run it; the entries of its journal."""
    process = upgrade.begun(0)
    code = process.wait(LONGEST)
    assert code == upgrade.code, upgrade.log(0).read_text()
    return _journals(upgrade.folder)[-1]


def times(entries: Sequence[Mapping[str, Any]]) -> list[float]:
    """When each line of a journal was written, in seconds from the first."""
    at = [datetime.fromisoformat(it["at"]).timestamp() for it in entries]
    return [it - at[0] for it in at]


def killed_and_gone_on(upgrade: Upgrade, point: Point) -> Ended:
    """The attempts of one point. What the last one says is judged, and what all of them left."""
    killed: list[str] = []
    ended, attempts = 0, []
    kills = [point.kill, *([point.again] if point.again else [])]
    for attempt, kill in enumerate(kills):
        attempts.append(upgrade.begun(attempt))
        where = _killed(attempts[-1], upgrade.folder, kill)
        if where is not None:
            killed.append(where)
        ended += _journals(upgrade.folder)[-1][-1]["event"] == "run ended"
    last = upgrade.begun(len(kills))
    try:
        code: int | None = last.wait(LONGEST)
    except subprocess.TimeoutExpired:
        os.killpg(last.pid, signal.SIGKILL)
        last.wait()
        code = None
    wrong = [*_of_end(upgrade, len(kills), code), *_of_runs(upgrade, ended)]
    for process in (*attempts, last):
        wrong += [f"{it} is left" for it in _scratch(process.pid)]
    return Ended(killed, wrong)


def _killed(process: subprocess.Popen[bytes], folder: Path, kill: Kill) -> str | None:
    """Where it was killed, or None where it had ended before."""
    before = _lines(folder)
    deadline = time.monotonic() + LONGEST
    while _lines(folder) - before < kill.line and process.poll() is None:
        assert time.monotonic() < deadline, f"{folder}: no line {kill.line} in {LONGEST:.0f} s"
        time.sleep(0.001)
    time.sleep(kill.wait)
    if process.poll() is not None:
        return None
    with suppress(ProcessLookupError):
        (os.killpg if kill.group else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    last = _journals(folder)[-1][-1]
    what = f"{last['event']} {last.get('step', '')}".strip()
    later = f", and {kill.wait:.1f} s" if kill.wait else ""
    return f"{what}{later}, {'with its helm' if kill.group else 'alone'}"


def _of_end(upgrade: Upgrade, attempt: int, code: int | None) -> list[str]:
    said = upgrade.log(attempt).read_text(errors="replace")
    found = []
    if code != upgrade.code:
        lines = [it for it in said.splitlines() if upgrade.cluster in it]
        found.append(f"exit {code}: {lines[-1] if lines else said[-200:]}")
    if "Traceback" in said:
        found.append("a traceback")
    left = programs(upgrade.cluster)
    if left:
        found.append(f"{len(left)} programs are left running")
    return found


def _of_runs(upgrade: Upgrade, ended: int) -> list[str]:
    """+ ended: attempts that a kill found at their end: the next one rightly was a new run"""
    found = []
    runs = _journals(upgrade.folder)
    if len(runs) != 1 + ended:
        found.append(f"{len(runs)} runs instead of {1 + ended}")
    last = runs[-1][-1]
    if (last["event"], last.get("exit")) != ("run ended", upgrade.code):
        found.append(f"the journal ends with {last['event']}")
    for path in upgrade.folder.glob("runs/*/journal.jsonl"):
        _, fault = journal.read(path)
        if fault:
            found.append(f"{path.parent.name}: {fault}")
        if not (path.parent / "report.json").exists():
            found.append(f"{path.parent.name}: no report.json")
    return found


def programs(cluster: str) -> list[int]:
    """What runs on this machine for a cluster, known by the variable that the connector sets."""
    mark, found = f"ENVOYFLEET_CLUSTER={cluster}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def _scratch(pid: int) -> list[Path]:
    """Folders that a run had made for its programs, with a kubeconfig in them."""
    return list(Path(tempfile.gettempdir()).glob(f"envoyfleet-*-{pid}-*"))


def _journals(folder: Path) -> list[list[dict[str, Any]]]:
    """The whole entries of each run that began, oldest first."""
    found = []
    for path in sorted(folder.glob("runs/*/journal.jsonl")):
        lines = path.read_bytes().splitlines(keepends=True)
        entries = [json.loads(it) for it in lines if it.endswith(b"\n")]
        if entries:
            found.append(entries)
    return found


def _lines(folder: Path) -> int:
    return sum(it.read_bytes().count(b"\n") for it in folder.glob("runs/*/journal.jsonl"))
