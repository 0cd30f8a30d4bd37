"""
How proxies, controllers and rate limit services are scraped: PodMonitors of prometheus-operator and
of Azure Monitor, and scrape jobs for a Prometheus of one's own, all out of the same relabellings.

Pods everywhere, and no Service: that of a proxy has no metrics port, and one rule for three is
easier to trust. A monitor of Pods also sees one that no Service takes any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.plans.kinds import AZURE_MONITOR, PROMETHEUS_OPERATOR
from tasks.plans.metrics import JOBS, Exporter, kept

Relabelling = dict[str, Any]
#: Stat prefixes of Envoy's own listeners (admin, readiness, scrapes) and of requests that filters
#: send, and where the first are: nobody's traffic.
OWN_PREFIXES = "admin|async-client|eg-ready-http|eg-stats-http"
OWN_LISTENERS = ".*_(19001|19003)|admin"
OWN_CLUSTERS = "prometheus_stats"
#: The breakers of a priority that Envoy Gateway gives no route.
OTHER_PRIORITY = "high"
#: Edges of Envoy's default buckets, in milliseconds, that are kept beside +Inf: an objective for
#: latency is one of these.
EDGES = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000)
#: The others, as Prometheus 2 writes them and as Prometheus 3 does.
OTHER_EDGES = r"0\.5|(1|300000|600000|1800000|3600000)(\.0)?|1\.8e\+06|3\.6e\+06"
#: What Azure Monitor takes of one series; a monitor without them may lose all (Azure docs,
#: "Customize collection using CRDs").
AZURE_LIMITS: Mapping[str, int] = {
    "labelLimit": 63,
    "labelNameLengthLimit": 511,
    "labelValueLengthLimit": 1023,
}
LONGEST_TIMEOUT = 10
_OWNER = "__meta_kubernetes_pod_label_gateway_envoyproxy_io_owning_"


@dataclass(frozen=True)
class Target:
    """
    + name: of the monitor; + selector: labels of the Pods; + path: that their port "metrics" serves
    """

    name: str
    selector: Mapping[str, str]
    path: str


TARGETS: Mapping[Exporter, Target] = {
    "proxy": Target(
        "envoy-proxy",
        {"app.kubernetes.io/name": "envoy", "app.kubernetes.io/component": "proxy"},
        "/stats/prometheus",
    ),
    "controller": Target("envoy-gateway", {"control-plane": "envoy-gateway"}, "/metrics"),
    "ratelimit": Target(
        "envoy-ratelimit",
        {
            "app.kubernetes.io/name": "envoy-ratelimit",
            "app.kubernetes.io/managed-by": "envoy-gateway",
        },
        "/metrics",
    ),
}
PORT = "metrics"


def relabelings(exporter: Exporter, cluster: str) -> list[Relabelling]:
    """
    The labels of a target, as a monitor has them. Gateways of one name in two namespaces stay
    apart, and a Pod of merged Gateways has its class.

    + cluster: its name in the inventory
    """
    found = [_set("job", JOBS[exporter]), _set("cluster", cluster)]
    if exporter == "proxy":
        found += [
            _copy("gateway_namespace", f"{_OWNER}gateway_namespace"),
            _copy("gateway", f"{_OWNER}gateway_name"),
            _copy("gateway_class", f"{_OWNER}gatewayclass"),
        ]
    return [
        *found,
        _copy("namespace", "__meta_kubernetes_namespace"),
        _copy("pod", "__meta_kubernetes_pod_name"),
        # The operator's: the same for all Pods of a kind.
        {"action": "labeldrop", "regex": "container|endpoint"},
    ]


def metric_relabelings(exporter: Exporter, stats: str) -> list[Relabelling]:
    """
    What is kept of a scrape.

    + stats: "needed" is what a rule or a panel may name; "all" is everything but what Envoy counts
      of its own scrapes and probes
    """
    found: list[Relabelling] = []
    if stats == "needed":
        found.append(_judge("keep", kept(exporter), "__name__"))
    if exporter == "proxy":
        found += [
            _judge("drop", OWN_PREFIXES, "envoy_http_conn_manager_prefix"),
            _judge("drop", OWN_LISTENERS, "envoy_listener_address"),
            _judge("drop", OWN_CLUSTERS, "envoy_cluster_name"),
            _judge("drop", OTHER_PRIORITY, "priority"),
        ]
        if stats == "needed":
            found.append(_judge("drop", f"envoy_.+_bucket;({OTHER_EDGES})", "__name__", "le"))
    return found


def pod_monitor(
    exporter: Exporter,
    cluster: str,
    *,
    group: str = PROMETHEUS_OPERATOR,
    controller_namespace: str,
    interval: str,
    stats: str,
) -> dict[str, Any]:
    """
    What templates/monitoring/podmonitor.yaml.j2 needs, but for name, namespace and labels of the
    monitor.

    + group: monitoring.coreos.com or azmonitoring.coreos.com
    + controller_namespace: where controller and rate limit service are; proxies may be anywhere
    + interval: such as "30s"
    """
    target = TARGETS[exporter]
    return {
        "group": group,
        "limits": dict(AZURE_LIMITS) if group == AZURE_MONITOR else {},
        "namespaces": None if exporter == "proxy" else [controller_namespace],
        "selector": dict(target.selector),
        "port": PORT,
        "path": target.path,
        "interval": interval,
        "timeout": timeout(interval),
        "relabelings": relabelings(exporter, cluster),
        "metric_relabelings": metric_relabelings(exporter, stats),
    }


def scrape_config(
    exporter: Exporter, cluster: str, *, controller_namespace: str, interval: str, stats: str
) -> dict[str, Any]:
    """
    The same as an entry of ``scrape_configs`` in prometheus.yml, for a Prometheus that runs in the
    cluster and may list Pods.
    """
    target = TARGETS[exporter]
    namespaces = {} if exporter == "proxy" else {"namespaces": {"names": [controller_namespace]}}
    selected = [
        _judge("keep", value.replace(".", r"\."), f"__meta_kubernetes_pod_label_{_escaped(label)}")
        for label, value in target.selector.items()
    ]
    ours = relabelings(exporter, cluster)
    return {
        "job_name": JOBS[exporter],
        "scrape_interval": interval,
        "scrape_timeout": timeout(interval),
        "metrics_path": target.path,
        "kubernetes_sd_configs": [{"role": "pod", **namespaces}],
        "relabel_configs": [
            _snake(it)
            for it in (
                *selected,
                _judge("keep", PORT, "__meta_kubernetes_pod_container_port_name"),
                _judge("drop", "Failed|Succeeded", "__meta_kubernetes_pod_phase"),
                *(it for it in ours if it["action"] != "labeldrop"),
            )
        ],
        "metric_relabel_configs": [_snake(it) for it in metric_relabelings(exporter, stats)],
    }


def timeout(interval: str) -> str:
    """Seconds for one scrape: never longer than the time between two, which is refused."""
    return f"{min(int(interval.removesuffix('s')), LONGEST_TIMEOUT)}s"


def _set(label: str, value: str) -> Relabelling:
    # "$" would be taken for a group of the expression.
    return {"action": "replace", "targetLabel": label, "replacement": value.replace("$", "$$")}


def _copy(label: str, source: str) -> Relabelling:
    return {"action": "replace", "sourceLabels": [source], "targetLabel": label}


def _judge(action: str, regex: str, *labels: str) -> Relabelling:
    return {"action": action, "sourceLabels": list(labels), "regex": regex}


def _escaped(label: str) -> str:
    """As Prometheus writes the name of a Kubernetes label."""
    return "".join(it if it.isalnum() or it == "_" else "_" for it in label)


def _snake(one: Relabelling) -> Relabelling:
    names = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    return {names.get(key, key): value for key, value in one.items()}
