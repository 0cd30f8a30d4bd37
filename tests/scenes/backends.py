"""Small backends that can be told how to fail, and the stand-in for the controller's stream."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Literal

import h2.events
from typing_extensions import override

from tests.connections import Connection, Http2Connection

How = Literal["answer", "close", "garbage", "hang"]


class Backend:
    """
    One endpoint; what it does may change at any time.

    + how: answers; closes without an answer; speaks something else; or says nothing
    + status, delay: of an answer, in seconds; + every: each n-th answer alone is such, the others
      are 200 and come at once
    + unwell: requests for /healthz are answered 503
    """

    def __init__(self, address: str, port: int = 8080, tls: ssl.SSLContext | None = None) -> None:
        self.address, self.port, self.tls = address, port, tls
        self.how: How = "answer"
        self.status, self.delay, self.every, self.received = 200, 0.0, 1, 0
        self.unwell = False
        self.connections: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    @property
    def place(self) -> tuple[str, int]:
        return self.address, self.port

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Answers(self), self.address, self.port, ssl=self.tls, backlog=1024
        )

    async def refuse(self) -> None:
        """Connections that are open are cut, and new ones refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for it in list(self.connections):
            it.abort()

    def next_answer(self, request: bytes) -> tuple[int, float]:
        """Status, and after how many seconds."""
        if request.startswith(b"GET /healthz "):
            return (503 if self.unwell else 200), 0
        self.received += 1
        return (self.status, self.delay) if self.received % self.every == 0 else (200, 0)


class _Answers(Connection):
    """One connection of a backend: requests have no body."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend.connections)
        self.backend, self.left = backend, b""

    @override
    def data_received(self, data: bytes) -> None:
        *requests, self.left = (self.left + data).split(b"\r\n\r\n")
        for it in requests:
            self._one(it)

    def _one(self, request: bytes) -> None:
        backend, transport = self.backend, self.transport
        if transport is None or backend.how == "hang":
            return
        if backend.how == "close":
            transport.close()
            return
        if backend.how == "garbage":
            transport.write(b"220 mail.lab.test ESMTP\r\n")
            return
        status, delay = backend.next_answer(request)
        said = b"HTTP/1.1 %d Said\r\ncontent-length: 2\r\n\r\nok" % status
        if delay:
            asyncio.get_running_loop().call_later(delay, transport.write, said)
        else:
            transport.write(said)


class Stream:
    """
    The controller's end of xDS: a gRPC stream that opens and stays open. It carries nothing, for
    resources come from files here; Envoy counts it as connected all the same. Or a service that a
    policy asks: + answers: with an empty message, which an authorization or rate limit service
    says for yes.
    """

    def __init__(self, address: str, port: int, *, answers: bool = False) -> None:
        self.address, self.port, self.answers = address, port, answers
        self.transports: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Grpc(self), self.address, self.port)

    async def end(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for it in list(self.transports):
            it.abort()


class _Grpc(Http2Connection):
    def __init__(self, stream: Stream) -> None:
        super().__init__(stream.transports)
        self.stream = stream

    @override
    def data_received(self, data: bytes) -> None:
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived) and event.stream_id is not None:
                with contextlib.suppress(Exception):
                    self._answer(event.stream_id)
        self.send()

    def _answer(self, stream: int) -> None:
        """The stream stays open, unless there is an answer: an empty message, which says OK."""
        self.connection.send_headers(
            stream, [(":status", "200"), ("content-type", "application/grpc")]
        )
        if self.stream.answers:
            self.connection.send_data(stream, bytes(5))
            self.connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)


class Page:
    """
    A page of metrics that no program of this scene exports: text of the Prometheus format, after
    ``delay`` seconds.
    """

    def __init__(self, address: str, port: int, text: str) -> None:
        self.address, self.port, self.text = address, port, text
        self.delay = 0.0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._one, self.address, self.port)

    async def end(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(self.delay)
            body = self.text.encode()
            head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/plain\r\n"
            writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
        writer.close()
