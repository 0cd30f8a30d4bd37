"""Certificates of cert-manager that do not come, or whose Secret is not theirs any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tasks.checks.findings import Finding, Severity, Where
from tasks.plans.cert_manager import Attempts, cause, condition, not_ready, one_line
from tasks.plans.chains import Held
from tasks.plans.kinds import title

Object = Mapping[str, Any]
Place = tuple[str, str]
#: What a first certificate, and a renewal, may take before that is worth a word.
FIRST, RENEWAL = timedelta(minutes=10), timedelta(hours=1)
_LOOK = "look at the Certificate with `cmctl status certificate`"


def findings(
    cluster: str,
    certificates: Sequence[Object],
    attempts: Attempts,
    held: Mapping[Place, Held] | None,
    now: datetime,
) -> Iterator[Finding]:
    """
    GW620, GW621 and GW622 of one cluster.

    + certificates: Certificates of cert-manager; + held: Secrets of type TLS by namespace and name,
      None where they were not read
    """
    for it in certificates:
        where = Where(cluster, title(it))
        yield from _unready(it, attempts, where, now)
        yield from _stuck(it, attempts, where, now)
    if held is not None:
        yield from _not_theirs(cluster, certificates, held)
    yield from _shared(cluster, certificates)


def _unready(it: Object, attempts: Attempts, where: Where, now: datetime) -> Iterator[Finding]:
    late = not_ready(it)
    if late is None:
        return
    ends = _time(it, "notAfter")
    made = _moment(it["metadata"].get("creationTimestamp"))
    severity: Severity = "error"
    if ends is not None and ends > now:
        severity = "warning"
    elif ends is None and made is not None and now - made < FIRST:
        severity = "info"
    why = cause(it, attempts)
    yield Finding(
        "GW620", severity, where, f"is not Ready: {why or late.partition(': ')[2]}", _LOOK
    )


def _stuck(it: Object, attempts: Attempts, where: Where, now: datetime) -> Iterator[Finding]:
    """A certificate that is good still, and whose successor does not come."""
    renewal, ends = _time(it, "renewalTime"), _time(it, "notAfter")
    if not_ready(it) or renewal is None or ends is None:
        return
    status = it.get("status") or {}
    tries = int(status.get("failedIssuanceAttempts") or 0)
    asked = condition(it, "Issuing")
    since = _moment(asked.get("lastTransitionTime")) if asked else None
    waits = bool(
        asked and asked["status"] == "True" and since is not None and now - since > RENEWAL
    )
    if not (tries or waits or now - renewal > RENEWAL):
        return
    severity: Severity = "error" if now > renewal + (ends - renewal) / 2 else "warning"
    why = cause(it, attempts)
    if why is None and asked is not None:
        why = one_line(asked.get("message") or "")
    failed = f"{tries} attempt{'s' if tries > 1 else ''} failed, " if tries else ""
    due = f"due {'since ' if renewal < now else ''}{renewal:%Y-%m-%d %H:%M}"
    yield Finding(
        "GW621",
        severity,
        where,
        f"is not renewed: {failed}{due}, ends {ends:%Y-%m-%d %H:%M}" + (f": {why}" if why else ""),
        _LOOK,
    )


def _not_theirs(
    cluster: str, certificates: Sequence[Object], held: Mapping[Place, Held]
) -> Iterator[Finding]:
    by_title = {title(it): it for it in certificates}
    makers = {_secret(it): it for it in certificates}
    for place, secret in held.items():
        maker, owner = makers.get(place), secret.owner
        where = Where(cluster, secret.title)
        if maker is not None and owner not in by_title:
            yield Finding(
                "GW622",
                "warning",
                where,
                f"{title(maker)} makes it, and {owner or 'somebody by hand'} wrote over it",
                "let one of them keep it: cert-manager writes its own again when it renews",
            )
        elif maker is None and owner and owner.startswith("Certificate "):
            gone = owner not in by_title
            yield Finding(
                "GW622",
                "warning",
                where,
                f"{owner} made it, and {'is no more' if gone else 'makes another Secret now'}: "
                "nobody renews it",
                "make a Certificate for it with deploys/issuers.py, or delete it where nothing "
                "uses it",
            )


def _shared(cluster: str, certificates: Sequence[Object]) -> Iterator[Finding]:
    by_secret: dict[Place, list[str]] = {}
    for it in certificates:
        by_secret.setdefault(_secret(it), []).append(title(it))
    for (namespace, name), titles in by_secret.items():
        if len(titles) > 1:
            first, last = ", ".join(titles[:-1]), titles[-1]
            yield Finding(
                "GW622",
                "warning",
                Where(cluster, f"Secret {namespace}/{name}"),
                f"{first} and {last} both make it, each over the other",
                "give each a Secret of its own",
            )


def _secret(certificate: Object) -> Place:
    return certificate["metadata"]["namespace"], certificate["spec"]["secretName"]


def _time(certificate: Object, key: str) -> datetime | None:
    return _moment((certificate.get("status") or {}).get(key))


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
