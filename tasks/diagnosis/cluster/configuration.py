"""
What the proxies run against what they were to get: refused, not connected, not the same on all Pods
of a Gateway, or older than what the objects say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from tasks.diagnosis.cluster.control_plane import unobserved
from tasks.diagnosis.cluster.known import (
    BEGINS,
    FRESH,
    Known,
    Object,
    Ref,
    at,
    found,
    leaving,
    listed,
    name,
    namespace,
    quoted,
    ref,
)
from tasks.diagnosis.config import Configuration
from tasks.diagnosis.diagnosis import Found
from tasks.diagnosis.evidence import Proxy
from tasks.plans import proxies

#: An Envoy writes of what it refuses, with its own time in UTC.
_REFUSED = re.compile(
    r"^\[(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[^]]*\].*config for (?P<what>\S+) rejected: "
    r"(?P<why>.*)"
)
#: Such as "listener_manager.lds.update_rejected", by the type that its log names.
_COUNTERS = {
    "Listener": "listener_manager.lds",
    "Cluster": "cluster_manager.cds",
}
#: Seconds in which a route that was taken is at the proxies.
DELIVERED = 3.0


def causes(known: Known) -> Iterator[Found]:
    by_gateway, by_parent = _by_gateway(known), _by_parent(known)
    follows = not known.headless and not known.taking_over
    for gateway in known.gateways:
        for pod, proxy in by_gateway.get(known.owner(gateway), ()):
            refused = _refused(known, gateway, pod, proxy)
            if refused is not None:
                yield refused
                break
        if known.owner(gateway) in known.merged:
            continue
        if follows:
            members = by_gateway.get(known.owner(gateway), [])
            routes = by_parent.get((namespace(gateway), name(gateway)), [])
            behind = tuple(_lacking(known, gateway, members, routes))
            yield from behind or _apart(gateway, members)
    yield from _patches(known)
    if follows:
        yield from _unconnected(known, by_gateway)
        yield from _unreported(known)


def _by_gateway(known: Known) -> Mapping[str, list[tuple[Object, Proxy]]]:
    """Proxies with their Pods, by the Gateway or class that they serve."""
    asked = {it.name: it for it in known.evidence.proxies}
    found_: dict[str, list[tuple[Object, Proxy]]] = {}
    for pod in known.of("Pod"):
        proxy = asked.get(ref(pod).text)
        if proxy is not None and not leaving(pod):
            found_.setdefault(proxies.owner(pod), []).append((pod, proxy))
    return found_


def _by_parent(known: Known) -> Mapping[tuple[str, str], list[Object]]:
    """Routes by namespace and name of each parent that somebody reported of."""
    found_: dict[tuple[str, str], list[Object]] = {}
    for route in known.of("HTTPRoute", "GRPCRoute"):
        parents = [it.get("parentRef") or {} for it in listed(at(route, "status", "parents"))]
        places = [
            (str(it.get("namespace") or namespace(route)), str(it.get("name"))) for it in parents
        ]
        for place in dict.fromkeys(places):
            found_.setdefault(place, []).append(route)
    return found_


def _refused(known: Known, gateway: Object, pod: Object, proxy: Proxy) -> Found | None:
    """What an Envoy would not take, and still does not have."""
    config = proxy.config
    errors = list(config.errors) if isinstance(config, Configuration) else []
    errors += [
        f"listener {it.name}: {it.error}"
        for it in (config.listeners if isinstance(config, Configuration) else ())
        if it.error and not any(it.error in one for one in errors)
    ]
    errors += list(_in_log(proxy))
    if not errors:
        return None
    whose = _patching(known, gateway) or ref(gateway)
    field = "spec.jsonPatches" if whose.kind == "EnvoyPatchPolicy" else "spec"
    rejected = [
        f"{ref(pod).text}: {key} {value:.0f}"
        for key, value in (proxy.stats or {}).items()
        if key.endswith(".update_rejected") and value
    ]
    return found(
        "configuration_rejected",
        whose,
        field,
        f"the proxies of {ref(gateway).text} refuse their newest configuration and go on with the "
        f"one before: {errors[0]}",
        f"take back the last change of {whose.text} or of what attaches to it",
        [f"{ref(pod).text}: {errors[0]}", *rejected[:3]],
        where=ref(gateway).text,
    )


def _in_log(proxy: Proxy) -> Iterator[str]:
    """What was refused after the last update that was taken."""
    taken = proxy.stats or {}
    for line in proxy.log or ():
        it = _REFUSED.match(line)
        if it is None:
            continue
        kind = it["what"].rpartition(".")[2]
        newest = taken.get(f"{_COUNTERS.get(kind, '')}.update_time")
        when = datetime.fromisoformat(it["at"]).replace(tzinfo=UTC).timestamp()
        if newest is not None and 1000 * when > newest:
            yield f"{kind}: {it['why']}"


def _patching(known: Known, gateway: Object) -> Ref | None:
    """A patch for this Gateway or its class, which is what proxies refuse most often."""
    meant = {name(gateway), str(at(gateway, "spec", "gatewayClassName"))}
    for it in known.of("EnvoyPatchPolicy"):
        target = at(it, "spec", "targetRef") or {}
        if namespace(it) == namespace(gateway) and target.get("name") in meant:
            return ref(it)
    return None


def _patches(known: Known) -> Iterator[Found]:
    """Patches that the controller could not apply, so that no proxy sees them."""
    for it in known.of("EnvoyPatchPolicy"):
        for ancestor in listed(at(it, "status", "ancestors")):
            for said in listed(ancestor.get("conditions")):
                bad = said.get("type") == "Programmed" and said.get("status") == "False"
                if bad and known.age(said.get("lastTransitionTime")) > FRESH:
                    yield found(
                        "configuration_rejected",
                        ref(it),
                        "spec.jsonPatches",
                        f"its patches are not in force: {said.get('message')}",
                        "correct type, name and path of spec.jsonPatches, as the config dump of a "
                        "proxy has them",
                        [quoted(ref(it).text, said)],
                    )
                    return


def _unconnected(
    known: Known, by_gateway: Mapping[str, list[tuple[Object, Proxy]]]
) -> Iterator[Found]:
    for owner, members in by_gateway.items():
        for pod, proxy in members:
            state = (proxy.stats or {}).get("control_plane.connected_state")
            begun = known.age(at(pod, "metadata", "creationTimestamp"))
            if state != 0 or begun < BEGINS:
                continue
            yield found(
                "configuration_stale",
                ref(pod),
                "",
                "this proxy has no stream to the controller, which works: it goes on with the "
                "configuration that it has",
                "deploys/rotate_control_plane.py looks at the certificates between them; a "
                "NetworkPolicy must let it to port 18000 of the controller",
                [f"{ref(pod).text}: control_plane.connected_state 0"],
                where=f"Gateway {owner}" if "/" in owner else f"GatewayClass {owner}",
            )


def _lacking(
    known: Known,
    gateway: Object,
    members: list[tuple[Object, Proxy]],
    routes: list[Object],
) -> Iterator[Found]:
    """Routes that the Gateway took, with every condition True, and that a proxy does not have."""
    if any(
        it.get("status") == "False" and it.get("type") in ("Programmed", "ResolvedRefs", "Accepted")
        for one in listed(at(gateway, "status", "listeners"))
        for it in listed(one.get("conditions"))
    ):
        return  # the routes of a listener that is not served stay True
    taken = [it for it in routes if _is_taken(known, gateway, it)]
    for pod, proxy in members:
        shape = _shape(proxy.config)
        if shape is None or known.begins(pod):
            continue
        rules = {tuple(it.removeprefix("route ").split("/")[:3]) for it in shape}
        for route in taken:
            of_kind = str(route["kind"]).lower()
            if (of_kind, namespace(route), name(route)) in rules:
                continue
            yield found(
                "configuration_stale",
                ref(gateway),
                "",
                f"its proxies do not have {ref(route).text}, which it took: what the controller "
                "makes does not reach them, and every condition is green",
                "look at the stream between them: a NetworkPolicy or firewall in front of port "
                "18000 of the controller, and its certificates (deploys/rotate_control_plane.py)",
                [
                    f"{ref(route).text}: Accepted=True",
                    f"{ref(pod).text}: no route {of_kind}/{namespace(route)}/{name(route)} among "
                    f"{len(shape)} routes and clusters",
                    *_stream(proxy),
                ],
                where=ref(pod).text,
            )
            return


def _stream(proxy: Proxy) -> Iterator[str]:
    for key in ("control_plane.connected_state", "listener_manager.lds.update_failure"):
        if proxy.stats and key in proxy.stats:
            yield f"{proxy.name}: {key} {proxy.stats[key]:.0f}"


def _is_taken(known: Known, gateway: Object, route: Object) -> bool:
    """Accepted by this Gateway, some seconds ago, with a rule."""
    generation = at(route, "metadata", "generation") or 0
    for parent in listed(at(route, "status", "parents")):
        whose = parent.get("parentRef") or {}
        if (
            (whose.get("kind") or "Gateway") != "Gateway"
            or (whose.get("namespace") or namespace(route), whose.get("name"))
            != (
                namespace(gateway),
                name(gateway),
            )
            or parent.get("controllerName") != known.evidence.controller
        ):
            continue
        for it in listed(parent.get("conditions")):
            if it.get("type") == "Accepted":
                settled = known.age(it.get("lastTransitionTime")) > DELIVERED
                current = it.get("observedGeneration", generation) >= generation
                good = it.get("status") == "True" and settled and current
                return good and bool(listed(at(route, "spec", "rules"))) and not leaving(route)
    return False


def _apart(gateway: Object, members: list[tuple[Object, Proxy]]) -> Iterator[Found]:
    """Pods of one Gateway that do not have the same routes and clusters."""
    shapes = [(pod, shape) for pod, it in members if (shape := _shape(it.config)) is not None]
    if len({shape for _, shape in shapes}) < 2:
        return
    common = frozenset.intersection(*(shape for _, shape in shapes))
    lines = [
        f"{ref(pod).text}: {len(shape)} routes and clusters"
        + (f", alone in having {sorted(shape - common)[0]}" if shape - common else "")
        for pod, shape in shapes
    ]
    behind = min(shapes, key=lambda it: len(it[1]))[0]
    yield found(
        "configuration_stale",
        ref(behind),
        "",
        f"the proxies of {ref(gateway).text} do not have the same configuration: which one a "
        "client meets decides what it gets",
        f"kubectl delete pod {name(behind)} --namespace {namespace(behind)}, if it stays so",
        lines,
        severity="warning",
        confidence=0.6,
        where=ref(gateway).text,
    )


def _shape(config: object) -> frozenset[str] | None:
    if not isinstance(config, Configuration) or config.partial:
        return None
    routes = {
        f"route {one.name}"
        for table in config.tables.values()
        for it in table.hosts
        for one in it.routes
    }
    return frozenset({*routes, *(f"cluster {it}" for it in config.clusters)})


def _unreported(known: Known) -> Iterator[Found]:
    """A change that the controller, which works, says nothing of."""
    kinds = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
    late = [
        (it, line)
        for it in (*known.gateways, *known.of(*kinds))
        if (line := unobserved(it)) and _since(known, it) > BEGINS
    ]
    if late:
        it, line = late[0]
        more = f" (and {len(late) - 1} more)" if len(late) > 1 else ""
        yield found(
            "configuration_stale",
            ref(it),
            "metadata.generation",
            f"its newest generation was not acted on{more}: what is served is the one before",
            "look into the log of the controller; kubectl rollout restart deployment of the "
            "controller, where it says nothing",
            [text for _, text in late[:3]],
        )


def _since(known: Known, it: Object) -> float:
    """Since its specification was changed last, as far as it tells."""
    changed = [
        known.age(one.get("time"))
        for one in listed(at(it, "metadata", "managedFields"))
        if not one.get("subresource")
    ]
    return min(changed, default=float("inf"))
