"""Traffic that goes away, finds no route, or is given up by clients."""

from __future__ import annotations

from tasks.plans.alerts.availability import GATEWAY, PERCENT, ratio, requests
from tasks.plans.alerts.records import GATEWAY as BY_GATEWAY
from tasks.plans.alerts.records import USERS, rate
from tasks.plans.alerts.source import Alert, Threshold

GROUP = "traffic"

ALERTS: tuple[Alert, ...] = (
    Alert(
        name="EnvoyGatewayTrafficGone",
        group=GROUP,
        severity="critical",
        expr="""gateway:envoy_requests:rate5m < ${ratio} * gateway:envoy_requests:rate1h offset 10m
and gateway:envoy_requests:rate1h offset 10m >= ${requests}""",
        lasts="5m",
        summary=f"{GATEWAY}: traffic is gone, {{{{ $value | humanize }}}} requests/s are left",
        description=(
            "Nearly all requests stopped coming within minutes: DNS, the load balancer, its public"
            " IP, a network rule in front of the Gateway, or clients that gave up."
        ),
        thresholds=(
            ratio(0.1, "of the hour before that is left"),
            Threshold("requests", 5, "requests/s", "in the hour before; with less it is silent"),
        ),
    ),
    Alert(
        name="EnvoyGatewayNoRoute",
        group=GROUP,
        severity="warning",
        expr="""gateway:envoy_no_route:rate5m / gateway:envoy_requests:rate5m > ${ratio}
and gateway:envoy_no_route:rate5m >= ${requests}""",
        lasts="10m",
        summary=f"{GATEWAY}: {PERCENT} of requests match no route",
        description=(
            "Envoy answers 404 because no host name or no path of a route matches. A 404 of an"
            " application is not in it."
        ),
        thresholds=(
            ratio(0.2, "of requests"),
            Threshold("requests", 0.5, "requests/s", "without a route; scanners are always there"),
        ),
    ),
    Alert(
        name="EnvoyClientsGiveUp",
        group=GROUP,
        severity="warning",
        expr=f"""{rate(BY_GATEWAY, "envoy_http_downstream_rq_rx_reset", USERS)}
  / {rate(BY_GATEWAY, "envoy_http_downstream_rq_total", USERS)} > ${{ratio}}
and {rate(BY_GATEWAY, "envoy_http_downstream_rq_total", USERS)} >= ${{requests}}""",
        lasts="10m",
        summary=f"{GATEWAY}: clients give up {PERCENT} of requests",
        description=(
            "Clients end requests before the answer, mostly because it takes longer than they"
            " wait. Such requests have no status: no 5xx counts them."
        ),
        thresholds=(ratio(0.2, "of requests"), requests(0.5)),
    ),
)
