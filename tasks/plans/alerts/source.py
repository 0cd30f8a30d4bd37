"""What an alert and a recorded series are, before they are written for a back end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tasks.plans.metrics import Exporter

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Threshold:
    """A number of an alert that an inventory may change: ``${name}`` in its expression."""

    name: str
    default: float
    unit: str
    what: str


@dataclass(frozen=True)
class Record:
    """
    A recorded series.

    + name: such as "gateway:envoy_requests:rate5m"; + expr: PromQL
    + group: of rules; None is that of its level, such as "gateway-records"
    + every: how often its group is computed, such as "5m"; None is as often as all rules are
    """

    name: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    every: str | None = None


@dataclass(frozen=True)
class Alert:
    """
    + name: such as "EnvoyProxyDown"; the runbook is the entry of that name in docs/alerts.md
    + group: of rules, such as "certificates"
    + expr: PromQL with ``${threshold}``; + lasts: such as "5m", the ``for`` of a rule
    + summary: one line with labels as Prometheus writes them, such as
      "Gateway {{ $labels.gateway_namespace }}/{{ $labels.gateway }}: ..."
    + description: what it means for users, and the first thing to do
    + exporters: whose series it needs; it is left out where nothing exports them
    """

    name: str
    group: str
    severity: Severity
    expr: str
    lasts: str
    summary: str
    description: str
    exporters: tuple[Exporter, ...] = ("proxy",)
    thresholds: tuple[Threshold, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """
    What of an inventory decides rules.

    + cluster: its name, a label of every alert; + environment: such as "production", a label too
    + availability, latency: percent; + within: milliseconds, an edge of Envoy's buckets
    + thresholds: such as {"EnvoyProxyConnections.ratio": 0.7}; + runbooks: where docs/alerts.md is
    + exporters: what is scraped there
    """

    cluster: str
    environment: str = "production"
    availability: float = 99.9
    latency: float = 99.0
    within: int = 1000
    thresholds: Mapping[str, float] = field(default_factory=dict)
    runbooks: str = "docs/alerts.md"
    exporters: frozenset[Exporter] = frozenset(("proxy", "controller", "kube-state-metrics"))
