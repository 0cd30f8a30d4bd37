"""
How a run went, for Prometheus: a file for the textfile collector of node_exporter, whole or not at
all. Whoever scrapes may read it, so it is the one file of a run that is not its owner's alone.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tasks.fleet import run as fleet_run
from tasks.fleet.inventory.reading import together
from tasks.plans.history import GOOD
from tasks.plans.run_pages import STATUSES, lost

if TYPE_CHECKING:
    from tasks.fleet.inventory import Cluster
    from tasks.fleet.recorder import ClusterResult

#: Exit codes of a run that went as it should, with findings or without.
WELL = (fleet_run.DONE, fleet_run.FINDINGS)
SUCCESS = "envoyfleet_run_last_success_timestamp_seconds"
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")


def problems(clusters: Mapping[str, Cluster]) -> list[str]:
    """Folders that are none, a line each; empty where all are there."""
    found: dict[str, list[str]] = {}
    for name, data in clusters.items():
        if data.metrics_folder is not None and not Path(data.metrics_folder).is_dir():
            why = f"metrics_folder: {data.metrics_folder} is no folder: make it, or name another"
            found.setdefault(why, []).append(name)
    return together(found)


def write(run: fleet_run.Run, results: Sequence[ClusterResult], code: int) -> None:
    """One file in each folder that the inventory names, of the clusters that name it."""
    folders: dict[str, list[ClusterResult]] = {}
    for it in results:
        folder = run.clusters[it.name].metrics_folder
        if folder is not None:
            folders.setdefault(folder, []).append(it)
    for folder, members in folders.items():
        path = Path(folder) / f"{file_name(run)}.prom"
        try:
            _write(path, run, members, code)
        except OSError as error:
            why = error.strerror or type(error).__name__
            click.secho(f"metrics: {path}: {why}: not written", fg="yellow", err=True)


def file_name(run: fleet_run.Run) -> str:
    """One a schedule, such as "envoyfleet-prod-rotate-certificates"."""
    named = f"envoyfleet-{Path(run.inventory).stem}-{run.deploy}-{_shard(run) or ''}"
    return _UNSAFE.sub("-", named).strip("-")


def _shard(run: fleet_run.Run) -> str | None:
    return next((it.shard for it in run.clusters.values()), None)


def _write(path: Path, run: fleet_run.Run, results: Iterable[ClusterResult], code: int) -> None:
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

    registry = CollectorRegistry()
    shard = _shard(run)
    about = {"deploy": run.deploy, "inventory": run.inventory} | ({"shard": shard} if shard else {})

    def say(name: str, what: str, value: float, **labels: Any) -> None:
        key = (name, tuple(labels))
        if key not in gauges:
            gauges[key] = Gauge(name, what, [*about, *labels], registry=registry)
        gauges[key].labels(**about, **labels).set(value)

    gauges: dict[tuple[str, tuple[str, ...]], Any] = {}
    ended = fleet_run.now()
    begun_at, ended_at = run.started.timestamp(), ended.timestamp()
    well = ended_at if code in WELL else _before(path, about)
    say("envoyfleet_run_start_timestamp_seconds", "When the last run began.", begun_at)
    say("envoyfleet_run_end_timestamp_seconds", "When the last run ended.", ended_at)
    if well is not None:
        say(SUCCESS, "When a run last ended with exit code 0 or 3.", well)
    say("envoyfleet_run_duration_seconds", "How long the last run took.", ended_at - begun_at)
    say("envoyfleet_run_exit_code", "Exit code of the last run.", code)
    members = [*results]
    counts = Counter(it.status for it in members)
    for status in STATUSES:
        say("envoyfleet_run_clusters", "Clusters by how they fared.", counts[status], status=status)
    severities = Counter(it.severity for it in run.findings)
    for severity in ("error", "warning", "info"):
        what = "Findings that count, by severity."
        say("envoyfleet_run_findings", what, severities[severity], severity=severity)
    for it in members:
        labels = {"cluster": it.name, "ring": str(it.ring)}
        what = "1 where the cluster is done or unchanged, else 0."
        say("envoyfleet_run_cluster_succeeded", what, it.status in GOOD, **labels)
        if it.traffic:
            what = "Requests that were sent through its proxies while it was changed."
            say("envoyfleet_run_probe_requests", what, it.traffic["requests"], **labels)
            what = "Those of them that got no good answer."
            say("envoyfleet_run_probe_requests_lost", what, lost(it.traffic), **labels)
    ours = os.umask(0o022)  # node_exporter is another user
    try:
        write_to_textfile(str(path), registry)
    finally:
        os.umask(ours)


def _before(path: Path, about: Mapping[str, str]) -> float | None:
    """The last success that the file knows, None where it cannot be read."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        text = path.read_text()
        for family in text_string_to_metric_families(text):
            for it in family.samples:
                if it.name == SUCCESS and it.labels == about:
                    return float(it.value)
    except (OSError, ValueError, KeyError, IndexError):
        return None
    return None
