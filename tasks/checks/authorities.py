"""Authorities that proxies verify clients and backends with: there, readable, and in their days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from tasks.checks.findings import Finding, Severity, Where
from tasks.plans.authorities import AuthorityRef, Found
from tasks.plans.x509 import Certificate


def findings(
    cluster: str,
    found: Mapping[AuthorityRef, Found],
    now: datetime,
    warning: timedelta,
    error: timedelta,
) -> Iterator[Finding]:
    """
    An authority that ends while another of the same name in the bundle goes on is replaced already.
    """
    for ref, held in found.items():
        where = Where(cluster, ref.owner)
        if not ref.allowed:
            what = f"no ReferenceGrant lets it use {ref.title}"
            yield Finding("GW617", "error", where, what, "allow it there, or move the authority")
        elif isinstance(held, str):
            what = f"{ref.title}, which it verifies with, {held}"
            yield Finding("GW617", "error", where, what, "put the authority there as ca.crt, PEM")
        else:
            yield from _in_time(where, ref, held, now, warning, error)


def _in_time(
    where: Where,
    ref: AuthorityRef,
    held: Iterable[Certificate],
    now: datetime,
    warning: timedelta,
    error: timedelta,
) -> Iterator[Finding]:
    last: dict[str, Certificate] = {}
    for it in sorted(held, key=lambda it: it.not_after):
        last[it.subject] = it
    fix = "add its successor to the bundle beside it, then renew what it signed"
    for it in last.values():
        left = it.not_after - now
        if left < timedelta(0):
            alone = all(other.not_after < now for other in last.values())
            what = f"authority {it.subject} in {ref.title} expired on {it.not_after:%Y-%m-%d}"
            yield Finding("GW617", "error" if alone else "warning", where, what, fix)
        elif left < warning:
            severity: Severity = "error" if left < error and len(last) == 1 else "warning"
            what = (
                f"authority {it.subject} in {ref.title} expires on {it.not_after:%Y-%m-%d}, in "
                f"{left.days} days"
            )
            yield Finding("GW617", severity, where, what, fix)
