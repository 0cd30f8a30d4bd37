"""Clients of captures: what they ask and what they get, as the caller would tell it."""

from __future__ import annotations

import http.client
import socket
import ssl
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from tests.captures.world import Ask, Json, World


class Caller:
    """All that asks one Gateway: + connections: of HTTP/2, by their names"""

    def __init__(self, world: World, address: str) -> None:
        self.world, self.address = world, address
        self.connections: dict[str, Two] = {}

    def all(self) -> list[Json]:
        """One entry a request."""
        told: list[Json] = []
        for ask in self.world.asks:
            if ask.together:
                with ThreadPoolExecutor(ask.times) as pool:
                    told += pool.map(partial(self.one, ask), range(ask.times))
            else:
                for number in range(ask.times):
                    told.append(self.one(ask, number))
                    time.sleep(ask.pause)
        for it in self.connections.values():
            it.close()
        return told

    def one(self, ask: Ask, number: int) -> Json:
        if ask.together:
            time.sleep(0.03 * number)
        call = self._two if ask.version == "2" else self._one
        return told(ask, number, call)

    def place(self, ask: Ask) -> tuple[str, int]:
        secured = ask.scheme == "https"
        for it in self.world.listeners:
            if ask.port is None and secured == (it.secret is not None):
                return self.address, it.inner
            if ask.port == it.port:
                return self.address, it.inner
        raise LookupError(f"no listener takes {ask}")

    def context(self, ask: Ask) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if ask.verify and self.world.authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            with tempfile.NamedTemporaryFile("wb") as file:
                file.write(self.world.authority.pem)
                file.flush()
                context.load_verify_locations(file.name)
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _open(self, ask: Ask, protocols: list[str]) -> socket.socket:
        plain = socket.create_connection(self.place(ask), timeout=ask.timeout)
        if ask.scheme != "https":
            return plain
        context = self.context(ask)
        context.set_alpn_protocols(protocols)
        name = ask.host.split(":")[0] if ask.sni is None else ask.sni
        if not name:
            context.check_hostname = False
        return context.wrap_socket(plain, server_hostname=name or None)

    def _one(self, ask: Ask, number: int) -> Json:
        connection = http.client.HTTPConnection(*self.place(ask), timeout=ask.timeout)
        try:
            connection.sock = self._open(ask, ["http/1.1"])
            connection.putrequest(
                ask.method, ask.path.format(n=number), skip_host=True, skip_accept_encoding=True
            )
            said = {"Host": ask.host, "User-Agent": ask.agent, **ask.headers}
            for key, value in said.items():
                connection.putheader(key, value)
            connection.endheaders()
            response = connection.getresponse()
            headers = {key.lower(): value for key, value in response.getheaders()}
            body = response.read().decode("latin-1")
            return {"status": response.status, "headers": headers, "body": body}
        finally:
            connection.close()

    def _two(self, ask: Ask, number: int) -> Json:
        open_one = self.connections.get(ask.connection or "")
        if open_one is None:
            open_one = Two(self._open(ask, ["h2"]), ask.scheme)
            if ask.connection:
                self.connections[ask.connection] = open_one
        try:
            return open_one.get(ask, number)
        finally:
            if not ask.connection:
                open_one.close()


class Two:
    """One connection of HTTP/2."""

    def __init__(self, end: socket.socket, scheme: str) -> None:
        self.end, self.scheme, self.used = end, scheme, 0
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration())
        self.connection.initiate_connection()
        self.end.sendall(self.connection.data_to_send())

    def get(self, ask: Ask, number: int) -> Json:
        stream = self.connection.get_next_available_stream_id()
        self.used += 1
        more = [(key.lower(), value) for key, value in ask.headers.items()]
        if ask.grpc:
            more += [("content-type", "application/grpc"), ("te", "trailers")]
        self.connection.send_headers(
            stream,
            [
                (":method", ask.method),
                (":scheme", self.scheme),
                (":authority", ask.host),
                (":path", ask.path.format(n=number)),
                ("user-agent", ask.agent),
                *more,
            ],
            end_stream=not ask.grpc,
        )
        if ask.grpc:
            self.connection.send_data(stream, bytes(5), end_stream=True)
        self.end.sendall(self.connection.data_to_send())
        return self._answer(stream)

    def _answer(self, stream: int) -> Json:
        found: Json = {"status": None, "headers": {}, "error": None}
        body = b""
        while True:
            try:
                data = self.end.recv(65536)
            except TimeoutError:
                self.connection.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
                self.end.sendall(self.connection.data_to_send())
                raise
            if not data:
                raise ConnectionError("connection closed before the response")
            for event in self.connection.receive_data(data):
                if getattr(event, "stream_id", None) not in (None, stream):
                    continue
                if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                    said = {_text(key): _text(value) for key, value in event.headers}
                    if ":status" in said:
                        found["status"] = int(said.pop(":status"))
                    found["headers"].update(said)
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                elif isinstance(event, h2.events.StreamReset):
                    raise ConnectionError(f"stream was reset, error {event.error_code}")
                elif isinstance(event, h2.events.StreamEnded):
                    self.end.sendall(self.connection.data_to_send())
                    return {**found, "body": body.decode("latin-1")}
            self.end.sendall(self.connection.data_to_send())

    def close(self) -> None:
        self.end.close()


def told(ask: Ask, number: int, call: Callable[[Ask, int], Json]) -> Json:
    """An entry of client.json: a response, or how it ended without one."""
    request: Json = {
        "method": ask.method,
        "scheme": ask.scheme,
        "host": ask.host,
        "path": ask.path.format(n=number),
        "http_version": ask.version,
        "headers": dict(ask.headers),
    }
    if ask.scheme == "https":
        request["sni"] = ask.host.split(":")[0] if ask.sni is None else (ask.sni or None)
    if ask.version == "2":
        request["reused_connection"] = ask.connection is not None and ask.reused
    try:
        return {"request": request, **call(ask, number)}
    except (OSError, http.client.HTTPException, h2.exceptions.ProtocolError) as error:
        said = f"{type(error).__name__}: {error}"
        return {"request": request, "status": None, "error": said}


def _text(it: str | bytes) -> str:
    return it.decode() if isinstance(it, bytes) else it
