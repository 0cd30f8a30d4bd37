"""
Which cause explains the request that is asked about: each layer in the order in which a request
passes it, the first that explains it is the finding. Nothing is said of what is not sure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tasks.diagnosis.case import Case
from tasks.diagnosis.correlation import Pair, pairs
from tasks.diagnosis.diagnosis import Diagnosis, Found
from tasks.diagnosis.endings import failed
from tasks.diagnosis.evidence import Entry, Evidence
from tasks.diagnosis.objects import Objects
from tasks.diagnosis.rules import (
    answers,
    backends,
    client,
    connection,
    degraded,
    limits,
    policies,
    redirects,
    responses,
    routing,
    upstream,
)

Rule = Callable[[Case], Found | None]

#: In the order in which they are asked; each knows its own ends and says None to all others.
RULES: Sequence[Rule] = (
    connection.name_not_resolved,
    connection.certificate_expired,
    connection.certificate_wrong_name,
    connection.tls_not_agreed,
    connection.plaintext_to_tls_listener,
    connection.sni_no_filter_chain,
    client.underscore_header,
    client.disconnected,
    routing.misdirected,
    routing.not_found,
    responses.direct_response,
    responses.moved_on,
    policies.jwt_denied,
    policies.credentials_denied,
    policies.rbac_denied,
    policies.ext_authz,
    limits.rate_limited,
    limits.circuit_breaker,
    limits.fault_injected,
    backends.cluster_not_found,
    backends.name_not_resolved,
    backends.no_healthy_upstream,
    upstream.reset,
    upstream.timeout,
    answers.answer,
    answers.internal_error,
)
#: Of a request that was answered.
DEGRADED: Sequence[Rule] = (
    redirects.redirect_loop,
    connection.certificate_unchecked,
    limits.delay_injected,
    degraded.panic_routing,
)


def diagnosis(evidence: Evidence) -> Diagnosis:
    """What explains how the last request ended, and what ails a live cluster; nothing if well."""
    objects = Objects(evidence.objects)
    around = of_cluster(evidence) if evidence.live else ()
    asked_about = question(evidence)
    if asked_about is None:
        return Diagnosis(
            findings=around,
            reason="" if evidence.live else "no request and no line of an access log is at hand",
            gaps=evidence.gaps,
            skipped=evidence.skipped,
        )
    case = Case(evidence, *asked_about[-1], objects, asked_about[:-1])
    findings = explained(case) or earlier(case)
    return Diagnosis(
        findings=beside(findings, around, evidence),
        answered_by=case.answered_by,
        reason=case.reason,
        ruled_out=tuple(ruled_out(case, findings)),
        gaps=evidence.gaps,
        skipped=evidence.skipped,
        notes=(*also_failing(evidence, case), *remarks(case, findings)),
        unexplained=case.failed and not findings,
    )


def remarks(case: Case, findings: Sequence[Found]) -> Iterator[str]:
    """What is known of a request that nothing explains."""
    if not findings and (found := routing.contradicted(case)) is not None:
        yield found


def also_failing(evidence: Evidence, case: Case) -> Iterator[str]:
    """Without a client that asks: other hosts whose newest line is a failure."""
    latest = {} if evidence.exchanges else {it.authority: it for it in evidence.entries}
    for host, it in latest.items():
        if host and host != case.request.host and failed(it):
            yield (
                f"{it.source}:{it.line}: {host} failed too: response_code {it.status}, "
                f'response_flags "{it.flags or "-"}"'
            )


def of_cluster(evidence: Evidence) -> tuple[Found, ...]:
    from tasks.diagnosis import cluster

    return tuple(cluster.causes(evidence))


def beside(
    findings: Sequence[Found], around: Sequence[Found], evidence: Evidence
) -> tuple[Found, ...]:
    """The causes of a request and what ails its cluster, in the order of what explains more."""
    if not around:
        return tuple(findings)
    from tasks.diagnosis.cluster.ranking import ranked

    return tuple(ranked(findings, around, unanswered(evidence)))


def unanswered(evidence: Evidence) -> bool:
    """Whether the request that is asked about came to no response."""
    return evidence.question is not None and evidence.question.status is None


def question(evidence: Evidence) -> Sequence[Pair] | None:
    """
    Requests with their lines, the one that is asked about last: the client's last one; where no
    client tells, the newest line. On a live cluster anybody may ask for what is not there: there
    it is the newest line of a host whose newest one failed with 500 and above.
    """
    if evidence.exchanges:
        return pairs(evidence.exchanges, evidence.entries)
    if not evidence.entries:
        return None
    latest: dict[str, Entry] = {}
    for it in sorted(evidence.entries, key=lambda it: it.at):
        latest[(it.authority or it.upstream_cluster or "").lower()] = it
    failing = [it for it in latest.values() if failed(it)]
    if evidence.live:
        failing = [it for it in failing if (it.status or 0) >= 500]
        if not failing:
            return None
        chosen = max(failing, key=lambda it: it.at)
    else:
        chosen = max(latest.values(), key=lambda it: it.at)
    rest = [(None, it) for it in evidence.entries if it is not chosen]
    return [*rest, (None, chosen)]


def explained(case: Case) -> tuple[Found, ...]:
    for rule in RULES if case.failed else DEGRADED:
        if (found := rule(case)) is not None:
            return (found,)
    return ()


def earlier(case: Case) -> tuple[Found, ...]:
    """
    A request of the same client and host that failed before this one succeeded, for a reason that
    is still there: a connection that was opened for another name.
    """
    if case.failed:
        return ()
    for number in range(len(case.earlier) - 1, -1, -1):
        exchange, entry = case.earlier[number]
        before = Case(case.evidence, exchange, entry, case.objects, case.earlier[:number])
        if exchange is None and entry is not None and entry.request.host != case.request.host:
            continue
        if before.failed and before.request.host == case.request.host:
            found = (
                routing.reused(before) if before.details.startswith("route_not_found") else None
            ) or routing.misdirected(before)
            if found is not None:
                return (found,)
    return ()


def ruled_out(case: Case, findings: Sequence[Found]) -> list[str]:
    """What looks alike and is not it, with what speaks against it."""
    said = []
    causes = {it.cause for it in findings}
    points = case.endpoints
    if points and any(it.healthy for it in points) and "no_healthy_endpoints" not in causes:
        good = sum(it.healthy for it in points)
        said.append(
            f"no_healthy_endpoints: {good} of {len(points)} endpoints of {case.cluster_name} are "
            "healthy"
        )
    matched = case.matched
    if matched is not None and matched.host is not None:
        said.append(f"no_virtual_host_match: {matched.host.name} takes {case.request.host}")
    if case.route is not None:
        said.append(f"no_route_in_virtual_host: {case.route.name or 'a route'} matches")
    if case.answered_by == "envoy" and case.failed:
        said.append(f"the application: {case.reason}")
    if case.answered_by == "upstream":
        said.append(f"Envoy's own answer: {case.reason}")
    return said
