"""Requests that fail: how fast the budget of the objective is spent, and who fails them."""

from __future__ import annotations

from tasks.plans import slo
from tasks.plans.alerts.source import Alert, Threshold

GROUP = "availability"
GATEWAY = "Gateway {{ $labels.gateway_namespace }}/{{ $labels.gateway }}{{ $labels.gateway_class }}"
ROUTE = "{{ $labels.route_kind }} {{ $labels.route_namespace }}/{{ $labels.route }} of " + GATEWAY
BACKEND = "{{ $labels.envoy_cluster_name }} of " + GATEWAY
PERCENT = "{{ $value | humanizePercentage }}"


def requests(default: float = 0.1) -> Threshold:
    """Below it a ratio says nothing, for a few requests are all there are."""
    return Threshold("requests", default, "requests/s", "with less traffic the alert is silent")


def ratio(default: float, what: str) -> Threshold:
    """Of 0 to 1."""
    return Threshold("ratio", default, "ratio", what)


def _burn(level: str, expr: str, over: str) -> str:
    return f"({expr})\nand {level}:envoy_requests:rate{over} >= ${{requests}}"


ALERTS: tuple[Alert, ...] = (
    Alert(
        name="EnvoyGatewayErrorsBurnFast",
        group=GROUP,
        severity="critical",
        expr=_burn(
            "gateway", slo.burns("gateway:envoy_errors:ratio", slo.FAST, "availability"), "1h"
        ),
        lasts="2m",
        summary=f"{GATEWAY}: {PERCENT} of requests fail",
        description=(
            "Answers are 5xx so often that the budget of 30 days is gone within days. Look whether"
            " one route or all of them fail, then who fails them: Envoy or the backend."
        ),
        thresholds=(requests(),),
    ),
    Alert(
        name="EnvoyGatewayErrorsBurnSlowly",
        group=GROUP,
        severity="warning",
        expr=_burn(
            "gateway", slo.burns("gateway:envoy_errors:ratio", slo.SLOW, "availability"), "6h"
        ),
        lasts="1h",
        summary=f"{GATEWAY}: {PERCENT} of requests fail for days",
        description=(
            "A few answers are 5xx all the time, enough to use up the budget of 30 days. Nobody"
            " must be woken; find the route that they belong to."
        ),
        thresholds=(requests(),),
    ),
    Alert(
        name="EnvoyRouteErrorsBurnFast",
        group=GROUP,
        severity="critical",
        expr=_burn("route", slo.burns("route:envoy_errors:ratio", slo.FAST, "availability"), "1h"),
        lasts="2m",
        summary=f"{ROUTE}: {PERCENT} of requests fail",
        description=(
            "Requests of this route are answered 5xx so often that its budget of 30 days is gone"
            " within days, also when the Gateway as a whole looks well."
        ),
        thresholds=(requests(),),
    ),
    Alert(
        name="EnvoyRouteErrorsBurnSlowly",
        group=GROUP,
        severity="warning",
        expr=_burn("route", slo.burns("route:envoy_errors:ratio", slo.SLOW, "availability"), "6h"),
        lasts="1h",
        summary=f"{ROUTE}: {PERCENT} of requests fail for days",
        description="A few requests of this route are answered 5xx all the time.",
        thresholds=(requests(),),
    ),
    Alert(
        name="EnvoyBackendErrorsBurnFast",
        group=GROUP,
        severity="warning",
        expr=_burn(
            "backend", slo.burns("backend:envoy_errors:ratio", slo.FAST, "availability"), "1h"
        ),
        lasts="2m",
        summary=f"{BACKEND}: {PERCENT} of requests fail",
        description=(
            "Requests of one rule of a route are answered 5xx. The name ends with the number of"
            " the rule, from 0."
        ),
        thresholds=(requests(),),
    ),
    Alert(
        name="EnvoyGatewayAnswersErrors",
        group=GROUP,
        severity="critical",
        expr="""gateway:envoy_own_errors:rate5m / gateway:envoy_requests:rate5m > ${ratio}
and gateway:envoy_direct_responses:rate5m >= gateway:envoy_own_errors:rate5m / 2
and gateway:envoy_requests:rate5m >= ${requests}""",
        lasts="5m",
        summary=f"{GATEWAY}: {PERCENT} of requests get 5xx because their route has no backend",
        description=(
            "Envoy answers these itself: 503 because no endpoint of a route is ready, 500 because"
            " a backendRef is broken. No metric names the route: the conditions of routes do."
        ),
        thresholds=(ratio(0.05, "of requests"), requests()),
    ),
    Alert(
        name="EnvoyGatewayFailsRequests",
        group=GROUP,
        severity="critical",
        expr="""gateway:envoy_own_errors:rate5m / gateway:envoy_requests:rate5m > ${ratio}
unless gateway:envoy_direct_responses:rate5m >= gateway:envoy_own_errors:rate5m / 2
and gateway:envoy_requests:rate5m >= ${requests}""",
        lasts="5m",
        summary=f"{GATEWAY}: Envoy itself answers {PERCENT} of requests with 5xx",
        description=(
            "Neither a backend nor a route without one: a filter fails (an extension, Lua, an"
            " authorization service that is down), or the cluster of a route is not there."
        ),
        thresholds=(ratio(0.05, "of requests"), requests()),
    ),
)
