"""How a deploy that only reads ends: one table of the fleet and the findings, or both as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tasks.checks.findings import as_json
from tasks.fleet import run as fleet_run
from tasks.fleet.recorder import ClusterResult
from tasks.fleet.silences import judged
from tasks.fleet.tables import Output, print_findings, print_table

Row = Mapping[str, Any]


def show(
    results: Sequence[ClusterResult],
    rows: dict[str, dict[str, Any]],
    schema: str,
    columns: Sequence[str],
    line: Callable[[str, Row], Sequence[str]],
    more: Mapping[str, Any] | None = None,
) -> None:
    """
    Print an audit to stdout, in the form that ``output`` of the inventory's data asks for.

    + rows: by cluster, what was read; one that was not gets {"ring": 1, "unreachable": "why"}
    + schema: such as "envoyfleet.status/1": {"schema": ..., "clusters": [...], "findings": [...],
      "silenced": [...]}
    + line: the cells of one row of the table
    + more: keys that the JSON has besides
    """
    show_lines(results, rows, schema, columns, lambda name, row: [line(name, row)], more)


def asked() -> Output | None:
    """``output`` of the inventory's data."""
    return next((it.output for it in fleet_run.current().clusters.values() if it.output), None)


def show_lines(
    results: Sequence[ClusterResult],
    rows: dict[str, dict[str, Any]],
    schema: str,
    columns: Sequence[str],
    lines: Callable[[str, Row], Sequence[Sequence[str]]],
    more: Mapping[str, Any] | None = None,
) -> None:
    """``show`` for a table with several rows a cluster."""
    run = fleet_run.current()
    for it in results:
        rows.setdefault(it.name, {"ring": it.ring, "unreachable": it.why or "no answer"})
    output = asked()
    judgement = judged(run)
    if output == "json":
        found = as_json(judgement.open, judgement.silent)
        document = {
            "schema": schema,
            **(more or {}),
            "clusters": [{"name": name, **rows[name]} for name in sorted(rows)],
            **{key: found[key] for key in ("findings", "silenced")},
        }
        print(json.dumps(document, indent=2))
        return
    table = [line for it in results for line in lines(it.name, rows[it.name])]
    print_table(columns, table, output=output)
    if judgement.open or judgement.silent:
        print_findings(judgement.open, output, silent=judgement.silent)
