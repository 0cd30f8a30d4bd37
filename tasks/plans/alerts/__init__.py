"""
The alerts of Envoy Gateway and the series they are computed from, each a value: tested by promtool,
by mutation, and by scenes on real Envoys. docs/alerts.md has an entry for each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches

from tasks.plans.alerts import (
    availability,
    backends,
    certificates,
    configuration,
    control_plane,
    latency,
    limits,
    proxies,
    scraping,
    traffic,
)
from tasks.plans.alerts.records import RECORDS
from tasks.plans.alerts.source import Alert, Record, Settings, Threshold

__all__ = [
    "ALERTS",
    "RECORDS",
    "THRESHOLDS",
    "Alert",
    "Record",
    "Settings",
    "Threshold",
    "problems",
]

ALERTS: tuple[Alert, ...] = (
    *availability.ALERTS,
    *latency.ALERTS,
    *traffic.ALERTS,
    *backends.ALERTS,
    *limits.ALERTS,
    *certificates.ALERTS,
    *proxies.ALERTS,
    *control_plane.ALERTS,
    *configuration.ALERTS,
    *scraping.ALERTS,
)
#: By the name that an inventory gives, such as "EnvoyCertificateExpires.days".
THRESHOLDS: Mapping[str, Threshold] = {
    f"{it.name}.{one.name}": one for it in ALERTS for one in it.thresholds
}


def problems(thresholds: Mapping[str, float]) -> list[str]:
    """What is wrong with thresholds of an inventory, a line each."""
    found = ((name, _problem(name, value)) for name, value in thresholds.items())
    return [f"{name}: {problem}" for name, problem in found if problem]


def _problem(name: str, value: float) -> str | None:
    threshold = THRESHOLDS.get(name)
    if threshold is None:
        near = get_close_matches(name, THRESHOLDS, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        return f"no alert has this threshold: {meant}docs/alerts.md has them all"
    if not math.isfinite(value):
        return f"{value} is no number of {threshold.unit}"
    if value < 0:
        return f"{value:g} {threshold.unit} is less than nothing"
    if threshold.unit == "ratio" and value > 1:
        return f"{value:g} is more than all: a ratio goes from 0 to 1"
    return None
