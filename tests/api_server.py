"""
API servers of clusters that exist in this process alone: one loopback port, a path prefix each.

They answer what a test recorded for them, and remember what they were asked.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from typing_extensions import override

#: Discovery with a group that every API server serves.
GROUPS = {"items": [{"metadata": {"name": "apps"}, "versions": [{"version": "v1"}]}]}


@dataclass(frozen=True)
class Answer:
    """
    + drip: seconds between two bytes of the body
    + hang_up: close the connection and answer nothing
    + cut: close the connection before the last byte
    """

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    drip: float = 0.0
    hang_up: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Asked:
    """One request, as it arrived; + path: with its query, without the cluster's prefix."""

    cluster: str
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # a fleet connects at once, and what is dropped comes a second later


class ApiServer:
    """
    ``answers[cluster, method, path]`` are given in turn, the last one again and again; those for a
    path with its query before those for the path alone.
    """

    def __init__(self, delay: float = 0.0) -> None:
        """+ delay: seconds that each request is away"""
        self.delay = delay
        self.answers: dict[tuple[str, str, str], list[Answer]] = {}
        self.asked: list[Asked] = []
        self._http = _Server(("127.0.0.1", 0), _handler(self))
        self.port = self._http.server_address[1]

    def answer(self, method: str, path: str, *answers: Answer, cluster: str = "weu-1") -> None:
        self.answers[cluster, method, path] = list(answers)

    def cluster(self, name: str, uid: str | None = None, version: str = "v1.35.4") -> None:
        """A cluster that can be connected to."""
        kube_system = {"metadata": {"name": "kube-system", "uid": uid or f"uid-of-{name}"}}
        self.answer("GET", "/version", Answer(body={"gitVersion": version}), cluster=name)
        path = "/api/v1/namespaces/kube-system"
        self.answer("GET", path, Answer(body=kube_system), cluster=name)

    def kubeconfig(self, *names: str, token: str = "t0p-s3cret") -> dict[str, Any]:
        """One context a cluster."""
        url = f"http://127.0.0.1:{self.port}"
        return {
            "contexts": [{"name": it, "context": {"cluster": it, "user": "us"}} for it in names],
            "clusters": [{"name": it, "cluster": {"server": f"{url}/{it}"}} for it in names],
            "users": [{"name": "us", "user": {"token": token}}],
        }

    def write_kubeconfig(self, path: Path, *names: str) -> Path:
        path.write_text(json.dumps(self.kubeconfig(*names)), encoding="utf-8")
        return path

    @contextmanager
    def running(self) -> Iterator[Self]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()

    def next_answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        path, exact = asked.path.partition("?")[0], (asked.cluster, asked.method, asked.path)
        left = self.answers.get(exact) or self.answers.get((*exact[:2], path))
        if not left:
            return status(404, "not found")
        return left.pop(0) if len(left) > 1 else left[0]


def status(code: int, message: str, **headers: str) -> Answer:
    """A Kubernetes Status, as real API servers send it with an error."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}
    return Answer(code, body, tuple((key.replace("_", "-"), it) for key, it in headers.items()))


def _handler(server: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        @override
        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:  # a client that had enough
                self.close_connection = True

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            cluster, _, path = self.path[1:].partition("/")
            asked = Asked(
                cluster,
                self.command,
                f"/{path}",
                {key.lower(): value for key, value in self.headers.items()},
                json.loads(body) if body else None,
            )
            answer = server.next_answer(asked)
            if server.delay:
                time.sleep(server.delay)
            if answer.hang_up:
                self.close_connection = True
                return
            data = json.dumps(answer.body).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for key, value in answer.headers:
                self.send_header(key, value)
            self.end_headers()
            if answer.cut:
                data, self.close_connection = data[:-1], True
            for piece in [data[it : it + 1] for it in range(len(data))] if answer.drip else [data]:
                self.wfile.write(piece)
                if answer.drip:
                    time.sleep(answer.drip)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = do

        @override
        def log_message(self, *_: Any) -> None:
            pass

    return Handler
