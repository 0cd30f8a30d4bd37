"""
Telling people of a run: ``notifications`` of the inventory. Nothing waits for it, and nothing fails
by it. The addresses are secrets, so that none is printed or kept.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from tasks.fleet import environment, process
from tasks.fleet import run as fleet_run
from tasks.fleet.inventory import Cluster, Notification, together
from tasks.plans import messages
from tasks.plans.messages import Event

#: Seconds for one attempt, before the second and last one, and that the end of a run waits for all.
TIMEOUT, PAUSE, PATIENCE = 5.0, 1.0, 15.0


@dataclass
class Receiver:
    """One address, whatever number of clusters name it. + waiting: events it has not got yet"""

    kind: str
    variable: str
    url: str = field(repr=False)
    events: set[str] = field(default_factory=set)
    waiting: list[Event] = field(default_factory=list, repr=False)
    sender: Any = field(default=None, repr=False)
    warned: bool = False


_receivers: dict[tuple[str, str], Receiver] | None = None


def problems(clusters: Mapping[str, Cluster]) -> list[str]:
    """
    Variables that hold no address, a line each, such as "weu-1 (and 59 more): notifications: the
    environment variable TEAMS_WEBHOOK is not set: ..."; empty where all do.
    """
    reasons: dict[str, list[str]] = {}
    for name, data in clusters.items():
        for variable in dict.fromkeys(it.url_env for it in data.notifications):
            url = environment.secret(variable)
            wrong = "is not set" if not url else "holds no address, https://..."
            if not url.startswith(("https://", "http://")):
                reasons.setdefault(
                    f"notifications: the environment variable {variable} {wrong}: set it, or take "
                    "it out of the inventory",
                    [],
                ).append(name)
    return together(reasons)


def event(
    kind: str,
    title: str,
    counts: Mapping[str, int] | None = None,
    code: int | None = None,
) -> None:
    """
    Tell whoever wants to know. Returns at once.

    + kind: "start", "gate", "failure" or "end"
    + title: one line, such as "upgrade: ring 1 waits for approval"
    + counts: clusters by status; None counts them as they are in the middle of a run
    """
    found = [it for it in receivers() if kind in it.events]
    if not found:
        return
    run = fleet_run.current()
    failed = {name: "; ".join(run.failures[name]) for name in sorted(run.failures)}
    it = Event(
        event=kind,
        title=title,
        at=fleet_run.stamp(),
        deploy=run.deploy,
        inventory=run.inventory,
        run=run.id,
        who=process.myself(run.id).who,
        report=f"{run.folder}/report.html",
        counts=dict(_counts(run) if counts is None else counts),
        failed=failed,
        held=dict(sorted(run.held.items())),
        rings=sorted({run.clusters[name].ring for name in run.held}),
        exit=code,
    )
    import gevent

    for receiver in found:
        receiver.waiting.append(it)
        if receiver.sender is None or receiver.sender.ready():
            receiver.sender = gevent.spawn(_send, receiver)


def flush() -> None:
    """Wait until everybody was told, as long as that makes sense."""
    import gevent

    senders = [it.sender for it in receivers() if it.sender is not None]
    gevent.joinall(senders, timeout=PATIENCE)
    for it in receivers():
        if it.waiting or (it.sender is not None and not it.sender.ready()):
            _warn(it, f"no answer within {PATIENCE:.0f} s")


def receivers() -> list[Receiver]:
    """Each distinct address of the clusters of this run, once."""
    global _receivers
    if _receivers is None:
        _receivers = {}
        for it in _wanted(fleet_run.current()):
            url = environment.secret(it.url_env)
            one = _receivers.setdefault((it.kind, url), Receiver(it.kind, it.url_env, url))
            one.events |= set(it.events or ("start", "gate", "failure", "end"))
    return list(_receivers.values())


def _wanted(run: fleet_run.Run) -> Sequence[Notification]:
    state = run.state
    members = [it.name for it in state.inventory if state.is_host_in_limit(it)] if state else []
    return [it for name in members for it in run.clusters[name].notifications]


def _counts(run: fleet_run.Run) -> Mapping[str, int]:
    """Such as {"failed": 1, "changed": 3, "untouched": 57}; "changed" is at least begun."""
    found: Counter[str] = Counter()
    for host in run.state.inventory:
        if not run.state.is_host_in_limit(host):
            continue
        if host.name in run.held:
            found["held"] += 1
        elif host.name in run.rolled_back:
            found["rolled back"] += 1
        elif not host.connected:
            found["unreachable"] += 1
        elif host in run.state.failed_hosts:
            found["failed"] += 1
        else:
            found["changed" if host.name in run.changed else "untouched"] += 1
    return found


def _send(receiver: Receiver) -> None:
    """
    All that waits, in order. Of failures that wait together only the last is sent: it names all.
    """
    while receiver.waiting:
        it = receiver.waiting.pop(0)
        following = receiver.waiting[0].event if receiver.waiting else None
        if it.event == following == "failure":
            continue
        body = messages.message(receiver.kind, it)
        problem = _post(receiver.url, body)
        if problem is not None:
            time.sleep(PAUSE)
            problem = _post(receiver.url, body)
        if problem is not None:
            _warn(receiver, problem)


def _post(url: str, body: dict[str, Any]) -> str | None:
    """
    What went wrong, in words that do not hold the address, or None. What a library says of a
    failed request names its path, which is the secret.
    """
    import gevent
    import requests

    try:
        with gevent.Timeout(TIMEOUT, TimeoutError()):
            answer = requests.post(url, json=body, timeout=TIMEOUT, allow_redirects=False)
    except (TimeoutError, requests.Timeout):
        return f"no answer within {TIMEOUT:.0f} s"
    except (requests.RequestException, OSError, ValueError) as error:
        return f"cannot be reached ({type(error).__name__})"
    return None if answer.ok and not answer.is_redirect else f"answered {answer.status_code}"


def _warn(receiver: Receiver, problem: str) -> None:
    """One line a receiver; the journal has each."""
    fleet_run.journal(
        "notification failed", kind=receiver.kind, variable=receiver.variable, why=problem
    )
    if not receiver.warned:
        receiver.warned = True
        text = f"notification to {receiver.kind} ({receiver.variable}) failed: {problem}"
        click.secho(f"{text}: the run goes on", fg="yellow", err=True)
