"""
What the policies on the way of a request say together: of its Gateway's clients, of the Gateway,
of its route; and how Envoy Gateway fills in what nobody says (its source, version 1.9,
internal/xds/translator/route.go and internal/gatewayapi/backendtrafficpolicy.go).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.plans.kinds import GATEWAY_API
from tasks.plans.listeners import targets

Object = Mapping[str, Any]
#: Seconds: a request where no object has a timeout is Envoy's own; a connection to a backend.
REQUEST, CONNECT = 15.0, 10.0
#: Triggers that take a try which ran out of time for one to repeat; and those that nobody chose.
AFTER_TIMEOUT = frozenset({"5xx", "gateway-error", "reset"})
TRIGGERS = (
    "connect-failure",
    "refused-stream",
    "unavailable",
    "cancelled",
    "retriable-status-codes",
)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[hms])")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_POWERS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def seconds(text: str | None) -> float | None:
    """Of "1m30s" or "250ms", None of None. What is no time at all is None too: the API says so."""
    parts = _PART.findall(text or "")
    if not parts:
        return None
    return float(sum(float(number) * _UNITS[unit] for number, unit in parts))


def size(value: str | int | None) -> int | None:
    """Bytes of "32Ki" or 32768, None of None and of what is no amount of memory."""
    found = re.fullmatch(r"(\d+)([kMG]i?|Ki)?", str(value))
    return int(found[1]) * _POWERS[found[2] or ""] if found else None


@dataclass(frozen=True)
class Way:
    """
    One way that requests go: a route through a Gateway.

    + clients: the spec of the ClientTrafficPolicy; + backends: of the BackendTrafficPolicies
      together; both empty where there is none. + of_gateway, of_route: the policies themselves
    """

    gateway: Object
    route: Object
    clients: Object
    backends: Object
    of_clients: Object | None
    of_gateway: Object | None
    of_route: Object | None

    @property
    def policy(self) -> Object | None:
        """The policy that has the last word on backends."""
        return self.of_route or self.of_gateway


def ways(objects: Iterable[Object]) -> Iterator[Way]:
    """Of each route of HTTP or gRPC through each Gateway among these objects that it names."""
    every = list(objects)
    gateways = {
        (it["metadata"].get("namespace"), it["metadata"]["name"]): it
        for it in every
        if it["kind"] == "Gateway" and it["apiVersion"].startswith(GATEWAY_API)
    }
    of_clients = _Policies(it for it in every if it["kind"] == "ClientTrafficPolicy")
    of_backends = _Policies(it for it in every if it["kind"] == "BackendTrafficPolicy")
    for route in every:
        if route["kind"] not in ("HTTPRoute", "GRPCRoute"):
            continue
        for gateway in _parents(route, gateways):
            clients = of_clients.first(gateway)
            above, own = of_backends.first(gateway), of_backends.first(route)
            yield Way(
                gateway,
                route,
                clients["spec"] if clients else {},
                _together(above, own),
                clients,
                above,
                own,
            )


def _parents(route: Object, gateways: Mapping[Any, Object]) -> Iterator[Object]:
    seen = set()
    for ref in (route.get("spec") or {}).get("parentRefs") or ():
        key = (ref.get("namespace") or route["metadata"].get("namespace"), ref.get("name"))
        if ref.get("kind", "Gateway") == "Gateway" and key in gateways and key not in seen:
            seen.add(key)
            yield gateways[key]


class _Policies:
    """Policies of one kind: hundreds of routes ask which is theirs."""

    def __init__(self, policies: Iterable[Object]) -> None:
        self.by_target: dict[tuple[str, str, str], Object] = {}
        self.by_labels: list[Object] = []
        for it in policies:
            spec, namespace = it["spec"], it["metadata"].get("namespace")
            if spec.get("targetSelectors"):
                self.by_labels.append(it)
            for ref in (*(spec.get("targetRefs") or ()), *filter(None, [spec.get("targetRef")])):
                if not ref.get("sectionName"):
                    self.by_target.setdefault((ref["kind"], namespace, ref["name"]), it)

    def first(self, thing: Object) -> Object | None:
        meta = thing["metadata"]
        named = self.by_target.get((thing["kind"], meta.get("namespace"), meta["name"]))
        return named or next((it for it in self.by_labels if targets(it, thing, None)), None)


def _together(above: Object | None, own: Object | None) -> Object:
    """A route's policy stands in for the Gateway's, unless it says how it is merged into it."""
    under: Object = above["spec"] if above else {}
    over: Object = own["spec"] if own else {}
    if own is None or above is None:
        return over or under
    return merged(under, over) if over.get("mergeType") else over


def merged(under: Object, over: Object) -> Object:
    """Maps key by key; of all else, lists too, ``over`` has the word."""
    return {
        **under,
        **{
            key: merged(under[key], it)
            if isinstance(it, Mapping) and isinstance(under.get(key), Mapping)
            else it
            for key, it in over.items()
        },
    }


def at(thing: Object | None, *keys: str) -> Any:
    """What lies below these keys, None where nothing does."""
    for key in keys:
        thing = thing.get(key) if isinstance(thing, Mapping) else None
    return thing


@dataclass(frozen=True)
class Chain:
    """
    The times of one rule of a route, in seconds; 0 is no end.

    + request: all tries together; + said: whether anybody said that; + each: one try, None is the
      whole request; + tries: with the first; + triggers: what is tried again
    + stream_idle: None where none is in the way of the request
    """

    request: float
    said: bool
    each: float | None
    tries: int
    triggers: frozenset[str]
    codes: frozenset[int]
    connect: float
    connect_said: bool
    stream_idle: float | None
    stream: float | None


def chain(way: Way, rule: Object) -> Chain:
    """
    What holds for one rule. Its own timeouts and retry go before any policy's; ``backendRequest``
    is the whole request's without a ``retry`` beside it, and each try's with one.
    """
    times, retry = rule.get("timeouts") or {}, rule.get("retry")
    own = times.get("request")
    if times.get("backendRequest") and retry is None:
        own = times["backendRequest"]
    policy = way.backends
    request = seconds(own or at(policy, "timeout", "http", "requestTimeout"))
    if retry is not None:
        each, count = seconds(times.get("backendRequest")), retry.get("attempts", 2)
        triggers, codes = (), retry.get("codes") or ()
    else:
        of_policy = policy.get("retry")
        each = seconds(at(of_policy, "perRetry", "timeout"))
        count = (of_policy or {}).get("numRetries", 2) if of_policy is not None else 0
        triggers = at(of_policy, "retryOn", "triggers") or ()
        codes = at(of_policy, "retryOn", "httpStatusCodes") or ()
    connect = seconds(at(policy, "timeout", "tcp", "connectTimeout"))
    idle = seconds(at(policy, "timeout", "http", "streamIdleTimeout"))
    if idle is None:
        idle = seconds(at(way.clients, "timeout", "http", "streamIdleTimeout"))
    return Chain(
        REQUEST if request is None else request,
        request is not None,
        each or None,
        count + 1,
        frozenset(triggers or TRIGGERS),
        frozenset(codes),
        connect or CONNECT,
        connect is not None,
        idle or None,
        seconds(at(policy, "timeout", "http", "maxStreamDuration")) or None,
    )
