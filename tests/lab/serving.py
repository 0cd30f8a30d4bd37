"""
Applications outside of the cluster, on the lab's bridge, which do as they are asked: HTTP/1 that
waits and fails and counts, and one port that speaks gRPC and HTTP/1 as argocd-server does.

    python -m tests.lab.serving 10.200.0.1      prints "ready", ends when it is killed
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from typing_extensions import override

#: Port of each: what does as the path says, what stands for argocd-server, gRPC by TLS, and UDP.
OBEYS, ARGO, VAULT, ECHO = 7401, 7402, 7403, 7404
PAGE = b"<!doctype html><title>Argo CD</title>"
#: How many requests were there for each path.
_seen: Counter[str] = Counter()


def objects(
    name: str, port: int, address: str, protocol: str | None = None, of: str = "TCP"
) -> list[Any]:
    """A Service of namespace demo without selector, and where it leads: to this machine."""
    meta = {"name": name, "namespace": "demo"}
    one = {"name": "http", "port": port, "protocol": of}
    told = {"appProtocol": protocol} if protocol else {}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [one | told]}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [one],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        },
    ]


@contextmanager
def serving(address: str, pair: Path | None = None) -> Iterator[None]:
    """
    All of them, in a process of their own, for as long as the block runs. + pair: certificate and
    key of the one with TLS, two files that end in .crt and .key; None leaves it out
    """
    command = [sys.executable, "-m", "tests.lab.serving", address, *([str(pair)] if pair else ())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


async def _obeys(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """
    /wait/2 answers after two seconds, /status/502 with that, /late/502 so too but later, /big/9
    with so many MiB, /seen/... how many there were of another path; all others say what came with
    the request, and from which port.
    """
    with suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *rest = head.splitlines()
            path = line.split()[1]
            headers = {key.lower(): it.strip() for key, _, it in (it.partition(":") for it in rest)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            verb, _, more = path.lstrip("/").partition("/")
            _seen[path] += verb != "seen"
            first = more.partition("/")[0]
            if verb in ("wait", "late"):
                await asyncio.sleep(float(first) if verb == "wait" else 0.7)
            status = int(first) if verb in ("status", "late") else 200
            told = {"seen": _seen[f"/{more}"], "headers": headers, "body": len(body)}
            told |= {"port": writer.get_extra_info("peername")[1]}
            said = bytes(int(first) * 2**20) if verb == "big" else json.dumps(told).encode()
            length = f"content-length: {len(said)}\r\n\r\n"
            writer.write(f"HTTP/1.1 {status} Said\r\n{length}".encode() + said)
            await writer.drain()
    writer.close()


async def _interface(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What a browser gets."""
    with suppress(OSError, asyncio.IncompleteReadError):
        while await reader.readuntil(b"\r\n\r\n"):
            head = f"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {len(PAGE)}"
            writer.write(f"{head}\r\n\r\n".encode() + PAGE)
            await writer.drain()
    writer.close()


async def _say(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    return b"you said " + request


async def _fail(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no room in the warehouse")
    return b""


async def _watch(
    request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]
) -> AsyncIterator[bytes]:
    """As many messages as it is asked for, half a second between two."""
    for number in range(int(request)):
        yield str(number).encode()
        await asyncio.sleep(0.5)


async def _chat(
    requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
) -> AsyncIterator[bytes]:
    async for it in requests:
        yield it.upper()


METHODS: dict[str, Any] = {
    "Say": grpc.unary_unary_rpc_method_handler(_say),
    "Fail": grpc.unary_unary_rpc_method_handler(_fail),
    "Watch": grpc.unary_stream_rpc_method_handler(_watch),
    "Chat": grpc.stream_stream_rpc_method_handler(_chat),
}


def _calls() -> grpc.aio.Server:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("shop.Cart", METHODS)])
    return server


async def _by_tls(address: str, pair: Path) -> grpc.aio.Server:
    key, public = (pair.with_suffix(it).read_bytes() for it in (".key", ".crt"))
    server = _calls()
    server.add_secure_port(f"{address}:{VAULT}", grpc.ssl_server_credentials([(key, public)]))
    await server.start()
    return server


async def _one_port(address: str) -> grpc.aio.Server:
    """
    By its first bytes a connection is of HTTP/2, which only gRPC is behind, or of HTTP/1: what
    argocd-server does by cmux, without TLS (--insecure). /seen/connections counts the first ones.
    """
    server = _calls()
    inside = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async def divide(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            first = await reader.readexactly(3)
            if first == b"PRI":
                _seen["/connections"] += 1
                there, away = await asyncio.open_connection("127.0.0.1", inside)
                away.write(first)
                await asyncio.gather(_pipe(reader, away), _pipe(there, writer))
                return
            rest = asyncio.StreamReader()
            rest.feed_data(first)
            await asyncio.gather(_feed(reader, rest), _interface(rest, writer))
        writer.close()

    await asyncio.start_server(divide, address, ARGO)
    return server


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _feed(reader: asyncio.StreamReader, other: asyncio.StreamReader) -> None:
    while data := await reader.read(65536):
        other.feed_data(data)
    other.feed_eof()


class _Echo(asyncio.DatagramProtocol):
    """Says back what it is told."""

    @override
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    @override
    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(b"you said " + data, addr)


async def main(address: str, *pairs: str) -> None:
    await asyncio.start_server(_obeys, address, OBEYS)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(_Echo, local_addr=(address, ECHO))
    kept = [await _one_port(address), *[await _by_tls(address, Path(it)) for it in pairs]]
    print("ready", flush=True)
    await asyncio.gather(*(it.wait_for_termination() for it in kept))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
