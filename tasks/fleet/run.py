"""
One run of pyinfra as a fleet run: what is refused before anything happens, how it ends, what it
leaves behind.

``config.py`` calls ``begin`` (pyinfra executes that file before it reads the inventory); the first
connector calls ``checked_before_connecting``, the only moment when all data is known and nothing
was connected to.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
from pyinfra.api.exceptions import InventoryError, PyinfraError
from pyinfra.api.state import StateStage

if TYPE_CHECKING:
    from tasks.checks.findings import Finding
    from tasks.fleet.inventory import Cluster
    from tasks.fleet.journal import Journal

PARALLEL = 200
ONE_SECOND = timedelta(seconds=1)
DONE, FAILED, REFUSED, FINDINGS, WAITING, HELD, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6


class Refused(PyinfraError):
    """The run is not begun: bad input or usage. Exit 2, one line a problem, nothing touched."""


@dataclass
class Run:
    """
    + deploy: such as "upgrade"
    + failures: by cluster, the first message says why
    + held: by cluster, why it was left untouched
    + notes: by cluster, what the report shows beside its steps, such as {"Envoy Gateway": "1.8.3 →
      1.9.1"}
    + awaited: by cluster, what a program that says nothing itself was last seen to wait for
    + audit: reads only: no prompt, no journal
    """

    deploy: str
    inventory: str
    arguments: tuple[str, ...]
    started: datetime
    state: Any = None
    audit: bool = False
    failures: dict[str, list[str]] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    notes: dict[str, dict[str, str]] = field(default_factory=dict)
    awaited: dict[str, str] = field(default_factory=dict)
    answers: dict[str, dict[str, str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    identities: dict[str, list[str]] = field(default_factory=dict)
    journal: Journal | None = None
    report: Any = None
    ended_by: int | None = None
    finish_audit: Callable[[Any], None] = lambda results: None
    finished: bool = False

    @property
    def id(self) -> str:
        """Such as "20261121T140211Z-upgrade": sorts by time, and names its folder under runs/."""
        return f"{self.started:%Y%m%dT%H%M%SZ}-{self.deploy}"

    @property
    def folder(self) -> Path:
        return Path("runs") / self.id

    def exit_code(self) -> int:
        """
        The first that applies of the signal's code, 5, 1 and 3 (docs/how-a-run-works.md, Exit
        codes).
        """
        failed = bool(self.failures) or bool(self.state and getattr(self.state, "failed_hosts", ()))
        if self.ended_by is not None:
            return 128 + self.ended_by
        if failed:
            return HELD if self.held else FAILED
        if any(it.severity != "info" for it in self.findings):
            return FINDINGS
        return DONE


_current: Run | None = None


def current() -> Run:
    """The run of this process; outside the pyinfra command line (tests) an empty one."""
    global _current
    if _current is None:
        _current = Run("api", "", (), now())
    return _current


def now() -> datetime:
    return datetime.now(UTC)


def stamp() -> str:
    return now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def begin() -> None:
    """
    Called by config.py, in the command line's own process. Ends it with exit 2 where usage is
    wrong.
    """
    global _current
    import pyinfra_cli.cli as cli
    from pyinfra import config

    given = click.get_current_context().params
    operations = tuple(given["operations"])
    first = operations[0]
    _current = Run(
        deploy=Path(first).stem if first.endswith(".py") else re.sub(r"\W+", "-", first),
        inventory=str(given["inventory"]),
        arguments=operations,
        started=now(),
    )
    if os.environ.get("NO_COLOR"):  # pyinfra 3.10 and click 8 do not know it
        cast(Any, click.utils).should_strip_ansi = lambda *_, **__: True
    _patch_endings(cli)
    _patch_inventory(cli)
    problem = usage_problem(given)
    if problem:
        end_refused(problem)
    config.PARALLEL = PARALLEL
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _on_signal)
    atexit.register(finish)
    logging.getLogger("pyinfra").addFilter(_without_noise)


def usage_problem(given: dict[str, Any]) -> str | None:
    """
    Why pyinfra must not go on with these command line options, or None. It would answer most with
    exit 0.
    """
    inventory = str(given["inventory"])
    if not Path(inventory).exists() and not inventory.startswith("@"):
        near = sorted(str(it) for it in Path("inventory").glob("*.py"))
        return (
            f"there is no inventory {inventory}: use one of {', '.join(near)}, or @kube/<context>"
        )
    for option, why in (
        ("no_wait", "a failed cluster would not be noticed"),
        ("serial", "rings decide the order"),
        ("fail_percent", "rings have max_failed"),
    ):
        if given.get(option) not in (None, False):
            return f"--{option.replace('_', '-')} is refused: {why}"
    return None


def checked_before_connecting(state: Any) -> None:
    """Every cluster's data, before the first connection. Raises Refused with a line a problem."""
    from tasks.connectors import kubeconfig
    from tasks.fleet import inventory
    from tasks.fleet.report import Recorder

    run = current()
    if run.state is state:
        return
    run.state = state
    if state.limit_hosts is not None and not state.limit_hosts:
        raise Refused(
            "--limit leaves no cluster: pyinfra INVENTORY debug-inventory lists their names"
        )
    state.should_raise_failed_hosts = lambda _: False  # rings decide, nobody is asked half way
    hosts = [(host.name, host.data.dict()) for host in state.inventory]
    if not hosts:
        raise Refused(f'{run.inventory}: no cluster in it: write clusters = [("@kube/...", {{}})]')
    found = inventory.duplicates(hosts)
    for name, data in hosts:
        if "kube_context" not in data:
            found.append(f"{name}: not a cluster: write @kube/<context> in the inventory")
            continue
        problems = inventory.problems(name, data)
        found += problems
        if not problems:
            run.clusters[name] = inventory.parsed(data)
        try:
            kubeconfig.one_context(data["kube_context"], data.get("kube_config"))
        except InventoryError as error:
            found.append(str(error))
    if found:
        unique = dict.fromkeys(found)
        raise Refused("\n".join(f"{run.inventory}: {line}" for line in unique))
    run.report = Recorder(run)
    state.add_callback_handler(run.report)


def claim_identity(state: Any, host: Any, uid: str) -> None:
    """Remember which cluster a host turned out to be; ``ready`` refuses two hosts that are one."""
    current().identities.setdefault(uid, []).append(host.name)


def ready() -> None:
    """For deploy code, once all clusters are connected. Raises Refused."""
    for names in current().identities.values():
        if len(names) > 1:
            raise Refused(
                f"{' and '.join(sorted(names))} are one and the same cluster: remove all but one "
                "of them"
            )


def cluster() -> Cluster:
    """The checked data of the cluster that this code runs for."""
    from pyinfra.context import ctx_host

    host = ctx_host.get()
    run = current()
    if host.name not in run.clusters:
        from tasks.fleet import inventory

        run.clusters[host.name] = inventory.parsed(host.data.dict())
    return run.clusters[host.name]


def note_failure(host: Any, message: str) -> None:
    current().failures.setdefault(host.name, []).append(message)


def note(host: Any, key: str, value: str) -> None:
    """A line for the report of this cluster, such as ("Envoy Gateway", "1.8.3 → 1.9.1")."""
    current().notes.setdefault(host.name, {})[key] = value


def note_answer(host: Any, request: str, answer: str) -> None:
    """
    What answered a request, for the report: ("edge/public:http http://...", "200 from demo/blue-1
    (weu-1)").
    """
    current().answers.setdefault(host.name, {})[request] = answer


def audit() -> Run:
    """For a deploy that only reads: runs at once, asks nothing, leaves no journal."""
    run = current()
    ready()
    run.audit = True
    run.state.check_for_changes = False
    return run


def finish() -> None:
    """Write the report and say how the run ended; once, however it ended."""
    run = current()
    if run.finished or run.state is None or run.report is None:
        return
    run.finished = True
    run.report.finish()


def end_refused(message: str) -> NoReturn:
    for line in message.splitlines():
        click.secho(line, fg="red", err=True)
    sys.exit(REFUSED)


def _on_signal(number: int, frame: Any) -> None:
    current().ended_by = number
    _stop_programs()
    sys.exit(128 + number)


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


def _patch_inventory(cli: Any) -> None:
    """
    pyinfra 3.10 leaves a group out where one of its entries is wrong, makes one cluster of an entry
    that is there twice, and connects with SSH to what has no connector.
    """
    import pyinfra_cli.inventory as inventories

    def is_group(key: str, value: Any) -> bool:
        try:
            good = bool(is_inventory_group(key, value))
        except TypeError:  # a tuple of numbers
            good = False
        listed = isinstance(value, list | tuple) and not key.startswith("_")
        if listed and not good:
            raise Refused(
                f"{current().inventory}: {key} is not a list of clusters: write entries such as "
                '("@kube/weu-1", {"ring": 0}), or begin its name with _'
            )
        return good

    def groups_of(inventory_filename: str) -> Any:
        groups = get_groups(inventory_filename)
        for key, group in groups.items():
            _refuse_twice(key, group[0] if isinstance(group, tuple) else group)
        return groups

    def connect(state: Any) -> None:
        checked_before_connecting(state)  # where there is no connector of ours, nobody did
        connect_all(state)

    is_inventory_group = inventories._is_inventory_group
    get_groups = inventories._get_groups_from_filename
    connect_all = cli.connect_all
    inventories._is_inventory_group = is_group
    inventories._get_groups_from_filename = groups_of
    cli.connect_all = connect


def _refuse_twice(group: str, entries: Sequence[Any]) -> None:
    names = [it[0] if isinstance(it, tuple) else it for it in entries]
    for name in names:
        if names.count(name) > 1:
            raise Refused(
                f"{current().inventory}: {name} is in {group} twice: remove all but one of them"
            )


def _patch_endings(cli: Any) -> None:
    """
    pyinfra 3.10 knows exit 0 and 1, prompts where there may be no terminal, and prints tracebacks
    of inventory and deploy files. These are its seams; tests/fleet/test_run.py holds each against
    the real command line.
    """
    import pyinfra_cli.exceptions as exceptions

    def leave() -> NoReturn:
        finish()
        sys.exit(current().exit_code())

    def confirm(message: str) -> bool:
        run = current()
        if run.audit:
            return True
        if not any(meta.ops_change for meta in run.state.meta.values()):
            click.echo("Nothing to do.", err=True)
            return False
        if not sys.stdin.isatty():
            end_refused("there is no terminal to ask on: add -y to run, or --dry to see the plan")
        return bool(ask(message))

    def show(error: Any, file: Any = None) -> None:
        lines, _ = _ending(error)
        for line in lines:
            click.secho(line, fg="red", err=True)
        finish()

    ask = cli._do_confirm
    cli._exit = leave
    cli._do_confirm = confirm
    for kind in ("WrappedError", "UnexpectedExternalError", "UnexpectedInternalError"):
        cls = getattr(exceptions, kind)
        cls.show = show
        cls.exit_code = property(lambda error: _ending(error)[1])


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


def _without_noise(record: logging.LogRecord) -> bool:
    """
    Drop a line for each cluster of another ring, 60 times a step, and the one that pyinfra adds to
    the reason of a failed step: neither says anything.
    """
    text = click.unstyle(str(record.msg))
    return not text.endswith(("Skipped", "Error: executed 0 commands"))
