"""One connection of a server that a test runs: of any protocol, or of HTTP/2 alone."""

from __future__ import annotations

import asyncio

import h2.config
import h2.connection
from typing_extensions import override


class Connection(asyncio.Protocol):
    """+ transports: of its server; this one's is among them as long as the connection is open"""

    def __init__(self, transports: set[asyncio.Transport]) -> None:
        self.transports = transports
        self.transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.transports.add(transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            self.transports.discard(self.transport)


class Http2Connection(Connection):
    """+ connection: what is done with it goes out with ``send``"""

    def __init__(self, transports: set[asyncio.Transport]) -> None:
        super().__init__(transports)
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.connection.initiate_connection()
        self.send()

    def send(self) -> None:
        if self.transport is not None and (said := self.connection.data_to_send()):
            self.transport.write(said)
