"""Envoy Gateway's controller, the configuration on its way to proxies, and what Kubernetes says."""

from __future__ import annotations

from tasks.dashboards.source import (
    Column,
    Dashboard,
    Panel,
    Query,
    Row,
    number,
    or_none,
    quantile,
    rate,
)
from tasks.plans.metrics import JOBS

_CLUSTER = 'cluster=~"$cluster"'
_CONTROLLER = f'job="{JOBS["controller"]}", {_CLUSTER}'
_PROXY = f'job="{JOBS["proxy"]}", {_CLUSTER}'
_RATELIMIT = f'job="{JOBS["ratelimit"]}", {_CLUSTER}'
_REJECTED = (
    ("envoy_listener_manager_lds_update_rejected", "listeners"),
    ("envoy_cluster_manager_cds_update_rejected", "clusters"),
    ("envoy_http_rds_update_rejected", "routes"),
    ("envoy_cluster_update_rejected", "endpoints"),
)
_ROUTES = ("httproute", "grpcroute", "tcproute", "tlsroute", "udproute")
_PROGRAMMED = 'gatewayapi_gateway_status{type="Programmed"}'


def _states(state: str) -> str:
    """Of the parents of routes of all kinds."""
    names = "|".join(_ROUTES)
    return f'{{__name__=~"gatewayapi_({names})_status_parent_{state}"}}'


def _rejected(window: str) -> str:
    return " + ".join(
        f"({or_none(f'sum(increase({name}{{{_PROXY}}}[{window}]))')})" for name, _ in _REJECTED
    )


_NOW = Row(
    "Now",
    (
        number(
            "Controllers up",
            "Replicas of the controller that answered the last scrape. All of them serve "
            "configuration, one leads.",
            or_none(f"sum(up{{{_CONTROLLER}}})"),
            "short",
            (None, "red"),
            (1, "green"),
        ),
        number(
            "Proxies connected",
            "Proxies that have a connection to a controller. Without one a proxy goes on with the "
            "configuration that it has.",
            f"avg(envoy_control_plane_connected_state{{{_PROXY}}})",
            "percentunit",
            (None, "red"),
            (1, "green"),
        ),
        number(
            "Updates rejected in an hour",
            "Configuration that Envoy refused. The proxy goes on with what it had before.",
            _rejected("1h"),
            "short",
            (None, "green"),
            (0.5, "red"),
        ),
        number(
            "Gateways not Programmed",
            "Of all Gateways, from kube-state-metrics.",
            or_none(f"count({_PROGRAMMED} == 0)"),
            "short",
            (None, "green"),
            (1, "red"),
        ),
        number(
            "Routes not Accepted",
            "Parents of routes that are not Accepted, or whose references are not resolved, from "
            "kube-state-metrics.",
            or_none(f"count({_states('(accepted|resolved_refs)')} == 0)"),
            "short",
            (None, "green"),
            (1, "red"),
        ),
        number(
            "Panics recovered",
            "Of the controller since it started: a resource that it could not work on.",
            or_none(f"sum(watchable_panics_recovered_total{{{_CONTROLLER}}})"),
            "short",
            (None, "green"),
            (1, "red"),
        ),
    ),
)
_XDS = Row(
    "Configuration on its way",
    (
        Panel(
            "Connected proxies",
            "1 while a proxy has a connection to a controller.",
            (Query(f"max by (pod) (envoy_control_plane_connected_state{{{_PROXY}}})", "{{pod}}"),),
            "short",
        ),
        Panel(
            "Rejected updates",
            "In five minutes, by what was rejected.",
            tuple(
                Query(f"sum(increase({name}{{{_PROXY}}}[5m]))", what) for name, what in _REJECTED
            ),
            "short",
        ),
        Panel(
            "Accepted updates",
            "A second, of listeners and of clusters. Every change of a route or of a Gateway is "
            "one a proxy.",
            (
                Query(rate("envoy_listener_manager_lds_update_success", _PROXY), "listeners"),
                Query(rate("envoy_cluster_manager_cds_update_success", _PROXY), "clusters"),
            ),
            "ops",
        ),
        Panel(
            "Age of listeners",
            "Since a proxy took its last listeners. Proxies of one Gateway whose ages differ for "
            "long, and that did not start apart, are out of step.",
            (
                Query(
                    "time() - max by (pod) "
                    f"(envoy_listener_manager_lds_update_time{{{_PROXY}}}) / 1000",
                    "{{pod}}",
                ),
            ),
            "s",
        ),
        Panel(
            "Listeners and clusters by proxy",
            "Of proxies of one Gateway all are alike.",
            (
                Query(
                    f"max by (pod) (envoy_listener_manager_total_listeners_active{{{_PROXY}}})",
                    "listeners {{pod}}",
                ),
                Query(
                    f"max by (pod) (envoy_cluster_manager_active_clusters{{{_PROXY}}})",
                    "clusters {{pod}}",
                ),
            ),
            "short",
        ),
        Panel(
            "Snapshots and refusals",
            "Configuration that the controller handed out a second, by outcome, and what proxies "
            "refused as it counts it (Envoy Gateway 1.9 and later).",
            (
                Query(rate("xds_snapshot_update_total", _CONTROLLER, "status"), "{{status}}"),
                Query(
                    rate("xds_nack_total", _CONTROLLER),
                    "refused",
                    empty="no proxy has refused anything",
                ),
            ),
            "ops",
        ),
    ),
)
_WORK = Row(
    "Controller",
    (
        Panel(
            "Messages that wait",
            "Between the parts of the controller. More than a few for long: it cannot keep up.",
            (
                Query(
                    f"max by (runner, message) (watchable_depth{{{_CONTROLLER}}})",
                    "{{runner}} {{message}}",
                ),
            ),
            "short",
        ),
        Panel(
            "Time for a message, P99",
            "How long a part of the controller works on one.",
            (
                Query(
                    quantile(0.99, "watchable_subscribe_duration_seconds", _CONTROLLER, "runner"),
                    "{{runner}}",
                ),
            ),
            "s",
        ),
        Panel(
            "Status written",
            "A second by outcome. Failures that last: conditions of Gateways and routes are old.",
            (Query(rate("status_update_total", _CONTROLLER, "status"), "{{status}}"),),
            "ops",
        ),
        Panel(
            "Resources of proxies written",
            "A second by kind and outcome: Deployments, Services and others of the proxies.",
            (
                Query(
                    rate("resource_apply_total", _CONTROLLER, "kind, status"), "{{kind}} {{status}}"
                ),
            ),
            "ops",
        ),
        Panel(
            "Reconciles",
            "A second by result.",
            (
                Query(
                    rate("controller_runtime_reconcile_total", _CONTROLLER, "result"),
                    "{{result}}",
                ),
            ),
            "ops",
        ),
        Panel(
            "Answers of the API server",
            "To the controller, a second by code.",
            (Query(rate("rest_client_requests_total", _CONTROLLER, "code"), "{{code}}"),),
            "reqps",
            stacked=True,
        ),
        Panel(
            "Memory",
            "Of a replica.",
            (Query(f"max by (pod) (process_resident_memory_bytes{{{_CONTROLLER}}})", "{{pod}}"),),
            "bytes",
        ),
        Panel(
            "CPU",
            "Cores that a replica uses.",
            (Query(rate("process_cpu_seconds_total", _CONTROLLER, "pod"), "{{pod}}"),),
            "short",
        ),
        Panel(
            "Leader",
            "1 for the replica that writes status and manages proxies.",
            (Query(f"max by (pod) (leader_election_master_status{{{_CONTROLLER}}})", "{{pod}}"),),
            "short",
        ),
    ),
)
_KUBERNETES = Row(
    "Kubernetes",
    (
        Panel(
            "Gateways",
            "Conditions as kube-state-metrics reads them: 1 is True.",
            (
                Query(f"max by (namespace, name) ({_PROGRAMMED})", "Programmed"),
                Query(
                    'max by (namespace, name) (gatewayapi_gateway_status{type="Accepted"})',
                    "Accepted",
                ),
                Query(
                    "sum by (namespace, name) (gatewayapi_gateway_status_listener_attached_routes)",
                    "Routes",
                ),
            ),
            "short",
            "table",
            width=12,
            columns=(
                Column("Programmed", "short", ((None, "red"), (1, "green"))),
                Column("Accepted", "short", ((None, "red"), (1, "green"))),
                Column("Routes", "short"),
            ),
        ),
        Panel(
            "Routes with a problem",
            "Parents of routes that are not Accepted, or whose references are not resolved.",
            (
                Query(
                    "max by (namespace, name, parent_namespace, parent_name) "
                    f"({_states('(accepted|resolved_refs)')} == 0)",
                    "True",
                ),
            ),
            "short",
            "table",
            width=12,
            columns=(Column("True", "short"),),
            empty="all routes are Accepted, and their references resolved",
        ),
        Panel(
            "Replicas",
            "Available of those that are wanted, of the controller and of proxies.",
            (
                Query(
                    "sum by (namespace, deployment) (kube_deployment_status_replicas_available"
                    '{deployment=~"envoy.*"})',
                    "{{deployment}}",
                ),
            ),
            "short",
        ),
        Panel(
            "Restarts of containers",
            "In the last hour, of Pods of the controller and of proxies.",
            (
                Query(
                    "sum by (pod) (increase(kube_pod_container_status_restarts_total"
                    '{pod=~"envoy.*"}[1h]))',
                    "{{pod}}",
                ),
            ),
            "short",
            steps=((None, "green"), (1, "red")),
        ),
        Panel(
            "Topology webhook",
            "Calls a second by outcome: it tells Pods of proxies which zone they are in.",
            (
                Query(
                    rate("topology_injector_webhook_events_total", _CONTROLLER, "status"),
                    "{{status}}",
                ),
            ),
            "ops",
            empty="no Pod of a proxy was made since the controller started",
        ),
    ),
)
_LIMITS = Row(
    "Rate limit service",
    (
        Panel(
            "Decisions",
            "A second: all, near the limit, above it.",
            (
                Query(rate("ratelimit_service_rate_limit_total_hits", _RATELIMIT), "all"),
                Query(rate("ratelimit_service_rate_limit_near_limit", _RATELIMIT), "near"),
                Query(rate("ratelimit_service_rate_limit_over_limit", _RATELIMIT), "above"),
            ),
            "reqps",
            empty="no rate limit service runs",
        ),
        Panel(
            "Errors of the service",
            "A second: what it could not decide, and settings that it could not load.",
            (
                Query(rate("ratelimit_service_should_rate_limit_error", _RATELIMIT), "decisions"),
                Query(rate("ratelimit_service_config_load_error", _RATELIMIT), "settings"),
            ),
            "ops",
            empty="no rate limit service runs",
        ),
        Panel(
            "Time to decide, P99",
            "Every request of a limited route waits for it.",
            (Query(quantile(0.99, "ratelimit_service_response_time_seconds", _RATELIMIT), "P99"),),
            "s",
            empty="no rate limit service runs",
        ),
    ),
)
_SCRAPES = Row(
    "Scrapes",
    (
        Panel(
            "Targets up",
            "Of proxies, controller and rate limit service.",
            (Query(f'sum by (job) (up{{job=~"envoy-.+", {_CLUSTER}}})', "{{job}}"),),
            "short",
        ),
        Panel(
            "Series",
            "That a target has and that are kept of them.",
            (
                Query(f"sum(scrape_samples_scraped{{{_PROXY}}})", "proxies have"),
                Query(f"sum(scrape_samples_post_metric_relabeling{{{_PROXY}}})", "proxies: kept"),
            ),
            "short",
        ),
        Panel(
            "Time of a scrape",
            "The slowest target. Near to the interval, scrapes are lost.",
            (
                Query(
                    f'max by (job) (scrape_duration_seconds{{job=~"envoy-.+", {_CLUSTER}}})',
                    "{{job}}",
                ),
            ),
            "s",
        ),
    ),
)

CONTROL_PLANE = Dashboard(
    "control-plane",
    "Envoy: control plane",
    "The controller, whether proxies have what it wants, and what Kubernetes says of both.",
    ("cluster",),
    (_NOW, _XDS, _WORK, _KUBERNETES, _LIMITS, _SCRAPES),
)
