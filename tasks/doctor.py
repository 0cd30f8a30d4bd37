"""Whether a run could begin: programs, lock, reach and rights, each with what to do where it is missing."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from pyinfra import host

from tasks.checks.findings import Finding, Where
from tasks.connectors import kubeconfig
from tasks.facts.permissions import MayDo
from tasks.fleet import charts
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fact, fleet_operation
from tasks.fleet.inventory import Cluster
from tasks.fleet.tables import print_findings, print_table
from tasks.plans import permissions
from tasks.plans.versions import kubernetes_problem

COLUMNS = ("cluster", "kubernetes", "helm", "chart", "sign-in", "rights")

_rows: dict[str, tuple[str, ...]] = {}


def of_the_fleet() -> None:
    """Deploy code: look at everything that a run needs, print one table, exit 3 where something is missing."""
    run = fleet_run.audit()
    run.finish_audit = _print
    look(name="Doctor", data=fleet_run.cluster())


@fleet_operation()
def look(data: Cluster) -> Steps:
    """One row. Reads only: one request a right."""
    yield from ()
    found: list[Finding] = []

    def missing(code: str, what: str, fix: str, severity: Any = "error", at: str | None = None) -> str:
        found.append(Finding(code, severity, Where(host.name, at), what, fix))
        return "missing"

    helm = helm_version(data.helm) or missing(
        "GW301", f"{data.helm} does not run", "install Helm 3.17 or newer, or set helm in the inventory"
    )
    name = data.chart.rstrip("/").rpartition("/")[2]
    version = data.envoy_gateway_version
    try:
        pinned = charts.read_lock(Path(data.lock)).get(name, {}).get(version)
    except charts.ChartRefused as error:
        pinned = None
        missing("GW302", str(error), "correct the lock", at=data.lock)
    chart = f"{version} pinned" if pinned else missing(
        "GW302",
        f"{data.lock} does not pin {name} {version}",
        f"python -m tasks.fleet.charts lock {data.chart} {version}",
    )
    plugin = sign_in(host.data.get("kube_context"), host.data.get("kube_config"))
    if plugin not in ("token", "certificate", "none") and shutil.which(plugin) is None:
        plugin = missing("GW303", f"{plugin} is not installed", "install it: the kubeconfig signs in with it")
    kubernetes = host.connector.kubernetes_version
    problem = kubernetes_problem(version, kubernetes)
    if problem:
        missing("GW304", problem, "upgrade Kubernetes, or choose another release", "warning")
    wanted = permissions.needed(data.namespace)
    denied = [str(it) for it in wanted if not fact(MayDo, right=it)]
    for right in denied:
        missing("GW305", f"not allowed: {right}", "ask for a role that allows it")
    rights = f"{len(wanted) - len(denied)} of {len(wanted)}"
    _rows[host.name] = (host.name, kubernetes, helm, chart, plugin, rights)
    fleet_run.current().findings += found


@cache
def helm_version(binary: str) -> str | None:
    """Such as "v4.1.4", asked once a run, or None where the program does not run."""
    try:
        done = subprocess.run(
            [binary, "version", "--template", "{{.Version}}"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def sign_in(context: str, explicit: str | None) -> str:
    """How the kubeconfig signs in: an exec plugin's command such as "kubelogin", "token" or "certificate"."""
    user = kubeconfig.one_context(context, explicit)["users"][0]["user"]
    if user.get("exec"):
        return str(user["exec"].get("command"))
    if user.get("token") or user.get("tokenFile"):
        return "token"
    return "certificate" if user.get("client-certificate") or user.get("client-certificate-data") else "none"


def _print(results: list[Any]) -> None:
    run = fleet_run.current()
    output = next((it.output for it in run.clusters.values() if it.output), None)
    rows = [
        _rows.get(it.name, (it.name, "-", "", "", "", f"not reached: {it.why or 'no answer'}")) for it in results
    ]
    print_table(COLUMNS, rows, output=output, schema="envoyfleet.doctor/1")
    if run.findings and output != "json":
        print_findings(run.findings, output)
