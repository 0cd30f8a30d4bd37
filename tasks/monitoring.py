"""
Monitoring on one cluster: monitors, rules, receivers and dashboards as the inventory wants them,
and proof that they are at work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError

from tasks import change, public_ips
from tasks.checks import monitoring as checks
from tasks.checks.findings import Finding
from tasks.connectors.command import KubeCommand
from tasks.facts.kube import KubeObject, KubeObjects, ServedVersions
from tasks.fleet import audits
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.guard import FactFailed, Steps, fact, fleet_operation
from tasks.fleet.inventory import Cluster, Grafana, Monitoring, Receiver, Workspace
from tasks.fleet.recorder import ClusterResult
from tasks.operations import grafana, monitoring_objects, read_back, rule_files, rule_groups
from tasks.operations.grafana import Write
from tasks.operations.kube import apply_steps, show, wait_until
from tasks.operations.read_back import Provisioned, Seen
from tasks.plans import back_ends, kinds, monitors, objects
from tasks.plans import rule_groups as azure_rules
from tasks.plans.back_ends import Chosen
from tasks.plans.kinds import AZURE_MONITOR, PROMETHEUS_OPERATOR, title
from tasks.plans.objects import MANAGER
from tasks.plans.rule_groups import Place

Object = Mapping[str, Any]
SCHEMA = "envoyfleet.monitoring/1"
COLUMNS = ("cluster", "back end", "targets", "rule groups", "receivers", "dashboards", "findings")
SELECTOR = f"app.kubernetes.io/managed-by={MANAGER}"
#: Kinds of which those with our label that are not wanted any more are deleted.
KINDS = (
    (f"{PROMETHEUS_OPERATOR}/v1", "PodMonitor"),
    (f"{PROMETHEUS_OPERATOR}/v1", "ServiceMonitor"),
    (f"{PROMETHEUS_OPERATOR}/v1", "PrometheusRule"),
    (f"{PROMETHEUS_OPERATOR}/v1alpha1", "AlertmanagerConfig"),
    (f"{AZURE_MONITOR}/v1", "PodMonitor"),
    (f"{AZURE_MONITOR}/v1", "ServiceMonitor"),
)
#: Seconds that a reload may take: the kubelet projects a ConfigMap within a minute or so.
RELOAD = 150


@dataclass
class _Here:
    """
    A cluster as this run knows it.

    + wanted: None where nothing was provisioned; + place: of rule groups of Azure, else None
    """

    chosen: Chosen
    wanted: Provisioned | None = None
    place: Place | None = None
    row: dict[str, Any] = field(default_factory=dict)


#: By cluster.
_here: dict[str, _Here] = {}
#: By cluster and name.
_namespaces: dict[tuple[str, str], Object] = {}


def provision() -> None:
    """Deploy code: what the inventory's ``monitoring`` says, on this cluster."""
    data = fleet_run.cluster()
    fleet_run.current().finish_audit = _print
    with attempt("Monitoring") as it:
        applied(name="Monitors and rules", data=data)
        if data.monitoring is not None and data.monitoring.workspace is not None:
            judged_by_azure(name="Rule groups of Azure", data=data)
        if data.monitoring is not None and data.monitoring.grafana is not None:
            shown(name="Dashboards", data=data)
        found_again(name="Read back", data=data)
    with it.always():
        change.ended(name="Lease", data=data)
    settle(it)


@fleet_operation()
def applied(data: Cluster) -> Steps:
    """
    Monitors, rules and receivers, in the form of the cluster's back end. What cannot be applied is
    a finding, and the rest goes on.
    """
    settings = data.monitoring
    if settings is None:
        host.noop("the inventory has no monitoring for this cluster")
        return
    served = fact(ServedVersions)
    here = _here[host.name] = _Here(back_ends.chosen(settings.backend, served))
    match here.chosen.back_end:
        case None:
            _note([_unprovisioned(data, settings, here.chosen)])
        case "files":
            yield from _in_files(data, settings, here)
        case "operator":
            if _has_namespaces(data, settings):
                yield from _by_operator(data, settings, here, served)
        case "azure":
            if _has_namespaces(data, settings):
                yield from _by_azure(data, settings, here, served)


@fleet_operation()
def judged_by_azure(data: Cluster) -> Steps:
    """
    The rules as rule groups of Azure Monitor, where that judges. What goes wrong with them is said
    of them alone.
    """
    from tasks.connectors.arm import ArmError

    here = _here.get(host.name)
    if here is None or here.place is None or here.wanted is None:
        host.noop("Azure Monitor does not judge here")
        return
    written = azure_rules.rule_groups(here.wanted.groups, here.place)
    _note(checks.over_limit(host.name, it) for it in written.refusals)
    if written.differences:
        fleet_run.note(host, "otherwise in Azure", "; ".join(written.differences))
    here.row["groups"] = {"wanted": len(written.groups), "loaded": 0}
    try:
        yield from rule_groups.applied_steps(
            written.groups, here.place, before=lambda: _begin(data)
        )
    except (ArmError, OperationError) as error:
        _note([checks.not_in_azure(host.name, "rule groups", str(error))])
    else:
        here.row["groups"]["loaded"] = len(written.groups)


@fleet_operation()
def shown(data: Cluster) -> Steps:
    """
    Dashboards: to Grafana itself, once a run for all clusters that share it, or as ConfigMaps for
    its sidecar. What somebody changed by hand is said before it is written over.
    """
    settings = data.monitoring
    if settings is None or settings.grafana is None:
        host.noop("the inventory has no Grafana for this cluster")
        return
    here = _here.setdefault(host.name, _Here(Chosen(None)))
    if settings.grafana.url is not None:
        yield from _in_grafana(settings.grafana, settings.runbooks, here)
    elif _has_namespaces(data, settings):
        yield from _as_config_maps(data, settings, settings.grafana, here)


@fleet_operation()
def found_again(data: Cluster) -> Steps:
    """What Prometheus and Alertmanager have; after a change, as soon as they have reloaded."""
    yield from ()
    here = _here.get(host.name)
    if not state.is_executing or here is None or here.wanted is None:
        return
    wanted, last = here.wanted, [Seen()]

    def missing() -> list[str]:
        last[0] = read_back.look(data, wanted)
        return [it.text for it in last[0].findings if checks.awaited(it)]

    with suppress(OperationError):  # what is missing still is a finding
        wait_until(missing, RELOAD if change.begun() else 0, every=3)
    here.row.update(last[0].row)
    _note(last[0].findings)


def _by_operator(
    data: Cluster, settings: Monitoring, here: _Here, served: Mapping[str, Sequence[str]]
) -> Steps:
    groups = monitoring_objects.rules(settings, host.name)
    receivers = list(_ready(settings))
    wanted = list(
        monitoring_objects.wanted(data, settings, "operator", host.name, groups, receivers)
    )
    # All of it is planned before the first write: pyinfra plans no further than that.
    yield from list(_changed(data, wanted, served))
    here.wanted = Provisioned(
        settings,
        "operator",
        host.name,
        wanted,
        groups,
        f"PrometheusRule {settings.namespace}/envoyfleet",
        [it.name for it in receivers],
        (_namespace(settings.namespace) or {})["metadata"].get("labels") or {},
    )


def _by_azure(
    data: Cluster, settings: Monitoring, here: _Here, served: Mapping[str, Sequence[str]]
) -> Steps:
    """Monitors in the cluster; ``judged_by_azure`` has the rules."""
    from tasks.connectors.arm import ArmError

    where = None
    try:
        where = here.place = _place(settings.workspace)
    except (ArmError, LookupError, ValueError) as error:
        _note([checks.not_in_azure(host.name, "rule groups", str(error))])
    label = where.cluster_label if where else host.name
    wanted = list(monitoring_objects.wanted(data, settings, "azure", label, (), ()))
    groups = monitoring_objects.rules(settings, label)
    here.wanted = Provisioned(settings, "azure", label, wanted, groups, "rule groups", (), {})
    # All of it is planned before the first write: pyinfra plans no further than that.
    yield from list(_changed(data, wanted, served))


def _place(workspace: Workspace | None) -> Place:
    """
    Where the rule groups of this cluster go. Raises ArmError, LookupError and ValueError.
    """
    if workspace is None:
        raise ValueError("the inventory has no monitoring.workspace: set it for its rule groups")
    aks = public_ips.cluster_of_azure()
    return azure_rules.place(
        host.name,
        workspace.id,
        workspace.location or rule_groups.location(workspace.id),
        subscription=workspace.subscription,
        resource_group=workspace.resource_group,
        aks=aks.id if aks else None,
        action_groups=workspace.action_groups,
    )


def _in_grafana(settings: Grafana, runbooks: str, here: _Here) -> Steps:
    """
    Where Grafana refuses or is away, that is a finding about Grafana, once for all clusters.
    """
    try:
        found = grafana.read(settings, runbooks)
        _note(checks.by_hand(it.title, it.lines) for it in found.changes if it.by_hand)
        for line in found.told():
            show(f"Grafana: {line}", [])
        if found.told():
            written = Write(settings, runbooks)
            yield written
            if state.is_executing:
                _note(checks.refused(it) for it in written.problems)
                found = grafana.read_again(settings, runbooks)
                _note(checks.no_dashboard(it.title) for it in found.changes)
        missing = len(found.changes) if state.is_executing else 0
        here.row["dashboards"] = len(found.wanted) - missing
    except (grafana.Refused, grafana.Failed) as error:
        _note([checks.refused(str(error))])


def _as_config_maps(data: Cluster, settings: Monitoring, boards: Grafana, here: _Here) -> Steps:
    wanted = grafana.config_maps(host.name, settings.namespace, boards, settings.runbooks)
    listed = fact(
        KubeObjects,
        api_version="v1",
        kind="ConfigMap",
        namespace=settings.namespace,
        labels=SELECTOR,
    )
    live = {kinds.path_of(it): it for it in listed}
    for it in wanted:
        there = live.get(kinds.path_of(it))
        by = objects.other_manager(there, "data") if there else None
        if there and by and not objects.holds(there["data"], it["data"]):
            _note([checks.config_map_by_hand(host.name, title(it), by)])
    kept = {kinds.path_of(it) for it in wanted}
    gone = [it for it in listed if _is_dashboard(it) and kinds.path_of(it) not in kept]
    steps = apply_steps(wanted, force=True, before=lambda: _begin(data))
    yield from [*steps, *_taken_away(data, gone)]  # planned before the first write
    here.row["dashboards"] = len(wanted)


def _is_dashboard(config_map: Object) -> bool:
    return str(config_map["metadata"]["name"]).startswith(f"{MANAGER}-")


def _unprovisioned(data: Cluster, settings: Monitoring, chosen: Chosen) -> Finding:
    """With what would be applied; it is in rendered/<cluster>/monitoring/ too."""
    back_end = settings.backend or "operator"
    groups = monitoring_objects.rules(settings, host.name)
    receivers = settings.alertmanager.receivers
    would = monitoring_objects.wanted(data, settings, back_end, host.name, groups, receivers)
    return checks.not_applied(
        host.name, "monitoring", chosen.why, [title(it) for it in would], chosen.fix
    )


def _in_files(data: Cluster, settings: Monitoring, here: _Here) -> Steps:
    groups = monitoring_objects.rules(settings, host.name)
    jobs = [
        monitors.scrape_config(
            it,
            host.name,
            controller_namespace=data.namespace,
            interval=settings.interval,
            stats=settings.stats,
        )
        for it in monitors.TARGETS
    ]
    documents = {"rules.yml": {"groups": groups}, "scrape.yml": {"scrape_configs": jobs}}
    place = rule_files.folder(settings.files, host.name)
    yield from rule_files.written_steps(place, documents)
    here.wanted = Provisioned(settings, "files", host.name, (), groups, str(place), (), {})


def _has_namespaces(data: Cluster, settings: Monitoring) -> bool:
    """Whether there is what a change needs; else that is a finding."""
    if _namespace(data.namespace) is None:
        why = f"Envoy Gateway is not installed (no namespace {data.namespace}): nothing was applied"
        _note([checks.unread(host.name, "monitoring", why, "run deploys/install.py first")])
        return False
    if _namespace(settings.namespace) is None:
        why = f"namespace {settings.namespace} does not exist: nothing was applied"
        fix = "create it, or correct monitoring.namespace"
        _note([checks.unread(host.name, "monitoring", why, fix)])
        return False
    return True


def _namespace(name: str) -> Object | None:
    """One request, once for each that is there."""
    key = (host.name, name)
    if key not in _namespaces:
        found = fact(KubeObject, api_version="v1", kind="Namespace", resource=name)
        if found is None:
            return None
        _namespaces[key] = found
    return _namespaces[key]


def _ready(settings: Monitoring) -> Iterator[Receiver]:
    """Receivers whose Secret is there: one that is not takes all others with it."""
    for it in settings.alertmanager.receivers:
        name = f"Secret {settings.namespace}/{it.secret}"
        try:
            secret = fact(
                KubeObject,
                api_version="v1",
                kind="Secret",
                resource=it.secret,
                namespace=settings.namespace,
            )
        except FactFailed as error:
            why = "may not be read by this identity" if error.forbidden else "cannot be read"
            _note([checks.unread(host.name, name, why, "look whether it is there yourself")])
            yield it
            continue
        if secret is None:
            _note([checks.no_secret(host.name, it.name, name, "does not exist")])
        elif it.key not in (secret.get("data") or {}):
            _note([checks.no_secret(host.name, it.name, name, f"has no key {it.key}")])
        else:
            yield it


def _changed(
    data: Cluster, wanted: Sequence[dict[str, Any]], served: Mapping[str, Sequence[str]]
) -> Steps:
    """
    Kind by kind, for an API server that refuses one kind still takes the others; then what we
    applied once and do not want any more. Others' objects do not have our label. One LIST a kind
    where nothing differs.
    """
    ours = {
        kinds.path_of(it): it
        for api_version, kind in KINDS
        if _resource(api_version, kind) in served
        for it in fact(KubeObjects, api_version=api_version, kind=kind, labels=SELECTOR)
    }
    for kind, of_kind in groupby(wanted, key=lambda it: (it["apiVersion"], it["kind"])):
        group = [*of_kind]
        if all(objects.is_applied(it, ours.get(kinds.path_of(it))) for it in group):
            continue
        resource = _resource(*kind)
        if kind[0].rpartition("/")[2] not in served.get(resource, ()):
            why = f"the CRD {resource} is not installed, or does not serve {kind[0]}"
            fix = "update prometheus-operator and its CRDs"
            _note([checks.not_applied(host.name, kind[1], why, [*map(title, group)], fix)])
            continue
        try:
            yield from list(apply_steps(group, before=lambda: _begin(data)))
        except OperationError as error:
            fix = "correct that; older CRDs than the template's need an update of the operator"
            _note([checks.not_applied(host.name, kind[1], str(error), [], fix)])
    kept = {kinds.path_of(it) for it in wanted}
    yield from _taken_away(data, [it for path, it in ours.items() if path not in kept])


def _resource(api_version: str, kind: str) -> str:
    """Such as "podmonitors.monitoring.coreos.com"."""
    return f"{kinds.kind_of(api_version, kind).plural}.{api_version.rpartition('/')[0]}"


def _taken_away(data: Cluster, those: Iterable[Object]) -> Steps:
    for it in those:
        show(f"Will delete {title(it)}", [])
        _begin(data)
        yield KubeCommand("DELETE", kinds.path_of(it), ok=[404])


def _begin(data: Cluster) -> None:
    change.begin(data, release=False)


def _note(found: Iterable[Finding]) -> None:
    run = fleet_run.current()
    for it in found:
        if it not in run.findings:  # the plan has said it
            run.findings.append(it)
            host.log(it.text)


def _print(results: list[ClusterResult]) -> None:
    rows = {name: _row(name, it) for name, it in _here.items()}
    for name, data in fleet_run.current().clusters.items():
        if data.monitoring is None:
            rows[name] = {"back_end": None}
    audits.show(results, rows, SCHEMA, COLUMNS, _line)


def _row(name: str, here: _Here) -> dict[str, Any]:
    codes = sorted({it.code for it in fleet_run.current().findings if it.where.cluster == name})
    return {"back_end": here.chosen.back_end, **here.row, "findings": codes}


def _line(name: str, row: Mapping[str, Any]) -> Sequence[str]:
    if "unreachable" in row:
        return (name, "unreachable", *[""] * (len(COLUMNS) - 2))
    return (
        name,
        row["back_end"] or "none",
        _of(row.get("targets"), "up"),
        _of(row.get("groups"), "loaded"),
        str(row.get("receivers", "")),
        str(row.get("dashboards", "")),
        ", ".join(row.get("findings", ())),
    )


def _of(counts: Mapping[str, int] | None, good: str) -> str:
    """Such as "3 of 3"."""
    return f"{counts[good]} of {counts['wanted']}" if counts else ""
