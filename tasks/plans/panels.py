"""
What the panels of a dashboard ask, read out of its JSON: with the variables put in, as Prometheus
gets it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: What All means for each variable of our dashboards.
ALL: Mapping[str, str] = {
    "cluster": ".*",
    "namespace": ".*",
    "gateway": ".*",
    "route": ".*",
}
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")


@dataclass(frozen=True)
class Query:
    """+ legend: such as "{{pod}}", in a table the title of its column"""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """
    + kind: "timeseries", "stat", "table" or "gauge"; + unit: of Grafana, such as "reqps"
    + row: title of the row that it is in
    + units: of the columns of a table
    + steps: from which value on which colour, such as ((None, "green"), (0.05, "red"))
    """

    title: str
    what: str
    kind: str
    unit: str
    row: str
    width: int
    queries: tuple[Query, ...]
    stacked: bool = False
    units: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[tuple[float | None, str], ...] = ()


def panels(dashboard: Mapping[str, Any]) -> list[Panel]:
    """All that ask something, in order."""
    row, found = "", []
    for it in dashboard["panels"]:
        if it["type"] == "row":
            row = it["title"]
        else:
            found.append(_panel(it, row))
    return found


def asked(expr: str, window: str, values: Mapping[str, str] = ALL) -> str:
    """
    A query with the variables put in. Raises KeyError for one that has no value.

    + window: for ``$__rate_interval``, such as "2m": at least four scrapes
    + values: regular expressions, such as {"cluster": "weu-1"}
    """
    known = {**values, "__rate_interval": window}
    return _VARIABLE.sub(lambda it: known[it[1] or it[2]], expr)


def named(legend: str, labels: Mapping[str, str]) -> str:
    """Such as "404" of "{{envoy_response_code}}"."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda it: labels.get(it[1], ""), legend).strip(" /")


def _panel(it: Mapping[str, Any], row: str) -> Panel:
    columns: dict[str, str] = {}
    for change in it.get("transformations") or ():
        columns |= change["options"].get("renameByName", {})
    alone = len(it["targets"]) == 1
    queries = tuple(
        Query(
            target["expr"],
            target.get("legendFormat")
            or columns.get("Value" if alone else f"Value #{target['refId']}", ""),
        )
        for target in it["targets"]
    )
    defaults = it["fieldConfig"]["defaults"]
    stacking = defaults.get("custom", {}).get("stacking", {})
    return Panel(
        it["title"],
        it.get("description", ""),
        it["type"],
        defaults.get("unit", ""),
        row,
        it["gridPos"]["w"],
        queries,
        stacking.get("mode") == "normal",
        {
            change["matcher"]["options"]: one["value"]
            for change in it["fieldConfig"].get("overrides", ())
            for one in change["properties"]
            if one["id"] == "unit"
        },
        tuple((at["value"], at["color"]) for at in defaults.get("thresholds", {}).get("steps", ())),
    )
