"""What the client did: gave up, or sent what Envoy does not take."""

from __future__ import annotations

import re

from tasks.diagnosis.case import Case
from tasks.diagnosis.diagnosis import Found
from tasks.diagnosis.owners import gateway_of, policy_of, service_of

GAVE_UP = re.compile(r"time[d]?.?out|abort|cancel", re.I)


def disconnected(case: Case) -> Found | None:
    if not _gone(case):
        return None
    service = service_of(case)
    after = case.entry.duration if case.entry is not None else None
    spent = f" after {after:.0f} ms" if after else ""
    return case.found(
        "client_disconnected",
        service,
        "",
        f"The client gave up{spent}, before {service.text} had answered.",
        "compare the time limit of the client with how long the backend takes",
        answered_by="client",
        severity="warning",
        confidence=0.95 if case.entry is not None else 0.6,
    )


def _gone(case: Case) -> bool:
    if case.entry is not None:
        refused = case.details.startswith(("http1.", "http2.", "http3."))
        if refused and "remote" not in case.details:
            return False  # Envoy reset what it did not understand
        return bool({"DC", "DR"} & case.flags) or case.details.startswith("downstream_remote_")
    return (
        case.exchange is not None and case.status is None and GAVE_UP.search(case.error) is not None
    )


def _stream_reset(case: Case) -> bool:
    """Of HTTP/2, where Envoy resets a stream instead of answering 400."""
    if case.status is not None or case.request.version != "2":
        return False
    return "DR" in case.flags if case.entry is not None else case.exchange is not None


def underscore_header(case: Case) -> Found | None:
    details = case.details
    names = [it for it in case.request.headers if "_" in it]
    told = "unexpected_underscore" in details
    rejected = case.status == 400 and case.answered_by == "envoy"
    if not told and not (names and (rejected or _stream_reset(case))):
        return None
    policy = policy_of(case, "ClientTrafficPolicy", "headers")
    it = policy or gateway_of(case)
    return case.found(
        "rejected_underscore_header",
        it,
        "spec.headers.withUnderscoresAction",
        f"The request has a header with an underscore{f' ({names[0]})' if names else ''}, and "
        "Envoy rejects those.",
        "name the header with hyphens, or set spec.headers.withUnderscoresAction: Allow in a "
        "ClientTrafficPolicy",
        answered_by="envoy",
        confidence=0.95 if told else 0.9,
    )
