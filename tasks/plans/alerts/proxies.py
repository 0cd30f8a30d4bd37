"""Proxies that are down, restart, or serve another configuration than they should."""

from __future__ import annotations

from tasks.plans.alerts.availability import BACKEND, GATEWAY
from tasks.plans.alerts.limits import POD
from tasks.plans.alerts.records import BACKEND as BY_BACKEND
from tasks.plans.alerts.records import GATEWAY as BY_GATEWAY
from tasks.plans.alerts.records import ROUTES
from tasks.plans.alerts.source import Alert, Threshold

GROUP = "proxies"
#: As Envoy Gateway names them, with a hash of the Gateway's name.
DEPLOYMENTS = 'deployment=~"envoy-.+-[0-9a-f]{8}"'
DEPLOYMENT = "Deployment {{ $labels.namespace }}/{{ $labels.deployment }}"
_REASONS = "CrashLoopBackOff|ImagePullBackOff|ErrImagePull|CreateContainerConfigError"


def _refused(counter: str) -> str:
    """
    In the last quarter of an hour. ``increase`` does not see what a counter is born with, so all
    that a young proxy refused counts.
    """
    return (
        f"increase({counter}[15m]) > 0"
        f" or {counter} > 0 and on (namespace, pod) envoy_server_uptime < 900"
    )


def _differs(by: str, gauge: str) -> str:
    return f"stddev by ({by}) ({gauge}) > 0"


ALERTS: tuple[Alert, ...] = (
    Alert(
        name="EnvoyProxyDown",
        group=GROUP,
        severity="warning",
        expr='up{job="envoy-proxy"} == 0',
        lasts="5m",
        summary=f"Proxy {POD} of {GATEWAY} does not answer",
        description=(
            "Prometheus gets no answer from the proxy, though its Pod is there: it hangs, does not"
            " start, or a NetworkPolicy keeps port 19001 shut. The other proxies serve."
        ),
    ),
    Alert(
        name="EnvoyGatewayDown",
        group=GROUP,
        severity="critical",
        expr=f'sum by ({BY_GATEWAY}) (up{{job="envoy-proxy"}}) == 0',
        lasts="2m",
        summary=f"{GATEWAY}: no proxy answers",
        description="Prometheus gets no answer from any proxy of the Gateway: clients get none.",
    ),
    Alert(
        name="EnvoyGatewayProxiesGone",
        group=GROUP,
        severity="critical",
        expr=f"""count by ({BY_GATEWAY}) (up{{job="envoy-proxy"}} offset 15m)
unless count by ({BY_GATEWAY}) (up{{job="envoy-proxy"}})""",
        lasts="5m",
        summary=f"{GATEWAY}: its proxies are gone",
        description=(
            "A quarter of an hour ago the Gateway had proxies; now Prometheus finds none. They were"
            " scaled to nothing or deleted, or its monitor no longer selects them. Deleting a"
            " Gateway says so too, for ten minutes."
        ),
    ),
    Alert(
        name="EnvoyProxyDeploymentUnavailable",
        group=GROUP,
        severity="critical",
        expr=f"""kube_deployment_status_replicas_available{{{DEPLOYMENTS}}} == 0
and kube_deployment_spec_replicas > 0""",
        lasts="5m",
        summary=f"{DEPLOYMENT}: no proxy is available",
        description=(
            "No Pod of the proxies is ready, so the load balancer sends nothing there: they find no"
            " node, do not start, or are not configured yet."
        ),
        exporters=("kube-state-metrics",),
    ),
    Alert(
        name="EnvoyProxyReplicasMissing",
        group=GROUP,
        severity="warning",
        expr=f"""kube_deployment_status_replicas_available{{{DEPLOYMENTS}}}
  < kube_deployment_spec_replicas
and kube_deployment_status_replicas_available > 0""",
        lasts="15m",
        summary=f"{DEPLOYMENT}: only {{{{ $value }}}} proxies are available",
        description="Fewer proxies serve than are wanted: Pods wait for a node or do not start.",
        exporters=("kube-state-metrics",),
    ),
    Alert(
        name="EnvoyProxyDoesNotStart",
        group=GROUP,
        severity="warning",
        expr=(
            'kube_pod_container_status_waiting_reason{container=~"envoy|shutdown-manager",'
            f' reason=~"{_REASONS}"}} == 1'
        ),
        lasts="5m",
        summary=(
            f"Proxy {POD}: container {{{{ $labels.container }}}} does not start,"
            " {{ $labels.reason }}"
        ),
        description="The kubelet tries again and again; the Pod's events say why.",
        exporters=("kube-state-metrics",),
    ),
    Alert(
        name="EnvoyProxyRestarts",
        group=GROUP,
        severity="warning",
        expr='resets(envoy_server_uptime{job="envoy-proxy"}[30m]) >= ${restarts}',
        lasts="0m",
        summary=f"Proxy {POD} of {GATEWAY} restarted {{{{ $value }}}} times in 30 minutes",
        description=(
            "Envoy ends and is started again in the same Pod, and its connections break each time."
        ),
        thresholds=(Threshold("restarts", 2, "restarts", "in 30 minutes"),),
    ),
    Alert(
        name="EnvoyProxyOutOfMemory",
        group=GROUP,
        severity="warning",
        expr="""increase(kube_pod_container_status_restarts_total{container="envoy"}[30m]) > 0
and on (namespace, pod, container)
  kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1""",
        lasts="0m",
        summary=f"Proxy {POD} was killed: it had no memory left",
        description=(
            "The kernel ended Envoy at the memory limit of its container, with all its connections."
        ),
        exporters=("kube-state-metrics",),
    ),
    Alert(
        name="EnvoyProxyDisconnected",
        group=GROUP,
        severity="critical",
        expr="envoy_control_plane_connected_state == 0",
        lasts="10m",
        summary=f"Proxy {POD} of {GATEWAY} has no connection to the controller",
        description=(
            "The proxy serves what it got last. Endpoints that come and go, routes and"
            " certificates do not reach it, so requests begin to fail with the next roll-out of a"
            " backend."
        ),
    ),
    Alert(
        name="EnvoyProxyConfigurationRejected",
        group=GROUP,
        severity="critical",
        expr=f"""max without (envoy_http_conn_manager_prefix, envoy_rds_route_config) (
  {_refused("envoy_listener_manager_lds_update_rejected")}
  or {_refused("envoy_cluster_manager_cds_update_rejected")}
  or {_refused("envoy_http_rds_update_rejected")}
)""",
        lasts="0m",
        summary=f"Proxy {POD} of {GATEWAY} refused a configuration",
        description=(
            "Envoy refused listeners, clusters or routes that the controller made, and serves the"
            " last that it took. Nearly always an EnvoyPatchPolicy or an extension is the reason."
        ),
    ),
    Alert(
        name="EnvoyProxyWaitsForConfiguration",
        group=GROUP,
        severity="warning",
        expr="""envoy_listener_manager_total_listeners_warming > 0
or envoy_cluster_manager_warming_clusters > 0""",
        lasts="10m",
        summary=f"Proxy {POD} of {GATEWAY} waits for a part of its configuration",
        description=(
            "A listener waits for its certificate, or a cluster for its endpoints, and the"
            " controller does not send them. What is new does not serve until then."
        ),
    ),
    Alert(
        name="EnvoyProxiesDisagree",
        group=GROUP,
        severity="warning",
        expr=f"""{_differs(BY_GATEWAY, "envoy_cluster_manager_active_clusters")}
or {_differs(BY_GATEWAY, "envoy_listener_manager_total_listeners_active")}""",
        lasts="15m",
        summary=f"{GATEWAY}: its proxies serve different configurations",
        description=(
            "One proxy has more listeners or clusters than another: requests get other answers"
            " from each. One of them refuses updates, or is not told."
        ),
    ),
    Alert(
        name="EnvoyProxyEndpointsStale",
        group=GROUP,
        severity="warning",
        expr=_differs(BY_BACKEND, f"envoy_cluster_membership_total{{{ROUTES}}}"),
        lasts="15m",
        summary=f"{BACKEND}: proxies know different numbers of endpoints",
        description=(
            "One proxy is not told of endpoints that come and go, and will send requests to Pods"
            " that are gone."
        ),
    ),
)
