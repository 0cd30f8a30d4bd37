"""Limits that shed requests, and faults that somebody injects."""

from __future__ import annotations

from typing import Any

from tasks.diagnosis.case import Case
from tasks.diagnosis.diagnosis import Found
from tasks.diagnosis.owners import carrier, cluster_of, policy_of


def rate_limited(case: Case) -> Found | None:
    if case.details not in ("local_rate_limited", "request_rate_limited"):
        return None
    it = policy_of(case, "BackendTrafficPolicy", "rateLimit") or carrier(case, "ratelimit")
    limit = case.header("x-ratelimit-limit")
    return case.found(
        "rate_limited",
        it,
        "spec.rateLimit",
        f"The rate limit of {it.text}{f' ({limit})' if limit else ''} is used up: Envoy answered"
        " 429 without asking a backend.",
        "ask less often, or raise spec.rateLimit",
        answered_by="envoy",
    )


def circuit_breaker(case: Case) -> Found | None:
    if "overflow" not in case.details or "retry" in case.details:
        return None
    it = policy_of(case, "BackendTrafficPolicy", "circuitBreaker") or cluster_of(case)
    limits = case.of_cluster("circuit_breakers")
    shed = case.stat("upstream_rq_pending_overflow")
    return case.found(
        "circuit_breaker_overflow",
        it,
        "spec.circuitBreaker" if it.kind == "BackendTrafficPolicy" else "circuit_breakers",
        f"The circuit breaker of {case.cluster_name or it.text} is full: Envoy sheds what is over "
        "it.",
        "raise maxConnections, maxPendingRequests and maxParallelRequests in spec.circuitBreaker, "
        "or make the backend faster",
        f"stats: upstream_rq_pending_overflow {shed:.0f}" if shed else "",
        f"config_dump: circuit_breakers {limits}" if limits else "",
        answered_by="envoy",
    )


def fault_injected(case: Case) -> Found | None:
    if not case.details.startswith("fault_filter_abort") and "FI" not in case.flags:
        return None
    return _injected(case, "injects this failure: no backend was asked", answered_by="envoy")


def delay_injected(case: Case) -> Found | None:
    """Answered, and held back before."""
    if "DI" not in case.flags:
        return None
    what = "holds requests back: the answer was a good one, but late"
    return _injected(case, what, severity="warning")


def _injected(case: Case, what: str, **more: Any) -> Found:
    it = policy_of(case, "BackendTrafficPolicy", "faultInjection") or carrier(case, "fault")
    return case.found(
        "fault_injected",
        it,
        "spec.faultInjection",
        f"{it.text} {what}.",
        f"remove the fault from {it.text} once the test is over",
        **more,
    )
