"""Monitoring that is broken itself, for then every other alert is silent."""

from __future__ import annotations

from tasks.plans.alerts.availability import GATEWAY
from tasks.plans.alerts.limits import POD
from tasks.plans.alerts.proxies import DEPLOYMENTS
from tasks.plans.alerts.source import Alert, Threshold

GROUP = "scraping"
TARGET = "{{ $labels.job }} " + POD

ALERTS: tuple[Alert, ...] = (
    Alert(
        name="EnvoyMetricsMissing",
        group=GROUP,
        severity="warning",
        expr="""up{job="envoy-proxy"} == 1
unless on (namespace, pod) envoy_server_live""",
        lasts="10m",
        summary=f"Proxy {POD} of {GATEWAY} answers, but without the series that alerts need",
        description=(
            "Settings of the EnvoyProxy or a relabelling drop them. Alerts about this proxy are"
            " silent."
        ),
    ),
    Alert(
        name="EnvoyProxiesNotScraped",
        group=GROUP,
        severity="warning",
        expr=f"""sum by (namespace) (kube_deployment_status_replicas_available{{{DEPLOYMENTS}}})
  > (
    count by (namespace) (up{{job="envoy-proxy"}})
    or sum by (namespace) (kube_deployment_status_replicas_available{{{DEPLOYMENTS}}}) * 0
  )""",
        lasts="15m",
        summary="Namespace {{ $labels.namespace }}: Prometheus does not scrape all proxies",
        description=(
            "There are more proxies than targets: the monitor does not select them, or Prometheus"
            " does not select the monitor."
        ),
        exporters=("proxy", "kube-state-metrics"),
    ),
    Alert(
        name="EnvoyScrapeSlow",
        group=GROUP,
        severity="warning",
        expr='avg_over_time(scrape_duration_seconds{job=~"envoy-.+"}[10m]) > ${seconds}',
        lasts="10m",
        summary=f"Scraping {TARGET} takes {{{{ $value | humanizeDuration }}}}",
        description=(
            "A scrape that is longer than its timeout (10 s where none is set) is none, and gaps"
            " follow. There are too many series, or too little CPU."
        ),
        thresholds=(Threshold("seconds", 5, "s", "on average"),),
    ),
    Alert(
        name="EnvoyScrapeLarge",
        group=GROUP,
        severity="warning",
        expr='scrape_samples_post_metric_relabeling{job=~"envoy-.+"} > ${series}',
        lasts="15m",
        summary=f"{TARGET} has {{{{ $value }}}} series",
        description=(
            "So many series of one target make Prometheus slow for everybody. Metrics per virtual"
            " host or endpoint are on, or `stats` in the inventory is `all`."
        ),
        thresholds=(Threshold("series", 50000, "series", "of a target"),),
    ),
)
