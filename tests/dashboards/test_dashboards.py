"""The dashboards: as their source says, in queries that Prometheus takes, of series that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from tasks.dashboards import DASHBOARDS, fault_panels
from tasks.dashboards.__main__ import main, table
from tasks.dashboards.source import Dashboard
from tasks.operations import grafana
from tasks.plans.alerts import RECORDS
from tasks.plans.metrics import METRICS, OF_PROXIES
from tasks.plans.panels import asked, panels

DOCS = Path(__file__).parents[2] / "docs" / "dashboards.md"
FILES = {it["uid"]: it for it in grafana.dashboards()}
PANELS = [
    pytest.param(dashboard, panel, id=f"{dashboard['title']}: {panel.title}")
    for dashboard in FILES.values()
    for panel in panels(dashboard)
]
QUERIES = [
    pytest.param(panel, query, id=f"{dashboard['title']}: {panel.title}: {number}")
    for dashboard in FILES.values()
    for panel in panels(dashboard)
    for number, query in enumerate(panel.queries)
]
#: Panel types of Grafana today; "graph", "singlestat" and "table-old" are gone since Grafana 12.
TYPES = {"timeseries", "stat", "table", "gauge", "row"}
#: Units of Grafana (packages/grafana-data/src/valueFormats/categories.ts).
UNITS = {
    "short", "percent", "percentunit", "reqps", "ops", "cps", "ms", "s", "d", "bytes", "Bps",
    "dateTimeFromNow",
}  # fmt: skip
#: What the guide shows, and where its counterpart is.
GUIDE = {
    "Request rate": "envoyfleet-gateway",
    "P99 latency": "envoyfleet-gateway",
    "Error rate": "envoyfleet-gateway",
    "Active connections": "envoyfleet-gateway",
    "Circuit breaker": "envoyfleet-routes",
    "Backend health": "envoyfleet-routes",
}
#: Labels of rules and scrapes, beside those of a row of METRICS.
ADDED = {*OF_PROXIES, "job", "le", "__name__"}


def selectors(expr: Any) -> Iterator[Any]:
    """Every series that an expression names."""
    if isinstance(expr, promql_parser.VectorSelector):
        yield expr
        return
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs", "args", "param"):
        it = getattr(expr, name, None)
        for one in it if isinstance(it, list | tuple) else [it]:
            if one is not None and not isinstance(one, str | float | int):
                yield from selectors(one)


def names(selector: Any) -> set[str]:
    """One name, or all that a matcher of __name__ takes."""
    if selector.name:
        return {selector.name}
    found = [it for it in selector.matchers.matchers if it.name == "__name__"]
    return {it for it in METRICS if any(re.fullmatch(one.value, it) for one in found)}


def base(name: str) -> str:
    """Without what Prometheus adds to a histogram's name."""
    short = re.sub(r"_(bucket|sum|count)$", "", name)
    return short if short in METRICS and METRICS[short].type == "histogram" else name


def test_are_what_their_source_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert (main(["--check"]), capsys.readouterr().out) == (0, "")


def test_are_five() -> None:
    assert [it.uid for it in DASHBOARDS] == [
        "envoyfleet-fleet",
        "envoyfleet-gateway",
        "envoyfleet-routes",
        "envoyfleet-certificates",
        "envoyfleet-control-plane",
    ]
    assert set(FILES) == {it.uid for it in DASHBOARDS}


@pytest.mark.parametrize(("_", "query"), QUERIES)
def test_asks_only_for_series_that_are_known(_: Any, query: Any) -> None:
    recorded = {it.name for it in RECORDS}
    for it in selectors(promql_parser.parse(asked(query.expr, "2m"))):
        found = names(it)
        assert found, it
        assert {base(name) for name in found} - recorded <= set(METRICS)


@pytest.mark.parametrize(("_", "query"), QUERIES)
def test_asks_only_for_labels_that_are_there(_: Any, query: Any) -> None:
    for it in selectors(promql_parser.parse(asked(query.expr, "2m"))):
        for name in names(it) & set(METRICS):
            known = {*METRICS[name].labels, *ADDED}
            assert {one.name for one in it.matchers.matchers} <= known


@pytest.mark.parametrize(("_", "query"), QUERIES)
def test_keeps_the_labels_of_its_legend(_: Any, query: Any) -> None:
    wanted = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
    grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", query.expr))))
    assert wanted <= grouped


@pytest.mark.parametrize(("_", "panel"), PANELS)
def test_says_what_it_shows(_: Any, panel: Any) -> None:
    assert panel.what.endswith(".")
    assert panel.unit in UNITS
    assert panel.kind in TYPES
    assert all(it.legend for it in panel.queries)


@pytest.mark.parametrize("dashboard", FILES.values(), ids=str)
def test_is_laid_out_without_holes(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        it = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(it["x"], it["x"] + it["w"])
            for y in range(it["y"], it["y"] + it["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert [it["id"] for it in dashboard["panels"]] == list(range(1, len(dashboard["panels"]) + 1))


@pytest.mark.parametrize("dashboard", FILES.values(), ids=str)
def test_uses_the_variables_that_it_has(dashboard: dict[str, Any]) -> None:
    has = {it["name"] for it in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(dashboard))) & {
        "cluster", "namespace", "gateway", "route", "datasource",
    }  # fmt: skip
    assert used == has


@pytest.mark.parametrize(("title", "uid"), GUIDE.items(), ids=list(GUIDE))
def test_has_what_the_guide_shows(title: str, uid: str) -> None:
    assert title in [it.title for it in panels(FILES[uid])]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda it: it.name)
def test_is_described(dashboard: Dashboard) -> None:
    """docs/dashboards.md: python -m tasks.dashboards --docs prints its tables."""
    said = DOCS.read_text(encoding="utf-8").splitlines()
    assert [it for it in table(dashboard) if it not in said] == []
    assert f"## {dashboard.title}" in said


def test_names_panels_once_a_dashboard() -> None:
    for dashboard in DASHBOARDS:
        titles = [it.title for it in dashboard.panels]
        assert len(set(titles)) == len(titles)


def test_says_when_a_panel_is_empty() -> None:
    reasons = [why for panel in fault_panels().values() for why in panel.values()]
    assert all(it and not it.endswith(".") for it in reasons)


def test_leads_to_the_other_dashboards_and_to_the_runbooks() -> None:
    for it in FILES.values():
        assert [(one["type"], one["title"]) for one in it["links"]] == [
            ("dashboards", "Envoy"),
            ("link", "Runbooks"),
        ]
        assert "envoyfleet" in it["tags"]


def test_marks_runs_of_the_cluster_that_is_chosen() -> None:
    tags = {uid: it["annotations"]["list"][0]["target"]["tags"] for uid, it in FILES.items()}
    assert tags.pop("envoyfleet-fleet") == ["envoyfleet"]
    assert set(map(tuple, tags.values())) == {("envoyfleet", "$cluster")}
