"""
How many proxies there are, how large, and how they leave.

Only what an EnvoyProxy says itself is judged: one that is merged into another may get the rest from
there (Envoy Gateway 1.8 and 1.9, ``mergeType``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.checks.findings import Finding
from tasks.checks.wanted.view import ROUTES, Object, View
from tasks.plans import listeners, priorities, replicas
from tasks.plans.disruption import unevictable
from tasks.plans.durations import seconds
from tasks.plans.envoy_proxies import behind
from tasks.plans.profiles import memory_needed
from tasks.plans.quantities import quantity
from tasks.plans.references import Reference, to

_PROBE = "service.beta.kubernetes.io/azure-load-balancer-health-probe-"
#: Seconds between two probes of an Azure load balancer, and how many must fail, where a Service
#: does not say (cloud-provider-azure docs, Load balancer).
_INTERVAL, _FAILED = 5, 2


def sizes(view: View) -> Iterator[Finding]:
    """What cannot work of each EnvoyProxy that is wanted."""
    for it in view.of_envoy("EnvoyProxy"):
        if view.is_wanted(it):
            about = _About(view, it)
            yield from about.of_number()
            yield from about.of_size(*_load(it, view))
            yield from about.of_leaving()


def unmeasured(view: View) -> Iterator[Finding]:
    """What is to follow metrics that nobody serves."""
    for it in view.unmeasured:
        yield view.finding(
            "GW387",
            "warning",
            it,
            "envoyHpa follows what proxies use, and metrics.k8s.io does not answer: the number of "
            "proxies never changes, whatever the load",
            "install metrics-server, or mend it (kubectl get apiservice v1beta1.metrics.k8s.io)",
        )


def unprioritised(view: View) -> Iterator[Finding]:
    """What Kubernetes is going to refuse for a PriorityClass that is not there."""
    for it in view.wanted_of("EnvoyProxy"):
        name = priorities.named(it)
        if name in view.no_priorities:
            yield view.finding(
                "GW388",
                "error",
                it,
                f"PriorityClass {name} does not exist, so that Kubernetes refuses new proxies",
                "create it, or correct priorityClassName",
            )


class _About:
    """One EnvoyProxy under judgement."""

    def __init__(self, view: View, thing: Object) -> None:
        self._view, self._thing = view, thing
        self._spec = thing.get("spec") or {}
        self._kubernetes = (self._spec.get("provider") or {}).get("kubernetes") or {}
        self._deployment = self._kubernetes.get("envoyDeployment") or {}
        container = self._deployment.get("container") or {}
        self._resources: Mapping[str, Any] | None = container.get("resources")
        self._hpa = self._kubernetes.get("envoyHpa")

    def of_number(self) -> Iterator[Finding]:
        if self._hpa is not None:
            yield from self._of_hpa(self._hpa)
        held = unevictable(self._kubernetes)
        if held:
            yield self._said(
                "GW383",
                f"no proxy may ever be evicted ({held}), so that a drain of its node waits for "
                "ever",
                "let one go: envoyPDB.maxUnavailable 25%, or fewer in minAvailable",
            )

    def _of_hpa(self, hpa: Object) -> Iterator[Finding]:
        for it in replicas.watched(hpa):
            resource, percent = str(it["name"]), (it.get("target") or {}).get("type")
            if percent != "Utilization" or self._resources is None:
                continue
            if not _asked(self._resources, resource):
                yield self._said(
                    "GW380",
                    f"envoyHpa looks at {resource} in percent of a request that is not there, so "
                    "the number of proxies never changes",
                    f"set envoyDeployment.container.resources.requests.{resource}",
                )
        least = hpa.get("minReplicas", 1)
        if least < 2:
            yield self._said(
                "GW381",
                f"envoyHpa.minReplicas is {least}: with little load one proxy serves, and whatever "
                "happens to it is an outage",
                "set it to 2 or more",
            )
        fixed = self._deployment.get("replicas")
        if fixed is not None:
            yield self._said(
                "GW382",
                f"envoyHpa and envoyDeployment.replicas {fixed} both say how many proxies there "
                "are: Envoy Gateway before 1.9 sets them back each time it looks",
                "leave replicas out",
            )

    def of_size(self, connections: int, rules: int) -> Iterator[Finding]:
        """+ connections: that one proxy may have at most, 0 where nothing bounds them"""
        limits = (self._resources or {}).get("limits") or {}
        most, cpu = quantity(limits.get("memory")), quantity(limits.get("cpu"))
        needed = memory_needed(connections, rules)
        load = [f"{rules:,} rules of routes"] if rules else []
        if connections:
            load.insert(0, f"{connections:,} connections, which ClientTrafficPolicies let in,")
        if load and most is not None and most < needed:
            yield self._said(
                "GW384",
                f"{' and '.join(load)} need about {needed / 2**20:,.0f} MiB of each proxy, and its "
                f"limit is {limits['memory']}",
                "raise limits.memory" + (", or lower connectionLimit" if connections else ""),
            )
        workers = self._spec.get("concurrency")
        if workers is not None and cpu is not None and workers > cpu:
            yield self._said(
                "GW385",
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
                "GW386",
                f"a proxy that leaves is to serve for {least:.0f} s and is gone after "
                f"{longest:.0f} s",
                "set drainTimeout to minDrainDuration or more",
            )
        elif least is not None and least < needed:
            yield self._said(
                "GW386",
                f"a proxy that leaves may be gone after {least:.0f} s, and Azure's load balancer "
                f"goes on sending to it for up to {needed} s",
                f"set minDrainDuration to {needed}s or more",
            )

    def _said(self, code: str, what: str, fix: str) -> Finding:
        return self._view.finding(code, "warning", self._thing, what, fix)


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


def _load(proxy: Object, view: View) -> tuple[int, int]:
    """
    Connections that ClientTrafficPolicies let one proxy of an EnvoyProxy have, over all listeners
    of a Gateway, 0 where nothing bounds them; and rules of the routes that name it. Of the Gateways
    that it stands for, the most of each.
    """
    bounds = {}
    for it in view.of_envoy("ClientTrafficPolicy"):
        limit = (it["spec"].get("connection") or {}).get("connectionLimit") or {}
        for ref in it["spec"].get("targetRefs") or ():
            if limit.get("value") and not ref.get("sectionName"):
                bounds[it["metadata"].get("namespace"), ref.get("name")] = int(limit["value"])
    rules = _rules(view)
    connections, most = 0, 0
    for it in view.of("Gateway"):
        if _stands_for(proxy, it, view):
            bound = bounds.get((it["metadata"].get("namespace"), it["metadata"]["name"]), 0)
            connections = max(connections, bound * len(it["spec"].get("listeners") or ()))
            most = max(most, rules[to(it)])
    return connections, most


def _rules(view: View) -> Counter[Reference]:
    """How many rules of routes name a Gateway, by itself or by a ListenerSet of it."""
    found: Counter[Reference] = Counter()
    for kind in ROUTES:
        for it in view.of(kind):
            parents = {view.parent(it, ref) for ref in it["spec"].get("parentRefs") or ()}
            owners = {to(slot.gateway) for one in parents for slot in view.slots.get(one, ())}
            for owner in owners:
                found[owner] += len(it["spec"].get("rules") or ())
    return found


def _stands_for(proxy: Object, gateway: Object, view: View) -> bool:
    """Whether a Gateway has its proxies of an EnvoyProxy, by itself or by its class."""
    classes, known = view.of("GatewayClass"), view.of_envoy("EnvoyProxy")
    merging = gateway["spec"].get("gatewayClassName") in listeners.merged(classes, known)
    return behind(gateway, classes, known, merging)[-1:] == [proxy]
