"""What a dashboard is before it is JSON: rows of panels, each with its queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.plans.metrics import JOBS, LISTENERS

#: Series of the proxies of the Gateways that are chosen; ".*" matches a label that is not there,
#: as those of a merged Gateway's proxies.
PROXIES = 'cluster=~"$cluster", gateway_namespace=~"$namespace", gateway=~"$gateway"'
#: Listeners of users: not those of admin, of readiness and of scrapes.
HTTP = f'{PROXIES}, envoy_http_conn_manager_prefix=~"{LISTENERS}"'
#: Clusters of the routes that are chosen: "httproute/shop/cart/rule/0".
ROUTES = f'{PROXIES}, envoy_cluster_name=~"$route/rule/.+"'
#: Recorded series of the Gateways that are chosen: they have ``cluster`` where a Prometheus has
#: many, as in Azure Monitor.
RECORDED = 'cluster=~"$cluster|", gateway_namespace=~"$namespace", gateway=~"$gateway"'
#: Of a Gateway, or of a class whose Gateways are merged.
GATEWAY = "cluster, gateway_namespace, gateway, gateway_class"
GATEWAY_LEGEND = "{{gateway_namespace}}/{{gateway}} {{gateway_class}}"
RATE = "$__rate_interval"
UP = f'up{{job="{JOBS["proxy"]}", {PROXIES}}}'

Color = Literal["green", "yellow", "orange", "red", "blue"]


@dataclass(frozen=True)
class Query:
    """
    + legend: such as "{{pod}}"; in a table the title of its column
    + empty: see ``Panel``, where only this one of its queries is
    """

    expr: str
    legend: str = ""
    empty: str = ""


@dataclass(frozen=True)
class Column:
    """Of a table, by the legend of its query. + unit: of Grafana; + steps: see ``Panel``"""

    title: str
    unit: str
    steps: tuple[tuple[float | None, Color], ...] = ()


@dataclass(frozen=True)
class Panel:
    """
    + what: what it shows and when to worry, for its "i"
    + kind: lines over time, one number, a table of now, or a gauge of 0 to 100 %
    + unit: of Grafana, such as "reqps"; + width: of 24 columns
    + steps: from which value on which colour, the first from None
    + columns: of a table
    + empty: when it shows nothing, such as "no alert fires": a panel that has data only with a
      fault, or with a part that not everybody runs; "" has data wherever a proxy has traffic
    """

    title: str
    what: str
    queries: tuple[Query, ...]
    unit: str
    kind: Literal["lines", "number", "table", "gauge"] = "lines"
    width: int = 8
    height: int = 8
    stacked: bool = False
    steps: tuple[tuple[float | None, Color], ...] = ()
    columns: tuple[Column, ...] = ()
    empty: str = ""


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """
    + name: of its file, and of its uid: "envoyfleet-<name>"
    + variables: of "cluster", "clusters", "namespace", "gateway", "route", in this order
    """

    name: str
    title: str
    what: str
    variables: tuple[Literal["cluster", "clusters", "namespace", "gateway", "route"], ...]
    rows: tuple[Row, ...]

    @property
    def uid(self) -> str:
        return f"envoyfleet-{self.name}"

    @property
    def panels(self) -> list[Panel]:
        return [panel for row in self.rows for panel in row.panels]


def number(
    title: str, what: str, expr: str, unit: str, *steps: tuple[float | None, Color], width: int = 4
) -> Panel:
    """One value of now, with its way there behind it."""
    return Panel(
        title, what, (Query(expr, title),), unit, "number", width=width, height=4, steps=steps
    )


def rate(name: str, matchers: str, by: str = "") -> str:
    """Of a counter a second: such as 'sum by (pod) (rate(envoy_...{...}[$__rate_interval]))'."""
    grouped = f"sum by ({by})" if by else "sum"
    return f"{grouped} (rate({name}{{{matchers}}}[{RATE}]))"


def ratio(part: str, whole: str) -> str:
    """Nothing where there is nothing to divide by: 0/0 would be NaN."""
    return f"{part} / ({whole} > 0)"


def failed(part: str, whole: str) -> str:
    """Likewise, of a part that has no series before its first answer."""
    return f"({part} or {whole} * 0) / ({whole} > 0)"


def quantile(share: float, name: str, matchers: str, by: str = "") -> str:
    """Of a histogram: such as 0.99 for P99."""
    buckets = rate(f"{name}_bucket", matchers, f"le, {by}" if by else "le")
    return f"histogram_quantile({share}, {buckets})"


def or_none(expr: str) -> str:
    """0 where there is no such series: a healthy fleet is a number, not "No data"."""
    return f"({expr}) or vector(0)"
