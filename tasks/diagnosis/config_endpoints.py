"""Endpoints of clusters: as they were given (EDS), and as Envoy sees them (/clusters)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tasks.diagnosis.config import Endpoint
from tasks.diagnosis.leniency import Lenient, Object

#: Of a host's health in /clusters: everything that is true there speaks against it.
FAILED = (
    "failed_active_hc",
    "failed_active_health_check",
    "failed_outlier_check",
    "failed_degraded_outlier_detection",
    "failed_active_degraded_check",
    "pending_dynamic_removal",
    "pending_active_hc",
    "excluded_via_immediate_hc_fail",
    "active_hc_timeout",
)
#: Those that take it no request away.
HARMLESS = ("failed_active_degraded_check", "failed_degraded_outlier_detection")

_HEALTH = re.compile(r"^(.+?)::(\[?[^\s]+?\]?:\d+)::health_flags::(\S+)$")
_EXISTS = re.compile(r"^(.+?)::default_priority::")


def place(address: object, it: Lenient, what: str) -> tuple[str, int]:
    """Host and port of an Address; a path and 0 for a pipe."""
    known = it.mapping(address, what)
    socket = it.mapping(known.get("socket_address"), what)
    if socket:
        port = it.number(socket.get("port_value"), f"{what}, port")
        return it.text(socket.get("address"), what), port
    pipe = it.mapping(known.get("pipe"), what)
    if pipe:
        return it.text(pipe.get("path"), what), 0
    internal = it.mapping(known.get("envoy_internal_address"), what)
    return it.text(internal.get("server_listener_name"), what), 0


def written(host: str, port: int) -> str:
    """Such as "10.0.0.7:3000", "[fd00::7]:3000", "/run/backend.sock"."""
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def assigned(assignment: Object, it: Lenient) -> tuple[Endpoint, ...]:
    """Of a ClusterLoadAssignment."""
    return tuple(_assigned(assignment, it))


def _assigned(assignment: Object, it: Lenient) -> Iterator[Endpoint]:
    for group in it.objects(assignment.get("endpoints"), "endpoints"):
        priority = it.number(group.get("priority"), "endpoints, priority")
        for one in it.objects(group.get("lb_endpoints"), "endpoints"):
            endpoint = it.mapping(one.get("endpoint"), "endpoints")
            yield Endpoint(
                written(*place(endpoint.get("address"), it, "endpoints, address")),
                it.text(one.get("health_status"), "endpoints, health") or "UNKNOWN",
                it.number(one.get("load_balancing_weight"), "endpoints, weight", 1),
                priority,
                it.text(endpoint.get("hostname"), "endpoints, hostname"),
            )


def statuses(clusters: object) -> dict[str, tuple[Endpoint, ...]]:
    """Of /clusters?format=json; what is not as it should be is left out."""
    it = Lenient()
    known = it.mapping(clusters, "clusters")
    found = {}
    for one in it.objects(known.get("cluster_statuses"), "clusters"):
        name = it.text(one.get("name"), "clusters, name")
        if name:
            hosts = it.objects(one.get("host_statuses"), "hosts")
            found[name] = tuple(_status(host, it) for host in hosts)
    return found


def statuses_of_text(clusters: str) -> dict[str, tuple[Endpoint, ...]]:
    """
    Of /clusters as text, of which two kinds of lines count: "shop::default_priority::max_requests::
    1024" and "shop::10.0.0.7:3000::health_flags::/failed_active_hc".
    """
    found: dict[str, list[Endpoint]] = {}
    for line in clusters.splitlines():
        if (exists := _EXISTS.match(line)) is not None:
            found.setdefault(exists[1], [])
        elif (health := _HEALTH.match(line)) is not None:
            failed = [it for it in health[3].split("/") if it and it != "healthy"]
            status = "UNHEALTHY" if any("eds" in it for it in failed) else "HEALTHY"
            other = tuple(it for it in failed if "eds" not in it)
            found.setdefault(health[1], []).append(Endpoint(health[2], status, failed=other))
    return {name: tuple(hosts) for name, hosts in found.items()}


def _status(host: Object, it: Lenient) -> Endpoint:
    health = it.mapping(host.get("health_status"), "hosts, health")
    stats = {
        it.text(one.get("name"), "hosts, stats"): it.number(one.get("value"), "hosts, stats")
        for one in it.objects(host.get("stats"), "hosts, stats")
    }
    return Endpoint(
        written(*place(host.get("address"), it, "hosts, address")),
        it.text(health.get("eds_health_status"), "hosts, health") or "UNKNOWN",
        it.number(host.get("weight"), "hosts, weight", 1),
        it.number(host.get("priority"), "hosts, priority"),
        it.text(host.get("hostname"), "hosts, hostname"),
        tuple(name for name in FAILED if name not in HARMLESS and health.get(name) is True),
        stats,
    )
