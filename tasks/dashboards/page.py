"""
Draw the dashboards as a page, out of a Prometheus: for a report, or where there is no Grafana. The
panels and queries are those of the dashboards that Grafana gets.

    kubectl --namespace monitoring port-forward service/prometheus-operated 9090
    python -m tasks.dashboards.page http://localhost:9090 --out dashboards.html
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tasks.fleet.render import TEMPLATES
from tasks.operations import grafana
from tasks.plans import drawing
from tasks.plans.drawing import Chart, Series
from tasks.plans.panels import ALL, Panel, Query, asked, named, panels

#: Seconds to connect, and to wait for an answer.
TIMEOUT = (5, 30)
#: Samples of a line.
SAMPLES = 240
#: Lines of a chart and rows of a table that are drawn.
MOST = 20
#: Width of one of the 24 columns of a page.
COLUMN = 56
#: The order of a page: from all clusters to one part.
ORDER = ("fleet", "gateway", "routes", "certificates", "control-plane")
#: Asks Prometheus: "query" or "query_range" and parameters; the ``result`` of its answer.
Ask = Callable[[str, Mapping[str, str]], list[dict[str, Any]]]


class Unanswered(Exception):
    """Prometheus does not answer, or refuses a query; one line."""


@dataclass(frozen=True)
class Times:
    """Seconds since 1970. + step: between samples; + window: of rates, such as "1m" """

    start: float
    end: float
    step: float
    window: str


@dataclass(frozen=True)
class Drawn:
    """
    A panel with what Prometheus says: one of ``chart``, ``number`` and ``rows``.

    + number: such as ("0.2 %", "green"); + columns and rows: of a table, in words
    + left_out: how many series are not drawn
    """

    panel: Panel
    chart: Chart | None = None
    number: tuple[str, str] | None = None
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    left_out: int = 0

    @property
    def empty(self) -> bool:
        return not (self.number or self.rows or (self.chart and self.chart.lines))


def draw(ask: Ask, times: Times, values: Mapping[str, str] = ALL) -> str:
    """
    The page, with every dashboard. Raises Unanswered.

    + values: of variables, as regular expressions
    """
    ordered = sorted(grafana.dashboards(), key=_place)
    sections = [
        (
            it["title"],
            it["description"],
            _rows(_drawn(ask, one, times, values) for one in panels(it)),
        )
        for it in ordered
    ]
    return str(
        _template().render(
            sections=sections,
            times=times,
            drawing=drawing,
            column=COLUMN,
            at=lambda it: time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(it)),
        )
    )


def prometheus(url: str) -> Ask:
    """Asks the one at this URL."""
    import requests

    session = requests.Session()

    def ask(path: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        place = f"{url.rstrip('/')}/api/v1/{path}"
        try:
            answer = session.post(place, data=dict(parameters), timeout=TIMEOUT)
            said = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise Unanswered(f"no Prometheus answers at {url} ({type(error).__name__})") from None
        if said.get("status") != "success":
            raise Unanswered(f"{url} refuses {parameters['query']}: {said.get('error')}")
        result: list[dict[str, Any]] = said["data"]["result"]
        return result

    return ask


def _place(dashboard: Mapping[str, Any]) -> int:
    return ORDER.index(str(dashboard["uid"]).removeprefix("envoyfleet-"))


def _rows(drawn: Iterable[Drawn]) -> list[tuple[str, list[Drawn]]]:
    return [(row, list(members)) for row, members in groupby(drawn, lambda it: it.panel.row)]


def _drawn(ask: Ask, panel: Panel, times: Times, values: Mapping[str, str]) -> Drawn:
    if panel.kind == "table":
        return _table(ask, panel, times, values)
    found = [it for query in panel.queries for it in _series(ask, query, times, values)]
    series = [it for it in found if it.samples]
    chart = drawing.chart(
        series[:MOST],
        panel.width * COLUMN,
        times.start,
        times.end,
        panel.unit,
        times.step,
        panel.stacked,
        panel.steps,
    )
    if panel.kind == "timeseries":
        return Drawn(panel, chart, left_out=max(len(series) - MOST, 0))
    last = series[0].samples[-1][1] if series else math.nan
    if not math.isfinite(last):
        return Drawn(panel)
    number = drawing.shown(last, panel.unit, times.end), drawing.color(last, panel.steps)
    return Drawn(panel, chart, number)


def _series(ask: Ask, query: Query, times: Times, values: Mapping[str, str]) -> list[Series]:
    """What a query says over time, by name."""
    span = {"start": str(times.start), "end": str(times.end), "step": str(times.step)}
    answer = ask("query_range", {"query": asked(query.expr, times.window, values), **span})
    found = [Series(named(query.legend, it["metric"]), [*_samples(it["values"])]) for it in answer]
    return sorted(found, key=lambda it: it.name)


def _table(ask: Ask, panel: Panel, times: Times, values: Mapping[str, str]) -> Drawn:
    """Answers of now, joined by their labels: a row each, a column a query."""
    found: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for query in panel.queries:
        expr = asked(query.expr, times.window, values)
        unit = panel.units.get(query.legend, panel.unit)
        for it in ask("query", {"query": expr, "time": str(times.end)}):
            row = found.setdefault(tuple(sorted(it["metric"].items())), {})
            row[query.legend] = drawing.shown(float(it["value"][1]), unit, times.end)
    labels = sorted({name for key in found for name, _ in key})
    legends = [it.legend for it in panel.queries]
    rows = [
        [*(dict(key).get(it, "") for it in labels), *(row.get(it, "-") for it in legends)]
        for key, row in sorted(found.items())
    ]
    return Drawn(
        panel,
        columns=[*labels, *legends],
        rows=rows[:MOST],
        left_out=max(len(rows) - MOST, 0),
    )


def _samples(values: Iterable[tuple[float, str]]) -> Iterator[tuple[float, float]]:
    for at, value in values:
        if math.isfinite(float(value)):
            yield at, float(value)


def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("monitoring/page.html.j2")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tasks.dashboards.page",
        description="Draw the dashboards as a page, out of a Prometheus.",
    )
    parser.add_argument("prometheus", help="its URL, such as http://localhost:9090")
    parser.add_argument("--out", default="dashboards.html", help="the file that is written")
    parser.add_argument("--minutes", type=int, default=60, help="how far back, 60")
    parser.add_argument("--interval", type=int, default=30, help="seconds between scrapes, 30")
    parser.add_argument("--cluster", default=ALL["cluster"], help="a regular expression")
    given = parser.parse_args(arguments)
    end = time.time()
    try:
        page = draw(
            prometheus(given.prometheus),
            times(end, given.minutes * 60, given.interval),
            {**ALL, "cluster": given.cluster},
        )
    except Unanswered as error:
        print(error, file=sys.stderr)
        return 1
    Path(given.out).write_text(page, encoding="utf-8")
    print(f"{given.out}: {given.minutes} min until {time.strftime('%H:%M UTC', time.gmtime(end))}")
    return 0


def times(end: float, seconds: float, interval: float) -> Times:
    """Until ``end``; rates are over four scrapes, as Grafana's ``$__rate_interval``."""
    step = max(seconds / SAMPLES, interval)
    return Times(end - seconds, end, step, f"{math.ceil(max(4 * interval, step + interval))}s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
