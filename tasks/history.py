"""
The last runs over the fleet as their folders tell of them, and what changed on each cluster since
the last good one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click
from pyinfra import host

from tasks import controller, desired, drift
from tasks.checks import drift as checks
from tasks.desired import Wanted
from tasks.fleet import audits, past
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fleet_operation
from tasks.fleet.inventory import Cluster
from tasks.fleet.recorder import ClusterResult
from tasks.fleet.tables import print_table
from tasks.plans import drift as drift_plans
from tasks.plans import history
from tasks.plans.evidence import duration
from tasks.plans.history import Past
from tasks.plans.references import to

SCHEMA = "envoyfleet.history/1"
RUNS = ("began (UTC)", "deploy", "who", "took", "how it ended", "clusters", "run")
COLUMNS = ("cluster", "ring", "last run", "how it ended", "last good run", "changed since")

_rows: dict[str, dict[str, Any]] = {}
_runs: list[Past] = []


def of_the_fleet() -> None:
    """
    Deploy code: list the last runs at these clusters, and compare each cluster with what the
    inventory wants of it; exit 3 where something changed since its last good run.
    """
    run = fleet_run.audit()
    data = fleet_run.cluster()
    if run.finish_audit is not _print:
        run.finish_audit = _print
        found, problems = past.runs(run.clusters, data.runs)
        _runs[:] = found
        for line in problems:
            click.echo(line, err=True)
        if not found:
            click.echo(f"{past.FOLDER}/ has no run at these clusters", err=True)
        _rows.update({name: _row(name, it) for name, it in run.clusters.items()})
    if data.drift:
        since(name="Drift", wanted=desired.wanted(host.name, data), data=data)


def _row(name: str, data: Cluster) -> dict[str, Any]:
    newest, good = history.last(_runs, name), history.last_good(_runs, name)
    return {
        "ring": data.ring,
        "last": newest.id if newest else None,
        "status": newest.clusters[name] if newest else None,
        "last_good": good.id if good else None,
        "drift": None,
    }


@fleet_operation()
def since(wanted: Wanted, data: Cluster) -> Steps:
    """What changed on one cluster since its last good run. Reads only."""
    yield from ()
    good = history.last_good(_runs, host.name)
    found = drift.compared(wanted, data)
    changes = []
    for it in found.drift.differences:
        written = history.written_at(it, found.live.get(to(it.thing)))
        if history.of_somebody(it) and history.is_since(written, good):
            changes.append((it, written))
    release = controller.newest_release(data)
    said = fleet_run.current().findings
    said += checks.findings(host.name, [it for it, _ in changes], wanted.origins)
    _rows[host.name]["drift"] = [
        drift_plans.as_dict(it, wanted.origins.get(to(it.thing)))
        | {"at": written.isoformat() if written else None}
        for it, written in changes
    ]
    if release and good and release.changed and history.is_since(release.changed, good):
        place, what = f"release {release.namespace}/{release.name}", f"revision {release.revision}"
        said.append(checks.release_changed(host.name, place, release.version, what, good.id))
        _rows[host.name]["drift"].append(
            {
                "object": place,
                "state": "changed",
                "by": None,
                "fields": [],
                "origin": None,
                "at": release.changed.isoformat(),
            }
        )


def _print(results: list[ClusterResult]) -> None:
    output = audits.asked()
    for it in results:
        if it.status in ("unreachable", "failed"):
            _rows[it.name]["unreachable"] = it.why
    if output != "json" and _runs:
        print_table(RUNS, [_cells(it) for it in _runs], output=output)
        sys.stdout.write("\n")
    runs = [_as_dict(it) for it in _runs]
    audits.show(results, _rows, SCHEMA, COLUMNS, _line, more={"runs": runs})


def _cells(it: Past) -> list[str]:
    took = duration((it.ended - it.began).total_seconds()) if it.ended else ""
    began = f"{it.began:%Y-%m-%d %H:%M}"
    return [began, it.deploy, it.who, took, it.how, it.counted, it.id]


def _as_dict(it: Past) -> dict[str, Any]:
    return {
        "id": it.id,
        "deploy": it.deploy,
        "inventory": it.inventory,
        "who": it.who,
        "began": it.began.isoformat(),
        "ended": it.ended.isoformat() if it.ended else None,
        "exit": it.exit,
        "state": it.state,
        "clusters": dict(it.clusters),
    }


def _line(name: str, row: Mapping[str, Any]) -> list[str]:
    changed = row["drift"]
    if changed is None:
        said = f"not read: {row['unreachable']}" if "unreachable" in row else "not read"
    elif not changed:
        said = "nothing"
    else:
        newest = max((it["at"] for it in changed if it["at"]), default=None)
        said = f"{len(changed)} objects" if len(changed) > 1 else changed[0]["object"]
        said += f", last {datetime.fromisoformat(newest):%Y-%m-%d %H:%M}" if newest else ""
    none = "none known"
    return [
        name,
        str(row["ring"]),
        row["last"] or none,
        row["status"] or "",
        row["last_good"] or none,
        said,
    ]
