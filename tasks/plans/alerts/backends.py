"""Backends: endpoints that are not there or not well, and what Envoy makes of it."""

from __future__ import annotations

from tasks.plans.alerts.availability import BACKEND, PERCENT, ratio, requests
from tasks.plans.alerts.records import BACKEND as BY_BACKEND
from tasks.plans.alerts.records import ROUTES, most, rates
from tasks.plans.alerts.source import Alert, Threshold

GROUP = "backends"
_HEALTHY = most("envoy_cluster_membership_healthy")
_RETRIES = (
    "envoy_cluster_upstream_rq_retry_limit_exceeded",
    "envoy_cluster_upstream_rq_retry_overflow",
)
_TLS = (
    "envoy_cluster_ssl_connection_error",
    "envoy_cluster_ssl_fail_verify_error",
    "envoy_cluster_ssl_fail_verify_san",
)


def _share(failures: str) -> str:
    """Of all requests of a backend, with enough of them to tell."""
    return f"""{failures}
  / on ({BY_BACKEND}) backend:envoy_requests:rate5m > ${{ratio}}
and on ({BY_BACKEND}) backend:envoy_requests:rate5m >= ${{requests}}"""


ALERTS: tuple[Alert, ...] = (
    Alert(
        name="EnvoyBackendNoHealthyEndpoints",
        group=GROUP,
        severity="critical",
        expr=f"{_HEALTHY} == 0",
        lasts="2m",
        summary=f"{BACKEND}: no endpoint is healthy",
        description=(
            "Health checks failed for every endpoint, or there is none. Requests get 503, or go to"
            " endpoints that are not well where a panic threshold is set."
        ),
    ),
    Alert(
        name="EnvoyBackendFewHealthyEndpoints",
        group=GROUP,
        severity="warning",
        expr=f"""({_HEALTHY} > 0)
  / backend:envoy_endpoints:max < ${{ratio}}""",
        lasts="10m",
        summary=f"{BACKEND}: only {PERCENT} of its endpoints are healthy",
        description=(
            "Health checks, active or passive, took most endpoints out. The others carry the load."
        ),
        thresholds=(ratio(0.5, "of endpoints that are healthy, and below it is too few"),),
    ),
    Alert(
        name="EnvoyBackendPanics",
        group=GROUP,
        severity="warning",
        expr=f"""sum by ({BY_BACKEND}) (rate(envoy_cluster_lb_healthy_panic{{{ROUTES}}}[5m])) > 0
and min_over_time(backend:envoy_endpoints:max[5m]) > 0""",
        lasts="2m",
        summary=f"{BACKEND}: requests go to endpoints that are not healthy",
        description=(
            "So few endpoints are healthy that Envoy sends requests to all of them (panic). Some"
            " are answered, for a failed health check is not always a failed request."
        ),
    ),
    Alert(
        name="EnvoyBackendEjectsEndpoints",
        group=GROUP,
        severity="warning",
        expr=f"""max by ({BY_BACKEND}) (
  max_over_time(envoy_cluster_outlier_detection_ejections_active{{{ROUTES}}}[5m])
) / backend:envoy_endpoints:max >= ${{ratio}}""",
        lasts="5m",
        summary=f"{BACKEND}: {PERCENT} of its endpoints are ejected again and again",
        description=(
            "Passive health checks take endpoints out for their answers. An endpoint that comes"
            " back and fails goes out for longer each time."
        ),
        thresholds=(ratio(0.3, "of endpoints that are ejected"),),
    ),
    Alert(
        name="EnvoyBackendAnswersErrors",
        group=GROUP,
        severity="warning",
        expr="""(backend:envoy_errors:rate5m - backend:envoy_local_errors:rate5m)
  / backend:envoy_requests:rate5m > ${ratio}
and backend:envoy_requests:rate5m >= ${requests}""",
        lasts="5m",
        summary=f"{BACKEND}: the backend itself answers {PERCENT} of requests with 5xx",
        description=(
            "These 5xx come from the application, not from Envoy: its logs and its own"
            " dependencies tell more than the Gateway's."
        ),
        thresholds=(ratio(0.05, "of requests"), requests()),
    ),
    Alert(
        name="EnvoyBackendUnreachable",
        group=GROUP,
        severity="warning",
        expr=_share("backend:envoy_unreachable:rate5m"),
        lasts="2m",
        summary=f"{BACKEND}: {PERCENT} of requests find no connection",
        description=(
            "Envoy cannot connect to endpoints: refused, not answered (NetworkPolicy, a node that"
            " is gone), or TLS that fails. Such requests get 503 with the flag UF."
        ),
        thresholds=(ratio(0.05, "of requests"), requests()),
    ),
    Alert(
        name="EnvoyBackendTLSFails",
        group=GROUP,
        severity="warning",
        expr=f"{rates(BY_BACKEND, _TLS, ROUTES)} > ${{handshakes}}",
        lasts="5m",
        summary=f"{BACKEND}: TLS to the backend fails",
        description=(
            "The backend's certificate is not signed by the authority of the BackendTLSPolicy, has"
            " another name or is over, or the backend speaks no TLS."
        ),
        thresholds=(Threshold("handshakes", 0.05, "handshakes/s", "that fail"),),
    ),
    Alert(
        name="EnvoyBackendBreaksOff",
        group=GROUP,
        severity="warning",
        expr=_share("backend:envoy_broken:rate5m"),
        lasts="2m",
        summary=f"{BACKEND}: {PERCENT} of requests are broken off by the backend",
        description=(
            "Backends close connections while they are asked, or do not speak HTTP on this port."
            " Often their keep-alive time is shorter than Envoy's, or they end without draining."
        ),
        thresholds=(ratio(0.05, "of requests"), requests()),
    ),
    Alert(
        name="EnvoyBackendTimesOut",
        group=GROUP,
        severity="warning",
        expr=_share("backend:envoy_timeouts:rate5m"),
        lasts="2m",
        summary=f"{BACKEND}: {PERCENT} of requests time out",
        description=(
            "The backend does not answer within the time of the route (15 s where none is set), so"
            " Envoy answers 504."
        ),
        thresholds=(ratio(0.05, "of requests"), requests()),
    ),
    Alert(
        name="EnvoyBackendSheds",
        group=GROUP,
        severity="warning",
        expr="backend:envoy_shed:rate5m > ${requests}",
        lasts="2m",
        summary=f"{BACKEND}: the circuit breaker refuses {{{{ $value | humanize }}}} requests/s",
        description=(
            "More requests wait or are under way than the circuit breaker lets through (1024 where"
            " no BackendTrafficPolicy sets it); Envoy answers the others 503 at once."
        ),
        thresholds=(Threshold("requests", 0.1, "requests/s", "refused"),),
    ),
    Alert(
        name="EnvoyBackendRetriesExhausted",
        group=GROUP,
        severity="warning",
        expr=_share(f"({rates(BY_BACKEND, _RETRIES, ROUTES)})"),
        lasts="2m",
        summary=f"{BACKEND}: {PERCENT} of requests fail after all retries",
        description=(
            "Retries do not help any more: each try failed, or as many retries are under way as"
            " the circuit breaker allows. They add load to a backend that has enough."
        ),
        thresholds=(ratio(0.05, "of requests"), requests()),
    ),
)
