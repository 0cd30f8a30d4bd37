"""
The same world as a plain Envoy has it: one static configuration, written by hand. Clusters are
named for their application, routes have no names, and nothing tells of Kubernetes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.captures import xds
from tests.captures.world import Json, World
from tests.scenes.gateway import typed

TLS = "extensions.transport_sockets.tls.v3"


def write(world: World, address: str, folder: Path) -> Json:
    """What an Envoy is started with."""
    found = xds.resources(world, address, folder)
    names = clusters(world)
    secrets = {
        one["name"]: one
        for name, said in found.items()
        if name.startswith("secret-")
        for one in said
    }
    tables = {
        one["name"]: one
        for name, said in found.items()
        if name.startswith("routes-")
        for one in said
    }
    assignments = {
        one["cluster_name"]: one
        for name, said in found.items()
        if name.startswith("endpoints-")
        for one in said
    }
    made: Json = {
        "node": {"id": f"{world.gateway[1]}-1", "cluster": world.gateway[1]},
        "static_resources": {
            "listeners": [_listener(it, tables, secrets, names) for it in found["listeners.json"]],
            "clusters": [_cluster(it, assignments, names) for it in found["clusters.json"]],
        },
        **xds.server(address),
    }
    renamed: Json = _renamed(made, names)
    return renamed


def clusters(world: World) -> dict[str, str]:
    """
    By their names in an Envoy Gateway: they are called as their Service, and those that would be
    called as another one has the route in its name too.
    """
    made: dict[str, str] = {}
    for route in (world.route, *world.routes):
        for number, rule in enumerate(route.rules):
            if rule.services and (old := route.cluster(number)) not in made:
                name = rule.services[0][0].name
                taken = name in made.values()
                made[old] = f"{name}_{route.name}_{number}" if taken else name
    for name, service in world.helpers.items():
        made[name] = service.name
    return made


def _listener(it: Json, tables: Json, secrets: Json, names: dict[str, str]) -> Json:
    short = it["name"].rsplit("/", 1)[-1]
    made: Json = {"name": f"listener_{short.replace('-', '_')}", "address": it["address"]}
    if any(log.get("filter") for log in it["access_log"]):
        made["access_log"] = it["access_log"]
    chains = it.get("filter_chains") or [it["default_filter_chain"]]
    made["filter_chains"] = [_chain(one, tables, secrets, names) for one in chains]
    if "listener_filters" in it:
        made["listener_filters"] = it["listener_filters"]
    return made


def _chain(it: Json, tables: Json, secrets: Json, names: dict[str, str]) -> Json:
    manager = dict(it["filters"][0]["typed_config"])
    table = tables[manager.pop("rds")["route_config_name"]]
    for key in (
        "server_header_transformation",
        "path_with_escaped_slashes_action",
        "http2_protocol_options",
        "merge_slashes",
    ):
        manager.pop(key, None)
    short = table["name"].rsplit("/", 1)[-1].replace("-", "_")
    manager["stat_prefix"] = f"ingress_{short}"
    manager["http_filters"] = [*manager["http_filters"][:-1], xds.router(plain=True)]
    said = {key: one for key, one in table.items() if key not in ("@type", "name")}
    said["virtual_hosts"] = [_host(one) for one in table["virtual_hosts"]]
    said.setdefault("validate_clusters", False)
    manager["route_config"] = {"name": f"route_{short}", **said}
    made: Json = {"filters": [xds.http(manager)]}
    if "filter_chain_match" in it:
        made["filter_chain_match"] = it["filter_chain_match"]
    if "transport_socket" in it:
        context = it["transport_socket"]["typed_config"]["common_tls_context"]
        secret = secrets[context["tls_certificate_sds_secret_configs"][0]["name"]]
        common = {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [secret["tls_certificate"]],
        }
        made["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": typed(f"{TLS}.DownstreamTlsContext", common_tls_context=common),
        }
    return made


def _host(it: Json) -> Json:
    routes = [
        {key: one for key, one in route.items() if key not in ("name", "metadata")}
        for route in it["routes"]
    ]
    name = it["name"].rsplit("/", 1)[-1].split("_")[0]
    return {"name": name, "domains": it["domains"], "routes": routes}


def _cluster(it: Json, assignments: Json, names: dict[str, str]) -> Json:
    name = names[it["name"]]
    said = assignments[it["name"]]
    groups = [
        {key: one for key, one in group.items() if key not in ("locality", "load_balancing_weight")}
        for group in said["endpoints"]
    ]
    left_out = ("eds_cluster_config", "load_balancing_policy", "ignore_health_on_host_removal")
    made = {key: one for key, one in it.items() if key not in (*left_out, "@type")}
    made.update(name=name, lb_policy="ROUND_ROBIN")
    if made["type"] == "EDS":
        made["type"] = "STATIC"
    if made.get("common_lb_config") == {}:
        del made["common_lb_config"]
    if made.get("circuit_breakers") == {"thresholds": [{"max_retries": 1024}]}:
        del made["circuit_breakers"]
    if "load_assignment" in made:
        groups = made["load_assignment"]["endpoints"]
    made["load_assignment"] = {"cluster_name": name, "endpoints": groups}
    return made


def _renamed(it: Any, names: dict[str, str]) -> Any:
    if isinstance(it, dict):
        return {_short(key): _renamed(one, names) for key, one in it.items()}
    if isinstance(it, list):
        return [_renamed(one, names) for one in it]
    return names.get(it, _short(it)) if isinstance(it, str) else it


def _short(it: str) -> str:
    """Filters have no policy in their names here."""
    return it.split("/", 1)[0] if it.startswith("envoy.filters.http.") else it
