"""Requests that take too long: how fast the budget of the objective is spent."""

from __future__ import annotations

from tasks.plans import slo
from tasks.plans.alerts.availability import BACKEND, GATEWAY, PERCENT, ROUTE, requests
from tasks.plans.alerts.source import Alert

GROUP = "latency"


def _burn(level: str, windows: tuple[slo.Window, ...], over: str) -> str:
    expr = slo.burns(f"{level}:envoy_slow:ratio", windows, "latency")
    return f"({expr})\nand {level}:envoy_requests:rate{over} >= ${{requests}}"


ALERTS: tuple[Alert, ...] = (
    Alert(
        name="EnvoyGatewayLatencyBurnsFast",
        group=GROUP,
        severity="critical",
        expr=_burn("gateway", slo.FAST, "1h"),
        lasts="2m",
        summary=f"{GATEWAY}: {PERCENT} of requests take longer than ${{within}} ms",
        description=(
            "So many requests are late that the budget of 30 days is gone within days. Streams and"
            " WebSockets are requests that last as long as they do: see the runbook."
        ),
        thresholds=(requests(),),
    ),
    Alert(
        name="EnvoyGatewayLatencyBurnsSlowly",
        group=GROUP,
        severity="warning",
        expr=_burn("gateway", slo.SLOW, "6h"),
        lasts="1h",
        summary=f"{GATEWAY}: {PERCENT} of requests take longer than ${{within}} ms for days",
        description="A few requests are late all the time, enough to use up the budget of 30 days.",
        thresholds=(requests(),),
    ),
    Alert(
        name="EnvoyRouteLatencyBurnsFast",
        group=GROUP,
        severity="warning",
        expr=_burn("route", slo.FAST, "1h"),
        lasts="2m",
        summary=f"{ROUTE}: {PERCENT} of requests take longer than ${{within}} ms",
        description="The backends of this route are late; the time is theirs, without Envoy's own.",
        thresholds=(requests(),),
    ),
    Alert(
        name="EnvoyRouteLatencyBurnsSlowly",
        group=GROUP,
        severity="warning",
        expr=_burn("route", slo.SLOW, "6h"),
        lasts="1h",
        summary=f"{ROUTE}: {PERCENT} of requests take longer than ${{within}} ms for days",
        description="The backends of this route are late now and then, all the time.",
        thresholds=(requests(),),
    ),
    Alert(
        name="EnvoyBackendLatencyBurnsFast",
        group=GROUP,
        severity="warning",
        expr=_burn("backend", slo.FAST, "1h"),
        lasts="2m",
        summary=f"{BACKEND}: {PERCENT} of requests take longer than ${{within}} ms",
        description="One rule of a route is late. The name ends with its number, from 0.",
        thresholds=(requests(),),
    ),
)
