"""
Envoy Gateway on one cluster: CRDs, controller, Gateways, proof; in this order, whatever the start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyinfra import host
from pyinfra.api.exceptions import DeployError

from tasks import change, controller, crds, desired, drift, gateways, rollback
from tasks.fleet import charts
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.charts import Chart
from tasks.fleet.guard import Steps, fleet_operation, kubernetes_version
from tasks.fleet.inventory import Cluster
from tasks.operations import wanted as reading
from tasks.plans import helm as releases
from tasks.plans import images, priorities, versions

#: The controller's leader election (Envoy Gateway 1.9 source,
#: internal/provider/kubernetes/kubernetes.go).
LEASE = "5b9825d2.gateway.envoyproxy.io"
DEPLOYMENT = "envoy-gateway"
JSON = "application/json"

#: By cluster: the record that was read last, and what it says.
_read: dict[str, tuple[tuple[str, str], releases.Release | None]] = {}


@dataclass(frozen=True)
class Desired:
    """What the inventory wants of one cluster, complete before anything is touched."""

    data: Cluster
    chart: Chart
    values: Mapping[str, Any]
    objects: Sequence[Mapping[str, Any]]


def install() -> None:
    """
    Deploy code: Envoy Gateway where there is none; with the wanted release there, what differs is
    put right. Files of ``objects`` are applied as ``deploys/gateways.py`` applies them: a class or
    a policy that Gateways need may be among them.
    """
    wanted = wanted_of(host.name, fleet_run.cluster())
    data, whole = wanted.data, None
    if data.objects:
        whole = drift.refused_where_wrong(data)
    with attempt("Install") as it:
        fit(name="Preflight", data=data, manifests=wanted.objects)
        if whole:
            drift.fit(name="Objects and this cluster", wanted=whole, data=data)
        gateways.watched(name="Watch traffic", data=data)
        _release(wanted)
        if whole:
            drift.applied(name="Objects", wanted=whole, data=data)
            drift.proven(name="Traffic", wanted=whole, data=data, always=True)
        else:
            _gateways(wanted)
    with it.always():
        gateways.judged(name="Traffic meanwhile", data=wanted.data)
        change.ended(name="Lease", data=wanted.data)
    settle(it)


def upgrade() -> None:
    """
    Deploy code: Envoy Gateway from the release that is there to the one that the inventory wants,
    and back to the last good state where that fails.
    """
    wanted = wanted_of(host.name, fleet_run.cluster())
    with attempt("Upgrade") as it:
        gateways.watched(name="Watch traffic", data=wanted.data)
        opened(name="Lease and backup", data=wanted.data, chart=wanted.chart, values=wanted.values)
        _release(wanted)
        _gateways(wanted)
    with it.rescue():
        rollback.steps(wanted.data, asked=False)
    with it.always():
        gateways.judged(name="Traffic meanwhile", data=wanted.data)
        change.ended(name="Lease", data=wanted.data)
    settle(it)


def roll_back() -> None:
    """Deploy code: this cluster back to its last good state, or to ``rollback_to``."""
    data = fleet_run.cluster()
    with attempt("Roll back") as it:
        rollback.fit(name="Preflight", data=data)
        gateways.watched(name="Watch traffic", data=data)
        rollback.steps(data, asked=True)
    with it.always():
        gateways.judged(name="Traffic meanwhile", data=data)
        change.ended(name="Lease", data=data)
    settle(it)


def _release(wanted: Desired) -> None:
    data, chart = wanted.data, wanted.chart
    crds.installed(name="CRDs", chart=chart, data=data)
    crds.migrated(name="Stored versions", chart=chart, data=data)
    controller.installed(name="Controller", data=data, chart=chart, values=wanted.values)
    crds.guarded(name="Safe-upgrades policy", chart=chart, data=data)


def _gateways(wanted: Desired) -> None:
    gateways.applied(name="Gateways", manifests=wanted.objects, data=wanted.data)
    gateways.serving(name="Traffic", data=wanted.data)


def wanted_of(name: str, data: Cluster) -> Desired:
    """
    Chart, values and objects of one cluster. Raises Refused, ChartRefused or TemplateRefused:
    called from deploy code, each ends the run with exit 2 before any cluster is touched.
    """
    try:
        images.wanted(data)
    except ValueError as error:
        raise fleet_run.Refused(f"{name}: {error}") from error
    chart = charts.once(
        data.chart, data.envoy_gateway_version, Path(data.lock), data.helm, data.chart_plain_http
    )
    return Desired(data, chart, desired.values(name, data), desired.objects(name, data))


@fleet_operation()
def fit(data: Cluster, manifests: Sequence[Mapping[str, Any]]) -> Steps:
    """
    Stop where the wanted version, or these objects, must not be put on this cluster. Reads only.
    """
    yield from ()
    release = controller.readable_release(data, anew=True)
    installed = controller.version_that_runs(data, release)
    wanted = data.envoy_gateway_version
    problem = versions.refusal(installed, wanted) or versions.kubernetes_problem(
        wanted, kubernetes_version()
    )
    if not problem and installed not in (None, wanted):
        problem = f"Envoy Gateway {installed} is installed: go to {wanted} with deploys/upgrade.py"
    if not problem and release is None:
        problem = controller.of_somebody_else(data)
    if problem:
        raise DeployError(problem)
    first = data.controller.priority_class
    missing = reading.missing_priorities(manifests, first)
    if missing:
        raise DeployError(
            "; ".join(it.text for it in priorities.reasons(manifests, first, missing))
        )
    fleet_run.note(host, "Envoy Gateway", wanted)


@fleet_operation()
def opened(data: Cluster, chart: Chart, values: Mapping[str, Any]) -> Steps:
    """
    Where the release or the CRDs are going to change, or an earlier run was broken off: take the
    Lease, make the backup, write down the last good state, and mend what a killed helm left.
    """
    yield from ()
    release = controller.readable_release(data, anew=True)
    holds = release and release.holds(chart.version, chart.content, values)
    interrupted = host.name in fleet_run.current().interrupted
    if holds and not crds.behind(chart) and not interrupted:
        host.noop("nothing is going to change")
        return
    change.begin(data)
    controller.unstick(data)
