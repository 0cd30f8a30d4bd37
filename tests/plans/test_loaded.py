from __future__ import annotations

from typing import Any

import pytest

from tasks.plans import loaded
from tasks.plans.alerts import Settings
from tasks.plans.prometheus_rules import groups

RULE: dict[str, Any] = {
    "alert": "EnvoyX",
    "expr": 'sum(rate(x{a=~"b-[0-9]+"}[60m])) by (gateway) / on(a) group_left y > 0.050',
    "for": "1h30m",
    "labels": {"severity": "warning"},
    "annotations": {"summary": "x"},
}
#: As Prometheus 2.42 answers for it.
FOUND: dict[str, Any] = {
    "name": "EnvoyX",
    "query": 'sum by (gateway) (rate(x{a=~"b-[0-9]+"}[1h])) / on (a) group_left () y > 0.05',
    "duration": 5400,
    "labels": {"severity": "warning"},
    "annotations": {"summary": "x"},
    "health": "ok",
}


def test_the_same_rule_in_the_words_of_prometheus() -> None:
    assert loaded.same(RULE, FOUND)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param("x{} > 0", "x > 0", id="empty braces"),
        pytest.param("# why\nx > 100000000", "x > 1e+08", id="a comment, and a large number"),
        pytest.param(r"x{a='b\\.c'}", r'x{a="b\\.c"}', id="other quotes"),
        pytest.param("x{a=`b.c`}", 'x{a="b.c"}', id="raw text"),
        pytest.param("x offset 90m", "x offset 1h30m", id="a length of time"),
    ],
)
def test_another_way_to_write_it(ours: str, theirs: str) -> None:
    assert loaded.words(ours) == loaded.words(theirs)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"query": FOUND["query"].replace("> 0.05", "> 0.06")}, id="threshold"),
        pytest.param({"query": FOUND["query"].replace("> 0.05", "< 0.05")}, id="comparison"),
        pytest.param({"query": FOUND["query"].replace("[1h]", "[5m]")}, id="window"),
        pytest.param({"query": FOUND["query"].replace("b-[0-9]", "c-[0-9]")}, id="matcher"),
        pytest.param({"duration": 300}, id="for"),
        pytest.param({"labels": {}}, id="labels"),
        pytest.param({"annotations": {}}, id="annotations"),
        pytest.param({"name": "EnvoyY"}, id="name"),
    ],
)
def test_another_rule(change: dict[str, Any]) -> None:
    assert not loaded.same(RULE, {**FOUND, **change})


def test_says_which_rules_of_a_group_are_old() -> None:
    group = {"name": "g", "rules": [RULE, {**RULE, "alert": "EnvoyY"}]}
    there = {"name": "g", "rules": [{**FOUND, "duration": 0}]}
    assert loaded.differing(group, there) == ["EnvoyX", "EnvoyY"]


def test_finds_its_own_among_groups_of_several_clusters() -> None:
    group = {"name": "g", "rules": [RULE]}
    other = {"name": "g", "rules": [{**FOUND, "labels": {"cluster": "weu-2"}}]}
    mine = {"name": "g", "rules": [FOUND]}
    assert loaded.of(group, [other, mine]) is mine
    assert loaded.of(group, [other]) is other
    assert loaded.of(group, []) is None


def test_every_rule_of_ours_is_itself() -> None:
    """What is asked of a Prometheus is in its answer: no rule differs from its own text."""
    for group in groups(Settings("weu-1")):
        for rule in group["rules"]:
            assert loaded.words(rule["expr"]) == loaded.words(" ".join(rule["expr"].split()))
