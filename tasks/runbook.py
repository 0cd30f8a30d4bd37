"""
A runbook walked through on a cluster: each step looks, says what it read and what that means; where
it knows a cure, that is shown, and done once somebody approves. Reads only until then.
"""

from __future__ import annotations

import getpass
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click
from gevent import select
from pyinfra import host, state
from pyinfra.api.exceptions import DeployError, OperationError

from tasks import change, desired, diagnose, envoy_gateway, gateways, restore, rotation
from tasks import crds as crd_tasks
from tasks.checks import runbooks as checks
from tasks.connectors.api import ApiError
from tasks.diagnosis.diagnosis import Diagnosis
from tasks.diagnosis.evidence import Evidence
from tasks.fleet import audits, journal
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.guard import Steps, fleet_operation, session
from tasks.fleet.inventory import Cluster, Objectives
from tasks.fleet.plan import coloured
from tasks.fleet.recorder import ClusterResult
from tasks.fleet.tables import print_table
from tasks.operations import copies, mending, symptoms
from tasks.operations.evidence import evidence
from tasks.plans import requests, runbooks
from tasks.plans.kinds import title
from tasks.plans.rings import seconds
from tasks.plans.runbooks import actions, reading
from tasks.plans.runbooks.source import (
    Action,
    Cause,
    Runbook,
    Seen,
    Step,
    Wanted,
)
from tasks.plans.runbooks.walk import Judged, judged, may_go_on, nothing_known, to_do, walk

Object = Mapping[str, Any]
SCHEMA = "envoyfleet.runbook/1"
COLUMNS = ("cluster", "step", "verdict", "what")
UNDO = "undo"
#: Actions of one walk; seconds between two looks after one, and for which requests that fail are
#: taken for its aftermath while others are served.
ROUNDS, LOOK, PATIENCE = 6, 2.0, 20.0


@dataclass
class _Walk:
    """
    One cluster's walk. + verdicts: of the last look; + done: actions, and whether they are proven
    + held: what waits for approval; + began: monotonic
    """

    runbook: Runbook | None
    verdicts: list[Judged] = field(default_factory=list)
    done: list[dict[str, Any]] = field(default_factory=list)
    held: Judged | None = None
    gaps: Sequence[str] = ()
    began: float = field(default_factory=time.monotonic)


#: By cluster.
_walks: dict[str, _Walk] = {}


def of_the_fleet() -> None:
    """
    Deploy code: walk through the runbook ``name`` on every cluster of the run, or take back with
    ``undo`` what an earlier walk did. Raises Refused for arguments that cannot be.
    """
    run, data = fleet_run.audit(), fleet_run.cluster()
    _refuse(run, data)
    run.finish_audit = _print
    if data.name == runbooks.LIST:
        run.finish_audit = _print_list
        return
    with attempt("Runbook") as it:
        if data.undo is not None:
            undone(name="Undo", data=data)
        else:
            walked(name="Walk", data=data)
    with it.always():
        change.ended(name="Lease", data=data)
    settle(it)


def _refuse(run: fleet_run.Run, data: Cluster) -> None:
    problem = runbooks.problem(data.name, () if data.undo else tuple(data.approve), data.undo)
    names = sorted(it.name for it in state.inventory if state.is_host_in_limit(it))
    if problem is None and run.dry:
        problem = "a runbook reads only until an action is approved: leave --dry out"
    if problem is None and len(names) > 1 and (data.approve or data.undo):
        problem = f"an action is approved for one cluster: add --limit {names[0]}"
    if problem is None and data.rehearse and not data.rehearsals:
        problem = (
            f"{host.name} is no cluster to rehearse on: set rehearsals in its inventory where it "
            "is one"
        )
    if problem is None and data.undo is not None:
        problem = _unreadable(data.undo)
    if problem:
        raise fleet_run.Refused(problem)


def _unreadable(run_id: str) -> str | None:
    path = Path("runs") / run_id / journal.NAME
    if not re.fullmatch(r"[\w.-]+", run_id) or not path.is_file():
        return f"undo: there is no run {run_id} under runs/: ls runs"
    _, fault = journal.read(path)
    if fault and not fault.endswith(journal.CUT):
        return f"undo: {path}: {fault}: it is not trusted"
    return None


@fleet_operation()
def walked(data: Cluster) -> Steps:
    """
    Look, judge, show; then the first action that has an approval, its proof, and the walk again.
    """
    assert data.name is not None
    runbook = runbooks.find(data.name)
    it = _walks[host.name] = _Walk(runbook)
    if fleet_run.current().before:  # one that was killed is ended by this walk
        _record()
    if data.rehearse:
        fleet_run.note(host, "rehearsal", runbook.name)
    first = seen = _look(data, runbook)
    for _ in range(ROUNDS):
        it.verdicts, it.gaps = walk(runbook, seen), seen.gaps
        _say(it.verdicts)
        todo = to_do(it.verdicts)
        if todo is None:
            break
        assert todo.verdict.action is not None
        plan = mending.planned(todo.verdict.action)
        _show(todo.step.name, todo.verdict.action, plan)
        by = _approved_by(data, todo.step.name)
        if by is None:
            it.held = todo
            _hold(data, todo.step.name)
            break
        yield from _cured(data, it, todo, plan, by, first.host)
        seen = _look(data, runbook)
    _note_findings(it)
    if lost := nothing_known(it.verdicts):
        raise OperationError(f"no step can tell anything: {lost}: let this identity read it")


@fleet_operation()
def undone(data: Cluster) -> Steps:
    """Take back what an earlier walk did on this cluster, newest first."""
    assert data.undo is not None
    entries, _ = journal.read(Path("runs") / data.undo / journal.NAME)
    own = [it for it in entries if (it["event"], it.get("cluster")) == ("action", host.name)]
    back = actions.undone(own)
    lost = [f"{it['what']}: {it['lost']}" for it in own if it.get("lost")]
    for line in lost:
        host.log(f"cannot be undone: {line}")
    if not back:
        raise DeployError(f"run {data.undo} did nothing here that can be undone")
    it = _walks[host.name] = _Walk(None)
    plans = [mending.planned(action) for action in back]
    for action, plan in zip(back, plans, strict=True):
        _show(UNDO, action, plan)
    by = _approved_by(data, UNDO)
    if by is None:
        _hold(data, UNDO)
        return
    _record()
    change.begin(data, release=False)
    for action, plan in zip(back, plans, strict=True):
        _journal(UNDO, action, plan, by)
        yield from mending.steps(action)
        it.done.append({"step": UNDO, "what": action.what, "proven": True})
        fleet_run.note(host, "undone", action.what)


def _look(data: Cluster, runbook: Runbook, again: bool = False) -> Seen:
    """
    Everything that the steps judge. + again: while an action is being proven: the request that is
    asked about is sent, and its line in the access log is not waited for
    """
    wanted, look = _wanted(data), diagnose.look(data)
    read = replace(look, asked=None) if again else look
    known = evidence(session(), host.name, read, fleet_run.now().timestamp())
    found = diagnose.diagnosed(known) if known.objects else Diagnosis()
    about = _gateways(data, wanted, known)
    sent = symptoms.sent(data, wanted, known, about, None if again else known.question)
    return Seen(
        now=fleet_run.now(),
        wanted=wanted,
        objects=known.objects,
        unread=symptoms.unread(known),
        unserved=symptoms.unserved(known, wanted),
        gateways=about,
        host=requests.parsed(data.request).host if data.request else "",
        causes=[
            Cause(it.cause, it.object.text, it.sentence, it.fix, tuple(it.evidence))
            for it in found.findings
        ],
        asked=sent,
        times=()
        if again
        else tuple(symptoms.times(known, any(it.name == "time" for it in runbook.steps))),
        served=symptoms.served(known, data.namespace),
        metrics=tuple(it.name.rpartition("/")[2] for it in known.proxies if it.stats is not None)
        or None,
        gaps=[f"{it.what}: {it.why}: {it.cost}" for it in known.gaps],
    )


def _wanted(data: Cluster) -> Wanted:
    run = fleet_run.current()
    limit = f" --limit {host.name}" if len(run.clusters) > 1 else ""
    objectives = data.monitoring.objectives if data.monitoring else Objectives()
    return Wanted(
        command=f"pyinfra {run.inventory} deploys/{{}}.py{limit}",
        namespace=data.namespace,
        controller_name=data.controller_name,
        version=data.envoy_gateway_version,
        controller_replicas=data.controller.replicas,
        proxy_replicas=data.proxy.least,
        manifests={title(it): it for it in desired.objects(host.name, data)},
        secrets={f"{it.namespace}/{it.secret}": "inventory" for it in data.certificates},
        backup=_has_backup(data),
        within=objectives.within,
        late=1 - objectives.latency / 100,
        days=seconds(data.expiring.warning) // 86400,
    )


def _has_backup(data: Cluster) -> bool:
    if not data.backup.enabled or not data.backup.secrets or data.backup.identity is None:
        return False
    try:
        copies.chosen(data.backup, host.name)
    except DeployError:
        return False
    return True


def _gateways(data: Cluster, wanted: Wanted, known: Evidence) -> tuple[str, ...]:
    """Those that it is about. Raises DeployError for one that is nowhere."""
    objects: list[dict[str, Any]] = [dict(it) for it in known.objects or ()]
    classes = [it for it in objects if it["kind"] == "GatewayClass"]
    every = [it for it in objects if it["kind"] == "Gateway"]
    _, own = gateways.of_our_controller(data, classes, every)
    there = ["/".join(reading.place(it)) for it in own]
    there += [f"{it.namespace}/{it.name}" for it in data.gateways]
    names = tuple(dict.fromkeys(there))
    if data.gateway is None:
        return names
    everywhere = [*names, *("/".join(reading.place(it)) for it in every)]
    problem = runbooks.no_gateway(data.gateway, everywhere)
    if problem:
        raise DeployError(problem)
    return (data.gateway,)


def _say(verdicts: Sequence[Judged]) -> None:
    for number, it in enumerate(verdicts, start=1):
        verdict = it.verdict
        host.log(f"{number}. {it.step.title} ({it.step.name}): {verdict.says}: {verdict.sentence}")
        if verdict.says == "this is it":
            for line in verdict.evidence:
                host.log(f"     read: {line}")
            if verdict.cure:
                host.log(f"     its owner's: {verdict.cure}")


def _show(step: str, action: Action, plan: mending.Planned) -> None:
    """What would be done, exactly, and what cannot be undone, before anybody is asked."""
    lines = [f"Would, for step {step}: {action.what}", *map(coloured, plan.diff)]
    if action.command:
        lines.append(f"the same by hand: {action.command}")
    lost = action.lost or ("" if plan.undo else "nothing brings back what was there")
    lines.append(f"cannot be undone: {lost}" if lost else "can be undone: its former state is kept")
    host.log("\n    ".join(lines))


def _approved_by(data: Cluster, step: str) -> str | None:
    """Who approved this action, or None. Asks where there is a terminal and one cluster."""
    if step in data.approve:
        return f"{getpass.getuser()}, by --data approve"
    one = sum(state.is_host_in_limit(it) for it in state.inventory) == 1
    if not one or not sys.stdin.isatty():
        return None
    click.echo(f"Do that on {host.name}? Type yes: ", err=True, nl=False)
    while not select.select([sys.stdin], [], [], 1.0)[0]:
        pass  # the Lease goes on being renewed
    return getpass.getuser() if sys.stdin.readline().strip() == "yes" else None


def _hold(data: Cluster, step: str) -> None:
    run = fleet_run.current()
    what = f"--data undo={data.undo}" if data.undo else f"--data name={data.name}"
    run.held[host.name] = (
        f"step {step} waits for approval: the same command with {what} --limit {host.name} "
        f"--data approve={step}"
    )
    run.held_by[host.name] = "approval"
    host.log(run.held[host.name])


def _record() -> None:
    """From here on it is a run with a journal, and a report."""
    run = fleet_run.current()
    if run.audit:
        run.audit = False
        step = run.step_of(host.name)
        if step is not None:
            fleet_run.journal("step", cluster=host.name, step=step)


def _journal(step: str, action: Action, plan: mending.Planned, by: str) -> None:
    """On the disk before it is done: what it was, so that it can go back."""
    fleet_run.journal(
        "action",
        cluster=host.name,
        step=step,
        what=action.what,
        verb=action.verb,
        target=asdict(action.target),
        by=by,
        undo=list(plan.undo),
        lost=action.lost,
    )


def _cured(
    data: Cluster, it: _Walk, todo: Judged, plan: mending.Planned, by: str, asked_host: str
) -> Steps:
    """One action, and its proof. Raises OperationError where its step does not become fine."""
    assert it.runbook is not None
    assert todo.verdict.action is not None
    action, began = todo.verdict.action, time.monotonic()
    _record()
    change.begin(data, release=False)
    fleet_run.journal(
        "runbook",
        cluster=host.name,
        runbook=it.runbook.name,
        rehearsal=data.rehearse,
        verdicts=[
            {"step": one.step.name, "says": one.verdict.says, "what": one.verdict.sentence}
            for one in it.verdicts
        ],
    )
    _journal(todo.step.name, action, plan, by)
    if action.verb in mending.OWN:
        yield from mending.steps(action)
    else:
        yield from _by_its_noun(data, action)
    entry = {"step": todo.step.name, "what": action.what, "proven": False}
    it.done.append(entry)
    try:
        _prove(data, it.runbook, todo.step, began)
        entry["proven"] = True
    finally:
        entry["seconds"] = round(time.monotonic() - began, 1)
        fleet_run.journal("action ended", cluster=host.name, **entry)
    fleet_run.note(host, todo.step.name, f"{action.what}, proven after {entry['seconds']:.0f} s")
    if plan.undo:
        run = fleet_run.current().id
        host.log(f"to take it back: --data undo={run} --limit {host.name}")


def _by_its_noun(data: Cluster, action: Action) -> Steps:
    only = data.model_copy(update={"only": [action.target.text], "renew_now": True})
    if action.verb == "restore":
        wanted = envoy_gateway.wanted_of(host.name, only)
        yield from restore.opened._inner(wanted=wanted, source=restore.Source(host.name))
        yield from restore.written._inner(data=only)
    elif action.verb == "rotate":
        every = action.target.name == "*"
        meant = data.model_copy(update={"only": []}) if every else only
        yield from rotation.renewed._inner(data=meant)
        yield from rotation.proven._inner(data=meant)
    elif action.verb == "crds":
        chart = envoy_gateway.wanted_of(host.name, data).chart
        yield from crd_tasks.installed._inner(chart=chart, data=data)
        yield from restore.restarted._inner(data=data)
    else:
        raise OperationError(f"nobody knows how to {action.verb}")


def _prove(data: Cluster, runbook: Runbook, step: Step, began: float) -> None:
    """By the same check, and by requests."""
    said = ""
    while True:
        waited = time.monotonic() - began
        try:
            seen = _look(data, runbook, again=True)
            missing = may_go_on(judged(step, seen), seen, waited, PATIENCE)
        except ApiError as error:  # an API server that is away for a moment is awaited
            missing = [str(error)]
        if not missing:
            return
        if waited > data.probe.timeout:
            raise OperationError(
                f"step {step.name} is not proven within {data.probe.timeout} s: {missing[0]}"
            )
        if missing[0] != said:
            host.log(f"waits ({waited:.0f} of {data.probe.timeout} s): {missing[0]}")
            said = missing[0]
        time.sleep(LOOK)


def _note_findings(it: _Walk) -> None:
    assert it.runbook is not None
    fleet_run.current().findings += checks.findings(host.name, it.runbook.name, it.verdicts)
    served = [one for one in it.verdicts if one.step.name == "request"]
    if served and it.done:
        took = time.monotonic() - it.began
        fleet_run.note(host, "traffic", f"{served[0].verdict.sentence}, after {took:.0f} s")


def _print(results: list[ClusterResult]) -> None:
    rows = {name: _row(name, it) for name, it in _walks.items()}
    for it in results:
        if it.name in rows:
            rows[it.name]["ring"] = it.ring
    audits.show_lines(results, rows, SCHEMA, COLUMNS, _lines)


def _row(name: str, it: _Walk) -> dict[str, Any]:
    held = fleet_run.current().held.get(name)
    return {
        "ring": 0,
        "runbook": it.runbook.name if it.runbook else None,
        "steps": [
            {
                "name": one.step.name,
                "title": one.step.title,
                "verdict": one.verdict.says,
                "what": one.verdict.sentence,
                "evidence": list(one.verdict.evidence),
                "action": one.verdict.action.what if one.verdict.action else None,
                "cure": one.verdict.cure,
            }
            for one in it.verdicts
        ],
        "actions": it.done,
        "waits": held,
        "not_read": list(it.gaps),
    }


def _lines(name: str, row: Mapping[str, Any]) -> list[tuple[str, ...]]:
    if "unreachable" in row:
        return [(name, "-", "not read", str(row["unreachable"]))]
    lines: list[tuple[str, ...]] = [
        (name, it["name"], it["verdict"], it["what"]) for it in row["steps"]
    ]
    for it in row["actions"]:
        how = "proven" if it["proven"] else "not proven"
        lines.append((name, it["step"], f"done, {how}", it["what"]))
    if row["waits"]:
        lines.append((name, "-", "waits", row["waits"]))
    return lines


def _print_list(_: list[ClusterResult]) -> None:
    output = next((it.output for it in fleet_run.current().clusters.values() if it.output), None)
    table = [(it.name, it.symptom) for it in runbooks.RUNBOOKS.values()]
    print_table(("name", "symptom"), table, output=output, schema="envoyfleet.runbooks/1")
