"""
The number of proxies while Envoy Gateway hands it over to an autoscaler.

Envoy Gateway owns ``spec.replicas`` of the Deployment that it makes, and leaves it out where the
EnvoyProxy has ``envoyHpa``. A field that nobody applies any more gets its default, here 1, until
the autoscaler looks (Kubernetes docs, Server-Side Apply, "Transferring ownership"; seen in the
lab). So somebody else owns the number meanwhile: the autoscaler takes it with its first change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tasks.plans.objects import owned_fields

Object = Mapping[str, Any]
#: Not that of our own objects: nothing else of a Deployment is ever ours.
MANAGER = "envoyfleet-replicas"
#: The field manager of the controller (Envoy Gateway 1.8 and 1.9).
CONTROLLER = "envoy-gateway"
_OWNER = "gateway.envoyproxy.io/owning-gateway-"


def to_hold(
    deployments: Iterable[Object], is_scaled: Callable[[str, str], bool]
) -> Iterator[dict[str, Any]]:
    """
    What to apply so that the number of proxies stays: of each Deployment whose number Envoy Gateway
    owns and is going to leave, the number alone.

    + is_scaled: whether the Gateway of this namespace and name is to have an autoscaler; both are
      "" for merged Gateways
    """
    for it in deployments:
        about, replicas = it["metadata"], it["spec"].get("replicas")
        labels = about.get("labels") or {}
        gateway = (labels.get(f"{_OWNER}namespace", ""), labels.get(f"{_OWNER}name", ""))
        owned = (owned_fields(it, CONTROLLER) or {}).get("f:spec") or {}
        if replicas and "f:replicas" in owned and is_scaled(*gateway):
            yield {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": about["name"], "namespace": about["namespace"]},
                "spec": {"replicas": replicas},
            }
