"""
Monitoring on a cluster of the lab, as most clusters have it: the prometheus-operator with its own
CRDs, a Prometheus, an Alertmanager, kube-state-metrics, and a receiver that keeps the alerts.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.lab import catalogue, cluster, manifests, monitoring_parts, parts, sample
from tasks.lab.api import Api, Object
from tasks.lab.catalogue import NAMES
from tasks.lab.progress import say, wait_for
from tasks.lab.state import Cluster, Lab

NAMESPACE = "monitoring"
MANIFESTS = ("monitoring.yaml", "kube-state-metrics.yaml")
IMAGES = (
    "prometheus-operator",
    "prometheus-config-reloader",
    "prometheus-kubernetes",
    "alertmanager",
    "kube-state-metrics",
    "alerts",
)
GROUP = "monitoring.coreos.com"
GROUPS = tuple(f"/apis/{GROUP}/{version}" for version in ("v1", "v1alpha1"))
# What is waited for; the operator makes the last two.
RUNNING = (
    ("deployments", "prometheus-operator"),
    ("deployments", "alerts"),
    ("deployments", "kube-state-metrics"),
    ("statefulsets", "prometheus-lab"),
    ("statefulsets", "alertmanager-lab"),
)


def promtool() -> Path:
    """Debian's promtool, with its prometheus beside it. It needs neither root nor a lab."""
    return parts.find([monitoring_parts.PROMETHEUS])["prometheus"] / "promtool"


def amtool() -> Path:
    """Debian's amtool, likewise."""
    return parts.find([monitoring_parts.ALERTMANAGER])["alertmanager"] / "amtool"


def install(lab: Lab, member: Cluster, found: Mapping[str, Path]) -> None:
    """
    Apply it all to a cluster, and wait until it runs.

    + found: the folders of `monitoring_parts.parts`
    """
    api = Api(member)
    for name in IMAGES:
        cluster.import_image(lab, member, found[f"image-{name}"])
    crds = manifests.parsed(found["prometheus-operator-crds"] / "crds.yaml")
    manifests.apply(api, [without_descriptions(it) for it in crds])
    wait_for(
        f"{member.name}: CRDs of the prometheus-operator",
        lambda: all(manifests.served(api, it) for it in GROUPS),
        60,
        "see the API server",
    )
    manifests.apply(api, objects(member))
    for resource, name in RUNNING:
        wait_for(
            f"{member.name}: {resource} {NAMESPACE}/{name}",
            lambda name=name, resource=resource: sample.available(  # type: ignore[misc]
                api, name, NAMESPACE, resource
            ),
            300,
            f"see `kubectl --context {member.name} get pods --namespace {NAMESPACE}`",
        )
    say(f"{member.name}: Prometheus and Alertmanager take what is labelled release: lab")


def without_descriptions(schema: Any) -> Any:
    """
    A CRD without what its fields mean, as the operator's project publishes them too: an API server
    keeps all of it in memory.
    """
    if isinstance(schema, dict):
        return {
            key: without_descriptions(value)
            for key, value in schema.items()
            if not (key == "description" and isinstance(value, str))
        }
    if isinstance(schema, list):
        return [without_descriptions(it) for it in schema]
    return schema


def remove(member: Cluster) -> None:
    """
    Take it all away again, with every object of the operator's kinds, wherever it is. Done when the
    namespace is gone, so that it can be installed again.
    """
    api = Api(member)
    hint = f"see `kubectl --context {member.name} get namespace {NAMESPACE} --output yaml`"
    manifests.delete_definitions(api, GROUP, hint)
    for it in reversed(objects(member)):
        manifests.delete(api, manifests.path_of(it))
    wait_for(
        f"{member.name}: no namespace {NAMESPACE}",
        lambda: not manifests.is_there(api, f"/api/v1/namespaces/{NAMESPACE}"),
        90,
        hint,
    )
    say(f"{member.name}: Prometheus, Alertmanager and their operator are gone")


def objects(member: Cluster) -> list[Object]:
    """What is applied beside the CRDs, in this order."""
    values = {
        "cluster": member.name,
        "operator_image": NAMES.operator,
        "reloader_image": NAMES.reloader,
        "prometheus_image": NAMES.prometheus,
        "prometheus_version": f"v{catalogue.PROMETHEUS}",
        "alertmanager_image": NAMES.alertmanager,
        "alertmanager_version": f"v{catalogue.ALERTMANAGER}",
        "alerts_image": NAMES.alerts,
        "kube_state_metrics_image": NAMES.kube_state_metrics,
    }
    return [it for file in MANIFESTS for it in manifests.load(file, **values)]
