"""How many clusters may fail."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.budget import allowed, disagreement, parse_budget


@pytest.mark.parametrize(
    ("budget", "clusters", "may_fail"),
    [
        pytest.param(0, 60, 0, id="none"),
        pytest.param(2, 60, 2, id="a number"),
        pytest.param(5, 3, 5, id="more than there are"),
        pytest.param("0%", 60, 0),
        pytest.param("10%", 9, 0, id="rounded down"),
        pytest.param("10%", 10, 1),
        pytest.param("29%", 100, 29, id="not 28, as binary fractions have it"),
        pytest.param("100%", 7, 7),
    ],
)
def test_allowed(budget: int | str, clusters: int, may_fail: int) -> None:
    assert allowed(parse_budget(budget), clusters) == may_fail


@pytest.mark.parametrize("budget", ["10", "", "%", "110%", "-1%", "1.5%", -1, 1.5, True, None, []])
def test_refuses(budget: Any) -> None:
    with pytest.raises(ValueError, match="neither") as error:
        parse_budget(budget)
    assert str(error.value) == (
        f'{budget!r} is neither a number of clusters, such as 2, nor a share, such as "10%"'
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, None),
        ({"a": 2, "b": 2}, None),
        ({"a": "100%", "b": "100%"}, None),
        (
            {"a": 0, "b": "10%", "c": "10%"},
            "0 on a, '10%' on b: a run has one: set it in group_data, or with --data",
        ),
        ({"a": 4, "b": 4}, "4 clusters may fail, but there are only 3: set it to fewer"),
    ],
)
def test_disagreement(values: dict[str, int | str], said: str | None) -> None:
    assert disagreement(values, clusters=3) == said
