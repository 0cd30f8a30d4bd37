"""
Access logs out of Loki: which query, page by page, and entries of what it answers. Asking itself is
``tasks.facts.loki``.

Source: Loki v3 docs, HTTP API, "Query logs within a range of time": start is inclusive, end is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tasks.diagnosis import access_logs
from tasks.diagnosis.evidence import Entry, Skipped

PATH = "/loki/api/v1/query_range"
#: Lines of one answer: what Loki allows where nobody changed it (max_entries_limit_per_query).
PAGE = 5000
#: Lines of one reading.
MOST = 100_000

Parameters = dict[str, str]
_LIMIT = re.compile(r"limit[^()]*\(\d+ > (\d+)\)")


class Refused(ValueError):
    """What Loki says to a query that it does not answer, in one line."""


@dataclass(frozen=True)
class Line:
    """+ at: nanoseconds since 1970; + labels: of its stream"""

    at: int
    labels: Mapping[str, str]
    text: str

    @property
    def source(self) -> str:
        """Such as "Pod envoy-gateway-system/envoy-edge-public-5d8c", as far as labels tell."""
        names = [self.labels.get(it) for it in ("namespace", "pod")]
        known = "/".join(it for it in names if it)
        return f"Pod {known}" if known else "Loki"


@dataclass
class Read:
    """+ whole: whether nothing was left; + why: where it is not"""

    lines: list[Line]
    whole: bool = True
    why: str = ""


def selector(labels: Mapping[str, str]) -> str:
    """
    Streams in LogQL.

    + labels: such as {"namespace": "envoy-gateway-system", "pod": "envoy-edge-.*"}; a value with
      .* or | is an expression
    """
    named = (
        f"{name}{'=~' if re.search(r'[.][*+]|[|]', value) else '='}{_quoted(value)}"
        for name, value in labels.items()
    )
    return f"{{{', '.join(named)}}}"


def query(streams: str, *words: str) -> str:
    """
    LogQL for lines that hold all words.

    + streams: such as '{container="envoy"}'
    + words: such as "cart.example.com", or an x-request-id
    """
    return streams + "".join(f" |= {_quoted(it)}" for it in words)


def read(
    ask: Callable[[Parameters], Any], wanted: str, start: float, end: float, most: int = MOST
) -> Read:
    """
    All lines of a query, oldest first, by as many pages as it takes. Raises Refused.

    + ask: gives the answer of Loki, parsed, to parameters of PATH
    + start, end: seconds since 1970
    """
    found = Read([])
    since, limit = int(start * 1e9), PAGE
    seen: set[tuple[int, str, str]] = set()
    while True:
        size = min(limit, most - len(found.lines) + len(seen))
        try:
            page = lines(ask(_parameters(wanted, since, int(end * 1e9), size)))
        except Refused as problem:
            allowed = _LIMIT.search(str(problem))
            if allowed is None or int(allowed[1]) >= limit or int(allowed[1]) < 1:
                raise
            limit = int(allowed[1])
            continue
        fresh = [it for it in page if _key(it) not in seen]
        found.lines += fresh
        if len(page) < size:
            return found
        if len(found.lines) >= most:
            return Read(found.lines, False, f"more than {most} lines: narrow the time or the host")
        newest = page[-1].at
        seen = {_key(it) for it in page if it.at == newest}
        if len(seen) == len(page):  # more in one nanosecond than one page can hold
            seen, newest = set(), newest + 1
            found.whole, found.why = False, f"over {limit} lines have one and the same time"
        since = newest


def lines(answer: Any) -> list[Line]:
    """Of one answer, oldest first. Raises Refused where it holds no lines of logs."""
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict) or data.get("resultType") != "streams":
        what = data.get("resultType") if isinstance(data, dict) else None
        raise Refused(f"the answer holds no lines of logs (resultType {what!r})")
    found = (it for stream in data.get("result") or () for it in _of_stream(stream))
    return sorted(found, key=lambda it: it.at)


def entries(found: Iterable[Line]) -> Iterator[Entry | Skipped]:
    """By proxy, in the order of each; what has no time of its own has that of its line in Loki."""
    sources: dict[str, list[Line]] = {}
    for it in found:
        sources.setdefault(it.source, []).append(it)
    for source, of_it in sources.items():
        for entry in access_logs.entries((it.text for it in of_it), source):
            if isinstance(entry, Entry) and not entry.at:
                yield replace(entry, at=_stamp(of_it[entry.line - 1].at))
            else:
                yield entry


def said(status: int, reason: str, body: str) -> str:
    """What a refusal says, in one line of a bearable length: Loki writes plain text or JSON."""
    text = " ".join(body.split())[:300]
    return f"{status} {reason}{f': {text}' if text else ''}"


def _parameters(wanted: str, start: int, end: int, limit: int) -> Parameters:
    return {
        "query": wanted,
        "start": str(start),
        "end": str(end),
        "limit": str(limit),
        "direction": "forward",
    }


def _of_stream(stream: Any) -> Iterator[Line]:
    if not isinstance(stream, dict):
        return
    labels = stream.get("stream")
    named = {str(k): str(v) for k, v in labels.items()} if isinstance(labels, dict) else {}
    values = stream.get("values")
    for value in values if isinstance(values, list) else ():
        if isinstance(value, list) and len(value) >= 2 and isinstance(value[1], str):
            at = str(value[0])
            if at.isdecimal() and len(at) < 20:
                yield Line(int(at), named, value[1])


def _key(it: Line) -> tuple[int, str, str]:
    return it.at, repr(sorted(it.labels.items())), it.text


def _stamp(nanoseconds: int) -> str:
    moment = datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
