"""
A proxy before API servers that does one kind of harm, as the address says that it is asked at:

    http://127.0.0.1:<port>/<kind>/<of>/<first>/<times>/<run>/<cluster>/api/v1/...

The ``first`` request of a run that the kind is about meets it, and those after it, ``times`` in
all; ``of`` is "any", or "writes" where these alone count. Nothing is switched, so runs do not
disturb each other. Servers that are asked at paths of their own, such as Azure and registries,
are put behind an address that begins so once, and then at any other path:

    http://127.0.0.1:<port>/stand/<kind>/any/1/1/run-7/azure/

Its own process:

    python -m tests.faults.proxy UPSTREAMS

UPSTREAMS is JSON: {"weu-1": {"url": "http://127.0.0.1:4711/weu-1", "ca": None}}. Its first line of
output is {"http": 40001, "expired": 40002, ...}: the ports, one a certificate.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.faults import certificates, kinds

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Request:
    """+ path: with its query, as the API server is asked; + head: as it came"""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    upstream: Mapping[str, Any]

    async def connected(self) -> Connection:
        url = urlsplit(self.upstream["url"])
        trusted = None
        if url.scheme == "https":
            trusted = ssl.create_default_context(cafile=self.upstream["ca"])
        return await asyncio.open_connection(url.hostname, url.port, ssl=trusted, limit=2**24)

    def head(self, **more: str) -> bytes:
        base = urlsplit(self.upstream["url"]).path
        headers = {**self.headers, "host": urlsplit(self.upstream["url"]).netloc, **more}
        lines = [f"{self.method} {base}{self.path} HTTP/1.1"]
        lines += [f"{key}: {value}" for key, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def forwarded(self) -> kinds.Reply:
        """The whole answer of the API server."""
        reader, writer = await self.connected()
        try:
            writer.write(self.head(connection="close", **{"accept-encoding": "identity"}))
            writer.write(self.body)
            await writer.drain()
            return await _reply(reader)
        finally:
            writer.close()


@dataclass
class Proxy:
    upstreams: Mapping[str, Mapping[str, Any]]
    #: By run: how many requests the kind was about.
    met: Counter[str] = field(default_factory=Counter)
    #: By run: how many of them it was done to.
    done: Counter[str] = field(default_factory=Counter)
    #: What the path of a request begins with that says nothing of its own.
    standing: str = ""
    #: By run: how many of all were to change something.
    writes: Counter[str] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, EOFError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            with suppress(OSError):
                writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        pairs = (it.partition(":") for it in lines[1:] if it)
        headers = {key.lower(): value.strip() for key, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if target.startswith("/met/"):  # how many requests of a run met their fault, and wrote
            counted = {"met": self.done[target[5:]], "writes": self.writes[target[5:]]}
            return await kinds.answered(writer, kinds.Reply(body=json.dumps(counted).encode()))
        if target.startswith("/stand/"):
            self.standing = target.removeprefix("/stand")
            return await kinds.answered(writer, kinds.Reply())
        if unquote(target.split("/")[1]) not in kinds.KINDS:  # a server with paths of its own
            target = self.standing + target[1:]
        _, name, of, first, times, run, cluster, rest = target.split("/", 7)
        request = Request(method, f"/{rest}", headers, body, self.upstreams[cluster])
        if "upgrade" in headers:
            await self._tunnel(request, reader, writer)
            return False
        kind = {**kinds.KINDS, **kinds.ELSEWHERE}[unquote(name)]
        self.writes[run] += kinds.writes(request)
        about = kind.about(request) and (of == "any" or kinds.writes(request))
        reply = await request.forwarded() if kind.asks or not about else None
        if about:
            self.met[run] += 1
            if int(first) <= self.met[run] < int(first) + int(times):
                self.done[run] += 1
                return await kind.act(request, reply, writer)
            reply = reply or await request.forwarded()
        assert reply is not None
        return await kinds.answered(writer, reply)

    async def _tunnel(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """A port-forward: bytes in both ways until one side ends."""
        there, back = await request.connected()
        back.write(request.head())
        await asyncio.wait(
            [
                asyncio.ensure_future(_copied(reader, back)),
                asyncio.ensure_future(_copied(there, writer)),
            ],
            return_when=asyncio.FIRST_COMPLETED,
        )
        back.close()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def _reply(reader: asyncio.StreamReader) -> kinds.Reply:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        key.lower(): value.strip() for key, _, value in (it.partition(":") for it in lines[1:])
    }
    headers.pop("", None)
    if headers.pop("transfer-encoding", "") == "chunked":
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readline()
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read()
    headers.pop("content-length", None)
    headers.pop("connection", None)
    return kinds.Reply(int(lines[0].split(" ")[1]), headers, body)


Served = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def main(upstreams: Path) -> None:
    proxy = Proxy(json.loads(upstreams.read_text()))
    servers = {"http": await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=2**24)}
    for name, context in certificates.contexts(upstreams.parent).items():
        servers[name] = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=context)
    ports = {name: it.sockets[0].getsockname()[1] for name, it in servers.items()}
    print(json.dumps(ports), flush=True)
    await asyncio.gather(*(it.serve_forever() for it in servers.values()))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
