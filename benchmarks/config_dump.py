"""
Reading a config dump of 100 MB, as Envoy prints it, and following requests through it.

    python benchmarks/config_dump.py --print        20 s, no cluster and no root

It is that of Envoy Gateway: a listener with 40 filter chains, each with its own route table, their
virtual hosts, routes with what policies add, clusters and endpoints.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import shown

Json = dict[str, Any]
MEGABYTES, CHAINS, HOSTS = 100, 40, 25
#: Requests whose way is followed, to hosts at random places.
REQUESTS = 200
#: What is measured, its bound, and the unit.
BOUNDS: dict[str, tuple[float | None, str]] = {
    "config dump": (None, "MB"),
    "routes": (None, ""),
    "reading: wall": (10.0, "s"),
    "reading: processor time": (None, "s"),
    "reading: memory of the process (RSS)": (1000.0, "MB"),
    "following a request that matches": (None, "ms"),
    "following a request whose host is a typing error": (None, "ms"),
    "reading one that is cut in the middle: wall": (10.0, "s"),
    "reading one that is cut in the middle: memory (RSS)": (1000.0, "MB"),
}


def typed(kind: str, **fields: Any) -> Json:
    return {"@type": f"type.googleapis.com/{kind}", **fields}


def route(host: str, number: int) -> Json:
    name = f"httproute/shop/{host}/rule/{number}"
    object = {"kind": "HTTPRoute", "namespace": "shop", "name": host, "sectionName": str(number)}
    limits = typed(
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="http_local_rate_limiter",
        token_bucket={"max_tokens": 100, "tokens_per_fill": 100, "fill_interval": "1s"},
        filter_enabled={"default_value": {"numerator": 100}},
    )
    return {
        "match": {
            "path_separated_prefix": f"/v1/{number}",
            "headers": [{"name": "x-version", "string_match": {"exact": f"v{number}"}}],
        },
        "route": {
            "cluster": name,
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "retry_policy": {"retry_on": "connect-failure,503", "num_retries": 3},
        },
        "metadata": {"filter_metadata": {"envoy-gateway": {"resources": [object]}}},
        "typed_per_filter_config": {"envoy.filters.http.local_ratelimit": limits},
        "name": f"{name}/match/0/{host}_example_com",
    }


def cluster(name: str) -> Json:
    eds = {"eds_config": {"ads": {}, "resource_api_version": "V3"}, "service_name": name}
    made = typed("envoy.config.cluster.v3.Cluster", name=name, type="EDS", eds_cluster_config=eds)
    made["circuit_breakers"] = {"thresholds": [{"max_retries": 1024}]}
    return {"version_info": "1", "cluster": made, "last_updated": "2026-11-21T02:59:46.702Z"}


def endpoints(name: str) -> Json:
    hosts = [
        {
            "endpoint": {
                "address": {"socket_address": {"address": f"10.0.0.{it}", "port_value": 3000}},
                "health_check_config": {},
            },
            "health_status": "HEALTHY",
            "load_balancing_weight": 1,
        }
        for it in range(3)
    ]
    group = {"locality": {"region": f"{name}/backend/0"}, "lb_endpoints": hosts}
    kind = "envoy.config.endpoint.v3.ClusterLoadAssignment"
    return {"endpoint_config": typed(kind, cluster_name=name, endpoints=[group])}


def chain(number: int) -> Json:
    kind = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    manager = typed(
        kind,
        stat_prefix="https-10443",
        rds={"route_config_name": f"infra/edge/https-{number}"},
        http_filters=[{"name": "envoy.filters.http.router"}],
    )
    socket = typed("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext")
    return {
        "filter_chain_match": {"server_names": [f"host-{number}-{it}.test" for it in range(HOSTS)]},
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ],
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": socket},
        "name": f"infra/edge/https-{number}",
    }


def dump(routes: int) -> Json:
    """+ routes: of each virtual host"""
    tables, clusters, groups = [], [], []
    for number in range(CHAINS):
        hosts = []
        for it in range(HOSTS):
            mine = [route(f"host-{number}-{it}", one) for one in range(routes)]
            name = f"host-{number}-{it}.test"
            hosts.append({"name": name, "domains": [name], "routes": mine})
            clusters += [cluster(one["route"]["cluster"]) for one in mine]
            groups += [endpoints(one["route"]["cluster"]) for one in mine]
        kind = "envoy.config.route.v3.RouteConfiguration"
        table = typed(kind, name=f"infra/edge/https-{number}", virtual_hosts=hosts)
        tables.append({"version_info": "1", "route_config": table})
    address = {"socket_address": {"address": "0.0.0.0", "port_value": 10443}}
    kind = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
    listener = typed(
        "envoy.config.listener.v3.Listener",
        name="infra/edge/https",
        address=address,
        filter_chains=[chain(it) for it in range(CHAINS)],
        listener_filters=[
            {"name": "envoy.filters.listener.tls_inspector", "typed_config": typed(kind)}
        ],
    )
    state = {"name": "infra/edge/https", "active_state": {"listener": listener}}
    admin = "envoy.admin.v3"
    return {
        "configs": [
            typed(f"{admin}.BootstrapConfigDump", bootstrap={}),
            typed(f"{admin}.ClustersConfigDump", dynamic_active_clusters=clusters),
            typed(f"{admin}.EndpointsConfigDump", dynamic_endpoint_configs=groups),
            typed(f"{admin}.ListenersConfigDump", dynamic_listeners=[state]),
            typed(f"{admin}.RoutesConfigDump", dynamic_route_configs=tables),
            typed(f"{admin}.SecretsConfigDump"),
        ]
    }


def written(path: Path) -> float:
    """Megabytes of it: indented by one, as Envoy does."""
    one = len(json.dumps(dump(1), indent=1))
    each = len(json.dumps(dump(2), indent=1)) - one
    routes = 1 + round((MEGABYTES * 1e6 - one) / each)
    path.write_text(json.dumps(dump(routes), indent=1))
    return path.stat().st_size / 1e6


def measured(path: Path, cut: bool) -> dict[str, float]:
    """In a process of its own, so that its memory is that of reading alone."""
    from tasks.diagnosis import config
    from tasks.diagnosis.evidence import Request
    from tasks.diagnosis.routing import matched

    begun, used = time.monotonic(), time.process_time()
    size = path.stat().st_size
    with path.open("rb") as file:
        known = config.read(file.read(size // 2 if cut else size))
    read, used = time.monotonic() - begun, time.process_time() - used
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if cut:
        return {
            "reading one that is cut in the middle: wall": read,
            "reading one that is cut in the middle: memory (RSS)": memory,
        }
    routes = [len(it.routes) for table in known.tables.values() for it in table.hosts]
    taken = []
    for wrong in ("", "x"):
        begun = time.monotonic()
        for it in range(REQUESTS):
            name = f"host-{it % CHAINS}-{it % HOSTS}.test"
            last = routes[0] - 1
            asked = Request(
                "GET", "https", wrong + name, f"/v1/{last}/x", {"x-version": f"v{last}"}, sni=name
            )
            found = matched(known, asked, port=10443)
            if (found.route is None) != bool(wrong):
                raise SystemExit(f"{name}: {found.misses[-1:]} {found.notes}")
        taken.append(1000 * (time.monotonic() - begun) / REQUESTS)
    return {
        "routes": sum(routes),
        "reading: wall": read,
        "reading: processor time": used,
        "reading: memory of the process (RSS)": memory,
        "following a request that matches": taken[0],
        "following a request whose host is a typing error": taken[1],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--print", action="store_true", help="the table; 1 where a bound is missed")
    parser.parse_args()
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="config-dump-") as folder:
        path = Path(folder) / "config_dump.json"
        with processes.Pool(1, maxtasksperchild=1) as pool:
            found = {"config dump": pool.apply(written, (path,))}
            for cut in (False, True):
                found |= pool.apply(measured, (path, cut))
    return shown(found, BOUNDS)


if __name__ == "__main__":
    sys.exit(main())
