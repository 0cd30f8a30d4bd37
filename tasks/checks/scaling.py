"""
What is wrong with how many proxies there are, how large, and how they leave: EnvoyProxies as they
are written or rendered, and what stands around them.

Only what an EnvoyProxy says itself is judged: one that is merged into another may get the rest from
there (facts of Envoy Gateway 1.8 and 1.9, ``mergeType``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from tasks.checks.findings import Finding, Severity, Where
from tasks.plans.disruption import unevictable
from tasks.plans.durations import seconds
from tasks.plans.kinds import title
from tasks.plans.profiles import memory_needed
from tasks.plans.quantities import quantity

Object = Mapping[str, Any]
#: What metrics-server serves, as ``ServedVersions`` has it.
METRICS = "pods.metrics.k8s.io"
_PROBE = "service.beta.kubernetes.io/azure-load-balancer-health-probe-"
#: Seconds between two probes of an Azure load balancer, and how many must fail, where a Service
#: does not say (cloud-provider-azure docs, Load balancer).
_INTERVAL, _FAILED = 5, 2


def scaling_findings(
    cluster: str, objects: Iterable[Object], served: Collection[str] | None = None
) -> Iterator[Finding]:
    """
    + objects: EnvoyProxies, and the Gateways, GatewayClasses and ClientTrafficPolicies around them
    + served: what the API server serves, such as {"pods.metrics.k8s.io"}; None where nobody looked
    """
    every = list(objects)
    for it in every:
        if it.get("kind") == "EnvoyProxy":
            about = _About(cluster, it)
            yield from about.of_number(served)
            yield from about.of_size(_connections(it, every))
            yield from about.of_leaving()


class _About:
    """One EnvoyProxy under judgement."""

    def __init__(self, cluster: str, thing: Object) -> None:
        self._where = Where(cluster, title(thing))
        self._spec = thing.get("spec") or {}
        self._kubernetes = (self._spec.get("provider") or {}).get("kubernetes") or {}
        self._deployment = self._kubernetes.get("envoyDeployment") or {}
        container = self._deployment.get("container") or {}
        self._resources: Mapping[str, Any] | None = container.get("resources")
        self._hpa = self._kubernetes.get("envoyHpa")

    def of_number(self, served: Collection[str] | None) -> Iterator[Finding]:
        if self._hpa is not None:
            yield from self._of_hpa(self._hpa, served)
        held = unevictable(self._kubernetes)
        if held:
            yield self._said(
                "GW384",
                f"no proxy may ever be evicted ({held}), so that a drain of its node waits for "
                "ever",
                "let one go: envoyPDB.maxUnavailable 25%, or fewer in minAvailable",
            )

    def _of_hpa(self, hpa: Object, served: Collection[str] | None) -> Iterator[Finding]:
        for resource in _watched(hpa):
            if self._resources is not None and not _asked(self._resources, resource):
                yield self._said(
                    "GW380",
                    f"envoyHpa looks at {resource} in percent of a request that is not there, so "
                    "the number of proxies never changes",
                    f"set envoyDeployment.container.resources.requests.{resource}",
                )
        if served is not None and METRICS not in served:
            yield self._said(
                "GW381",
                "envoyHpa needs metrics.k8s.io, which the API server does not serve: the number "
                "of proxies never changes",
                "install metrics-server, or see why APIService v1beta1.metrics.k8s.io is not "
                "Available",
            )
        least = hpa.get("minReplicas", 1)
        if least < 2:
            yield self._said(
                "GW382",
                f"envoyHpa.minReplicas is {least}: with little load one proxy serves, and whatever "
                "happens to it is an outage",
                "set it to 2 or more",
            )
        replicas = self._deployment.get("replicas")
        if replicas is not None:
            yield self._said(
                "GW383",
                f"envoyHpa and envoyDeployment.replicas {replicas} both say how many proxies there "
                "are: Envoy Gateway before 1.9 sets them back each time it looks",
                "leave replicas out",
            )

    def of_size(self, connections: int) -> Iterator[Finding]:
        """+ connections: that one proxy may have at most, 0 where nothing bounds them"""
        limits = (self._resources or {}).get("limits") or {}
        most, cpu = quantity(limits.get("memory")), quantity(limits.get("cpu"))
        needed = memory_needed(connections)
        if connections and most is not None and most < needed:
            yield self._said(
                "GW385",
                f"{connections:,} connections, which ClientTrafficPolicies let a proxy have, need "
                f"about {needed / 2**20:,.0f} MiB, and the limit is {limits['memory']}",
                "raise limits.memory, or lower connectionLimit",
            )
        workers = self._spec.get("concurrency")
        if workers is not None and cpu is not None and workers > cpu:
            yield self._said(
                "GW386",
                f"{workers} worker threads share a CPU limit of {limits['cpu']}: the kernel stops "
                "all of them for the rest of a period when it is used up",
                "set concurrency to the limit, or take limits.cpu away",
            )

    def of_leaving(self) -> Iterator[Finding]:
        shutdown = self._spec.get("shutdown")
        if shutdown is None and self._spec.get("mergeType") is not None:
            return
        # What Envoy Gateway does where nothing is said, 1.2 and newer.
        least = _time(shutdown, "minDrainDuration", "10s")
        longest = _time(shutdown, "drainTimeout", "60s")
        notes = (self._kubernetes.get("envoyService") or {}).get("annotations") or {}
        needed = _noticed(notes)
        if longest is not None and least is not None and longest < least:
            yield self._said(
                "GW387",
                f"a proxy that leaves is to serve for {least:.0f} s and is gone after "
                f"{longest:.0f} s",
                "set drainTimeout to minDrainDuration or more",
            )
        elif least is not None and least < needed:
            yield self._said(
                "GW387",
                f"a proxy that leaves may be gone after {least:.0f} s, and Azure's load balancer "
                f"goes on sending to it for up to {needed} s",
                f"set minDrainDuration to {needed}s or more",
            )

    def _said(self, code: str, what: str, fix: str, severity: Severity = "warning") -> Finding:
        return Finding(code, severity, self._where, what, fix)


def _watched(hpa: Object) -> list[str]:
    """The resources that it looks at in percent; CPU where it says nothing."""
    metrics = hpa.get("metrics")
    if not metrics:
        return ["cpu"]
    parts = [it.get("containerResource") or it.get("resource") or {} for it in metrics]
    return [
        str(it["name"]) for it in parts if (it.get("target") or {}).get("type") == "Utilization"
    ]


def _asked(resources: Object, name: str) -> bool:
    """Whether there is a request; the API server makes one of a limit."""
    return any(name in (resources.get(it) or {}) for it in ("requests", "limits"))


def _time(shutdown: Object | None, key: str, otherwise: str) -> float | None:
    try:
        return seconds(str((shutdown or {}).get(key, otherwise)))
    except ValueError:
        return None


def _noticed(annotations: Mapping[str, str]) -> int:
    """
    Seconds until a load balancer of Azure has noticed at the latest: all probes that must fail, and
    the time to the first of them.
    """

    def number(key: str, otherwise: int) -> int:
        text = str(annotations.get(_PROBE + key, ""))
        return int(text) if text.isdecimal() else otherwise

    return number("interval", _INTERVAL) * (number("num-of-probe", _FAILED) + 1)


def _connections(proxy: Object, every: Iterable[Object]) -> int:
    """
    How many connections ClientTrafficPolicies let one proxy of an EnvoyProxy have: the largest sum
    over the listeners of a Gateway that it stands for; 0 where a listener has no bound.
    """
    things = list(every)
    limits = {}
    for it in things:
        if it.get("kind") == "ClientTrafficPolicy":
            bound = ((it["spec"].get("connection") or {}).get("connectionLimit") or {}).get("value")
            for ref in it["spec"].get("targetRefs") or ():
                if bound and not ref.get("sectionName"):
                    limits[it["metadata"].get("namespace"), ref.get("name")] = int(bound)
    found = [
        limits.get((it["metadata"].get("namespace"), it["metadata"]["name"]), 0)
        * len(it["spec"].get("listeners") or ())
        for it in things
        if it.get("kind") == "Gateway" and _stands_for(proxy, it, things)
    ]
    return max(found, default=0)


def _stands_for(proxy: Object, gateway: Object, every: Iterable[Object]) -> bool:
    """Whether a Gateway has its proxies of an EnvoyProxy, by itself or by its class."""
    about = proxy["metadata"]
    own = (gateway["spec"].get("infrastructure") or {}).get("parametersRef")
    if own:
        place = (gateway["metadata"].get("namespace"), own.get("name"))
        return place == (about.get("namespace"), about["name"])
    for it in every:
        if it.get("kind") == "GatewayClass":
            ref = it["spec"].get("parametersRef") or {}
            if it["metadata"]["name"] == gateway["spec"]["gatewayClassName"]:
                place = (ref.get("namespace"), ref.get("name"))
                return place == (about.get("namespace"), about["name"])
    return False
