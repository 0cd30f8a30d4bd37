"""
What one proxy needs, on a lab of its own with one Envoy of two workers: memory without connections,
for each connection of a kind and each route, and processor time a request.

    python benchmarks/proxies.py --print                     about ten minutes; needs root

``tasks/plans/profiles.py`` counts with what it prints, docs/scaling.md tells it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY, deployed, lab
from tasks.lab import state
from tasks.lab.api import Api
from tasks.plans.kinds import path

LAB, HOST = "benchproxies", "blue.lab.test"
SYSTEM, PROXIES = "envoy-gateway-system", "app.kubernetes.io/component=proxy"
#: Connections of a kind; those with a request on its way must stay below 1,024, which a proxy lets
#: through to one backend.
CONNECTIONS, WAITING = 2000, 1000
ROUTES = (10, 100, 1000)
#: Connections at a time, and requests, of a figure for processor time.
AT_A_TIME, REQUESTS = 32, 6400

Ask = Callable[[socket.socket], None]


def proxy() -> tuple[str, ...]:
    one = {"replicas": 1, "cpu": "50m", "memory": "64Mi", "memory_limit": "2Gi", "concurrency": 2}
    controller = {"replicas": 1, "cpu": "50m", "memory": "64Mi"}
    said = {"proxy": one, "controller": controller, "probe": {"timeout": 300}}
    return tuple(it for key in said for it in ("--data", f"{key}={json.dumps(said[key])}"))


class Envoy:
    """The one proxy of a lab, by its process and by its cluster."""

    def __init__(self, fleet: Any) -> None:
        self._fleet, [self._name] = fleet, fleet.names
        self.address: str = fleet.address(self._name)

    def anew(self) -> None:
        """In place of the one that is there, for an Envoy keeps nearly all memory it ever had."""
        from tests.lab.running import until

        place = ("-n", SYSTEM, "-l", PROXIES)
        self._fleet.kubectl(self._name, "delete", "pod", *place, "--grace-period=1")
        until("an Envoy", lambda: len(processes("envoy")) == 1)
        until("an answer", self._answers)
        time.sleep(5)

    def _answers(self) -> bool:
        with connected(self.address, tls=False) as it:
            ask(it)
        return True

    def memory(self) -> dict[str, int]:
        """Bytes that are its own ("RssAnon"), and those of the program's file ("RssFile")."""
        return memory("envoy")


def processes(name: str) -> list[Path]:
    """
    Those of this lab's cluster, by its control group; the controller's program is beside each Envoy
    as well, under another command.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            comm, group = (process / "comm").read_text(), (process / "cgroup").read_text()
            beside = b"\0shutdown-manager\0" in (process / "cmdline").read_bytes()
        except OSError:
            continue
        if comm.strip() == name and not beside and f"/envoyfleet/{LAB}/" in group:
            found.append(process)
    return found


def memory(name: str) -> dict[str, int]:
    [process] = processes(name)
    lines = (it.split() for it in (process / "status").read_text().splitlines())
    return {it[0].rstrip(":"): int(it[1]) * 1024 for it in lines if it and it[0].startswith("Rss")}


def processor_seconds() -> float:
    [process] = processes("envoy")
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connected(address: str, tls: bool, protocol: str = "http/1.1") -> socket.socket:
    plain = socket.create_connection((address, 443 if tls else 80), timeout=60)
    if not tls:
        return plain
    return _context(protocol).wrap_socket(plain, server_hostname=HOST)


@cache
def _context(protocol: str) -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.check_hostname, found.verify_mode = False, ssl.CERT_NONE
    found.set_alpn_protocols([protocol])
    return found


def send(connection: socket.socket, where: str = "/", host: str = HOST) -> None:
    connection.sendall(f"GET {where} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


def receive(connection: socket.socket) -> int:
    """The status, once the whole answer is here."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536) or _ended()
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"\ncontent-length:")[2].split()[0])
    while len(body) < length:
        body += connection.recv(65536) or _ended()
    return int(head.split()[1])


def _ended() -> bytes:
    raise ConnectionError("the proxy ended the connection")


def ask(connection: socket.socket) -> None:
    send(connection)
    status = receive(connection)
    if status != 200:
        raise ConnectionError(f"the proxy answers {status}")


def ask_by_http2(connection: socket.socket) -> None:
    import h2.connection
    import h2.events

    talk = h2.connection.H2Connection()
    talk.initiate_connection()
    names = ((":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/"))
    talk.send_headers(1, names, end_stream=True)
    while True:
        connection.sendall(talk.data_to_send())
        events = talk.receive_data(connection.recv(65536) or _ended())
        if any(isinstance(it, h2.events.StreamEnded) for it in events):
            return


@contextmanager
def held(count: int, connect: Callable[[], socket.socket], use: Ask) -> Iterator[None]:
    kept = []
    try:
        for _ in range(count):
            kept.append(connect())
            use(kept[-1])
        yield
    finally:
        for it in kept:
            it.close()


def connections(envoy: Envoy) -> None:
    """Prints what one of each kind adds to a new Envoy."""
    at = envoy.address
    kinds: Sequence[tuple[str, int, Callable[[], socket.socket], Ask]] = (
        ("idle, HTTP/1.1", CONNECTIONS, lambda: connected(at, False), ask),
        ("idle, HTTP/1.1 by TLS", CONNECTIONS, lambda: connected(at, True), ask),
        ("idle, HTTP/2 by TLS", CONNECTIONS, lambda: connected(at, True, "h2"), ask_by_http2),
        (
            "HTTP/1.1 by TLS with a request that waits",
            WAITING,
            lambda: connected(at, True),
            partial(send, where="/?delay=60s"),
        ),
    )
    for number, (what, count, connect, use) in enumerate(kinds):
        envoy.anew()
        empty = envoy.memory()
        if number == 0:
            print(
                f"     memory: {empty['RssAnon'] / 2**20:.1f} MiB of its own without connections, "
                f"{empty['RssFile'] / 2**20:.0f} MiB of the program's file"
            )
        with held(count, connect, use):
            time.sleep(3)
            full = envoy.memory()
        each = (full["RssAnon"] - empty["RssAnon"]) / count / 1024
        print(f"     memory: {each:.1f} KiB a connection, {count:,} {what}", flush=True)


def processor_time(envoy: Envoy) -> None:
    """Prints what a request takes of one CPU, over connections that last and over new ones."""
    for what, tls in (("HTTP/1.1", False), ("HTTP/1.1 by TLS", True)):
        many = [connected(envoy.address, tls) for _ in range(AT_A_TIME)]
        before = processor_seconds()
        for _ in range(REQUESTS // AT_A_TIME):
            for it in many:
                send(it)
            for it in many:
                receive(it)
        used = (processor_seconds() - before) / REQUESTS
        for it in many:
            it.close()
        print(f"     processor time: {1000 * used:.3f} ms a request, {what}, {1 / used:,.0f} a CPU")
    before, few = processor_seconds(), REQUESTS // 8
    for _ in range(few):
        with connected(envoy.address, True) as it:
            ask(it)
    used = (processor_seconds() - before) / few
    print(f"     processor time: {1000 * used:.3f} ms a new TLS connection with one request")


def routes(fleet: Any, envoy: Envoy) -> None:
    """Prints what routes add, one rule and one hostname each, and what the controller needs."""
    from tests.lab.running import until

    api = Api(state.running(LAB).member(fleet.names[0]))
    kind = ("gateway.networking.k8s.io/v1", "HTTPRoute", "demo")
    there, first = 0, 0

    def put(number: int) -> None:
        api.apply(path(*kind, f"many-{number}"), route(number))

    def served(number: int) -> bool:
        with connected(envoy.address, False) as it:
            send(it, host=f"many-{number}.lab.test")
            return receive(it) == 200

    envoy.anew()
    before = first = envoy.memory()["RssAnon"]
    for count in ROUTES:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, range(there, count)))
        for number in (there, count - 1):
            until(f"route {number}", partial(served, number))
        time.sleep(10)
        now = envoy.memory()["RssAnon"]
        added, there = count - there, count
        print(
            f"     memory: {(now - before) / added / 1024:.1f} KiB a route, {count:,} HTTPRoutes: "
            f"{(now - first) / 2**20:.1f} MiB in all; controller "
            f"{memory('envoy-gateway')['RssAnon'] / 2**20:.0f} MiB of its own",
            flush=True,
        )
        before = now
    envoy.anew()
    fresh = (envoy.memory()["RssAnon"] - first) / 2**20
    print(f"     memory: {fresh:.1f} MiB for {there:,} HTTPRoutes in a new Envoy")


def route(number: int) -> dict[str, Any]:
    name = f"many-{number}"
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "demo", "labels": {"of": "many"}},
        "spec": {
            "parentRefs": [{"name": "public", "namespace": "edge"}],
            "hostnames": [f"{name}.lab.test"],
            "rules": [{"backendRefs": [{"name": "blue", "port": 8080}]}],
        },
    }


def measured(folder: Path) -> None:
    from tests.lab.fleet import opened

    lab(LAB, "up", "1")
    lab(LAB, "sample")
    fleet = opened(folder)
    (folder / "benchmarks").symlink_to(REPOSITORY / "benchmarks")
    deployed(folder, LAB, "install", *proxy())
    envoy = Envoy(fleet)
    connections(envoy)
    envoy.anew()
    processor_time(envoy)
    routes(fleet, envoy)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what one proxy needs.")
    parser.add_argument("--print", action="store_true", help="print the figures (always done)")
    parser.parse_args()
    os.environ["ENVOYFLEET_LAB"] = LAB
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    lab(LAB, "down")
    try:
        with tempfile.TemporaryDirectory() as folder:
            measured(Path(folder))
    finally:
        lab(LAB, "down")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
