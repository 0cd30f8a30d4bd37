"""What counts as another configuration of Envoy, what does not, and what it is called."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.plans.rehearsals.change import Change
from tasks.plans.rehearsals.configuration import changes

Json = dict[str, Any]
DATA = Path(__file__).parents[2] / "data"
FILES = sorted((*DATA.glob("captures/*.json.gz"), *DATA.glob("scenarios/*.json.gz")))
#: Dumps with most of what Envoy Gateway writes: filters, TLS, retries, weights, redirects.
RICH = [
    it
    for it in FILES
    if it.name.partition(".")[0]
    in ("jwt_none", "limited", "expired", "authz_slow", "canary", "moved", "tls_sni_mismatch")
]
TYPE = "type.googleapis.com/envoy."


@cache
def captured(path: Path) -> str:
    return json.dumps(json.loads(gzip.decompress(path.read_bytes()))["admin"]["config_dump"])


def typed(kind: str, **fields: Any) -> Json:
    return {"@type": f"{TYPE}{kind}", **fields}


def http_filter(name: str, kind: str, disabled: bool = False, **fields: Any) -> Json:
    config = typed(f"extensions.filters.http.{kind}", **fields)
    return {"name": name, "typed_config": config, **({"disabled": True} if disabled else {})}


ROUTER = http_filter("envoy.filters.http.router", "router.v3.Router", suppress_envoy_headers=True)
NAME = "httproute/shop/cart/rule/0"


def dump(
    routes: list[Json] | None = None,
    cluster: Json | None = None,
    filters: list[Json] | None = None,
    chain: Json | None = None,
    manager: Json | None = None,
    **other: Any,
) -> Json:
    """One Gateway with one HTTPS listener. + other: secrets, names of xDS"""
    called = other.get("listener", "edge/public/https")
    config = typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="https-10443",
        rds={"route_config_name": called},
        http_filters=[*(filters or []), ROUTER],
        **(manager or {}),
    )
    listener = typed(
        "config.listener.v3.Listener",
        name=called,
        address={"socket_address": {"address": "0.0.0.0", "port_value": 10443}},
        filter_chains=[
            {
                "name": called,
                "filter_chain_match": {"server_names": ["a.test", "b.test"]},
                "filters": [{"name": "hcm", "typed_config": config}],
                **(chain or {}),
            }
        ],
    )
    host = {
        "name": f"{called}/a_test",
        "domains": ["a.test"],
        "routes": [route()] if routes is None else routes,
    }
    table = typed("config.route.v3.RouteConfiguration", name=called, virtual_hosts=[host])
    one = {"name": NAME, "type": "EDS", "eds_cluster_config": {"service_name": NAME}}
    one = typed("config.cluster.v3.Cluster", **{**one, **(cluster or {})})
    ready = other.get("ready", 2)
    given = {
        "cluster_name": one["name"],
        "endpoints": [{"lb_endpoints": [{"endpoint": {}} for _ in range(ready)]}],
    }
    return {
        "configs": [
            {"dynamic_listeners": [{"name": called, "active_state": {"listener": listener}}]},
            {"dynamic_route_configs": [{"route_config": table}]},
            {"dynamic_active_clusters": [{"cluster": one}, *other.get("clusters", [])]},
            {"dynamic_endpoint_configs": [{"endpoint_config": given}]},
            {
                "dynamic_active_secrets": [
                    {"name": it["name"], "secret": it} for it in other.get("secrets", [])
                ]
            },
        ]
    }


def route(number: int = 0, path: str = "/", **fields: Any) -> Json:
    action = fields.pop("route", {"cluster": fields.pop("cluster", NAME)})
    answers = {"redirect", "direct_response"} & {*fields}
    return {
        "name": f"httproute/shop/cart/rule/{number}/match/0/a_test",
        "match": fields.pop("match", {"path_separated_prefix": path}),
        **({} if answers else {"route": action}),
        **fields,
    }


def to(**action: Any) -> list[Json]:
    return [route(route={"cluster": NAME, **action})]


RULE, LISTENER = "HTTPRoute shop/cart, rule 0", "Gateway edge/public, listener https"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(
            dump(),
            dump(to(timeout="0s")),
            [Change("route", RULE, "request timeout: 15 s → none")],
            id="timeout against Envoy's default",
        ),
        pytest.param(
            dump(to(retry_policy={"retry_on": "5xx,reset", "num_retries": 2})),
            dump(to(retry_policy={"retry_on": "reset"})),
            [
                Change("route", RULE, "number of retries: 2 → 1"),
                Change("route", RULE, "retries on: 5xx,reset → reset"),
            ],
            id="retries",
        ),
        pytest.param(
            dump(),
            dump([route(path="/api")]),
            [Change("route", RULE, "takes path prefix /api, before path prefix /", "error")],
            id="another match",
        ),
        pytest.param(
            dump(),
            dump([route(direct_response={"status": 500})]),
            [
                Change("route", RULE, "status of its own answer: none → 500", "error"),
                Change("route", RULE, "requests go: 100 % to HTTPRoute shop/cart, rule 0 → none"),
            ],
            id="an answer of its own",
        ),
        pytest.param(
            dump(),
            dump([]),
            [Change("route", RULE, "is gone (path prefix /)", "error")],
            id="a route is gone",
        ),
        pytest.param(
            dump([]),
            dump(),
            [Change("route", RULE, "is new (path prefix /)", "info")],
            id="a route is new",
        ),
        pytest.param(
            dump([route(response_headers_to_add=[{"header": {"key": "X-Key", "value": "hush"}}])]),
            dump([route(response_headers_to_add=[{"header": {"key": "X-Key", "value": "pst"}}])]),
            [Change("route", RULE, "response headers set, x-key, header: another value")],
            id="a header, whose value is not told",
        ),
        pytest.param(
            dump([route(redirect={"https_redirect": True})]),
            dump([route(redirect={"https_redirect": True, "response_code": "FOUND"})]),
            [Change("route", RULE, "status of the redirect: none → FOUND")],
            id="a redirect",
        ),
        pytest.param(
            dump([route(0, "/api"), route(1, "/api/v1"), route(2, "/web")]),
            dump([route(2, "/web"), route(1, "/api/v1"), route(0, "/api")]),
            [
                Change(
                    "route",
                    "HTTPRoute shop/cart, rule 1",
                    "its path prefix /api/v1 is asked before HTTPRoute shop/cart, rule 0, and was "
                    "after it",
                )
            ],
            id="the order of two that meet, and not of those that do not",
        ),
        pytest.param(
            dump(cluster={"connect_timeout": "10s"}),
            dump(),
            [Change("cluster", RULE, "connect timeout: 10 s → 5 s")],
            id="connect timeout",
        ),
        pytest.param(
            dump(cluster={"circuit_breakers": {"thresholds": [{"max_connections": 10}]}}),
            dump(cluster={"circuit_breakers": {"thresholds": [{"max_connections": 20}]}}),
            [Change("cluster", RULE, "circuit breaker, thresholds, max connections: 10 → 20")],
            id="circuit breaker",
        ),
        pytest.param(
            dump(),
            dump(ready=0),
            [Change("cluster", RULE, "endpoints: 2 → 0", "error")],
            id="no endpoints",
        ),
        pytest.param(
            dump(cluster={"transport_socket": {"name": "tls", "typed_config": {"sni": "a"}}}),
            dump(),
            [Change("cluster", RULE, "TLS: set (name) → none", "error")],
            id="TLS to backends is gone",
        ),
        pytest.param(
            dump(filters=[http_filter("it", "cors.v3.Cors")]),
            dump(filters=[http_filter("it", "rbac.v3.RBAC")]),
            [Change("listener", LISTENER, "filters: cors, router → rbac, router")],
            id="filters of a listener",
        ),
        pytest.param(
            dump(manager={"tracing": {}}),
            dump(manager={"tracing": {"client_sampling": {}}}),
            [Change("listener", LISTENER, "traces that clients ask for, %: 100 → 0")],
            id="sampling of traces",
        ),
        pytest.param(
            dump(chain={"filter_chain_match": {"server_names": ["a.test"]}}),
            dump(chain={"filter_chain_match": {"server_names": ["c.test"]}}),
            [Change("listener", LISTENER, "names of the handshake: a.test → c.test")],
            id="SNI",
        ),
        pytest.param(
            dump(secrets=[{"name": "edge/old"}]),
            dump(secrets=[{"name": "edge/new"}]),
            [
                Change("secret", "Secret edge/new", "is new", "info"),
                Change("secret", "Secret edge/old", "is gone", "info"),
            ],
            id="Secrets by name",
        ),
    ],
)
def test_says_what_is_done_otherwise(before: Json, after: Json, expected: list[Change]) -> None:
    assert [*changes(before, after)] == expected


LUA = "function envoy_on_request(it) end"


def source(script: str) -> Json:
    return {"inline_string": script}


def lua(name: str, route_says: Json, **fields: Any) -> Json:
    return dump(
        [route(typed_per_filter_config={name: route_says})],
        filters=[http_filter(name, "lua.v3.Lua", disabled=True, **fields)],
    )


def jwt(name: str, issuer: str = "https://login.test") -> Json:
    config = http_filter(
        "envoy.filters.http.jwt_authn",
        "jwt_authn.v3.JwtAuthentication",
        providers={f"{name}/one": {"issuer": issuer, "forward": True}},
        requirement_map={name: {"provider_name": f"{name}/one"}},
    )
    asks = typed("extensions.filters.http.jwt_authn.v3.PerRouteConfig", requirement_name=name)
    own = {"envoy.filters.http.jwt_authn": asks}
    return dump([route(typed_per_filter_config=own)], filters=[config])


LIMITS = [{"actions": [{"generic_key": {"descriptor_value": "cart"}}]}]


def limited(old: bool, limits: list[Json] = LIMITS) -> Json:
    """As 1.8 writes a shared limit, or as 1.9 does."""
    name = "envoy.filters.http.ratelimit/shop/cart"
    filters = [http_filter(name, "ratelimit.v3.RateLimit", domain="shop/cart")]
    if old:
        return dump(to(rate_limits=limits), filters=filters)
    kind = "extensions.filters.http.ratelimit.v3.RateLimitPerRoute"
    own = {name: typed(kind, domain="shop/cart", rate_limits=limits)}
    return dump([route(typed_per_filter_config=own)], filters=filters)


def looked_up(old: bool, rate: str = "30s") -> Json:
    """A cluster of names, as 1.8 writes it, or as 1.9 does."""
    said = {"dns_refresh_rate": rate, "respect_dns_ttl": True, "dns_lookup_family": "V4_PREFERRED"}
    if old:
        return dump(cluster={"type": "STRICT_DNS", **said})
    kind = typed("extensions.clusters.dns.v3.DnsCluster", **said)
    extension = {"name": "envoy.cluster.dns", "typed_config": kind}
    return dump(cluster={"type": None, "cluster_type": extension})


def trusted(name: str) -> Json:
    ca = {"trusted_ca": {"filename": "/etc/ssl/certs/ca-certificates.crt"}}
    named = {"validation_context_sds_secret_config": {"name": name, "sds_config": {"ads": {}}}}
    tls = typed("extensions.transport_sockets.tls.v3.UpstreamTlsContext", common_tls_context=named)
    return dump(
        cluster={"transport_socket": {"name": "tls", "typed_config": tls}},
        secrets=[{"name": name, "validation_context": ca}],
    )


def split(*weights: tuple[str, int]) -> Json:
    clusters = [{"name": name, "weight": weight} for name, weight in weights]
    return dump([route(route={"weighted_clusters": {"clusters": clusters}})])


def sds(name: str) -> Json:
    return dump([route(cluster=name)], cluster={"name": name, "connect_timeout": "1s"})


EMPTY = typed("config.route.v3.FilterConfig", config={})
PER_ROUTE = typed("extensions.filters.http.lua.v3.LuaPerRoute", source_code=source(LUA))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            dump(to(timeout="15s", retry_policy={"num_retries": 1, "retry_on": "reset,5xx"})),
            dump(to(retry_policy={"retry_on": "5xx, reset"})),
            id="defaults that are written out, and words in any order",
        ),
        pytest.param(
            dump(cluster={"connect_timeout": "0.250s", "common_lb_config": {}}),
            dump(cluster={"connect_timeout": "0.25s"}),
            id="times and empty messages",
        ),
        pytest.param(looked_up(old=True), looked_up(old=False), id="clusters of DNS names"),
        pytest.param(
            jwt("httproute/shop/cart/rule/0/match/0/a_test"),
            jwt("one_ee7c27dda4c8e01e"),
            id="names of JWT providers",
        ),
        pytest.param(
            lua("envoy.filters.http.lua/0", PER_ROUTE),
            lua("envoy.filters.http.lua/shop/lua/0", EMPTY, default_source_code=source(LUA)),
            id="Lua of a route, Lua of a listener",
        ),
        pytest.param(limited(old=True), limited(old=False), id="where shared limits stand"),
        pytest.param(
            trusted("shop/cart-ca"), trusted("system_ca_certificates"), id="the system's CAs"
        ),
        pytest.param(split((NAME, 1)), dump(), id="one cluster, and one of a weight"),
        pytest.param(
            split(("a", 1), ("b", 3)), split(("b", 75), ("a", 25)), id="weights of any sum"
        ),
        pytest.param(dump(), dump(listener="tcp-443"), id="the other scheme of names"),
        pytest.param(sds("sds_run_it_sock"), sds("sds_run_it_sock-1f9c"), id="a cluster's name"),
        pytest.param(dump(), dump(ready=2, secrets=[]), id="nothing"),
    ],
)
def test_what_is_written_in_two_ways_is_no_change(before: Json, after: Json) -> None:
    assert changes(before, after) == ()
    assert changes(after, before) == ()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        pytest.param(
            looked_up(old=True),
            looked_up(old=False, rate="5s"),
            "DNS, dns refresh rate: 30 s → 5 s",
            id="DNS",
        ),
        pytest.param(
            jwt("httproute/shop/cart/rule/0/match/0/a_test"),
            jwt("one_02327216cb0dba21", issuer="https://other.test"),
            "JWT, requires, provider, issuer: another value",
            id="JWT",
        ),
        pytest.param(
            lua("envoy.filters.http.lua/0", PER_ROUTE),
            lua("envoy.filters.http.lua/1", EMPTY, default_source_code=source("end")),
            "Lua script: another value",
            id="Lua",
        ),
        pytest.param(
            limited(old=True),
            limited(old=False, limits=[]),
            "rate limits: 1 of them → none",
            id="limits",
        ),
    ],
)
def test_what_is_written_in_two_ways_is_still_compared(
    before: Json, after: Json, words: str
) -> None:
    assert [it.words for it in changes(before, after)] == [words]


@pytest.mark.parametrize("path", FILES[:: len(FILES) // 24], ids=lambda it: it.name[:-8])
def test_a_real_dump_equals_itself_in_any_order(path: Path) -> None:
    before = json.loads(captured(path))
    after = copy.deepcopy(before)
    after["configs"].reverse()
    for part in after["configs"]:
        for them in part.values():
            if isinstance(them, list):
                them.reverse()
        for it in part.get("dynamic_route_configs", []):
            it["route_config"].get("virtual_hosts", []).reverse()
        part["last_updated"] = part["version_info"] = "another"

    assert changes(before, after) == ()


def recorded(name: str) -> Json:
    found: Json = json.loads(
        gzip.decompress((DATA / "rehearsals" / f"{name}.json.gz").read_bytes())
    )
    return found


def test_the_other_scheme_of_names_gives_metrics_other_names_alone() -> None:
    """The same Gateway without and with the runtime flag XDSNameSchemeV2."""
    said = "prefix of its metrics: http"
    assert [*changes(recorded("1.9.1-names-v1"), recorded("1.9.1-names-v2"))] == [
        Change("listener", "Gateway edge/public, listener http", f"{said}-10080 → http-80", "info"),
        Change(
            "listener", "Gateway edge/public, listener https", f"{said}s-10443 → https-443", "info"
        ),
    ]


def test_a_real_upgrade_shows_what_it_did() -> None:
    """
    One Gateway of a lab under 1.8.3 and, upgraded, under 1.9.1: routes with weights, redirects,
    rewrites, mirrors, retries, limits, health checks, JWT, external authorization, CORS, gRPC, TLS
    to backends by the system's CAs, and one Lua script, which 1.9 does not run unless told to.
    """
    before, after = (recorded(it) for it in ("1.8.3", "1.9.1"))
    scripted = "HTTPRoute demo/inside, rule 0"
    assert [*changes(before, after)] == [
        Change("route", scripted, "Lua script: set → none", "error"),
        Change("route", scripted, "status of its own answer: none → 500", "error"),
        Change("route", scripted, "requests go to backends: yes → no"),
    ]
    assert changes(before, before) == changes(after, after) == ()


#: What no request meets: how Envoy is told, who was asked for it, and where a Pod is.
NOT_MEANT = {
    *("@type", "name", "version_info", "last_updated", "sds_config", "config_source", "eds_config"),
    *("resources", "bootstrap", "load_assignment", "static_route_configs", "secret", "sds"),
    *("initial_fetch_timeout", "route_config_name", "service_name", "cluster_name"),
    *("dynamic_endpoint_configs", "static_endpoint_configs", "dns_lookup_family", "providers"),
    *("requirement_map", "error_state", "warming_state", "client_status", "metadata"),
    *("dynamic_active_secrets", "static_secrets", "typed_per_filter_config", "disabled"),
}


def leaves(thing: Any) -> Iterator[Callable[[], None]]:
    """For each value of a dump that a request meets, what makes another of it in place."""
    if isinstance(thing, dict):
        for key, it in thing.items():
            if key in NOT_MEANT:
                continue
            if isinstance(it, dict | list):
                yield from leaves(it)
            else:
                yield partial(thing.__setitem__, key, another(it))
    elif isinstance(thing, list):
        for index, it in enumerate(thing):
            if isinstance(it, dict | list):
                yield from leaves(it)
            else:
                yield partial(thing.__setitem__, index, another(it))


def another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 7
    return f"{value}x" if not str(value).endswith("s") else "77s"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(RICH), st.data())
def test_any_one_value_that_is_another_is_found(path: Path, data: st.DataObject) -> None:
    before = json.loads(captured(path))
    after = copy.deepcopy(before)
    found = [*leaves(after["configs"])]
    found[data.draw(st.integers(0, len(found) - 1))]()

    assert changes(before, after)
    assert {it.text for it in changes(after, before)}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda it: st.lists(it, max_size=3) | st.dictionaries(st.text(max_size=4), it, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON, st.data())
def test_a_dump_of_any_shape_is_read(wrong: Any, data: st.DataObject) -> None:
    after = copy.deepcopy(RICHEST)
    at: Any = after["configs"]
    for _ in range(data.draw(st.integers(1, 9))):
        keys = [*at] if isinstance(at, dict) else [*range(len(at))] if isinstance(at, list) else []
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if data.draw(st.booleans()) and isinstance(at[key], dict | list):
            at = at[key]
        else:
            at[key] = wrong
            break

    changes(RICHEST, after)
    changes(after, RICHEST)


RICHEST = limited(old=False)


def test_a_value_that_may_be_a_secret_is_never_told() -> None:
    told = []
    for word in ("hush-5tK9", "HUSH_5TK9"):
        say: Json = {
            "request_headers_to_add": [{"header": {"key": "authorization", "value": word}}],
            "direct_response": {"status": 200, "body": {"inline_string": word}},
            "match": {"prefix": "/", "headers": [{"name": "k", "string_match": {"exact": word}}]},
        }
        script = lua("lua", EMPTY, default_source_code=source(word))
        told += [it.text for it in changes(dump(), dump([route(**say)]))]
        told += [it.text for it in changes(dump(), script)]
        told += [it.text for it in changes(lua("lua", EMPTY), script)]

    assert len(told) > 6
    assert not [it for it in told if "5tk9" in it.lower()]
