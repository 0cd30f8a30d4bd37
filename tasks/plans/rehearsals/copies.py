"""
What of a cluster is put on the one that an upgrade is rehearsed on: the same objects, which ask for
no address, no value and no room that only the source has.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API, KINDS, title
from tasks.plans.public_ips import INTERNAL
from tasks.plans.references import GROUPS
from tasks.plans.rehearsals.lookalikes import Mint
from tasks.plans.restore import KEYS
from tasks.plans.stand_ins import ANNOTATIONS, without_address

Object = Mapping[str, Any]
#: Annotations of Azure's load balancers: they claim names, subnets and links besides addresses.
_AZURE = "service.beta.kubernetes.io/azure-"
#: What of a Pod and its container says only where it finds room.
_ROOM = (
    "nodeSelector",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "priorityClassName",
)
#: What preflight reads of a cluster too: by these objects a rehearsal goes stale.
COUNTED, UNCOUNTED = (GATEWAY_API, ENVOY_GATEWAY), ("ReferenceGrant",)


def copied(objects: Iterable[Object], namespace: str, mint: Mint) -> list[dict[str, Any]]:
    """
    The objects as the other cluster gets them: the Gateway API's and Envoy Gateway's, and what of
    Kubernetes they need. + namespace: of the controller, whose own Secrets stay behind
    """
    return [changed(it, mint) for it in objects if is_copied(it, namespace)]


def is_copied(thing: Object, namespace: str) -> bool:
    group, meta = group_of(thing), thing["metadata"]
    if thing["kind"] == "Secret":
        return not (meta.get("namespace") == namespace and meta["name"] in KEYS)
    return group in ("", *GROUPS)


def group_of(thing: Object) -> str:
    return str(thing["apiVersion"]).rpartition("/")[0]


def changed(thing: Object, mint: Mint | None = None) -> dict[str, Any]:
    """One of them; of a Secret a look-alike. The same change of the same object every time."""
    if thing["kind"] == "Secret":
        if mint is None:
            raise ValueError(f"{title(thing)}: a Secret is not copied")
        return mint.secret(thing)
    found = without_address(thing)
    if thing["kind"] == "Service" and group_of(thing) == "":
        _inside(found["spec"])
    _quiet(found)
    if thing["kind"] == "EnvoyProxy":
        _small((found.get("spec") or {}).get("provider") or {})
    return found


def _inside(spec: dict[str, Any]) -> None:
    """A Service of an application takes no load balancer and no port of a node here."""
    if spec.get("type") in ("LoadBalancer", "NodePort"):
        spec["type"] = "ClusterIP"
        for key in ("loadBalancerIP", "loadBalancerClass", "externalTrafficPolicy"):
            spec.pop(key, None)
        spec.pop("allocateLoadBalancerNodePorts", None)
    spec.pop("externalIPs", None)


def _quiet(thing: dict[str, Any]) -> None:
    """No annotation of Azure but the one that keeps a load balancer inside."""
    spec: Any = thing.get("spec") or {}
    for key in ANNOTATIONS.get(thing["kind"], ()):
        spec = spec.get(key) or {}
    if thing["kind"] in ANNOTATIONS and isinstance(spec, dict):
        for key in [it for it in spec if it.startswith(_AZURE) and it != INTERNAL]:
            del spec[key]


def _small(provider: dict[str, Any]) -> None:
    """One proxy wherever there is room for it."""
    own = provider.get("kubernetes")
    if not own:
        return
    for key in ("envoyHpa", "envoyPDB"):
        own.pop(key, None)
    (own.get("envoyService") or {}).pop("loadBalancerIP", None)
    for key in ("envoyDeployment", "envoyDaemonSet"):
        workload = own.get(key)
        if workload is None:
            continue
        if key == "envoyDeployment" and "replicas" in workload:
            workload["replicas"] = 1
        for name in _ROOM:
            (workload.get("pod") or {}).pop(name, None)
        (workload.get("container") or {}).pop("resources", None)


def digests(objects: Iterable[Object]) -> dict[str, str]:
    """
    What the source was when it was rehearsed, by title: {"HTTPRoute shop/cart": "3fa1b2c4…"}. Of
    what an object asks for alone; versions, labels and status may differ.
    """
    found = {}
    for it in objects:
        group, kind = group_of(it), it["kind"]
        if group in COUNTED and (group, kind) in KINDS and kind not in UNCOUNTED:
            text = json.dumps(it.get("spec"), sort_keys=True, separators=(",", ":"))
            found[title(it)] = sha256(text.encode()).hexdigest()[:16]
    return dict(sorted(found.items()))


def moved_on(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What is new, changed or gone since, by title."""
    names = sorted({*before, *now})
    return [it for it in names if before.get(it) != now.get(it)]


def counted(objects: Iterable[Object]) -> dict[str, int]:
    """How many of each kind: {"Gateway": 1, "HTTPRoute": 20}."""
    found: dict[str, int] = {}
    for it in objects:
        found[it["kind"]] = found.get(it["kind"], 0) + 1
    return dict(sorted(found.items()))
