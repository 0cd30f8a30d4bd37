"""Which line of a log tells of which request of a client."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime

from tasks.diagnosis.evidence import Entry, Exchange

#: What keeps a request from being sent at all: no line of HTTP tells of that.
NEVER = re.compile(r"SSL|TLS|certificate|handshake|refused|getaddrinfo|resolve", re.I)
#: What keeps a connection from being made: no line tells of that.
NOWHERE = re.compile(r"refused|getaddrinfo|resolve", re.I)
#: Only where there is a filter chain is there somebody to send an alert of TLS.
ALERT = re.compile(r"ALERT_|alert (protocol|handshake|certificate|unknown|bad|access)", re.I)
#: Flags of responses that may have ended early.
CUT = frozenset(("DC", "DPE", "DT", "DR", "OM", "SI", "UC", "UMSDR", "UPE", "UR", "URX", "UT"))
#: Seconds.
SAME_TIME = 2.0

Pair = tuple[Exchange | None, Entry | None]


def pairs(exchanges: Sequence[Exchange], entries: Sequence[Entry]) -> list[Pair]:
    """
    Each request with its line, None where there is none. From the last one back, as requests were
    made in order; a line belongs to one request.
    """
    free = list(entries)
    found: list[Pair] = []
    for it in reversed(exchanges):
        at = _last(it, free)
        found.append((it, free.pop(at) if at is not None else None))
    return found[::-1]


def _last(exchange: Exchange, entries: Sequence[Entry]) -> int | None:
    for rewritten in (False, True):
        for number in range(len(entries) - 1, -1, -1):
            if _same(exchange, entries[number], rewritten):
                return number
    return None


def _same(exchange: Exchange, entry: Entry, rewritten: bool) -> bool:
    """
    + rewritten: whether the line may have the path that a route made of it: Envoy Gateway's own
      format has no other (it asks for X-ENVOY-ORIGIN-PATH, which Envoy never sets)
    """
    if not entry.method:
        return _same_handshake(exchange, entry)
    if exchange.status is None and NEVER.search(exchange.error or ""):
        return False
    request = exchange.request
    if not (_sent(exchange) or entry.authority):
        return False
    if entry.method != request.method or not _same_length(exchange, entry):
        return False
    if not _same_path(entry.path, request.path) and not (
        rewritten and entry.route and _same_time(exchange, entry)
    ):
        return False
    if entry.authority and not _same_host(entry.authority, request.host):
        return False
    if request.sni and entry.sni and request.sni.lower() != entry.sni.lower():
        return False
    if exchange.status is None:
        return not entry.status or not CUT.isdisjoint((entry.flags or "").split(","))
    return entry.status in (exchange.status, None)


def _same_handshake(exchange: Exchange, entry: Entry) -> bool:
    """A connection that ended before HTTP, and a client without an answer."""
    if exchange.status is not None or NOWHERE.search(exchange.error or ""):
        return False
    if entry.details == "filter_chain_not_found" and ALERT.search(exchange.error or ""):
        return False
    request = exchange.request
    if entry.sni:
        return (request.sni or request.host.partition(":")[0]).lower() == entry.sni.lower()
    if not _sent(exchange):
        return False
    return entry.sni is None or request.scheme == "http" or not request.sni


def _sent(exchange: Exchange) -> bool:
    """Where it was not, a line that names no host is somebody else's."""
    return exchange.status is not None or bool(exchange.error)


def _same_length(exchange: Exchange, entry: Entry) -> bool:
    """What came whole is as long as it was said to be."""
    said = {key.lower(): it for key, it in exchange.headers.items()}.get("content-length", "")
    if not said.isdecimal() or entry.sent is None or entry.method == "HEAD":
        return True
    if not CUT.isdisjoint((entry.flags or "").split(",")):
        return True
    return entry.status != exchange.status or int(said) == entry.sent


def _same_time(exchange: Exchange, entry: Entry) -> bool:
    """Envoy dates responses, to the second."""
    said = {key.lower(): it for key, it in exchange.headers.items()}.get("date", "")
    try:
        ended = datetime.fromisoformat(entry.at.replace("Z", "+00:00")).timestamp()
        ended += (entry.duration or 0) / 1000
        return abs(parsedate_to_datetime(said).timestamp() - ended) < SAME_TIME
    except (TypeError, ValueError, OverflowError):
        return False


def _same_path(logged: str | None, asked: str) -> bool:
    return logged is None or logged == asked or logged == (asked or "/")


def _same_host(logged: str, asked: str) -> bool:
    return logged.lower().rstrip(".") == asked.lower().rstrip(".")
