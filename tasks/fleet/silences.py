"""Which findings of a run count: the silences of each cluster's data hold some of its own back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from tasks.checks.findings import Finding, Judged, Silence, in_order, silenced
from tasks.fleet import run as fleet_run
from tasks.fleet.inventory import Cluster


def judged(run: fleet_run.Run) -> Judged:
    """
    Judge the findings of all clusters by today's date; ``run.findings`` is left with those that
    count.
    """
    today = fleet_run.now().date()
    counting = [it for it in run.findings if it.where.cluster not in run.clusters]
    silent: list[tuple[Finding, Silence]] = []
    for name, data in run.clusters.items():
        one = held_back((it for it in run.findings if it.where.cluster == name), data, today)
        counting += one.open
        silent += one.silent
    # a silence of the whole fleet that ran out is one finding, not one a cluster
    run.findings = in_order(dict.fromkeys(counting))
    return Judged(tuple(run.findings), tuple(silent))


def held_back(findings: Iterable[Finding], data: Cluster, today: date) -> Judged:
    """Findings of one cluster, by the silences of its data."""
    silences = [
        Silence(it.code, it.where, date.fromisoformat(it.until), it.reason) for it in data.silences
    ]
    return silenced(findings, silences, today)
