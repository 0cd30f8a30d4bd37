"""What the response flags and response code details of one line of an access log mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.diagnosis.causes import Cause
from tasks.diagnosis.evidence import Entry
from tasks.diagnosis.words import (
    CLOSES,
    DETAILS,
    FAILURES,
    FLAGS,
    HANDSHAKES,
    RESETS,
    TOKENS,
    Meaning,
    stem,
)

__all__ = ["DETAILS", "FLAGS", "Explanation", "Meaning", "detail", "explain", "flags_of", "unknown"]

#: Of flags of one line the first that tells a cause; those before say more than those behind.
ORDER = ("DC", "DR", "FI", "NC", "UO", "UT", "UMSDR", "UPE", "UC", "UR", "RL", "RLSE", "OM", "LR")
_OF_STATUS: Mapping[int, Cause] = {
    400: "backend_400",
    401: "backend_401",
    403: "backend_403",
    404: "backend_404",
    429: "backend_429",
}
_OF_CODEC = re.compile(r"(?:http[123]?|uhv)\.")
_LONG = {it.long: it for it in FLAGS.values()}


@dataclass(frozen=True)
class Explanation:
    """
    Of one entry.

    + flags, details: what its words mean, as far as they are known
    + inner: of what the details carry: the reset, the token's fault, the reason of a close
    + failure: of upstream_transport_failure_reason, or of what stands for it in the details; of
      downstream_transport_failure_reason where the handshake of the client failed
    + cause: what the words alone tell; None where more has to be read, or nothing is wrong
    """

    flags: tuple[Meaning, ...] = ()
    details: Meaning | None = None
    inner: Meaning | None = None
    failure: Meaning | None = None
    cause: Cause | None = None

    @property
    def meanings(self) -> tuple[Meaning, ...]:
        """All of them, what says most first."""
        found = (self.failure, self.inner, self.details, *self.flags)
        return tuple(it for it in found if it is not None)


def explain(entry: Entry) -> Explanation:
    """What the words of one line mean, and what cause they alone tell."""
    words = [FLAGS[it] for it in flags_of(entry) if it in FLAGS]
    flags = tuple(sorted(words, key=lambda it: ORDER.index(it.word) if it.word in ORDER else 99))
    details = detail(entry.details)
    inner = _inner(entry.details or "")
    failure = _failure(entry)
    return Explanation(
        flags, details, inner, failure, _cause(entry, flags, details, inner, failure)
    )


def flags_of(entry: Entry) -> tuple[str, ...]:
    """Short names, such as ("UF", "URX"), also where the log has the long ones."""
    words = (it.strip() for it in (entry.flags or "").split(","))
    return tuple(_LONG[it].word if it in _LONG else it for it in words if it and it != "-")


def by_client(flags: Sequence[Meaning], details: Meaning | None) -> Meaning | None:
    """
    The flag that says that the client broke off. DR stands also where Envoy itself reset a stream
    of HTTP/2 that breaks a rule: the codec's detail says so.
    """
    if details is not None and details.answered_by == "envoy" and _OF_CODEC.match(details.word):
        return None
    return next((it for it in flags if it.answered_by == "client"), None)


def unknown(entry: Entry) -> tuple[str, ...]:
    """Words of a line that no release of ours writes: of an extension, or of another Envoy."""
    words = [it for it in flags_of(entry) if it not in FLAGS]
    if entry.details and detail(entry.details) is None:
        words.append(entry.details)
    return tuple(words)


def detail(text: str | None) -> Meaning | None:
    """
    Of response code details with what they carry, such as
    "rbac_access_denied_matched_policy[ns[shop]]"; None where there are none, or nobody knows them.
    """
    if not text or text == "-":
        return None
    word = stem(text.replace(" ", "_"))
    if word in DETAILS:
        return DETAILS[word]
    open_ended = (it for it in DETAILS.values() if it.word.endswith("..."))
    return next((it for it in open_ended if word.startswith(stem(it.word))), None)


def _inner(details: str) -> Meaning | None:
    """Of what stands in braces or parentheses: "…{connection_timeout}"."""
    word, _, carried = details.replace(" ", "_").partition("{")
    if word.startswith("upstream_reset_") and carried:
        return RESETS.get(re.split(r"[|,}]", carried)[0].lower())
    if word == "jwt_authn_access_denied":
        return next((it for at, it in TOKENS.items() if carried.startswith(at)), None)
    close, _, reason = word.partition("(")
    if close == "downstream_local_disconnect":
        return next((it for at, it in CLOSES.items() if reason.startswith(at)), None)
    return None


def _failure(entry: Entry) -> Meaning | None:
    if entry.listener_failure:
        reason = entry.listener_failure.replace(" ", "_")
        return next((it for at, it in HANDSHAKES.items() if at in reason), None)
    text = (entry.failure or entry.details or "").replace(" ", "_")
    if not entry.failure and "upstream_reset_" not in text:
        return None
    return next((it for at, it in FAILURES.items() if at in text), None)


def _cause(
    entry: Entry,
    flags: tuple[Meaning, ...],
    details: Meaning | None,
    inner: Meaning | None,
    failure: Meaning | None,
) -> Cause | None:
    """What says most decides: the client's end first, then the failure, details, flags."""
    if (gone := by_client(flags, details)) is not None:
        return gone.cause
    if entry.listener_failure and failure is not None:
        return failure.cause
    if entry.details == "via_upstream" or (entry.details is None and not flags):
        return _of_backend(entry)
    if inner is not None and inner.cause is None and failure is not None:
        return failure.cause
    told = (inner, details, failure if not details else None, *flags)
    if details is not None and details.word.startswith("upstream_reset_after_"):
        told = (details, *told)  # a body that is cut short is no other protocol
    for it in told:
        if it is not None and it.cause is not None:
            return it.cause
    return None


def _of_backend(entry: Entry) -> Cause | None:
    """
    Of a response that no word marks as Envoy's own; without details only where a backend was asked.
    """
    if entry.details is None and not entry.upstream_host:
        return None
    status = entry.status or 0
    if status in _OF_STATUS:
        return _OF_STATUS[status]
    if status >= 500:
        return "backend_5xx"
    if entry.grpc_status not in (None, "", "0", "OK", "Ok") and status == 200:
        return "grpc_backend_error"
    return None
