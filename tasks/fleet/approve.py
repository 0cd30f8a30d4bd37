"""
Approvals: who lets a ring begin that waits for one.

    python -m tasks.fleet.approve 20261121T140211Z-upgrade 1
"""

from __future__ import annotations

import getpass
import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from gevent import select

from tasks.fleet import journal
from tasks.fleet.run import DONE, REFUSED, Refused, Run, stamp

ENVIRONMENT = "ENVOYFLEET_APPROVE"
_USAGE = "usage: python -m tasks.fleet.approve RUN RING, such as 20261121T140211Z-upgrade 1"


def check(run: Run) -> None:
    """
    Raises Refused where the approvals that are there already are not for this run: before the
    first connection, once it is known whether the run goes on with an earlier one.
    """
    said = _problem(run, {it.ring for it in run.clusters.values()})
    if said:
        raise Refused(said)


def _problem(run: Run, known: set[int]) -> str | None:
    given = os.environ.get(ENVIRONMENT)
    if given:
        found = re.fullmatch(r"([^:\s]+):(\d{1,6})", given)
        if found is None:
            return f"{ENVIRONMENT}: {given!r} is not <run id>:<ring>, such as {run.id}:1"
        if found[1] != run.id:
            return (
                f"{ENVIRONMENT} approves run {found[1]}, and this is run {run.id}: approve this "
                "one, or unset it"
            )
        if int(found[2]) not in known:
            return f"{ENVIRONMENT} approves ring {found[2]}, but no cluster of this run is in it"
    for path in sorted(run.folder.glob("approval-ring-*.json")):
        ring = re.fullmatch(r"approval-ring-(\d+)\.json", path.name)
        said = _read(path, run.id, int(ring[1]))[1] if ring else f"{path}: no ring in its name"
        if said:
            return said
    return None


def given(run: Run, ring: int, stop: Callable[[], str | None]) -> tuple[str | None, str]:
    """Who approved this ring, or None and how to approve it. Asks where there is a terminal."""
    path = run.folder / f"approval-ring-{ring}.json"
    how = (
        f"ring {ring} waits for approval: python -m tasks.fleet.approve {run.id} {ring}, then the "
        "same command again"
    )
    if os.environ.get(ENVIRONMENT) == f"{run.id}:{ring}":
        return f"{getpass.getuser()}, by {ENVIRONMENT}", how
    if path.exists():
        who, said = _read(path, run.id, ring)
        return who, said or how
    if not sys.stdin.isatty():
        return None, how
    click.echo(f"{how}. Or begin it now? Type yes: ", err=True, nl=False)
    while not stop():
        if path.exists():
            return _read(path, run.id, ring)[0], how
        if select.select([sys.stdin], [], [], 1.0)[0]:
            yes = sys.stdin.readline().strip() == "yes"
            return (getpass.getuser() if yes else None), how
    return None, how


def _read(path: Path, run_id: str, ring: int) -> tuple[str | None, str | None]:
    """Who approved, and None; or None and why the file does not count."""
    try:
        found = json.loads(path.read_bytes())
        whose, which, who = str(found["run"]), found["ring"], str(found["by"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None, f"{path}: not an approval: make it with python -m tasks.fleet.approve"
    if (whose, which) != (run_id, ring):
        return None, (
            f"{path}: approves ring {which} of run {whose}, not ring {ring} of run {run_id}: "
            "remove it"
        )
    return who, None


def main(arguments: list[str]) -> int:
    """Write one approval: ``{"run": ..., "ring": 1, "by": "ann", "at": ...}``; 0, or 2 refused."""
    if len(arguments) != 2 or not re.fullmatch(r"\d{1,6}", arguments[1]):
        return _refuse(_USAGE)
    name, ring = arguments[0], int(arguments[1])
    folder = Path("runs") / name
    if not re.fullmatch(r"[\w.-]+", name) or not (folder / "journal.jsonl").is_file():
        return _refuse(f"there is no run {name} under runs/: ls runs")
    entries, fault = journal.read(folder / "journal.jsonl")
    known = _rings(entries)
    if fault and not fault.endswith("cut off"):  # the last line, while the run writes it
        return _refuse(f"{folder}/journal.jsonl: {fault}: look into it before you approve")
    if ring not in known:
        listed = ", ".join(map(str, sorted(known))) or "none yet"
        return _refuse(f"run {name} has no ring {ring}: its rings are {listed}")
    document = {"run": name, "ring": ring, "by": getpass.getuser(), "at": stamp()}
    part = folder / f".approval-ring-{ring}.part"
    part.touch(mode=0o600)
    part.write_text(json.dumps(document) + "\n", encoding="utf-8")
    part.replace(folder / f"approval-ring-{ring}.json")
    print(f"ring {ring} of run {name} is approved: run the same command again to go on")
    return DONE


def _rings(entries: Iterable[dict[str, Any]]) -> set[int]:
    rings = [ring for it in entries if it["event"] == "rings" for ring in it["rings"].values()]
    return {it for it in rings if isinstance(it, int)}


def _refuse(message: str) -> int:
    print(message, file=sys.stderr)
    return REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
