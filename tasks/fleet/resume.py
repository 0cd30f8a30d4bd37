"""
Going on after ``kill -9``, a signal, or a wait: the same command finds the newest run that has not
ended, and two runs at the same clusters do not meet.

The journal tells what the cluster cannot: which gates were passed. What was done to a cluster is
read from the cluster again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tasks.fleet import journal, process
from tasks.fleet.run import INTERRUPTED, WAITING, Refused, Run
from tasks.plans.lease import read_holder

FOLDER = Path("runs")
#: Exit codes after which the same command goes on with the run.
TO_GO_ON = (WAITING, INTERRUPTED, 130, 143)
#: Older folders are not looked at.
NEWEST = 100

Entries = list[dict[str, Any]]


def identity(run: Run) -> dict[str, Any]:
    """What a journal says of its run, so that the same command is recognised."""
    return {
        "deploy": run.deploy,
        "inventory": run.inventory,
        "clusters": {name: run.clusters[name].envoy_gateway_version for name in sorted(_due(run))},
    }


def myself(run: Run) -> dict[str, Any]:
    """The process of this run, for its journal."""
    return asdict(process.myself(run.id))


def go_on(run: Run) -> None:
    """
    Make ``run`` the run that was broken off, where there is one of the same deploy, inventory,
    clusters and versions. Reads ``runs/`` alone. Raises Refused where a run at one of the clusters
    still lives on this machine, or where the journal was altered.
    """
    if not run.arguments or not run.arguments[0].endswith(".py"):
        return
    mine, due = identity(run), _due(run)
    same = None
    for path in sorted(FOLDER.glob("*/journal.jsonl"), reverse=True)[:NEWEST]:
        first, last = _first_and_last(path)
        if same is None and {key: first.get(key) for key in mine} == mine:
            same = path, last
        if last.get("event") != "run ended" and set(due) & _clusters(first):
            _refuse_beside(path, due)
    if same is not None and not _ended(same[1]):
        _take_up(run, same[0])


def _take_up(run: Run, path: Path) -> None:
    entries, fault = journal.read(path)
    if not entries or (fault and not fault.endswith(journal.CUT)):
        raise Refused(
            f"{path}: {fault}: it is not trusted; find out who changed it, and move its folder "
            "away to begin anew"
        )
    try:
        begun = datetime.strptime(entries[0]["id"][:16], "%Y%m%dT%H%M%SZ")
    except (KeyError, ValueError):
        raise Refused(
            f"{path}: its first line does not say which run it is of: move its folder away to "
            "begin anew"
        ) from None
    run.before = entries
    run.started = begun.replace(tzinfo=UTC)
    step = _last_step(entries)
    where = f" in the middle of {step}" if step else ""
    cut = f"; {fault}, that line is left out" if fault else ""
    click.echo(f"Goes on with run {run.id}, which ended {entries[-1]['at']}{where}{cut}", err=True)


def _due(run: Run) -> list[str]:
    return [it.name for it in run.state.inventory if run.state.is_host_in_limit(it)]


def _first_and_last(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entries of a journal's first and last line, each {} where it cannot be read."""
    try:
        with path.open("rb") as file:
            first = file.readline(65536)
            file.seek(max(0, path.stat().st_size - 65536))
            last = file.read(65536).splitlines()[-1:]
    except OSError as error:
        raise Refused(
            f"{path} cannot be read ({error.strerror}): correct that, or move its folder away"
        ) from error
    return _entry(first), _entry(last[0] if last else b"")


def _entry(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _clusters(first: Mapping[str, Any]) -> set[str]:
    found = first.get("clusters")
    return set(found) if isinstance(found, dict) else set()


def _ended(entry: Mapping[str, Any]) -> bool:
    return entry.get("event") == "run ended" and entry.get("exit") not in TO_GO_ON


def _refuse_beside(path: Path, due: Sequence[str]) -> None:
    """Raises Refused where the process that writes this journal lives on this machine."""
    entries, _ = journal.read(path)
    found = next((it["process"] for it in reversed(entries) if "process" in it), None)
    if found is None:
        return
    it = read_holder(found)
    if it is None or not process.is_alive(it):
        return
    shared = sorted(set(due) & set(entries[0]["clusters"]))
    step = _last_step(entries)
    raise Refused(
        f"run {it.run} of {it.who} works on {', '.join(shared[:3])}"
        f"{f' and {len(shared) - 3} more' if len(shared) > 3 else ''} since {entries[0]['at']}"
        f"{f' ({step})' if step else ''}: wait for its end, or stop it with "
        f"kill -USR1 {it.pid}, which lets it finish the clusters under way"
    )


def _last_step(entries: Entries) -> str | None:
    """Such as "Ring 0 | Upgrade | CRDs on weu-1", the newest that has not ended."""
    open_steps: dict[tuple[str, str], None] = {}
    for it in entries:
        key = (str(it.get("step")), str(it.get("cluster")))
        if it["event"] == "step":
            open_steps[key] = None
        elif it["event"] == "step ended":
            open_steps.pop(key, None)
    last = next(reversed(open_steps), None)
    return f"{last[0]} on {last[1]}" if last else None
