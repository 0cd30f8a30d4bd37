"""A real Envoy that runs generated listeners, and what it answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tasks.diagnosis.evidence import Request
from tests.authorities import Pair
from tests.scenes.processes import start

Json = dict[str, Any]
#: Of this process: Envoys share a port without a word.
ADDRESS = f"127.93.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
ADMIN, FIRST = 19000, 20000
#: HTTP status of an answer that Envoy made one of gRPC; "unknown" is both a route's and a redirect.
GRPC = {"12": 404, "13": 400}
#: Seconds for an Envoy to come up.
PATIENCE = 30
MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "envoy.extensions.filters.http.router.v3.Router"
TLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
INSPECTION = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
INSPECTOR = {
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": {"@type": f"type.googleapis.com/{INSPECTION}"},
}


def typed(kind: str, **fields: Any) -> Json:
    return {"@type": f"type.googleapis.com/{kind}", **fields}


def at(port: int) -> Json:
    return {"socket_address": {"address": ADDRESS, "port_value": port}}


def http_filter(table: Json, before: Sequence[Json] = (), **manager: Any) -> Json:
    """+ before: HTTP filters that come before the router"""
    filters = [*before, {"name": "envoy.filters.http.router", "typed_config": typed(ROUTER)}]
    manager = {"stat_prefix": "it", "delayed_close_timeout": "0.010s", **manager}
    config = typed(MANAGER, route_config=table, http_filters=filters, **manager)
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def listener(number: int, **fields: Any) -> Json:
    return {"name": f"listener-{number}", "address": at(FIRST + number), **fields}


def transport_socket(pair: Pair) -> Json:
    chain, key = ({"inline_string": it.decode()} for it in (pair.pem, pair.key_pem()))
    served = {"certificate_chain": chain, "private_key": key}
    common = {"tls_certificates": [served]}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(TLS, common_tls_context=common),
    }


def chain(name: str, match: Json, tls: bool, socket: Json) -> Json:
    """A filter chain that answers with its name."""
    said = {"status": 200, "body": {"inline_string": name}}
    routes = [{"match": {"prefix": "/"}, "direct_response": said}]
    table = {"name": name, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}
    secure = {"transport_socket": socket} if tls else {}
    return {"name": name, "filter_chain_match": match, "filters": [http_filter(table)], **secure}


@contextlib.contextmanager
def running(
    listeners: Sequence[Json], folder: Path, release: str, clusters: Sequence[Json] = ()
) -> Iterator[str]:
    """Its /config_dump; + release: of Envoy Gateway, whose Envoy it is"""
    folder.mkdir(parents=True, exist_ok=True)
    static = {"listeners": list(listeners), "clusters": list(clusters)}
    bootstrap = {"admin": {"address": at(ADMIN)}, "static_resources": static}
    path = folder / "bootstrap.json"
    path.write_text(json.dumps(bootstrap))
    log = folder / "envoy.log"
    process = start(
        f"envoy-{release}",
        log,
        *("--config-path", str(path), "--disable-hot-restart", "--concurrency", "1"),
        *("--log-level", "warn"),
    )
    try:
        yield _dump(process, log)
    finally:
        process.kill()
        process.wait()


def _dump(process: subprocess.Popen[bytes], log: Path) -> str:
    """Once it listens."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            admin = http.client.HTTPConnection(ADDRESS, ADMIN, timeout=10)
            admin.request("GET", "/ready")
            if admin.getresponse().read() == b"LIVE\n":
                admin.request("GET", "/config_dump?include_eds")
                return admin.getresponse().read().decode()
        time.sleep(0.1)
    raise AssertionError(log.read_text()[-3000:])


class Client:
    """Asks one listener, over one connection as long as it lasts."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.connection = http.client.HTTPConnection(ADDRESS, FIRST + number, timeout=10)

    def answer(self, request: Request) -> tuple[int, str]:
        """Status and body; what is in the headers of an answer of gRPC too."""
        for _ in range(2):
            try:
                return self._asked(request)
            except (OSError, http.client.HTTPException):
                self.connection.close()
        return 0, ""

    def _asked(self, request: Request) -> tuple[int, str]:
        ask = self.connection
        ask.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        ask.putheader("Host", request.host)
        for name, value in request.headers.items():
            ask.putheader(name, value)
        if request.method != "GET":
            ask.putheader("Content-Length", "0")
        ask.endheaders()
        response = ask.getresponse()
        body = response.read().decode()
        grpc = response.getheader("grpc-status")
        if grpc is None:
            return response.status, body
        return GRPC.get(grpc, 200), response.getheader("grpc-message") or ""


def over_tls(number: int, name: str | None, protocols: Sequence[str]) -> str | None:
    """
    Which filter chain answered: its routes say its name; None where there was none. With
    "http/1.1" alone, for that is what is spoken here.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    try:
        with (
            socket.create_connection((ADDRESS, FIRST + number), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            return _said(secure)
    except OSError:
        return None


def without_tls(number: int) -> str | None:
    try:
        with socket.create_connection((ADDRESS, FIRST + number), timeout=10) as plain:
            return _said(plain)
    except OSError:
        return None


def _said(connection: socket.socket) -> str | None:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n")
    whole = b""
    while piece := connection.recv(65536):
        whole += piece
    head, _, body = whole.partition(b"\r\n\r\n")
    return body.decode() if head.startswith(b"HTTP/1.1 200") else None
