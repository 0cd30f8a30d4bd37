"""Steps about requests themselves: who answers, how late, what is limited, which certificate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from tasks.plans.kinds import title
from tasks.plans.runbooks import actions, reading
from tasks.plans.runbooks.source import Action, Seen, Step, Target, Verdict, fine, this, unknown

#: A WebSocket is one request that lasts as long as it is open.
UPGRADED = 101
#: Share of a slow request that must be a backend's for it to be the cause.
MOST = 0.7


def answered(seen: Seen) -> Verdict:
    """The proof, and the end of each runbook."""
    lines = reading.failing(seen)
    if lines:
        return unknown(
            f"{len(lines)} of {len(seen.asked)} requests are not served: {lines[0]}",
            *lines[1:6],
            cure="where no step above explains it, it is in front of the proxies: "
            f"{seen.wanted.command.format('public_ips')} follows the address into Azure (load "
            "balancer, network security groups, DNS)",
        )
    if not seen.asked:
        return unknown("no request could be sent: no address, or no listener that can be asked")
    return fine(
        f"{len(seen.asked)} of {len(seen.asked)} requests are served",
        *(f"{it.text}: {it.answer}" for it in seen.asked[:5]),
    )


def found(*causes: str, fine_: str) -> Callable[[Seen], Verdict]:
    """A step that the diagnosis decides alone: one of its causes, or nothing of the kind."""

    def judge(seen: Seen) -> Verdict:
        for it in seen.causes:
            if it.cause in causes:
                return this(it.sentence, *it.evidence, cure=it.fix)
        return fine(fine_)

    return judge


def slow(seen: Seen) -> Verdict:
    """Whose time it is that slow requests take: the backend's, or Envoy's and the client's."""
    late = [it for it in seen.times if it.duration > seen.wanted.within and it.status != UPGRADED]
    if not seen.times:
        return unknown("no access log was read: monitoring.logs in the inventory switches it on")
    if len(late) <= seen.wanted.late * len(seen.times):
        count = f"{len(late)} of the newest {len(seen.times)} requests in the access logs"
        return fine(f"{count} took longer than {seen.wanted.within} ms")
    share = sum(it.backend or 0.0 for it in late) / sum(it.duration for it in late)
    where = Counter(it.where for it in late if it.where).most_common(3)
    evidence = (
        f"{len(late)} of {len(seen.times)} requests took longer than {seen.wanted.within} ms",
        f"{share:.0%} of their time was the backend's",
        *(f"{name}: {count} of them" for name, count in where),
    )
    if share >= MOST:
        busiest = where[0][0] if where else "its backend"
        return this(
            f"the backend is slow: {busiest}",
            *evidence,
            cure="look at that application: its own dependencies, CPU limits, replicas",
        )
    return this(
        "the time is not the backend's: a slow client, a queue in Envoy, or a body that is large",
        *evidence,
        cure="look at CPU throttling and connections of the proxies, and at circuit breakers",
    )


def certificates(seen: Seen) -> Verdict:
    """What proxies serve, by the clock; an expired one is served on with all conditions True."""
    refused = [
        it
        for it in reading.every(seen, "Certificate")
        if reading.condition((it.get("status") or {}).get("conditions"), "Ready").get("status")
        == "False"
    ]
    if seen.served is None and not refused:
        return unknown("no proxy could be asked for its certificates")
    late = sorted(
        (it for it in seen.served or () if it.days < seen.wanted.days), key=lambda it: it.days
    )
    if not late and not refused:
        least = min((it.days for it in seen.served or ()), default=None)
        return fine(f"the next certificate to end has {least} days left")
    evidence = [f"{it.proxy}: {it.names}: {it.days} days left" for it in late[:5]]
    for it in refused[:3]:
        said = reading.condition(it["status"]["conditions"], "Ready")
        evidence.append(f"{title(it)}: {said.get('reason')}: {said.get('message')}")
    what = (
        f"the certificate of {late[0].names} {'has ended' if late[0].days < 0 else 'ends soon'}"
        if late
        else f"cert-manager cannot issue {title(refused[0])}"
    )
    if late and late[0].own:
        return this(what, *evidence, cure=seen.wanted.command.format("rotate_control_plane"))
    mine = [it for it, source in seen.wanted.secrets.items() if source == "inventory"]
    return this(
        what,
        *evidence,
        action=_rotated(seen, mine) if mine and late else None,
        cure=""
        if mine and late
        else f"{seen.wanted.command.format('certificates')} names the "
        "Secret; renew it where it comes from",
    )


def _rotated(seen: Seen, names: Sequence[str]) -> Action:
    """All that is due, by deploys/rotate_certificates.py's own judgement."""
    first = actions.secret(*reading.at(names[0]), "inventory", seen.wanted.command)
    target = Target("v1", "Secret", "", "*")
    return Action(
        "rotate",
        target,
        "Renew the certificates of the inventory that are due",
        seen.wanted.command.format("rotate_certificates"),
        lost=first.lost,
    )


def scraped(seen: Seen) -> Verdict:
    """Whether proxies give the metrics that Prometheus asks for."""
    pods = [
        it
        for _, gateway in reading.gateways(seen)
        if gateway is not None
        for it in reading.proxies(seen, gateway)
        if reading.ready(it)
    ]
    if seen.metrics is None:
        return unknown("no proxy could be asked for its metrics")
    silent = [it for it in pods if it["metadata"]["name"] not in seen.metrics]
    if silent:
        return unknown(
            f"{title(silent[0])} gave no metrics to us either",
            cure="telemetry.metrics of its EnvoyProxy, and NetworkPolicies for port 19001",
        )
    return fine(f"{len(pods)} of {len(pods)} proxies give them: what is missing is behind them")


def monitored(seen: Seen) -> Verdict:
    monitors = reading.every(seen, "PodMonitor")
    cure = f"{seen.wanted.command.format('monitoring')} --dry --diff shows what is missing"
    if monitors:
        return fine(f"{title(monitors[0])} selects proxies", f"{len(monitors)} PodMonitors")
    return unknown("whether Prometheus asks for them is its own to say", cure=cure)


REQUEST = Step("request", "Is a real request served?", answered)
SLOW = Step(
    "time",
    "Whose time is it?",
    slow,
    (),
    ("upstream_timeout",),
)
CODES = Step(
    "answers",
    "Who answers with an error?",
    found(fine_="the diagnosis found no error that a backend or Envoy answers"),
    (),
    (
        "backend_5xx",
        "backend_400",
        "backend_401",
        "backend_403",
        "backend_404",
        "envoy_internal_error",
        "fault_injected",
        "upstream_closed_connection",
        "upstream_protocol_error",
        "upstream_timeout",
        "rejected_underscore_header",
    ),
)
CLIENTS = Step(
    "clients",
    "Do clients end requests themselves?",
    found(fine_="the diagnosis found no client that breaks off"),
    (),
    ("client_disconnected", "upstream_timeout"),
)
LIMITS = Step(
    "limits",
    "Does a limit hold requests back?",
    found(fine_="the diagnosis found no limit that is reached"),
    (),
    ("circuit_breaker_overflow", "rate_limited", "backend_429", "panic_routing"),
)
AUTHORIZATION = Step(
    "authorization",
    "Does a policy refuse requests?",
    found(fine_="the diagnosis found no request that a policy refuses"),
    (),
    ("ext_authz_denied", "ext_authz_error", "jwt_denied", "rbac_denied"),
)
GRPC = Step(
    "grpc",
    "Does gRPC pass?",
    found(fine_="the diagnosis found no gRPC error"),
    (),
    ("grpc_backend_error", "upstream_protocol_error", "h2_connection_reuse"),
)
CERTIFICATES = Step(
    "certificates",
    "Do the certificates that are served hold?",
    certificates,
    (),
    (
        "certificate_expired",
        "certificate_invalid",
        "certificate_wrong_name",
        "sni_no_filter_chain",
        "plaintext_to_tls_listener",
    ),
)
BACKEND_TLS = Step(
    "backend-tls",
    "Does TLS towards backends work?",
    found(fine_="the diagnosis found no backend whose TLS fails"),
    (),
    ("upstream_tls_failure", "certificate_expired"),
)
SCRAPED = Step("metrics", "Do proxies give metrics?", scraped)
MONITORED = Step("monitors", "Does Prometheus ask for them?", monitored)
