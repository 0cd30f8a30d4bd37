"""
How fast a budget of errors is spent: alerts over two windows each, a long one that must have lost
enough and a short one that must still lose (Google SRE workbook, chapter 5, "Multiwindow,
Multi-Burn-Rate Alerts"; its table is for a budget of 30 days).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """+ long, short: such as "1h" and "5m"; + factor: how many times too fast the budget goes"""

    long: str
    short: str
    factor: float


#: 2 % of a budget of 30 days in an hour, 5 % in six hours.
FAST = (Window("1h", "5m", 14.4), Window("6h", "30m", 6.0))
#: 10 % in three days.
SLOW = (Window("3d", "6h", 1.0),)
#: Of the ratios that are recorded, shortest first.
ALL = ("5m", "30m", "1h", "6h", "3d")


def limits(percent: float) -> dict[str, float]:
    """
    From which ratio of failures on each long window counts, for an objective such as 99.9 percent:
    {"1h": 0.0144, "6h": 0.006, "3d": 0.001}. A generous objective leaves no room for its factor: a
    budget of 10 % lost 14.4 times too fast is more than there is. Then it is half of what is left.
    """
    budget = 1 - percent / 100
    return {it.long: round(min(it.factor * budget, (1 + budget) / 2), 9) for it in (*FAST, *SLOW)}


def burns(ratio: str, windows: tuple[Window, ...], indicator: str) -> str:
    """
    PromQL that is true where the budget goes too fast on both windows of a pair.

    + ratio: what the recorded ratios are called without their window, such as
      "gateway:envoy_errors:ratio"
    + indicator: "availability" or "latency": the limits are ``${availability_1h}`` and so on
    """
    return " or\n".join(
        f"{ratio}{it.long} > ${{{indicator}_{it.long}}}"
        f" and {ratio}{it.short} > ${{{indicator}_{it.long}}}"
        for it in windows
    )
