"""Limits of proxies and of rate limiting: near them, over them, and who counts."""

from __future__ import annotations

from tasks.plans.alerts.availability import BACKEND, GATEWAY, PERCENT, ratio, requests
from tasks.plans.alerts.records import BACKEND as BY_BACKEND
from tasks.plans.alerts.records import GATEWAY as BY_GATEWAY
from tasks.plans.alerts.records import ROUTES, USERS, rates
from tasks.plans.alerts.source import Alert, Threshold

GROUP = "limits"
POD = "{{ $labels.namespace }}/{{ $labels.pod }}"
BY_POD = f"{BY_GATEWAY}, namespace, pod"


def _refusals(names: tuple[str, ...], matchers: str) -> str:
    """Of a proxy whose listeners have all of these counters, so few that they are matched first."""
    parts = "\n  + ".join(f"rate({it}{{{matchers}}}[5m])" for it in names)
    return f"sum by ({BY_POD}) (\n  {parts}\n)"


ALERTS: tuple[Alert, ...] = (
    Alert(
        name="EnvoyProxyConnections",
        group=GROUP,
        severity="warning",
        expr=(
            f"sum by ({BY_POD}) (envoy_listener_downstream_cx_active) / ${{limit}} >= ${{ratio}}"
        ),
        lasts="5m",
        summary=f"Proxy {POD} of {GATEWAY} has {PERCENT} of the connections it may have",
        description=(
            "At its limit a proxy refuses every new connection, probes too, and is then taken out"
            " of the load balancer with all its connections. Envoy exports no limit: set this one"
            " where your EnvoyProxy or ClientTrafficPolicy has another."
        ),
        thresholds=(
            ratio(0.8, "of the limit"),
            Threshold("limit", 50000, "connections", "of a proxy, as Envoy Gateway sets it"),
        ),
    ),
    Alert(
        name="EnvoyProxyRefusesConnections",
        group=GROUP,
        severity="critical",
        expr=_refusals(
            (
                "envoy_listener_downstream_global_cx_overflow",
                "envoy_listener_downstream_cx_overflow",
                "envoy_listener_downstream_cx_overload_reject",
            ),
            "",
        )
        + " > ${connections}",
        lasts="2m",
        summary=f"Proxy {POD} of {GATEWAY} refuses {{{{ $value | humanize }}}} connections/s",
        description=(
            "The connection limit of a listener or of the proxy is reached, or the overload"
            " manager lets nobody in. Clients see connections that end at once."
        ),
        thresholds=(Threshold("connections", 0, "connections/s", "refused, above it"),),
    ),
    Alert(
        name="EnvoyProxyOverloaded",
        group=GROUP,
        severity="critical",
        expr=_refusals(
            (
                "envoy_http_downstream_rq_overload_close",
                "envoy_http_downstream_cx_overload_disable_keepalive",
            ),
            USERS,
        )
        + " > ${requests}",
        lasts="2m",
        summary=f"Proxy {POD} of {GATEWAY} is overloaded",
        description=(
            "The overload manager of the proxy refuses requests or ends connections to keep"
            " itself alive. More proxies are needed, or more memory."
        ),
        thresholds=(Threshold("requests", 0, "requests/s", "refused, above it"),),
    ),
    Alert(
        name="EnvoyProxyMemory",
        group=GROUP,
        severity="warning",
        expr="""envoy_server_memory_physical_size
  / on (namespace, pod) group_left ()
    kube_pod_container_resource_limits{container="envoy", resource="memory"} >= ${ratio}""",
        lasts="10m",
        summary=f"Proxy {POD} of {GATEWAY} uses {PERCENT} of its memory",
        description=(
            "At its limit the kernel kills Envoy, and all its connections break. Many routes and"
            " many connections both need memory."
        ),
        exporters=("proxy", "kube-state-metrics"),
        thresholds=(ratio(0.9, "of the limit of the container"),),
    ),
    Alert(
        name="EnvoyProxyAutoscalerAtLimit",
        group=GROUP,
        severity="warning",
        expr="""kube_horizontalpodautoscaler_status_current_replicas{horizontalpodautoscaler=~"envoy-.+"}
  >= on (namespace, horizontalpodautoscaler) kube_horizontalpodautoscaler_spec_max_replicas""",
        lasts="15m",
        summary=(
            "HorizontalPodAutoscaler {{ $labels.namespace }}/{{ $labels.horizontalpodautoscaler }}"
            " has all {{ $value }} replicas it may have"
        ),
        description="More load finds no more proxies: raise maxReplicas of the EnvoyProxy.",
        exporters=("kube-state-metrics",),
    ),
    Alert(
        name="EnvoyRateLimitFails",
        group=GROUP,
        severity="warning",
        expr=f"""{rates(BY_BACKEND, ("envoy_cluster_ratelimit_error",), ROUTES)}
  / on ({BY_BACKEND}) backend:envoy_requests:rate5m > ${{ratio}}
and on ({BY_BACKEND}) backend:envoy_requests:rate5m >= ${{requests}}""",
        lasts="2m",
        summary=f"{BACKEND}: for {PERCENT} of requests the rate limit service gives no answer",
        description=(
            "Requests go through without a limit, or are refused with 500 where the policy fails"
            " closed."
        ),
        thresholds=(ratio(0.05, "of requests"), requests()),
    ),
    Alert(
        name="EnvoyRateLimitDown",
        group=GROUP,
        severity="warning",
        expr='absent(up{job="envoy-ratelimit"} == 1)',
        lasts="5m",
        summary="No rate limit service answers",
        description="Global rate limits do not count: EnvoyRateLimitFails says what happens then.",
        exporters=("ratelimit",),
    ),
    Alert(
        name="EnvoyRateLimitErrors",
        group=GROUP,
        severity="warning",
        expr=rates("err_type", ("ratelimit_service_should_rate_limit_error",), "")
        + " > ${requests}",
        lasts="5m",
        summary="The rate limit service fails: {{ $labels.err_type }}",
        description="Nearly always Redis is away or full; limits do not count meanwhile.",
        exporters=("ratelimit",),
        thresholds=(Threshold("requests", 0.05, "requests/s", "not answered"),),
    ),
    Alert(
        name="EnvoyRateLimitConfigurationRejected",
        group=GROUP,
        severity="warning",
        expr="increase(ratelimit_service_config_load_error[15m]) > 0",
        lasts="0m",
        summary="The rate limit service refused its configuration",
        description="It goes on with the limits that it had before.",
        exporters=("ratelimit",),
    ),
)
