"""
What Envoy Gateway would tell an Envoy of a world, in files. Names, order and settings are those
of config dumps of 1.8.3 and 1.9.1, and of the shared captures.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from tests.captures.world import Json, Listener, Route, Rule, Service, World
from tests.scenes.gateway import ADMIN, READY, STATS, XDS, at, typed

FORMATS: Mapping[str, Mapping[str, str] | None] = {
    "eg": {
        "start_time": "%START_TIME%",
        "method": "%REQ(:METHOD)%",
        "x-envoy-origin-path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
        "protocol": "%PROTOCOL%",
        "response_code": "%RESPONSE_CODE%",
        "response_flags": "%RESPONSE_FLAGS%",
        "response_code_details": "%RESPONSE_CODE_DETAILS%",
        "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
        "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%",
        "duration": "%DURATION%",
        "x-envoy-upstream-service-time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
        "x-forwarded-for": "%REQ(X-FORWARDED-FOR)%",
        "user-agent": "%REQ(USER-AGENT)%",
        "x-request-id": "%REQ(X-REQUEST-ID)%",
        ":authority": "%REQ(:AUTHORITY)%",
        "upstream_host": "%UPSTREAM_HOST%",
        "upstream_cluster": "%UPSTREAM_CLUSTER%",
        "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
        "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
        "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "requested_server_name": "%REQUESTED_SERVER_NAME%",
        "route_name": "%ROUTE_NAME%",
    },
    "guide": {
        "start_time": "%START_TIME%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
        "protocol": "%PROTOCOL%",
        "response_code": "%RESPONSE_CODE%",
        "response_flags": "%RESPONSE_FLAGS%",
        "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%",
        "duration": "%DURATION%",
        "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
        "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
        "user_agent": "%REQ(USER-AGENT)%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "upstream_host": "%UPSTREAM_HOST%",
        "upstream_cluster": "%UPSTREAM_CLUSTER%",
        "grpc_status": "%GRPC_STATUS%",
    },
    "default": None,
}
MANAGER = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def access_logs(folder: Path, *, only_nr: bool = False) -> list[Json]:
    """All three formats, each in a file of its own."""
    made = []
    for name, fields in FORMATS.items():
        logger = typed("extensions.access_loggers.file.v3.FileAccessLog", path=str(folder / name))
        if fields is not None:
            logger["log_format"] = {"json_format": dict(fields)}
        entry: Json = {"name": "envoy.access_loggers.file", "typed_config": logger}
        if only_nr:
            entry["filter"] = {"response_flag_filter": {"flags": ["NR"]}}
        made.append(entry)
    return made


def watched(path: Path) -> Json:
    return {
        "path_config_source": {"path": str(path)},
        "initial_fetch_timeout": "0s",
        "resource_api_version": "V3",
    }


def router(*, plain: bool = False) -> Json:
    said = {} if plain else {"suppress_envoy_headers": True}
    config = typed("extensions.filters.http.router.v3.Router", **said)
    return {"name": "envoy.filters.http.router", "typed_config": config}


def http(manager: Json) -> Json:
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def match(said: Json) -> Json:
    """Of Gateway API, as Envoy has it."""
    path = said.get("path", {"type": "PathPrefix", "value": "/"})
    value = path["value"]
    made: Json
    if path["type"] == "Exact":
        made = {"path": value}
    elif path["type"] == "RegularExpression":
        made = {"safe_regex": {"regex": value}}
    else:
        made = {"prefix": "/"} if value == "/" else {"path_separated_prefix": value}
    headers = [
        {"name": it["name"], "string_match": {"exact": it["value"]}}
        for it in said.get("headers", ())
    ]
    if method := said.get("method"):
        if isinstance(method, Mapping):
            made = {"path": f"/{method['service']}/{method['method']}"}
        else:
            headers.append({"name": ":method", "string_match": {"exact": method}})
    if headers:
        made["headers"] = headers
    if queries := said.get("queryParams"):
        made["query_parameters"] = [
            {"name": it["name"], "string_match": {"exact": it["value"]}} for it in queries
        ]
    return made


def label(host: str) -> str:
    return host.replace("*", "wildcard").replace(".", "_")


def env_route(route: Route, number: int, index: int, said: Json, host: str) -> Json:
    rule = route.rules[number]
    resource = {"kind": route.kind, "namespace": route.namespace, "name": route.name}
    made: Json = {
        "name": f"{route.cluster(number)}/match/{index}/{label(host)}",
        "match": match(said),
        "metadata": {"filter_metadata": {"envoy-gateway": {"resources": [resource]}}},
    }
    if rule.per_filter:
        made["typed_per_filter_config"] = rule.per_filter
    if rule.instead is not None:
        return {**made, **rule.instead}
    action: Json = {
        "cluster": route.cluster(number),
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        **rule.action,
    }
    if "weighted_clusters" in action or "cluster_header" in action:
        del action["cluster"]
    return {**made, "route": action}


def precedence(said: Json) -> tuple[int, int, int, int]:
    """The most exact match comes first, as Gateway API has it."""
    path = said.get("path", {"type": "PathPrefix", "value": "/"})
    kinds = {"Exact": 2, "RegularExpression": 1, "PathPrefix": 0}
    return (
        -kinds[path["type"]],
        -len(path["value"]),
        -("method" in said),
        -len(said.get("headers", ())),
    )


def table(world: World, listener: Listener) -> Json:
    """The RouteConfiguration of a listener."""
    name = "/".join((*world.gateway, listener.name))
    by_host: dict[str, list[tuple[tuple[int, int, int, int], Json]]] = {}
    for route in world.routes:
        if not route.attached or not attached(route, listener):
            continue
        for host in route.hosts:
            found = by_host.setdefault(host, [])
            for number, rule in enumerate(route.rules):
                for index, said in enumerate(rule.matches or [{}]):
                    found.append((precedence(said), env_route(route, number, index, said, host)))
    hosts: list[Json] = [
        {
            "name": f"{name}/{label(host)}",
            "domains": [host],
            "routes": [it for _, it in sorted(found, key=lambda one: one[0])],
        }
        for host, found in by_host.items()
    ]
    if more := world.catch_all.get(listener.name):
        hosts.append({"name": f"{name}/wildcard", "domains": ["*"], "routes": more})
    said = {"ignore_port_in_host_matching": True, **world.table}
    kept = {key: it for key, it in said.items() if it is not None}
    return typed("config.route.v3.RouteConfiguration", name=name, virtual_hosts=hosts, **kept)


def attached(route: Route, listener: Listener) -> bool:
    if route.sections:
        return listener.name in route.sections
    return listener.secret is None


def manager(world: World, listener: Listener, folder: Path) -> Json:
    kind = "https" if listener.secret else "http"
    name = "/".join((*world.gateway, listener.name))
    said = typed(
        MANAGER,
        stat_prefix=f"{kind}-{listener.inner}",
        rds={
            "config_source": watched(folder / f"routes-{listener.name}.json"),
            "route_config_name": name,
        },
        http_filters=[*world.filters, router()],
        http2_protocol_options={
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65536,
            "initial_connection_window_size": 1048576,
        },
        access_log=access_logs(folder),
        use_remote_address=True,
        normalize_path=True,
        merge_slashes=True,
        server_header_transformation="PASS_THROUGH",
        common_http_protocol_options={"headers_with_underscores_action": "REJECT_REQUEST"},
        path_with_escaped_slashes_action="UNESCAPE_AND_REDIRECT",
    )
    merged = {**said, **world.manager}
    return {key: it for key, it in merged.items() if it is not None}


def listeners(world: World, address: str, folder: Path) -> list[Json]:
    """Listeners of one port are one of Envoy's: those with TLS are its filter chains."""
    by_port: dict[int, list[Listener]] = {}
    for it in world.listeners:
        by_port.setdefault(it.inner, []).append(it)
    return [_listener(world, address, folder, found) for found in by_port.values()]


def _listener(world: World, address: str, folder: Path, found: list[Listener]) -> Json:
    first = found[0]
    made = typed(
        "config.listener.v3.Listener",
        name="/".join((*world.gateway, first.name)),
        address=at(address, first.inner),
        per_connection_buffer_limit_bytes=32768,
        access_log=access_logs(folder, only_nr=True),
    )
    chains = []
    for it in found:
        name = "/".join((*world.gateway, it.name))
        chain: Json = {"filters": [http(manager(world, it, folder))], "name": name}
        if it.secret is not None:
            if it.hostname is not None:
                chain["filter_chain_match"] = {"server_names": [it.hostname]}
            chain["transport_socket"] = downstream_tls(folder, it.secret)
        chains.append(chain)
    if first.secret is None:
        return {**made, "default_filter_chain": chains[0]}
    inspector = {
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": typed("extensions.filters.listener.tls_inspector.v3.TlsInspector"),
    }
    return {**made, "filter_chains": chains, "listener_filters": [inspector]}


def downstream_tls(folder: Path, secret: tuple[str, str]) -> Json:
    name = "/".join(secret)
    context = typed(
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificate_sds_secret_configs": [
                {"name": name, "sds_config": watched(folder / f"secret-{'-'.join(secret)}.json")}
            ],
        },
        disable_stateless_session_resumption=True,
        disable_stateful_session_resumption=True,
    )
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def cluster(name: str, file: Path, **more: object) -> Json:
    locality = typed(
        "extensions.load_balancing_policies.least_request.v3.LeastRequest",
        locality_lb_config={"locality_weighted_lb_config": {}},
    )
    policy = {"name": "envoy.load_balancing_policies.least_request", "typed_config": locality}
    made = typed(
        "config.cluster.v3.Cluster",
        name=name,
        type="EDS",
        eds_cluster_config={"eds_config": watched(file), "service_name": name},
        connect_timeout="10s",
        per_connection_buffer_limit_bytes=32768,
        circuit_breakers={"thresholds": [{"max_retries": 1024}]},
        dns_lookup_family="V4_PREFERRED",
        common_lb_config={},
        ignore_health_on_host_removal=True,
        load_balancing_policy={"policies": [{"typed_extension_config": policy}]},
    )
    return {**made, **more}


def assignment(name: str, services: list[tuple[Service, int]]) -> Json:
    groups = []
    for number, (service, weight) in enumerate(services):
        members = []
        for it in service.endpoints:
            member: Json = {"endpoint": {"address": at(*it)}, "load_balancing_weight": 1}
            if service.health != "UNKNOWN":
                member["health_status"] = service.health
            if service.matched:
                socket = {"name": f"{name}/tls/{number}"}
                metadata = {"filter_metadata": {"envoy.transport_socket_match": socket}}
                member["metadata"] = metadata
            members.append(member)
        if members:
            place = {"region": f"{name}/backend/{number}"}
            group = {"locality": place, "lb_endpoints": members, "load_balancing_weight": weight}
            groups.append(group)
    return typed("config.endpoint.v3.ClusterLoadAssignment", cluster_name=name, endpoints=groups)


def rules(world: World) -> list[tuple[str, Rule]]:
    """Rules that have a cluster of their own, with its name."""
    return [
        (route.cluster(number), rule)
        for route in world.routes
        for number, rule in enumerate(route.rules)
        if rule.instead is None and rule.services and not rule.missing and route.attached
    ]


def file_of(name: str) -> str:
    return f"endpoints-{name.replace('/', '-')}.json"


def resources(world: World, address: str, folder: Path) -> dict[str, list[Json]]:
    """What each file says, by its name."""
    clusters = [
        *(cluster(name, folder / file_of(name), **rule.cluster) for name, rule in rules(world)),
        *(
            cluster(name, folder / file_of(name), **{"connect_timeout": "1s", **_of(world, name)})
            for name in world.helpers
        ),
    ]
    found: dict[str, list[Json]] = {
        "clusters.json": clusters,
        "listeners.json": listeners(world, address, folder),
    }
    for it in world.listeners:
        found[f"routes-{it.name}.json"] = [table(world, it)]
    for name, rule in rules(world):
        found[file_of(name)] = [assignment(name, rule.services)]
    for name, service in world.helpers.items():
        found[file_of(name)] = [assignment(name, [(service, 1)])]
    for (namespace, name), pair in world.pairs.items():
        chain = pair.pem if world.authority is None else pair.pem + world.authority.pem
        found[f"secret-{namespace}-{name}.json"] = [
            typed(
                "extensions.transport_sockets.tls.v3.Secret",
                name=f"{namespace}/{name}",
                tls_certificate={
                    "certificate_chain": {"inline_string": chain.decode()},
                    "private_key": {"inline_string": pair.key_pem().decode()},
                },
            )
        ]
    return found


def _of(world: World, name: str) -> Json:
    """More fields of a helper's cluster."""
    return next((it["fields"] for it in world.extra if it["name"] == name), {})


def static(name: str, address: str, port: int) -> Json:
    members = [{"endpoint": {"address": at(address, port)}}]
    endpoints = [{"lb_endpoints": members}]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.250s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def _inner(address: str, port: int, what: str, routes: list[Json], filters: list[Json]) -> Json:
    """The listeners of Envoy Gateway's own."""
    said = typed(
        MANAGER,
        stat_prefix=f"eg-{what}-http",
        route_config={
            "name": "local_route",
            "virtual_hosts": [{"name": f"eg-{what}-http", "domains": ["*"], "routes": routes}],
        },
        http_filters=[*filters, router(plain=True)],
        normalize_path=True,
    )
    return {
        "name": f"envoy-gateway-proxy-{what}-0.0.0.0-{port}",
        "address": at(address, port),
        "filter_chains": [{"filters": [http(said)]}],
        "bypass_overload_manager": True,
    }


def bootstrap(world: World, address: str, folder: Path) -> Json:
    get = [{"name": ":method", "string_match": {"exact": "GET"}}]
    stats = {"match": {"path": "/stats/prometheus", "headers": get}}
    ready = [{"name": ":path", "string_match": {"exact": "/ready"}}]
    check = typed(
        "extensions.filters.http.health_check.v3.HealthCheck",
        pass_through_mode=False,
        headers=ready,
    )
    return {
        "node": {
            "id": f"envoy-{'-'.join(world.gateway)}",
            "cluster": "/".join(world.gateway),
            "locality": {"zone": "zone-1"},
        },
        "static_resources": {
            "listeners": [
                _inner(
                    address,
                    STATS,
                    "stats",
                    [{**stats, "route": {"cluster": "prometheus_stats"}}],
                    [],
                ),
                _inner(
                    address,
                    READY,
                    "ready",
                    [{"match": {"prefix": "/"}, "direct_response": {"status": 500}}],
                    [{"name": "envoy.filters.http.health_check", "typed_config": check}],
                ),
            ],
            "clusters": [
                static("prometheus_stats", address, ADMIN),
                static("xds_cluster", address, XDS),
            ],
        },
        "dynamic_resources": {
            "lds_config": watched(folder / "listeners.json"),
            "cds_config": watched(folder / "clusters.json"),
        },
        **server(address),
        "stats_config": {
            "use_all_default_tags": True,
            "stats_tags": [
                {"regex": r"\.zone(\.(([^\.]+)\.))", "tag_name": "from_zone"},
                {"regex": r"\.zone\.[^\.]+\.(([^\.]+)\.)", "tag_name": "to_zone"},
                {"regex": r"^cluster(\..+\.(.+))\.total_match_count$", "tag_name": "socket_match"},
                {"regex": r"circuit_breakers\.((.+?)\.).+", "tag_name": "priority"},
            ],
        },
    }


def server(address: str) -> Json:
    """What both shapes have of a bootstrap."""
    connections = typed(
        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections="50000",
    )
    monitor = "envoy.resource_monitors.global_downstream_max_connections"
    layer = {
        "re2.max_program_size.error_level": 4294967295,
        "re2.max_program_size.warn_level": 1000,
    }
    return {
        "stats_flush_interval": "1s",
        "admin": {"address": at(address, ADMIN)},
        "overload_manager": {
            "refresh_interval": "0.250s",
            "resource_monitors": [{"name": monitor, "typed_config": connections}],
        },
        "layered_runtime": {"layers": [{"name": "global_config", "static_layer": layer}]},
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
    }


def write(world: World, address: str, folder: Path) -> Json:
    """Every file; what an Envoy is started with comes back."""
    import json

    version = str(time.time_ns())
    for name, found in resources(world, address, folder).items():
        said = {"version_info": version, "resources": found}
        (folder / name).write_text(json.dumps(said))
    return bootstrap(world, address, folder)
