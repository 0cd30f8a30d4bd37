"""
Runbooks as values: those of the operations guide, and one for each alert. ``tasks.runbook`` walks
through them; docs/runbooks.md lists them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from tasks.plans.runbooks import alerts, guide
from tasks.plans.runbooks.source import Runbook

__all__ = ["LIST", "RUNBOOKS", "find", "no_gateway", "page", "problem"]

RUNBOOKS: Mapping[str, Runbook] = {it.name: it for it in (*guide.RUNBOOKS, *alerts.RUNBOOKS)}
LIST = "list"


def find(name: str) -> Runbook:
    """By its name, whatever the case. Raises LookupError."""
    found = {key.lower(): it for key, it in RUNBOOKS.items()}.get(name.lower())
    if found is None:
        raise LookupError(_unknown(name))
    return found


def _unknown(name: str) -> str:
    by_lower = {it.lower(): it for it in RUNBOOKS}
    near = [by_lower[it] for it in get_close_matches(name.lower(), by_lower, n=3)]
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return f"there is no runbook {name}: {meant}--data name=list names them all"


def problem(name: str | None, approve: tuple[str, ...] = (), undo: str | None = None) -> str | None:
    """What is wrong with the arguments of a walk, or None."""
    if undo is not None:
        return None
    if name is None:
        return "name a runbook: --data name=gateway-not-responding, or --data name=list"
    if name == LIST:
        return None
    try:
        runbook = find(name)
    except LookupError as error:
        return str(error)
    steps = [it.name for it in runbook.steps]
    for it in approve:
        if it not in steps:
            near = get_close_matches(it, steps, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            return f"approve: {runbook.name} has no step {it}: {meant}its steps: {', '.join(steps)}"
    return None


def no_gateway(name: str, there: Sequence[str]) -> str | None:
    """Why a Gateway that was named cannot be looked at, or None."""
    if name in there:
        return None
    near = get_close_matches(name, there, n=1)
    meant = f"did you mean {near[0]}?" if near else f"there are: {', '.join(there) or 'none'}"
    return f"gateway: there is no Gateway {name}: {meant}"


def page() -> str:
    """docs/runbooks.md."""
    lines = [
        "# Runbooks",
        "",
        "Made by `.venv/bin/python -m tasks.plans.runbooks > docs/runbooks.md`; how they run:",
        "[runbook](runbook.md).",
        "",
        "```console",
        "$ pyinfra inventory/prod.py deploys/runbook.py --limit weu-1 --data name=NAME",
        "```",
        "",
        "## Of the operations guide",
        "| name | symptom | steps |",
        "| --- | --- | --- |",
    ]
    lines += [_row(it) for it in guide.RUNBOOKS]
    lines += ["", "## Of alerts", "Each has the name of its [alert](alerts.md).", ""]
    lines += ["| name | symptom | steps |", "| --- | --- | --- |"]
    lines += [_row(it) for it in alerts.RUNBOOKS]
    lines += ["", "## Steps", "| step | question |", "| --- | --- |"]
    steps = {step.name: step for it in RUNBOOKS.values() for step in it.steps}
    lines += [f"| `{name}` | {steps[name].title} |" for name in sorted(steps)]
    return "\n".join(lines) + "\n"


def _row(it: Runbook) -> str:
    steps = ", ".join(f"`{step.name}`" for step in it.steps)
    name = f"`{it.name}`"
    of_alert = it.alerts == (it.name,)
    link = f"[{name}](alerts.md#{it.name.lower()})" if of_alert else name
    return f"| {link} | {it.symptom} | {steps} |"
