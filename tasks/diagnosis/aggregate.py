"""
What a log of any size says, in one pass and in the memory of its kinds of lines: which requests
ended how, how often, since when, and where the time of slow ones went.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any, NamedTuple

from tasks.diagnosis import access_logs
from tasks.diagnosis.evidence import Entry, Skipped

#: Kinds of lines that are told apart; hosts that a scanner makes up are one kind after that.
MOST_KINDS = 5000
#: Of each source, to compare its clock with others by requests that both have.
MOST_IDS = 2000
OTHERS = "(others)"
#: Fields of an entry that are looked at.
NEEDED = (
    *("authority", "route", "method", "status", "flags", "details", "upstream_cluster"),
    *("at", "duration", "upstream_time", "request_time", "connect_time", "response_time"),
    *("request_id", "listener_failure"),
)
#: Seconds that a clock is off, before it is said: what one proxy waits for another is less.
CLOCKS = 2.0
#: Seconds that a line may be older than one before it: it is written when its request ends.
BACKWARDS = 60.0
#: Upper ends in milliseconds, of which percentiles are read.
EDGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 300_000)


class Signature(NamedTuple):
    """
    What makes two lines one kind. "" is nothing, such as no route; details of a connection that
    came to nothing are what TLS says of it.
    """

    host: str
    route: str
    method: str
    status: int
    flags: str
    details: str
    cluster: str


@dataclass
class Parts:
    """
    Where time went, in milliseconds over all lines that say so.

    + total: of lines that tell the backend's part; + backend: until its first byte
    + client: until it had sent its request; + connect; + response: from the backend's first byte to
      the client's last one
    + count: of such lines; + detailed: of those with all parts, which our own format has
    """

    count: int = 0
    detailed: int = 0
    total: float = 0.0
    backend: float = 0.0
    client: float = 0.0
    connect: float = 0.0
    response: float = 0.0

    @property
    def own(self) -> float:
        """What is left for Envoy itself, queues in front of the backend among it."""
        return max(0.0, self.total - self.backend - self.client - self.connect - self.response)

    def shares(self) -> Mapping[str, float]:
        """{"backend": 0.9, "envoy": 0.02, ...}, the largest first; {} where no line tells."""
        found = {
            "backend": self.backend,
            "client": self.client,
            "connect": self.connect,
            "response": self.response,
            "envoy": self.own,
        }
        whole = sum(found.values())
        if not whole:
            return {}
        return {k: v / whole for k, v in sorted(found.items(), key=lambda it: -it[1]) if v}


@dataclass
class Kind:
    """
    Lines of one signature.

    + first, last: start times, RFC 3339; + slowest: milliseconds
    + example: the slowest of them, or the first where nothing has a duration
    + durations: how many took up to each of EDGES, the last: longer
    """

    signature: Signature
    example: Entry
    count: int = 0
    first: str = ""
    last: str = ""
    slowest: float = -1.0
    durations: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))
    parts: Parts = field(default_factory=Parts)

    def percentile(self, share: float) -> float | None:
        """Upper bound in milliseconds, of EDGES, or the slowest; None without durations."""
        return percentile(self.durations, share, self.slowest)


@dataclass
class Source:
    """
    One file or Pod.

    + backwards: seconds, the furthest that a line was older than one before it
    + ids: start of the first requests, by x-request-id
    """

    name: str
    count: int = 0
    first: str = ""
    last: str = ""
    backwards: float = 0.0
    ids: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """
    + kinds: most frequent first; + skipped: what was no entry
    + notes: what is odd about times, such as "b.log: its clock is 31 s ahead of a.log"
    """

    kinds: Sequence[Kind]
    sources: Sequence[Source]
    skipped: Sequence[Skipped] = ()
    notes: Sequence[str] = ()

    @property
    def count(self) -> int:
        """Lines that are entries."""
        return sum(it.count for it in self.kinds)


@dataclass
class Tally:
    """What one pass has seen so far."""

    kinds: dict[tuple[object, ...], Kind] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, it: Mapping[str, Any], made: Entry | tuple[str, int]) -> None:
        """
        One line.

        + it: fields of an entry; + made: the entry, or its source and number
        """
        get = it.get
        key = (
            get("authority"),
            get("route"),
            get("method"),
            get("status"),
            get("flags"),
            get("details") or get("listener_failure"),
            get("upstream_cluster"),
        )
        kind = self.kinds.get(key)
        if kind is None:
            kind = self._new(key, it, made)
        kind.count += 1
        at, duration = get("at"), get("duration")
        if at:
            if at > kind.last:
                kind.last = at
                kind.first = kind.first or at
            elif at < kind.first:
                kind.first = at
        if duration is not None:
            kind.durations[bisect_left(EDGES, duration)] += 1
            if duration > kind.slowest:
                kind.slowest = duration
                kind.example = _entry(it, made)
            if get("upstream_time") is not None:
                _share(kind.parts, it, duration)
        self._time(it, made if isinstance(made, tuple) else (made.source, made.line))

    def summary(self) -> Summary:
        return _summary(self.kinds.values(), list(self.sources.values()), self.skipped)

    def _new(
        self, key: tuple[Any, ...], it: Mapping[str, Any], made: Entry | tuple[str, int]
    ) -> Kind:
        host, route, method, status, flags, details, cluster = key
        if len(self.kinds) < MOST_KINDS:
            of = (host or "", route or "", method or "", status or 0, flags or "", details or "")
            self.kinds[key] = Kind(Signature(*of, cluster or ""), _entry(it, made))
            return self.kinds[key]
        others = Signature(OTHERS, "", "", status or 0, flags or "", "", "")
        if others not in self.kinds:
            if len(self.kinds) >= 2 * MOST_KINDS:
                others = Signature(OTHERS, "", "", 0, "", "", "")
            self.kinds.setdefault(others, Kind(others, _entry(it, made)))
        return self.kinds[others]

    def _time(self, it: Mapping[str, Any], made: tuple[str, int]) -> None:
        source = self.sources.get(made[0])
        if source is None:
            source = self.sources[made[0]] = Source(made[0])
        source.count += 1
        at = it.get("at")
        if not at:
            return
        if not source.first or at < source.first:
            source.first = at
        if at >= source.last:
            source.last = at
        elif at[:18] < source.last[:18]:  # not within the same ten seconds
            took = (it.get("duration") or 0.0) / 1000
            since = seconds(source.last) - seconds(at) - took
            source.backwards = max(source.backwards, since)
        if len(source.ids) < MOST_IDS and it.get("request_id"):
            source.ids.setdefault(it["request_id"], at)


def _entry(it: Mapping[str, Any], made: Entry | tuple[str, int]) -> Entry:
    return made if isinstance(made, Entry) else Entry(*made, **it)


def _share(parts: Parts, it: Mapping[str, Any], duration: float) -> None:
    parts.count += 1
    parts.total += duration
    parts.backend += it["upstream_time"]
    if it.get("request_time") is None and it.get("response_time") is None:
        return
    parts.detailed += 1
    parts.client += it.get("request_time") or 0.0
    parts.connect += it.get("connect_time") or 0.0
    parts.response += it.get("response_time") or 0.0


def aggregate(found: Iterable[Entry | Skipped]) -> Summary:
    """One pass over what ``access_logs.entries`` gives, of one source after the other."""
    tally = Tally()
    for it in found:
        if isinstance(it, Skipped):
            tally.skipped.append(it)
        else:
            tally.add({name: getattr(it, name) for name in NEEDED}, it)
    return tally.summary()


def of_lines(lines: Iterable[bytes | str], source: str) -> Summary:
    """
    The same in half the time, from the lines of one log.

    + source: what they are from, such as "access.eg.jsonl"
    """
    tally = Tally()
    for number, it in access_logs.fields_of(lines, source):
        if isinstance(it, Skipped):
            tally.skipped.append(it)
        else:
            tally.add(it, (source, number))
    return tally.summary()


def merged(summaries: Sequence[Summary]) -> Summary:
    """Of parts of a log that were read by several processes, in their order."""
    kinds: dict[Signature, Kind] = {}
    sources: dict[str, Source] = {}
    for summary in summaries:
        for kind in summary.kinds:
            known = kinds.get(kind.signature)
            kinds[kind.signature] = kind if known is None else _joined(known, kind)
        for source in summary.sources:
            same = sources.get(source.name)
            sources[source.name] = source if same is None else _continued(same, source)
    skipped = [it for summary in summaries for it in summary.skipped]
    return _summary(kinds.values(), list(sources.values()), skipped)


def percentile(durations: Sequence[int], share: float, slowest: float) -> float | None:
    """Of counts by EDGES; + share: such as 0.99"""
    whole = sum(durations)
    if not whole:
        return None
    seen = 0
    for edge, count in zip((*EDGES, slowest), durations, strict=True):
        seen += count
        if seen >= share * whole:
            return float(min(edge, slowest))
    return slowest


def seconds(at: str) -> float:
    """Since 1970; 0.0 for what is no time."""
    try:
        return datetime.fromisoformat(at).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _joined(one: Kind, other: Kind) -> Kind:
    slower = other if other.slowest > one.slowest else one
    parts = {name: value + getattr(other.parts, name) for name, value in vars(one.parts).items()}
    return Kind(
        one.signature,
        slower.example,
        one.count + other.count,
        min(filter(None, (one.first, other.first)), default=""),
        max(one.last, other.last),
        slower.slowest,
        [a + b for a, b in zip(one.durations, other.durations, strict=True)],
        Parts(**parts),
    )


def _continued(one: Source, other: Source) -> Source:
    return Source(
        one.name,
        one.count + other.count,
        min(filter(None, (one.first, other.first)), default=""),
        max(one.last, other.last),
        max(one.backwards, other.backwards),
        {**other.ids, **one.ids},
    )


def _summary(kinds: Iterable[Kind], sources: Sequence[Source], skipped: list[Skipped]) -> Summary:
    order = sorted(kinds, key=lambda it: (-it.count, it.signature))
    return Summary(order, sources, skipped, [*_backwards(sources), *_clocks(sources)])


def _backwards(sources: Sequence[Source]) -> Iterable[str]:
    for it in sources:
        if it.backwards > BACKWARDS:
            yield (
                f"{it.name}: lines are not in the order of time, up to {it.backwards:.0f} s back: "
                "several logs in one, or a clock that was set"
            )


def _clocks(sources: Sequence[Source]) -> Iterable[str]:
    """Requests that two sources have began at once in both: one proxy in front of the other."""
    for number, one in enumerate(sources):
        for other in sources[number + 1 :]:
            both = one.ids.keys() & other.ids.keys()
            if len(both) < 3:
                continue
            ahead = median(seconds(other.ids[it]) - seconds(one.ids[it]) for it in both)
            if abs(ahead) > CLOCKS:
                how = "ahead of" if ahead > 0 else "behind"
                yield (
                    f"{other.name}: its clock is {abs(ahead):.0f} s {how} that of {one.name} "
                    f"({len(both)} requests are in both)"
                )
