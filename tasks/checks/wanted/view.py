"""The objects that are wanted, those that they meet on the cluster, and what hangs on what."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tasks.checks.findings import Finding, Severity, Where
from tasks.plans.arm import at, objects, text
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API, title
from tasks.plans.listeners import selected
from tasks.plans.references import Reference, to

Object = Mapping[str, Any]
ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
#: The routes that a listener takes, by its protocol (Gateway API spec, AllowedRoutes.kinds).
TAKEN = {
    "HTTP": ("HTTPRoute", "GRPCRoute"),
    "HTTPS": ("HTTPRoute", "GRPCRoute"),
    "TLS": ("TLSRoute", "TCPRoute"),
    "TCP": ("TCPRoute",),
    "UDP": ("UDPRoute",),
}


@dataclass(frozen=True)
class Slot:
    """
    One listener as it is written. + owner: the Gateway or ListenerSet; + gateway: whose proxies
    serve it
    """

    owner: Object
    gateway: Object
    listener: Object

    @property
    def name(self) -> str:
        return text(self.listener, "name")

    @property
    def hostname(self) -> str | None:
        return text(self.listener, "hostname") or None

    @property
    def protocol(self) -> str:
        return text(self.listener, "protocol")

    @property
    def title(self) -> str:
        """Such as "listener https of Gateway edge/public"."""
        return f"listener {self.name} of {title(self.owner)}"

    def takes_kind(self, kind: str) -> bool:
        named = [text(it, "kind") for it in objects(self.listener, "allowedRoutes", "kinds")]
        return kind in (named or TAKEN.get(self.protocol, ()))


@dataclass(frozen=True)
class View:
    """
    + wanted: the objects of the inventory; + origins: where each is written
    + live: what the cluster has, or None where it was not asked: then nothing is said to be missing
    + unmeasured: the wanted EnvoyProxies with an autoscaler that nobody tells anything
    + no_priorities: PriorityClasses that wanted ones name and that are not there
    """

    cluster: str
    wanted: Sequence[Object]
    origins: Mapping[Reference, str]
    live: Sequence[Object] | None = None
    unmeasured: Sequence[Object] = ()
    no_priorities: Collection[str] = ()

    @cached_property
    def every(self) -> Mapping[Reference, Object]:
        """
        The cluster as it is going to be: a wanted object in place of the one that is there, behind
        all that others have.
        """
        others = {key: it for it in self.live or () if (key := to(it)) not in self.origins}
        return others | {to(it): it for it in self.wanted}

    @cached_property
    def by_kind(self) -> Mapping[tuple[str, str], Sequence[Object]]:
        """``every`` by group and kind, in its order."""
        found: dict[tuple[str, str], list[Object]] = {}
        for key, it in self.every.items():
            found.setdefault((key.group, key.kind), []).append(it)
        return found

    def of(self, kind: str, group: str = GATEWAY_API) -> Sequence[Object]:
        return self.by_kind.get((group, kind), ())

    def of_envoy(self, kind: str) -> Sequence[Object]:
        return self.by_kind.get((ENVOY_GATEWAY, kind), ())

    def wanted_of(self, *kinds: str) -> Iterator[Object]:
        return (it for it in self.wanted if it["kind"] in kinds)

    def is_wanted(self, thing: Object) -> bool:
        return to(thing) in self.origins

    def parent(self, thing: Object, ref: Any) -> Reference:
        """What a parentRef of ``thing`` names."""
        namespace = text(ref, "namespace") or thing["metadata"]["namespace"]
        group = at(ref, "group")
        group = GATEWAY_API if group is None else str(group)
        return Reference(group, text(ref, "kind") or "Gateway", namespace, text(ref, "name"))

    @cached_property
    def slots(self) -> Mapping[Reference, Sequence[Slot]]:
        """The listeners of every Gateway, and of every ListenerSet whose Gateway is known."""
        found = {}
        for owner in (*self.of("Gateway"), *self.of("ListenerSet")):
            gateway: Object | None = owner
            if owner["kind"] == "ListenerSet":
                ref = at(owner, "spec", "parentRef")
                gateway = self.every.get(self.parent(owner, ref))
            if gateway is not None:
                every = objects(owner, "spec", "listeners")
                found[to(owner)] = [Slot(owner, gateway, it) for it in every]
        return found

    def named_slots(self, route: Object, ref: Object) -> list[Slot]:
        """The listeners that a parentRef names, whether or not they take the route."""
        section, port = ref.get("sectionName"), ref.get("port")
        return [
            it
            for it in self.slots.get(self.parent(route, ref), ())
            if section in (None, it.name) and port in (None, it.listener.get("port"))
        ]

    def admits(self, slot: Slot, namespace: str) -> bool:
        """Whether a listener takes routes of a namespace; yes where its labels are not known."""
        return self.lets_in(at(slot.listener, "allowedRoutes"), slot.owner, namespace, "Same")

    def lets_in(self, allowed: Any, owner: Object, namespace: str, default: str) -> bool:
        """+ allowed: such as {"namespaces": {"from": "Selector", "selector": {...}}}"""
        source = text(allowed, "namespaces", "from") or default
        if source == "Selector":
            there = self.every.get(Reference("", "Namespace", None, namespace))
            if there is None or not self.live:
                return True
            names = {"kubernetes.io/metadata.name": namespace}
            labels = {**names, **(there["metadata"].get("labels") or {})}
            return selected(labels, at(allowed, "namespaces", "selector"))
        return bool(
            source == "All" or (source == "Same" and owner["metadata"]["namespace"] == namespace)
        )

    def finding(self, code: str, severity: Severity, thing: Object, what: str, fix: str) -> Finding:
        """At an object and where it is written."""
        where = Where(self.cluster, title(thing), self.origins.get(to(thing)))
        return Finding(code, severity, where, what, fix)
