"""
Lines of access logs, whatever wrote them: ours, Envoy Gateway's, the operations guide's, Envoy's
own text, Istio's and Cilium's, with what ``kubectl logs``, container runtimes and Loki put around.

The format is told line by line, for logs of several proxies are often one file. Sources: Envoy
v1.39 docs, Access logging, "Default format string" and "Command operators"; Istio 1.27 docs, Envoy
Access Logs; Loki v3 docs, HTTP API, "Query logs within a range of time".
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any

from tasks.diagnosis import cilium_logs
from tasks.diagnosis.evidence import Entry, Skipped

Object = Mapping[str, Any]
Fields = dict[str, Any]

#: What formats call a field of ``Entry``; of several in one line the first with a value.
NAMES: Mapping[str, tuple[str, ...]] = {
    "at": ("start_time", "timestamp", "@timestamp", "time"),
    "method": ("method", ":method", "request_method"),
    "path": ("x-envoy-origin-path", "path", "x-envoy-original-path", ":path"),
    "protocol": ("protocol",),
    "authority": (":authority", "authority", "host"),
    "status": ("response_code", "status", "status_code"),
    "flags": ("response_flags", "response_flag"),
    "details": ("response_code_details",),
    "termination": ("connection_termination_details",),
    "failure": ("upstream_transport_failure_reason",),
    "upstream_host": ("upstream_host", "upstream_remote_address"),
    "upstream_cluster": ("upstream_cluster", "upstream_cluster_raw"),
    "route": ("route_name",),
    "duration": ("duration",),
    "upstream_time": (
        "duration_upstream",
        "upstream_service_time",
        "x-envoy-upstream-service-time",
        "x_envoy_upstream_service_time",
    ),
    "received": ("bytes_received",),
    "sent": ("bytes_sent",),
    "remote": ("downstream_remote_address", "downstream_direct_remote_address"),
    "local": ("downstream_local_address",),
    "sni": ("requested_server_name",),
    "user_agent": ("user-agent", "user_agent"),
    "request_id": ("x-request-id", "request_id", "x_request_id"),
    "forwarded_for": ("x-forwarded-for", "x_forwarded_for"),
    "listener_failure": ("downstream_transport_failure_reason",),
    "listener": ("listener", "filter_chain_name"),
    "upstream_local": ("upstream_local_address",),
    "grpc_status": ("grpc_status_number", "grpc_status"),
    "attempts": ("upstream_attempts", "upstream_request_attempt_count"),
    "request_time": ("duration_request", "request_duration"),
    "connect_time": ("duration_connect",),
    "response_time": ("duration_response", "response_tx_duration"),
}
#: A JSON line has one of these, or it is of another program: many have a time, a path and a status.
TELLING = (
    "response_code",
    "response_flags",
    "response_code_details",
    "upstream_host",
    "upstream_cluster",
    "route_name",
)
LOOKED_FOR = (
    f"looked for JSON with one of {', '.join(TELLING)}, and for text such as "
    '[start] "METHOD path protocol" code flags'
)
#: Lines of one object that was written over several.
MOST_LINES = 1000
#: Bytes of one line, before it counts as two.
LONGEST = 64 * 2**20

_OWN = re.compile(
    r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]\d+\]\s*\["  # Envoy's
    r"|\d{4}-\d\d-\d\dT\S+\t(?:trace|debug|info|warn|error|fatal)"  # of Istio's agent
)
_BEGIN = re.compile(r'\{"|\{$|\[\d{4}-\d\d-\d\dT[^\]]*\] "|' + _OWN.pattern)
_STAMP = re.compile(r"(?:^|\s)(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))\s")
_REQUEST = r'\[([^\]]*)\] "(\S+) (.*?) (HTTP/\S*|-)" (\d{1,3}|-) (\S+)'
_NUMBERS = r" (\d+|-) (\d+|-) (\d+|-) (\d+|-)"
_QUOTED = r' "([^"]*)" "([^"]*)" "([^"]*)" "([^"]*)" "([^"]*)"'
_DEFAULT = re.compile(_REQUEST + _NUMBERS + _QUOTED + r"\s*")
_ANY = re.compile(_REQUEST + r"(?: (.*))?", re.S)
_WORD = re.compile(r'"(.*?)"(?= |$)|(\S+)', re.S)
_OFFSET = re.compile(r"T.*[+-]\d\d:\d\d$")
_FIVE = re.compile(r'"(.*?)" "(.*?)" "([0-9a-fA-F-]{36})" "([^" ]*)" "([^" ]*)"')
_OF_REQUEST = ("at", "method", "path", "protocol", "status", "flags")
_OF_NUMBERS = ("received", "sent", "duration", "upstream_time")
_OF_QUOTED = ("forwarded_for", "user_agent", "request_id", "authority", "upstream_host")
_OF_ISTIO = ("upstream_cluster", "upstream_local", "local", "remote", "sni", "route")


class UnknownLine(ValueError):
    """Why a line is no entry."""


def entries(lines: Iterable[bytes | str], source: str) -> Iterator[Entry | Skipped]:
    """
    Each request of a log, in its order; at the end, once a reason, what could not be read. Blank
    lines and what Envoy says of itself are passed over.

    + lines: with or without their ends; of a file that gzip wrote too
    + source: what they are from, such as "access.eg.jsonl"
    """
    for number, fields in fields_of(lines, source):
        if isinstance(fields, Skipped):
            yield fields
        else:
            yield Entry(source, number, **fields)


def fields_of(
    lines: Iterable[bytes | str], source: str
) -> Iterator[tuple[int, Fields] | tuple[int, Skipped]]:
    """
    The same as names and values, such as {"authority": "cart.example.com", "status": 404}: what a
    log of a gigabyte has time for.
    """
    unknown: dict[str, list[int]] = {}
    for number, text in _whole_objects(_unpacked(lines)):
        try:
            if text[0] == "[" and (found := _DEFAULT.fullmatch(text)):
                yield number, _of_default(found)
                continue
            for fields in _read(text):
                yield number, fields
        except UnknownLine as problem:
            numbers = unknown.setdefault(str(problem), [0])
            numbers[0] += 1
            if len(numbers) < 4:
                numbers.append(number)
    for why, (count, *first) in unknown.items():
        more = ", ..." if count > len(first) else ""
        yield 0, Skipped(source, count, f"{why}: line {', '.join(map(str, first))}{more}")


def lines_of(file: Any) -> Iterator[bytes]:
    """
    Of an open binary file, each with its end; what is longer than any line is cut, so that a file
    that is no log does not have to fit in memory.
    """
    return iter(partial(file.readline, LONGEST), b"")


def _unpacked(lines: Iterable[bytes | str]) -> Iterable[bytes | str]:
    """As they are, or what gzip has made of them, also where its end is missing."""
    others = iter(lines)
    first = next(others, None)
    if first is None:
        return ()
    if isinstance(first, bytes) and first.startswith(b"\x1f\x8b"):
        return _lines_of_parts(_inflated(first, others))
    return chain((first,), others)


def _lines_of_parts(parts: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from whole
    yield rest


def _inflated(first: bytes, others: Iterator[bytes | str]) -> Iterator[bytes]:
    stream = zlib.decompressobj(wbits=31)
    waiting = first
    while True:
        try:
            yield stream.decompress(waiting)
        except zlib.error:
            yield b"\ngzip data that is broken from here on\n"
            return
        if stream.eof and stream.unused_data:  # files that were put behind each other
            stream, waiting = zlib.decompressobj(wbits=31), stream.unused_data
            continue
        if stream.eof:
            stream = zlib.decompressobj(wbits=31)
        part = next(others, None)
        if part is None:
            return
        waiting = part if isinstance(part, bytes) else part.encode()


def _whole_objects(lines: Iterable[bytes | str]) -> Iterator[tuple[int, str]]:
    """
    Each line with its number, without blank ones and what is no text; an object that is written
    over several lines is one.
    """
    held: list[str] = []
    begun, end = 0, ""
    for number, raw in enumerate(lines, 1):
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        text = (text.replace("\0", "") if "\0" in text else text).rstrip()
        if held:
            held.append(text)
            if text.rstrip(",") != end and len(held) < MOST_LINES:
                continue
            yield begun, "\n".join(held).strip()
            held = []
        elif text.endswith("{") and text.strip() == "{":
            held, begun, end = [text], number, text[:-1] + "}"
        elif text:
            yield number, text.lstrip()
    if held:
        yield begun, "\n".join(held).strip()


def _read(text: str) -> Iterator[Fields]:
    """Fields of each entry in one line: several where it is an answer of Loki."""
    first = text[0]
    if first == "{":
        yield from _of_json(text)
        return
    if first == "[" and (found := _DEFAULT.fullmatch(text)):  # behind a prefix, or in Loki's
        yield _of_default(found)
        return
    if text in ("[", "]", "],"):
        return
    if text.startswith("[{"):
        yield from _of_list(text)
        return
    if _OWN.match(text):
        return
    if (begin := _BEGIN.search(text)) is None:
        raise UnknownLine(f"in no known format ({LOOKED_FOR})")
    if begin.start():
        stamp = _STAMP.search(text, 0, begin.start())
        for fields in _read(text[begin.start() :]):
            if stamp and not fields.get("at"):
                fields["at"] = stamp[1]
            yield fields
        return
    yield _of_text(text)


def _of_default(found: re.Match[str]) -> Fields:
    """Without a loop: there are five million such lines in a gigabyte."""
    (
        at, method, path, protocol, status, flags, received, sent, took, upstream,
        forwarded_for, agent, request_id, authority, upstream_host,
    ) = found.groups()  # fmt: skip
    return {
        "at": at,
        "method": method if method != "-" else "",
        "path": path if path != "-" else "",
        "protocol": protocol if protocol != "-" else "",
        "status": int(status) if status != "-" else 0,
        "flags": flags if flags != "-" else "",
        "received": int(received) if received != "-" else 0,
        "sent": int(sent) if sent != "-" else 0,
        "duration": float(took) if took != "-" else None,
        "upstream_time": float(upstream) if upstream != "-" else None,
        "forwarded_for": forwarded_for if forwarded_for != "-" else "",
        "user_agent": agent if agent != "-" else "",
        "request_id": request_id if request_id != "-" else "",
        "authority": authority if authority != "-" else "",
        "upstream_host": upstream_host if upstream_host != "-" else "",
    }


def _of_text(text: str) -> Fields:
    """Of Istio, of Envoy's own format with more behind it, or cut after the flags."""
    found = _ANY.fullmatch(text)
    if found is None:
        raise UnknownLine("text that is cut or broken")
    *request, rest = found.groups()
    fields: Fields = {name: _READ[name](it) for name, it in zip(_OF_REQUEST, request, strict=True)}
    found_words = list(_WORD.finditer(rest or ""))
    words = [(it[1] is not None, it[it.lastindex or 0]) for it in found_words]
    numbers = next((at for at in range(len(words) - 2) if _are_numbers(words[at : at + 4])), None)
    if numbers is None:
        return fields
    fields |= _before(words[:numbers])
    for name, (_, word) in zip(_OF_NUMBERS, words[numbers : numbers + 4], strict=False):
        fields[name] = _READ[name](word)
    if len(words) <= numbers + 4:
        return fields
    quoted, more = _five(rest[found_words[numbers + 4].start() :])
    for name, word in zip(_OF_QUOTED, quoted, strict=False):
        fields[name] = _text(word)
    return fields | _behind(more)


def _five(text: str) -> tuple[list[str], list[str]]:
    """What Envoy's own format quotes, and what is behind; clients put quotes into user agents."""
    if found := _FIVE.match(text):
        words = [it[it.lastindex or 0] for it in _WORD.finditer(text, found.end())]
        return list(found.groups()), words
    found_words = list(_WORD.finditer(text))
    quoted = [it[1] for it in found_words if it[1] is not None]
    return quoted[:5], [*(it[2] for it in found_words if it[2] is not None), *quoted[5:]]


def _are_numbers(words: list[tuple[bool, str]]) -> bool:
    return all(not quoted and (word == "-" or word.isdecimal()) for quoted, word in words) and any(
        word.isdecimal() for _, word in words[:3]
    )


def _before(words: list[tuple[bool, str]]) -> Fields:
    """What Istio has between flags and numbers: details, termination, "failure"."""
    bare = [_text(word) for quoted, word in words if not quoted]
    quoted = [_text(word) for quoted, word in words if quoted]
    fields: Fields = dict(zip(("details", "termination"), bare, strict=False))
    return {**fields, "failure": quoted[-1]} if quoted else fields


def _behind(words: list[str]) -> Fields:
    """What formats add at the end: Istio's six, or names that can be told apart."""
    if len(words) >= len(_OF_ISTIO):
        return {name: _text(word) for name, word in zip(_OF_ISTIO, words, strict=False)}
    fields: Fields = {}
    for word in words:
        if "/match/" in word:
            fields["route"] = word
        elif "|" in word or "/rule/" in word:
            fields["upstream_cluster"] = word
    return fields


def _of_list(text: str) -> Iterator[Fields]:
    for it in _loaded(text):
        if isinstance(it, dict):
            yield from _of_object(it)


def _of_json(text: str) -> Iterator[Fields]:
    return _of_object(_loaded(text.rstrip(",")))


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UnknownLine("JSON that is cut or broken") from None


def _of_object(it: Object) -> Iterator[Fields]:
    if any(name in it for name in TELLING):
        yield _fields(it)
        return
    if cilium_logs.is_ours(it):
        for fields in cilium_logs.fields(it):
            yield {name: _READ[name](value) for name, value in fields.items()}
        return
    if (streams := _streams(it)) is not None:
        yield from _of_streams(streams)
        return
    for name in ("line", "log", "message", "LogMessage", "msg"):
        inner = it.get(name)
        if isinstance(inner, dict) and any(each in inner for each in TELLING):
            yield _fields(inner)
            return
        if isinstance(inner, str) and _BEGIN.match(inner.strip()):
            yield from _stamped(_read(inner.strip()), it)
            return
    if "level" in it or "severity" in it:
        return  # what another container of the Pod says of itself
    raise UnknownLine(f"JSON of another kind ({LOOKED_FOR})")


def _stamped(found: Iterator[Fields], around: Object) -> Iterator[Fields]:
    for fields in found:
        if not fields.get("at"):
            fields["at"] = _at(around.get("timestamp") or around.get("time"))
        yield fields


def _streams(it: Object) -> list[Any] | None:
    """Of an answer of Loki, or of what is pushed to it."""
    data = it.get("data")
    found = data.get("result") if isinstance(data, dict) else it.get("streams")
    return found if isinstance(found, list) else None


def _of_streams(streams: list[Any]) -> Iterator[Fields]:
    for stream in streams:
        for value in stream.get("values") or () if isinstance(stream, dict) else ():
            if not (isinstance(value, list) and len(value) >= 2 and isinstance(value[1], str)):
                continue
            stamp, text = value[0], value[1].strip()
            if text:
                yield from _stamped(_read(text), {"timestamp": stamp})


def _fields(it: Object) -> Fields:
    """Of a JSON line, by the names that its format has for them."""
    plan = _PLANS.get(names := tuple(it))
    if plan is None:
        if len(_PLANS) > 100:  # names that no format has, one after the other
            _PLANS.clear()
        plan = _PLANS[names] = [
            (field, each, _READ[field])
            for field, wanted in NAMES.items()
            for each in reversed(wanted)
            if each in it
        ]
    found: Fields = {}
    for field, name, read in plan:
        value = read(it[name])
        if value or field not in found:
            found[field] = value
    return found


def _text(value: Any) -> str:
    if isinstance(value, str):
        return "" if value == "-" else value
    return "" if value is None else str(value)


def _whole(value: Any) -> int | None:
    """0 for null, None for what is no number."""
    if value is None or value in ("-", ""):
        return 0
    try:
        return int(value)
    except (ValueError, TypeError, OverflowError):
        return None


def _time(value: Any) -> float | None:
    """None for null: 0 ms would be a time."""
    if value is None or value in ("-", ""):
        return None
    try:
        found = float(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _at(value: Any) -> str:
    """RFC 3339 in UTC, also of seconds, milli- or nanoseconds since 1970; other text as it is."""
    text = _text(value)
    try:
        if text.replace(".", "", 1).isdecimal() and len(text) < 24:
            seconds = float(text)
            while seconds > 1e11:
                seconds /= 1000
            moment = datetime.fromtimestamp(seconds, UTC)
        elif text.endswith("Z") or not _OFFSET.search(text):
            return text
        else:
            moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return text
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_READ: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(NAMES, _text),
    **dict.fromkeys(("status", "received", "sent", "attempts"), _whole),
    **dict.fromkeys(
        ("duration", "upstream_time", "request_time", "connect_time", "response_time"), _time
    ),
    "at": _at,
}
_PLANS: dict[tuple[str, ...], list[tuple[str, str, Callable[[Any], Any]]]] = {}
