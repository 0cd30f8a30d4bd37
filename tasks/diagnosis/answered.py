"""
Who answered: Envoy itself, the backend behind it, or nobody, because the client had gone. Always
decided, with what it was decided by.
"""

from __future__ import annotations

import re

from tasks.diagnosis import flags
from tasks.diagnosis.causes import AnsweredBy
from tasks.diagnosis.evidence import Entry, Exchange
from tasks.diagnosis.flags import Meaning

#: How responses of Envoy's own begin.
BODIES = (
    "upstream connect error or disconnect/reset before headers",
    "no healthy upstream",
    "upstream request timeout",
    "upstream max stream duration reached",
    "stream timeout",
    "request timeout",
    "downstream duration timeout",
    "RBAC: access denied",
    "local_rate_limited",
    "Jwt ",
    "Jwks ",
    "Audiences in Jwt are not allowed",
    "fault filter abort",
    "OAuth flow failed.",
    "Client authentication failed.",
    "Client is forbidden.",
    "User authentication failed.",
    "DNS cache overflow",
    "DNS resolution failure",
    "Dynamic forward proxy pending request overflow",
    "reached concurrency limit",
    "denied by admission control",
    "envoy overloaded",
    "maintenance mode",
    "Invalid origin",
)
#: Headers that Envoy gives to responses of its own; an application nearly always has others.
OWN_HEADERS = frozenset(
    {"date", "server", "content-length", "content-type", "connection", "location", "vary"}
    | {"www-authenticate", "x-envoy-overloaded", "x-envoy-ratelimited", "retry-after", "alt-svc"}
    | {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "transfer-encoding"}
    | {
        "grpc-status",
        "x-request-id",
        "strict-transport-security",
        "set-cookie",
        "x-envoy-decorator-operation",
    }
)
#: The caller itself ended it: it would wait no longer, or did not trust what it was shown.
_GAVE_UP = re.compile(r"time[d-]? ?out|certificate|hostname mismatch|unknown authority", re.I)


def answered(exchange: Exchange | None, entry: Entry | None) -> tuple[AnsweredBy, str]:
    """
    Who wrote the response or broke off, and what tells it: the line of the log where there is one,
    else the response.
    """
    if entry is not None:
        who, why = _by_entry(entry)
        return who, f"{entry.source}:{entry.line}: {why}"
    if exchange is not None and (exchange.status is not None or exchange.error):
        return _by_exchange(exchange)
    return "upstream", "neither a response nor a line of a log is at hand: nothing speaks for Envoy"


def _by_entry(entry: Entry) -> tuple[AnsweredBy, str]:
    found = flags.explain(entry)
    if (gone := flags.by_client(found.flags, found.details)) is not None:
        return "client", f"response_flags {entry.flags!r}: {gone.means}"
    if found.details is not None and found.details.answered_by is not None:
        means = found.details.means
        return found.details.answered_by, f"response_code_details {entry.details!r}: {means}"
    if entry.details:
        return "envoy", f"response_code_details {entry.details!r}: backends leave via_upstream"
    ended = next((it for it in found.flags if it.answered_by is not None), None)
    if ended is not None:
        return "envoy", f"response_flags {entry.flags!r}: {ended.means}"
    if strange := flags.unknown(entry):
        return "envoy", f"response_flags {strange[0]!r}: only Envoy and its extensions set flags"
    if entry.listener_failure:
        return _by_handshake(entry.listener_failure, found.failure)
    return _by_backend(entry)


def _by_handshake(reason: str, told: Meaning | None) -> tuple[AnsweredBy, str]:
    why = f"downstream_transport_failure_reason {reason!r}"
    if told is not None and told.answered_by is not None:
        return told.answered_by, f"{why}: {told.means}"
    return "envoy", f"{why}: Envoy refused the handshake"


def _by_backend(entry: Entry) -> tuple[AnsweredBy, str]:
    """Where no word speaks for Envoy: whether a backend was asked at all."""
    if entry.upstream_host:
        return "upstream", f"upstream_host {entry.upstream_host!r}, and no flag speaks for Envoy"
    if entry.status == 0:
        return "client", "response_code 0 and no flag: nothing was sent, nobody was asked"
    if entry.upstream_host is None:
        return "upstream", "no flag speaks for Envoy; the log has neither details nor upstream_host"
    return "envoy", "no upstream_host: no backend was asked"


def _by_exchange(exchange: Exchange) -> tuple[AnsweredBy, str]:
    if exchange.status is None:
        return _by_error(exchange.error or "")
    headers = {name.lower(): value for name, value in exchange.headers.items()}
    for what, text in (("body", exchange.body), ("grpc-message", headers.pop("grpc-message", ""))):
        if text.startswith(BODIES):
            return "envoy", f"the {what} is one of Envoy's own: {text[:60]!r}"
        if what == "grpc-message" and text:
            return "upstream", f"grpc-message {text[:60]!r} is none of Envoy's"
    if "x-envoy-upstream-service-time" in headers:
        return "upstream", "header x-envoy-upstream-service-time: a backend was asked and answered"
    server = headers.get("server")
    if server not in (None, "envoy", "istio-envoy"):
        return "upstream", f"header server: {server!r} is not Envoy's"
    if others := sorted(set(headers) - OWN_HEADERS):
        return "upstream", f"headers that Envoy itself does not write: {', '.join(others[:3])}"
    if headers:
        return "envoy", "no header of an application, and no x-envoy-upstream-service-time"
    if exchange.status in (502, 503, 504):
        return "envoy", f"status {exchange.status}, which gateways write, and no more is known"
    return "upstream", f"status {exchange.status}, and no more is known"


def _by_error(error: str) -> tuple[AnsweredBy, str]:
    if _GAVE_UP.search(error):
        return "client", f"no response, the caller ended it: {error}"
    return "envoy", f"no response, the connection was refused or closed: {error}"
