"""
The catalogue of series, and that rules and panels name nothing else. That the catalogue is true is
tests/lab/test_metrics.py's.
"""

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tasks.plans import metrics, monitors, prometheus_rules
from tasks.plans.alerts import RECORDS, Settings
from tasks.plans.metrics import METRICS, OF_PROXIES, Exporter, Metric

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "monitoring-metrics.md"
DASHBOARDS = sorted((REPOSITORY / "templates" / "monitoring" / "dashboards").glob("*.json"))
EVERYTHING = Settings(
    "weu-1", exporters=frozenset(("proxy", "controller", "ratelimit", "kube-state-metrics"))
)
OF_THE_SCRAPE = ("job", "instance")
OF_PODS = ("cluster", "namespace", "pod")
#: What monitors put on every series, by exporter; rules of Prometheus may ask for any of them.
TARGET: dict[Exporter, tuple[str, ...]] = {
    "proxy": OF_PROXIES,
    "controller": OF_PODS,
    "ratelimit": OF_PODS,
    "kube-state-metrics": (
        "customresource_group",
        "customresource_kind",
        "customresource_version",
    ),
    "prometheus": (*OF_PROXIES, "environment"),
}


@dataclass(frozen=True)
class Selector:
    """+ name: such as "up"; + labels: of its matchers"""

    name: str
    labels: tuple[str, ...]


def selectors(expression: str) -> list[Selector]:
    """Every series that an expression of a rule, a panel or a variable asks for."""
    return list(_of(promql_parser.parse(spans(expression))))


def spans(expression: str) -> str:
    """An expression of Grafana as Prometheus gets it, as far as its grammar goes."""
    inner = re.fullmatch(r"label_values\((.*), *\w+\)", expression)
    text = inner[1] if inner else expression
    return re.sub(r"\$__(rate_)?interval|\$__range|\$\{?\w+:?\w*\}?(?=[]:])", "5m", text)


def _of(node: Any) -> Iterator[Selector]:
    if isinstance(node, promql_parser.VectorSelector):
        labels = tuple(it.name for it in node.matchers.matchers if it.name != "__name__")
        names = [it.value for it in node.matchers.matchers if it.name == "__name__"]
        for name in (node.name,) if node.name else (it for one in names for it in spelt_out(one)):
            yield Selector(name, labels)
    elif isinstance(node, promql_parser.MatrixSelector):
        yield from _of(node.vector_selector)
    else:
        for part in parts(node):
            yield from _of(part)


def _aggregations(node: Any) -> Iterator[Any]:
    if isinstance(node, promql_parser.AggregateExpr):
        yield node
    for part in parts(node):
        yield from _aggregations(part)


def parts(node: Any) -> list[Any]:
    """What an expression is made of."""
    found = [getattr(node, it, None) for it in ("expr", "lhs", "rhs", "param")]
    return [it for it in (*found, *getattr(node, "args", ())) if it is not None]


def spelt_out(pattern: str) -> list[str]:
    """The names that "a_(b|c)" stands for; a pattern for any name is left as it is."""
    parts = [it.split("|") for it in re.split(r"\(([\w|]+)\)", pattern)]
    return ["".join(it) for it in itertools.product(*parts)]


def ungrouped(expression: str) -> list[str]:
    """Labels that are grouped by and that nothing inside has, a line each."""
    found = []
    for node in _aggregations(promql_parser.parse(spans(expression))):
        inside = list(_of(node.expr))
        labels = {"le", *re.findall(r'label_(?:replace|join)\(.*?, "(\w+)"', str(node.expr))}
        for it in inside:
            metric = metrics.metric_of(it.name)
            if metric is None:  # recorded
                break
            labels.update(known(metric, it.name))
        else:
            by = node.modifier is not None and "By" in str(node.modifier.type)
            found += [
                f"by {it}: {inside[0].name if inside else 'nothing'} has no such label"
                for it in (node.modifier.labels if by else ())
                if it not in labels
            ]
    return found


def problems(expression: str, recorded: Sequence[str]) -> list[str]:
    """What of an expression no scrape has, a line each."""
    found = []
    for it in selectors(expression):
        metric = metrics.metric_of(it.name)
        if it.name in recorded:
            continue
        if metric is None:
            found.append(f"{it.name}: not in tasks/plans/metrics.py")
        else:
            found += [
                f"{it.name}: has no label {label}"
                for label in it.labels
                if label not in known(metric, it.name)
            ]
    return found


def known(metric: Metric, name: str) -> tuple[str, ...]:
    edge = ("le",) if name.endswith("_bucket") else ()
    return (*metric.labels, *OF_THE_SCRAPE, *TARGET[metric.exporter], *edge)


def rules() -> list[Any]:
    return [
        pytest.param(rule["expr"], id=rule.get("alert") or rule["record"])
        for group in prometheus_rules.groups(EVERYTHING)
        for rule in group["rules"]
    ]


def queries(value: Any) -> Iterator[str]:
    """Expressions of panels and variables, wherever they are in a dashboard."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("expr", "query") and isinstance(inner, str):
                yield inner
            else:
                yield from queries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from queries(inner)


def panels() -> list[Any]:
    return [
        pytest.param(query, id=f"{path.stem}-{number}")
        for path in DASHBOARDS
        for number, query in enumerate(dict.fromkeys(queries(json.loads(path.read_text()))))
        if query != "prometheus"
    ]


RECORDED = [it.name for it in RECORDS]


@pytest.mark.parametrize("expression", rules())
def test_rules_name_what_a_scrape_has(expression: str) -> None:
    assert problems(expression, RECORDED) == []
    assert ungrouped(expression) == []


@pytest.mark.parametrize("expression", panels())
def test_panels_name_what_a_scrape_has(expression: str) -> None:
    assert problems(expression, RECORDED) == []
    assert ungrouped(expression) == []


BAD = [
    pytest.param(
        'sum(rate(envoy_http_downstream_rq_total{envoy_response_code="503"}[5m]))',
        ["envoy_http_downstream_rq_total: has no label envoy_response_code"],
        id="a label that only another series has",
    ),
    pytest.param(
        "envoy_cluster_circuit_breakers_default_rq_open > 0",
        ["envoy_cluster_circuit_breakers_default_rq_open: not in tasks/plans/metrics.py"],
        id="the spelling before 1.7",
    ),
    pytest.param(
        "histogram_quantile(0.99, sum by (le) (rate(envoy_server_uptime_bucket[5m])))",
        ["envoy_server_uptime_bucket: not in tasks/plans/metrics.py"],
        id="buckets of what is no histogram",
    ),
    pytest.param(
        "absent(up) or (count(unheard offset 5m) > bool 0) and max_over_time((x > 1)[5m:1m])",
        ["unheard: not in tasks/plans/metrics.py", "x: not in tasks/plans/metrics.py"],
        id="wherever it stands",
    ),
    pytest.param(
        '{__name__=~"envoy_.*"}', ["envoy_.*: not in tasks/plans/metrics.py"], id="all of a prefix"
    ),
    pytest.param(
        'label_values(up{gateway="$gateway", host="x"}, gateway)',
        ["up: has no label host"],
        id="a variable of a dashboard",
    ),
]


@pytest.mark.parametrize(("expression", "wanted"), BAD)
def test_says_what_no_scrape_has(expression: str, wanted: list[str]) -> None:
    assert problems(expression, ()) == wanted


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("sum by (gateway, le) (rate(envoy_http_downstream_rq_time_bucket[5m]))", []),
        (
            "sum by (host) (rate(envoy_http_no_route[5m]))",
            ["by host: envoy_http_no_route has no such label"],
        ),
        (
            'sum by (route) (label_replace(up, "route", "$1", "job", "(.*)"))',
            [],
        ),
        ("sum without (host) (up)", []),
    ],
)
def test_says_by_what_nothing_can_be_grouped(expression: str, wanted: list[str]) -> None:
    assert ungrouped(expression) == wanted


def test_names_are_kept_whole() -> None:
    pattern = re.compile(metrics.kept("proxy"))
    for it in METRICS.values():
        parts = metrics.PARTS if it.type == "histogram" else ("",)
        for part in parts:
            found = pattern.fullmatch(it.name + part) is not None
            assert found == (it.exporter == "proxy"), it.name


def test_an_exporter_of_each_job_has_rows() -> None:
    assert {it.exporter for it in METRICS.values()} >= set(metrics.JOBS)


def test_the_lab_tells_what_users_are_told_to_tell() -> None:
    """kube-state-metrics of the lab has at least the series of the catalogue, and their labels."""
    path = REPOSITORY / "tasks" / "lab" / "manifests" / "kube-state-metrics.yaml"
    found = {
        f"{resource['metricNamePrefix']}_{metric['name']}": {
            *resource["labelsFromPath"],
            *metric["each"][metric["each"]["type"].lower()].get("labelsFromPath", ()),
        }
        for document in yaml.safe_load_all(path.read_text())
        for data in (document.get("data") or {}).values()
        for resource in yaml.safe_load(data)["spec"]["resources"]
        for metric in resource["metrics"]
    }
    for name, it in METRICS.items():
        if name.startswith(("gatewayapi_", "envoygateway_")):
            assert found[name] >= set(it.labels), name


#: Of a rate limit service (Envoy Gateway 1.9.1's module) with Redis, asked by Envoy 1.38.3 and
#: 1.39.1: no lab has one. Its config_load_error only the mapping of Envoy Gateway has.
ABSENT = {"ratelimit_service_config_load_error"}
RECORDINGS = REPOSITORY / "tests" / "data" / "scrapes"


@pytest.mark.parametrize("recording", ["ratelimit.txt", "proxy-ratelimit.txt"])
def test_rate_limits_as_they_were_recorded(recording: str) -> None:
    text = (RECORDINGS / recording).read_text()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        it = METRICS.get(name)
        if it is None:  # not worth a rule: within_limit
            continue
        assert it.type == kind
        for labels in re.findall(rf"^{name}(?:_count)?(?:{{(.*)}})? ", text, re.MULTILINE):
            assert set(re.findall(r'(\w+)="', labels)) == set(it.labels), name
    recorded = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    wanted = {it for it in METRICS if "ratelimit_" in it and it.startswith("envoy_")}
    if recording == "ratelimit.txt":
        wanted = {it for it in METRICS if METRICS[it].exporter == "ratelimit"} - ABSENT
    assert wanted <= recorded


def row(it: Metric) -> str:
    """A line of the catalogue on the page."""
    since = f" (from {it.since} on)" if it.since else ""
    until = f" (up to {it.until})" if it.until else ""
    labels = " ".join(f"`{label}`" for label in it.labels)
    return f"| `{it.name}` | {it.type} | {it.unit} | {labels} | {it.what}{since}{until} |"


def test_the_page_has_the_catalogue_and_no_more() -> None:
    _, _, catalogue = PAGE.read_text().partition("## Catalogue")
    lines = [it for it in catalogue.splitlines() if it.startswith("| `")]
    assert lines == [row(it) for it in METRICS.values()]


def test_edges_that_are_kept_are_those_not_dropped() -> None:
    every = (0.5, 1, 300000, 600000, 1800000, 3600000, *monitors.EDGES)
    dropped = [it for it in every if re.fullmatch(monitors.OTHER_EDGES, f"{it:g}")]
    written = {f"{it}" for it in every} - {f"{it}" for it in monitors.EDGES}
    assert all(re.fullmatch(monitors.OTHER_EDGES, it) for it in written)
    assert not any(re.fullmatch(monitors.OTHER_EDGES, f"{it}") for it in monitors.EDGES)
    assert not any(it in monitors.EDGES for it in dropped)
