"""Times that cannot hold together: on the way of a request, one ends before another can matter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tasks.checks.findings import Finding, Severity, Where
from tasks.plans.kinds import title
from tasks.plans.limits import AFTER_TIMEOUT, Chain, Way, at, chain, seconds, ways
from tasks.plans.listeners import targets

Object = Mapping[str, Any]
#: Seconds after which Azure's load balancer forgets a silent connection, and who changes that.
AZURE_IDLE = 240.0
IDLE_NOTE = "service.beta.kubernetes.io/azure-load-balancer-tcp-idle-timeout"


def timeout_findings(cluster: str, objects: Iterable[Object]) -> Iterator[Finding]:
    """Of Gateways, their routes and the policies on both, as they are wanted or as they are."""
    every = list(objects)
    found: dict[Finding, None] = {}
    for way in ways(every):
        for number, rule in enumerate(at(way.route, "spec", "rules") or ({},)):
            for it in _of_rule(way, chain(way, rule), number, rule):
                found.setdefault(it(cluster))
    for thing in every:
        if thing["kind"] == "ClientTrafficPolicy":
            for finding in _forgotten(cluster, thing, every):
                found.setdefault(finding)
    yield from found


class _Said:
    """A finding without its cluster."""

    def __init__(self, code: str, thing: Object, part: str | None, what: str, fix: str) -> None:
        self.code, self.thing, self.part, self.what, self.fix = code, thing, part, what, fix

    def __call__(self, cluster: str) -> Finding:
        where = Where(cluster, title(self.thing), self.part)
        severity: Severity = "info" if self.code == "GW355" else "warning"
        return Finding(self.code, severity, where, self.what, self.fix)


def _of_rule(way: Way, it: Chain, number: int, rule: Object) -> Iterator[_Said]:
    own = bool(rule.get("timeouts") or rule.get("retry"))
    thing = way.route if own or way.policy is None else way.policy
    part = f"rule {number}" if thing is way.route else None
    if it.tries > 1:
        yield from _tries(it, thing, part)
    if it.stream_idle and it.request and it.stream_idle < it.request and it.said:
        yield _Said(
            "GW353",
            thing,
            part,
            f"a request may take {told(it.request)}, and ends after {told(it.stream_idle)} in "
            "which nothing moves: a backend that thinks for longer is never heard (504)",
            f"set streamIdleTimeout to {told(it.request)} or more",
        )
    if it.stream and it.request and it.stream < it.request and it.said:
        yield _Said(
            "GW354",
            thing,
            part,
            f"maxStreamDuration {told(it.stream)} ends requests before requestTimeout "
            f"{told(it.request)} does",
            "take one of them out, or make maxStreamDuration the longer one",
        )
    if way.route["kind"] == "GRPCRoute" and it.request:
        who = "requestTimeout" if it.said else "Envoy's own timeout, where nobody says one,"
        yield _Said(
            "GW355",
            way.route,
            None,
            f"{who} ends an answer after {told(it.request)}: streams of the server too",
            "set timeouts.request to 0s where methods stream for longer, and stream_idle beside it",
        )


def _tries(it: Chain, thing: Object, part: str | None) -> Iterator[_Said]:
    if it.each and not it.triggers & AFTER_TIMEOUT:
        yield _Said(
            "GW350",
            thing,
            part,
            f"a try that takes longer than {told(it.each)} ends the whole request (504), for "
            f"{', '.join(sorted(it.triggers))} do not repeat it",
            'add "reset" to the triggers, where a request may reach backends twice; else take the '
            "timeout of a try out",
        )
    if it.each and it.request and it.each >= it.request:
        yield _Said(
            "GW351",
            thing,
            part,
            f"one try may take {told(it.each)} and the whole request {told(it.request)}: a slow "
            "try is never repeated",
            f"make the timeout of a try less than {told(it.request / it.tries)}, or the request's "
            "longer",
        )
    elif it.each and it.request and it.each * it.tries > it.request:
        yield _Said(
            "GW351",
            thing,
            part,
            f"{it.tries} tries of {told(it.each)} do not fit into a request of {told(it.request)}: "
            "the last is cut off",
            f"allow the request {told(it.each * it.tries)} or more, or make fewer tries",
        )
    ends = min(it.each or it.request, it.request or it.each or 0)
    if it.connect_said and ends and it.connect >= ends:
        yield _Said(
            "GW352",
            thing,
            part,
            f"a connection may take {told(it.connect)} and "
            f"{'a try' if it.each else 'the request'} {told(ends)}: an endpoint that does not "
            "answer is never left for another",
            f"make connectTimeout less than {told(ends)}; a second is long inside a cluster",
        )


def _forgotten(cluster: str, policy: Object, objects: Iterable[Object]) -> Iterator[Finding]:
    """Connections that the load balancer forgets, while the proxy and the client still have it."""
    alive = at(policy, "spec", "tcpKeepalive")
    notes = [
        str(at(it, "spec", "infrastructure", "annotations", IDLE_NOTE) or "")
        for it in objects
        if it["kind"] == "Gateway" and targets(policy, it, None)
    ]
    for note in notes:
        forgets = float(note) * 60 if note.isdigit() else AZURE_IDLE
        idle = seconds(at(policy, "spec", "timeout", "http", "idleTimeout")) or 3600.0
        often = seconds(at(alive, "idleTime")) or 7200.0
        if idle > forgets and (alive is None or often >= forgets):
            yield Finding(
                "GW359",
                "warning",
                Where(cluster, title(policy)),
                f"connections stay open for {told(idle)} without a request, and Azure's load "
                f"balancer forgets them after {told(forgets)}: clients run into silence",
                "set tcpKeepalive.idleTime to 60s, or idleTimeout to less",
            )


def told(amount: float) -> str:
    """Such as "90s", "1.5s" or "250ms"."""
    return f"{amount * 1000:.0f}ms" if amount < 1 else f"{amount:.4g}s"
