"""
How a fleet run ends: its exit code, one line instead of a traceback, and nothing left running.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.state import StateStage

from tasks.fleet import plan
from tasks.fleet.run import FAILED, REFUSED, current, finish


def patch(cli: Any) -> None:
    """
    pyinfra 3.10 knows exit 0 and 1, prompts where there may be no terminal, and prints tracebacks
    of inventory and deploy files. These are its seams; tests/fleet/test_run.py holds each against
    the real command line.
    """
    import pyinfra_cli.exceptions as exceptions

    def leave() -> NoReturn:
        finish()
        _leave_unheard()
        sys.exit(current().exit_code())

    def confirm(message: str) -> bool:
        run = current()
        if run.audit:
            return True
        plan.say(run)
        if not any(meta.ops_change for meta in run.state.meta.values()):
            click.echo("Nothing to do.", err=True)
            return False
        if not sys.stdin.isatty():
            end_refused("there is no terminal to ask on: add -y to run, or --dry to see the plan")
        return bool(ask(message))

    def show(error: Any, file: Any = None) -> None:
        lines, _ = _ending(error)
        for line in lines:
            with suppress(OSError):
                click.secho(line, fg="red", err=True)
        finish()
        _leave_unheard()

    ask = cli._do_confirm
    cli._exit = leave
    cli._do_confirm = confirm
    for kind in ("WrappedError", "UnexpectedExternalError", "UnexpectedInternalError"):
        cls = getattr(exceptions, kind)
        cls.show = show
        cls.exit_code = property(lambda error: _ending(error)[1])


def _leave_unheard() -> None:
    """
    What is left to say where nobody listens any more goes nowhere: Python would end with 120
    (Python docs, signal, "Note on SIGPIPE").
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _ending(error: Any) -> tuple[list[str], int]:
    """The lines and the exit code of an exception that ended the run."""
    inner, run = error.exception, current()
    stage = getattr(run.state, "current_stage", StateStage.Setup)
    early = stage < StateStage.Execute
    text = str(inner) or type(inner).__name__
    if isinstance(inner, PyinfraError):
        if text == "No hosts remaining!":
            return [], max(run.exit_code(), FAILED)
        return text.splitlines(), REFUSED if early else max(run.exit_code(), FAILED)
    if isinstance(inner, KeyboardInterrupt):
        return [], 130
    place = getattr(error, "filename", None) or run.inventory
    if isinstance(inner, SyntaxError):  # pyinfra names no file here, or another one
        place, text = inner.filename or place, inner.msg
    line = _line_in(inner, place)
    return [f"{place}{line}: {type(inner).__name__}: {text.splitlines()[0]}"], (
        REFUSED if early else max(run.exit_code(), FAILED)
    )


def _line_in(error: BaseException, filename: str) -> str:
    if isinstance(error, SyntaxError):
        return f" line {error.lineno}"
    frame, found = error.__traceback__, ""
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == filename:
            found = f" line {frame.tb_lineno}"
        frame = frame.tb_next
    return found


def end_refused(message: str) -> NoReturn:
    for line in message.splitlines():
        click.secho(line, fg="red", err=True)
    sys.exit(REFUSED)


def on_signal(number: int, frame: Any) -> None:
    current().ended_by = number
    _stop_programs()
    sys.exit(128 + number)


def on_stop(number: int, frame: Any) -> None:
    """A graceful stop: the gates look at it. No journal here, a line of it may be half written."""
    current().stop = signal.Signals(number).name
    click.secho(
        "stop was asked: the clusters under way finish, all later ones are held; the same command "
        "goes on later",
        fg="yellow",
        err=True,
    )


def _stop_programs(seconds: float = 15.0) -> None:
    """
    Ask the programs that this run started to end, and wait until they have: helm then marks its
    release as failed, while one that is left behind or killed blocks the next run.
    """
    from gevent.monkey import get_original

    sleep, deadline = get_original("time", "sleep"), time.monotonic() + seconds
    asked: set[int] = set()
    while (left := _descendants(os.getpid())) and time.monotonic() < deadline:
        for pid in left - asked:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        asked |= left
        sleep(0.1)


def _descendants(pid: int) -> set[int]:
    """
    Children and their children that still run; one that ended and was not waited for does not.
    """
    found: set[int] = set()
    with suppress(OSError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
            found |= _descendants(child) | (set() if state == "Z" else {child})
    return found
