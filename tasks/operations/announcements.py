"""
What monitoring is told of a roll-out: a silence for alerts of what is being replaced, and a region
on the dashboards. Both are lifted at its end. Neither ever fails a cluster.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError
from pyinfra.context import ctx_host

from tasks.fleet import process
from tasks.fleet import run as fleet_run
from tasks.fleet.inventory import Cluster, Grafana
from tasks.operations import alertmanager, grafana
from tasks.plans import silences


@dataclass
class _Told:
    """+ place, silence: of Alertmanager; + annotation: of Grafana, begun at ``since``"""

    place: str | None = None
    silence: str | None = None
    annotation: int | None = None
    since: float = 0.0


#: By cluster.
_told: dict[str, _Told] = {}


def begun(data: Cluster) -> None:
    """Before the first write of a roll-out to this cluster."""
    run, settings = fleet_run.current(), data.monitoring
    alerts = silences.of(run.deploy)
    if settings is None or not state.is_executing or not alerts:
        return
    told = _told[host.name] = _Told(since=time.time())
    if settings.alertmanager.silence:
        _attempted("alerts not silenced", partial(_silence, data, alerts, told))
    if settings.grafana is not None and settings.grafana.url is not None:
        _attempted("not marked on dashboards", partial(_mark, settings.grafana, told))
    run.at_end[host.name] = partial(_end_in, ctx_host.get(), data)


def ended(data: Cluster) -> None:
    """
    Lift what ``begun`` made, and what a run that this one goes on with had left. Asks nobody where
    there is nothing to lift.
    """
    run, settings = fleet_run.current(), data.monitoring
    run.at_end.pop(host.name, None)
    told = _told.pop(host.name, _Told())
    old = [it for it in silences.left_over(run.before, host.name) if it != told.silence]
    if settings is None:
        return
    for it in (*old, *([told.silence] if told.silence else ())):
        _attempted("silence not lifted, it ends by itself", partial(_lift, data, told.place, it))
    if told.annotation is not None and settings.grafana is not None:
        _attempted("not marked on dashboards", partial(_mark, settings.grafana, told))


def _silence(data: Cluster, alerts: list[str], told: _Told) -> None:
    run = fleet_run.current()
    if data.monitoring is None:
        return
    told.place = alertmanager.place(data.monitoring)
    if told.place is None:
        return
    who = process.myself(run.id).who
    body = silences.body(host.name, alerts, run.id, who, fleet_run.now(), data.timeout)
    told.silence = alertmanager.silenced(told.place, body)
    fleet_run.journal(silences.MADE, cluster=host.name, silence=told.silence, alerts=alerts)


def _lift(data: Cluster, place: str | None, silence: str) -> None:
    at = place or (alertmanager.place(data.monitoring) if data.monitoring else None)
    if at is not None:
        alertmanager.lifted(at, silence)
    fleet_run.journal(silences.LIFTED, cluster=host.name, silence=silence)


def _mark(settings: Grafana, told: _Told) -> None:
    run = fleet_run.current()
    end = None if told.annotation is None else time.time()
    text, tags = f"{run.deploy} of {host.name}: run {run.id}", [run.deploy, host.name]
    told.annotation = grafana.annotate(settings, text, tags, told.since, end, told.annotation)


def _attempted(otherwise: str, do: Any) -> None:
    try:
        do()
    except DeployError as error:
        fleet_run.note(host, "monitoring", f"{otherwise}: {error}")
        host.log(f"{otherwise}: {error}")


def _end_in(cluster: Any, data: Cluster) -> None:
    """``ended``, from outside of an operation."""
    with ctx_host.use(cluster):
        ended(data)
