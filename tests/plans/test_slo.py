"""Limits of burn rates, and the conditions that are made of them."""

import pytest

from tasks.plans import slo


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        pytest.param(99.9, {"1h": 0.0144, "6h": 0.006, "3d": 0.001}, id="three nines"),
        pytest.param(99.0, {"1h": 0.144, "6h": 0.06, "3d": 0.01}, id="two nines"),
        pytest.param(90, {"1h": 0.55, "6h": 0.55, "3d": 0.1}, id="no room for the factor"),
        pytest.param(50, {"1h": 0.75, "6h": 0.75, "3d": 0.5}, id="half may be late"),
    ],
)
def test_limits_follow_from_the_objective(percent: float, expected: dict[str, float]) -> None:
    assert slo.limits(percent) == expected


@pytest.mark.parametrize("percent", [50, 80, 90, 93, 95, 99, 99.5, 99.9, 99.99, 99.999])
def test_a_gateway_that_fails_all_requests_is_over_every_limit(percent: float) -> None:
    limits = slo.limits(percent)
    assert all(1 - percent / 100 - 1e-9 <= it < 1 for it in limits.values())
    assert limits["1h"] >= limits["6h"] >= limits["3d"]


def test_a_budget_is_spent_over_two_windows() -> None:
    assert slo.burns("gateway:envoy_errors:ratio", slo.FAST, "availability") == (
        "gateway:envoy_errors:ratio1h > ${availability_1h}"
        " and gateway:envoy_errors:ratio5m > ${availability_1h} or\n"
        "gateway:envoy_errors:ratio6h > ${availability_6h}"
        " and gateway:envoy_errors:ratio30m > ${availability_6h}"
    )


@pytest.mark.parametrize("window", [*slo.FAST, *slo.SLOW], ids=lambda it: it.long)
def test_windows_are_recorded(window: slo.Window) -> None:
    assert {window.long, window.short} <= set(slo.ALL)
