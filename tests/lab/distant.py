"""
Many clusters out of few: each context of a kubeconfig leads to one of the API servers of a lab, as
far away as is said, and is a cluster of its own by the identity that it shows. A share of the
requests may fail, and a cluster may not answer as it should.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.lab import certificates, users
from tasks.lab.api import Api
from tasks.lab.state import Cluster

#: What a cluster may do instead of answering: nobody listens, it knows no token, it never answers.
REFUSES, UNAUTHORIZED, SILENT = "refuses", "unauthorized", "silent"
#: Answered instead of a request that fails, one after the other.
ERRORS = ("503 Service Unavailable", "429 Too Many Requests", "500 Internal Server Error")


@dataclass(frozen=True)
class Line:
    """
    One way to an API server. + uid: of its namespace kube-system; + shown: what is shown for it,
    just as long; + ill: REFUSES, UNAUTHORIZED, SILENT, or empty
    """

    listening: socket.socket
    address: str
    authority: Path
    uid: bytes
    shown: bytes
    ill: str = ""


@dataclass(frozen=True)
class Weather:
    """
    + seconds: that each request comes late; + errors: share of the requests that fail, 0.05 is one
    of twenty; + certificate: a folder with line.crt and line.key, None: without TLS
    """

    seconds: float
    errors: float = 0.0
    certificate: Path | None = None


@contextmanager
def distant(
    clusters: Sequence[Cluster],
    names: Sequence[str],
    seconds: float,
    kubeconfig: Path,
    *,
    errors: float = 0.0,
    tls: bool = False,
    ill: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """
    ``kubeconfig`` with a context a name as long as the block runs. + seconds, errors: see Weather;
    + ill: names that do not answer as they should, and how
    """
    uids = {it.name: _uid(it) for it in clusters}
    lines, of_names = [], {}
    for number, name in enumerate(names):
        cluster = clusters[number % len(clusters)]
        listening = socket.create_server(("127.0.0.1", 0))
        uid = uids[cluster.name]
        shown = f"{uid[:-6]}{number:06d}".encode()
        authority = cluster.root.parent / "ca.crt"
        how = (ill or {}).get(name, "")
        address = cluster.node_address
        lines.append(Line(listening, address, authority, uid.encode(), shown, how))
        of_names[name] = (listening.getsockname()[1], users.token(cluster, users.ADMIN))
    lab = clusters[0].root.parent
    if tls:
        certificates.issue(kubeconfig.parent, "line", lab, "line", hosts=("127.0.0.1",))
    kubeconfig.write_text(json.dumps(_config(of_names, lab / "ca.crt" if tls else None)))
    weather = Weather(seconds, errors, kubeconfig.parent if tls else None)
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(lines, weather))
    process.start()
    for it in lines:
        it.listening.close()  # where a line refuses, nobody must hold its port
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _uid(cluster: Cluster) -> str:
    return str(Api(cluster).get("/api/v1/namespaces/kube-system")["metadata"]["uid"])


def _config(names: Mapping[str, tuple[int, str]], authority: Path | None) -> dict[str, object]:
    """+ names: such as {"c-0": (41234, "its token")}"""
    trusted = {} if authority is None else {"certificate-authority": str(authority)}
    scheme = "http" if authority is None else "https"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": [{"name": it, "context": {"cluster": it, "user": it}} for it in names],
        "clusters": [
            {"name": it, "cluster": {"server": f"{scheme}://127.0.0.1:{port}", **trusted}}
            for it, (port, _) in names.items()
        ],
        "users": [{"name": it, "user": {"token": token}} for it, (_, token) in names.items()],
    }


def _serve(lines: Sequence[Line], weather: Weather) -> None:
    served = None
    if weather.certificate is not None:
        served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        served.load_cert_chain(weather.certificate / "line.crt", weather.certificate / "line.key")

    async def main() -> None:
        for it in lines:
            if it.ill == REFUSES:
                it.listening.close()
            else:
                await asyncio.start_server(_joined(it, weather), sock=it.listening, ssl=served)
        await asyncio.Event().wait()

    asyncio.run(main())


def _joined(line: Line, weather: Weather):  # type: ignore[no-untyped-def]
    trusted = ssl.create_default_context(cafile=str(line.authority))
    # The same requests of a line fail in each run.
    chance = random.Random(line.shown)
    serving: set[asyncio.Task[None] | None] = set()  # the loop alone does not keep a task alive

    async def serve(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        serving.add(task)
        if line.ill == SILENT:
            await near.read(-1)
            return
        far, out = await asyncio.open_connection(line.address, 6443, ssl=trusted)

        async def ask() -> None:
            while said := await near.read(65536):
                if _begins(said):  # more of a body comes without waiting
                    await asyncio.sleep(weather.seconds)
                if refusal := _refusal(said, line, weather, chance):
                    while not _whole(said):
                        said += await near.read(65536)
                    back.write(refusal)
                    await back.drain()
                    continue
                out.write(said)
                await out.drain()
            out.close()

        async def answer() -> None:
            while said := await far.read(262144):
                back.write(said.replace(line.uid, line.shown))
                await back.drain()
            back.close()

        with suppress(OSError, ssl.SSLError):
            await asyncio.gather(ask(), answer())
        serving.discard(task)

    return serve


def _refusal(said: bytes, line: Line, weather: Weather, chance: random.Random) -> bytes:
    """The answer to what begins a request that is to fail; empty: it goes on its way."""
    if not _begins(said):
        return b""
    if line.ill == UNAUTHORIZED:
        return _answer("401 Unauthorized")
    return _answer(chance.choice(ERRORS)) if chance.random() < weather.errors else b""


def _begins(said: bytes) -> bool:
    """Whether a request begins here; else it is more of one that has begun."""
    return said[:8].split(b" ")[0].isupper() and b" HTTP/1.1\r\n" in said


def _answer(status: str) -> bytes:
    code, reason = status.split(" ", 1)
    body = json.dumps(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": reason.replace(" ", ""),
            "message": reason,
            "code": int(code),
        }
    )
    more = "Retry-After: 1\r\n" if code == "429" else ""
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _whole(said: bytes) -> bool:
    """Whether a request that was read is all there: its body is as long as it says."""
    head, ended, body = said.partition(b"\r\n\r\n")
    lengths = [it for it in head.lower().split(b"\r\n") if it.startswith(b"content-length:")]
    return bool(ended) and len(body) >= int(lengths[0].partition(b":")[2] if lengths else b"0")
