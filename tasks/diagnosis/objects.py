"""
Objects of Kubernetes by name, and what stands between a route and its Pods: Services of
backendRefs, EndpointSlices, policies and what they are for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tasks.diagnosis.diagnosis import Ref

Object = Mapping[str, Any]

ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
#: Names that Envoy Gateway gives, such as "httproute/shop/cart/rule/0/match/0/cart_example_com".
NAMED = re.compile(r"^(http|grpc|tls|tcp|udp)route/([^/]+)/([^/]+)/rule/(-?\d+)")
#: Such as "securitypolicy/shop/cart-extauth/auth/authz": a cluster that a policy needs.
OF_POLICY = re.compile(
    r"(securitypolicy|backendtrafficpolicy|envoyextensionpolicy)/([^/]+)/([^/]+)"
)
#: Cilium's, such as "mailer/cilium-gateway-mail/mailer:statics:80".
OF_SERVICE = re.compile(r"(?:^|/)([a-z0-9][a-z0-9-]*):([a-z0-9][a-z0-9-]*):(\d+)$")
KINDS = {
    "securitypolicy": "SecurityPolicy",
    "backendtrafficpolicy": "BackendTrafficPolicy",
    "envoyextensionpolicy": "EnvoyExtensionPolicy",
}


@dataclass(frozen=True)
class Rule:
    """A rule of a route, as Envoy's names tell of it: + index: from 0"""

    route: Ref
    index: int


def rule_of(name: str) -> Rule | None:
    """The rule that a route or cluster of Envoy was made from."""
    found = NAMED.match(name)
    if found is None:
        return None
    kind = {"http": "HTTPRoute", "grpc": "GRPCRoute"}.get(found[1], f"{found[1].upper()}Route")
    return Rule(Ref(kind, found[3], found[2]), int(found[4]))


class Objects:
    """+ known: whether any could be read"""

    def __init__(self, items: Sequence[Object] | None) -> None:
        self.known = items is not None
        self.items = tuple(items or ())

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str, str], Object]:
        return {(it["kind"], namespace(it), name(it)): it for it in self.items}

    def get(self, ref: Ref) -> Object | None:
        return self._by_name.get((ref.kind, ref.namespace, ref.name))

    def of(self, *kinds: str) -> Iterator[Object]:
        return (it for it in self.items if it["kind"] in kinds)

    def rule(self, rule: Rule) -> Object:
        """The rule as its route has it, {} where that is not known."""
        route = self.get(rule.route)
        rules = at(route, "spec", "rules")
        if isinstance(rules, list) and 0 <= rule.index < len(rules):
            it = rules[rule.index]
            return it if isinstance(it, dict) else {}
        return {}

    def backends(self, rule: Rule) -> tuple[Ref, ...]:
        """What a rule sends to, those with weight 0 too."""
        refs = self.rule(rule).get("backendRefs")
        return tuple(
            target(it, rule.route.namespace, "Service")
            for it in (refs if isinstance(refs, list) else ())
            if isinstance(it, dict)
        )

    def rule_for(self, host: str, method: str, path: str) -> Rule | None:
        """The rule that takes a request by its host, path and method, as the specification says."""
        found = []
        for it in self.of("HTTPRoute"):
            names = [n for n in hostnames(it) or ("",) if covers(n, host)]
            for index, rule in enumerate(listed(at(it, "spec", "rules"))):
                for match in listed(rule.get("matches")) or ({},):
                    wanted = match.get("method")
                    length = _path_length(mapping(match.get("path")), path.partition("?")[0])
                    if names and host and length >= 0 and wanted in (None, method):
                        rank = (max(len(n) for n in names), length, -index)
                        found.append((rank, Rule(ref(it), index)))
        return max(found, key=lambda one: one[0])[1] if found else None

    def slices(self, service: Ref) -> tuple[Object, ...]:
        return tuple(
            it
            for it in self.of("EndpointSlice")
            if namespace(it) == service.namespace
            and at(it, "metadata", "labels", "kubernetes.io/service-name") == service.name
        )

    def readiness(self, service: Ref) -> tuple[int, int] | None:
        """How many endpoints are ready, of how many; None where there is no EndpointSlice of it."""
        slices = self.slices(service)
        if not slices:
            return None
        points = [it for one in slices for it in listed(one.get("endpoints"))]
        ready = sum(1 for it in points if at(it, "conditions", "ready") is not False)
        return ready, len(points)

    def services_at(self, address: str) -> tuple[Ref, ...]:
        """Services with an endpoint at such as "10.0.0.7:3000"."""
        host, _, port = address.rpartition(":")
        found = []
        for it in self.of("EndpointSlice"):
            ports = [str(one.get("port")) for one in listed(it.get("ports"))]
            hosts = [a for one in listed(it.get("endpoints")) for a in items(one.get("addresses"))]
            if host.strip("[]") in hosts and (not ports or port in ports or "None" in ports):
                service = at(it, "metadata", "labels", "kubernetes.io/service-name")
                if isinstance(service, str):
                    found.append(Ref("Service", service, namespace(it)))
        return tuple(dict.fromkeys(found))

    def pods_at(self, address: str) -> tuple[Object, ...]:
        host = address.rpartition(":")[0].strip("[]")
        return tuple(it for it in self.of("Pod") if at(it, "status", "podIP") == host)

    def policies(self, kind: str, targets: Sequence[Ref]) -> tuple[Object, ...]:
        """Policies for one of the objects, those of the first object first."""
        found = []
        for one in targets:
            found += [it for it in self.of(kind) if one in self._targets(it)]
        return tuple(found)

    def _targets(self, policy: Object) -> tuple[Ref, ...]:
        spec = mapping(at(policy, "spec"))
        refs = [*listed(spec.get("targetRefs")), *listed([spec.get("targetRef")])]
        found = [target(it, namespace(policy), "") for it in refs]
        for it in listed(spec.get("targetSelectors")):
            wanted = mapping(it.get("matchLabels"))
            found += [
                ref(one)
                for one in self.of(str(it.get("kind", "")))
                if namespace(one) == namespace(policy)
                and all(at(one, "metadata", "labels", k) == v for k, v in wanted.items())
            ]
        return tuple(found)


def _path_length(match: Object, path: str) -> int:
    """How much of the path a match names, -1 where it does not match."""
    value = str(match.get("value", "/"))
    kind = match.get("type", "PathPrefix")
    if kind == "Exact":
        return 2 * len(value) if path == value else -1
    if kind != "PathPrefix":
        return -1
    prefix = value.rstrip("/")
    return len(prefix) if path == prefix or path.startswith(f"{prefix}/") else -1


def covers(hostname: str, host: str) -> bool:
    """Whether a listener's or route's hostname is for this host."""
    if not hostname or hostname == host:
        return True
    return hostname.startswith("*.") and host.endswith(hostname[1:])


def hostnames(route: Object) -> tuple[str, ...]:
    return tuple(str(it).lower() for it in items(at(route, "spec", "hostnames")))


def attached(route: Object) -> bool:
    """Whether a Gateway took it, as far as its status tells."""
    parents = listed(at(route, "status", "parents"))
    return bool(parents) and any(
        all(
            condition.get("status") != "False"
            for condition in listed(it.get("conditions"))
            if condition.get("type") == "Accepted"
        )
        for it in parents
    )


def ref(it: Object) -> Ref:
    return Ref(str(it["kind"]), name(it), namespace(it))


def name(it: Object) -> str:
    return str(it["metadata"].get("name") or "")


def namespace(it: Object) -> str:
    return str(it["metadata"].get("namespace") or "")


def target(it: Object, home: str, kind: str) -> Ref:
    """What a reference names, from an object in namespace ``home``."""
    return Ref(
        str(it.get("kind") or kind), str(it.get("name", "")), str(it.get("namespace") or home)
    )


def at(it: Object | None, *keys: str) -> Any:
    """What is under the keys, None where any of them is not there."""
    value: Any = it
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def listed(value: Any) -> tuple[Object, ...]:
    """Those items of a list that are objects."""
    return tuple(it for it in items(value) if isinstance(it, dict))


def items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def mapping(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def false_conditions(it: Object | None) -> Iterator[tuple[Ref, Object]]:
    """Conditions of a route's parents or a policy's ancestors that are False, and whose."""
    for key, of in (("parents", "parentRef"), ("ancestors", "ancestorRef")):
        for one in listed(at(it, "status", key)):
            for condition in listed(one.get("conditions")):
                if condition.get("status") == "False" and it is not None:
                    whose = target(mapping(one.get(of)), namespace(it), "Gateway")
                    yield whose, condition
