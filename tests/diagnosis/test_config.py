"""What is read of a config dump: of real Envoys, in small, damaged, and of every shape there is."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.diagnosis import config
from tasks.diagnosis.config import Endpoint
from tasks.diagnosis.evidence import Request
from tasks.diagnosis.routing import elsewhere, matched

Json = dict[str, Any]
DATA = Path(__file__).parents[1] / "data"
FILES = sorted((*DATA.glob("captures/*.json.gz"), *DATA.glob("scenarios/*.json.gz")))
ADMIN = "type.googleapis.com/envoy.admin.v3."


@cache
def captured(path: Path) -> Json:
    found: Json = json.loads(gzip.decompress(path.read_bytes()))
    return found


def part(kind: str, **lists: Any) -> Json:
    return {"@type": f"{ADMIN}{kind}", **lists}


def read(*parts: Json) -> config.Configuration:
    return config.read(json.dumps({"configs": parts}, indent=1).encode())


EMPTY = [
    part(it)
    for it in (
        *("BootstrapConfigDump", "ListenersConfigDump", "RoutesConfigDump"),
        *("ClustersConfigDump", "EndpointsConfigDump", "SecretsConfigDump"),
    )
]


@pytest.mark.parametrize("path", FILES, ids=lambda it: it.name.removesuffix(".json.gz"))
def test_a_real_dump_is_read_whole(path: Path) -> None:
    found = config.read(captured(path)["admin"]["config_dump"])

    assert found.partial == ()
    assert found.listeners
    assert {chain.table for it in found.listeners for chain in it.chains} - {None} <= set(
        found.tables
    )
    assert all(it.endpoints is not None for it in found.clusters.values() if it.kind == "EDS")


def test_says_what_is_missing() -> None:
    assert read().partial == (
        "bootstrap: not in the dump",
        "listeners: not in the dump",
        "route tables: not in the dump",
        "clusters: not in the dump",
        "secrets: not in the dump",
    )
    assert read(*EMPTY).partial == ()


def test_endpoints_are_missing_where_there_are_clusters() -> None:
    clusters = part("ClustersConfigDump", static_clusters=[{"cluster": {"name": "cart"}}])

    whole = [clusters if "Clusters" in it["@type"] else it for it in EMPTY]

    assert read(*whole).partial == ()
    assert read(*(it for it in whole if "Endpoints" not in it["@type"])).partial == (
        "endpoints (ask with ?include_eds): not in the dump",
    )


def test_a_dump_that_is_cut_has_what_came_before() -> None:
    clusters = part(
        "ClustersConfigDump",
        dynamic_active_clusters=[{"cluster": {"name": it}} for it in ("cart", "catalog", "pay")],
    )
    text = json.dumps({"configs": [EMPTY[0], clusters, *EMPTY[1:]]})
    at = text.index("pay")

    found = config.read(text[:at].encode())

    assert list(found.clusters) == ["cart", "catalog"]
    assert found.partial[0].startswith("config dump: cut or malformed at character ")
    assert "listeners: not in the dump" in found.partial


@pytest.mark.parametrize(
    ("dump", "says"),
    [
        pytest.param(b"", "config dump: cut or malformed at character 0", id="nothing"),
        pytest.param(b"\xff\xfe\x00", "config dump: cut or malformed at character 0", id="bytes"),
        pytest.param(
            b"<html>404</html>", "config dump: cut or malformed at character 0", id="HTML"
        ),
        pytest.param(b"[" * 100_000, "config dump: cut or malformed at character 40", id="deep"),
        pytest.param(b'"text"', "dump: a text instead of an object, 1 left out", id="a text"),
        pytest.param(
            b'{"configs": 7}', "configs: a number instead of a list, 1 left out", id="list"
        ),
        pytest.param(
            b'{"configs": [7]}', "configs: a number instead of an object, 1 left out", id="item"
        ),
    ],
)
def test_what_is_no_dump_is_said(dump: bytes, says: str) -> None:
    assert says in config.read(dump).partial


def test_listeners_have_the_state_they_are_in() -> None:
    def of(name: str) -> Json:
        address = {"socket_address": {"address": "0.0.0.0", "port_value": 10080}}
        return {"listener": {"name": name, "address": address}}

    refused = {"details": "duplicate address", "failed_configuration": {"name": "refused"}}
    found = read(
        part(
            "ListenersConfigDump",
            dynamic_listeners=[
                {"name": "active", "active_state": of("active")},
                {"name": "newer", "active_state": of("newer"), "warming_state": of("newer")},
                {"name": "warming", "warming_state": of("warming")},
                {"name": "held", "active_state": of("held"), "error_state": {"details": "no"}},
                {"name": "refused", "error_state": refused},
            ],
        )
    )

    assert [(it.name, it.state, it.error) for it in found.listeners] == [
        ("active", "active", None),
        ("newer", "active", None),
        ("warming", "warming", None),
        ("held", "active", "no"),
        ("refused", "refused", "duplicate address"),
    ]
    assert found.errors == ("listener held: no", "listener refused: duplicate address")
    assert found.warming == ("listener newer", "listener warming")
    assert matched(found, Request(), port=10080).listener == found.listeners[0]


def test_endpoints_come_by_service_name_then_by_name_then_from_the_cluster() -> None:
    def given(name: str, address: str) -> Json:
        socket = {"socket_address": {"address": address, "port_value": 3000}}
        return {
            "cluster_name": name,
            "endpoints": [
                {
                    "lb_endpoints": [
                        {"endpoint": {"address": socket}, "health_status": "DRAINING"}
                    ],
                    "priority": 1,
                }
            ],
        }

    eds = {"name": "cart", "type": "EDS", "eds_cluster_config": {"service_name": "carts"}}
    written = {"name": "own", "type": "STATIC", "load_assignment": given("own", "fd00::7")}
    custom = {"name": "proxy", "cluster_type": {"name": "envoy.clusters.dynamic_forward_proxy"}}
    clusters = [{"cluster": it} for it in (eds, written, custom, {"name": "bare", "type": "EDS"})]
    found = read(
        part("ClustersConfigDump", dynamic_active_clusters=clusters),
        part(
            "EndpointsConfigDump",
            dynamic_endpoint_configs=[{"endpoint_config": given("carts", "10.0.0.7")}],
        ),
    )

    assert {name: (it.kind, it.endpoints) for name, it in found.clusters.items()} == {
        "cart": ("EDS", (Endpoint("10.0.0.7:3000", "DRAINING", 1, 1),)),
        "own": ("STATIC", (Endpoint("[fd00::7]:3000", "DRAINING", 1, 1),)),
        "proxy": ("envoy.clusters.dynamic_forward_proxy", None),
        "bare": ("EDS", None),
    }


def test_an_active_cluster_stays_where_a_newer_one_warms() -> None:
    found = read(
        part(
            "ClustersConfigDump",
            dynamic_active_clusters=[{"cluster": {"name": "cart", "type": "EDS"}}],
            dynamic_warming_clusters=[
                {"cluster": {"name": "cart", "type": "STATIC"}},
                {"cluster": {"name": "new", "type": "EDS"}},
            ],
        )
    )

    assert [(it.name, it.kind, it.state) for it in found.clusters.values()] == [
        ("cart", "EDS", "active"),
        ("new", "EDS", "warming"),
    ]
    assert found.warming == ("cluster cart", "cluster new")


def test_tables_of_one_name_are_kept_apart() -> None:
    def listener(name: str, answer: str) -> Json:
        host = {"name": answer, "domains": ["*"]}
        kind = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
        manager = {
            "@type": f"type.googleapis.com/{kind}",
            "route_config": {"name": "local_route", "virtual_hosts": [host]},
        }
        return {
            "listener": {"name": name, "filter_chains": [{"filters": [{"typed_config": manager}]}]}
        }

    found = read(
        part("ListenersConfigDump", static_listeners=[listener("a", "one"), listener("b", "two")]),
        part("RoutesConfigDump", static_route_configs=[{"route_config": {"name": "local_route"}}]),
    )

    assert {key: (it.name, it.hosts[0].name) for key, it in found.tables.items()} == {
        "a: local_route": ("local_route", "one"),
        "b: local_route": ("local_route", "two"),
    }
    assert [it.chains[0].table for it in found.listeners] == ["a: local_route", "b: local_route"]


def test_a_table_that_is_not_there_is_said() -> None:
    kind = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    manager = {"@type": f"type.googleapis.com/{kind}", "rds": {"route_config_name": "infra/edge/x"}}
    chain = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    listener = {"name": "infra/edge/x", "default_filter_chain": chain}
    found = read(
        *EMPTY,
        part(
            "ListenersConfigDump",
            dynamic_listeners=[{"name": "x", "active_state": {"listener": listener}}],
        ),
    )

    assert found.partial == ("route table infra/edge/x of listener infra/edge/x: not in the dump",)


def test_the_bootstrap_stands_in_for_a_part_that_is_missing() -> None:
    static = {"clusters": [{"name": "xds"}], "listeners": [{"name": "stats"}]}
    build = {"version": {"major_number": 1, "minor_number": 39, "patch": 1}}
    bootstrap = {
        "node": {"id": "envoy-1", "user_agent_build_version": build},
        "static_resources": static,
    }

    found = read(part("BootstrapConfigDump", bootstrap=bootstrap))

    assert (found.version, found.node) == ("1.39.1", "envoy-1")
    assert [it.name for it in found.listeners] == ["stats"]
    assert list(found.clusters) == ["xds"]


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(
            [
                part("ClustersConfigDump.DynamicCluster", cluster={"name": "cart"}),
                part("SecretsConfigDump.DynamicSecret", name="edge/tls"),
            ],
            id="asked for with ?resource=",
        ),
        pytest.param(
            [
                part("ClustersConfigDump", dynamicActiveClusters=[{"cluster": {"name": "cart"}}]),
                part("SecretsConfigDump", dynamicActiveSecrets=[{"name": "edge/tls"}]),
            ],
            id="printed by egctl",
        ),
    ],
)
def test_other_shapes_of_a_dump(parts: list[Json]) -> None:
    found = read(*parts)

    assert (list(found.clusters), found.secrets) == (["cart"], ("edge/tls",))


def test_objects_and_weights_of_routes() -> None:
    resource = {"kind": "HTTPRoute", "namespace": "shop", "name": "cart"}
    weighted = {"clusters": [{"name": "a", "weight": 90}, {"name": "b", "weight": 10}]}
    routes = [
        {"name": "split", "match": {"prefix": "/"}, "route": {"weighted_clusters": weighted}},
        {
            "match": {"prefix": "/"},
            "route": {"cluster": "c"},
            "metadata": {"filter_metadata": {"envoy-gateway": {"resources": [resource]}}},
        },
        {"match": {"prefix": "/"}, "redirect": {"https_redirect": True}},
    ]
    table = {"name": "t", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]}
    found = read(part("RoutesConfigDump", dynamic_route_configs=[{"route_config": table}]))

    assert [
        (it.name, it.clusters, list(it.resources)) for it in found.tables["t"].hosts[0].routes
    ] == [("split", {"a": 90, "b": 10}, []), ("", {"c": 1}, [resource]), ("", {}, [])]


def test_objects_of_istio() -> None:
    path = "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/cart"
    route = {"match": {}, "metadata": {"filter_metadata": {"istio": {"config": path}}}}
    table = {"name": "http.8080", "virtual_hosts": [{"name": "v", "routes": [route]}]}
    found = read(part("RoutesConfigDump", dynamic_route_configs=[{"route_config": table}]))

    assert found.tables["http.8080"].hosts[0].routes[0].resources == (
        {"kind": "VirtualService", "namespace": "shop", "name": "cart"},
    )


def test_tls_is_seen_inside_other_sockets() -> None:
    tls = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    secure = {"name": "envoy.transport_sockets.tls", "typed_config": {"@type": tls}}
    outer = {
        "name": "envoy.transport_sockets.upstream_proxy_protocol",
        "typed_config": {"@type": "x.ProxyProtocolUpstreamTransport", "transport_socket": secure},
    }
    clusters = [
        {"name": "plain"},
        {"name": "tls", "transport_socket": secure},
        {"name": "inside", "transport_socket": outer},
        {"name": "matches", "transport_socket_matches": [{"transport_socket": secure}]},
        {"name": "raw", "transport_socket": {"name": "envoy.transport_sockets.raw_buffer"}},
    ]
    found = read(part("ClustersConfigDump", static_clusters=[{"cluster": it} for it in clusters]))

    assert [it.name for it in found.clusters.values() if it.tls] == ["tls", "inside", "matches"]


def test_healths_of_clusters() -> None:
    def host(**health: Any) -> Json:
        address = {"socket_address": {"address": "10.0.0.7", "port_value": 3000}}
        stats = [{"name": "cx_connect_fail", "value": "3"}, {"name": "rq_total"}]
        return {"address": address, "health_status": health, "weight": 2, "stats": stats}

    hosts = [
        host(eds_health_status="HEALTHY"),
        host(failed_active_hc=True, failed_outlier_check=True, eds_health_status="HEALTHY"),
        host(eds_health_status="DRAINING"),
        host(eds_health_status="DEGRADED", failed_active_degraded_check=True),
    ]
    found = config.healths(
        {"cluster_statuses": [{"name": "cart", "host_statuses": hosts}, {"name": "none"}, 7]}
    )

    assert [(it.healthy, it.health, it.failed) for it in found["cart"]] == [
        (True, "HEALTHY", ()),
        (False, "HEALTHY", ("failed_active_hc", "failed_outlier_check")),
        (False, "DRAINING", ()),
        (True, "DEGRADED", ()),
    ]
    assert found["cart"][0].stats == {"cx_connect_fail": 3, "rq_total": 0}
    assert found["none"] == ()
    assert config.healths("nothing") == config.healths(None) == {}


# Damage.

SCRAP = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.just([[]]),
    st.just([7, "x", None, {}]),
    st.just({"name": 7, "domains": {}, "match": "x", "prefix": []}),
    st.just({"prefix": 7, "headers": [{"name": [], "string_match": {"exact": 7}}]}),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Ways to every part of a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in items:
        yield (*path, key)
        if isinstance(one, dict | list):
            yield from places(one, (*path, key))


@cache
def ways(path: Path) -> tuple[tuple[Any, ...], ...]:
    return tuple(places(captured(path)["admin"]["config_dump"]))


def damaged(dump: Json, way: tuple[Any, ...], scrap: Any, drop: bool) -> None:
    owner: Any = dump
    for key in way[:-1]:
        try:
            owner = owner[key]
        except (KeyError, IndexError, TypeError):
            return
    try:
        if drop:
            del owner[way[-1]]
        else:
            owner[way[-1]] = scrap
    except (KeyError, IndexError, TypeError):
        return


SOME = FILES[:: max(1, len(FILES) // 24)]
REQUESTS = (
    Request(host="cart.example.com", path="/cart/1"),
    Request(host="catalog.example.com:8080", path="/x?a=1", scheme="https", sni="", version="2"),
)


def read_damaged(data: st.DataObject) -> None:
    """And follow requests through what is left."""
    path = data.draw(st.sampled_from(SOME))
    dump = copy.deepcopy(captured(path)["admin"]["config_dump"])
    for _ in range(data.draw(st.integers(1, 6))):
        way = data.draw(st.sampled_from(ways(path)))
        damaged(dump, way, data.draw(SCRAP), data.draw(st.booleans()))

    found = config.read(dump)
    for request in REQUESTS:
        matched(found, request)
        matched(found, request, local="127.0.0.1:10080")
        elsewhere(found, request.host)


ANYHOW = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@ANYHOW
@given(st.data())
def test_no_damage_ends_in_a_traceback(data: st.DataObject) -> None:
    read_damaged(data)


@pytest.mark.nightly
@settings(ANYHOW, max_examples=10_000)
@given(st.data())
def test_no_damage_of_ten_thousand_ends_in_a_traceback(data: st.DataObject) -> None:
    read_damaged(data)


@settings(ANYHOW, max_examples=100)
@given(st.data())
def test_no_cut_ends_in_a_traceback(data: st.DataObject) -> None:
    text = json.dumps(captured(data.draw(st.sampled_from(SOME)))["admin"]["config_dump"], indent=1)
    at = data.draw(st.integers(0, len(text) - 1))

    found = config.read(text[:at])

    assert found.partial[0].startswith("config dump: cut or malformed at character ")


@settings(ANYHOW, max_examples=100)
@given(st.data())
def test_no_damage_of_clusters_ends_in_a_traceback(data: st.DataObject) -> None:
    clusters = copy.deepcopy(captured(data.draw(st.sampled_from(SOME)))["admin"]["clusters"])
    for way in data.draw(st.lists(st.sampled_from(tuple(places(clusters))), max_size=6)):
        damaged(clusters, way, data.draw(SCRAP), data.draw(st.booleans()))

    config.healths(clusters)
