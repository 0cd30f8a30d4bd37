"""
What cert-manager's objects say: whether a certificate is there, why it does not come, and how it
is asked for anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.plans.kinds import title

Object = Mapping[str, Any]
#: Reason and message of the condition that asks for a new certificate; the reason is that of
#: ``cmctl renew``.
ASKED = ("ManuallyTriggered", "envoyfleet asks for a new certificate")


def not_ready(thing: Object) -> str | None:
    """
    Why an issuer or Certificate is not Ready in its newest form, or None where it is.
    """
    found = condition(thing, "Ready")
    if found is None:
        return f"{title(thing)}: cert-manager has said nothing of it yet"
    if found.get("observedGeneration", 0) < thing["metadata"].get("generation", 0):
        return f"{title(thing)}: cert-manager has not seen its newest form yet"
    if found["status"] == "True":
        return None
    return f"{title(thing)}: {_said(found)}"


def condition(thing: Object, kind: str) -> Object | None:
    """One of its conditions, such as "Ready"."""
    every = (thing.get("status") or {}).get("conditions") or ()
    return next((it for it in every if it["type"] == kind), None)


def _said(found: Object) -> str:
    return f"{found.get('reason')}: {one_line(found.get('message') or 'no message')}"


def one_line(text: str) -> str:
    """What an ACME server answered, without its line ends."""
    return " ".join(text.split()).rstrip(". ")


@dataclass(frozen=True)
class Attempts:
    """The objects that cert-manager makes on the way to a certificate, of a whole cluster."""

    requests: Sequence[Object] = ()
    orders: Sequence[Object] = ()
    challenges: Sequence[Object] = ()


def cause(certificate: Object, attempts: Attempts) -> str | None:
    """
    What the deepest object says that was made for a Certificate, such as "Challenge edge/shop-1-2
    (HTTP-01 of shop.example.com): pending: wrong status code '404', expected '200'", or None where
    nothing was made or nothing is wrong. Of several requests the newest counts.
    """
    request = _newest(_of(certificate, attempts.requests))
    if request is None:
        return None
    order = _newest(_of(request, attempts.orders))
    challenges = _of(order, attempts.challenges) if order else []
    for it in challenges:
        status = it.get("status") or {}
        if status.get("state") != "valid" and status.get("reason"):
            way = f"{it['spec'].get('type')} of {it['spec'].get('dnsName')}"
            state = status.get("state") or "waits"
            return f"{title(it)} ({way}): {state}: {one_line(status['reason'])}"
    status = (order or {}).get("status") or {}
    if order and status.get("reason"):
        return f"{title(order)}: {status.get('state')}: {one_line(status['reason'])}"
    for kind in ("Denied", "InvalidRequest", "Ready"):
        found = condition(request, kind)
        if found and found["status"] != ("False" if kind != "Ready" else "True"):
            return f"{title(request)}: {_said(found)}"
    return None


def _of(owner: Object, things: Iterable[Object]) -> list[Object]:
    """Those that name it as their owner."""
    uid, meta = owner["metadata"].get("uid"), owner["metadata"]
    return [
        it
        for it in things
        if it["metadata"]["namespace"] == meta["namespace"]
        and any(ref.get("uid") == uid for ref in it["metadata"].get("ownerReferences") or ())
    ]


def _newest(things: Sequence[Object]) -> Object | None:
    """By the second in which it was made, then by revision, which its name ends with."""
    return max(things, key=_age, default=None)


def _age(thing: Object) -> tuple[str, int]:
    meta = thing["metadata"]
    revision = (meta.get("annotations") or {}).get("cert-manager.io/certificate-revision", "0")
    return meta.get("creationTimestamp", ""), int(revision) if revision.isdecimal() else 0


def marked(certificate: Object, now: str) -> dict[str, Any]:
    """
    The body of a merge patch of ``status`` that makes cert-manager issue a Certificate anew, the
    way ``cmctl renew`` does; refused by the API server where it was changed since it was read.

    + now: such as "2026-11-21T10:00:00Z"
    """
    reason, message = ASKED
    others = [
        it
        for it in (certificate.get("status") or {}).get("conditions") or ()
        if it["type"] != "Issuing"
    ]
    meta = certificate["metadata"]
    issuing = {
        "type": "Issuing",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": now,
        "observedGeneration": meta.get("generation", 0),
    }
    return {
        "metadata": {"resourceVersion": meta["resourceVersion"]},
        "status": {"conditions": [*others, issuing]},
    }


def revision(certificate: Object) -> int:
    """How often it was issued, 0 before the first time."""
    return int((certificate.get("status") or {}).get("revision") or 0)


def is_issuing(certificate: Object) -> bool:
    """Whether cert-manager works on it."""
    found = condition(certificate, "Issuing")
    return found is not None and found["status"] == "True"


def gave_up(certificate: Object) -> bool:
    """Whether the last attempt failed and no other is under way: the next comes in an hour."""
    return (
        bool(not_ready(certificate))
        and not is_issuing(certificate)
        and (_failures(certificate) != (0, "None"))
    )


def failed(certificate: Object, before: Object) -> bool:
    """Whether an attempt that began after ``before`` was read has failed."""
    if is_issuing(certificate) or revision(certificate) > revision(before):
        return False
    return _failures(certificate) != _failures(before)


def _failures(certificate: Object) -> tuple[int, str]:
    status = certificate.get("status") or {}
    return int(status.get("failedIssuanceAttempts") or 0), str(status.get("lastFailureTime"))


def duration(seconds: int) -> str:
    """As Go writes it: 2592000 -> "720h0m0s", 1800 -> "30m0s"."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
