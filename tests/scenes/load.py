"""A load of small requests at a steady rate, and what became of them."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import Counter

from typing_extensions import override


class Load:
    """
    + rate: requests a second, which may change at any time
    + fresh: a connection for each request; + patience: seconds until a request is given up, which
      is a client that goes away
    + verifies: clients look at the certificate, do not trust it, and say so
    + answers: how often which status came, or "reset", "refused", "given up"
    """

    def __init__(
        self,
        place: tuple[str, int],
        rate: float,
        *,
        host: str = "shop.lab.test",
        path: str = "/",
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        fresh: bool = False,
        patience: float = 10.0,
    ) -> None:
        self.place, self.rate, self.host, self.path = place, rate, host, path
        self.tls, self.server_name, self.fresh, self.patience = tls, server_name, fresh, patience
        self.verifies = False
        self.answers: Counter[str] = Counter()
        self.idle: list[_Connection] = []
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until it is cancelled; the beat is 20 ms, so a machine that is busy gets bursts."""
        due, before = 0.0, time.monotonic()
        try:
            while True:
                await asyncio.sleep(0.02)
                now = time.monotonic()
                due, before = min(due + (now - before) * self.rate, self.rate), now
                while due >= 1:
                    due -= 1
                    task = asyncio.create_task(self._one())
                    self._running.add(task)
                    task.add_done_callback(self._running.discard)
        finally:
            for it in [*self._running]:
                it.cancel()
            self.leave()

    def leave(self) -> None:
        """Use no connection a second time that is open now."""
        for connection in self.idle:
            connection.close()
        self.idle.clear()

    async def _one(self) -> None:
        connection = None
        try:
            async with asyncio.timeout(self.patience):
                if self.verifies:
                    await asyncio.to_thread(self._distrust)
                connection = await self._connection()
                self.answers[await connection.ask(self.host, self.path)] += 1
        except TimeoutError:
            self.answers["given up"] += 1
        except ConnectionRefusedError:
            self.answers["refused"] += 1
        except (OSError, EOFError):
            self.answers["reset"] += 1
        else:
            if not self.fresh and connection.open:
                self.idle.append(connection)
                return
        if connection is not None:
            connection.close()

    def _distrust(self) -> None:
        """The alert of a client that refuses: asyncio ends connections without it."""
        context = ssl.create_default_context()
        with socket.create_connection(self.place, timeout=self.patience) as plain:
            context.wrap_socket(plain, server_hostname=self.host)

    async def _connection(self) -> _Connection:
        while self.idle:
            if (found := self.idle.pop()).open:
                return found
        loop = asyncio.get_running_loop()
        name = (self.server_name or self.host) if self.tls else None
        _, made = await loop.create_connection(
            _Connection, *self.place, ssl=self.tls, server_hostname=name
        )
        return made


class _Connection(asyncio.Protocol):
    """One request at a time; an answer has a content-length or ends with the connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[str] | None = None
        self.data = b""

    @property
    def open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    async def ask(self, host: str, path: str) -> str:
        if self.transport is None:
            raise EOFError
        self.data, self.answer = b"", asyncio.get_running_loop().create_future()
        self.transport.write(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        return await self.answer

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(EOFError())

    @override
    def data_received(self, data: bytes) -> None:
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        if not end or self.answer is None or self.answer.done():
            return
        lines = head.lower().split(b"\r\n")
        length = next((int(it[15:]) for it in lines if it.startswith(b"content-length:")), 0)
        if len(body) < length:
            return
        if b"connection: close" in lines:
            self.close()
        self.answer.set_result(head[9:12].decode())
