"""What panels ask, with the variables put in."""

from __future__ import annotations

import pytest

from tasks.plans.panels import Panel, Query, asked, named, panels

DASHBOARD = {
    "panels": [
        {"type": "row", "title": "Now"},
        {
            "type": "timeseries",
            "title": "Rate",
            "description": "Answers.",
            "gridPos": {"w": 8},
            "fieldConfig": {"defaults": {"unit": "reqps"}},
            "targets": [{"refId": "A", "expr": "up", "legendFormat": "{{pod}}"}],
        },
        {
            "type": "table",
            "title": "All",
            "gridPos": {"w": 24},
            "fieldConfig": {"defaults": {}},
            "targets": [{"refId": "A", "expr": "a"}, {"refId": "B", "expr": "b"}],
            "transformations": [
                {"id": "merge", "options": {}},
                {"id": "organize", "options": {"renameByName": {"Value #A": "P", "Value #B": "Q"}}},
            ],
        },
        {
            "type": "table",
            "title": "One",
            "gridPos": {"w": 24},
            "fieldConfig": {"defaults": {}},
            "targets": [{"refId": "A", "expr": "a"}],
            "transformations": [{"id": "organize", "options": {"renameByName": {"Value": "P"}}}],
        },
    ]
}


def test_reads_panels_in_their_rows() -> None:
    assert panels(DASHBOARD) == [
        Panel("Rate", "Answers.", "timeseries", "reqps", "Now", 8, (Query("up", "{{pod}}"),)),
        Panel("All", "", "table", "", "Now", 24, (Query("a", "P"), Query("b", "Q"))),
        Panel("One", "", "table", "", "Now", 24, (Query("a", "P"),)),
    ]


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ('rate(x{c=~"$cluster"}[$__rate_interval])', 'rate(x{c=~"weu-1"}[2m])'),
        ('x{c=~"${cluster}", d=~"${cluster:regex}"}', 'x{c=~"weu-1", d=~"weu-1"}'),
        ('x{c=~"$cluster/rule/.+"}', 'x{c=~"weu-1/rule/.+"}'),
    ],
)
def test_puts_variables_in(expr: str, said: str) -> None:
    assert asked(expr, "2m", {"cluster": "weu-1"}) == said


def test_all_is_every_one() -> None:
    assert asked('x{a=~"$route/rule/.+"}', "2m") == 'x{a=~".*/rule/.+"}'


def test_knows_no_other_variable() -> None:
    with pytest.raises(KeyError, match="pod"):
        asked("x{a=~'$pod'}", "2m")


@pytest.mark.parametrize(
    ("legend", "said"),
    [
        ("{{a}}/{{b}} {{c}}", "x/y"),
        ("{{c}}", ""),
        ("P99", "P99"),
    ],
)
def test_names_a_series(legend: str, said: str) -> None:
    assert named(legend, {"a": "x", "b": "y"}) == said
