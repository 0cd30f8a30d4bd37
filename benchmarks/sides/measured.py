"""One run of a side: how long it took, what it cost, and what it asked of the API servers."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

WRITES = ("create", "update", "patch", "delete", "deletecollection")
#: Seconds between two looks at the memory of all processes of a run.
LOOK = 0.25


@dataclass(frozen=True)
class Run:
    """
    + wall, processor: seconds; the latter of all its processes
    + memory: megabytes (PSS) of all its processes, at most
    + requests, writes: that the API servers had of it; a dry run is no write
    + told: what it printed, at most the last 20,000 characters
    """

    code: int
    wall: float
    processor: float
    memory: float
    requests: int
    writes: int
    told: str


def measured(
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str],
    logs: Iterable[Path],
    good_for: float,
) -> Run:
    """+ logs: of the API servers' audits; + good_for: seconds after which it is killed"""
    since = datetime.now(UTC)
    begun = time.monotonic()
    output = folder / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        ended, most = Event(), [0.0]
        watching = Thread(target=_watch, args=(process.pid, ended, most), daemon=True)
        watching.start()
        killing = Event()
        killer = Thread(target=_kill_late, args=(process.pid, killing, good_for), daemon=True)
        killer.start()
        _, status, usage = os.wait4(process.pid, 0)
        killing.set()
        ended.set()
        watching.join()
    wall = time.monotonic() - begun
    asked = Counter(_kind(it) for it in _asked(logs, since))
    return Run(
        code=os.waitstatus_to_exitcode(status),
        wall=wall,
        processor=usage.ru_utime + usage.ru_stime,
        memory=most[0],
        requests=asked.total(),
        writes=asked["write"],
        told=output.read_text(errors="replace")[-20_000:],
    )


def _kill_late(pid: int, ended: Event, seconds: float) -> None:
    if not ended.wait(seconds):
        with suppress(ProcessLookupError):
            os.killpg(pid, 9)


def _watch(pid: int, ended: Event, most: list[float]) -> None:
    while not ended.wait(LOOK):
        most[0] = max(most[0], sum(map(_memory, _family(pid))))


def _family(first: int) -> set[int]:
    """The process, and those that it and its children began; some have a session of their own."""
    children: dict[int, list[int]] = {}
    for it in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(it.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(it.parent.name))
    found, todo = set(), [first]
    while todo:
        one = todo.pop()
        found.add(one)
        todo += children.get(one, [])
    return found


def _memory(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _asked(logs: Iterable[Path], since: datetime) -> Iterator[dict[str, object]]:
    """What the operator asked of the API servers; a rotated log is read too."""
    mark = since.strftime("%Y-%m-%dT%H:%M:%S.%f")
    for log in logs:
        for file in log.parent.glob(f"{log.stem}*{log.suffix}"):
            for line in file.read_text().splitlines():
                if '"username":"admin"' not in line:
                    continue
                entry = json.loads(line)
                if entry["requestReceivedTimestamp"] >= mark:
                    yield entry


def _kind(entry: Mapping[str, object]) -> str:
    writes = entry["verb"] in WRITES and "dryRun" not in str(entry["requestURI"])
    reviews = "accessreviews" in str(entry["requestURI"])
    return "write" if writes and not reviews else "read"
