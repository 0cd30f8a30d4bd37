"""A dashboard as Grafana reads it, through Grafana's own types."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from string import ascii_uppercase
from typing import Any

from grafana_foundation_sdk.builders import common, gauge, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as query

from tasks.dashboards.source import Color, Column, Dashboard, Panel, Query
from tasks.plans.grafana import OURS, RUNBOOKS, SOURCE
from tasks.plans.metrics import JOBS

_DATA = model.DataSourceRef(type_val="prometheus", uid=f"${{{SOURCE}}}")
_GRAFANA = model.DataSourceRef(type_val="grafana", uid="-- Grafana --")
_UP = f'up{{job="{JOBS["proxy"]}"'
_CHOSEN = f'{_UP}, cluster=~"$cluster", gateway_namespace=~"$namespace"'
#: Of a label of Envoy's clusters: "httproute/shop/cart/rule/0" becomes "httproute/shop/cart".
_ROUTE = "/^([a-z]+route\\/[^\\/]+\\/[^\\/]+)\\/rule\\/.+$/"
#: What the types give every variable: an id that all have alike, and what an interval has.
_OF_INTERVALS = ("id", "auto", "auto_count", "auto_min")
#: Columns that nobody looks at.
_HIDDEN = ("Time",)


def text(dashboard: Dashboard) -> str:
    """The file of a dashboard. Ids of panels are their places, so that equal sources are equal."""
    content = json.loads(JSONEncoder().encode(_dashboard(dashboard)))
    del content["style"]  # Grafana has no longer one a dashboard
    for number, panel in enumerate(content["panels"], start=1):
        panel["id"] = number
    for variable in content["templating"]["list"]:
        for it in _OF_INTERVALS:
            del variable[it]
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _dashboard(dashboard: Dashboard) -> model.Dashboard:
    made = (
        build.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.what)
        .tags([OURS, "envoy-gateway"])
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .refresh("1m")
        .time("now-6h", "now")
        .editable()
        .variables(_variables(dashboard))
        .annotation(_runs(dashboard))
        .link(_dashboards())
        .link(_runbooks())
    )
    for row in dashboard.rows:
        made.with_row(build.Row(row.title))
        for panel in row.panels:
            made.with_panel(_panel(panel))
    return made.build()


def _variables(dashboard: Dashboard) -> list[Any]:
    clusters = _labels("cluster", "Cluster", f"{_UP}}}", "cluster")
    made = {
        "cluster": clusters,
        "clusters": _all(_labels("cluster", "Clusters", f"{_UP}}}", "cluster")),
        "namespace": _all(
            _labels("namespace", "Namespace", f'{_UP}, cluster=~"$cluster"}}', "gateway_namespace")
        ),
        "gateway": _all(_labels("gateway", "Gateway", f"{_CHOSEN}}}", "gateway")),
        "route": _all(
            _labels(
                "route",
                "Route",
                'envoy_cluster_membership_total{cluster=~"$cluster", '
                'gateway_namespace=~"$namespace", gateway=~"$gateway"}',
                "envoy_cluster_name",
            ).regex(_ROUTE)
        ),
    }
    source = build.DatasourceVariable(SOURCE).label("Data source").type("prometheus")
    return [source, *(made[it] for it in dashboard.variables)]


def _labels(name: str, label: str, series: str, of: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(_DATA)
        .query({"query": f"label_values({series}, {of})", "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )


def _all(variable: build.QueryVariable) -> build.QueryVariable:
    """Several or all of them; ".*" is what All means in a query."""
    chosen = model.VariableOption(selected=True, text="All", value="$__all")
    return variable.multi(True).include_all(True).all_value(".*").current(chosen)


def _runs(dashboard: Dashboard) -> build.AnnotationQuery:
    """What our runs did: on dashboards of one cluster only what they did there."""
    tags = [OURS] if "clusters" in dashboard.variables else [OURS, "$cluster"]
    return (
        build.AnnotationQuery()
        .name("Runs of envoyfleet")
        .datasource(_GRAFANA)
        .enable(True)
        .icon_color("blue")
        .target(build.AnnotationTarget().limit(100).match_any(False).tags(tags).type("tags"))
    )


def _dashboards() -> build.DashboardLink:
    return (
        build.DashboardLink("Envoy")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([OURS])
        .include_vars(True)
        .keep_time(True)
    )


def _runbooks() -> build.DashboardLink:
    """Where it leads is said when the dashboard is delivered."""
    return (
        build.DashboardLink(RUNBOOKS)
        .type(model.DashboardLinkType.LINK)
        .icon("doc")
        .tooltip("What each alert means and what to do")
        .url("docs/alerts.md")
        .target_blank(True)
    )


def _panel(panel: Panel) -> Any:
    kinds: Mapping[str, Callable[[Panel], Any]] = {
        "lines": _lines,
        "number": _number,
        "table": _table,
        "gauge": _gauge,
    }
    made = kinds[panel.kind](panel)
    for letter, it in zip(ascii_uppercase, panel.queries, strict=False):
        made.with_target(_query(panel, letter, it))
    return (
        made.title(panel.title)
        .description(f"{panel.what} Empty where {panel.empty}." if panel.empty else panel.what)
        .datasource(_DATA)
        .span(panel.width)
        .height(panel.height)
    )


def _query(panel: Panel, letter: str, it: Query) -> prometheus.Dataquery:
    made = prometheus.Dataquery().ref_id(letter).expr(it.expr).datasource(_DATA)
    if panel.kind == "table":
        return made.format(query.PromQueryFormat.TABLE).instant()
    return made.legend_format(it.legend).range()


def _lines(panel: Panel) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .unit(panel.unit)
        .axis_soft_min(0)
        .fill_opacity(10)
        .show_points(look.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(look.LegendDisplayMode.LIST)
            .placement(look.LegendPlacement.BOTTOM)
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(look.TooltipDisplayMode.MULTI)
            .sort(look.SortOrder.DESCENDING)
        )
    )
    if panel.stacked:
        made.stacking(common.StackingConfig().mode(look.StackingMode.NORMAL))
    if panel.steps:
        dashed = common.GraphThresholdsStyleConfig().mode(look.GraphTresholdsStyleMode.DASHED)
        made.thresholds(_thresholds(panel.steps)).thresholds_style(dashed)
    return made


def _number(panel: Panel) -> stat.Panel:
    made = (
        stat.Panel()
        .unit(panel.unit)
        .color_mode(look.BigValueColorMode.VALUE)
        .graph_mode(look.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    return made.thresholds(_thresholds(panel.steps or ((None, "blue"),)))


def _gauge(panel: Panel) -> gauge.Panel:
    return (
        gauge.Panel()
        .unit(panel.unit)
        .min(0)
        .max(1)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_thresholds(panel.steps))
    )


def _table(panel: Panel) -> table.Panel:
    """All queries become columns of one table, named for their legends."""
    names = {
        f"Value #{letter}" if len(panel.queries) > 1 else "Value": it.legend
        for letter, it in zip(ascii_uppercase, panel.queries, strict=False)
    }
    made = table.Panel().unit(panel.unit)
    made.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    made.with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": dict.fromkeys(_HIDDEN, True), "renameByName": names},
        )
    )
    for column in panel.columns:
        made.override_by_name(column.title, list(_cells(column)))
    made.override_by_name("gateway", [_way_to_gateway()])
    return made


def _cells(column: Column) -> Iterable[model.DynamicConfigValue]:
    yield model.DynamicConfigValue("unit", column.unit)
    if column.steps:
        yield model.DynamicConfigValue("thresholds", _thresholds(column.steps).build())
        yield model.DynamicConfigValue("custom.cellOptions", {"type": "color-text"})


def _way_to_gateway() -> model.DynamicConfigValue:
    """Where a table names a Gateway, it leads to that Gateway's dashboard."""
    chosen = "&".join(
        f"var-{name}=${{__data.fields.{field}}}"
        for name, field in (
            ("cluster", "cluster"),
            ("namespace", "gateway_namespace"),
            ("gateway", "gateway"),
        )
    )
    here = f"var-{SOURCE}=${{{SOURCE}}}&${{__url_time_range}}"
    link = {"title": "Gateway", "url": f"/d/envoyfleet-gateway?{chosen}&{here}"}
    return model.DynamicConfigValue("links", [link])


def _thresholds(steps: tuple[tuple[float | None, Color], ...]) -> build.ThresholdsConfig:
    return (
        build.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=color) for value, color in steps])
    )
