"""Limits that do not hold what they promise: nobody counts, memory is less, clients are others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tasks.checks.findings import Finding, Severity, Where
from tasks.plans.kinds import title
from tasks.plans.limits import Way, at, merged, size, ways
from tasks.plans.listeners import targets

Object = Mapping[str, Any]
#: Envoy Gateway's own: bytes a connection may hold back, requests at once towards a backend.
BUFFER, REQUESTS = 32 * 2**10, 1024
#: Azure sends PROXY protocol through a Private Link Service alone, and only when it is asked to.
PLS = "service.beta.kubernetes.io/azure-pls-proxy-protocol"


def limit_findings(cluster: str, objects: Iterable[Object]) -> Iterator[Finding]:
    """Of Gateways, routes, policies and EnvoyProxies, as they are wanted or as they are."""
    every = list(objects)
    for thing in every:
        if thing["kind"] == "Gateway":
            yield from _of_gateway(cluster, thing, every)
    found: dict[Finding, None] = {}
    for way in ways(every):
        for it in (*_replaced(cluster, way), *_held_back(cluster, way)):
            found.setdefault(it)
    yield from found


def rates_without_redis(cluster: str, objects: Iterable[Object]) -> Iterator[Finding]:
    """Where the controller was told of no Redis."""
    for thing in objects:
        if at(thing, "spec", "rateLimit", "global") is not None:
            yield _finding(
                "GW356",
                cluster,
                thing,
                "a rate that all proxies count together needs a Redis, and the controller knows "
                "none: it refuses the policy, and every request is answered 500",
                "name it in rate_limit_redis, or let each proxy count for itself: rateLimit.local",
                "error",
            )


def _finding(
    code: str, cluster: str, thing: Object, what: str, fix: str, severity: Severity = "warning"
) -> Finding:
    return Finding(code, severity, Where(cluster, title(thing)), what, fix)


def _of_gateway(cluster: str, gateway: Object, objects: list[Object]) -> Iterator[Finding]:
    proxy = _proxy(gateway, objects)
    kubernetes = at(proxy, "spec", "provider", "kubernetes")
    memory = size(at(kubernetes, "envoyDeployment", "container", "resources", "limits", "memory"))
    for policy in objects:
        if not targets_gateway(policy, gateway):
            continue
        spec = policy["spec"]
        if policy["kind"] == "ClientTrafficPolicy":
            yield from _too_much(cluster, policy, memory)
            if spec.get("enableProxyProtocol") or at(spec, "proxyProtocol", "optional") is False:
                yield from _not_told(cluster, policy, gateway, kubernetes)
        if policy["kind"] in ("BackendTrafficPolicy", "SecurityPolicy"):
            yield from _nodes(cluster, policy, gateway, kubernetes, objects)


def targets_gateway(policy: Object, gateway: Object) -> bool:
    """Whether it is a policy, and for the whole Gateway."""
    return (
        policy["kind"].endswith("Policy")
        and ("targetRefs" in policy["spec"] or "targetRef" in policy["spec"])
        and targets(policy, gateway, None)
    )


def _proxy(gateway: Object, objects: list[Object]) -> Object:
    """Settings of its proxies: the class's, with those of its own over them."""
    by_name = {
        (it["metadata"].get("namespace"), it["metadata"]["name"]): it
        for it in objects
        if it["kind"] == "EnvoyProxy"
    }
    classes = {it["metadata"]["name"]: it for it in objects if it["kind"] == "GatewayClass"}
    ref = at(classes.get(at(gateway, "spec", "gatewayClassName")), "spec", "parametersRef")
    own = at(gateway, "spec", "infrastructure", "parametersRef", "name")
    found = by_name.get((at(ref, "namespace"), at(ref, "name")), {})
    over = by_name.get((gateway["metadata"].get("namespace"), own), {})
    return merged(found, over)


def _too_much(cluster: str, policy: Object, memory: int | None) -> Iterator[Finding]:
    """Both ways of a connection may hold back as much as its buffer."""
    connections = at(policy, "spec", "connection", "connectionLimit", "value")
    buffer = size(at(policy, "spec", "connection", "bufferLimit")) or BUFFER
    if memory and connections and 2 * connections * buffer > memory:
        yield _finding(
            "GW357",
            cluster,
            policy,
            f"{connections} connections that hold back {buffer // 1024} KiB each way want "
            f"{2 * connections * buffer // 2**20} MiB, and a proxy may have {memory // 2**20} MiB: "
            "slow clients can end it",
            "lower connections or buffer, or raise the memory limit of the proxies",
        )


def _not_told(cluster: str, policy: Object, gateway: Object, kubernetes: Any) -> Iterator[Finding]:
    notes = {
        **(at(gateway, "spec", "infrastructure", "annotations") or {}),
        **(at(kubernetes, "envoyService", "annotations") or {}),
    }
    if str(notes.get(PLS)).lower() != "true":
        yield _finding(
            "GW358",
            cluster,
            policy,
            f"every connection of {title(gateway)} must begin with PROXY protocol, which Azure's "
            "load balancer does not send: clients and probes are cut off",
            f"set annotation {PLS} where a Private Link Service is before it; else take it out, "
            'or say "optional" while both kinds of clients come',
        )


def _nodes(
    cluster: str, policy: Object, gateway: Object, kubernetes: Any, objects: list[Object]
) -> Iterator[Finding]:
    """Addresses of clients that are those of nodes: kube-proxy puts its own there on the way."""
    if at(kubernetes, "envoyService", "externalTrafficPolicy") != "Cluster":
        return
    clients = [
        it["spec"]
        for it in objects
        if it["kind"] == "ClientTrafficPolicy" and targets_gateway(it, gateway)
    ]
    if any("clientIPDetection" in it or "proxyProtocol" in it for it in clients):
        return
    if _by_address(policy["spec"]):
        yield _finding(
            "GW362",
            cluster,
            policy,
            "it tells clients by their addresses, and with externalTrafficPolicy Cluster these are "
            "the nodes'",
            'set external_traffic_policy to "Local"',
        )


def _by_address(spec: Object) -> bool:
    rules = [
        *(at(spec, "rateLimit", "local", "rules") or ()),
        *(at(spec, "rateLimit", "global", "rules") or ()),
    ]
    selectors = [it for rule in rules for it in rule.get("clientSelectors") or ()]
    allowed = at(spec, "authorization", "rules") or ()
    return any("sourceCIDR" in it for it in selectors) or any(
        at(it, "principal", "clientCIDRs") for it in allowed
    )


def _replaced(cluster: str, way: Way) -> Iterator[Finding]:
    own, above = way.of_route, way.of_gateway
    if own is None or above is None or own["spec"].get("mergeType"):
        return
    lost = sorted(set(above["spec"]) - set(own["spec"]) - {"targetRef", "targetRefs"})
    if lost:
        yield _finding(
            "GW360",
            cluster,
            own,
            f"it stands in for {title(above)}, and says nothing of {', '.join(lost)}: these are "
            "not limited for its route",
            "set mergeType to StrategicMerge, and it is added to the Gateway's",
        )


def _held_back(cluster: str, way: Way) -> Iterator[Finding]:
    if at(way.backends, "requestBuffer") is not None and way.route["kind"] == "GRPCRoute":
        yield _finding(
            "GW361",
            cluster,
            way.route,
            "its requests are held back until they are whole, and a client that streams does not "
            "end its own",
            "take request_buffer off the Gateway, and give it to the routes that need it",
        )
