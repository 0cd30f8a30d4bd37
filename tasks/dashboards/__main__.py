"""
Write the dashboards that deploys deliver, out of their source.

    python -m tasks.dashboards [--check | --docs]

With --check nothing is written; exit 1 says that a file is not what its source says. With --docs
the tables of docs/dashboards.md are printed.
"""

from __future__ import annotations

import sys

from tasks.dashboards import DASHBOARDS
from tasks.dashboards.source import Dashboard, Panel
from tasks.dashboards.written import text
from tasks.operations.grafana import DASHBOARDS as FOLDER


def main(arguments: list[str]) -> int:
    wanted = {f"{it.name}.json": text(it) for it in DASHBOARDS}
    there = {it.name: it.read_text(encoding="utf-8") for it in FOLDER.glob("*.json")}
    differ = sorted(it for it in wanted.keys() | there.keys() if wanted.get(it) != there.get(it))
    if arguments == ["--check"]:
        for it in differ:
            print(f"{FOLDER.name}/{it} is not what its source says: run python -m tasks.dashboards")
        return 1 if differ else 0
    if arguments == ["--docs"]:
        print("\n\n".join("\n".join(table(it)) for it in DASHBOARDS))
        return 0
    if arguments:
        print(__doc__)
        return 2
    for it in differ:
        if it in wanted:
            FOLDER.mkdir(parents=True, exist_ok=True)
            (FOLDER / it).write_text(wanted[it], encoding="utf-8")
        else:
            (FOLDER / it).unlink()
        print(f"{it}: {'written' if it in wanted else 'deleted'}")
    return 0


def table(dashboard: Dashboard) -> list[str]:
    """The lines of a dashboard in docs/dashboards.md."""
    rows = [
        f"| {row.title} | {panel.title} | {panel.what}{_empty(panel)} |"
        for row in dashboard.rows
        for panel in row.panels
    ]
    return ["| row | panel | what it shows |", "| --- | --- | --- |", *rows]


def _empty(panel: Panel) -> str:
    return f" Empty where {panel.empty}." if panel.empty else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
