"""The controller of Envoy Gateway, and what it could not do."""

from __future__ import annotations

from tasks.plans.alerts.availability import PERCENT, ratio
from tasks.plans.alerts.source import Alert, Threshold

GROUP = "control-plane"
POD = "{{ $labels.namespace }}/{{ $labels.pod }}"


def _happened(series: str) -> str:
    """
    In the last quarter of an hour. The controller makes a counter when it first counts, and
    ``increase`` does not see that: one that is new counts whole, where the controller was scraped
    a quarter of an hour ago, or is no older.
    """
    return f"""increase({series}[15m]) > ${{times}}
or ({series} unless {series} offset 15m) > ${{times}}
  and on (namespace, pod) (
    process_start_time_seconds offset 15m or time() - process_start_time_seconds < 900
  )"""


def _times(default: float) -> tuple[Threshold]:
    return (Threshold("times", default, "times", "in 15 minutes, above it"),)


ALERTS: tuple[Alert, ...] = (
    Alert(
        name="EnvoyGatewayControllerDown",
        group=GROUP,
        severity="critical",
        expr='absent(up{job="envoy-gateway"} == 1)',
        lasts="5m",
        summary="No controller of Envoy Gateway answers",
        description=(
            "Proxies serve what they got last. Routes, certificates and endpoints that change do"
            " not reach them."
        ),
        exporters=("controller",),
    ),
    Alert(
        name="EnvoyGatewayControllerRestarts",
        group=GROUP,
        severity="warning",
        expr='changes(process_start_time_seconds{job="envoy-gateway"}[30m]) >= ${restarts}',
        lasts="0m",
        summary=f"Controller {POD} restarted {{{{ $value }}}} times in 30 minutes",
        description=(
            "The controller ends and is started again in the same Pod. Each time all proxies"
            " connect anew."
        ),
        exporters=("controller",),
        thresholds=(Threshold("restarts", 2, "restarts", "in 30 minutes"),),
    ),
    Alert(
        name="EnvoyGatewayControllerPanics",
        group=GROUP,
        severity="warning",
        expr=_happened("watchable_panics_recovered_total"),
        lasts="0m",
        summary=f"Controller {POD} recovered from a panic in {{{{ $labels.runner }}}}",
        description=(
            "An object makes the controller fail on its own code: what it was about to do is left"
            " out. The controller's log has the object."
        ),
        exporters=("controller",),
        thresholds=_times(0),
    ),
    Alert(
        name="EnvoyGatewayTranslationFails",
        group=GROUP,
        severity="warning",
        expr=_happened('watchable_subscribe_total{status="failure"}'),
        lasts="0m",
        summary=f"Controller {POD}: {{{{ $labels.runner }}}} fails on {{{{ $labels.message }}}}",
        description=(
            "The controller cannot make a configuration of what it has read; proxies keep the one"
            " they have."
        ),
        exporters=("controller",),
        thresholds=_times(4),
    ),
    Alert(
        name="EnvoyGatewaySnapshotFails",
        group=GROUP,
        severity="critical",
        expr=_happened('xds_snapshot_update_total{status="failure"}'),
        lasts="0m",
        summary=f"Controller {POD} cannot give a configuration to {{{{ $labels.nodeID }}}}",
        description="Proxies do not get what changed, and serve what they got last.",
        exporters=("controller",),
        thresholds=_times(0),
    ),
    Alert(
        name="EnvoyGatewayConfigurationRefused",
        group=GROUP,
        severity="warning",
        expr=_happened("xds_nack_total"),
        lasts="0m",
        summary=(
            "Proxy {{ $labels.nodeID }} told the controller that it refuses {{ $labels.typeURL }}"
        ),
        description=(
            "As EnvoyProxyConfigurationRejected, said by the controller, for endpoints and Secrets"
            " too. Envoy Gateway counts it from 1.9 on."
        ),
        exporters=("controller",),
        thresholds=_times(0),
    ),
    Alert(
        name="EnvoyGatewayInfrastructureFails",
        group=GROUP,
        severity="warning",
        expr=_happened('resource_apply_total{status="failure"}'),
        lasts="0m",
        summary=f"Controller {POD} cannot write {{{{ $labels.kind }}}} {{{{ $labels.name }}}}",
        description=(
            "Deployments, Services or the like of proxies are not written: a right is missing, an"
            " admission webhook or a quota refuses them."
        ),
        exporters=("controller",),
        thresholds=_times(2),
    ),
    Alert(
        name="EnvoyGatewayStatusNotWritten",
        group=GROUP,
        severity="warning",
        expr="""sum by (namespace, kind) (rate(status_update_total{status="failure"}[15m]))
  / sum by (namespace, kind) (rate(status_update_total[15m])) > ${ratio}""",
        lasts="15m",
        summary=f"The controller fails to write {PERCENT} of statuses of {{{{ $labels.kind }}}}",
        description=(
            "Conditions are out of date, so nobody sees whether an object is accepted; what waits"
            " for them, waits."
        ),
        exporters=("controller",),
        thresholds=(ratio(0.5, "of writes"),),
    ),
    Alert(
        name="EnvoyGatewayNoLeader",
        group=GROUP,
        severity="warning",
        expr='sum by (namespace) (leader_election_master_status{job="envoy-gateway"}) == 0',
        lasts="5m",
        summary="No controller in {{ $labels.namespace }} leads",
        description=(
            "Controllers serve proxies, but none writes status, Deployments or Services. The lease"
            " cannot be taken: rights, or an API server that is late."
        ),
        exporters=("controller",),
    ),
    Alert(
        name="EnvoyGatewayQueueGrows",
        group=GROUP,
        severity="warning",
        expr="min_over_time(watchable_depth[10m]) > ${messages}",
        lasts="10m",
        summary=f"Controller {POD}: {{{{ $value }}}} messages wait for {{{{ $labels.runner }}}}",
        description=(
            "The controller does not keep up with what changes, so proxies hear of it late: more"
            " CPU, or less that changes all the time."
        ),
        exporters=("controller",),
        thresholds=(Threshold("messages", 20, "messages", "that wait all the time"),),
    ),
)
