"""
What Envoy Gateway would tell an Envoy of one Gateway, in files that Envoy watches.

Names, stat prefixes, ports, bootstrap and the settings of listeners and clusters are those of
config dumps of 1.8.3 and 1.9.1. Two things differ: the resources come from files, where Envoy
Gateway sends them over a gRPC stream (which is open here too, but carries nothing), and each Envoy
has a loopback address of its own where a Pod would have its own network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]
TYPES = "type.googleapis.com/envoy"
HTTP, HTTPS, ADMIN, STATS, READY, XDS = 10080, 10443, 19000, 19001, 19003, 18000


def typed(type_: str, /, **fields: Any) -> Json:
    """A ``typed_config``: + type_: such as "config.cluster.v3.Cluster"."""
    return {"@type": f"{TYPES}.{type_}", **fields}


def at(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}


@dataclass
class Route:
    """
    An HTTPRoute with one rule.

    + endpoints: where its Service's endpoints are; none and ``status`` None is a route to a
      cluster without members
    + status: Envoy Gateway's own answer instead of a backend's, such as 503 without ready endpoints
    + cluster, action: more fields of the cluster and of the route's action
    + filters: ``typed_per_filter_config``; + hostnames: of the route
    """

    name: str
    endpoints: list[tuple[str, int]]
    hostnames: tuple[str, ...] = ("shop.lab.test",)
    path: str = "/"
    status: int | None = None
    cluster: Json = field(default_factory=dict)
    action: Json = field(default_factory=dict)
    filters: Json = field(default_factory=dict)


@dataclass
class Gateway:
    """
    One Gateway, and all that one Envoy of it is told.

    + namespace, name: of the Gateway and of its routes; + address: where Envoy listens
    + controller: where the controller's stream is
    + certificates: (Secret such as "edge/shop-tls", PEM chain, PEM key) of listener https; none
      leaves that listener out
    + filters: HTTP filters before the router; + network: filters before HTTP's
    + more_clusters: what policies need; + listener: more fields of both listeners
    + connections, heap: limits of the overload manager
    + kept: how the names of metrics begin that Envoy makes; all where it is empty
    """

    namespace: str
    address: str
    controller: str
    name: str = "public"
    routes: list[Route] = field(default_factory=list)
    certificates: list[tuple[str, str, str]] = field(default_factory=list)
    filters: list[Json] = field(default_factory=list)
    network: list[Json] = field(default_factory=list)
    more_clusters: list[Json] = field(default_factory=list)
    more_listeners: list[Json] = field(default_factory=list)
    listener: Json = field(default_factory=dict)
    connections: int = 50_000
    heap: int = 858_993_459
    kept: tuple[str, ...] = ()

    def cluster_name(self, route: Route) -> str:
        return f"httproute/{self.namespace}/{route.name}/rule/0"

    def write(self, folder: Path) -> None:
        """Every file of it; those that stay the same are not touched, so Envoy reads no more."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, resources in self._resources(folder).items():
            _replace(folder / name, {"resources": resources})

    def _resources(self, folder: Path) -> dict[str, list[Json]]:
        files: dict[str, list[Json]] = {
            "listeners.json": self._listeners(folder),
            "clusters.json": self._clusters(folder),
            "routes-http.json": [self._route_config("http", self.routes)],
            "endpoints-local.json": [_endpoints(f"{self.namespace}/{self.name}", [])],
        }
        if self.certificates:
            files["routes-https.json"] = [self._route_config("https", self.routes)]
        for route in self.routes:
            name = self.cluster_name(route)
            files[f"endpoints-{route.name}.json"] = [_endpoints(name, route.endpoints)]
        for number, (name, chain, key) in enumerate(self.certificates):
            files[f"secret-{number}.json"] = [
                typed(
                    "extensions.transport_sockets.tls.v3.Secret",
                    name=name,
                    tls_certificate={
                        "certificate_chain": {"inline_string": chain},
                        "private_key": {"inline_string": key},
                    },
                )
            ]
        return files

    def _listeners(self, folder: Path) -> list[Json]:
        made = [self._ready(), self._listener("http", HTTP, folder), *self.more_listeners]
        if self.certificates:
            made.append(self._listener("https", HTTPS, folder))
        return made

    def _ready(self) -> Json:
        match = [{"name": ":path", "string_match": {"exact": "/ready"}}]
        check = typed("extensions.filters.http.health_check.v3.HealthCheck", headers=match)
        check["pass_through_mode"] = False
        routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 500}}]
        manager = typed(
            "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix="eg-ready-http",
            route_config={
                "name": "ready_route",
                "virtual_hosts": [{"name": "ready_route", "domains": ["*"], "routes": routes}],
            },
            http_filters=[
                {"name": "envoy.filters.http.health_check", "typed_config": check},
                _router(),
            ],
        )
        return typed(
            "config.listener.v3.Listener",
            name=f"envoy-gateway-proxy-ready-0.0.0.0-{READY}",
            address=at(self.address, READY),
            bypass_overload_manager=True,
            filter_chains=[{"filters": [_http(manager)]}],
        )

    def _listener(self, name: str, port: int, folder: Path) -> Json:
        full = f"{self.namespace}/{self.name}/{name}"
        manager = typed(
            "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix=f"{name}-{port}",
            common_http_protocol_options={"headers_with_underscores_action": "REJECT_REQUEST"},
            http2_protocol_options={
                "initial_connection_window_size": 1048576,
                "initial_stream_window_size": 65536,
                "max_concurrent_streams": 100,
            },
            merge_slashes=True,
            normalize_path=True,
            path_with_escaped_slashes_action="UNESCAPE_AND_REDIRECT",
            server_header_transformation="PASS_THROUGH",
            use_remote_address=True,
            rds={
                "route_config_name": full,
                "config_source": _watched(folder / f"routes-{name}.json"),
            },
            http_filters=[*self.filters, _router()],
        )
        chain: Json = {"name": full, "filters": [*self.network, _http(manager)]}
        made = typed(
            "config.listener.v3.Listener",
            name=full,
            address=at(self.address, port),
            max_connections_to_accept_per_socket_event=1,
            per_connection_buffer_limit_bytes=32768,
            **self.listener,
        )
        if name == "http":
            return {**made, "default_filter_chain": chain}
        chain["transport_socket"] = self._transport_socket(folder)
        chain["filter_chain_match"] = {"server_names": ["*.lab.test"]}
        inspector = {
            "name": "envoy.filters.listener.tls_inspector",
            "typed_config": typed("extensions.filters.listener.tls_inspector.v3.TlsInspector"),
        }
        return {**made, "filter_chains": [chain], "listener_filters": [inspector]}

    def _transport_socket(self, folder: Path) -> Json:
        secrets = [
            {"name": name, "sds_config": _watched(folder / f"secret-{number}.json")}
            for number, (name, *_) in enumerate(self.certificates)
        ]
        context = typed(
            "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            common_tls_context={
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificate_sds_secret_configs": secrets,
            },
            disable_stateful_session_resumption=True,
            disable_stateless_session_resumption=True,
        )
        return {"name": "envoy.transport_sockets.tls", "typed_config": context}

    def _route_config(self, listener: str, routes: list[Route]) -> Json:
        full = f"{self.namespace}/{self.name}/{listener}"
        by_host: dict[tuple[str, ...], list[Json]] = {}
        for route in routes:
            by_host.setdefault(route.hostnames, []).append(self._route(route))
        return typed(
            "config.route.v3.RouteConfiguration",
            name=full,
            ignore_port_in_host_matching=True,
            virtual_hosts=[
                {
                    "name": f"{full}/{hosts[0].replace('.', '_')}",
                    "domains": list(hosts),
                    "routes": found,
                }
                for hosts, found in by_host.items()
            ],
        )

    def _route(self, route: Route) -> Json:
        name = f"{self.cluster_name(route)}/match/0/{route.hostnames[0].replace('.', '_')}"
        made: Json = {"name": name, "match": {"prefix": route.path}}
        if route.filters:
            made["typed_per_filter_config"] = route.filters
        if route.status is not None:
            return {**made, "direct_response": {"status": route.status}}
        action = {"cluster": self.cluster_name(route), **route.action}
        return {**made, "route": {**action, "upgrade_configs": [{"upgrade_type": "websocket"}]}}

    def _clusters(self, folder: Path) -> list[Json]:
        """A route that is answered by Envoy Gateway itself has no cluster."""
        return [
            *(self._cluster(it, folder) for it in self.routes if it.status is None),
            *self.more_clusters,
        ]

    def _cluster(self, route: Route, folder: Path) -> Json:
        resource = {"kind": "HTTPRoute", "name": route.name, "namespace": self.namespace}
        made = typed(
            "config.cluster.v3.Cluster",
            name=self.cluster_name(route),
            type="EDS",
            circuit_breakers={"thresholds": [{"max_retries": 1024}]},
            common_lb_config={},
            connect_timeout="10s",
            dns_lookup_family="V4_ONLY",
            eds_cluster_config={
                "service_name": self.cluster_name(route),
                "eds_config": _watched(folder / f"endpoints-{route.name}.json"),
            },
            ignore_health_on_host_removal=True,
            load_balancing_policy=_least_request({"locality_weighted_lb_config": {}}),
            metadata={"filter_metadata": {"envoy-gateway": {"resources": [resource]}}},
            per_connection_buffer_limit_bytes=32768,
        )
        return {**made, **route.cluster}

    def bootstrap(self, folder: Path) -> Json:
        """What an Envoy is started with."""
        local = f"{self.namespace}/{self.name}"
        return {
            "admin": {"address": at(self.address, ADMIN)},
            "cluster_manager": {"local_cluster_name": local},
            "node": {"locality": {"zone": "lab-1"}},
            "deferred_stat_options": {"enable_deferred_creation_stats": True},
            "stats_config": self._stats_config(),
            "layered_runtime": {
                "layers": [
                    {
                        "name": "global_config",
                        "static_layer": {
                            "re2.max_program_size.error_level": 4294967295,
                            "re2.max_program_size.warn_level": 1000,
                        },
                    }
                ]
            },
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "xds_cluster"}}],
                    "set_node_on_first_message_only": True,
                },
                "lds_config": _watched(folder / "listeners.json"),
                "cds_config": _watched(folder / "clusters.json"),
            },
            "static_resources": {
                "listeners": [self._stats()],
                "clusters": [
                    _static("prometheus_stats", self.address, ADMIN, "0.250s"),
                    {
                        "name": local,
                        "type": "EDS",
                        "connect_timeout": "10s",
                        "eds_cluster_config": {
                            "service_name": local,
                            "eds_config": _watched(folder / "endpoints-local.json"),
                        },
                        "load_balancing_policy": _least_request(
                            {"zone_aware_lb_config": {"min_cluster_size": "1"}}
                        ),
                    },
                    speaking_http2(_static("xds_cluster", self.controller, XDS, "10s")),
                ],
            },
            "overload_manager": self._overload(),
        }

    def _stats_config(self) -> Json:
        made: Json = {"use_all_default_tags": True, "stats_tags": _stats_tags()}
        if self.kept:
            patterns = [{"prefix": it} for it in self.kept]
            made["stats_matcher"] = {"inclusion_list": {"patterns": patterns}}
        return made

    def _stats(self) -> Json:
        get = {"name": ":method", "string_match": {"exact": "GET"}}
        route = {
            "match": {"path": "/stats/prometheus", "headers": [get]},
            "route": {"cluster": "prometheus_stats"},
        }
        manager = typed(
            "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix="eg-stats-http",
            normalize_path=True,
            route_config={
                "name": "local_route",
                "virtual_hosts": [
                    {"name": "prometheus_stats", "domains": ["*"], "routes": [route]}
                ],
            },
            http_filters=[_router()],
        )
        return {
            "name": f"envoy-gateway-proxy-stats-0.0.0.0-{STATS}",
            "address": at(self.address, STATS),
            "bypass_overload_manager": True,
            "filter_chains": [{"filters": [_http(manager)]}],
        }

    def _overload(self) -> Json:
        heap, connections = "fixed_heap", "global_downstream_max_connections"
        of_heap = typed(
            f"extensions.resource_monitors.{heap}.v3.FixedHeapConfig", max_heap_size_bytes=self.heap
        )
        of_connections = typed(
            "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            max_active_downstream_connections=self.connections,
        )
        monitors = {heap: of_heap, connections: of_connections}
        return {
            "refresh_interval": "0.25s",
            "resource_monitors": [
                {"name": f"envoy.resource_monitors.{name}", "typed_config": config}
                for name, config in monitors.items()
            ],
            "actions": [
                {
                    "name": f"envoy.overload_actions.{action}",
                    "triggers": [
                        {"name": f"envoy.resource_monitors.{heap}", "threshold": {"value": value}}
                    ],
                }
                for action, value in (("shrink_heap", 0.95), ("stop_accepting_requests", 0.98))
            ],
        }


def speaking_http2(cluster: Mapping[str, Any]) -> Json:
    options = typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config={
            "http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}
        },
    )
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {**cluster, "typed_extension_protocol_options": {name: options}}


def of_policy(name: str, address: str, port: int, timeout: str = "10s") -> Json:
    """The cluster of a service that a policy asks, such as an authorization server."""
    return typed("config.cluster.v3.Cluster", **_static(name, address, port, timeout))


def _static(name: str, address: str, port: int, timeout: str) -> Json:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": timeout,
        "load_assignment": _assignment(name, [(address, port)]),
    }


def _assignment(name: str, endpoints: list[tuple[str, int]]) -> Json:
    members = [{"endpoint": {"address": at(*it)}, "load_balancing_weight": 1} for it in endpoints]
    group = {"lb_endpoints": members, "load_balancing_weight": 1}
    group["locality"] = {"region": f"{name}/backend/0"}
    return {"cluster_name": name, "endpoints": [group] if members else []}


def _endpoints(name: str, endpoints: list[tuple[str, int]]) -> Json:
    return typed("config.endpoint.v3.ClusterLoadAssignment", **_assignment(name, endpoints))


def _router() -> Json:
    router = typed("extensions.filters.http.router.v3.Router", suppress_envoy_headers=True)
    return {"name": "envoy.filters.http.router", "typed_config": router}


def _http(manager: Json) -> Json:
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def _watched(path: Path) -> Json:
    return {
        "path_config_source": {"path": str(path)},
        "resource_api_version": "V3",
        "initial_fetch_timeout": "0s",
    }


def _least_request(locality: Json) -> Json:
    config = typed(
        "extensions.load_balancing_policies.least_request.v3.LeastRequest",
        locality_lb_config=locality,
    )
    name = "envoy.load_balancing_policies.least_request"
    return {"policies": [{"typed_extension_config": {"name": name, "typed_config": config}}]}


def _stats_tags() -> list[Json]:
    return [
        {"regex": r"\.zone(\.(([^\.]+)\.))", "tag_name": "from_zone"},
        {"regex": r"\.zone\.[^\.]+\.(([^\.]+)\.)", "tag_name": "to_zone"},
        {"regex": r"^cluster(\..+\.(.+))\.total_match_count$", "tag_name": "socket_match_name"},
        {"regex": r"circuit_breakers\.((.+?)\.).+", "tag_name": "priority"},
    ]


def _replace(path: Path, content: Json) -> None:
    """Envoy sees a file that is moved into place, never a half of one."""
    text = json.dumps(content)
    if path.exists() and path.read_text() == text:
        return
    half = path.with_suffix(".half")
    half.write_text(text)
    half.replace(path)
