"""
Many clusters out of few: each context of a kubeconfig leads to one of the API servers of a lab, as
far away as is said, and is a cluster of its own by the identity that it shows.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.lab import users
from tasks.lab.api import Api
from tasks.lab.state import Cluster


@dataclass(frozen=True)
class Line:
    """
    One way to an API server. + uid: of its namespace kube-system; + shown: what is shown for it,
    just as long
    """

    listening: socket.socket
    address: str
    authority: Path
    uid: bytes
    shown: bytes


@contextmanager
def distant(
    clusters: Sequence[Cluster], names: Sequence[str], seconds: float, kubeconfig: Path
) -> Iterator[None]:
    """
    ``kubeconfig`` with a context a name as long as the block runs. + seconds: that each request
    comes late
    """
    uids = {it.name: _uid(it) for it in clusters}
    lines, of_names = [], {}
    for number, name in enumerate(names):
        cluster = clusters[number % len(clusters)]
        listening = socket.create_server(("127.0.0.1", 0))
        uid = uids[cluster.name]
        shown = f"{uid[:-6]}{number:06d}"
        authority = cluster.root.parent / "ca.crt"
        lines.append(Line(listening, cluster.node_address, authority, uid.encode(), shown.encode()))
        of_names[name] = (listening.getsockname()[1], users.token(cluster, users.ADMIN))
    kubeconfig.write_text(json.dumps(_config(of_names)))
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(lines, seconds))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _uid(cluster: Cluster) -> str:
    return str(Api(cluster).get("/api/v1/namespaces/kube-system")["metadata"]["uid"])


def _config(names: Mapping[str, tuple[int, str]]) -> dict[str, object]:
    """+ names: such as {"c-0": (41234, "its token")}"""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": [{"name": it, "context": {"cluster": it, "user": it}} for it in names],
        "clusters": [
            {"name": it, "cluster": {"server": f"http://127.0.0.1:{port}"}}
            for it, (port, _) in names.items()
        ],
        "users": [{"name": it, "user": {"token": token}} for it, (_, token) in names.items()],
    }


def _serve(lines: Sequence[Line], seconds: float) -> None:
    async def main() -> None:
        for it in lines:
            await asyncio.start_server(_joined(it, seconds), sock=it.listening)
        await asyncio.Event().wait()

    asyncio.run(main())


def _joined(line: Line, seconds: float):  # type: ignore[no-untyped-def]
    trusted = ssl.create_default_context(cafile=str(line.authority))

    async def serve(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, out = await asyncio.open_connection(line.address, 6443, ssl=trusted)

        async def ask() -> None:
            while said := await near.read(65536):
                await asyncio.sleep(seconds)
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

    return serve
