"""
A resolver as the document about dynamic routing has it, and what a bad one says: ``GET
/where?client_id=7`` is answered {"client_id": "7", "hostport": "10.0.0.5:3000"}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

#: What it says of clients of these names: status and body, where {} is no place for a server.
ABUSES: dict[str, tuple[int, str]] = {
    "unknown": (404, "{}"),
    "failing": (500, '{"hostport": "SERVER"}'),
    "away": (302, '{"hostport": "SERVER"}'),
    "nothing": (200, ""),
    "garbage": (200, "<html>hello</html>"),
    "nameless": (200, '{"client_id": "nameless"}'),
    "huge": (200, '{"hostport": "SERVER", "more": "' + "x" * 100_000 + '"}'),
    "metadata": (200, '{"hostport": "169.254.169.254:80"}'),
    "loopback": (200, '{"hostport": "127.0.0.1:19000"}'),
    "outside": (200, '{"hostport": "8.8.8.8:53"}'),
    "itself": (200, '{"hostport": "GATEWAY"}'),
    "port": (200, '{"hostport": "HOST:19000"}'),
    "portless": (200, '{"hostport": "HOST"}'),
    "named": (200, '{"hostport": "server-1.server.demo.svc.cluster.local:8081"}'),
    "octal": (200, '{"hostport": "010.0.0.1:3000"}'),
    "six": (200, '{"hostport": "[fd00::5]:3000"}'),
    "injected": (200, '{"hostport": "SERVER\\r\\nx-evil: 1"}'),
    "raw": (200, '{"hostport": "SERVER\r\nx-evil: 1"}'),
    "two": (200, '{"hostport": "SERVER,10.0.0.1:80"}'),
    "stranger": (200, '{"hostport": "STRANGER"}'),
    "dead": (200, '{"hostport": "DEAD"}'),
}
#: Seconds that the client called "slow" waits.
SLOW = 2.0


def server_of(client: str, servers: Sequence[str]) -> str:
    return servers[zlib.crc32(client.encode()) % len(servers)]


@dataclass(frozen=True)
class Places:
    """
    + servers: that clients are sent to; + gateway: where the gateway itself listens; + stranger: a
      server of somebody else; + dead: one of ours that takes no connection
    """

    servers: tuple[str, ...]
    gateway: str
    stranger: str
    dead: str


def answer(client: str, places: Places) -> tuple[int, str]:
    if client not in ABUSES:
        named = {"client_id": client, "hostport": server_of(client, places.servers)}
        return 200, json.dumps(named)
    status, body = ABUSES[client]
    for word, value in (
        ("SERVER", places.servers[0]),
        ("HOST", places.servers[0].partition(":")[0]),
        ("GATEWAY", places.gateway),
        ("STRANGER", places.stranger),
        ("DEAD", places.dead),
    ):
        body = body.replace(word, value)
    return status, body


async def serve(address: str, port: int, places: Places) -> None:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                query = urlsplit(head.split(b" ", 2)[1].decode()).query
                client = parse_qs(query).get("client_id", [""])[0]
                if client == "slow":
                    await asyncio.sleep(SLOW)
                status, body = answer(client, places)
                writer.write(
                    f"HTTP/1.1 {status} Said\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
                )
                await writer.drain()
        writer.close()

    await asyncio.start_server(one, address, port)
    print("ready", flush=True)
    await asyncio.Event().wait()


@contextlib.contextmanager
def running(address: str, port: int, places: Places) -> Iterator[None]:
    """In a process of its own for as long as the block runs."""
    command = [sys.executable, "-m", "tests.routing.resolver", address, str(port)]
    with subprocess.Popen(
        [*command, json.dumps(asdict(places))],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            if process.stdout is None or not process.stdout.readline():
                raise OSError(f"no room for a resolver at {address}:{port}")
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    _address, _port, _places = sys.argv[1:]
    asyncio.run(serve(_address, int(_port), Places(**json.loads(_places))))
