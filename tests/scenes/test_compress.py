from __future__ import annotations

import pytest

from tests.scenes import compress


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param("rate(a[5m])", "rate(a[5000ms])", id="a range"),
        pytest.param("max_over_time(a[1h30m:1m])", "max_over_time(a[90000ms:1000ms])", id="a step"),
        pytest.param("max_over_time(a[1h:])", "max_over_time(a[60000ms:])", id="its own step"),
        pytest.param("a offset 3d", "a offset 4320000ms", id="an offset"),
        pytest.param("a offset -1m", "a offset -1000ms", id="an offset to come"),
        pytest.param('a{b=~"x[5m]"}[1m]', 'a{b=~"x[5m]"}[1000ms]', id="text"),
        pytest.param("a - time() < 14 * 86400", "a - time() < 14 * 86400", id="days stay days"),
        pytest.param("a / 300", "a / (300 / 60)", id="a window as a number"),
        pytest.param("b < 900", "b < (900 / 60)", id="an age as a number"),
        pytest.param("a / 3000", "a / 3000", id="another number"),
    ],
)
def test_every_duration_of_an_expression_is_divided(given: str, wanted: str) -> None:
    assert compress.expression(given) == wanted


def test_a_group_is_divided_whole() -> None:
    rule = {"alert": "A", "expr": "a[2m] > 5", "for": "15m", "labels": {"severity": "critical"}}
    shorter = {**rule, "expr": "a[2000ms] > 5", "for": "15000ms"}
    given = {"name": "g", "interval": "30s", "rules": [rule, {"record": "r", "expr": "a"}]}
    assert compress.groups([given]) == [
        {"name": "g", "interval": "500ms", "rules": [shorter, {"record": "r", "expr": "a"}]}
    ]
