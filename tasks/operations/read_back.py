"""
What Prometheus and Alertmanager really have of what was applied: rules, targets, series, receivers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyinfra import host
from pyinfra.api.exceptions import DeployError

from tasks.checks import monitoring as checks
from tasks.checks.findings import Finding
from tasks.checks.monitoring import Target
from tasks.connectors import documents
from tasks.facts.kube import KubeObjects
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import fact
from tasks.fleet.inventory import Cluster, Monitoring, Workspace
from tasks.operations.prometheus import Prometheus, asked
from tasks.plans import back_ends, loaded, metrics, monitors, proxy_stats
from tasks.plans.back_ends import BackEnd
from tasks.plans.durations import seconds
from tasks.plans.kinds import ENVOY_GATEWAY, PROMETHEUS_OPERATOR, title
from tasks.plans.rule_groups import WORKSPACES

Object = Mapping[str, Any]
#: Scrapes that may not have happened yet of a Pod that has just begun.
YOUNG = 2


@dataclass(frozen=True)
class Provisioned:
    """
    What is to be found again.

    + label: ``cluster`` of its series
    + objects: as they were applied; + groups: of rules, as they were written
    + thing: what holds them, such as "PrometheusRule monitoring/envoyfleet"
    + receivers: names of those that were applied; + labels: of the namespace of the objects
    """

    settings: Monitoring
    back_end: BackEnd
    label: str
    objects: Sequence[Object]
    groups: Sequence[Object]
    thing: str
    receivers: Sequence[str]
    labels: Mapping[str, str]


@dataclass
class Seen:
    """+ row: for the table: {"prometheus": ..., "targets": {"wanted": 3, "up": 3}, ...}"""

    findings: list[Finding] = field(default_factory=list)
    row: dict[str, Any] = field(default_factory=dict)

    def failed(self, thing: str, error: DeployError) -> None:
        fix = "look why, and run again"
        self.findings.append(checks.unread(host.name, thing, f"could not be read: {error}", fix))


def look(data: Cluster, wanted: Provisioned) -> Seen:
    """All that can be asked. Reads only; a dozen requests at most."""
    seen = Seen()
    owners = _owners(wanted.back_end, "Prometheus", seen)
    place = _prometheus(wanted, owners, seen)
    seen.row["prometheus"] = place
    if place is None:
        seen.findings.append(
            checks.unread(
                host.name,
                "Prometheus",
                "nobody says where it is, so that nothing was read back",
                "set monitoring.prometheus",
            )
        )
    else:
        _of_prometheus(data, wanted, Prometheus(place), seen)
    _of_proxies(wanted, seen)
    if wanted.back_end == "operator":
        mine = [it for it in wanted.objects if it["kind"] in ("PodMonitor", "ServiceMonitor")]
        mine += [it for it in wanted.objects if it["kind"] == "PrometheusRule"]
        none = back_ends.untaken(owners, mine, wanted.labels) if owners else []
        seen.findings += checks.untaken(host.name, "Prometheus", none)
    _of_alertmanager(wanted, seen)
    return seen


def _owners(back_end: BackEnd, kind: str, seen: Seen) -> list[Object]:
    """Objects of the operator that run a Prometheus, or an Alertmanager."""
    if back_end != "operator":
        return []
    try:
        return [*fact(KubeObjects, api_version=f"{PROMETHEUS_OPERATOR}/v1", kind=kind)]
    except DeployError as error:
        seen.failed(f"{kind} objects", error)
        return []


def _prometheus(wanted: Provisioned, owners: Sequence[Object], seen: Seen) -> str | None:
    said = wanted.settings.prometheus
    if said is not None:
        return said
    if wanted.back_end == "azure":
        return _of_workspace(wanted.settings.workspace, seen)
    objects = [it for it in wanted.objects if it["kind"] != "ConfigMap"]
    return back_ends.place(owners, objects, wanted.labels, back_ends.PROMETHEUS)


def _of_workspace(workspace: Workspace | None, seen: Seen) -> str | None:
    """Where a workspace of Azure answers queries."""
    from tasks.connectors.arm import ArmError, session

    if workspace is None:
        return None
    try:
        found = session().get(workspace.id, WORKSPACES.api_version)
    except ArmError as error:
        seen.failed("workspace", DeployError(str(error)))
        return None
    return str(found["properties"]["metrics"]["prometheusQueryEndpoint"])


def _of_prometheus(data: Cluster, wanted: Provisioned, source: Prometheus, seen: Seen) -> None:
    """Rules, targets and series; what cannot be read is said, and the rest goes on."""
    jobs = "|".join(metrics.JOBS.values())
    own = f'cluster="{wanted.label}",job=~"{jobs}"'
    parts: dict[str, Callable[[], None]] = {
        "rules": lambda: _of_rules(wanted, source, seen),
        "targets": lambda: _of_targets(data, wanted, source, own, seen),
        "series": lambda: _of_series(wanted, source, own, seen),
    }
    for thing, read in parts.items():
        try:
            read()
        except DeployError as error:
            seen.failed(thing, error)


def _of_rules(wanted: Provisioned, source: Prometheus, seen: Seen) -> None:
    if wanted.back_end == "azure" or not source.tells_rules:  # they are in Azure
        return
    there = source.rules()
    seen.findings += checks.rules(host.name, wanted.thing, wanted.groups, there)
    found = [(it, loaded.of(it, there)) for it in wanted.groups]
    whole = sum(other is not None and loaded.whole(it, other) for it, other in found)
    seen.row["groups"] = {"wanted": len(wanted.groups), "loaded": whole}


def _of_targets(
    data: Cluster, wanted: Provisioned, source: Prometheus, own: str, seen: Seen
) -> None:
    up = source.query(f"up{{{own}}}")
    targets = _targets(data, seconds(wanted.settings.interval))
    down = any(value == 0 for _, value in up)
    errors = _errors(source) if down and source.tells_rules else {}
    seen.findings += checks.targets(host.name, targets, up, errors)
    alive = {(it.get("job"), it.get("pod")) for it, value in up if value == 1}
    fine = sum((it.job, it.pod) in alive for it in targets)
    seen.row["targets"] = {"wanted": len(targets), "up": fine}


def _of_series(wanted: Provisioned, source: Prometheus, own: str, seen: Seen) -> None:
    names: dict[str, list[str]] = {}
    for it, _ in source.query(f"count by (__name__, job) ({{{own}}})"):
        names.setdefault(it["job"], []).append(it["__name__"])
    seen.row["names"] = {job: len(those) for job, those in sorted(names.items())}
    seen.findings += checks.series(host.name, _needed(wanted.groups), names)
    proxy = metrics.JOBS["proxy"]
    labels = source.labels(f'{{cluster="{wanted.label}",job="{proxy}"}}')
    seen.findings += checks.leaks(host.name, labels)


def _needed(groups: Sequence[Object]) -> dict[str, list[str]]:
    """Of what rules stand on, what a healthy gateway has from its first minute, by job."""
    used = loaded.named(groups)
    return {
        metrics.JOBS[exporter]: [it for it in names if it in used]
        for exporter, names in checks.ALWAYS.items()
    }


def _targets(data: Cluster, interval: float) -> list[Target]:
    """Pods that are to be scraped. Three requests. Raises FactFailed."""
    found = []
    for exporter, it in monitors.TARGETS.items():
        pods = fact(
            KubeObjects,
            api_version="v1",
            kind="Pod",
            namespace=data.proxy_namespace if exporter == "proxy" else data.namespace,
            labels=",".join(f"{key}={value}" for key, value in it.selector.items()),
        )
        found += [
            Target(metrics.JOBS[exporter], pod["metadata"]["namespace"], pod["metadata"]["name"])
            for pod in pods
            if checks.scrapable(pod, fleet_run.now(), YOUNG * interval)
        ]
    return found


def _errors(source: Prometheus) -> dict[tuple[str, str], str]:
    """Why a scrape failed, by job and Pod."""
    return {
        (it["labels"].get("job", ""), it["labels"].get("pod", "")): str(it.get("lastError"))
        for it in source.targets()
        if it.get("health") == "down"
    }


def _of_proxies(wanted: Provisioned, seen: Seen) -> None:
    used = [metrics.metric_of(it) for it in sorted(loaded.named(wanted.groups))]
    needed = [it for it in used if it is not None]
    try:
        for it in fact(KubeObjects, api_version=f"{ENVOY_GATEWAY}/v1alpha1", kind="EnvoyProxy"):
            lines = proxy_stats.drops_needed(it, needed)
            seen.findings += checks.dropped(host.name, it, lines)
    except DeployError as error:
        seen.failed("EnvoyProxies", error)


def _of_alertmanager(wanted: Provisioned, seen: Seen) -> None:
    if wanted.back_end == "azure":
        workspace = wanted.settings.workspace
        groups = workspace.action_groups if workspace else []
        seen.findings += checks.receivers(host.name, (), groups)
        seen.row["receivers"] = len(groups)
        return
    owners = _owners(wanted.back_end, "Alertmanager", seen)
    config = [it for it in wanted.objects if it["kind"] == "AlertmanagerConfig"]
    if owners and config:
        none = back_ends.untaken(owners, config, wanted.labels)
        seen.findings += checks.untaken(host.name, "Alertmanager", none)
        for it in owners if not none else ():
            if not back_ends.routes_all(it):
                seen.findings.append(checks.never_asked(host.name, title(it)))
    said = wanted.settings.alertmanager.address
    place = said or back_ends.place(owners, config, wanted.labels, back_ends.ALERTMANAGER)
    if place is None:
        if wanted.receivers or wanted.back_end == "operator":
            seen.findings += checks.receivers(host.name, wanted.receivers, ())
        return
    try:
        there = list(_telling(asked(place, "/api/v2/status")))
    except DeployError as error:
        seen.failed("Alertmanager", error)
        return
    seen.row["receivers"] = len(there)
    seen.findings += checks.receivers(host.name, wanted.receivers, there)


def _telling(status: Object) -> Iterator[str]:
    """Receivers of Alertmanager's configuration that tell somebody; secrets are masked in it."""
    import yaml

    try:
        read = documents.one(str((status.get("config") or {}).get("original") or ""))
    except yaml.YAMLError:
        return
    for it in (read or {}).get("receivers") or ():
        if any(key.endswith("_configs") and value for key, value in it.items()):
            yield str(it.get("name"))
