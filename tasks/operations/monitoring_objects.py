"""The objects of monitoring on a cluster, rendered as its inventory and its back end want them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyinfra import host

from tasks.fleet.inventory import Cluster, Monitoring, Receiver
from tasks.fleet.render import render
from tasks.plans import back_ends, monitors, prometheus_rules
from tasks.plans.alerts import Settings
from tasks.plans.back_ends import BackEnd
from tasks.plans.metrics import Exporter
from tasks.plans.objects import MANAGER

Object = Mapping[str, Any]
#: Label of what we applied, and may delete.
OURS = {"app.kubernetes.io/managed-by": MANAGER}
#: How Alertmanager tells of alerts that belong together.
SUMMARY = "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ end }}"
TEXT = (
    "{{ range .Alerts }}{{ .Annotations.description }}\n{{ .Annotations.runbook_url }}\n{{ end }}"
)


def rules(settings: Monitoring, label: str) -> list[dict[str, Any]]:
    """Groups of rules, as the inventory wants them; + label: ``cluster`` of their series"""
    objectives = settings.objectives
    return prometheus_rules.groups(
        Settings(
            label,
            settings.environment,
            objectives.availability,
            objectives.latency,
            objectives.within,
            settings.thresholds,
            settings.runbooks,
        )
    )


def wanted(
    data: Cluster,
    settings: Monitoring,
    back_end: BackEnd,
    label: str,
    groups: Sequence[Object],
    receivers: Sequence[Receiver],
) -> Iterator[dict[str, Any]]:
    """
    Monitors, and where the operator judges rules and routes too, as they are applied. Raises
    TemplateRefused.

    + label: ``cluster`` of the series; + groups: of rules; + receivers: whose Secrets are there
    """
    place = {"namespace": settings.namespace, "labels": {**settings.labels, **OURS}}
    for exporter in monitors.TARGETS:
        yield from _monitor(data, settings, back_end, label, exporter, place)
    if back_end != "operator":
        return
    yield from render("monitoring/prometheusrule.yaml.j2", host.name, groups=groups, **place)
    if receivers:
        yield from render(
            "monitoring/alertmanagerconfig.yaml.j2",
            host.name,
            receivers=[it.model_dump() for it in receivers],
            summary=SUMMARY,
            text=TEXT,
            **place,
        )


def _monitor(
    data: Cluster,
    settings: Monitoring,
    back_end: BackEnd,
    label: str,
    exporter: Exporter,
    place: dict[str, Any],
) -> list[dict[str, Any]]:
    name = monitors.TARGETS[exporter].name
    values = monitors.pod_monitor(
        exporter,
        label,
        group=back_ends.GROUPS[back_end],
        controller_namespace=data.namespace,
        interval=settings.interval,
        stats=settings.stats,
    )
    return render(
        "monitoring/podmonitor.yaml.j2", host.name, part=name, name=name, **values | place
    )
