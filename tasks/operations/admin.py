"""
What one Envoy says about itself, asked at its admin port, and what a Pod writes: an image without a
shell has nothing else to ask. Reads only.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext

from tasks.connectors.api import Api, ApiError
from tasks.connectors.command import Call
from tasks.connectors.forward import forwarded
from tasks.diagnosis import config, stats
from tasks.diagnosis.evidence import Gap, Object, Proxy

#: Where Envoy Gateway's proxies have it, for the Pod itself alone.
PORT = 19000
TIMEOUT = 10.0
#: By file of a bundle, where it is asked.
FILES: Mapping[str, str] = {
    "config_dump.json": "/config_dump?include_eds",
    "clusters.json": "/clusters?format=json",
    "clusters.txt": "/clusters",
    "listeners.json": "/listeners?format=json",
    "certs.json": "/certs",
    "server_info.json": "/server_info",
    "stats.txt": "/stats",
    "stats_prometheus.txt": "/stats/prometheus",
}
#: What a diagnosis needs of these.
NEEDED = ("config_dump.json", "clusters.json", "certs.json", "server_info.json", "stats.txt")
COST = {
    "config_dump.json": "where a request would go, and whether the proxies have the newest",
    "clusters.json": "which endpoints a proxy holds for healthy",
    "certs.json": "which certificates a proxy has loaded",
    "server_info.json": "which release a proxy is",
    "stats.txt": "what a proxy counted, and whether it is connected to the controller",
}
FORWARD, DENIED = "the port forward (create pods/portforward)", "no right to it"
#: Takes what is read, as it is: (proxy, file of a bundle, what it holds).
Keep = Callable[[str, str, bytes], None]


def get(stream: socket.socket, path: str, port: int = PORT) -> bytes:
    """One request on a connection of its own. Raises OSError or http.client.HTTPException."""
    connection = http.client.HTTPConnection("localhost", port, timeout=TIMEOUT)
    stream.settimeout(TIMEOUT)
    connection.sock = stream
    connection.request("GET", path, headers={"Connection": "close"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise OSError(f"admin port answers {answer.status} to {path.partition('?')[0]}")
    return body


def read(
    api: Api,
    namespace: str,
    pod: str,
    files: Sequence[str] = NEEDED,
    turn: AbstractContextManager[None] | None = None,
) -> Iterator[tuple[str, bytes | str]]:
    """
    What each of these files would hold, or in text why it could not be read. One request to the API
    server, whatever the number of files.

    Raises ApiError; status 403 means no right to create pods/portforward. + turn: entered for as
    long as the API server has not answered
    """
    silent = ""
    with ExitStack() as opened:
        with turn or nullcontext():
            forward = opened.enter_context(forwarded(api, namespace, pod, [PORT] * len(files)))
        for number, (name, stream) in enumerate(zip(files, forward.sockets, strict=True)):
            if silent:  # one that does not answer is not waited for again
                yield name, silent
                continue
            try:
                yield name, get(stream, FILES[name])
            except (OSError, http.client.HTTPException) as error:
                refused = forward.refused.get(number)
                why = f"nothing listens on port {PORT} of the Pod" if refused else str(error)
                silent = why if isinstance(error, TimeoutError) else ""
                yield name, why or type(error).__name__


def proxy(
    api: Api,
    namespace: str,
    pod: str,
    keep: Keep | None = None,
    turn: AbstractContextManager[None] | None = None,
) -> tuple[Proxy, list[Gap]]:
    """
    What one proxy says, and what could not be read of it. One request. Never raises.

    + keep: takes every file of a bundle, of which a diagnosis needs some; + turn: see ``read``
    """
    name = f"Pod {namespace}/{pod}"
    found: dict[str, bytes] = {}
    gaps = []
    try:
        files = NEEDED if keep is None else tuple(FILES)
        for file, said in read(api, namespace, pod, files, turn):
            if isinstance(said, bytes):
                found[file] = said
                if keep is not None:
                    keep(name, file, said)
            else:
                gaps.append(Gap(f"{name}, {FILES[file]}", said, COST.get(file, "what it says")))
    except ApiError as error:
        gaps = [Gap(f"{name}, {FORWARD}", _reason(error), "what this proxy runs, and counted")]
    return described(name, found), gaps


def described(name: str, files: Mapping[str, bytes]) -> Proxy:
    """A proxy, out of what ``read`` read of it."""
    dump, counted = files.get("config_dump.json"), files.get("stats.txt")
    return Proxy(
        name=name,
        config=None if dump is None else config.read(dump),
        clusters=_document(files.get("clusters.json")),
        listeners=_document(files.get("listeners.json")),
        certs=_document(files.get("certs.json")),
        server_info=_document(files.get("server_info.json")),
        stats=None if counted is None else stats.read(counted),
    )


def _document(body: bytes | None) -> Object | None:
    try:
        found = json.loads(body or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def log(
    api: Api,
    namespace: str,
    pod: str,
    container: str,
    *,
    lines: int,
    seconds: int | None = None,
    previous: bool = False,
) -> list[str]:
    """
    The newest lines that a container wrote. One request. Raises ApiError; status 400 where it has
    not begun, or there was none before it.

    + seconds: how old they may be; + previous: of the container before this one
    """
    query = {"container": container, "tailLines": str(lines)}
    if seconds is not None:
        query["sinceSeconds"] = str(seconds)
    if previous:
        query["previous"] = "true"
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
    call = Call("GET", path, query, None, "application/json", "*/*", frozenset())
    return api.text(call).splitlines()


def _reason(error: ApiError) -> str:
    return DENIED if error.status == 403 else str(error)
