"""
What an operator reads at the end: a table on a terminal, one plain line a row elsewhere, or JSON on
request.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import IO, Literal

from tasks.checks.findings import Finding, Silence, as_json, in_order

#: Markdown and a page are forms of the diagnosis alone; anything else is lines then.
Output = Literal["table", "lines", "json", "markdown", "html"]

_COLOURS = {"error": "bold red", "warning": "yellow", "info": "dim"}
_WIDE = 160


def chosen(output: Output | None, stream: IO[str]) -> Output:
    """
    How to print: ``None`` is a table on a terminal, and lines in a file or a pipe. Pipelines get
    lines as well: they set ``CI``, and some of them have a terminal all the same.
    """
    if output is not None:
        return "lines" if output in ("markdown", "html") else output
    return "table" if stream.isatty() and not os.environ.get("CI") else "lines"


def print_findings(
    findings: Iterable[Finding],
    output: Output | None = None,
    stream: IO[str] | None = None,
    silent: Sequence[tuple[Finding, Silence]] = (),
) -> None:
    """
    Print what an audit found, errors first, and how many there are.

    + stream: stdout unless given
    + silent: what a silence holds back (`findings.Judged`): counted, and listed in JSON
    """
    out = sys.stdout if stream is None else stream
    ordered = in_order(findings)
    how = chosen(output, out)
    if how == "json":
        _print_json(as_json(ordered, silent), out)
        return
    if how == "lines":
        out.writelines(f"{_plain(it.text)} ({it.docs})\n" for it in ordered)
    elif ordered:
        rows = [(it.severity, it.code, it.where.text, f"{it.what}: {it.fix}") for it in ordered]
        _print_rich(("severity", "code", "where", "what to know and do"), rows, None, out)
    out.write(f"{_summary(ordered, len(silent))}\n")


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    output: Output | None = None,
    stream: IO[str] | None = None,
    title: str | None = None,
    schema: str | None = None,
) -> None:
    """
    Print rows of text, one a cluster or the like, in the order given.

    + columns: their names, which are the keys in JSON; an empty cell is "-" in lines
    + title: a line above the table, left out of JSON
    + schema: such as "envoyfleet.status/1", which JSON needs: {"schema": ..., "rows": [{...}]}
    """
    out = sys.stdout if stream is None else stream
    cells = [tuple(row) for row in rows]
    how = chosen(output, out)
    if how == "json":
        listed = [dict(zip(columns, row, strict=True)) for row in cells]
        _print_json({"schema": schema, "rows": listed}, out)
    elif how == "lines":
        _print_lines(columns, cells, title, out)
    else:
        _print_rich(columns, cells, title, out)


def _print_json(document: object, out: IO[str]) -> None:
    json.dump(document, out, indent=2)
    out.write("\n")


def _print_lines(
    columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None, out: IO[str]
) -> None:
    if title is not None:
        out.write(f"{_plain(title)}\n")
    lines = [[_plain(cell) or "-" for cell in row] for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        out.write(f"{'  '.join(padded).rstrip()}\n")


def _print_rich(
    columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None, out: IO[str]
) -> None:
    """Colours follow the terminal and NO_COLOR, which rich reads. Cells are text, never markup."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, title=title and Text(_plain(title)), title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_plain(cell), style=_COLOURS.get(cell, "")) for cell in row))
    Console(file=out, width=None if out.isatty() else _WIDE).print(table)


def _summary(findings: Sequence[Finding], silent: int) -> str:
    """Such as "1 error, 2 warnings, 0 infos, 1 silenced", or "nothing found"."""
    counts = Counter(it.severity for it in findings)
    held = f", {silent} silenced" if silent else ""
    if not counts:
        return f"nothing found{held}"
    return (
        f"{_count(counts['error'], 'error')}, {_count(counts['warning'], 'warning')}, "
        f"{_count(counts['info'], 'info')}{held}"
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _plain(text: str) -> str:
    """On one line, without control characters: names and messages come from clusters."""
    return " ".join("".join(it if it.isprintable() else " " for it in text).split())
