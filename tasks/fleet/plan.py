"""
The plan of the whole fleet: what ``show`` said of each cluster while pyinfra prepared, equal plans
once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tasks.fleet.run import Refused, Run

SCHEMA = "envoyfleet.plan/1"
#: Names in a heading, before it says how many more there are.
NAMES = 10
_COLOURS = {"+": "green", "-": "red"}


def say(run: Run) -> None:
    """
    Print the plan, once, before anything is changed; the lines below each title with --diff only.
    Nothing where no cluster has anything to show.
    """
    if run.plan_said or run.audit or run.state.is_executing:
        return
    run.plan_said = True
    names = [it.name for it in run.state.inventory if run.state.is_host_in_limit(it)]
    if not any(run.plan.get(name) for name in names):
        return
    stopped = {name: why for name in names if (why := _stopped(run, name))}
    groups: dict[tuple[tuple[str, tuple[str, ...]], ...], list[str]] = {}
    for name in names:
        if name not in stopped:
            groups.setdefault(tuple(run.plan.get(name, ())), []).append(name)
    click.echo("--> Plan:", err=True)
    for changes, members in sorted(groups.items(), key=lambda it: -len(it[1])):
        same = "same change" if len(members) > 1 else "change"
        click.echo(
            f"    {_clusters(members)}: {same if changes else _quiet(run, members)}", err=True
        )
        for title, lines in changes:
            click.echo(f"      {title}", err=True)
            for line in lines if run.state.config.DIFF else ():
                click.echo(f"      {coloured(line)}", err=True)
    for name, why in stopped.items():
        click.echo(f"    {name}: stopped: {why}", err=True)


def coloured(line: str) -> str:
    """A line of a diff as a terminal shows it."""
    return click.style(line, fg=_COLOURS.get(line[:1]))


def _stopped(run: Run, name: str) -> str | None:
    verdict = run.verdicts.get(name)
    return "; ".join(run.failures.get(name) or (verdict.stops if verdict else ())) or None


def _quiet(run: Run, members: Sequence[str]) -> str:
    """Operations that are not ours show nothing, and change something all the same."""
    meta = {host.name: meta for host, meta in run.state.meta.items()}
    changing = any(meta[name].ops_change for name in members)
    return "changes without a diff, see the table above" if changing else "nothing to do"


def _clusters(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"1 cluster ({names[0]})"
    more = ", ..." if len(names) > NAMES else ""
    return f"{len(names)} clusters ({', '.join(names[:NAMES])}{more})"


def write(run: Run) -> dict[str, Any]:
    """
    ``runs/<id>/plan.json``: what preflight and ``show`` said so far, whole or not at all. What the
    run was going to change before it was broken off stays. Returns what was written.
    """
    path, part = run.folder / "plan.json", run.folder / ".plan.json.part"
    written, before = document(run), _before(path)
    written["clusters"] = [
        it if it["changes"] else before.get(it["name"], it) for it in written["clusters"]
    ]
    try:
        part.touch(mode=0o600)
        part.write_text(json.dumps(written, indent=1), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Refused(f"{path} cannot be written ({error.strerror}): correct that") from error
    return written


def _before(path: Path) -> dict[str, Any]:
    """By cluster, what stands there already; nothing where that cannot be read."""
    try:
        found = json.loads(path.read_bytes())["clusters"]
        return {it["name"]: it for it in found}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}


def document(run: Run) -> dict[str, Any]:
    """plan.json: {"schema": "envoyfleet.plan/1", ..., "clusters": [{"name": ..., ...}]}."""
    clusters = []
    for name, data in sorted(run.clusters.items()):
        verdict = run.verdicts.get(name)
        clusters.append(
            {
                "name": name,
                "ring": data.ring,
                "change": verdict.change if verdict else None,
                "stops": list(verdict.stops) if verdict else [],
                "warnings": list(verdict.warnings) if verdict else [],
                "changes": [
                    {"title": title, "diff": list(lines)} for title, lines in run.plan.get(name, ())
                ],
            }
        )
    return {"schema": SCHEMA, "id": run.id, "deploy": run.deploy, "clusters": clusters}
