"""
The fleet that the deploys are tested on: the lab of ``ENVOYFLEET_LAB``, driven as an operator
drives it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tests.lab.running import REPOSITORY, LabUnderTest, run

OLD, NEW = "1.8.3", "1.9.1"
#: Of Gateway edge/public of inventory/lab.py, for tests that change the rest of it.
LISTENERS = (
    {"name": "http", "port": 80},
    {
        "name": "https",
        "port": 443,
        "protocol": "HTTPS",
        "hostname": "*.lab.test",
        "secret": "lab-tls",
    },
    {"name": "tcp", "port": 9000, "protocol": "TCP"},
)
#: Proxies that leave in half the time, on a fleet whose many upgrades would wait for it.
SHORT_DRAIN = (
    *("--data", 'proxy={"replicas": 1, "cpu": "10m", "memory": "64Mi", "min_drain": "10s"}'),
)
#: Seconds for a request of ours: the machine may be busy.
PATIENT = ("--data", "kube_timeout=120")


@dataclass(frozen=True)
class Ended:
    """How a run of pyinfra ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class Fleet:
    """
    + folder: where the runs happen: the repository's files, and room for runs/ and rendered/
    + more: arguments of every run; + longest: seconds of one
    """

    lab: LabUnderTest
    folder: Path
    more: tuple[str, ...] = PATIENT
    longest: int = 600

    @property
    def names(self) -> list[str]:
        return [it["name"] for it in self.lab.data["clusters"]]

    def pyinfra(
        self, deploy: str, *more: str, inventory: str = "inventory/lab.py", **environment: str
    ) -> Ended:
        """``pyinfra inventory/lab.py deploys/<deploy>.py ...``, without a terminal."""
        return self.run(inventory, f"deploys/{deploy}.py", *more, **environment)

    def operation(self, name: str, *more: str) -> Ended:
        """``pyinfra inventory/lab.py tasks.operations.kube.apply ...``: one operation by hand."""
        return self.run("inventory/lab.py", name, *more)

    def run(self, *arguments: str, **environment: str) -> Ended:
        begun = time.monotonic()
        done = subprocess.run(
            [Path(sys.executable).parent / "pyinfra", *arguments, *self.more],
            cwd=self.folder,
            env={**os.environ, "NO_COLOR": "1", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.longest,
        )
        ended = Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)
        assert "Traceback" not in ended.text, ended.text
        return ended

    def started(self, *arguments: str) -> subprocess.Popen[bytes]:
        """The same, still running."""
        return subprocess.Popen(
            [Path(sys.executable).parent / "pyinfra", *arguments, *self.more],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def release_status(self, cluster: str) -> str:
        """Helm's word for the newest revision, such as "deployed", read off its records."""
        labels = ("-l", "owner=helm", "-n", "envoy-gateway-system", "-o", "json")
        items = json.loads(self.kubectl(cluster, "get", "secret", *labels))["items"]
        newest = max(items, key=lambda it: int(it["metadata"]["labels"]["version"]))
        return str(newest["metadata"]["labels"]["status"])

    def kubectl(self, cluster: str, *arguments: str, check: bool = True) -> str:
        return self.lab.kubectl("--context", cluster, *arguments, check=check)

    def version(self, cluster: str) -> str:
        """
        The version in the tag of the controller's image, such as "1.8.3", or "" without a
        controller.
        """
        path = "{.spec.template.spec.containers[0].image}"
        place = ("--namespace", "envoy-gateway-system", "--output", f"jsonpath={path}")
        image = self.kubectl(cluster, "get", "deployment", "envoy-gateway", *place, check=False)
        return image.rpartition(":v")[2] if ":v" in image else ""

    def address(self, cluster: str) -> str:
        path = "{.status.addresses[0].value}"
        place = ("--namespace", "edge", "--output", f"jsonpath={path}")
        return self.kubectl(cluster, "get", "gateway", "public", *place)

    def report(self) -> dict[str, Any]:
        """report.json of the newest run."""
        newest = max((self.folder / "runs").iterdir(), key=lambda it: it.stat().st_mtime)
        found: dict[str, Any] = json.loads((newest / "report.json").read_text())
        return found

    def statuses(self) -> dict[str, str]:
        """
        What the newest report says of each cluster, such as {"lab-1": "done", "lab-2": "held"}.
        """
        return {it["name"]: it["status"] for it in self.report()["clusters"]}

    def requests(self, cluster: str) -> list[dict[str, Any]]:
        """Every request of ours that this cluster's API server answered, from its audit log."""
        log = next(it["audit_log"] for it in self.lab.data["clusters"] if it["name"] == cluster)
        return [json.loads(line) for line in Path(log).read_text().splitlines()]

    def fault(self, cluster: str, kind: str, switch: str) -> None:
        done = run("fault", cluster, kind, switch, name=self.lab.name)
        assert done.returncode == 0, done.stdout + done.stderr


def opened(folder: Path, *more: str) -> Fleet:
    """The running lab as a fleet; fails where it is not up, ``make lab-tests`` brings it up."""
    name = os.environ.get("ENVOYFLEET_LAB", "lab")
    status = run("status", "--json", name=name)
    assert status.returncode == 0, status.stderr
    for part in ("config.py", "deploys", "inventory", "tests"):
        (folder / part).symlink_to(REPOSITORY / part)
    return Fleet(LabUnderTest(name, json.loads(status.stdout)), folder, (*PATIENT, *more))


@dataclass
class Traffic:
    """What a stream of requests met: ``failures`` such as "503" or "ConnectionResetError"."""

    sent: int = 0
    failures: list[str] | None = None
    longest_gap: float = 0.0

    def lost(self) -> float:
        """
        The share of requests that failed. With one proxy and no drain of the load balancer nothing
        promises none; the tests of the upgrade that loses nothing have two.
        """
        return len(self.failures or ()) / max(self.sent, 1)


@contextmanager
def traffic(address: str, host: str = "blue.lab.test", pause: float = 0.02) -> Iterator[Traffic]:
    """A new connection and a request every 20 ms for as long as the block runs."""
    import http.client

    seen, stop = Traffic(failures=[]), Event()

    def one() -> None:
        connection = http.client.HTTPConnection(address, 80, timeout=15)
        connection.request("GET", "/", headers={"Host": host, "Connection": "close"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(str(answer.status))

    def loop() -> None:
        good = time.monotonic()
        while not stop.is_set():
            seen.sent += 1
            try:
                one()
            except (OSError, http.client.HTTPException, RuntimeError) as error:
                assert seen.failures is not None
                text = str(error) if isinstance(error, RuntimeError) else type(error).__name__
                seen.failures.append(text)
            else:
                now = time.monotonic()
                seen.longest_gap, good = max(seen.longest_gap, now - good), now
            stop.wait(pause)

    thread = Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join(timeout=30)
