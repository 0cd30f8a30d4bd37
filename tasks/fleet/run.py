"""
One run of pyinfra as a fleet run: what it knows of its clusters, and what it will say of them.

``begin`` makes it, ``endings`` ends it, ``report`` tells of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyinfra.api.exceptions import PyinfraError

if TYPE_CHECKING:
    from tasks.checks.findings import Finding
    from tasks.fleet.inventory import Cluster
    from tasks.fleet.journal import Journal
    from tasks.plans.rings import Rule

ONE_SECOND = timedelta(seconds=1)
#: Seconds for what is undone where a run is interrupted.
PATIENCE = 10.0
#: Deploys that ask no cluster anything.
OFFLINE = ("verify",)
DONE, FAILED, REFUSED, FINDINGS, WAITING, HELD, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6


class Refused(PyinfraError):
    """The run is not begun: bad input or usage. Exit 2, one line a problem, nothing touched."""


class Unwritable(PyinfraError):
    """What is to be done cannot be written down, so it is not done: the run ends for all."""


@dataclass(frozen=True)
class Verdict:
    """
    Whether a cluster may be changed. + change: what would be done, such as "1.8.3 → 1.9.1", or
    "nothing to do"; + stops: why not, a line each; + warnings: what to know, a line each
    """

    change: str
    stops: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass
class Run:
    """
    + deploy: such as "upgrade"; + command: to type again, see ``plans.stops``
    + failures: by cluster, the first message says why
    + stopped_at: by cluster, the step that could not be planned, or what failed between steps
    + rolled_back: by cluster, where it is again, such as "to 1.8.3 (revision 1), serving"; it
      counts as failed
    + held: by cluster, why it was left untouched; + held_by: by which rule; + gates: those decided;
      + closed: one of them held all that was left
    + broken: why its journal cannot be written; nothing more is begun
    + stop: who asked to finish the clusters under way and hold the rest, such as "SIGUSR1"
    + bakes: by cluster, what is asked again and again while its ring bakes: problems, a line each
    + skipped: (cluster, operation) that had no part, such as a rescue where nothing failed; +
      conditions: by the same, whether it has one
    + notes: by cluster, what the report shows beside its steps, such as {"Envoy Gateway": "1.8.3 →
      1.9.1"}
    + awaited: by cluster, what a program that says nothing itself was last seen to wait for
    + dry: only planned
    + audit: reads only: no prompt, no journal
    + interrupted: clusters that an earlier run left half changed, as preflight read on their Leases
    + changed: clusters that this run has begun to change
    + verdicts: by cluster, what preflight says of it
    + at_first_write: by cluster, what is to be done once before it is changed
    + at_end: by cluster, what is undone where the run is interrupted before it did so itself
    + watching: by cluster under change, what ends its prober and notes what that met, waiting so
      many seconds at most for requests under way; + traffic: by cluster, what it met
    + plan: by cluster, what would change: a title and the lines of its diff
    + sharded: names of all clusters of which this run takes a share, empty where it takes all
    + names: by host, which cluster it is and the entry of the inventory that has it
    + before: entries of the journal that this run goes on with, where an earlier one was broken off
    """

    deploy: str
    inventory: str
    arguments: tuple[str, ...]
    started: datetime
    state: Any = None
    dry: bool = False
    audit: bool = False
    command: str = ""
    failures: dict[str, list[str]] = field(default_factory=dict)
    stopped_at: dict[str, str] = field(default_factory=dict)
    rolled_back: dict[str, str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    held_by: dict[str, Rule] = field(default_factory=dict)
    gates: set[str] = field(default_factory=set)
    closed: bool = False
    broken: str | None = None
    stop: str | None = None
    bakes: dict[str, Callable[[], list[str]]] = field(default_factory=dict)
    skipped: set[tuple[str, str]] = field(default_factory=set)
    conditions: dict[tuple[str, str], Callable[[], bool]] = field(default_factory=dict)
    notes: dict[str, dict[str, str]] = field(default_factory=dict)
    awaited: dict[str, str] = field(default_factory=dict)
    answers: dict[str, dict[str, str]] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    at_first_write: dict[str, Callable[[], None]] = field(default_factory=dict)
    at_end: dict[str, Callable[[], None]] = field(default_factory=dict)
    watching: dict[str, Callable[[float], None]] = field(default_factory=dict)
    traffic: dict[str, dict[str, Any]] = field(default_factory=dict)
    interrupted: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    identities: dict[str, list[str]] = field(default_factory=dict)
    sharded: list[str] = field(default_factory=list)
    names: dict[str, tuple[str, str]] = field(default_factory=dict)
    journal: Journal | None = None
    before: list[dict[str, Any]] = field(default_factory=list)
    plan: dict[str, list[tuple[str, tuple[str, ...]]]] = field(default_factory=dict)
    plan_said: bool = False
    report: Any = None
    ended_by: int | None = None
    finish_audit: Callable[[Any], None] = lambda results: None
    finished: bool = False

    @property
    def id(self) -> str:
        """Such as "20261121T140211Z-upgrade": sorts by time, and names its folder under runs/."""
        return f"{self.started:%Y%m%dT%H%M%SZ}-{self.deploy}"

    @property
    def offline(self) -> bool:
        """Whether no cluster is asked anything, nor connected to."""
        listing = self.deploy == "runbook" and any(
            it.name == "list" for it in self.clusters.values()
        )
        past_alone = self.deploy == "history" and any(not it.drift for it in self.clusters.values())
        return listing or past_alone or self.deploy in OFFLINE

    @property
    def folder(self) -> Path:
        return Path("runs") / self.id

    def step_of(self, cluster: str) -> str | None:
        """The step that is under way on a cluster, such as "Ring 0 | CRDs", or None."""
        steps = self.report.clusters[cluster].steps if self.report is not None else ()
        return next((it.name for it in reversed(steps) if it.status == "running"), None)

    def exit_code(self) -> int:
        """
        The first that applies of the signal's code, 6, 5, 1, 4 and 3 (docs/how-a-run-works.md, Exit
        codes).
        """
        rules = set(self.held_by.values())
        failed = bool(self.failures) or bool(self.state and getattr(self.state, "failed_hosts", ()))
        if self.ended_by is not None:
            return 128 + self.ended_by
        if self.broken is not None:
            return REFUSED if self.journal is None else INTERRUPTED
        if "stop" in rules:
            return INTERRUPTED
        if failed:
            return HELD if "budget" in rules else FAILED
        if rules & {"approval", "window"}:
            return WAITING
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


def start(run: Run) -> None:
    """Make ``run`` the run of this process."""
    global _current
    _current = run


def now() -> datetime:
    return datetime.now(UTC)


def stamp() -> str:
    return now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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


def journal(event: str, **details: Any) -> None:
    """
    A line for the journal, such as ("gate", ring=0, passed=True), on the disk when this returns.
    No secret values. Does nothing outside a run that executes.
    """
    recorder = current().report
    if recorder is not None:
        recorder.journal(event, **details)


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
    _undo(run)
    for end in run.watching.values():
        end(0.0)
    run.report.finish()


def _undo(run: Run) -> None:
    """All at once, for whoever interrupted the run waits."""
    if run.at_end:
        import gevent

        gevent.joinall([gevent.spawn(it) for it in run.at_end.values()], timeout=PATIENCE)
