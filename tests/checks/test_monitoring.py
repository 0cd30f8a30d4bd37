from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.checks import monitoring as checks
from tasks.checks.findings import Finding
from tasks.checks.monitoring import Target
from tasks.plans.metrics import METRICS
from tests.plans.test_loaded import FOUND, RULE

NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
PROXY = Target("envoy-proxy", "eg", "envoy-1")
GROUP = {"name": "envoy-x", "rules": [RULE]}
THERE = {"name": "envoy-x", "rules": [FOUND]}


def texts(found: Iterable[Finding]) -> list[str]:
    return [f"{it.code} {it.where.text}: {it.what}" for it in found]


def up(value: float, **labels: str) -> tuple[dict[str, str], float]:
    return {"job": "envoy-proxy", "namespace": "eg", "pod": "envoy-1", **labels}, value


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        pytest.param([up(1)], [], id="scraped"),
        pytest.param(
            [],
            ["GW802 weu-1: Pod eg/envoy-1: nobody scrapes it as envoy-proxy"],
            id="not scraped",
        ),
        pytest.param(
            [up(1, job="podmonitor/x")],
            ["GW802 weu-1: Pod eg/envoy-1: nobody scrapes it as envoy-proxy"],
            id="scraped by somebody else alone",
        ),
        pytest.param(
            [up(0)],
            ["GW803 weu-1: Pod eg/envoy-1: its scrape fails: connection refused"],
            id="down",
        ),
    ],
)
def test_targets(series: list[Any], expected: list[str]) -> None:
    errors = {("envoy-proxy", "envoy-1"): "connection refused"}
    assert texts(checks.targets("weu-1", [PROXY], series, errors)) == expected


def pod(**more: Any) -> dict[str, Any]:
    status = {"phase": "Running", "startTime": "2026-11-22T06:00:00Z"}
    return {"metadata": {"name": "envoy-1"}, "status": status, **more}


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        pytest.param(pod(), True, id="runs"),
        pytest.param(pod(metadata={"deletionTimestamp": "now"}), False, id="leaves"),
        pytest.param(pod(status={"phase": "Pending"}), False, id="is not there yet"),
        pytest.param(
            pod(status={"phase": "Running", "startTime": "2026-11-22T06:59:30Z"}),
            False,
            id="has just begun",
        ),
    ],
)
def test_a_pod_that_has_just_begun_need_not_have_been_scraped(
    thing: dict[str, Any], expected: bool
) -> None:
    assert checks.scrapable(thing, NOW, 60) is expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param([THERE], [], id="loaded"),
        pytest.param(
            [],
            ["GW804 weu-1: rules, group envoy-x: Prometheus has not loaded it"],
            id="absent",
        ),
        pytest.param(
            [{**THERE, "rules": [{**FOUND, "duration": 1}]}],
            ["GW804 weu-1: rules, group envoy-x: Prometheus has another text of EnvoyX"],
            id="an older text",
        ),
        pytest.param(
            [{**THERE, "rules": [FOUND, FOUND]}],
            ["GW804 weu-1: rules, group envoy-x: Prometheus has another text of its rules"],
            id="a rule more",
        ),
        pytest.param(
            [{**THERE, "rules": [{**FOUND, "health": "err", "lastError": "many\nto many"}]}],
            ["GW805 weu-1: rules, group envoy-x: EnvoyX cannot be evaluated: many to many"],
            id="fails",
        ),
    ],
)
def test_rules(found: list[Any], expected: list[str]) -> None:
    assert texts(checks.rules("weu-1", "rules", [GROUP], found)) == expected


def test_series_that_rules_stand_on() -> None:
    needed = {"envoy-proxy": ["a", "b"], "envoy-gateway": ["c"]}
    found = checks.series("weu-1", needed, {"envoy-proxy": ["a"], "other": ["c"]})
    assert texts(found) == [
        "GW806 weu-1: series of envoy-proxy: rules stand on b, and nobody has it"
    ]


def test_series_of_a_healthy_gateway_are_in_the_catalogue() -> None:
    for exporter, names in checks.ALWAYS.items():
        assert {METRICS[it].exporter for it in names} == {exporter}


def test_what_no_prometheus_selects() -> None:
    thing = {
        "kind": "PodMonitor",
        "metadata": {"name": "envoy-proxy", "namespace": "m", "labels": {"release": "x"}},
    }
    assert texts(checks.untaken("weu-1", "Prometheus", [thing])) == [
        "GW807 weu-1: PodMonitor m/envoy-proxy: no Prometheus of the cluster selects it, with "
        "the labels release=x"
    ]


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        pytest.param(["pager"], ["monitoring/envoyfleet/pager"], [], id="there"),
        pytest.param(
            ["pager"],
            ["monitoring/envoyfleet/chat"],
            ["GW808 weu-1: receiver pager: Alertmanager has not loaded it"],
            id="not loaded",
        ),
        pytest.param([], ["ops"], [], id="Alertmanager has its own"),
        pytest.param(
            [],
            [],
            [
                "GW808 weu-1: receivers: nobody is told: neither the inventory nor Alertmanager "
                "has a receiver"
            ],
            id="nobody",
        ),
    ],
)
def test_receivers(wanted: list[str], found: list[str], expected: list[str]) -> None:
    assert texts(checks.receivers("weu-1", wanted, found)) == expected


def test_labels_that_tell_who_the_customers_are() -> None:
    found = checks.leaks("weu-1", ["gateway", "envoy_virtual_host", "envoy_cluster_name"])
    assert [it.where.text for it in found] == ["weu-1: label envoy_virtual_host"]


def test_a_refusal_of_grafana_is_cut_into_what_and_fix() -> None:
    found = checks.refused("Grafana https://g takes no such token: make a new one")
    assert (found.what, found.fix) == ("Grafana https://g takes no such token", "make a new one")
