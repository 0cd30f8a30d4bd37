"""Rules of Prometheus in the form of Azure Monitor, within its limits."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans import prometheus_rules
from tasks.plans.alerts import Settings
from tasks.plans.metrics import Exporter
from tasks.plans.rule_groups import GROUPS, LENGTH, RULES, Place, Written, place, rule_groups

Object = dict[str, Any]
EXPORTERS: frozenset[Exporter] = frozenset(
    ("proxy", "controller", "ratelimit", "kube-state-metrics", "prometheus")
)
SUBSCRIPTION = "/subscriptions/5b000000-0000-4000-8000-000000000001"
WORKSPACE = f"{SUBSCRIPTION}/resourceGroups/monitoring/providers/Microsoft.Monitor/accounts/all"
AKS = (
    f"{SUBSCRIPTION}/resourceGroups/clusters/providers/"
    "Microsoft.ContainerService/managedClusters/weu-1"
)
PAGER = f"{SUBSCRIPTION}/resourceGroups/monitoring/providers/Microsoft.Insights/actionGroups/pager"
WHERE = place("weu-1", WORKSPACE, "westeurope", aks=AKS, action_groups=[PAGER])


def alert(name: str = "EnvoyProxyDown", expr: str = "up == 0", **more: Any) -> Object:
    labels = {"severity": "critical", **more.pop("labels", {})}
    return {"alert": name, "expr": expr, "labels": labels, **more}


def record(name: str, expr: str = "sum(up)") -> Object:
    return {"record": name, "expr": expr}


def group(*rules: Object, name: str = "envoy-proxies", **more: Any) -> Object:
    return {"name": name, "rules": list(rules), **more}


def written(*groups: Object, where: Place = WHERE) -> Written:
    return rule_groups(groups, where)


def names(found: Written) -> list[list[str]]:
    """Of the rules of each group, in order."""
    every = [it.body["properties"]["rules"] for it in found.groups]
    return [[it.get("alert") or it["record"] for it in rules] for rules in every]


def rule(one: Object) -> Object:
    found = written(group(one)).groups[0].body["properties"]["rules"]
    assert len(found) == 1
    return dict(found[0])


def test_a_group_in_the_form_of_azure() -> None:
    down = alert(
        "EnvoyProxyDown",
        **{"for": "5m"},
        labels={"cluster": "weu-1"},
        annotations={"summary": "Gateway {{ $labels.gateway }} is down"},
    )
    requests = record("gateway:envoy_requests:rate5m")
    found = written(group(requests, down, interval="2m"))
    assert (found.differences, found.refusals) == ([], [])
    (one,) = found.groups
    groups = f"{SUBSCRIPTION}/resourceGroups/monitoring/providers/Microsoft.AlertsManagement"
    assert one.id == f"{groups}/prometheusRuleGroups/envoyfleet-weu-1-1"
    assert one.title == "rule group monitoring/envoyfleet-weu-1-1"
    assert one.body == {
        "location": "westeurope",
        "tags": {"envoyfleet": "weu-1"},
        "properties": {
            "description": "envoy-proxies: written by envoyfleet, deploys/monitoring.py",
            "enabled": True,
            "clusterName": "weu-1",
            "scopes": [WORKSPACE, AKS],
            "interval": "PT2M",
            "rules": [
                {
                    "record": "gateway:envoy_requests:rate5m",
                    "enabled": True,
                    "expression": "sum(up)",
                    "labels": {"cluster": "weu-1"},
                },
                {
                    "alert": "EnvoyProxyDown",
                    "enabled": True,
                    "expression": "up == 0",
                    "labels": {"severity": "critical", "cluster": "weu-1"},
                    "severity": 0,
                    "resolveConfiguration": {"autoResolved": True, "timeToResolve": "PT5M"},
                    "actions": [{"actionGroupId": PAGER}],
                    "for": "PT5M",
                    "annotations": {"summary": "Gateway {{ $labels.gateway }} is down"},
                },
            ],
        },
    }


@pytest.mark.parametrize(
    ("severity", "expected"), [("critical", 0), ("warning", 2), ("info", 3), ("", 3)]
)
def test_severity_is_a_number(severity: str, expected: int) -> None:
    assert rule(alert(labels={"severity": severity}))["severity"] == expected


@pytest.mark.parametrize(
    ("one", "key", "value", "line"),
    [
        pytest.param(alert(), "for", None, None, id="fires at once"),
        pytest.param(alert(**{"for": "0s"}), "for", None, None, id="0s"),
        pytest.param(alert(**{"for": "1h30m"}), "for", "PT1H30M", None, id="hours"),
        pytest.param(alert(**{"for": "1d"}), "for", "P1D", None, id="a day"),
        pytest.param(
            alert(**{"for": "30s"}),
            "for",
            "PT1M",
            "rule EnvoyProxyDown: lasts 1 min, not 30s: Azure allows no less",
            id="shorter than Azure allows",
        ),
        pytest.param(
            alert(keep_firing_for="10m"),
            "resolveConfiguration",
            {"autoResolved": True, "timeToResolve": "PT10M"},
            None,
            id="keep_firing_for is how long an alert is not over",
        ),
        pytest.param(
            alert(keep_firing_for="1h"),
            "resolveConfiguration",
            {"autoResolved": True, "timeToResolve": "PT15M"},
            "rule EnvoyProxyDown: over after 15 min without the condition, not keep_firing_for 1h: "
            "Azure allows 1 to 15 min",
            id="longer than Azure allows",
        ),
        pytest.param(
            alert(annotations={"description": "x" * (LENGTH + 1)}),
            "annotations",
            {"description": "x" * (LENGTH - 1) + "…"},
            f"rule EnvoyProxyDown: description is cut to {LENGTH} characters",
            id="a text that is too long",
        ),
        pytest.param(
            alert(annotations={"description": "x" * LENGTH}),
            "annotations",
            {"description": "x" * LENGTH},
            None,
            id="one that is just short enough",
        ),
        pytest.param(
            alert(expr='ALERTS{alertname="A"} == 1'),
            "expression",
            'ALERTS{alertname="A"} == 1',
            "rule EnvoyProxyDown: uses ALERTS, which Azure does not keep: it may never fire",
            id="ALERTS",
        ),
        pytest.param(
            alert(expr="node_ALERTS > 0"), "expression", "node_ALERTS > 0", None, id="not ALERTS"
        ),
        pytest.param(
            alert(query_offset="1m"),
            "alert",
            "EnvoyProxyDown",
            "rule EnvoyProxyDown: query_offset does not exist in Azure",
            id="a field that Azure has not",
        ),
    ],
)
def test_what_azure_does_otherwise(one: Object, key: str, value: Any, line: str | None) -> None:
    found = written(group(one))
    assert found.groups[0].body["properties"]["rules"][0].get(key) == value
    assert found.differences == ([line] if line else [])
    assert found.refusals == []


@pytest.mark.parametrize(
    ("one", "line"),
    [
        pytest.param(
            alert(labels={f"l{it}": "x" for it in range(10)}),
            "rule EnvoyProxyDown: 11 labels, Azure allows 10: it is left out",
            id="too many labels",
        ),
        pytest.param(
            alert(labels={"a": "x" * 1025}),
            "rule EnvoyProxyDown: label a has more than 1024 characters: it is left out",
            id="a label that is too long",
        ),
        pytest.param(
            alert(annotations={"run-book": "x"}),
            "rule EnvoyProxyDown: Azure takes no label or annotation named 'run-book': it is left "
            "out",
            id="a name that is none",
        ),
        pytest.param(
            alert(labels={"__a": "x"}),
            "rule EnvoyProxyDown: Azure takes no label or annotation named '__a': it is left out",
            id="a reserved name",
        ),
    ],
)
def test_a_rule_over_a_limit_is_left_out(one: Object, line: str) -> None:
    found = written(group(one, alert("Other")))
    assert found.refusals == [line]
    assert names(found) == [["Other"]]


def test_ten_labels_are_allowed() -> None:
    assert len(rule(alert(labels={f"l{it}": "x" for it in range(9)}))["labels"]) == 10


def test_labels_and_fields_of_a_group() -> None:
    found = written(group(alert(), labels={"team": "edge"}, limit=5, interval="30s"))
    assert found.groups[0].body["properties"]["rules"][0]["labels"]["team"] == "edge"
    assert found.groups[0].body["properties"]["interval"] == "PT1M"
    assert found.differences == [
        "rule group envoy-proxies: judged every 1 min, not every 30s: Azure allows 1 to 15 min",
        "rule group envoy-proxies: limit does not exist in Azure",
    ]


def test_small_groups_share_one_and_stay_whole() -> None:
    """In the first one with room. Those of another interval are others."""
    sizes = {"a": 15, "b": 16, "c": 5, "d": 4, "e": RULES + 5}
    given = [group(*(alert(f"{it}{n}") for n in range(sizes[it])), name=it) for it in sizes]
    slow = group(alert("slow"), name="f", interval="5m")
    found = written(*given, slow)
    assert [[it[0] for it in rules] for rules in names(found)] == [
        ["a"] * 15 + ["c"] * 5,
        ["b"] * 16 + ["d"] * 4,
        ["e"] * RULES,
        ["e"] * 5,
        ["s"],
    ]
    assert [it.body["properties"]["description"].partition(":")[0] for it in found.groups] == [
        "a, c",
        "b, d",
        "e",
        "e",
        "f",
    ]
    assert [it.id.rpartition("/")[2] for it in found.groups] == [
        f"envoyfleet-weu-1-{it}" for it in range(1, 6)
    ]
    assert sorted(it for one in names(found) for it in one) == sorted(
        [f"{name}{it}" for name in sizes for it in range(sizes[name])] + ["slow"]
    )
    assert found.differences == []


def test_a_rule_that_is_cut_off_from_its_series_is_named() -> None:
    """Series of another group were an interval old in Prometheus too."""
    many = [record("one"), *(alert(f"a{it}", "one > 1") for it in range(RULES))]
    others = group(alert("b", "one > 1"), name="b")
    found = written(group(*many), others)
    assert [len(it) for it in names(found)] == [RULES, 2]
    assert found.differences == [
        f"a{RULES - 1}: use series that another rule group of Azure records: up to one interval old"
    ]


def test_the_rules_of_this_project_fit_without_a_line() -> None:
    """So few groups that a workspace has room for those of sixty clusters."""
    every = Settings("weu-1", exporters=EXPORTERS)
    found = rule_groups(prometheus_rules.groups(every), WHERE)
    assert (found.differences, found.refusals) == ([], [])
    assert len(found.groups) <= GROUPS // 60


def test_a_name_in_azure_that_differs() -> None:
    """What its series are found by is the name in Azure, also for series that rules record."""
    other = place("shop-prod", WORKSPACE, "westeurope", aks=AKS)
    found = written(group(record("one")), where=other)
    properties = found.groups[0].body["properties"]
    assert properties["clusterName"] == "weu-1"
    assert properties["rules"][0]["labels"] == {"cluster": "weu-1"}
    assert found.groups[0].body["tags"] == {"envoyfleet": "shop-prod"}
    assert found.differences == [
        "series and alerts have cluster='weu-1', its name in Azure, not 'shop-prod'"
    ]


def test_a_place_of_its_own() -> None:
    where = place(
        "@kube/weu#1", WORKSPACE, "northeurope", subscription="other", resource_group="alerts"
    )
    one = written(group(alert()), where=where).groups[0]
    base = "/subscriptions/other/resourceGroups/alerts/providers/Microsoft.AlertsManagement"
    assert one.id == f"{base}/prometheusRuleGroups/envoyfleet--kube-weu-1-1"
    assert one.body["location"] == "northeurope"
    assert one.body["properties"]["scopes"] == [WORKSPACE]
    with pytest.raises(ValueError, match="is no id of Azure"):
        place("weu-1", WORKSPACE, "westeurope", action_groups=["pager"])
