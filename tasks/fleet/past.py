"""The folders of earlier runs, read: nothing in them is taken to be whole or well-formed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.fleet import journal, process
from tasks.plans.history import Past
from tasks.plans.lease import Holder

FOLDER = Path("runs")


class Unreadable(Exception):
    """A folder that tells nothing; one line says why."""


def runs(clusters: Collection[str], number: int) -> tuple[list[Past], list[str]]:
    """
    The newest runs at any of these clusters, the newest first, with those clusters alone; and a
    line for each folder or file that is not as a run leaves it.
    """
    found: list[Past] = []
    problems: list[str] = []
    for folder in sorted((it for it in FOLDER.glob("*") if it.is_dir()), reverse=True):
        if len(found) == number:
            break
        try:
            it, said = _read(folder, clusters)
        except (Unreadable, OSError) as error:
            problems.append(f"{folder}: {error}: left out")
        else:
            problems += said
            found += [it] if it else []
    return found, problems


def _read(folder: Path, clusters: Collection[str]) -> tuple[Past | None, list[str]]:
    """A run, None where it was at other clusters, and what is wrong with its files."""
    path = folder / journal.NAME
    if not path.is_file():
        raise Unreadable("it has no journal")
    entries, fault = journal.read(path)
    first = entries[0] if entries else {}
    members = first.get("clusters")
    if first.get("event") != "run" or not isinstance(members, dict):
        raise Unreadable(f"its journal does not begin with a run{f': {fault}' if fault else ''}")
    mine = [it for it in members if it in clusters]
    if not mine:
        return None, []
    problems = [f"{path}: {fault}"] if fault else []
    over = entries[-1] if entries[-1].get("event") == "run ended" else {}
    statuses: Mapping[str, str] = _half_changed(entries)
    if over:
        statuses, why = _statuses(folder / "report.json")
        problems += [why] if why else []
    alive = not over and _lives(entries)
    exit_code = over.get("exit")
    return Past(
        id=folder.name,
        deploy=str(first.get("deploy", "")),
        inventory=str(first.get("inventory", "")),
        who=_who(first),
        began=_moment(first),
        ended=_moment(over) if over else None,
        exit=exit_code if isinstance(exit_code, int) else None,
        state="ended" if over else "under way" if alive else "broken off",
        clusters={it: statuses.get(it, "not known") for it in mine},
    ), problems


def _half_changed(entries: list[dict[str, Any]]) -> dict[str, str]:
    """Clusters that a run which did not end had begun to change."""
    begun: dict[str, str] = {}
    for it in entries:
        if it.get("event") == "change":
            begun[str(it.get("cluster"))] = "interrupted"
        elif it.get("event") == "change ended":
            begun.pop(str(it.get("cluster")), None)
    return begun


def _statuses(path: Path) -> tuple[dict[str, str], str | None]:
    """By cluster, as report.json has them."""
    try:
        document = json.loads(path.read_bytes())
        return {str(it["name"]): str(it["status"]) for it in document["clusters"]}, None
    except FileNotFoundError:
        return {}, f"{path} is missing: how its clusters fared is not known"
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}, f"{path} is no report of a run: how its clusters fared is not known"


def _lives(entries: list[dict[str, Any]]) -> bool:
    found: Any = next((it["process"] for it in reversed(entries) if "process" in it), None)
    try:
        return process.is_alive(Holder(**{it.name: found[it.name] for it in fields(Holder)}))
    except (TypeError, KeyError):
        return False


def _who(entry: Mapping[str, Any]) -> str:
    about = entry.get("process")
    return str(about.get("who", "")) if isinstance(about, dict) else ""


def _moment(entry: Mapping[str, Any]) -> datetime:
    try:
        found = datetime.fromisoformat(str(entry.get("at")))
    except ValueError:
        raise Unreadable(f"its journal has no time {entry.get('at')!r}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
