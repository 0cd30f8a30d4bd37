"""
docs/response-flags.md, out of the table of words.

    python -m tasks.diagnosis.flags_page > docs/response-flags.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tasks.diagnosis.words import (
    CLOSES,
    DETAILS,
    FAILURES,
    FLAGS,
    GROUPS,
    HANDSHAKES,
    RESETS,
    TOKENS,
    Meaning,
    stem,
)

_BEGIN = """\
# Response flags and response code details

Every flag and every detail that Envoy 1.38 and 1.39 write into an access log: what it means, who
answered, the cause that a diagnosis names, and what to do next. Two words are read together: the
flag says that Envoy itself ended the request, the detail says why. No flag (`-`) with
`via_upstream` is the backend's own answer.

Made by `python -m tasks.diagnosis.flags_page > docs/response-flags.md`; a test holds it against
the table in tasks/diagnosis/words.py, and that table against the strings of the two Envoys of the
lab. Not in it is what a Lua script, a Wasm extension or an external processing service makes up.
Envoy 1.40 was seen in captures alone, which have no word beyond these. Where the cause is —, the
word alone does not tell: the diagnosis reads on in the configuration and the objects.
"""


def page() -> str:
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _BEGIN
    yield "## Flags"
    yield "`%RESPONSE_FLAGS%`, with commas between; `%RESPONSE_FLAGS_LONG%` has the names.\n"
    yield "| flag | name | meaning | answered | cause | next |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for it in FLAGS.values():
        yield f"| `{it.word}` | {it.long} | {it.means} | {_ends(it)} |"
    for title, (_, rows) in GROUPS.items():
        yield f"\n## Details: {title.lower()}\n"
        yield from _table("detail", (DETAILS[stem(row[0])] for row in rows))
    yield "\n## What stands in upstream_reset_before_response_started{...}\n"
    yield from _table("reset", RESETS.values())
    yield "\n## Why a connection to a backend failed"
    yield (
        "`%UPSTREAM_TRANSPORT_FAILURE_REASON%`, and behind the `|` of a reset. A word that it has "
        "in it:\n"
    )
    yield from _table("word", FAILURES.values())
    yield "\n## Why a handshake with a client failed"
    yield "`%DOWNSTREAM_TRANSPORT_FAILURE_REASON%`, in our lines of connections. A word in it:\n"
    yield from _table("word", HANDSHAKES.values())
    yield "\n## What stands in jwt_authn_access_denied{...}"
    yield "What it begins with:\n"
    yield from _table("reason", TOKENS.values())
    yield "\n## What stands in downstream_local_disconnect(...)"
    yield "What it begins with:\n"
    yield from _table("reason", CLOSES.values())


def _table(head: str, rows: Iterable[Meaning]) -> Iterator[str]:
    yield f"| {head} | meaning | answered | cause | next |"
    yield "| --- | --- | --- | --- | --- |"
    for it in rows:
        only = f" From {it.since} on." if it.since else ""
        only = f" Up to {it.until}." if it.until else only
        yield f"| `{it.word}` | {it.means}{only} | {_ends(it)} |"


def _ends(it: Meaning) -> str:
    return f"{it.answered_by or '—'} | {it.cause or '—'} | {it.next}"


if __name__ == "__main__":
    print(page(), end="")
