"""
Whether proxies could be replaced without a moment in which nobody serves.

A Deployment replaces its Pods by its own strategy and asks no PodDisruptionBudget; those hold for
evictions, such as the drain of a node (Kubernetes docs, Disruptions).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tasks.plans.health import is_own
from tasks.plans.kinds import title
from tasks.plans.preflight import Reason, warning

Object = Mapping[str, Any]


def reasons(
    proxies: Iterable[Object],
    settings: Iterable[Object],
    own_gateways: Collection[tuple[str, str]],
    own_class: str,
) -> list[Reason]:
    """
    A stop where traffic surely drops, a warning where it may.

    + proxies: Deployments; + settings: EnvoyProxies
    """
    found: list[Reason] = []
    for it in proxies:
        replicas = it["spec"].get("replicas", 1)
        if replicas == 0:
            continue
        if _may_all_be_away(it["spec"], replicas):
            found.append(
                Reason(
                    f"{title(it)} may take all of its {replicas} proxies away at once: set "
                    "strategy.rollingUpdate.maxUnavailable to 0 in its EnvoyProxy",
                    "disruption",
                )
            )
        if replicas == 1 and is_own(it, own_gateways, own_class):
            found.append(
                warning(
                    f"{title(it)} has one proxy, and whatever happens to it is an outage: set "
                    "proxy.replicas to 2 or more"
                )
            )
    for it in settings:
        found += _of_settings(it)
    return found


def unmeasured(scaled: Iterable[Object]) -> list[Reason]:
    """
    Warnings where the number of proxies is to follow metrics that nobody serves.

    + scaled: the EnvoyProxies of which that holds
    """
    return [
        warning(
            f"{title(it)} has envoyHpa, and metrics.k8s.io does not answer: the number of proxies "
            "never changes: install metrics-server, or mend it"
        )
        for it in scaled
    ]


def _of_settings(thing: Object) -> list[Reason]:
    spec = thing.get("spec") or {}
    found = []
    if (spec.get("shutdown") or {}).get("drainTimeout") in ("0s", "0"):
        found.append(
            Reason(
                f"{title(thing)} has shutdown.drainTimeout 0s, so a proxy cuts its connections "
                "when it is replaced: give it time, such as 60s",
                "disruption",
            )
        )
    kubernetes = (spec.get("provider") or {}).get("kubernetes") or {}
    if kubernetes.get("envoyDaemonSet") is not None:
        found.append(
            warning(
                f"{title(thing)} runs proxies as a DaemonSet: a node has none while its proxy is "
                "replaced"
            )
        )
    held = unevictable(kubernetes)
    if held:
        found.append(
            warning(
                f"{title(thing)} lets no proxy be evicted ({held}): drains of nodes wait for ever"
            )
        )
    return found


def unevictable(kubernetes: Mapping[str, Any]) -> str | None:
    """
    Why no proxy may ever be evicted, such as "envoyPDB.minAvailable 2 of 2", or None where one may.

    + kubernetes: provider.kubernetes of an EnvoyProxy
    """
    budget = kubernetes.get("envoyPDB") or {}
    least, most = budget.get("minAvailable"), budget.get("maxUnavailable")
    scaled = kubernetes.get("envoyHpa") or {}
    replicas = (kubernetes.get("envoyDeployment") or {}).get("replicas", 1)
    there = scaled.get("minReplicas", 1) if scaled else replicas
    if most in (0, "0%"):
        return f"envoyPDB.maxUnavailable {most}"
    if isinstance(least, int):
        return f"envoyPDB.minAvailable {least} of {there}" if least >= there else None
    if least is None or not _all_of(least, there):
        return None
    return f"envoyPDB.minAvailable {least} of {there}"


def _all_of(share: str, there: int) -> bool:
    """Whether a share means every one: Kubernetes rounds it up (Kubernetes docs, Disruptions)."""
    return -(-int(share.rstrip("%")) * there // 100) >= there


def _may_all_be_away(spec: Mapping[str, Any], replicas: int) -> bool:
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return True
    most = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", "25%")
    if isinstance(most, int):
        return most >= replicas
    return int(str(most).rstrip("%")) * replicas // 100 >= replicas
