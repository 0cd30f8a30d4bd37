"""A live cluster by what stands where: controller, Gateways, proxies, and what time it is there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property

from tasks.checks.findings import Severity
from tasks.diagnosis.causes import CODES, AnsweredBy, Cause
from tasks.diagnosis.diagnosis import Found, Ref
from tasks.diagnosis.evidence import Evidence, Object
from tasks.diagnosis.objects import Objects, at, listed, name, namespace, ref
from tasks.plans import listeners, proxies

#: Labels of what Envoy Gateway's chart and Envoy Gateway itself make.
CONTROLLER = ("control-plane", "envoy-gateway")
PROXY = ("app.kubernetes.io/component", "proxy")
#: Its leader election (Envoy Gateway 1.9 source, internal/provider/kubernetes/kubernetes.go).
LEASE = "5b9825d2.gateway.envoyproxy.io"
#: Seconds in which a condition may be about to change, and in which what was made this moment
#: begins: a proxy takes ten, and a new Gateway has no address until then.
FRESH, BEGINS = 1.0, 15.0
#: Seconds that two clocks may differ and count as the same: a node renews its Lease every ten.
SAME_TIME = 15.0
#: Seconds in which proxies and objects follow a controller that began, or that took the Lease.
FOLLOW = 60.0
#: Why a container does not run, which time alone does not mend.
STUCK = (
    "CrashLoopBackOff",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
)
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")


class Known(Objects):
    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence.objects)
        self.evidence = evidence
        self._unread = {it.what for it in evidence.gaps}

    def read(self, *resources: str) -> bool:
        """Whether all of these could be listed, such as "leases.coordination.k8s.io"."""
        return not self._unread.intersection(resources)

    @cached_property
    def now(self) -> float:
        """
        By the cluster's own clock, as far as its Leases tell: those of nodes and of the control
        plane are renewed all the time. This machine's clock may be another.
        """
        own = self.evidence.now or 0.0
        renewed = [seconds(at(it, "spec", "renewTime")) for it in self.of("Lease")]
        newest = max((it for it in renewed if it is not None), default=None)
        return own if newest is None or abs(own - newest) < SAME_TIME else newest

    def age(self, stamp: object) -> float:
        """Seconds since such as "2026-11-22T10:00:00Z"; of what is no time, for ever."""
        then = seconds(stamp)
        return float("inf") if then is None else self.now - then

    def begins(self, it: Object) -> bool:
        """Whether it was made this moment."""
        return self.age(at(it, "metadata", "creationTimestamp")) < BEGINS

    @cached_property
    def classes(self) -> tuple[Object, ...]:
        wanted = self.evidence.controller
        return tuple(
            it for it in self.of("GatewayClass") if at(it, "spec", "controllerName") == wanted
        )

    @cached_property
    def gateways(self) -> tuple[Object, ...]:
        """Those of our classes."""
        own = {name(it) for it in self.classes}
        return tuple(
            it
            for it in self.of("Gateway")
            if at(it, "spec", "gatewayClassName") in own and not leaving(it)
        )

    @cached_property
    def merged(self) -> frozenset[str]:
        """Classes whose Gateways share their proxies."""
        return listeners.merged(self.classes, self.of("EnvoyProxy"))

    def owner(self, gateway: Object) -> str:
        """Whose proxies serve it: "edge/public", or the class of merged Gateways."""
        of_class = str(at(gateway, "spec", "gatewayClassName"))
        return of_class if of_class in self.merged else f"{namespace(gateway)}/{name(gateway)}"

    @cached_property
    def controllers(self) -> tuple[Object, ...]:
        """Deployments."""
        return tuple(it for it in self.of("Deployment") if labelled(it, CONTROLLER))

    def pods_of(self, workload: Object) -> tuple[Object, ...]:
        """Of a Deployment or DaemonSet, those that leave left out."""
        selector = at(workload, "spec", "selector", "matchLabels") or {}
        return self.pods_with(namespace(workload), selector)

    def pods_with(self, home: str, selector: Mapping[str, str]) -> tuple[Object, ...]:
        """Pods of a namespace that have these labels, those that leave left out; none for {}."""
        return tuple(
            it
            for it in self.of("Pod")
            if namespace(it) == home
            and selector
            and selector.items() <= labels(it).items()
            and not leaving(it)
        )

    def workloads(self, owner: str) -> tuple[Object, ...]:
        """Deployments and DaemonSets of the proxies that serve this Gateway or class."""
        return tuple(
            it
            for it in self.of("Deployment", "DaemonSet")
            if labelled(it, PROXY) and proxies.owner(it) == owner
        )

    def services(self, owner: str) -> tuple[Object, ...]:
        """Services of the proxies."""
        return tuple(
            it
            for it in self.of("Service")
            if proxies.owner(it) == owner and labels(it).get("app.kubernetes.io/managed-by")
        )

    def refusals(self, it: Object, of: str) -> Iterator[Object]:
        """
        Conditions that are False and stay so, as our controller says of the newest generation.
        + of: such as "parents" of a route, "ancestors" of a policy
        """
        generation = at(it, "metadata", "generation") or 0
        for said in listed(at(it, "status", of)):
            if said.get("controllerName") != self.evidence.controller:
                continue
            for one in listed(said.get("conditions")):
                current = one.get("observedGeneration", generation) >= generation
                settled = self.age(one.get("lastTransitionTime")) > FRESH
                if one.get("status") == "False" and current and settled:
                    yield one

    def events(self, it: Ref) -> tuple[Object, ...]:
        """Warnings about an object, the newest first."""
        found = [
            one
            for one in self.of("Event")
            if (at(one, "involvedObject", "kind"), at(one, "involvedObject", "name"))
            == (it.kind, it.name)
            and (at(one, "involvedObject", "namespace") or "") == it.namespace
        ]
        return tuple(sorted(found, key=_last, reverse=True))

    @cached_property
    def headless(self) -> bool:
        """Whether no controller works: what it would have mended stays as it is."""
        from tasks.diagnosis.cluster import control_plane

        return any(True for _ in control_plane.down(self))

    @cached_property
    def taking_over(self) -> bool:
        """Whether the controller began, or took the Lease, so lately that all may yet follow it."""
        leads = [
            self.age(at(it, "spec", "acquireTime")) for it in self.of("Lease") if name(it) == LEASE
        ]
        runs = [
            self.age(at(it, "state", "running", "startedAt"))
            for pod in self.of("Pod")
            if labelled(pod, CONTROLLER) and not leaving(pod)
            for it in containers(pod)
            if at(it, "state", "running") is not None
        ]
        return any(it < FOLLOW for it in leads) or (bool(runs) and max(runs) < FOLLOW)


def _last(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def labels(it: Object) -> Mapping[str, str]:
    found = at(it, "metadata", "labels")
    return found if isinstance(found, Mapping) else {}


def labelled(it: Object, label: tuple[str, str]) -> bool:
    return labels(it).get(label[0]) == label[1]


def leaving(it: Object) -> bool:
    return bool(at(it, "metadata", "deletionTimestamp"))


def seconds(stamp: object) -> float | None:
    """Of an RFC 3339 time since 1970, None for what is none."""
    if not isinstance(stamp, str):
        return None
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return None


def stamp_of(line: str) -> float | None:
    """When a line of a log was written, None where it does not say."""
    found = _STAMP.search(line)
    return seconds(found[0]) if found else None


def condition(it: Object | None, kind: str, of: Sequence[Object] | None = None) -> Object | None:
    """
    A condition that was said of the newest generation, None where there is none. + of: conditions
    of a listener or a parent; None are the object's own
    """
    said = listed(at(it, "status", "conditions")) if of is None else of
    generation = at(it, "metadata", "generation") or 0
    for one in said:
        if one.get("type") == kind and one.get("observedGeneration", generation) >= generation:
            return one
    return None


def quoted(what: str, it: Object) -> str:
    """A condition as evidence: 'Gateway edge/public: Programmed=False Invalid "..."'."""
    return (
        f'{what}: {it.get("type")}={it.get("status")} {it.get("reason")} "{it.get("message", "")}"'
    )


def ready(pod: Object) -> bool:
    return any(
        it.get("type") == "Ready" and it.get("status") == "True"
        for it in listed(at(pod, "status", "conditions"))
    )


def trouble(pod: Object) -> str | None:
    """Why a Pod does not run, in the cluster's own words, None where it says nothing."""
    for it in listed(at(pod, "status", "conditions")):
        if it.get("type") == "PodScheduled" and it.get("status") == "False":
            return f"{it.get('reason')}: {it.get('message', '')}"
    for it in containers(pod):
        waiting = at(it, "state", "waiting") or {}
        if waiting.get("reason") in STUCK:
            ended = at(it, "lastState", "terminated") or {}
            said = waiting.get("message") or ""
            code = f", ended with {ended.get('reason')} ({ended.get('exitCode')})" if ended else ""
            return f"container {it.get('name')}: {waiting['reason']}: {said}{code}"
    return None


def containers(pod: Object) -> Iterator[Object]:
    for key in ("initContainerStatuses", "containerStatuses"):
        yield from listed(at(pod, "status", key))


def found(
    cause: Cause,
    whose: Ref,
    place: str,
    sentence: str,
    fix: str,
    evidence: Sequence[str],
    *,
    severity: Severity = "error",
    confidence: float = 0.9,
    where: str = "",
    by: AnsweredBy = "envoy",
) -> Found:
    """A cause of a cluster."""
    return Found(
        CODES[cause],
        cause,
        by,
        whose,
        place,
        one_line(sentence),
        one_line(fix),
        tuple(one_line(it) for it in evidence),
        confidence,
        severity,
        where,
    )


def one_line(text: str) -> str:
    return " ".join(text.split())


__all__ = ["Known", "Object", "Ref", "at", "listed", "name", "namespace", "ref"]
