"""A client that uses one connection for two names, against a server of this test."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from tasks.operations import coalescing
from tasks.plans.overlap import Answers, Overlap, Pair
from tests.authorities import issued
from tests.plans.test_overlap import A, B

NAMES = ("a.example.com", "b.example.com")


@contextmanager
def server(
    folder: Path, names: Sequence[str], alpn: str = "h2", status: str = "404", body: int = 0
) -> Iterator[tuple[int, list[str]]]:
    """
    Answers 200 for the name of the handshake and ``status`` for others, as a proxy with a listener
    each; its port, and what it was asked, as "sni authority".
    """
    made, asked = issued("a", names), list[str]()
    (folder / "crt").write_bytes(made.pem)
    (folder / "key").write_bytes(made.key_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "crt", folder / "key")
    context.set_alpn_protocols([alpn])
    sni: dict[int, str] = {}
    context.sni_callback = lambda stream, name, _: sni.update({id(stream): name})

    def one(raw: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(raw, server_side=True) as stream:
            name = sni[id(stream)]
            if stream.selected_alpn_protocol() == "h2":
                _http2(stream, name)
            else:
                text = stream.recv(65536).decode()
                asked.append(f"{name} {text.partition('Host: ')[2].splitlines()[0]}")
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def _http2(stream: ssl.SSLSocket, name: str) -> None:
        http = H2Connection(H2Configuration(client_side=False))
        http.initiate_connection()
        while True:
            stream.sendall(http.data_to_send())
            data = stream.recv(65536)
            if not data:
                return
            for event in http.receive_data(data):
                if isinstance(event, RequestReceived):
                    authority = dict(event.headers)[b":authority"].decode()
                    asked.append(f"{name} {authority}")
                    good = authority.partition(":")[0] == name
                    code = "200" if good else status
                    if code == "reset":
                        http.reset_stream(event.stream_id, 1)
                    elif code == "away":
                        http.close_connection(2)
                    else:
                        http.send_headers(event.stream_id, [(":status", code)], not body)
                    if body and code.isdigit():
                        http.send_data(event.stream_id, b"x" * body, end_stream=False)

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    Thread(target=one, args=(listening.accept()[0],), daemon=True).start()

        Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1], asked
        listening.shutdown(socket.SHUT_RDWR)


def pair(port: int) -> Pair:
    first, second = (replace(it, port=port, addresses=("127.0.0.1",)) for it in (A, B))
    return Pair(first, NAMES[0], second, NAMES[1], "*.example.com")


@pytest.mark.parametrize(
    ("names", "alpn", "status", "wanted", "times"),
    [
        pytest.param(NAMES, "h2", "404", Answers("h2", True, 200, 404, 200), 2, id="404"),
        pytest.param(
            ["*.example.com"], "h2", "421", Answers("h2", True, 200, 421, 200), 2, id="421"
        ),
        pytest.param(NAMES, "h2", "200", Answers("h2", True, 200, 200, 200), 2, id="cured"),
        pytest.param(
            NAMES[:1], "h2", "404", Answers("h2", False, 200, None, 200), 1, id="not covered"
        ),
        pytest.param(
            NAMES, "http/1.1", "404", Answers("http/1.1", True, 200, None, 200), 1, id="1.1"
        ),
    ],
)
def test_a_client_that_coalesces(
    tmp_path: Path, names: Sequence[str], alpn: str, status: str, wanted: Answers, times: int
) -> None:
    with server(tmp_path, names, alpn, status) as (port, asked):
        assert coalescing.ask(pair(port), "127.0.0.1") == wanted
    on_first = [it for it in asked if it.startswith(NAMES[0])]
    assert on_first == [f"{NAMES[0]} {it}:{port}" for it in NAMES[:times]]
    assert asked[len(on_first) :] == [f"{NAMES[1]} {NAMES[1]}:{port}"]


def test_a_long_body_is_not_waited_for(tmp_path: Path) -> None:
    with server(tmp_path, NAMES, body=16000) as (port, _):
        assert coalescing.ask(pair(port), "127.0.0.1") == Answers("h2", True, 200, 404, 200)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        pytest.param("reset", "the request was reset with error 1", id="reset"),
        pytest.param("away", "the connection was ended with error 2", id="goaway"),
    ],
)
def test_a_server_that_ends_it(tmp_path: Path, status: str, why: str) -> None:
    with server(tmp_path, NAMES, status=status) as (port, _):
        assert coalescing.ask(pair(port), "127.0.0.1") == Answers("h2", True, 200, why=why)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert coalescing.ask(pair(port), "127.0.0.1") == Answers(why="Connection refused")


def test_a_server_without_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        found = coalescing.ask(pair(port), "127.0.0.1", timeout=0.2)
    assert found.why is not None
    assert "timed out" in found.why


def test_only_what_is_not_known_otherwise_is_asked(tmp_path: Path) -> None:
    with server(tmp_path, NAMES) as (port, asked):
        way = pair(port)
        group = Overlap("not found", "", (way.first, way.second), 1, (), way)
        fallen = replace(group, effect="HTTP/1.1", pair=None)
        shared = replace(group, effect="elsewhere")
        assert coalescing.ask_all([fallen, shared]) == {}
        assert asked == []
        assert coalescing.ask_all([group]) == {way: Answers("h2", True, 200, 404, 200)}
