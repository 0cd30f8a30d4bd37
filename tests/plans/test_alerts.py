"""
Alerts and recorded series in promtool, each alone: where one fires, and the nearest where it does
not. What names exist is tests/plans/test_metrics.py's; that real Envoys make them move is
tests/scenes'.
"""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from tasks.fleet.inventory import Objectives
from tasks.lab import monitoring
from tasks.plans import prometheus_rules
from tasks.plans.alerts import ALERTS, RECORDS, THRESHOLDS, Alert, problems
from tests import promtool
from tests.promtool import SETTINGS

PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"
RULES = promtool.rules()
CASES = promtool.cases()
FIRING = {
    it.rule: promtool.labels(labels)
    for it in CASES
    for found in it.at.values()
    for labels in ([found] if isinstance(found, str) else found)
    if it.rule in {one.name for one in ALERTS} and (labels or found == [""])
}
#: Of histograms of Envoy, milliseconds (facts of a scrape; Envoy's documentation, Statistics).
EDGES = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000)
#: Seconds between two scrapes, as inventories have it where they say nothing.
INTERVAL = 30
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@pytest.mark.timeout(180)  # 5 s of CPU, on a machine that tests much else at the time
def test_rules_fire_where_they_must_and_nowhere_near(tmp_path: Path) -> None:
    by_rule = {it: [one for one in CASES if one.rule == it] for it in RULES}
    paths = [
        promtool.write(tmp_path, name.replace(":", "."), RULES[name], cases)
        for name, cases in by_rule.items()
        if cases
    ]
    assert promtool.run(paths) == {}


def test_every_rule_has_cases() -> None:
    assert [it for it in RULES if it not in {one.rule for one in CASES}] == []
    assert [it.rule for it in CASES if it.rule not in RULES] == []


@pytest.mark.parametrize("alert", ALERTS, ids=lambda it: it.name)
def test_an_alert_fires_in_one_case_and_is_silent_at_another_time(alert: Alert) -> None:
    states = {bool(found) for it in CASES if it.rule == alert.name for found in it.at.values()}
    assert states == {True, False}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda it: it.name)
def test_texts_name_labels_that_an_alert_has_when_it_fires(alert: Alert) -> None:
    texts = f"{alert.summary} {alert.description}"
    named = set(re.findall(r"\$labels\.(\w+)", texts))
    assert named <= set(FIRING[alert.name])


@pytest.mark.parametrize("alert", ALERTS, ids=lambda it: it.name)
def test_texts_are_a_line_and_a_paragraph(alert: Alert) -> None:
    assert alert.name.startswith("Envoy")
    assert alert.description.endswith(".")
    assert "\n" not in alert.summary + alert.description
    assert not alert.summary.endswith(".")


def test_names_are_given_once() -> None:
    names = [*(it.name for it in ALERTS), *(it.name for it in RECORDS)]
    assert sorted(names) == sorted(set(names))


def test_promtool_likes_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": prometheus_rules.groups(SETTINGS)}))
    assert promtool.check(path) == f"SUCCESS: {len(RULES)} rules found"


@pytest.mark.parametrize("rule", RULES)
def test_windows_hold_four_scrapes(rule: str) -> None:
    windows = re.findall(r"\[(\d+)([smhd])\]", RULES[rule]["expr"])
    assert [it for it in windows if int(it[0]) * SECONDS[it[1]] < 4 * INTERVAL] == []


@pytest.mark.parametrize("rule", RULES)
def test_expressions_are_short_enough_to_be_read(rule: str) -> None:
    assert len(RULES[rule]["expr"]) <= 1200
    assert RULES[rule]["expr"].count("\n") <= 14


def test_objectives_are_edges_of_envoys_buckets() -> None:
    assert set(get_args(Objectives.model_fields["within"].annotation)) <= set(EDGES)


def test_thresholds_are_said_once_and_used() -> None:
    unused = [
        f"{it.name}.{one.name}"
        for it in ALERTS
        for one in it.thresholds
        if f"${{{one.name}}}" not in it.expr
    ]
    assert unused == []
    assert problems({name: it.default for name, it in THRESHOLDS.items()}) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        pytest.param(
            "EnvoyProxyConections.ratio",
            0.7,
            "no alert has this threshold: did you mean EnvoyProxyConnections.ratio?"
            " docs/alerts.md has them all",
            id="a slip of the pen",
        ),
        pytest.param(
            "cpu", 1, "no alert has this threshold: docs/alerts.md has them all", id="nothing near"
        ),
        pytest.param(
            "EnvoyProxyConnections.ratio",
            80,
            "80 is more than all: a ratio goes from 0 to 1",
            id="percent for a ratio",
        ),
        pytest.param(
            "EnvoyCertificateExpires.days", -1, "-1 days is less than nothing", id="negative"
        ),
        pytest.param(
            "EnvoyCertificateExpires.days", float("nan"), "nan is no number of days", id="no number"
        ),
        pytest.param(
            "EnvoyCertificateExpires.days",
            float("inf"),
            "inf is no number of days",
            id="without end",
        ),
    ],
)
def test_thresholds_of_an_inventory_are_judged(name: str, value: float, said: str) -> None:
    assert problems({name: value}) == [f"{name}: {said}"]


def test_each_alert_has_its_entry() -> None:
    """What it means, how to look, what to do, and each threshold as an inventory has it."""
    entries = re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    found = {it.partition("\n")[0]: it for it in entries}
    assert list(found) == [it.name for it in ALERTS]
    for alert in ALERTS:
        entry = found[alert.name]
        assert [it for it in ("**Means**", "**Look**", "**Do**") if it not in entry] == []
        row = f"{alert.severity}, after {alert.lasts}"
        assert row in entry, f"{alert.name}: {row}"
        for it in alert.thresholds:
            line = f"`{alert.name}.{it.name}` | {it.default:g} {it.unit}"
            assert line in entry, f"{alert.name}: {line}"


def test_promtool_is_there_without_a_lab() -> None:
    assert monitoring.promtool().is_file()
