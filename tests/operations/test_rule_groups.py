"""
Rule groups of Azure Monitor through ARM: the stand-in takes what the limits allow, and refuses what
they do not in the words that users report of Azure.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.connectors import arm, azure
from tasks.connectors.arm import ArmError
from tasks.operations import rule_groups
from tasks.plans.rule_groups import RULE_GROUPS, Place, RuleGroup, place
from tasks.plans.rule_groups import rule_groups as in_azure
from tests.azure import SUBSCRIPTION, Azure, standing_azure
from tests.plans.test_rule_groups import alert, group, record

Object = dict[str, Any]
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/monitoring"
WORKSPACE = f"{GROUP}/providers/Microsoft.Monitor/accounts/all"
AKS = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/weu-1"
PAGER = f"{GROUP}/providers/Microsoft.Insights/actionGroups/pager"
WHERE = place("weu-1", WORKSPACE, "westeurope", aks=AKS, action_groups=[PAGER])
RULES = [
    record("gateway:envoy_requests:rate5m"),
    alert("Down", **{"for": "5m"}, annotations={"summary": "{{ $labels.gateway }}"}),
    *(alert(f"a{it}") for it in range(25)),
]
WANTED = in_azure([group(*RULES)], WHERE).groups


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """With a workspace in a resource group, and a cluster."""
    with standing_azure(tmp_path, monkeypatch) as serving:
        for id_ in (GROUP, WORKSPACE, AKS):
            serving.azure.plant(id_, {"location": "westeurope", "properties": {}})
        forget()
        yield serving.azure
        forget()


def forget() -> None:
    """What a run of its own would not know: tokens and lists."""
    arm._session.cache_clear()
    azure.tokens.cache_clear()


def calls(standing: Azure, *methods: str) -> list[str]:
    paths = [it.path.partition("?")[0] for it in standing.requests if it.method in methods]
    return [it.rpartition("/")[2] for it in paths if it.startswith("/subscriptions/")]


def settle(wanted: list[RuleGroup], where: Place = WHERE) -> str | None:
    """As one run of the deploy."""
    forget()
    found = rule_groups.changes(wanted, where)
    puts = [it.group for it in found.puts]
    return rule_groups.written(where.cluster, puts, found.gone)


def test_put_once_and_taken_away_when_unwanted(standing: Azure) -> None:
    wanted = [*WANTED]
    names = ["envoyfleet-weu-1-1", "envoyfleet-weu-1-2"]
    assert settle(wanted) is None
    assert calls(standing, "PUT") == names
    standing.requests.clear()

    assert settle(wanted) is None
    assert calls(standing, "PUT", "DELETE") == []
    assert calls(standing, "GET") == ["prometheusRuleGroups"]

    assert settle(wanted[:1]) is None
    assert calls(standing, "PUT", "DELETE") == names[1:]
    assert [it["name"] for it in standing.of(RULE_GROUPS.type)] == names[:1]


def test_clusters_share_one_list(standing: Azure) -> None:
    other = place("weu-2", WORKSPACE, "westeurope")
    forget()
    for where in (WHERE, other):
        rule_groups.changes([], where)
        assert rule_groups.location(where.workspace) == "westeurope"
    assert calls(standing, "GET") == ["prometheusRuleGroups", "accounts"]


def test_only_what_differs_is_put(standing: Azure) -> None:
    wanted = [*WANTED]
    assert settle(wanted) is None
    by_hand = copy.deepcopy(standing.get(wanted[1].id) or {})
    by_hand["properties"]["rules"][0]["expression"] = "up == 2"
    standing.plant(wanted[1].id, by_hand)
    standing.requests.clear()
    assert settle(wanted) is None
    assert calls(standing, "PUT") == ["envoyfleet-weu-1-2"]


def test_a_workspace_that_is_not_there(standing: Azure) -> None:
    line = (
        "Azure Monitor workspace monitoring/other does not exist: correct monitoring.workspace.id, "
        "or make it"
    )
    with pytest.raises(LookupError, match=line):
        rule_groups.location(WORKSPACE.replace("/all", "/other"))


def test_who_may_not_is_told_which_role(standing: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = standing.identity("reader", ("Reader", f"/subscriptions/{SUBSCRIPTION}"))
    monkeypatch.setenv("AZURE_CLIENT_ID", reader.client_id)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", str(reader.secret))
    said = settle([*WANTED])
    assert said == (
        "no permission for Microsoft.AlertsManagement/prometheusRuleGroups/write on "
        f"{WANTED[0].id}: az role assignment create --assignee {reader.object_id} --role "
        f'"Monitoring Contributor" --scope {WANTED[0].id}'
    )


def test_the_role_that_is_told_is_enough(standing: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = standing.identity("writer", ("Monitoring Contributor", GROUP))
    monkeypatch.setenv("AZURE_CLIENT_ID", writer.client_id)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", str(writer.secret))
    assert settle([*WANTED]) is None


def test_a_resource_group_that_is_not_there(standing: Azure) -> None:
    elsewhere = place("weu-1", WORKSPACE, "westeurope", resource_group="gone")
    forget()
    with pytest.raises(ArmError, match="correct its name: az group list"):
        rule_groups.changes([], elsewhere)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            {"interval": "PT30S"},
            "Property name: Interval, Attempted value: 0.5, Error: '' must be between 1 and 15",
            id="interval",
        ),
        pytest.param(
            {"rules": [{"alert": "a", "expression": "up", "for": "PT30S"}]},
            "Property name: Rules[0].For, Attempted value: 0.5, Error: '' must be greater than or "
            "equal to '1'",
            id="for",
        ),
        pytest.param(
            {"rules": [{"alert": f"a{it}", "expression": "up"} for it in range(21)]},
            "Property name: Rules.Count, Attempted value: 21, Error: 'Rules Count' must be between "
            "1 and 20",
            id="rules",
        ),
        pytest.param(
            {"rules": [{"alert": "a", "expression": "up", "severity": 5}]},
            "Property name: Rules[0].Severity, Attempted value: 5, Error: '' must be between 0 and "
            "4",
            id="severity",
        ),
        pytest.param(
            {"rules": [{"alert": "a", "expression": "up", "expr": "up"}]},
            "Property name: Rules[0].expr, Attempted value: up, Error: There is no such property",
            id="a field of Prometheus",
        ),
        pytest.param(
            {"rules": [{"record": "no-metric", "expression": "up"}]},
            "Property name: Rules[0].Record, Attempted value: no-metric, Error: '' is no name of a "
            "metric",
            id="name of a series",
        ),
        pytest.param(
            {"scopes": [AKS]},
            "Property name: Scopes, Attempted value: 1, Error: 'Scopes' must have a workspace, and "
            "may have a cluster",
            id="no workspace",
        ),
        pytest.param(
            {"rules": [{"alert": "a", "expression": "up", "labels": {"__a": "b"}}]},
            "Property name: Rules[0].Labels, Attempted value: __a, Error: '' is not in the correct "
            "format",
            id="label",
        ),
    ],
)
def test_what_azure_refuses_is_one_line(standing: Azure, change: Object, said: str) -> None:
    body = copy.deepcopy(dict(WANTED[0].body))
    body["properties"].update(change)
    forget()
    found = rule_groups.written("weu-1", [RuleGroup(WANTED[0].id, body, "monitoring/one")], [])
    assert found == f"Azure answers 400 BadRequest to PUT {WANTED[0].id}: {said}"
    assert [*standing.of(RULE_GROUPS.type)] == []


def test_what_azure_did_not_keep_is_said(standing: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of 200 is no proof: the group is read again."""
    from tasks.lab.azure import types
    from tasks.lab.azure.rules import Rules, with_properties

    forgetful = Rules(put=lambda azure, it, old: with_properties(it, enabled=False))
    monkeypatch.setitem(types.RULES, RULE_GROUPS.type.lower(), forgetful)
    assert settle([*WANTED]) == (
        "rule group monitoring/envoyfleet-weu-1-1: Azure did not keep what was written: "
        "-enabled: False; +enabled: True"
    )
