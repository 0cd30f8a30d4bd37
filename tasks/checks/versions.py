"""
What is wrong with the versions on a cluster: support that ends, known CVEs, a controller that is
not its chart's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from tasks.checks.findings import Finding, Where
from tasks.plans import versions
from tasks.plans.releases import LINES, Line

SOON = timedelta(days=60)


@dataclass(frozen=True)
class Installed:
    """
    What runs on one cluster.

    + chart: version of the Helm release's chart, such as "1.9.1" or "v1.9.1"
    + controller: tag of the image that the controller really runs, such as "v1.9.1", or ``None``
      where it was not read or the image is named by digest alone
    + kubernetes: such as "1.35.4"
    """

    chart: str
    controller: str | None
    kubernetes: str


def version_findings(cluster: str, installed: Installed, today: date) -> Iterator[Finding]:
    """
    Everything to say about one cluster, in no order. ``cluster`` is the pyinfra host, such as
    "weu-1".
    """
    where = Where(cluster, "Envoy Gateway")
    line = versions.line(installed.chart)
    if line is None:
        yield Finding(
            code="GW200",
            severity="warning",
            where=where,
            what=f'release "{installed.chart}" is of no release line that envoyfleet knows',
            fix="update envoyfleet: none of its versions were checked",
        )
        return
    chart = str(versions.parse(installed.chart))
    yield from _support_ends(where, line, today)
    yield from _known_cves(where, chart)
    yield from _outside_support_matrix(cluster, chart, installed.kubernetes)
    yield from _not_its_chart(where, chart, installed.controller)


def _support_ends(where: Where, line: Line, today: date) -> Iterator[Finding]:
    left = line.end_of_life - today
    lasting = [it for it in LINES.values() if it.operated and it.end_of_life - today > SOON]
    fix = (
        f"upgrade to {lasting[0].newest} with deploys/upgrade.py"
        if lasting
        else "update envoyfleet, which knows no release line that lasts longer"
    )
    if left < timedelta(0):
        what = f"release line {line.minor} gets no more fixes since {line.end_of_life}"
        yield Finding("GW201", "warning", where, what, fix)
    elif left <= SOON:
        what = f"release line {line.minor} gets no more fixes after {line.end_of_life}"
        yield Finding("GW202", "warning", where, what, fix)


def _known_cves(where: Where, chart: str) -> Iterator[Finding]:
    cves = versions.known_cves(chart)
    if not cves:
        return
    yield Finding(
        code="GW203",
        severity="warning",
        where=where,
        what=f"release {chart} has {', '.join(f'{it.id} ({it.what})' for it in cves)}",
        fix=f"upgrade to {_first_without(chart)} with deploys/upgrade.py",
    )


def _first_without(chart: str) -> str:
    """The nearest newest patch that has none of the known faults, the line's own first."""
    mine = versions.parse(chart)
    newer = [it.newest for it in LINES.values() if versions.parse(it.newest) > mine]
    return next((it for it in newer if not versions.known_cves(it)), "a release that has the fixes")


def _outside_support_matrix(cluster: str, chart: str, kubernetes: str) -> Iterator[Finding]:
    problem = versions.kubernetes_problem(chart, kubernetes)
    if problem is not None:
        yield Finding(
            code="GW204",
            severity="warning",
            where=Where(cluster, "Kubernetes"),
            what=problem,
            fix="change the release line or the cluster so that both are in the support matrix",
        )


def _not_its_chart(where: Where, chart: str, controller: str | None) -> Iterator[Finding]:
    """
    ``helm upgrade --reuse-values`` keeps the old image under the new chart's name (measured with
    Helm 4.1 from 1.2 to 1.7). A tag such as "v1.9.1-hardened" is a build of the chart's release.
    """
    if controller is None or f"{controller.removeprefix('v')}-".startswith(f"{chart}-"):
        return
    yield Finding(
        code="GW205",
        severity="warning",
        where=where,
        what=f"chart {chart} is installed, but the controller runs image {controller}",
        fix="run deploys/upgrade.py, which changes both; never helm upgrade --reuse-values",
    )
