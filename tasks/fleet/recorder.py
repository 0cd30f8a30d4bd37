"""
Listens to pyinfra while it runs, keeps the journal, and says at the end how each cluster fared.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from pyinfra.api.state import BaseStateCallback
from typing_extensions import override

from tasks.checks.findings import as_json
from tasks.connectors import scratch
from tasks.fleet import journal, notify, plan, process, report, textfile
from tasks.fleet import run as fleet_run
from tasks.plans import run_pages, stops

#: Statuses of clusters for which there is a step that the same command comes to again.
STOPPED = ("failed", "rolled back", "unreachable", "interrupted")


@dataclass
class Step:
    """
    One operation on one cluster. + status: "changed", "unchanged", "skipped", "failed", "running"
    or, in a part of the run that was killed, "broken off"; + seconds: its time
    """

    name: str
    started: str
    status: str = "running"
    seconds: float = 0.0
    attempts: int = 1
    error: str | None = None


@dataclass
class ClusterResult:
    """
    + status: "done", "unchanged", "failed", "rolled back", "held", "waiting", "interrupted",
      "unreachable" or "not run"; + why: for the last seven
    """

    name: str
    ring: int
    status: str = "not run"
    why: str | None = None
    facts: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    traffic: dict[str, Any] | None = None
    steps: list[Step] = field(default_factory=list)


class Recorder(BaseStateCallback):
    """Listens to pyinfra while it runs; the folder and the journal begin with the first step."""

    def __init__(self, run: fleet_run.Run) -> None:
        self.run = run
        self.clusters = {
            name: ClusterResult(name, data.ring) for name, data in run.clusters.items()
        }
        self._changed_before: set[str] = set()
        for entry in run.before:
            self._replay(entry)
        self._replayed = {name: len(it.steps) for name, it in self.clusters.items()}
        #: By cluster and operation: step, when it began, how many failures were said by then.
        self._begun: dict[tuple[str, str], tuple[Step, float, int]] = {}

    def _replay(self, entry: Mapping[str, Any]) -> None:
        """What the part of the run that was broken off had done, off its journal."""
        result = self.clusters.get(str(entry.get("cluster")))
        if result is None:
            return
        if entry["event"] == "change":
            self._changed_before.add(result.name)
        elif entry["event"] == "step":
            result.steps.append(Step(entry["step"], entry["at"], "broken off"))
        elif entry["event"] == "step ended":
            step = next(it for it in reversed(result.steps) if it.name == entry["step"])
            step.status, step.error = entry["status"], entry["error"]
            step.seconds = _between(step.started, entry["at"])

    @override
    def host_connect_error(self, state: Any, host: Any, error: Any) -> None:  # type: ignore[override]
        result = self.clusters[host.name]
        result.status, result.why = "unreachable", str(error)
        fleet_run.note_failure(host, str(error))

    @override
    def operation_host_start(self, state: Any, host: Any, op_hash: str) -> None:  # type: ignore[override]
        if op_hash not in state.ops[host]:
            return
        name = ", ".join(state.op_meta[op_hash].names)
        step = Step(name, fleet_run.stamp())
        self.journal("step", cluster=host.name, step=name)
        self.clusters[host.name].steps.append(step)
        said = len(self.run.failures.get(host.name, ()))
        self._begun[host.name, op_hash] = (step, time.monotonic(), said)

    @override
    def operation_host_success(  # type: ignore[override]
        self, state: Any, host: Any, op_hash: str, retry_count: int = 0
    ) -> None:
        # pyinfra calls this before it completes the operation's record, so whether it changed is
        # read at the end.
        skipped = (host.name, op_hash) in self.run.skipped
        self._end(host, op_hash, "skipped" if skipped else "unchanged", retry_count)

    @override
    def operation_host_error(  # type: ignore[override]
        self, state: Any, host: Any, op_hash: str, retry_count: int = 0, max_retries: int = 0
    ) -> None:
        self._end(host, op_hash, "failed", retry_count)

    def _end(self, host: Any, op_hash: str, status: str, retries: int) -> None:
        if (host.name, op_hash) not in self._begun:
            return
        step, begun, said = self._begun[host.name, op_hash]
        step.status, step.attempts = status, retries + 1
        step.seconds = round(time.monotonic() - begun, 3)
        if status == "failed":
            messages = self.run.failures.setdefault(host.name, [])
            if not messages or (len(messages) == said and host.connector.last_error):
                messages.append(self._of_a_program(host))
            step.error = "; ".join(messages[said:] or messages)
            if not self.run.state.ops[host][op_hash].global_arguments.get("_ignore_errors"):
                notify.event("failure", f"{self.run.deploy}: {host.name} failed")
        self.journal(
            "step ended", cluster=host.name, step=step.name, status=status, error=step.error
        )

    def _of_a_program(self, host: Any) -> str:
        """
        Why helm says it failed, without its log lines, and what was last seen to be missing: "timed
        out" alone sends nobody to the image that cannot be pulled.
        """
        text = " ".join((host.connector.last_error or "failed").split())
        text = text[text.find("Error: ") + len("Error: ") :] if "Error: " in text else text
        missing = self.run.awaited.get(host.name)
        return f"{text}; last seen: {missing}" if missing else text

    def journal(self, event: str, **details: Any) -> None:
        """One line of the journal, which begins with the first."""
        run = self.run
        if run.audit:
            return
        if run.broken is not None:
            raise fleet_run.Unwritable(run.broken)
        try:
            if run.journal is None:
                self._begin_journal()
            assert run.journal is not None
            run.journal.write(event, fleet_run.stamp(), **details)
        except (OSError, fleet_run.Refused) as error:
            raise fleet_run.Unwritable(self._broken(error)) from error

    def _broken(self, error: OSError | fleet_run.Refused) -> str:
        cause = error if isinstance(error, OSError) else error.__cause__
        why = getattr(cause, "strerror", None) or error
        self.run.broken = (
            f"{self.run.folder} cannot be written ({why}): what is not written down is not done: "
            "make room there, then run the same command again"
        )
        return self.run.broken

    def _begin_journal(self) -> None:
        try:
            self._open_journal()
        except (OSError, fleet_run.Refused):
            if self.run.journal is not None and not self.run.before:  # nothing was done yet
                shutil.rmtree(self.run.folder, ignore_errors=True)
            self.run.journal = None
            raise

    def _open_journal(self) -> None:
        from tasks.fleet import resume

        run = self.run
        if run.before:
            run.journal = journal.Journal.going_on(run.folder)
            run.journal.write("run goes on", fleet_run.stamp(), process=resume.myself(run))
            self._tell_of_the_start("goes on")
            return
        while run.folder.exists():  # two runs of one second
            run.started = run.started.replace(microsecond=0) + fleet_run.ONE_SECOND
        run.journal = journal.Journal(run.folder)
        run.journal.write(
            "run",
            fleet_run.stamp(),
            id=run.id,
            **resume.identity(run),
            process=resume.myself(run),
        )
        self._tell_of_the_start("begins")

    def _tell_of_the_start(self, verb: str) -> None:
        plan.write(self.run)
        number = sum(self.run.state.is_host_in_limit(it) for it in self.run.state.inventory)
        clusters = "1 cluster" if number == 1 else f"{number} clusters"
        notify.event("start", f"{self.run.deploy} {verb}: {clusters}")

    def results(self) -> list[ClusterResult]:
        """
        One entry a cluster of the run, by ring and name, with its final status; what --limit leaves
        out is none of them.
        """
        run, state = self.run, self.run.state
        for host in state.inventory:
            if not state.is_host_in_limit(host):
                self.clusters.pop(host.name, None)
                continue
            result = self.clusters[host.name]
            result.facts = run.notes.get(host.name, {})
            result.answers = run.answers.get(host.name, {})
            result.traffic = run.traffic.get(host.name)
            changed = {
                ", ".join(state.op_meta[key].names): data.operation_meta
                for key, data in state.ops[host].items()
            }
            for step in result.steps[self._replayed.get(host.name, 0) :]:
                meta = changed.get(step.name)
                if step.status == "unchanged" and meta is not None and _did_change(meta):
                    step.status = "changed"
            if result.status == "unreachable":
                continue
            if host.name in run.held:
                waits = run.held_by.get(host.name) == "approval"
                result.status = "waiting" if waits else "held"
                result.why = run.held[host.name]
            elif host in state.failed_hosts or host.name in run.failures:
                result.status = "failed"
                result.why = "; ".join(run.failures.get(host.name) or ["failed"])
                if host.name in run.rolled_back:
                    result.status = "rolled back"
                    result.why += f"; rolled back {run.rolled_back[host.name]}"
            elif under_way := [it.name for it in result.steps if it.status == "running"]:
                result.status = "interrupted"
                result.why = f"in the middle of {under_way[-1]}: run the same command again"
            elif run.broken is not None and self._has_more(host, result):
                result.status = "interrupted"
                result.why = "not all of its steps were begun: run the same command again"
            elif result.steps and state.is_executing:
                result.status = "unchanged"
                changed_now = any(it.status == "changed" for it in result.steps)
                if changed_now or host.name in self._changed_before:
                    result.status = "done"
        return sorted(self.clusters.values(), key=lambda it: (it.ring, it.name))

    def _has_more(self, host: Any, result: ClusterResult) -> bool:
        """Whether steps of this cluster were not begun."""
        begun = result.steps[self._replayed.get(result.name, 0) :]
        return len(begun) < len(self.run.state.ops[host])

    def finish(self) -> None:
        """Print how it ended; write the report where anything was executed."""
        results = self.results()
        if self.run.audit:
            self.run.finish_audit(results)
            self._say_where_it_stopped(results)
            textfile.write(self.run, results, self.run.exit_code())
            return
        plan.say(self.run)
        if not any(it.status != "not run" for it in results):
            return
        self.run.finish_audit(results)
        code = self.run.exit_code()
        with suppress(OSError):  # whoever listened has gone
            self._print(results, code)
        if self.run.journal is None:
            return
        counts = Counter(it.status for it in results)
        notify.event("end", f"{self.run.deploy} ended with exit {code}", counts, code)
        notify.flush()
        said = self._keep(self.run.journal.path, results, code)
        with suppress(OSError):
            click.echo(said, err=True)

    def _keep(self, path: Path, results: list[ClusterResult], code: int) -> str:
        """Leave the report behind, and say where it is, or why it is not there."""
        try:
            entries, _ = journal.read(path)
            planned = plan.write(self.run)["clusters"]
            report.write(self.run.folder, self.document(results, code, entries, planned), entries)
            said = f"Report: {self.run.folder}/report.html"
        except (OSError, fleet_run.Refused) as error:
            problem = self._broken(error)
            said = f"No report, exit {self.run.exit_code()}: {problem}"
        textfile.write(self.run, results, self.run.exit_code())
        scratch.sweep()
        with suppress(fleet_run.Unwritable):
            self.journal("run ended", exit=code)  # last: a run that was killed before goes on
        return said

    def document(
        self,
        results: list[ClusterResult],
        code: int,
        entries: Sequence[Mapping[str, Any]],
        planned: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:
        """
        report.json, docs/report.schema.json: {"schema": "envoyfleet.run/1", "id": ..., ...}.

        + entries: of the journal; + planned: clusters of plan.json
        """
        run, ended = self.run, fleet_run.now()
        warnings = {it["name"]: it["warnings"] for it in planned}
        return {
            "schema": report.SCHEMA,
            "id": run.id,
            "deploy": run.deploy,
            "inventory": run.inventory,
            "who": process.myself(run.id).who,
            "started": run.started.isoformat(),
            "ended": ended.isoformat(),
            "seconds": round((ended - run.started).total_seconds(), 1),
            "exit": code,
            "clusters": [asdict(it) | {"warnings": warnings.get(it.name, [])} for it in results],
            "gates": [_without(it, "event", "before") for it in entries if it["event"] == "gate"],
            "findings": as_json(run.findings)["findings"],
            "changes": run_pages.same_changes(planned),
        }

    def _print(self, results: list[ClusterResult], code: int) -> None:
        from tasks.fleet.tables import print_table

        rows = [
            (
                it.name,
                str(it.ring),
                it.status,
                _summary(it),
                f"{sum(s.seconds for s in it.steps):.0f} s",
            )
            for it in results
        ]
        print_table(
            ("cluster", "ring", "status", "what", "time"),
            rows,
            stream=sys.stderr,
            title=f"{self.run.deploy}: exit {code}",
        )
        self._say_where_it_stopped(results)

    def _say_where_it_stopped(self, results: list[ClusterResult]) -> None:
        stopped = {it.name: self._stopped_at(it) for it in results if it.status in STOPPED}
        half_way = all(it.status == "interrupted" for it in results if it.name in stopped)
        for line in stops.lines(stopped, self.run.command, half_way):
            click.echo(line, err=True)

    def _stopped_at(self, result: ClusterResult) -> str:
        """The first step that went wrong, or the one that is under way, or the last one."""
        if result.status == "unreachable":
            return "Connect"
        steps = result.steps[self._replayed.get(result.name, 0) :]
        wrong = [it.name for it in steps if it.status in ("failed", "running")]
        last = [it.name for it in steps[-1:]]
        return self.run.stopped_at.get(result.name) or next(iter(wrong or last), "the plan")


def _between(begun: str, ended: str) -> float:
    seconds = datetime.fromisoformat(ended) - datetime.fromisoformat(begun)
    return round(seconds.total_seconds(), 3)


def _without(entry: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: it for key, it in entry.items() if key not in keys}


def _did_change(meta: Any) -> bool:
    return bool(meta.is_complete() and meta.did_change())


def _summary(result: ClusterResult) -> str:
    if result.why:
        return result.why
    return ", ".join(f"{key} {value}" for key, value in result.facts.items())
