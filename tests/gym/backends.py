"""Applications outside of the cluster that fail in ways that no echo server can."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

import h2.config
import h2.connection
import h2.events

#: Port of each on the lab's bridge.
CLOSES, RESETS, GARBAGE, GRPC, STARTS = 7301, 7302, 7303, 7304, 7305
DENIES, GRANTS, HANGS, SHOP, JUST_H2 = 7306, 7307, 7308, 7309, 7310


async def _closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the request and says nothing."""
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def _resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the request and cuts the connection."""
    await reader.readuntil(b"\r\n\r\n")
    end: socket.socket = writer.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"220 mail.lab.test ESMTP\r\n")
    await writer.drain()
    await asyncio.sleep(0.2)
    writer.close()


async def _starts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Promises a kilobyte, sends ten bytes of it and goes."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n0123456789")
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()


async def _hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await reader.read(-1)
    writer.close()


async def _says(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int | None
) -> None:
    """One status for all paths; None: 200 below /v1, else 404."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            _, _, rest = head.partition(b" ")
            path = rest.partition(b" ")[0]
            code = status or (200 if path.startswith(b"/v1") else 404)
            body = b'{"path": "%s"}' % path
            writer.write(
                b"HTTP/1.1 %d Said\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\n\r\n%s" % (code, len(body), body)
            )
            await writer.drain()
    writer.close()


async def _denies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _says(reader, writer, 403)


async def _grants(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _says(reader, writer, 200)


async def _shop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _says(reader, writer, None)


async def _grpc(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """gRPC: what is asked for as …/Fails has status 13, all else 0."""
    await _h2(reader, writer, grpc=True)


async def _just_h2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ends the connection of whoever speaks HTTP/1."""
    await _h2(reader, writer, grpc=False)


async def _h2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, grpc: bool) -> None:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    writer.write(connection.data_to_send())
    paths: dict[int, str] = {}
    with contextlib.suppress(Exception):
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    found = {_text(key): _text(value) for key, value in event.headers or ()}
                    paths[event.stream_id or 0] = found[":path"]
                if isinstance(event, h2.events.StreamEnded):
                    _answer(connection, event.stream_id or 0, paths, grpc)
            writer.write(connection.data_to_send())
            await writer.drain()
    writer.close()


def _text(it: bytes | str) -> str:
    return it.decode() if isinstance(it, bytes) else it


def _answer(
    connection: h2.connection.H2Connection, stream: int, paths: dict[int, str], grpc: bool
) -> None:
    if not grpc:
        connection.send_headers(stream, [(":status", "200")], end_stream=True)
        return
    head = [(":status", "200"), ("content-type", "application/grpc")]
    if paths[stream].endswith("Fails"):
        said = [("grpc-status", "13"), ("grpc-message", "no room in the warehouse")]
        connection.send_headers(stream, [*head, *said], end_stream=True)
        return
    connection.send_headers(stream, head)
    connection.send_data(stream, bytes(5))
    connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)


EVERY = {
    CLOSES: _closes,
    RESETS: _resets,
    GARBAGE: _garbage,
    GRPC: _grpc,
    STARTS: _starts,
    DENIES: _denies,
    GRANTS: _grants,
    HANGS: _hangs,
    SHOP: _shop,
    JUST_H2: _just_h2,
}


async def serve(address: str) -> None:
    for port, what in EVERY.items():
        await asyncio.start_server(what, address, port)
    print("ready", flush=True)
    await asyncio.Event().wait()


@contextlib.contextmanager
def outside(address: str) -> Iterator[None]:
    """
    All of them listen at this address for as long as the block runs; in a process of their own, for
    the gym's is patched by gevent as pyinfra's is.
    """
    command = [sys.executable, "-m", "tests.gym.backends", address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            if process.stdout is None or not process.stdout.readline():
                raise OSError(f"no room for the gym's applications at {address}")
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
