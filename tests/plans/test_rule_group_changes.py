"""What differs between rule groups that are wanted and those of Azure."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tasks.plans.rule_group_changes import changes, differing
from tasks.plans.rule_groups import RuleGroup, rule_groups
from tests.plans.test_rule_groups import PAGER, WHERE, WORKSPACE, Object, alert, group, record

WANTED = rule_groups(
    [group(record("one"), alert("Down", **{"for": "60m"}), alert("Up", "one > 1"))], WHERE
).groups[0]


def there(wanted: RuleGroup = WANTED) -> Object:
    """As ARM shows it: ids in other letters, durations in other words, defaults filled in."""
    body: Object = copy.deepcopy(dict(wanted.body))
    properties = body["properties"]
    properties["scopes"] = [it.lower() for it in properties["scopes"]]
    properties["interval"] = "PT60S"
    for rule in properties["rules"]:
        rule.update({"for": "PT60M"} if rule.get("for") else {})
        rule.setdefault("severity", 3)
        rule.setdefault("actions", [])
        rule["actions"] = [{"actionGroupId": PAGER.upper()} for _ in rule["actions"]]
    name = wanted.id.rpartition("/")[2]
    return {**body, "id": wanted.id.upper(), "name": name, "etag": "1", "type": "any"}


def test_nothing_differs() -> None:
    assert differing(WANTED, there()) == []
    assert changes([WANTED], WHERE, [there()]).puts == []


def rules(body: Object) -> list[Object]:
    found: list[Object] = body["properties"]["rules"]
    return found


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        pytest.param(
            lambda it: it["properties"].update(enabled=False),
            ["-enabled: False", "+enabled: True"],
            id="switched off by hand",
        ),
        pytest.param(
            lambda it: rules(it)[1].update(enabled=False),
            ["-rule Down: enabled: False", "+rule Down: enabled: True"],
            id="a rule switched off by hand",
        ),
        pytest.param(
            lambda it: rules(it)[1].update(expression="up == 1"),
            ["-rule Down: expression: up == 1", "+rule Down: expression: up == 0"],
            id="another expression",
        ),
        pytest.param(
            lambda it: rules(it)[1].pop("for"), ["+rule Down: for: PT1H"], id="lasts no time"
        ),
        pytest.param(
            lambda it: rules(it)[2].update({"for": "PT1M"}), ["-rule Up: for: PT1M"], id="lasts"
        ),
        pytest.param(
            lambda it: rules(it)[2]["labels"].update(team="edge"),
            ["-rule Up: labels.team: edge"],
            id="a label more",
        ),
        pytest.param(
            lambda it: rules(it)[2].update(actions=[]),
            ["-rule Up: action groups: none", f"+rule Up: action groups: {PAGER.lower()}"],
            id="nobody is told",
        ),
        pytest.param(
            lambda it: rules(it).reverse(),
            ["-order of rules: Up, Down, one", "+order of rules: one, Down, Up"],
            id="another order",
        ),
        pytest.param(
            lambda it: rules(it).append({"alert": "Mine", "expression": "up"}),
            [
                "-rule Mine: expression: up",
                "-rule Mine: resolves itself: True",
                "-rule Mine: resolves after: PT5M",
                "-rule Mine: action groups: none",
            ],
            id="a rule of somebody's own",
        ),
        pytest.param(
            lambda it: it["properties"].update(scopes=[WORKSPACE]),
            [
                f"-scopes: {WORKSPACE.lower()}",
                f"+scopes: {', '.join(WANTED.body['properties']['scopes']).lower()}",
            ],
            id="of all clusters",
        ),
        pytest.param(
            lambda it: it["properties"].update(interval="PT5M"),
            ["-interval: PT5M", "+interval: PT1M"],
            id="less often",
        ),
    ],
)
def test_what_somebody_changed(change: Callable[[Object], None], lines: list[str]) -> None:
    found = there()
    change(found)
    assert differing(WANTED, found) == lines
    (put,) = changes([WANTED], WHERE, [found]).puts
    assert (put.verb, put.group, put.lines) == ("change", WANTED, lines)


def test_alerts_of_one_name_are_told_apart() -> None:
    twice = [alert("Burns", "up > 1"), alert("Burns", "up > 2")]
    wanted = rule_groups([group(*twice)], WHERE).groups[0]
    found = there(wanted)
    rules(found)[1]["expression"] = "up > 3"
    assert differing(wanted, found) == [
        "-rule Burns (2): expression: up > 3",
        "+rule Burns (2): expression: up > 2",
    ]


def test_what_is_missing_and_what_is_not_wanted_any_more() -> None:
    old = {**there(), "id": WANTED.id.replace("-1-1", "-1-9")}
    others = {**there(), "id": WANTED.id.replace("-1-1", "-2-1"), "tags": {"envoyfleet": "weu-2"}}
    by_hand = {**there(), "id": WANTED.id.replace("-1-1", "-mine"), "tags": {}}
    found = changes([WANTED], WHERE, [old, others, by_hand])
    assert [(it.verb, it.group) for it in found.puts] == [("create", WANTED)]
    assert "+rule Down: for: PT1H" in found.puts[0].lines
    assert not any(it.startswith("-") for it in found.puts[0].lines)
    assert found.gone == [old["id"]]
    assert found.refusals == []


@pytest.mark.parametrize("tags", [None, {}, {"envoyfleet": "weu-2"}])
def test_a_group_of_somebody_else_is_left_alone(tags: Any) -> None:
    found = changes([WANTED], WHERE, [{**there(), "tags": tags}])
    assert found.puts == []
    assert found.refusals == [
        "rule group monitoring/envoyfleet-weu-1-1 is there already and not ours (its tag "
        "envoyfleet is not weu-1): rename it, or have another monitoring.workspace.resource_group"
    ]


@pytest.mark.parametrize(("count", "refused"), [(499, False), (500, True)])
def test_a_workspace_that_is_full(count: int, refused: bool) -> None:
    full = [{**there(), "id": f"{WANTED.id}{it:04d}", "tags": {}} for it in range(count)]
    elsewhere = {**full[0], "id": f"{WANTED.id}e", "properties": {"scopes": ["/other"]}}
    found = changes([WANTED], WHERE, [*full, elsewhere])
    line = (
        "500 rule groups of the workspace are in resource group monitoring, and 1 more are wanted: "
        "Azure allows 500: ask Azure for more, or have another workspace"
    )
    assert found.refusals == ([line] if refused else [])
