"""The proxy as a process, and kubeconfigs that lead through it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

from tests.faults.certificates import AUTHORITY
from tests.faults.kinds import ELSEWHERE, KINDS

#: How often a fault is met: by one request, or by all from there on.
ONCE, ALWAYS = 1, 10**6
_runs = count()


@dataclass(frozen=True)
class Place:
    """+ first: of the requests that the kind is about, and in ``writes`` of those that write"""

    first: int
    times: int
    writes: bool = False


@dataclass(frozen=True)
class FaultProxy:
    folder: Path
    ports: Mapping[str, int]
    runs: list[str] = field(default_factory=list)

    def met(self, kind: str) -> bool:
        """Whether a request of the newest run met its fault."""
        about = {**KINDS, **ELSEWHERE}[kind]
        return bool(about.tls or about.address or self._counted("met"))

    def wrote(self) -> bool:
        """Whether the newest run asked for a change."""
        return self._counted("writes") > 0

    def _counted(self, what: str) -> int:
        url = f"http://127.0.0.1:{self.ports['http']}/met/{self.runs[-1]}"
        with urlopen(url, timeout=30) as reply:
            return int(json.loads(reply.read())[what])

    def stand(self, upstream: str, kind: str, place: Place) -> str:
        """The proxy's address for a server with paths of its own, which meets this from now on."""
        run = f"run-{next(_runs)}"
        self.runs.append(run)
        path = self._path(kind, place, run)
        with urlopen(f"http://127.0.0.1:{self.ports['http']}/stand/{path}/{upstream}/", timeout=30):
            pass
        about = {**KINDS, **ELSEWHERE}[kind]
        return f"https://127.0.0.1:{self.ports[about.tls or 'trusted']}"

    @staticmethod
    def _path(kind: str, place: Place, run: str) -> str:
        of = "writes" if place.writes else "any"
        return f"{quote(kind)}/{of}/{place.first}/{place.times}/{run}"

    def kubeconfig(
        self,
        path: Path,
        user: Mapping[str, Any],
        names: list[str],
        kind: str,
        place: Place,
    ) -> Path:
        """One for a run, whose requests meet this kind of fault."""
        about, run = KINDS[kind], f"run-{next(_runs)}"
        self.runs.append(run)
        scheme = "https" if about.tls else "http"
        port = self.ports[about.tls or "http"]
        base = about.address or f"{scheme}://127.0.0.1:{port}"
        trust = {"certificate-authority": str(self.folder / AUTHORITY)} if about.tls else {}
        base = f"{base}/{self._path(kind, place, run)}"
        clusters = [{"name": it, "cluster": {"server": f"{base}/{it}", **trust}} for it in names]
        document = {
            "contexts": [{"name": it, "context": {"cluster": it, "user": "us"}} for it in names],
            "clusters": clusters,
            "users": [{"name": "us", "user": dict(user)}],
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(document))
        return path


@contextmanager
def proxied(folder: Path, upstreams: Mapping[str, Mapping[str, Any]]) -> Iterator[FaultProxy]:
    """+ upstreams: by cluster, {"url": ..., "ca": a file or None}"""
    file = folder / "upstreams.json"
    file.write_text(json.dumps(upstreams))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.proxy", str(file)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        yield FaultProxy(folder, json.loads(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
