"""The request that a diagnosis is asked about, sent to servers of this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typing_extensions import override

from tasks.operations import asked
from tasks.plans.requests import Entrance, parsed
from tests.operations.test_handshakes import context, server


class Echo(BaseHTTPRequestHandler):
    def do(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        said = f"{self.command} {self.path} {self.headers['host']} {self.headers['x-tenant']} "
        body = said.encode() + self.rfile.read(length)
        self.send_response(418)
        self.send_header("X-By", "echo")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do

    @override
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def echo() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield found.server_address[1]
        found.shutdown()


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("curl -H 'x-tenant: blue' http://a.b/x?y=1", "GET /x?y=1 a.b blue "),
        ("curl -d z=1 -H 'host: c.d' http://a.b:8080/x", "POST /x c.d None z=1"),
    ],
)
def test_the_answer_as_its_caller_gets_it(text: str, body: str) -> None:
    with echo() as port:
        found = asked.send(parsed(text), Entrance("127.0.0.1", port))
    assert (found.status, found.body, found.error) == (418, body, None)
    assert found.headers["x-by"] == "echo"
    assert found.request.version == "1.1"


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = asked.send(parsed("http://a.b/"), Entrance("127.0.0.1", port))
    assert found.status is None
    assert (found.error or "").startswith("ConnectionRefusedError: ")


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = Entrance("127.0.0.1", silent.getsockname()[1])
        found = asked.send(parsed("http://a.b/"), where, timeout=0.2)
    assert found.error == "TimeoutError: timed out"


def test_what_ends_tls_and_speaks_no_http(tmp_path: Path) -> None:
    with server(context(tmp_path)) as port:
        found = asked.send(parsed("https://shop.example.com/"), Entrance("127.0.0.1", port), 2)
    assert found.status is None
    assert found.error


def test_the_name_of_the_handshake_is_told_where_it_is_not_the_host() -> None:
    assert asked.described(parsed("https://a.b/")).sni is None
    assert asked.described(parsed("https://a.b:8443/")).sni is None
    assert asked.described(parsed("curl -H 'host: c.d' https://a.b/")).sni == "a.b"
