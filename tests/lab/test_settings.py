"""
What the inventory says of connections, windows, buffers and times is what Envoy runs, and what
clients meet; and who the client is, behind a load balancer of each kind.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from tasks.lab import state
from tests.lab import serving
from tests.lab.calling import called
from tests.lab.edge import HTTP, Edge, Json, apply, delete, served, values
from tests.lab.fleet import opened
from tests.lab.running import until

pytestmark = pytest.mark.lab

#: A port of this machine on which connections are never taken.
FULL = 7409
#: One worker, so that what holds for each of them holds for the proxy.
ONE = {"replicas": 1, "cpu": "10m", "memory": "64Mi", "concurrency": 1}
SHORT: Json = {
    "connection_age": "4s",
    "idle": "1s",
    "stream_idle": "3s",
    "buffer": "64Ki",
    "streams": 7,
    "stream_window": "128Ki",
    "connection_window": "256Ki",
    "proxy_protocol": "optional",
}
GATEWAYS: list[Json] = [
    {
        "name": "short",
        "namespace": "edge",
        "listeners": HTTP,
        "proxy": ONE | {"external_traffic_policy": "Local"},
        "limits": {"clients": SHORT},
    },
    {
        "name": "long",
        "namespace": "edge",
        "listeners": HTTP,
        "proxy": ONE | {"external_traffic_policy": "Cluster"},
        "limits": {
            "clients": {
                "connection_requests": 3,
                "buffer": "8Mi",
                "trusted_proxies": ["10.0.0.0/8"],
            }
        },
    },
]
#: Limits of a route, by its name.
LIMITS: dict[str, Json] = {
    "plain": {},
    "full": {"timeouts": {"connect": "1s", "request": "9s"}},
    "ends": {"timeouts": {"request": "9s", "stream": "1s"}},
    "quiet": {"timeouts": {"request": "9s", "stream_idle": "1s"}},
    "rested": {"timeouts": {"idle": "1s"}},
    "far": {"backends": {"buffer": "96Ki", "keepalive": "50s"}},
    "one": {"backends": {"streams": 1, "stream_window": "128Ki", "connection_window": "512Ki"}},
    "many": {},
    "lines": {"circuit_breaker": {"connections": 1, "retries": 3, "per_endpoint": 2}},
}


#: Where a route leads that does not lead to what obeys.
ELSEWHERE = {"full": ("full", FULL)} | dict.fromkeys(("one", "many"), ("argo", serving.ARGO))


def route(name: str, gateway: str, limits: Json) -> Json:
    service, port = ELSEWHERE.get(name, ("obeys", serving.OBEYS))
    return {
        "name": name,
        "namespace": "demo",
        "kind": "GRPCRoute" if service == "argo" else "HTTPRoute",
        "gateway": f"edge/{gateway}",
        "hostnames": [f"{name}.lab.test"],
        "backends": [{"service": service, "port": port}],
        **({"limits": limits} if limits else {}),
    }


ROUTES = [
    *(route(name, "short", limits) for name, limits in LIMITS.items()),
    route("long", "long", {}),
]


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The lab's first cluster, with two more Gateways and an application on this machine."""
    fleet = opened(tmp_path_factory.mktemp("settings"))
    outside = state.running(fleet.lab.name).gateway
    for name, port in set(ELSEWHERE.values()):
        apply(fleet, serving.objects(name, port, outside))
    with full(outside), served(fleet, GATEWAYS, ROUTES) as found:
        until("the routes to be served", lambda: found.ask("plain")[0] == 200)
        until("the last route to be served", lambda: found.ask("long", gateway="long")[0] == 200)
        for host in ("one", "many"):
            until("gRPC to be served", lambda host=host: watched(found, host) == "OK")  # type: ignore[misc]
        yield found
    delete(fleet, "service", "demo", "full", "argo")


def watched(edge: Edge, host: str, messages: int = 1) -> str:
    """A stream of the server, half a second a message."""
    there = f"{edge.address('short')}:80"
    return called(there, f"{host}.lab.test", "/shop.Cart/Watch", str(messages)).code


@contextmanager
def full(address: str) -> Iterator[None]:
    """A port whose connections nobody takes, and whose queue is full: the next one waits."""
    with socket.create_server((address, FULL), backlog=0), socket.socket() as first:
        first.connect((address, FULL))
        yield


@contextmanager
def http2(address: str) -> Iterator[tuple[socket.socket, h2.connection.H2Connection]]:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    with socket.create_connection((address, 80), timeout=60) as stream:
        stream.sendall(connection.data_to_send())
        yield stream, connection


def test_envoy_runs_what_the_inventory_says_of_clients(edge: Edge) -> None:
    short, long = edge.config("listeners", "short"), edge.config("listeners", "long")
    assert value(short, "per_connection_buffer_limit_bytes") == 64 * 2**10
    assert value(long, "per_connection_buffer_limit_bytes") == 8 * 2**20
    common = value(short, "common_http_protocol_options")
    assert (common["idle_timeout"], common["max_connection_duration"]) == ("1s", "4s")
    assert value(short, "stream_idle_timeout") == "3s"
    assert value(long, "common_http_protocol_options")["max_requests_per_connection"] == 3
    windows = value(short, "http2_protocol_options")
    assert windows["max_concurrent_streams"] == 7
    assert windows["initial_stream_window_size"] == 128 * 2**10
    assert windows["initial_connection_window_size"] == 256 * 2**10
    names = {it["name"] for it in value(short, "listener_filters")}
    assert "envoy.filters.listener.proxy_protocol" in names
    [trusted] = value(long, "xff_trusted_cidrs")["cidrs"]
    assert trusted == {"address_prefix": "10.0.0.0", "prefix_len": 8}


def test_envoy_runs_what_the_inventory_says_of_backends(edge: Edge) -> None:
    clusters = {
        it["name"].split("/")[2]: it for it in edge.config("clusters") if "/demo/" in it["name"]
    }
    assert clusters["full"]["connect_timeout"] == "1s"
    options = value(clusters["rested"], "common_http_protocol_options")
    assert options["idle_timeout"] == "1s"
    assert clusters["far"]["per_connection_buffer_limit_bytes"] == 96 * 2**10
    alive = clusters["far"]["upstream_connection_options"]["tcp_keepalive"]
    assert alive == {"keepalive_time": 50, "keepalive_interval": 30, "keepalive_probes": 3}
    windows = value(clusters["one"], "http2_protocol_options")
    assert windows["max_concurrent_streams"] == 1
    assert windows["initial_stream_window_size"] == 128 * 2**10
    assert windows["initial_connection_window_size"] == 512 * 2**10
    breakers = clusters["lines"]["circuit_breakers"]
    [every] = [it for it in breakers["thresholds"] if "max_retries" in it]
    assert (every["max_connections"], every["max_retries"]) == (1, 3)
    [each] = breakers["per_host_thresholds"]
    assert each["max_connections"] == 2
    actions = {it["cluster"].split("/")[2]: it for it in values(edge.config("routes"), "route")}
    assert actions["quiet"]["idle_timeout"] == "1s"
    assert actions["ends"]["max_stream_duration"]["max_stream_duration"] == "1s"


def value(thing: Any, key: str) -> Any:
    """The one value that stands under this key, however often."""
    first, *more = values(thing, key)
    assert all(it == first for it in more), (key, first, more)
    return first


def test_a_client_is_told_its_windows(edge: Edge) -> None:
    """In the SETTINGS of a connection, and an update of its own window."""
    said: dict[int, int] = {}
    window = 65535
    with http2(edge.address("short")) as (stream, connection):
        while window == 65535 or not said:
            for event in connection.receive_data(stream.recv(65536)):
                if isinstance(event, h2.events.RemoteSettingsChanged):
                    said |= {key: it.new_value for key, it in event.changed_settings.items()}
                if isinstance(event, h2.events.WindowUpdated) and event.stream_id == 0:
                    window += event.delta
    codes = h2.settings.SettingCodes
    assert (said[codes.MAX_CONCURRENT_STREAMS], said[codes.INITIAL_WINDOW_SIZE]) == (7, 131072)
    assert window == 262144


def test_a_connection_ends_at_its_age(edge: Edge) -> None:
    """However busy it is: with GOAWAY, in HTTP/1 with the last answer; no request is lost."""
    with ThreadPoolExecutor() as pool:
        found = [pool.submit(it, edge.address("short")) for it in (until_close, until_goaway)]
        assert all(it.result() >= 3.9 for it in found)
    assert edge.stats("short")["envoy_http_downstream_cx_max_duration_reached"] > 0


def until_close(address: str) -> float:
    begun = time.monotonic()
    connection = http.client.HTTPConnection(address, 80, timeout=60)
    last = None
    while last != "close":
        connection.request("GET", "/wait/0.3", headers={"Host": "plain.lab.test"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:1]) == (200, b"{")
        last = answer.getheader("connection")
    connection.close()
    return time.monotonic() - begun


def until_goaway(address: str) -> float:
    begun = time.monotonic()
    asked = answered = 0
    with http2(address) as (stream, connection):
        while True:
            if answered == asked:
                asked += 1
                head = {":method": "GET", ":scheme": "http", ":path": "/wait/0.3"}
                headers = [*head.items(), (":authority", "plain.lab.test")]
                connection.send_headers(2 * asked - 1, headers, end_stream=True)
            stream.sendall(connection.data_to_send())
            data = stream.recv(65536)
            assert data, "ended without a word"
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ConnectionTerminated):
                    return time.monotonic() - begun
                answered += isinstance(event, h2.events.StreamEnded)


def test_a_connection_ends_after_so_many_requests(edge: Edge) -> None:
    connection = http.client.HTTPConnection(edge.address("long"), 80, timeout=60)
    told = []
    for _ in range(3):
        connection.request("GET", "/", headers={"Host": "long.lab.test"})
        answer = connection.getresponse()
        answer.read()
        told.append(answer.getheader("connection"))
    connection.close()
    assert told == [None, None, "close"]


def test_a_connection_ends_where_nobody_asks(edge: Edge) -> None:
    with socket.create_connection((edge.address("short"), 80), timeout=60) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\nHost: plain.lab.test\r\n\r\n")
        assert stream.recv(65536).startswith(b"HTTP/1.1 200 ")
        begun = time.monotonic()
        while stream.recv(65536):
            pass
    assert 0.9 <= time.monotonic() - begun < 30
    assert edge.stats("short")["envoy_http_downstream_cx_idle_timeout"] > 0


class Late(NamedTuple):
    """What a client met, after how long, and the flags and details in the access log."""

    status: int
    seconds: float
    flags: str
    details: str


@pytest.fixture(scope="module")
def late(edge: Edge) -> dict[str, Late]:
    """Requests that run out of time, all at once: for the log is written every 10 s."""

    def one(host: str, path: str) -> Late:
        begun = time.monotonic()
        status = edge.ask(host, path)[0]
        return Late(status, time.monotonic() - begun, *flags(edge, path))

    def half(host: str, path: str) -> Late:
        """Whose body does not come."""
        begun = time.monotonic()
        head = f"POST {path} HTTP/1.1\r\nHost: {host}.lab.test\r\ncontent-length: 9\r\n\r\nhalf"
        with socket.create_connection((edge.address("short"), 80), timeout=60) as stream:
            stream.sendall(head.encode())
            status = int(stream.recv(65536).split()[1])
        return Late(status, time.monotonic() - begun, *flags(edge, path))

    asked = {"quiet": "/wait/30/quiet", "ends": "/wait/30/ends", "full": "/full"}
    with ThreadPoolExecutor() as pool:
        found = {host: pool.submit(one, host, path) for host, path in asked.items()}
        found["half"] = pool.submit(half, "plain", "/half")
        return {name: it.result() for name, it in found.items()}


def flags(edge: Edge, path: str) -> tuple[str, str]:
    line = edge.logged(path, "short")
    return line["response_flags"], line["response_code_details"].partition("{")[0]


@pytest.mark.parametrize(
    ("name", "status", "seconds", "logged"),
    [
        pytest.param("half", 408, 3, ("SI", "stream_idle_timeout"), id="a body that stops"),
        pytest.param("quiet", 504, 1, ("SI", "stream_idle_timeout"), id="an answer that is late"),
        pytest.param("ends", 504, 1, ("-", "max_duration_timeout"), id="its longest life"),
        pytest.param(
            "full",
            503,
            1,
            ("UF", "upstream_reset_before_response_started"),
            id="an endpoint that takes no connection",
        ),
    ],
)
def test_what_is_late_ends(
    late: dict[str, Late], name: str, status: int, seconds: float, logged: tuple[str, str]
) -> None:
    """Well before the nine seconds that the whole request may take."""
    it = late[name]
    assert (it.status, (it.flags, it.details)) == (status, logged)
    assert seconds - 0.1 <= it.seconds < 8.5


def test_a_connection_to_a_backend_that_rested_is_not_used_again(edge: Edge) -> None:
    """The backend sees another port; of a route that says nothing, the same one."""

    def ports(host: str) -> set[int]:
        found = {int(edge.ask(host)[1]["port"])}
        time.sleep(3)
        return found | {int(edge.ask(host)[1]["port"])}

    with ThreadPoolExecutor() as pool:
        rested, plain = pool.map(ports, ("rested", "plain"))
    assert (len(rested), len(plain)) == (2, 1)


def test_so_many_connections_to_a_backend(edge: Edge) -> None:
    """The others wait until it is free."""

    def took(host: str) -> float:
        begun = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: edge.ask(host, "/wait/0.7"), range(4)))
        assert [status for status, _ in found] == [200] * 4
        assert len({told["port"] for _, told in found}) == (1 if host == "lines" else 4)
        return time.monotonic() - begun

    assert took("lines") >= 4 * 0.7
    took("plain")


def test_so_many_streams_in_one_connection_to_a_backend(edge: Edge) -> None:
    """The second stream has a connection of its own; else both have that which was there."""
    opened = []
    for host in ("one", "many"):
        before = edge.seen("/connections")
        with ThreadPoolExecutor(2) as pool:
            assert [*pool.map(lambda _, host=host: watched(edge, host, 6), range(2))] == ["OK"] * 2
        opened.append(edge.seen("/connections") - before)
    assert opened == [1, 0]


def test_a_client_that_does_not_read_is_not_written_for(edge: Edge) -> None:
    """A proxy holds back as much as its buffer says, and then no longer reads of the backend."""
    assert held(edge, "plain", "short") < 2**20
    assert held(edge, "long", "long") > 4 * 2**20


def held(edge: Edge, host: str, gateway: str) -> float:
    """Bytes that the proxy holds of an answer of 64 MiB for one who reads none of them."""
    with socket.socket() as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream.connect((edge.address(gateway), 80))
        stream.sendall(b"GET /big/64 HTTP/1.1\r\nHost: %b.lab.test\r\n\r\n" % host.encode())
        time.sleep(1)
        return edge.stats(gateway)["envoy_http_downstream_cx_tx_bytes_buffered"]


def test_who_the_client_is(edge: Edge) -> None:
    """
    Ourselves with Local, a node with Cluster, both asked at a node's port; another where somebody
    says so who may.
    """
    with socket.create_connection((edge.address("short"), 80)) as stream:
        own = stream.getsockname()[0]
    for host, path, gateway in (("plain", "/local", "short"), ("long", "/cluster", "long")):
        assert edge.answer(host, path, edge.node_port(gateway))[0] == 200
    edge.ask("plain", "/claimed", x_forwarded_for="203.0.113.9")
    edge.ask("long", "/trusted", "long", x_forwarded_for="203.0.113.9")
    said = b"PROXY TCP4 198.51.100.7 192.0.2.1 1234 80\r\n"
    with socket.create_connection((edge.address("short"), 80), timeout=60) as stream:
        stream.sendall(said + b"GET /proxied HTTP/1.1\r\nHost: plain.lab.test\r\n\r\n")
        assert stream.recv(65536).startswith(b"HTTP/1.1 200 ")
    asked = dict.fromkeys(("/local", "/claimed", "/proxied"), "short")
    asked |= dict.fromkeys(("/cluster", "/trusted"), "long")
    clients = {
        path: edge.logged(path, gateway)["downstream_remote_address"].rpartition(":")[0]
        for path, gateway in asked.items()
    }
    node = clients.pop("/cluster")
    assert node != own
    assert node.startswith("10.")
    assert clients == {
        "/local": own,
        "/claimed": own,
        "/proxied": "198.51.100.7",
        "/trusted": "203.0.113.9",
    }
