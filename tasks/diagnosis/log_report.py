"""
What access logs of any size say: how requests ended, how often, since when, who answered, and where
the time of slow ones went.

    python -m tasks.diagnosis.log_report FILE ... [--output json]
    kubectl logs -n envoy-gateway-system -l app.kubernetes.io/component=proxy -c envoy --prefix \\
        --tail=-1 | python -m tasks.diagnosis.log_report -
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from tasks.diagnosis import access_logs, aggregate, flags
from tasks.diagnosis.aggregate import Kind, Summary
from tasks.diagnosis.answered import answered

SCHEMA = "envoyfleet.access-logs/1"
#: Kinds of lines that are shown; JSON has them all.
SHOWN = 20
#: Milliseconds from which on the time of a kind of line is taken apart.
SLOW = 1000.0
#: Signs of one column of the table.
WIDTH = 60


def main(arguments: Sequence[str] | None = None) -> int:
    """0: read, also where requests failed; 2: a file cannot be read, or has no entry."""
    parser = argparse.ArgumentParser(prog="python -m tasks.diagnosis.log_report")
    parser.description = "Sum up access logs: how requests ended, and where time went."
    parser.add_argument("files", nargs="+", help="logs, packed by gzip or not; - is standard input")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    chosen = parser.parse_args(arguments)
    try:
        found = aggregate.merged([_read(it) for it in chosen.files])
    except OSError as error:
        print(f"{error.filename}: cannot be read: {error.strerror}", file=sys.stderr)
        return 2
    if chosen.output == "json":
        json.dump(as_json(found), sys.stdout, indent=2)
        print()
    else:
        print("\n".join(table(found)))
    return 0 if found.count else 2


def _read(name: str) -> Summary:
    if name == "-":
        return _of(sys.stdin.buffer, "standard input")
    with Path(name).open("rb") as file:
        return _of(file, Path(name).name)


def _of(file: BinaryIO, source: str) -> Summary:
    return aggregate.of_lines(access_logs.lines_of(file), source)


def as_json(found: Summary) -> dict[str, Any]:
    """{"schema": ..., "kinds": [{"host": ..., "count": 7, "answered_by": "envoy", ...}], ...}"""
    return {
        "schema": SCHEMA,
        "sources": [
            {"name": it.name, "count": it.count, "first": it.first, "last": it.last}
            for it in found.sources
        ],
        "kinds": [_kind(it) for it in found.kinds],
        "notes": list(found.notes),
        "skipped": [vars(it) for it in found.skipped],
    }


def _kind(it: Kind) -> Mapping[str, Any]:
    explained = flags.explain(it.example)
    return {
        **it.signature._asdict(),
        "count": it.count,
        "first": it.first,
        "last": it.last,
        "p50": it.percentile(0.5),
        "p99": it.percentile(0.99),
        "slowest": it.slowest if it.slowest >= 0 else None,
        "shares": {name: round(share, 4) for name, share in it.parts.shares().items()},
        "answered_by": answered(None, it.example)[0],
        "cause": explained.cause,
        "means": [one.means for one in explained.meanings],
        "example": {"source": it.example.source, "line": it.example.line},
    }


def table(found: Summary) -> Iterator[str]:
    """Lines for a terminal: sources, what failed, what was slow, what is odd."""
    for source in found.sources:
        times = f"{source.first or '?'} to {source.last or '?'}"
        yield f"{source.name}: {source.count} entries, {times}"
    for skipped in found.skipped:
        yield f"{skipped.what}: {skipped.count} lines were not read: {skipped.why}"
    yield from found.notes
    failed = [it for it in found.kinds if _is_failure(it)]
    slow = sorted(found.kinds, key=lambda it: -it.slowest)
    slow = [it for it in slow if it.slowest >= SLOW]
    if failed:
        yield f"\n{sum(it.count for it in failed)} of {found.count} failed:"
        yield from _columns(FAILED, [_failed(it) for it in failed[:SHOWN]])
        yield from _more(failed)
    if slow:
        yield f"\nSlow ones, {SLOW:.0f} ms or more:"
        yield from _columns(TIMES, [_times(it) for it in slow[:SHOWN]])
        yield from _more(slow)
    if found.count and not failed and not slow:
        yield "\nNothing failed, and nothing was slow."


def _is_failure(it: Kind) -> bool:
    signature = it.signature
    return signature.status >= 400 or bool(signature.flags) or bool(it.example.listener_failure)


FAILED = ("count", "status", "flags", "answered", "host", "route or cluster", "last", "meaning")
TIMES = ("count", "host", "route or cluster", "p50", "p99", "slowest", "where time went")


def _failed(it: Kind) -> tuple[str, ...]:
    meanings = flags.explain(it.example).meanings
    details = it.signature.details or "nothing but the status is known"
    return (
        str(it.count),
        str(it.signature.status),
        it.signature.flags or "-",
        answered(None, it.example)[0],
        it.signature.host,
        it.signature.route or it.signature.cluster,
        it.last,
        meanings[0].means if meanings else details,
    )


def _times(it: Kind) -> tuple[str, ...]:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in it.parts.shares().items())
    if shares and it.parts.count < it.count:
        shares = f"{shares} (of {it.parts.count} that tell)"
    return (
        str(it.count),
        it.signature.host,
        it.signature.route or it.signature.cluster,
        _milliseconds(it.percentile(0.5)),
        _milliseconds(it.percentile(0.99)),
        _milliseconds(it.slowest),
        shares or "the log has no time of the backend",
    )


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _more(kinds: Sequence[Kind]) -> Iterator[str]:
    if len(kinds) > SHOWN:
        yield f"... and {len(kinds) - SHOWN} kinds more: --output json has them"


def _columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    cut = [[_clean(it)[:WIDTH] for it in row[:-1]] + [_clean(row[-1])] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cut, strict=True)]
    for row in (head, *cut):
        line = (f"{it:<{width}}" for it, width in zip(row, widths, strict=True))
        yield "  ".join(line).rstrip()


def _clean(text: str) -> str:
    """A host is what a client sent: no signs that a terminal obeys."""
    return "".join(it if it.isprintable() else "?" for it in text)


if __name__ == "__main__":
    raise SystemExit(main())
