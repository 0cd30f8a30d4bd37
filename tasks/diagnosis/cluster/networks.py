"""
NetworkPolicies on the way from a client to a proxy, from a proxy to its backends, and from a proxy
to the controller. What enforces them, and whether anything does, no object tells: a way that a
request has just taken is open.

Source: Kubernetes docs, Network Policies: a Pod that a policy selects takes what some policy that
selects it lets through, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal

from tasks.diagnosis.cluster.known import CONTROLLER as CONTROLLER_LABEL
from tasks.diagnosis.cluster.known import (
    Known,
    Object,
    Ref,
    at,
    found,
    labels,
    leaving,
    listed,
    name,
    namespace,
    ref,
)
from tasks.diagnosis.diagnosis import Found
from tasks.diagnosis.objects import target
from tasks.plans import proxies

Way = Literal["Ingress", "Egress"]
#: Of the controller, where proxies get their configuration.
STREAM = 18000
ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")


@dataclass(frozen=True)
class Blocked:
    """+ policy: the first that selects the Pod; + field: where it would have to let through"""

    policy: Object
    field: str


def causes(known: Known) -> Iterator[Found]:
    if not known.read("networkpolicies.networking.k8s.io", "pods", "namespaces"):
        return
    if not any(True for _ in known.of("NetworkPolicy")):
        return
    said: set[Ref] = set()
    for it in (*_to_backends(known), *_to_proxies(known), *_to_controller(known)):
        if it.object not in said:
            said.add(it.object)
            yield it


def _to_backends(known: Known) -> Iterator[Found]:
    for route in known.of(*ROUTES):
        sources = _proxies_of(known, route)
        if leaving(route) or not sources:
            continue
        for rule in listed(at(route, "spec", "rules")):
            for it in listed(rule.get("backendRefs")):
                service = target(it, namespace(route), "Service")
                yield from _to_service(known, route, service, sources[0])


def _to_service(known: Known, route: Object, service: Ref, source: Object) -> Iterator[Found]:
    for pod, port in _endpoints(known, service):
        address = str(at(pod, "status", "podIP"))
        if _answered(known, address):
            return
        blocked = _blocked(known, pod, source, port, "Ingress")
        way = f"to {ref(pod).text} of {service.text}, port {port}"
        if blocked is None:
            blocked = _blocked(known, source, pod, port, "Egress")
        if blocked is not None:
            yield _found(
                blocked,
                f"it does not let the proxies {way}: {ref(route).text} sends there, and its "
                "requests wait until they time out",
                f"let Pods of namespace {namespace(source)} with label {proxies.LABELS} through, "
                f"port {port}",
                [
                    f"{ref(route).text} sends to {service.text}",
                    f"{ref(pod).text}: {address}:{port}",
                ],
            )
        return


def _to_proxies(known: Known) -> Iterator[Found]:
    """What clients send comes from any address."""
    for gateway in known.gateways:
        for pod in _proxies_at(known, known.owner(gateway))[:1]:
            for listener in listed(at(gateway, "spec", "listeners")):
                port = listener.get("port")
                if listener.get("protocol") == "UDP" or not isinstance(port, int):
                    continue
                inside = proxies.container_port(port)
                blocked = _blocked(known, pod, None, inside, "Ingress")
                if blocked is not None and not known.evidence.entries:
                    yield _found(
                        blocked,
                        f"it does not let clients to the proxies of {ref(gateway).text}, port "
                        f"{inside}: connections to listener {listener.get('name')} come to nothing",
                        f"add an ingress rule without from, for port {inside}",
                        [f"{ref(pod).text}: port {inside} of listener {listener.get('name')}"],
                    )
                    break


def _to_controller(known: Known) -> Iterator[Found]:
    targets = [
        it
        for it in known.of("Pod")
        if labels(it).get(CONTROLLER_LABEL[0]) == CONTROLLER_LABEL[1] and not leaving(it)
    ]
    asked = {it.name: it for it in known.evidence.proxies}
    for gateway in known.gateways:
        for pod in _proxies_at(known, known.owner(gateway))[:1]:
            proxy = asked.get(ref(pod).text)
            connected = (proxy.stats or {}).get("control_plane.connected_state") if proxy else None
            if connected == 1:
                continue
            for it in targets[:1]:
                blocked = _blocked(known, it, pod, STREAM, "Ingress") or _blocked(
                    known, pod, it, STREAM, "Egress"
                )
                if blocked is not None:
                    yield _found(
                        blocked,
                        f"it does not let the proxies of {ref(gateway).text} to the controller, "
                        f"port {STREAM}: they get no configuration",
                        f"let Pods with label {proxies.LABELS} to port {STREAM} of the controller",
                        [f"{ref(it).text}: port {STREAM}"],
                    )


def _found(it: Blocked, sentence: str, fix: str, evidence: Sequence[str]) -> Found:
    return found(
        "network_policy",
        ref(it.policy),
        it.field,
        sentence,
        fix,
        [f"{ref(it.policy).text}: {it.field} has no rule that fits", *evidence],
        confidence=0.7,
    )


def _answered(known: Known, address: str) -> bool:
    """Whether the newest request that went there was answered: older ones say nothing."""
    newest = next(
        (
            it
            for it in reversed(known.evidence.entries)
            if (it.upstream_host or "").rpartition(":")[0].strip("[]") == address
        ),
        None,
    )
    return newest is not None and newest.details == "via_upstream"


def _proxies_of(known: Known, route: Object) -> list[Object]:
    own = {(namespace(it), name(it)): it for it in known.gateways}
    for parent in listed(at(route, "spec", "parentRefs")):
        gateway = own.get((parent.get("namespace") or namespace(route), str(parent.get("name"))))
        if gateway is not None:
            return _proxies_at(known, known.owner(gateway))
    return []


def _proxies_at(known: Known, owner: str) -> list[Object]:
    return [
        it
        for it in known.of("Pod")
        if labels(it).get("app.kubernetes.io/component") == "proxy"
        and proxies.owner(it) == owner
        and not leaving(it)
    ]


def _endpoints(known: Known, service: Ref) -> Iterator[tuple[Object, int]]:
    """Pods of a Service that are ready, with the port that they are asked at."""
    for one in known.slices(service):
        ports = [it.get("port") for it in listed(one.get("ports"))]
        for it in listed(one.get("endpoints")):
            whose = at(it, "targetRef") or {}
            pod = known.get(Ref("Pod", str(whose.get("name")), service.namespace))
            if pod is not None and at(it, "conditions", "ready") is not False:
                yield from ((pod, port) for port in ports if isinstance(port, int))


def _blocked(known: Known, pod: Object, peer: Object | None, port: int, way: Way) -> Blocked | None:
    """
    What keeps a peer from (Ingress) or for (Egress) this port of a Pod, None where nothing does.
    + peer: None is any address outside of the cluster
    """
    selecting = [
        it
        for it in known.of("NetworkPolicy")
        if namespace(it) == namespace(pod)
        and way in _types(it)
        and _selects(at(it, "spec", "podSelector"), labels(pod))
    ]
    key, side = ("ingress", "from") if way == "Ingress" else ("egress", "to")
    inside = pod if way == "Ingress" else peer
    for it in selecting:
        for rule in listed(at(it, "spec", key)):
            if _port_fits(rule.get("ports"), port, inside) and _peer_fits(
                known, rule.get(side), peer, namespace(it)
            ):
                return None
    return Blocked(selecting[0], f"spec.{key}") if selecting else None


def _types(policy: Object) -> Sequence[str]:
    said = at(policy, "spec", "policyTypes")
    if isinstance(said, list):
        return said
    return ("Ingress", "Egress") if at(policy, "spec", "egress") is not None else ("Ingress",)


def _port_fits(ports: object, port: int, pod: Object | None) -> bool:
    if not isinstance(ports, list) or not ports:
        return True
    for it in listed(ports):
        wanted, last = it.get("port"), it.get("endPort")
        if it.get("protocol", "TCP") != "TCP":
            continue
        if wanted is None or wanted == port:
            return True
        if isinstance(wanted, int) and isinstance(last, int) and wanted <= port <= last:
            return True
        if isinstance(wanted, str) and pod is not None and port in _named(pod, wanted):
            return True
    return False


def _named(pod: Object, called: str) -> list[int]:
    return [
        it["containerPort"]
        for one in listed(at(pod, "spec", "containers"))
        for it in listed(one.get("ports"))
        if it.get("name") == called and isinstance(it.get("containerPort"), int)
    ]


def _peer_fits(known: Known, peers: object, peer: Object | None, home: str) -> bool:
    if not isinstance(peers, list) or not peers:
        return True
    return any(_is_peer(known, it, peer, home) for it in listed(peers))


def _is_peer(known: Known, it: Object, peer: Object | None, home: str) -> bool:
    block = it.get("ipBlock")
    if isinstance(block, Mapping):
        return peer is None or _in_block(block, str(at(peer, "status", "podIP") or ""))
    if peer is None:
        return False
    place = namespace(peer)
    if "namespaceSelector" in it:
        of_place = known.get(Ref("Namespace", place))
        said = {"kubernetes.io/metadata.name": place, **(labels(of_place) if of_place else {})}
        if not _selects(it.get("namespaceSelector"), said):
            return False
    elif place != home:
        return False
    return "podSelector" not in it or _selects(it.get("podSelector"), labels(peer))


def _in_block(block: Object, address: str) -> bool:
    try:
        there = ip_address(address)
        return there in ip_network(str(block.get("cidr")), strict=False) and not any(
            there in ip_network(str(it), strict=False) for it in block.get("except") or ()
        )
    except ValueError:
        return True  # what cannot be judged is let through


def _selects(selector: object, said: Mapping[str, str]) -> bool:
    """A label selector; an empty one selects all."""
    if not isinstance(selector, Mapping):
        return True
    wanted = selector.get("matchLabels") or {}
    if not wanted.items() <= said.items():
        return False
    return all(_expression(it, said) for it in listed(selector.get("matchExpressions")))


def _expression(it: Object, said: Mapping[str, str]) -> bool:
    value, values = said.get(str(it.get("key"))), it.get("values") or ()
    match it.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None
