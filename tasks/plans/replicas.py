"""
Who says how many proxies there are, and their number while that changes.

Envoy Gateway owns ``spec.replicas`` of the Deployment that it makes, and leaves it out where the
EnvoyProxy has ``envoyHpa``. A field that nobody applies any more gets its default, here 1, until
the autoscaler looks (Kubernetes docs, Server-Side Apply, "Transferring ownership"; seen in the
lab). So somebody else owns the number meanwhile: the autoscaler takes it with its first change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tasks.plans import listeners
from tasks.plans.envoy_proxies import behind
from tasks.plans.objects import owned_fields

Object = Mapping[str, Any]
#: Not that of our own objects: nothing else of a Deployment is ever ours.
MANAGER = "envoyfleet-replicas"
#: The field manager of the controller (Envoy Gateway 1.8 and 1.9).
CONTROLLER = "envoy-gateway"
#: Who tells autoscalers what Pods use of CPU and memory: metrics-server.
METRICS = "metrics.k8s.io/v1beta1"
_OWNER = "gateway.envoyproxy.io/owning-gateway"


def autoscaler(thing: Object) -> Object | None:
    """What an EnvoyProxy says of its autoscaler; None where it has none, or is something else."""
    if thing["kind"] != "EnvoyProxy":
        return None
    provider = (thing.get("spec") or {}).get("provider") or {}
    found: Object | None = (provider.get("kubernetes") or {}).get("envoyHpa")
    return found


def watched(hpa: Object) -> list[Object]:
    """
    What of Pods an autoscaler looks at, such as ``[{"name": "cpu", "target": {"type":
    "Utilization", "averageUtilization": 80}}]``, which it is where nothing is said.
    """
    metrics = hpa.get("metrics")
    if not metrics:
        return [{"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}]
    parts = (it.get("containerResource") or it.get("resource") for it in metrics)
    return [it for it in parts if it]


def need_metrics(wanted: Iterable[Object]) -> list[Object]:
    """The EnvoyProxies whose number of proxies follows what metrics-server tells."""
    return [it for it in wanted if (hpa := autoscaler(it)) is not None and watched(hpa)]


def to_hold(deployments: Iterable[Object], objects: Iterable[Object]) -> Iterator[dict[str, Any]]:
    """
    What to apply so that the number of proxies stays: of each Deployment whose number Envoy Gateway
    owns and is going to leave, the number alone.

    + objects: GatewayClasses, Gateways and EnvoyProxies as they are going to be
    """
    scaled = _scaled(list(objects))
    for it in deployments:
        about, replicas = it["metadata"], it["spec"].get("replicas")
        owned = (owned_fields(it, CONTROLLER) or {}).get("f:spec") or {}
        if replicas and "f:replicas" in owned and _owner(about.get("labels") or {}) in scaled:
            yield {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": about["name"], "namespace": about["namespace"]},
                "spec": {"replicas": replicas},
            }


def _scaled(objects: Sequence[Object]) -> set[tuple[str, str]]:
    """Whose proxies are to have an autoscaler, as ``_owner`` names them."""
    classes, gateways, settings = (
        [it for it in objects if it["kind"] == kind]
        for kind in ("GatewayClass", "Gateway", "EnvoyProxy")
    )
    merging = listeners.merged(classes, settings)
    found: set[tuple[str, str]] = set()
    for it in gateways:
        of_class = it["spec"]["gatewayClassName"]
        said = behind(it, classes, settings, of_class in merging)
        if any(autoscaler(one) is not None for one in said):
            meta = it["metadata"]
            alone = (meta["namespace"], meta["name"])
            found.add(("", of_class) if of_class in merging else alone)
    return found


def _owner(labels: Mapping[str, str]) -> tuple[str, str]:
    """Namespace and name of the Gateway of a Deployment, "" and the class of merged ones."""
    if f"{_OWNER}class" in labels:
        return "", labels[f"{_OWNER}class"]
    return labels.get(f"{_OWNER}-namespace", ""), labels.get(f"{_OWNER}-name", "")
