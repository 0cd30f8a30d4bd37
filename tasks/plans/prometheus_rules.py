"""Rules in the form that Prometheus reads, out of the alerts and the settings of a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from tasks.plans import slo
from tasks.plans.alerts import ALERTS, RECORDS, Alert, Record, Settings


def groups(settings: Settings) -> list[dict[str, Any]]:
    """
    ``groups`` of a rule file, which is ``spec.groups`` of a PrometheusRule too: [{"name":
    "envoy-certificates", "rules": [{"alert": ..., "expr": ..., "for": "5m", "labels": {...},
    "annotations": {...}}]}], with "interval": "5m" where a group has its own. Recorded series come
    first, each after those that it is computed from.
    """
    wanted = [it for it in ALERTS if settings.exporters.issuperset(it.exporters)]
    return [
        *_groups(RECORDS, _kept_in, lambda it: recording(it, settings)),
        *_groups(wanted, lambda it: (it.group, None), lambda it: alerting(it, settings)),
    ]


def recording(record: Record, settings: Settings) -> dict[str, Any]:
    """A rule that records a series."""
    rule = {"record": record.name, "expr": _filled(record.expr, _objectives(settings))}
    return rule | ({"labels": dict(record.labels)} if record.labels else {})


def alerting(alert: Alert, settings: Settings) -> dict[str, Any]:
    """A rule that alerts."""
    values = _objectives(settings) | {
        it.name: settings.thresholds.get(f"{alert.name}.{it.name}", it.default)
        for it in alert.thresholds
    }
    return {
        "alert": alert.name,
        "expr": _filled(alert.expr, values),
        "for": alert.lasts,
        "labels": {
            "cluster": settings.cluster,
            "environment": settings.environment,
            "severity": alert.severity,
            **alert.labels,
        },
        "annotations": {
            "summary": _filled(alert.summary, values),
            "description": _filled(alert.description, values),
            "runbook_url": f"{settings.runbooks}#{alert.name.lower()}",
        },
    }


def _kept_in(record: Record) -> tuple[str, str | None]:
    return record.group or f"{record.name.partition(':')[0]}-records", record.every


def _groups(rules: Iterable[Any], group: Any, written: Any) -> list[dict[str, Any]]:
    return [
        {
            "name": f"envoy-{name}",
            **({"interval": every} if every else {}),
            "rules": [written(it) for it in them],
        }
        for (name, every), them in groupby(rules, key=group)
    ]


def _objectives(settings: Settings) -> dict[str, float]:
    """What expressions may name beside thresholds: "availability_1h", "latency_6h", "within"."""
    return {
        **{f"availability_{k}": it for k, it in slo.limits(settings.availability).items()},
        **{f"latency_{k}": it for k, it in slo.limits(settings.latency).items()},
        "within": settings.within,
    }


def _filled(text: str, values: Mapping[str, float]) -> str:
    """``${name}`` replaced; ``{{ $labels.pod }}`` and "$1" are Prometheus's own."""
    return re.sub(r"\$\{(\w+)\}", lambda it: f"{values[it[1]]:.12g}", text)
