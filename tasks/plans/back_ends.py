"""
Who scrapes the proxies of a cluster and judges their alerts, and which of its objects take ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tasks.plans.kinds import AZURE_MONITOR, PROMETHEUS_OPERATOR
from tasks.plans.listeners import selected

Object = Mapping[str, Any]
BackEnd = Literal["operator", "azure", "files"]
#: The group of the monitors of each, and what each is called.
GROUPS: Mapping[BackEnd, str] = {"operator": PROMETHEUS_OPERATOR, "azure": AZURE_MONITOR}
NAMES: Mapping[BackEnd, str] = {
    "operator": "prometheus-operator",
    "azure": "Azure Monitor's managed Prometheus",
    "files": "a Prometheus of your own",
}
#: Services that the operator makes in the namespace of its objects (prometheus-operator docs,
#: "Exposing Prometheus and Alertmanager").
PROMETHEUS, ALERTMANAGER = "prometheus-operated:9090", "alertmanager-operated:9093"
#: Queries that Azure answers for a workspace, and what its tokens are for (Azure docs, "Query
#: Prometheus metrics using the API").
AZURE_QUERIES = ".prometheus.monitor.azure.com"
AZURE_SCOPE = "https://prometheus.monitor.azure.com/.default"


@dataclass(frozen=True)
class Chosen:
    """The back end of a cluster, or why there is none; + fix: what to do then"""

    back_end: BackEnd | None
    why: str = ""
    fix: str = ""


def chosen(wanted: BackEnd | None, served: Mapping[str, Sequence[str]]) -> Chosen:
    """
    What the inventory says where the cluster has its CRDs, else what the CRDs say.

    + served: such as {"podmonitors.monitoring.coreos.com": ["v1"]}
    """
    there = [it for it, group in GROUPS.items() if f"podmonitors.{group}" in served]
    if wanted == "files" or wanted in there:
        return Chosen(wanted)
    if wanted is not None:
        return Chosen(
            None,
            f"the CRDs of {NAMES[wanted]} ({GROUPS[wanted]}) are not installed",
            f"install {NAMES[wanted]}, or correct monitoring.backend",
        )
    if len(there) > 1:
        return Chosen(
            None,
            "it has the monitors of prometheus-operator and of Azure Monitor, and nobody says "
            "which of them scrapes",
            'set monitoring.backend to "operator" or "azure"',
        )
    if not there:
        return Chosen(
            None,
            f"it has no monitors: the CRDs of neither {PROMETHEUS_OPERATOR} nor {AZURE_MONITOR} "
            "are installed",
            'install prometheus-operator, or set monitoring.backend to "files"',
        )
    return Chosen(there[0])


def takes(owner: Object, selector: str, thing: Object, labels: Mapping[str, str]) -> bool:
    """
    Whether a Prometheus or an Alertmanager takes an object: no selector takes none, an empty one
    all; no selector of namespaces is its own alone (prometheus-operator docs, API reference).

    + selector: such as "podMonitor", "rule" or "alertmanagerConfig"
    + labels: those of the namespace of ``thing``
    """
    spec, meta = owner["spec"], thing["metadata"]
    own = spec.get(f"{selector}Selector")
    if own is None or not selected(meta.get("labels") or {}, own):
        return False
    places = spec.get(f"{selector}NamespaceSelector")
    if places is None:
        return bool(meta["namespace"] == owner["metadata"]["namespace"])
    return selected(labels, places)


def selector_of(kind: str) -> str:
    """Such as "podMonitor" of "PodMonitor", and "rule" of "PrometheusRule"."""
    name = kind.removeprefix("Prometheus")
    return name[0].lower() + name[1:]


def untaken(
    owners: Sequence[Object], things: Iterable[Object], labels: Mapping[str, str]
) -> list[Object]:
    """Those of our objects that no Prometheus takes, or no Alertmanager."""
    return [
        thing
        for thing in things
        if not any(takes(it, selector_of(thing["kind"]), thing, labels) for it in owners)
    ]


def place(
    owners: Sequence[Object],
    things: Sequence[Object],
    labels: Mapping[str, str],
    service: str,
) -> str | None:
    """
    Where the one of the operator is asked that takes most of our objects, such as
    "monitoring/prometheus-operated:9090"; None where there is none.
    """
    best = max(
        owners, key=lambda it: len(things) - len(untaken([it], things, labels)), default=None
    )
    return f"{best['metadata']['namespace']}/{service}" if best is not None else None


def routes_all(alertmanager: Object) -> bool:
    """
    Whether routes of an AlertmanagerConfig get alerts without a label ``namespace``; the operator
    adds that matcher otherwise (prometheus-operator docs, API reference,
    AlertmanagerConfigMatcherStrategy).
    """
    strategy = alertmanager["spec"].get("alertmanagerConfigMatcherStrategy") or {}
    return bool(strategy.get("type", "OnNamespace") != "OnNamespace")


def proxied(place: str) -> str:
    """The path through the API server to a Service such as "monitoring/alerts:80"."""
    namespace, _, service = place.partition("/")
    return f"/api/v1/namespaces/{namespace}/services/{service}/proxy"


def is_url(place: str) -> bool:
    return place.startswith(("https://", "http://"))
