"""Where requests of the captures go; and the rules of hosts, chains and routes, one each."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.diagnosis import config
from tasks.diagnosis.evidence import Request
from tasks.diagnosis.routing import elsewhere, matched

Object = dict[str, Any]
CERTIFICATE = {"name": "envoy.transport_sockets.tls"}


def manager(table: Object | str, **more: Any) -> Object:
    where = (
        {"rds": {"route_config_name": table}} if isinstance(table, str) else {"route_config": table}
    )
    kind = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    config = {"@type": f"type.googleapis.com/{kind}", "stat_prefix": "http", **where, **more}
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def listener(name: str, port: int, *chains: Object, **more: Any) -> Object:
    address = {"socket_address": {"address": "0.0.0.0", "port_value": port}}
    return {"name": name, "address": address, "filter_chains": list(chains), **more}


def chain(name: str, *filters: Object, tls: bool = False, **match: Any) -> Object:
    secure = {"transport_socket": CERTIFICATE} if tls else {}
    return {"name": name, "filters": list(filters), "filter_chain_match": match, **secure}


def host(name: str, *domains: str, routes: list[Object] | None = None, **more: Any) -> Object:
    given = [route("/", name)] if routes is None else routes
    return {"name": name, "domains": list(domains), "routes": given, **more}


def route(prefix: str, name: str, **match: Any) -> Object:
    path = (
        {} if match.keys() & {"path", "safe_regex", "path_separated_prefix"} else {"prefix": prefix}
    )
    return {"name": name, "match": {**path, **match}, "direct_response": {"status": 200}}


def table(*hosts: Object, **more: Any) -> Object:
    return {"name": "table", "virtual_hosts": list(hosts), **more}


def read(*listeners: Object, tables: tuple[Object, ...] = ()) -> config.Configuration:
    kind = "type.googleapis.com/envoy.admin.v3."
    return config.read(
        {
            "configs": [
                {
                    "@type": f"{kind}ListenersConfigDump",
                    "static_listeners": [{"listener": it} for it in listeners],
                },
                {
                    "@type": f"{kind}RoutesConfigDump",
                    "dynamic_route_configs": [{"route_config": it} for it in tables],
                },
            ]
        }
    )


def one_table(*hosts: Object, manager_says: Mapping[str, Any] | None = None, **more: Any) -> Any:
    """A plain listener with these hosts."""
    whole = manager(table(*hosts, **more), **(manager_says or {}))
    return read(listener("http", 8080, chain("only", whole)))


@pytest.mark.parametrize(
    ("asked", "takes"),
    [
        pytest.param("shop.example.com", "shop.example.com", id="the same"),
        pytest.param("SHOP.example.COM", "shop.example.com", id="in any case"),
        pytest.param("x.shop.example.com", "*.shop.example.com", id="the longest suffix"),
        pytest.param("x.example.com", "*.example.com", id="a suffix"),
        pytest.param("example.com", None, id="not what the wildcard is of"),
        pytest.param("shop.example.com.", None, id="with a dot at its end"),
        pytest.param("shop.example.com:80", None, id="with a port"),
        pytest.param("api.of.x", "api.*", id="a prefix"),
        pytest.param("api.example.com", "*.example.com", id="a suffix before a prefix"),
        pytest.param("", None, id="none"),
    ],
)
def test_picks_the_domain_that_fits_best(asked: str, takes: str | None) -> None:
    names = ("*.example.com", "shop.example.com", "*.shop.example.com", "api.*")
    known = one_table(*(host(it, it) for it in names))

    assert matched(known, Request(host=asked)).domain == takes


@pytest.mark.parametrize(
    ("table_says", "manager_says", "name", "found"),
    [
        pytest.param({}, {}, "a.test:8080", False, id="a port counts"),
        pytest.param({"ignore_port_in_host_matching": True}, {}, "a.test:x", True, id="ignored"),
        pytest.param(
            {}, {"strip_matching_host_port": True}, "a.test:8080", True, id="its own port"
        ),
        pytest.param({}, {"strip_matching_host_port": True}, "a.test:80", False, id="another port"),
        pytest.param({}, {"strip_any_host_port": True}, "a.test:80", True, id="any port"),
        pytest.param({}, {"strip_trailing_host_dot": True}, "a.test.", True, id="a dot"),
        pytest.param({}, {"strip_any_host_port": True}, "a.test:x", False, id="what is no port"),
    ],
)
def test_leaves_out_ports_where_it_is_told_to(
    table_says: Object, manager_says: Object, name: str, found: bool
) -> None:
    known = one_table(host("a", "a.test"), manager_says=manager_says, **table_says)

    assert (matched(known, Request(host=name), port=8080).host is not None) == found


@pytest.mark.parametrize(
    ("condition", "request_", "says"),
    [
        pytest.param({"prefix": "/cart"}, Request(path="/carts"), None, id="a prefix is of texts"),
        pytest.param(
            {"path_separated_prefix": "/cart"},
            Request(path="/carts/1?x=1"),
            'path "/carts/1" is not under "/cart"',
            id="and this one of segments",
        ),
        pytest.param(
            {"path_separated_prefix": "/cart"}, Request(path="/cart?x"), None, id="itself"
        ),
        pytest.param(
            {"path": "/cart"}, Request(path="/cart/"), 'path "/cart/" is not "/cart"', id="a slash"
        ),
        pytest.param(
            {"path": "/cart", "case_sensitive": False}, Request(path="/CART"), None, id="case"
        ),
        pytest.param(
            {"safe_regex": {"regex": "/v[0-9]+"}},
            Request(path="/v1/x"),
            'path "/v1/x" does not match /v[0-9]+',
            id="an expression is for the whole path",
        ),
        pytest.param({"connect_matcher": {}}, Request(), "takes CONNECT alone", id="CONNECT"),
        pytest.param(
            {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "POST"}}]},
            Request(),
            'method "GET" is not "POST"',
            id="the method",
        ),
        pytest.param(
            {"prefix": "/", "headers": [{"name": "X-A", "string_match": {"exact": "b"}}]},
            Request(headers={"x-a": "a"}),
            'header x-a "a" is not "b"',
            id="a header",
        ),
        pytest.param(
            {"prefix": "/", "headers": [{"name": "x-a", "exact_match": "b", "invert_match": True}]},
            Request(),
            "header x-a is missing",
            id="a missing header is not another one",
        ),
        pytest.param(
            {"prefix": "/", "headers": [{"name": "x-n", "range_match": {"start": 1, "end": "5"}}]},
            Request(headers={"x-n": "5"}),
            'header x-n "5" is not from 1 to 4',
            id="a range ends before its end",
        ),
        pytest.param(
            {"prefix": "/", "headers": [{"name": "x-a", "present_match": False}]},
            Request(headers={"x-a": ""}),
            "header x-a is there, and must not be",
            id="a header that must not be",
        ),
        pytest.param(
            {"prefix": "/", "query_parameters": [{"name": "a", "string_match": {"exact": "1"}}]},
            Request(path="/?a=2&a=1"),
            'query parameter a "2" is not "1"',
            id="the first of a name",
        ),
        pytest.param(
            {"prefix": "/", "grpc": {}},
            Request(headers={"content-type": "application/grpc+proto"}),
            None,
            id="gRPC",
        ),
        pytest.param(
            {"prefix": "/", "dynamic_metadata": [{"filter": "x"}]},
            Request(),
            "depends on metadata of filters, which only Envoy knows",
            id="what nobody knows",
        ),
        pytest.param(
            {
                "prefix": "/",
                "headers": [{"name": "x-request-id", "exact_match": "1"}, {"name": "x-a"}],
            },
            Request(),
            "header x-a is missing",
            id="what is known beside what is not",
        ),
        pytest.param(
            {"path": "/a", "headers": [{"name": "x-a"}]},
            Request(),
            'path "/" is not "/a"; header x-a is missing',
            id="all that is wrong",
        ),
    ],
)
def test_says_why_a_route_does_not_match(
    condition: Object, request_: Request, says: str | None
) -> None:
    it = {"name": "it", "match": condition}
    found = matched(one_table(host("a", "*", routes=[it])), request_)

    assert found.misses == (() if says is None else (f"it: {says}",))
    assert (found.route is None) == (says is not None)


def test_takes_the_first_route_and_says_what_was_before_it() -> None:
    routes = [route("/a", "one"), route("/", "two", headers=[]), route("/b", "three")]
    found = matched(one_table(host("a", "*", routes=routes)), Request(path="/b"))

    assert found.route is not None
    assert found.route.name == "two"
    assert found.misses == ('one: path "/b" does not begin with "/a"',)


@pytest.mark.parametrize(
    ("manager_says", "path", "says"),
    [
        ({"normalize_path": True}, "/x/../cart/%2e/1?a=/../", "/cart/1?a=/../"),
        ({"merge_slashes": True}, "//cart///1", "/cart/1"),
        ({"path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"}, "/cart%2F1", "/cart/1"),
        ({"normalize_path": True}, "/cart/%7Eme%2f", "/cart/~me%2f"),
    ],
)
def test_paths_are_matched_as_the_manager_leaves_them(
    manager_says: Object, path: str, says: str
) -> None:
    known = one_table(host("a", "*"), manager_says=manager_says)

    assert matched(known, Request(path=path)).notes == (f'path "{path}" is matched as "{says}"',)


@pytest.mark.parametrize(
    ("host_says", "manager_says", "path", "says"),
    [
        (
            {"require_tls": "ALL"},
            {},
            "/",
            "virtual host a redirects to https (require_tls)",
        ),
        ({}, {}, "/a#b", "a path with # is answered with 400"),
        (
            {},
            {"path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT"},
            "/a%2Fb",
            "a path with %2F or %5C is redirected with 307 to the one without",
        ),
    ],
)
def test_says_what_envoy_answers_before_it_looks_at_routes(
    host_says: Object, manager_says: Object, path: str, says: str
) -> None:
    known = one_table(host("a", "*", **host_says), manager_says=manager_says)
    found = matched(known, Request(path=path))

    assert (found.route, found.ends) == (None, says)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("shop.exampel.com", 'domain "shop.example.com" of virtual host shop'),
        ("shop.example.com:81", 'domain "shop.example.com" of virtual host shop, without its port'),
        (
            "shop.example.com.",
            'domain "shop.example.com" of virtual host shop, without the dot at its end',
        ),
        (
            "example.org",
            'domain "*.example.org" of virtual host org, which has no "example.org" itself',
        ),
        ("nothing.at.all", ""),
    ],
)
def test_names_the_domain_that_was_meant(name: str, says: str) -> None:
    known = one_table(host("shop", "shop.example.com"), host("org", "*.example.org"))

    assert matched(known, Request(host=name)).near == says


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (Request(path="/cart/"), 'cart: path "/cart/" is not "/cart" ("/cart" would match)'),
        (Request(path="/Cart"), 'cart: path "/Cart" is not "/cart" (it would match in lower case)'),
        (Request("GET", path="/pay"), 'pay: method "GET" is not "POST"'),
    ],
)
def test_names_the_route_that_was_meant(request_: Request, says: str) -> None:
    post = [{"name": ":method", "string_match": {"exact": "POST"}}]
    routes = [route("", "pay", path="/pay", headers=post), route("", "cart", path="/cart")]

    assert matched(one_table(host("a", "*", routes=routes)), request_).near == says


# Listeners and chains.

INSPECTOR = [{"name": "envoy.filters.listener.tls_inspector"}]


def names(*chains: Object, **more: Any) -> config.Configuration:
    """A listener that tells chains apart by names."""
    return read(listener("https", 10443, *chains, listener_filters=INSPECTOR, **more))


@pytest.mark.parametrize(
    ("sni", "takes"),
    [
        pytest.param("shop.example.com", "exact", id="the same"),
        pytest.param("SHOP.example.com", "exact", id="in any case"),
        pytest.param("a.example.com", "suffix", id="a suffix"),
        pytest.param("a.b.example.com", "suffix", id="of any length"),
        pytest.param("example.com", None, id="not what the wildcard is of"),
        pytest.param("", None, id="none"),
    ],
)
def test_picks_the_chain_by_the_name_of_the_handshake(sni: str, takes: str | None) -> None:
    all_hosts = manager(table(host("a", "*")))
    known = names(
        chain("suffix", all_hosts, tls=True, server_names=["*.example.com"]),
        chain("exact", all_hosts, tls=True, server_names=["shop.example.com"]),
    )
    found = matched(known, Request(scheme="https", host="x", sni=sni), local="10.0.0.1:10443")

    assert (found.chain.name if found.chain else None) == takes


def test_a_name_is_the_host_where_nothing_else_is_said() -> None:
    one = chain("one", manager(table(host("a", "*"))), tls=True, server_names=["a.test"])

    assert matched(names(one), Request(scheme="https", host="a.test:443")).chain is not None
    assert matched(names(one), Request(scheme="https", host="10.0.0.1")).chain is None
    assert matched(names(one), Request(scheme="https", host="b.test")).near == (
        'server name "a.test" of filter chain one'
    )


def test_without_an_inspector_no_name_is_ever_seen() -> None:
    one = chain("one", manager(table(host("a", "*"))), tls=True, server_names=["a.test"])
    two = chain("two", manager(table(host("a", "*"))), tls=True, application_protocols=["h2"])
    known = read(listener("https", 443, one, two))

    assert matched(known, Request(scheme="https", host="a.test", version="2")).chain is None


def test_a_chain_for_the_rest_takes_the_rest() -> None:
    all_hosts = manager(table(host("a", "*")))
    rest = chain("rest", all_hosts)
    known = names(
        chain("one", all_hosts, tls=True, server_names=["a.test"]), default_filter_chain=rest
    )

    found = matched(known, Request(host="b.test"), port=10443)

    assert found.chain is not None
    assert found.chain.name == "rest"
    assert found.route is not None


@pytest.mark.parametrize(
    ("scheme", "tls", "says"),
    [
        ("http", True, "filter chain one wants TLS, and the request comes without"),
        ("https", False, "filter chain one has no TLS, and the request comes with it"),
        ("https", True, ""),
    ],
)
def test_tls_and_none_do_not_meet(scheme: str, tls: bool, says: str) -> None:
    known = read(listener("it", 8443, chain("one", manager(table(host("a", "*"))), tls=tls)))
    found = matched(known, Request(scheme=scheme, host="a"), port=8443)

    assert found.ends == says
    assert (found.table is None) == bool(says)


@pytest.mark.parametrize(
    ("asked", "port", "local", "takes"),
    [
        pytest.param(Request(host="a"), None, None, "http", id="the port of the scheme, moved"),
        pytest.param(Request(host="a", scheme="https"), None, None, "https", id="and of https"),
        pytest.param(Request(host="a:8080"), None, None, "other", id="a port in the host"),
        pytest.param(Request(host="a"), 8080, None, "other", id="the port that a log says"),
        pytest.param(Request(host="a"), None, "[fd00::7]:8080", "other", id="and its address"),
        pytest.param(Request(host="a"), 9, None, None, id="a port that nobody has"),
        pytest.param(Request(host="a", version="3", scheme="https"), None, None, "quic", id="QUIC"),
    ],
)
def test_picks_the_listener(
    asked: Request, port: int | None, local: str | None, takes: str | None
) -> None:
    it = manager(table(host("a", "*")))
    quic = listener("quic", 10443, chain("only", it, tls=True))
    quic["address"]["socket_address"]["protocol"] = "UDP"
    known = read(
        listener("envoy-gateway-proxy-ready-0.0.0.0-19003", 19003, chain("only", it)),
        quic,
        listener("http", 10080, chain("only", it)),
        listener("https", 10443, chain("only", it, tls=True)),
        listener("other", 8080, chain("only", it)),
    )
    found = matched(known, asked, port=port, local=local)

    assert (found.listener.name if found.listener else None) == takes


def test_connections_to_elsewhere_come_to_the_listener_that_takes_them_over() -> None:
    inbound = listener(
        "virtualInbound",
        15006,
        chain("9080", manager(table(host("a", "*"))), destination_port=9080),
        listener_filters=[{"name": "envoy.filters.listener.original_dst"}],
    )
    found = matched(read(inbound), Request(host="a"), local="10.0.0.7:9080")

    assert found.chain is not None
    assert found.chain.name == "9080"
    assert found.notes == ("port 9080 has no listener of its own: taken over by virtualInbound",)


def test_of_several_listeners_that_it_may_be_it_takes_the_one_that_gets_furthest() -> None:
    known = read(
        listener("one", 7001, chain("one", manager(table(host("a", "a.test"))))),
        listener("two", 7002, chain("two", manager(table(host("b", "b.test"))))),
    )
    found = matched(known, Request(host="b.test"))

    assert found.listener is not None
    assert found.listener.name == "two"
    assert found.notes == ("the port is not known: it may be any of one, two",)


@pytest.mark.parametrize(
    ("filter_", "says"),
    [
        pytest.param(
            {"name": "envoy.filters.network.tcp_proxy", "typed_config": {"cluster": "db"}},
            "filter chain it sends all of a connection to cluster db",
            id="TCP",
        ),
        pytest.param(
            manager(""),
            "filter chain it has its routes by scope, which is not followed",
            id="scoped routes",
        ),
        pytest.param(
            {"name": "envoy.filters.network.echo"}, "filter chain it speaks no HTTP", id="other"
        ),
    ],
)
def test_says_where_there_are_no_routes(filter_: Object, says: str) -> None:
    found = matched(read(listener("it", 5432, chain("it", filter_))), Request(), port=5432)

    assert (found.table, found.ends) == (None, says)


def test_says_where_else_a_host_is() -> None:
    known = names(
        chain("a", manager("a"), tls=True, server_names=["a.test"]),
        chain("b", manager("b"), tls=True, server_names=["*.b.test"]),
        chain("all", manager("all"), tls=True),
    )
    tables = tuple(
        {"name": it, "virtual_hosts": [host(it, one)]}
        for it, one in (("a", "a.test"), ("b", "x.b.test"), ("all", "*"))
    )
    both = read(dict(known.listeners[0].raw), tables=tables)

    assert [
        (it.chain.name, it.domain, it.server_name, it.without_port)
        for it in elsewhere(both, "X.b.test:8443")
    ] == [("b", "x.b.test", "*.b.test", True)]
    assert [it.chain.name for it in elsewhere(both, "y.b.test")] == ["b"]
    assert elsewhere(both, "c.test") == []


# Of real Envoys.

DATA = Path(__file__).parents[1] / "data"
FILES = sorted((*DATA.glob("captures/*.json.gz"), *DATA.glob("scenarios/*.json.gz")))
VERSIONS = {"HTTP/1.1": "1.1", "HTTP/2": "2"}


def logged(path: Path) -> Iterator[tuple[str | None, set[str | None]]]:
    """The route that each line of a log names, and those that its request could have gone to."""
    capture = json.loads(gzip.decompress(path.read_bytes()))
    known = config.read(capture["admin"]["config_dump"])
    headers: dict[tuple[str, ...], list[Object]] = {}
    for it in capture["client"]:
        asked = it["request"]
        key = (asked["method"], asked["host"], asked["path"])
        headers.setdefault(key, []).append(asked.get("headers") or {})
    for line in capture["access_log"]["eg_default_json"]:
        ended = str(line["response_code_details"]).partition("{")[0]
        if line["route_name"] is None and ended not in NOWHERE:
            continue  # what was refused before routes were looked at
        if line["route_name"] in _rewriting(known):
            continue  # the log has the path as it was sent on
        yield (
            line["route_name"],
            {_route(known, line, it) for it in headers.get(_key(line)) or [{}]},
        )


def _key(line: Object) -> tuple[str, ...]:
    return line["method"], line[":authority"], line["x-envoy-origin-path"]


def _route(known: config.Configuration, line: Object, headers: Object) -> str | None:
    name = line["requested_server_name"]
    asked = Request(
        line["method"] or "GET",
        "https" if name else "http",
        line[":authority"] or "",
        line["x-envoy-origin-path"] or "/",
        {**headers, "user-agent": line["user-agent"] or ""},
        VERSIONS.get(line["protocol"], "1.1"),
        name,
    )
    found = matched(known, asked, local=line["downstream_local_address"])
    return found.route.name or None if found.route is not None else None


#: Details of requests and connections that led nowhere.
NOWHERE = ("route_not_found", "filter_chain_not_found")


def _rewriting(known: config.Configuration) -> set[str]:
    """Names of routes that send another path on."""
    return {
        one.name
        for table in known.tables.values()
        for it in table.hosts
        for one in it.routes
        if any("rewrite" in key for key in one.raw.get("route", ()))
    }


@pytest.mark.parametrize("path", FILES, ids=lambda it: it.name.removesuffix(".json.gz"))
def test_requests_go_where_the_log_of_a_real_envoy_says(path: Path) -> None:
    assert [(named, ours) for named, ours in logged(path) if named not in ours] == []
