"""
Clusters with a prometheus-operator, a Prometheus and an Alertmanager at work, on stand-in API
servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from typing_extensions import override

from tasks.checks.monitoring import ALWAYS
from tasks.plans import durations, monitors
from tasks.plans.metrics import JOBS, Exporter
from tests.api_server import Answer, ApiServer, Asked
from tests.stand_in import listed

Object = dict[str, Any]
SYSTEM, MONITORING = "envoy-gateway-system", "monitoring"
GROUP = "monitoring.coreos.com"
OPERATOR, ROUTES = f"/apis/{GROUP}/v1", f"/apis/{GROUP}/v1alpha1"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases"
PROMETHEUS = f"/api/v1/namespaces/{MONITORING}/services/prometheus-operated:9090/proxy"
ALERTMANAGER = f"/api/v1/namespaces/{MONITORING}/services/alertmanager-operated:9093/proxy"
LABELS = {"release": "stack"}
#: The inventory's ``monitoring`` for them.
SETTINGS: Object = {
    "labels": LABELS,
    "alertmanager": {
        "receivers": [{"name": "pager", "kind": "webhook", "secret": "pager", "key": "url"}]
    },
}
ALL = {
    "monitoring.coreos.com": {
        "v1": ["podmonitors", "servicemonitors", "prometheusrules", "prometheuses"],
        "v1alpha1": ["alertmanagerconfigs"],
    }
}
#: Lists of kinds of ours, over all namespaces.
LISTS = {
    f"{OPERATOR}/podmonitors": (f"{GROUP}/v1", "PodMonitor"),
    f"{OPERATOR}/servicemonitors": (f"{GROUP}/v1", "ServiceMonitor"),
    f"{OPERATOR}/prometheusrules": (f"{GROUP}/v1", "PrometheusRule"),
    f"{ROUTES}/alertmanagerconfigs": (f"{GROUP}/v1alpha1", "AlertmanagerConfig"),
    "/api/v1/configmaps": ("v1", "ConfigMap"),
}
PODS: dict[Exporter, str] = {"proxy": "envoy-1", "controller": "envoy-gateway-1"}
#: What both queries answer.
UP = [
    {"metric": {"job": JOBS[it], "namespace": SYSTEM, "pod": pod}, "value": [0, "1"]}
    for it, pod in PODS.items()
]
THERE = [
    {"metric": {"__name__": name, "job": JOBS[it]}, "value": [0, "1"]}
    for it, names in ALWAYS.items()
    for name in names
]


def groups(served: Mapping[str, Mapping[str, list[str]]]) -> Object:
    """Aggregated discovery."""
    return {
        "items": [
            {
                "metadata": {"name": group},
                "versions": [
                    {"version": version, "resources": [{"resource": it} for it in those]}
                    for version, those in versions.items()
                ],
            }
            for group, versions in served.items()
        ]
    }


def owner(kind: str, **spec: Any) -> Object:
    return {"kind": kind, "metadata": {"name": "k8s", "namespace": MONITORING}, "spec": spec}


class Monitored(ApiServer):
    """It keeps what is applied of ours, and its Prometheus has loaded that at once."""

    def __init__(self, delay: float = 0.0) -> None:
        super().__init__(delay)
        self.kept: dict[str, dict[str, Object]] = {}

    @override
    def next_answer(self, asked: Asked) -> Answer:
        path = asked.path.partition("?")[0]
        given = self.answers.get((asked.cluster, asked.method, path))
        mine = self.kept.setdefault(asked.cluster, {})
        if given is None and asked.method == "PATCH":
            self.asked.append(asked)
            if "dryRun" not in asked.path:
                mine[path] = _owned(asked.body)
            return Answer(body=asked.body)
        if given is None and asked.method == "DELETE":
            self.asked.append(asked)
            return Answer(body=mine.pop(path, {}))
        kind = LISTS.get(path.replace(f"/namespaces/{MONITORING}", ""))
        if given is None and kind is not None:
            self.asked.append(asked)
            return Answer(body=listed(*kind, [it for it in mine.values() if it["kind"] == kind[1]]))
        if given is None and path == f"{PROMETHEUS}/api/v1/rules":
            self.asked.append(asked)
            rules = [it for it in mine.values() if it["kind"] == "PrometheusRule"]
            loaded = [_loaded(group) for it in rules for group in it["spec"]["groups"]]
            return Answer(body={"data": {"groups": loaded}})
        if given is None and path == f"{PROMETHEUS}/api/v1/query":
            self.asked.append(asked)
            return Answer(body={"data": {"result": UP if "query=up" in asked.path else THERE}})
        return super().next_answer(asked)

    def plant(self, name: str) -> None:
        """A cluster with a proxy and a controller, and nothing of ours yet."""
        self.cluster(name)
        for path, body in _answers().items():
            self.answer("GET", path, Answer(body=body), cluster=name)
        meta = {"name": "envoyfleet", "namespace": SYSTEM, "resourceVersion": "1"}
        lease = Answer(body={"metadata": meta, "spec": {}})
        self.answer("POST", LEASES, lease, cluster=name)
        self.answer("PUT", f"{LEASES}/envoyfleet", lease, cluster=name)

    def writes(self) -> list[str]:
        """Such as "weu-1: PATCH /apis/..."; dry runs are none."""
        return [
            f"{it.cluster}: {it.method} {it.path.partition('?')[0]}"
            for it in self.asked
            if it.method != "GET" and "dryRun" not in it.path
        ]


def _answers() -> dict[str, Any]:
    ours = {"matchLabels": LABELS}
    prometheus = owner("Prometheus", podMonitorSelector=ours, ruleSelector=ours)
    alertmanager = owner(
        "Alertmanager",
        alertmanagerConfigSelector=ours,
        alertmanagerConfigMatcherStrategy={"type": "None"},
    )
    telling = "{name: monitoring/envoyfleet/pager, webhook_configs: [{url: <secret>}]}"
    pods = f"/api/v1/namespaces/{SYSTEM}/pods"
    return {
        "/apis": groups(ALL),
        f"/api/v1/namespaces/{SYSTEM}": {"metadata": {"name": SYSTEM}},
        f"/api/v1/namespaces/{MONITORING}": {"metadata": {"name": MONITORING}},
        f"/api/v1/namespaces/{MONITORING}/secrets/pager": {
            "metadata": {"name": "pager"},
            "data": {"url": "aHR0cDovL3BhZ2Vy"},
        },
        f"{OPERATOR}/prometheuses": listed(f"{GROUP}/v1", "Prometheus", [prometheus]),
        f"{OPERATOR}/alertmanagers": listed(f"{GROUP}/v1", "Alertmanager", [alertmanager]),
        "/apis/gateway.envoyproxy.io/v1alpha1/envoyproxies": listed(
            "gateway.envoyproxy.io/v1alpha1", "EnvoyProxy", []
        ),
        f"{ALERTMANAGER}/api/v2/status": {"config": {"original": f"receivers: [{telling}]"}},
        f"{PROMETHEUS}/api/v1/labels": {"data": ["gateway", "envoy_cluster_name"]},
        pods: listed("v1", "Pod", []),
        **{f"{pods}?labelSelector={_selector(it)}": _pod(PODS[it]) for it in PODS},
    }


def _selector(exporter: Exporter) -> str:
    """As the official client writes it into a path."""
    said = monitors.TARGETS[exporter].selector
    return quote(",".join(f"{key}={value}" for key, value in said.items()))


def _pod(name: str) -> Object:
    thing = {
        "metadata": {"name": name, "namespace": SYSTEM},
        "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"},
    }
    return listed("v1", "Pod", [thing])


def _owned(thing: Object) -> Object:
    """As the API server keeps it, all of it ours."""
    whole: Object = {f"f:{it}": {} for it in thing if it not in ("apiVersion", "kind", "metadata")}
    entry = {"manager": "envoyfleet", "operation": "Apply", "fieldsV1": whole}
    return {**thing, "metadata": {**thing["metadata"], "managedFields": [entry]}}


def _loaded(group: Object) -> Object:
    """A group as Prometheus tells of it."""
    rules = [
        {
            "name": it.get("alert", it.get("record")),
            "query": it["expr"],
            "duration": durations.seconds(it.get("for") or "0s"),
            "labels": it.get("labels") or {},
            "annotations": it.get("annotations") or {},
            "health": "ok",
        }
        for it in group["rules"]
    ]
    return {"name": group["name"], "rules": rules}
