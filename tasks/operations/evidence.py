"""
All that a diagnosis has of a live cluster: one list a kind, what each proxy says of itself, and the
answer to the request that is asked about. Reads only, and never faster than ``RATE``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from tasks.connectors.api import Api, ApiError
from tasks.connectors.command import Call
from tasks.diagnosis import access_logs
from tasks.diagnosis.evidence import Entry, Evidence, Exchange, Gap, Object, Proxy, Skipped
from tasks.diagnosis.needed import SOMETIMES, needed
from tasks.facts.kube import KubeObjects, ServedVersions
from tasks.facts.loki import Place
from tasks.facts.secrets import PublicParts
from tasks.operations import admin, asked, loki
from tasks.operations.pace import Pace
from tasks.plans import proxies
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API, KINDS
from tasks.plans.requests import Asked, Entrance, entrance

T = TypeVar("T")

#: Requests within any second to one API server, how many of them a run made just now, when it
#: connected, and how many are under way at once.
RATE, CONNECTING, AT_A_TIME = 20, 2, 8
#: Proxies that are asked at most where somebody asks about a request.
OF_ONE_GATEWAY = 8
#: Seconds in which Envoy has written a line of its access log: it keeps them for ten.
FLUSHED, POLL = 12.0, 1.0
#: Lines of the controller's log, and how old they may be.
OWN_LINES, OWN_SECONDS = 400, 900
#: Nobody took the connection, so nobody wrote of it.
UNHEARD = "ConnectionRefusedError"
CONTROLLER = "control-plane=envoy-gateway"
PROXY = "app.kubernetes.io/component"
AGENT = "envoyfleet-diagnosis"

_ROUTING = "which routes there are, and which of them is meant"
_POLICIES = "which policies are in force"
#: By group and kind: the version where the cluster does not tell, and what is not known without.
READ: Mapping[tuple[str, str], tuple[str, str]] = {
    (GATEWAY_API, "GatewayClass"): ("v1", "whose Gateways these are"),
    (GATEWAY_API, "Gateway"): ("v1", "whether Gateways are accepted, and their addresses"),
    (GATEWAY_API, "ListenerSet"): ("v1", "listeners beside those of the Gateways"),
    (GATEWAY_API, "HTTPRoute"): ("v1", _ROUTING),
    (GATEWAY_API, "GRPCRoute"): ("v1", _ROUTING),
    (GATEWAY_API, "TLSRoute"): ("v1", _ROUTING),
    (GATEWAY_API, "TCPRoute"): ("v1", _ROUTING),
    (GATEWAY_API, "UDPRoute"): ("v1", _ROUTING),
    (GATEWAY_API, "ReferenceGrant"): ("v1beta1", "what may refer to another namespace"),
    (GATEWAY_API, "BackendTLSPolicy"): ("v1", "how backends are verified"),
    (ENVOY_GATEWAY, "EnvoyProxy"): ("v1alpha1", "settings of the proxies"),
    (ENVOY_GATEWAY, "Backend"): ("v1alpha1", "backends that are no Services"),
    (ENVOY_GATEWAY, "HTTPRouteFilter"): ("v1alpha1", "what routes do beside forwarding"),
    (ENVOY_GATEWAY, "ClientTrafficPolicy"): ("v1alpha1", _POLICIES),
    (ENVOY_GATEWAY, "BackendTrafficPolicy"): ("v1alpha1", _POLICIES),
    (ENVOY_GATEWAY, "SecurityPolicy"): ("v1alpha1", _POLICIES),
    (ENVOY_GATEWAY, "EnvoyExtensionPolicy"): ("v1alpha1", _POLICIES),
    (ENVOY_GATEWAY, "EnvoyPatchPolicy"): ("v1alpha1", _POLICIES),
    ("", "Namespace"): ("v1", "labels that policies and listeners select namespaces by"),
    ("", "Service"): ("v1", "Services of backends and proxies"),
    ("", "Pod"): ("v1", "whether controller, proxies and backends run"),
    ("", "Event"): ("v1", "why a load balancer or a Pod does not come"),
    ("apps", "Deployment"): ("v1", "whether the controller is meant to run"),
    ("apps", "DaemonSet"): ("v1", "proxies that run on each node"),
    ("coordination.k8s.io", "Lease"): ("v1", "whether a controller leads"),
    ("discovery.k8s.io", "EndpointSlice"): ("v1", "which endpoints are ready"),
    ("networking.k8s.io", "NetworkPolicy"): ("v1", "whether packets are let through"),
    ("metrics.k8s.io", "PodMetrics"): ("v1beta1", "memory and processor time of the proxies"),
}
#: Left out where the cluster does not serve them: nothing is lost that anybody misses.
OPTIONAL = frozenset({"PodMetrics"})
NAMESPACED_METADATA = frozenset({"Namespace"})
#: Events that say that something went wrong: others are many.
EVENTS = {"fieldSelector": "type=Warning"}


@dataclass(frozen=True)
class Look:
    """
    What is wanted of a cluster.

    + asked: the request that is asked about; + send: whether it is sent, None where that changes
      nothing; + lines, seconds: of each access log that is read
    + servers: DNS servers that know the name of the request, none are not asked; + rate: requests
      within any second; + controller: the name that our GatewayClasses have
    + loki: where older lines are, for a host of which the proxies' own logs have none
    """

    asked: Asked | None = None
    send: bool | None = None
    lines: int = 300
    seconds: int = 900
    servers: tuple[str, ...] = ()
    rate: int = RATE
    controller: str = "gateway.envoyproxy.io/gatewayclass-controller"
    loki: Place | None = None

    @property
    def sends(self) -> bool:
        if self.asked is None:
            return False
        return self.asked.safe if self.send is None else self.send


@dataclass
class _Seen:
    """A cluster while it is read."""

    api: Api
    pace: Pace
    keep: admin.Keep | None = None
    objects: list[Object] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    logs: dict[str, Sequence[str]] = field(default_factory=dict)

    def of(self, kind: str) -> list[Object]:
        return [it for it in self.objects if it["kind"] == kind]


def evidence(
    api: Api, cluster: str, look: Look, now: float, keep: admin.Keep | None = None
) -> Evidence:
    """
    Everything, in less than thirty requests and one for each proxy; what may not be read is a gap.

    Raises ApiError where the API server does not answer. + now: seconds since 1970; + keep: takes
    what proxies said and wrote as it is, for a bundle, which has objects of all kinds
    """
    seen = _Seen(api, Pace(look.rate, CONNECTING), keep)
    served = _served(seen)
    _read_objects(seen, served)
    _read_controller(seen)
    exchanges: tuple[Exchange, ...] = ()
    at: Entrance | None = None
    if look.asked is not None:
        at = entrance(look.asked, seen.of("Gateway"))
        exchanges = (_exchange(seen, look, at),)
    pods = _proxies(seen, at)
    found = _ask_proxies(seen, pods)
    if exchanges:
        _read_access_logs(seen, look, pods, exchanges[0])
        _read_older_logs(seen, look, now)
    return Evidence(
        exchanges=exchanges,
        entries=tuple(sorted(seen.entries, key=lambda it: it.at)),
        proxies=tuple(found),
        objects=tuple(seen.objects),
        now=now,
        cluster=cluster,
        live=True,
        gaps=tuple(seen.gaps),
        skipped=tuple(seen.skipped),
        served=served,
        logs=seen.logs,
        names=_resolved(look),
        controller=look.controller,
    )


def _served(seen: _Seen) -> dict[str, list[str]] | None:
    try:
        text = _text(seen, ServedVersions().command().call)
    except ApiError as error:
        if error.status != 403:
            raise
        seen.gaps.append(Gap("/apis", "no right to it", "whether a CRD version is missing"))
        return None
    return ServedVersions().process(text.splitlines())


def _read_objects(seen: _Seen, served: Mapping[str, Sequence[str]] | None) -> None:
    """Kinds that may tell nothing are read after those that say whether they do."""
    always = [it for it in READ if it[1] not in SOMETIMES]
    _read_lists(seen, [*_lists(seen, served, always), partial(_list_secrets, seen)])
    unsure = seen.keep is not None or bool(seen.gaps)
    more = [it for it in READ if it not in always and (unsure or needed(it[1], seen.objects))]
    _read_lists(seen, _lists(seen, served, more))


def _lists(
    seen: _Seen,
    served: Mapping[str, Sequence[str]] | None,
    kinds: Iterable[tuple[str, str]],
) -> Iterator[Callable[[], list[Object]]]:
    """How each of these is listed, those left out that the cluster does not serve."""
    for group, kind in kinds:
        version, cost = READ[group, kind]
        resource = f"{KINDS[group, kind].plural}.{group}" if group else KINDS[group, kind].plural
        if group and served is not None:
            if resource not in served:
                continue
            version = served[resource][0]
        api_version = f"{group}/{version}" if group else version
        yield partial(_list, seen, api_version, kind, resource, cost)


def _read_lists(seen: _Seen, lists: Iterable[Callable[[], list[Object]]]) -> None:
    from gevent.pool import Pool

    for found in Pool(AT_A_TIME).imap(_call, lists):
        seen.objects += found


def _call(action: Callable[[], T]) -> T:
    return action()


def _text(seen: _Seen, call: Call) -> str:
    with seen.pace.turn():
        return seen.api.text(call)


def _list(seen: _Seen, api_version: str, kind: str, resource: str, cost: str) -> list[Object]:
    fact = KubeObjects()
    call = fact.command(api_version, kind, metadata_only=kind in NAMESPACED_METADATA).call
    if kind == "Event":
        call = replace(call, query=EVENTS)
    try:
        found = fact.process(_text(seen, call).splitlines())
    except ApiError as error:
        if error.status != 404 and kind not in OPTIONAL:
            seen.gaps.append(Gap(resource, _why(error, "list"), cost))
        return []
    return [{**it, "apiVersion": api_version, "kind": kind} for it in found]


def _list_secrets(seen: _Seen) -> list[Object]:
    """Those of type TLS, without their keys."""
    fact = PublicParts()
    try:
        found = fact.process(_text(seen, fact.command(None).call).splitlines())
    except ApiError as error:
        cost = "certificates in Secrets: only what proxies have loaded is judged"
        seen.gaps.append(Gap("secrets", _why(error, "list"), cost))
        return []
    typed = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls"}
    return [{**typed, **it} for it in found]


def _why(error: ApiError, verb: str) -> str:
    return f"no right to {verb}" if error.status == 403 else str(error)


def _read_controller(seen: _Seen) -> None:
    """What the controller's Pods wrote, and what those wrote that ended."""
    key, _, value = CONTROLLER.partition("=")
    for pod in seen.of("Pod"):
        meta = pod["metadata"]
        if (meta.get("labels") or {}).get(key) != value:
            continue
        name = f"{meta['namespace']}/{meta['name']}"
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            container = status["name"]
            read = partial(admin.log, seen.api, meta["namespace"], meta["name"], container)
            if (status.get("state") or {}).get("running"):
                about = partial(read, lines=OWN_LINES, seconds=OWN_SECONDS)
                _read_log(seen, name, about)
            if status.get("restartCount"):
                about = partial(read, lines=OWN_LINES // 4, previous=True)
                _read_log(seen, f"{name}/previous", about)


def _read_log(seen: _Seen, name: str, read: Callable[[], list[str]]) -> None:
    try:
        with seen.pace.turn():
            seen.logs[name] = tuple(read())
    except ApiError as error:
        if error.status not in (400, 404):  # it has not begun, or has gone since
            why = _why(error, "read logs (get pods/log)")
            seen.gaps.append(Gap(f"log of Pod {name}", why, "what the controller complains of"))


def _exchange(seen: _Seen, look: Look, at: Entrance | None) -> Exchange:
    """The answer, where the request is sent; without one nobody can say who wrote it."""
    assert look.asked is not None
    request, cost = asked.described(look.asked), "the answer, and its line in the access log"
    if not look.sends:
        why = "send is false" if look.send is False else f"{look.asked.method} changes something"
        seen.gaps.append(Gap("the request", f"not sent: {why}", cost))
        return Exchange(request)
    if at is None or not at.address:
        where = f"Gateway {at.gateway} has no address" if at else "no Gateway has its port"
        seen.gaps.append(Gap("the request", f"not sent: {where}", cost))
        return Exchange(request)
    own = {} if asked.AGENT in look.asked.headers else {asked.AGENT: _agent()}
    sent = replace(look.asked, headers={**look.asked.headers, **own})
    return asked.send(sent, at)


def _agent() -> str:
    """Tells this request from all others in an access log."""
    return f"{AGENT}/{time.time_ns() % 10**10:010d}"


def _proxies(seen: _Seen, at: Entrance | None) -> list[Object]:
    """Pods whose Envoy runs; those of one Gateway where a request is asked about."""
    running = [
        it
        for it in seen.of("Pod")
        if (it["metadata"].get("labels") or {}).get(PROXY) == "proxy"
        and not it["metadata"].get("deletionTimestamp")
        and (it.get("status") or {}).get("phase") == "Running"
    ]
    if at is None or not at.gateway:
        return running
    classes = {
        f"{it['metadata']['namespace']}/{it['metadata']['name']}": it["spec"]["gatewayClassName"]
        for it in seen.of("Gateway")
    }
    meant = (at.gateway, classes.get(at.gateway))
    return [it for it in running if proxies.owner(it) in meant][:OF_ONE_GATEWAY]


def _ask_proxies(seen: _Seen, pods: Iterable[Object]) -> list[Proxy]:
    from gevent.pool import Pool

    def one(pod: Object) -> tuple[Proxy, list[Gap]]:
        meta = pod["metadata"]
        place = (meta["namespace"], meta["name"])
        proxy, gaps = admin.proxy(seen.api, *place, seen.keep, seen.pace.turn())
        if any(it for key, it in (proxy.stats or {}).items() if key.endswith(".update_rejected")):
            proxy = replace(proxy, log=_own_lines(seen, meta))
        return proxy, gaps

    found = Pool(AT_A_TIME).map(one, pods)
    gaps = [gap for _, some in found for gap in some]
    denied = [it for it in gaps if it.why == admin.DENIED]
    seen.gaps += [it for it in gaps if it not in denied]
    if denied:
        seen.gaps.append(replace(denied[0], what=admin.FORWARD))
    return [it for it, _ in found]


def _own_lines(seen: _Seen, meta: Object) -> tuple[str, ...]:
    """What an Envoy wrote of itself: why it refused something stands nowhere else."""
    read = partial(admin.log, seen.api, meta["namespace"], meta["name"], "envoy")
    try:
        with seen.pace.turn():
            lines = read(lines=OWN_LINES)
    except ApiError:
        return ()
    return tuple(it for it in lines if it.startswith("["))


def _read_access_logs(seen: _Seen, look: Look, pods: Sequence[Object], exchange: Exchange) -> None:
    """
    The newest lines of the proxies that a request may go through. The line of one that was sent
    and went wrong is waited for.
    """
    mine = exchange.request.headers.get(asked.AGENT) if look.sends else None
    failed = (exchange.error or "")[:22] != UNHEARD and (exchange.status or 500) >= 400
    until = time.monotonic() + (FLUSHED if mine and failed else 0)
    while True:
        seen.entries.clear()
        for pod in pods:
            _read_access_log(seen, look, pod)
        there = any(it.user_agent == mine for it in seen.entries)
        if there or time.monotonic() > until or not pods:
            return
        time.sleep(POLL)


def _read_older_logs(seen: _Seen, look: Look, now: float) -> None:
    if look.loki is None or look.asked is None:
        return
    host = look.asked.authority.partition(":")[0]
    if any((it.authority or "").partition(":")[0] == host for it in seen.entries):
        return
    found = loki.read(look.loki, host, now, look.seconds, look.lines)
    seen.entries += found.entries
    seen.skipped += found.skipped
    seen.gaps += found.gaps


def _read_access_log(seen: _Seen, look: Look, pod: Object) -> None:
    meta = pod["metadata"]
    name = f"Pod {meta['namespace']}/{meta['name']}"
    read = partial(admin.log, seen.api, meta["namespace"], meta["name"], "envoy")
    try:
        with seen.pace.turn():
            lines = read(lines=look.lines, seconds=look.seconds)
    except ApiError as error:
        gap = Gap(
            f"access log of {name}",
            _why(error, "read logs (get pods/log)"),
            "who answered, and why: only the answer itself tells",
        )
        if gap not in seen.gaps:
            seen.gaps.append(gap)
        return
    if seen.keep is not None:
        seen.keep(name, "access.log", "".join(f"{it}\n" for it in lines).encode())
    for it in access_logs.entries(lines, name):
        if isinstance(it, Entry):
            seen.entries.append(it)
        elif it not in seen.skipped:
            seen.skipped.append(it)


def _resolved(look: Look) -> dict[str, dict[str, Any]]:
    from tasks.facts.dns import resolved

    if look.asked is None or look.asked.entry() is not None or not look.servers:
        return {}
    host = look.asked.host
    answer = resolved([host], look.servers)[host]
    return {host: {"addresses": list(answer.addresses), "why": answer.why}}
