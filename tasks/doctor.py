"""
Whether a run could begin: programs, lock, reach and rights, each with what to do where it is
missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyinfra import host

from tasks.checks.readiness import Readiness, readiness_findings
from tasks.fleet import audits, charts, rights
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fleet_operation, kubernetes_version, sign_in
from tasks.fleet.inventory import Cluster
from tasks.fleet.recorder import ClusterResult
from tasks.operations import helm
from tasks.plans.rights import deploys

SCHEMA = "envoyfleet.doctor/1"
COLUMNS = ("cluster", "kubernetes", "helm", "chart", "sign-in", "rights")

_rows: dict[str, dict[str, Any]] = {}


def of_the_fleet() -> None:
    """
    Deploy code: look at everything that a run needs, print one table, exit 3 where something is
    missing.
    """
    run = fleet_run.audit()
    run.finish_audit = _print
    look(name="Doctor", data=fleet_run.cluster())


@fleet_operation()
def look(data: Cluster) -> Steps:
    """One row. Reads only: one request for an administrator, see ``rights.denied``."""
    yield from ()
    pinned, lock_problem = None, None
    name = data.chart.rstrip("/").rpartition("/")[2]
    try:
        pinned = charts.read_lock(Path(data.lock)).get(name, {}).get(data.envoy_gateway_version)
    except charts.ChartRefused as error:
        lock_problem = str(error)
    how = sign_in()
    needed = deploys.before_writing(rights.places(data))
    denied = [it.text for it in rights.denied(needed, data.namespace)]
    seen = Readiness(
        helm=helm.version(data.helm),
        helm_binary=data.helm,
        chart=data.chart,
        version=data.envoy_gateway_version,
        lock=data.lock,
        pinned=pinned,
        lock_problem=lock_problem,
        lock_command=charts.lock_command(
            data.chart,
            data.envoy_gateway_version,
            Path(data.lock),
            data.helm,
            data.chart_plain_http,
        ),
        plugin=(how.program, shutil.which(how.program) is not None) if how.program else None,
        kubernetes=kubernetes_version(),
        denied=denied,
    )
    fleet_run.current().findings += readiness_findings(host.name, seen)
    _rows[host.name] = {
        "kubernetes": seen.kubernetes,
        "helm": seen.helm,
        "envoy_gateway_version": data.envoy_gateway_version,
        "digest": pinned,
        "sign_in": how.how,
        "rights": len(needed),
        "denied": denied,
    }


def _print(results: list[ClusterResult]) -> None:
    audits.show(results, _rows, SCHEMA, COLUMNS, _line)


def _line(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    if "unreachable" in row:
        return (name, "-", "", "", "", f"not reached: {row['unreachable']}")
    return (
        name,
        row["kubernetes"],
        row["helm"] or "missing",
        f"{row['envoy_gateway_version']} {'pinned' if row['digest'] else 'not pinned'}",
        row["sign_in"],
        f"{row['rights'] - len(row['denied'])} of {row['rights']}",
    )
