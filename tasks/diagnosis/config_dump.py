"""Reading a /config_dump of any Envoy: Envoy Gateway's, a plain one, Cilium's, Istio's."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tasks.diagnosis import config_endpoints, config_listeners, config_routes, partial_json
from tasks.diagnosis.config import Cluster, Configuration, Endpoint, Listener, RouteTable
from tasks.diagnosis.leniency import Lenient, Object

#: What a whole dump has, by how its type ends, and what is lost without it.
PARTS = {
    "BootstrapConfigDump": "bootstrap",
    "ListenersConfigDump": "listeners",
    "RoutesConfigDump": "route tables",
    "ClustersConfigDump": "clusters",
    "EndpointsConfigDump": "endpoints (ask with ?include_eds)",
    "SecretsConfigDump": "secrets",
}
State = Literal["active", "warming", "draining", "refused"]
#: Where an item of a ConfigDump has its resource; the first that is there is what Envoy runs.
STATES: tuple[tuple[str, State], ...] = (
    ("active_state", "active"),
    ("draining_state", "draining"),
    ("warming_state", "warming"),
)
#: Where resources would be in a whole dump, of one that was asked for with ?resource=.
SINGLE = {
    "StaticListener": "static_listeners",
    "DynamicListener": "dynamic_listeners",
    "StaticRouteConfig": "static_route_configs",
    "DynamicRouteConfig": "dynamic_route_configs",
    "StaticCluster": "static_clusters",
    "DynamicCluster": "dynamic_active_clusters",
    "StaticEndpointConfig": "static_endpoint_configs",
    "DynamicEndpointConfig": "dynamic_endpoint_configs",
    "StaticSecret": "static_secrets",
    "DynamicSecret": "dynamic_active_secrets",
}
_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")


@dataclass
class _Found:
    """What was read so far; the order of a dump's parts does not matter."""

    listeners: list[Listener] = field(default_factory=list)
    inline: dict[str, RouteTable] = field(default_factory=dict)
    tables: dict[str, RouteTable] = field(default_factory=dict)
    nameless: dict[str, RouteTable] = field(default_factory=dict)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    endpoints: dict[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warming: list[str] = field(default_factory=list)
    parts: set[str] = field(default_factory=set)
    version: str = ""
    node: str = ""
    bootstrap: Object = field(default_factory=dict)


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Millions of new objects, none of them garbage: looking for some takes most of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def configuration(dump: bytes | str | Mapping[str, Any]) -> Configuration:
    with _nothing_collected():
        return _configuration(dump)


def _configuration(dump: bytes | str | Mapping[str, Any]) -> Configuration:
    it = Lenient()
    value, cut = _parsed(dump)
    found = _Found()
    for part in it.objects(it.mapping(value, "dump").get("configs"), "configs"):
        _part(part, found, it)
    wanted = [it for it in PARTS if found.clusters or it != "EndpointsConfigDump"]
    missing = [f"{PARTS[it]}: not in the dump" for it in wanted if it not in found.parts]
    if "ListenersConfigDump" not in found.parts or "ClustersConfigDump" not in found.parts:
        _from_bootstrap(found, it)
    written = {table.name for table in found.inline.values()}
    nameless = {name: table for name, table in found.nameless.items() if name not in written}
    tables = {**nameless, **found.tables, **found.inline}
    unknown = [
        f"route table {chain.table} of listener {listener.name}: not in the dump"
        for listener in found.listeners
        if listener.state == "active"
        for chain in listener.every_chain
        if chain.table is not None and chain.table not in tables
    ]
    return Configuration(
        tuple(found.listeners),
        tables,
        {name: _with_endpoints(one, found) for name, one in found.clusters.items()},
        tuple(found.secrets),
        tuple(found.errors),
        (*([cut] if cut else ()), *missing, *dict.fromkeys(unknown), *it.notes),
        found.version,
        tuple(found.warming),
        found.node,
    )


def _parsed(dump: bytes | str | Mapping[str, Any]) -> tuple[Any, str | None]:
    """The dump, and why it is not whole."""
    if isinstance(dump, Mapping):
        value, cut = dump, None
    else:
        text = dump if isinstance(dump, str) else dump.decode("utf-8-sig", "replace")
        value, cut = partial_json.read(text)
        cut = f"config dump: {cut}" if cut else None
    if isinstance(value, list):
        value = {"configs": value}
    if isinstance(value, Mapping) and isinstance(value.get("configs"), list):
        kinds = [one for one in value["configs"] if isinstance(one, Mapping)]
        if any(_CAMEL.search(str(key)) for one in kinds for key in one):
            return _snake(value), cut
    return value, cut


def _snake(value: Any) -> Any:
    """Keys as Envoy writes them, "active_state"; egctl writes "activeState"."""
    if isinstance(value, Mapping):
        return {
            _CAMEL.sub(r"_\1", key).lower() if key.isalnum() else key: _snake(one)
            for key, one in value.items()
            if isinstance(key, str)
        }
    return [_snake(one) for one in value] if isinstance(value, list) else value


def _part(part: Object, found: _Found, it: Lenient) -> None:
    """One item of "configs"; with ?resource=… each item is one resource."""
    kind = it.text(part.get("@type"), "configs, @type").rpartition("/")[2]
    whole, _, single = kind.removeprefix("envoy.admin.v3.").partition(".")
    found.parts.add(whole)
    if whole == "BootstrapConfigDump":
        _bootstrap(part, found, it)
    elif whole == "ListenersConfigDump":
        _listeners(part, found, it, single)
    elif whole == "RoutesConfigDump":
        _tables(part, found, it, single)
    elif whole == "ClustersConfigDump":
        _clusters(part, found, it, single)
    elif whole == "EndpointsConfigDump":
        _endpoints(part, found, it, single)
    elif whole == "SecretsConfigDump":
        _secrets(part, found, it, single)


def _of(part: Object, key: str, single: str, it: Lenient, what: str) -> list[Object]:
    """Items of one list; of a dump of single resources, the one: "dynamic_listeners"."""
    if single:
        return [part] if key == SINGLE.get(single) else []
    return list(it.objects(part.get(key), what))


def _bootstrap(part: Object, found: _Found, it: Lenient) -> None:
    found.bootstrap = it.mapping(part.get("bootstrap"), "bootstrap")
    node = it.mapping(found.bootstrap.get("node"), "bootstrap, node")
    built = it.mapping(node.get("user_agent_build_version"), "bootstrap, version")
    version = it.mapping(built.get("version"), "bootstrap, version")
    numbers = ("major_number", "minor_number", "patch")
    if version:
        found.version = ".".join(str(it.number(version.get(one), "version")) for one in numbers)
    found.node = it.text(node.get("id"), "bootstrap, node")


def _from_bootstrap(found: _Found, it: Lenient) -> None:
    """What is static stands in the bootstrap too, where a part of the dump is missing."""
    static = it.mapping(found.bootstrap.get("static_resources"), "bootstrap")
    if "ListenersConfigDump" not in found.parts:
        for one in it.objects(static.get("listeners"), "listeners"):
            _listener(one, "active", None, found, it)
    if "ClustersConfigDump" not in found.parts:
        for one in it.objects(static.get("clusters"), "clusters"):
            _cluster(one, "active", None, found, it)


def _error(part: Object, what: str, found: _Found, it: Lenient) -> str | None:
    """Why the newest configuration was refused."""
    state = it.mapping(part.get("error_state"), "error_state")
    if not state:
        return None
    details = it.text(state.get("details"), "error_state") or "refused without a reason"
    found.errors.append(f"{what}: {details}")
    return details


def _listeners(part: Object, found: _Found, it: Lenient, single: str) -> None:
    for one in _of(part, "static_listeners", single, it, "listeners"):
        _listener(it.mapping(one.get("listener"), "listener"), "active", None, found, it)
    for one in _of(part, "dynamic_listeners", single, it, "listeners"):
        _dynamic_listener(one, found, it)


def _dynamic_listener(one: Object, found: _Found, it: Lenient) -> None:
    name = it.text(one.get("name"), "listeners, name")
    error = _error(one, f"listener {name}", found, it)
    states = [
        (it.mapping(it.mapping(one.get(key), "listeners").get("listener"), "listeners"), state)
        for key, state in STATES
        if one.get(key) is not None
    ]
    if any(state == "warming" for _, state in states):
        found.warming.append(f"listener {name}")
    for raw, state in states[:1]:
        _listener(raw, state, error, found, it, name)
    if not states and error is not None:
        failed = it.mapping(one.get("error_state"), "error_state").get("failed_configuration")
        _listener(it.mapping(failed, "error_state"), "refused", error, found, it, name)


def _listener(
    raw: Object, state: State, error: str | None, found: _Found, it: Lenient, name: str = ""
) -> None:
    if raw or name:
        listener, inline = config_listeners.listener(raw, it, name, state, error)
        found.listeners.append(listener)
        found.inline.update(inline)


def _tables(part: Object, found: _Found, it: Lenient, single: str) -> None:
    for key in ("static_route_configs", "dynamic_route_configs"):
        for one in _of(part, key, single, it, "route tables"):
            raw = it.mapping(one.get("route_config"), "route tables")
            name = it.text(raw.get("name"), "route tables, name")
            error = _error(one, f"route table {name}", found, it)
            if not raw:
                if error is None:
                    it.wrong("route tables", one.get("route_config"), "a route table")
                continue
            table = config_routes.table(raw, it)
            # Those of static listeners are also written in them, and may have the same name.
            (found.tables if key.startswith("dynamic") else found.nameless)[name] = table


def _clusters(part: Object, found: _Found, it: Lenient, single: str) -> None:
    for key in ("static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters"):
        for one in _of(part, key, single, it, "clusters"):
            raw = it.mapping(one.get("cluster"), "clusters")
            failed = it.mapping(one.get("error_state"), "error_state").get("failed_configuration")
            refused = it.mapping(failed, "error_state")
            name = it.text((raw or refused).get("name"), "clusters, name")
            error = _error(one, f"cluster {name}", found, it)
            state: State = "warming" if "warming" in key else "active"
            if state == "warming" and raw:
                found.warming.append(f"cluster {name}")
            if raw:
                _cluster(raw, state, error, found, it)
            elif refused:
                _cluster(refused, "refused", error, found, it)


def _cluster(raw: Object, state: State, error: str | None, found: _Found, it: Lenient) -> None:
    name = it.text(raw.get("name"), "clusters, name")
    known = found.clusters.get(name)
    if known is not None and known.state == "active" and state != "active":
        return
    kind = raw.get("type") or it.mapping(raw.get("cluster_type"), "clusters, type").get("name")
    inline = it.mapping(raw.get("load_assignment"), "clusters, endpoints")
    endpoints = config_endpoints.assigned(inline, it) if inline else None
    tls = config_listeners.speaks_tls(raw, it)
    called = it.text(kind, "clusters, type") or "STATIC"
    found.clusters[name] = Cluster(name, called, endpoints, tls, raw, error, state)


def _endpoints(part: Object, found: _Found, it: Lenient, single: str) -> None:
    for key in ("static_endpoint_configs", "dynamic_endpoint_configs"):
        for one in _of(part, key, single, it, "endpoints"):
            raw = it.mapping(one.get("endpoint_config"), "endpoints")
            name = it.text(raw.get("cluster_name"), "endpoints, cluster_name")
            if name:
                found.endpoints[name] = config_endpoints.assigned(raw, it)


def _with_endpoints(cluster: Cluster, found: _Found) -> Cluster:
    """What it was given by EDS; what names resolved to comes before the names."""
    eds = cluster.raw.get("eds_cluster_config")
    service = eds.get("service_name") if isinstance(eds, dict) else None
    for name in (service, cluster.name):
        if isinstance(name, str) and name in found.endpoints:
            return replace(cluster, endpoints=found.endpoints[name])
    return cluster


def _secrets(part: Object, found: _Found, it: Lenient, single: str) -> None:
    for name in _secret_names(part, ("static_secrets", "dynamic_active_secrets"), single, it):
        found.secrets.append(name)
    for name in _secret_names(part, ("dynamic_warming_secrets",), single, it):
        found.warming.append(f"secret {name}")
    for one in _of(part, "dynamic_active_secrets", single, it, "secrets"):
        _error(one, f"secret {it.text(one.get('name'), 'secrets, name')}", found, it)


def _secret_names(part: Object, keys: tuple[str, ...], single: str, it: Lenient) -> Iterator[str]:
    for key in keys:
        for one in _of(part, key, single, it, "secrets"):
            name = it.text(one.get("name"), "secrets, name")
            if name:
                yield name
