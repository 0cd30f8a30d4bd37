"""Rules as Prometheus reads them."""

from dataclasses import replace

import pytest

from tasks.plans.alerts import ALERTS, RECORDS, Alert, Record, Settings
from tasks.plans.alerts.source import Threshold
from tasks.plans.metrics import Exporter
from tasks.plans.prometheus_rules import alerting, groups, recording

SETTINGS = Settings("weu-1")
ALERT = Alert(
    name="EnvoyTired",
    group="limits",
    severity="warning",
    expr="tired > ${hours} and late > ${latency_1h}",
    lasts="5m",
    summary="{{ $labels.pod }} has not slept for ${hours} hours",
    description="It takes longer than ${within} ms.",
    thresholds=(Threshold("hours", 12, "hours", "awake"),),
    labels={"team": "platform"},
)


def test_an_alert_has_all_that_a_rule_needs() -> None:
    assert alerting(ALERT, SETTINGS) == {
        "alert": "EnvoyTired",
        "expr": "tired > 12 and late > 0.144",
        "for": "5m",
        "labels": {
            "cluster": "weu-1",
            "environment": "production",
            "severity": "warning",
            "team": "platform",
        },
        "annotations": {
            "summary": "{{ $labels.pod }} has not slept for 12 hours",
            "description": "It takes longer than 1000 ms.",
            "runbook_url": "docs/alerts.md#envoytired",
        },
    }


def test_an_inventory_decides() -> None:
    settings = replace(
        SETTINGS,
        environment="staging",
        latency=95,
        within=250,
        thresholds={"EnvoyTired.hours": 8.5, "EnvoyOther.hours": 1},
        runbooks="https://wiki.example.com/alerts",
    )
    found = alerting(ALERT, settings)
    assert found["expr"] == "tired > 8.5 and late > 0.525"
    assert found["labels"]["environment"] == "staging"
    assert found["annotations"] == {
        "summary": "{{ $labels.pod }} has not slept for 8.5 hours",
        "description": "It takes longer than 250 ms.",
        "runbook_url": "https://wiki.example.com/alerts#envoytired",
    }


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({}, {"record": "a:b:c", "expr": 'x{le="1000"}'}, id="without labels"),
        pytest.param(
            {"team": "a"},
            {"record": "a:b:c", "expr": 'x{le="1000"}', "labels": {"team": "a"}},
            id="with labels",
        ),
    ],
)
def test_a_recorded_series(labels: dict[str, str], expected: dict[str, object]) -> None:
    assert recording(Record("a:b:c", 'x{le="${within}"}', labels), SETTINGS) == expected


def test_groups_have_all_rules_and_recorded_series_come_first() -> None:
    found = groups(replace(SETTINGS, exporters=frozenset(_exporters())))
    names = [it["name"] for it in found]
    assert names == sorted(set(names), key=names.index)
    levels = ["envoy-backend-records", "envoy-route-records", "envoy-gateway-records"]
    assert names[:5] == [*levels, "envoy-kept-records", "envoy-day-records"]
    assert {it["name"]: it["interval"] for it in found if "interval" in it} == {
        "envoy-kept-records": "5m"
    }
    rules = [it.get("alert") or it["record"] for group in found for it in group["rules"]]
    assert rules == [*(it.name for it in RECORDS), *(it.name for it in ALERTS)]


def test_a_recorded_series_stands_after_what_it_is_computed_from() -> None:
    for number, record in enumerate(RECORDS):
        later = [it.name for it in RECORDS[number:] if _names(record.expr, it.name)]
        assert later == []


def test_alerts_about_what_nobody_exports_are_left_out() -> None:
    found = groups(replace(SETTINGS, exporters=frozenset(("proxy",))))
    alerts = {it["alert"] for group in found for it in group["rules"] if "alert" in it}
    assert alerts == {it.name for it in ALERTS if it.exporters == ("proxy",)}


def _exporters() -> set[Exporter]:
    return {one for it in ALERTS for one in it.exporters}


def _names(expression: str, name: str) -> bool:
    return any(f"{name}{it}" in f"{expression} " for it in " [{)\n,")
