"""Backends of captures: each Pod answers with its name, what it was asked, and a status."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from email.utils import formatdate

import h2.errors
import h2.events
import h2.exceptions
from typing_extensions import override

from tests.captures.world import Answer, Service
from tests.connections import Connection, Http2Connection

MAIL = b"220 mail.example.net ESMTP ready\r\n"


class Pod:
    """One endpoint of a Service: + name: such as "checkout-5d8c7b9f6d-a0k2" """

    def __init__(self, service: Service, number: int) -> None:
        self.service, self.name = service, pod_name(service.name, number)
        self.address = service.addresses[number]
        self.port = service.listens or service.target
        self.received = 0
        self.answer: Answer = service.answer
        self.server: asyncio.Server | None = None
        self.transports: set[asyncio.Transport] = set()
        self.held: list[socket.socket] = []

    async def open(self) -> None:
        if self.answer.how == "refuse":
            return
        if self.answer.how == "silent":
            self._let_nobody_in()
            return
        loop = asyncio.get_running_loop()
        kind = Http2 if self.answer.http2 or self.answer.grpc is not None else Http1
        self.server = await loop.create_server(
            lambda: kind(self), self.address, self.port, ssl=self.answer.context()
        )

    def _let_nobody_in(self) -> None:
        """A queue that is full: the kernel drops every packet that opens a connection."""
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((self.address, self.port))
        server.listen(0)
        self.held.append(server)
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect((self.address, self.port))
            self.held.append(one)

    async def close(self) -> None:
        if self.server is not None:
            self.server.close()
        for it in list(self.transports):
            it.abort()
        for one in self.held:
            one.close()

    def status(self, path: str) -> int:
        answer = self.answer
        if path.startswith("/healthz"):
            return answer.health
        self.received += 1
        if answer.first:
            return answer.first.pop(0)
        for beginning, status in answer.paths.items():
            if path.startswith(beginning):
                return status
        if answer.known and not path.startswith(answer.known):
            return 404
        return answer.status

    def body(self, path: str, host: str, status: int) -> bytes:
        said = {"pod": self.name, "path": path, "host": host, "status": status}
        return json.dumps(said).encode() + b"\n"

    def headers(self, length: int) -> dict[str, str]:
        return {
            "server": "app/1.0",
            "date": formatdate(usegmt=True),
            "content-type": "application/json",
            "x-pod": self.name,
            **self.answer.headers,
            "content-length": str(length),
        }


def pod_name(service: str, number: int) -> str:
    return f"{service}-5d8c7b9f6d-{'abcdef'[number]}{number}k2"


class Http1(Connection):
    """One connection that speaks HTTP/1.1."""

    def __init__(self, pod: Pod) -> None:
        super().__init__(pod.transports)
        self.pod, self.left = pod, b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.transport is not None and self.pod.answer.how == "banner":
            self.transport.write(MAIL)

    @override
    def data_received(self, data: bytes) -> None:
        self.left += data
        if self.left.startswith((b"PRI * HTTP/2.0", b"\x16\x03")):
            self._bad()
            return
        while b"\r\n\r\n" in self.left:
            head, rest = self.left.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            headers = dict(it.lower().split(": ", 1) for it in lines[1:] if ": " in it)
            length = int(headers.get("content-length", 0))
            if len(rest) < length:
                return
            self.left = rest[length:]
            path = lines[0].split(" ")[1]
            self._one(path, headers.get("host", ""))

    def _bad(self) -> None:
        if self.transport is not None:
            said = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(said)
            self.transport.close()

    def _one(self, path: str, host: str) -> None:
        pod, transport = self.pod, self.transport
        health = path.startswith("/healthz")
        if transport is None or (pod.answer.how in ("hang", "banner") and not health):
            return
        if pod.answer.how == "close" and not health:
            transport.close()
            return
        status = pod.status(path)
        body = pod.body(path, host, status)
        cut = pod.answer.how == "cut" and not health
        length = len(body) * 4 if cut else len(body)
        lines = [f"HTTP/1.1 {status} {status}"]
        lines += [f"{key}: {value}" for key, value in pod.headers(length).items()]
        said = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        delay = 0 if health else pod.answer.delay
        asyncio.get_running_loop().call_later(delay, self._write, said, cut)

    def _write(self, said: bytes, cut: bool) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        self.transport.write(said)
        if cut or self.pod.answer.headers.get("connection") == "close":
            self.transport.close()


class Http2(Http2Connection):
    """One connection that speaks HTTP/2 alone, and gRPC where the answer has a status of it."""

    def __init__(self, pod: Pod) -> None:
        super().__init__(pod.transports)
        self.pod = pod

    @override
    def data_received(self, data: bytes) -> None:
        try:
            events = self.connection.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.send()
            if self.transport is not None:
                self.transport.close()
            return
        loop = asyncio.get_running_loop()
        for event in events:
            if isinstance(event, h2.events.RequestReceived) and self.pod.answer.how != "hang":
                said = {_text(key): _text(value) for key, value in event.headers}
                stream = event.stream_id
                loop.call_later(self.pod.answer.delay, self._answer, stream, said)
        self.send()

    def _answer(self, stream: int | None, said: dict[str, str]) -> None:
        answer, pod = self.pod.answer, self.pod
        if stream is None:
            return
        with contextlib.suppress(h2.exceptions.ProtocolError):
            if answer.how == "refuse_stream":
                self.connection.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            elif answer.grpc is not None:
                self._grpc(stream, answer)
            else:
                status = pod.status(said[":path"])
                body = pod.body(said[":path"], said.get(":authority", ""), status)
                headers = list(pod.headers(len(body)).items())
                self.connection.send_headers(stream, [(":status", str(status)), *headers])
                if answer.how == "reset":
                    self.send()
                    asyncio.get_running_loop().call_later(0.1, self._abort)
                    return
                self.connection.send_data(stream, body, end_stream=True)
        self.send()

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _grpc(self, stream: int, answer: Answer) -> None:
        head = [(":status", "200"), ("content-type", "application/grpc"), ("x-pod", self.pod.name)]
        status = answer.first.pop(0) if answer.first else answer.grpc
        end = [("grpc-status", str(status)), ("grpc-message", answer.said)]
        if status:
            self.connection.send_headers(stream, [*head, *end], end_stream=True)
            return
        message = b"\0" + len(answer.message).to_bytes(4, "big") + answer.message
        self.connection.send_headers(stream, head)
        self.connection.send_data(stream, message)
        self.connection.send_headers(stream, end, end_stream=True)


def _text(it: str | bytes) -> str:
    return it.decode() if isinstance(it, bytes) else it
