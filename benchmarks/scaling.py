"""
Requests lost while proxies go 2 -> 6 -> 2, and while one of two nodes drains, on a lab of its own
with 100 new connections a second and a load balancer that is late by 10 s; then what one proxy
costs: processor time a request, and memory a connection.

    python benchmarks/scaling.py --print                     about five minutes; needs root
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY, deployed, lab

LAB = "benchscale"
CONNECTIONS = 2000
HELLO = b"GET / HTTP/1.1\r\nHost: blue.lab.test\r\n\r\n"


def proxies(replicas: int) -> tuple[str, ...]:
    small = {"replicas": replicas, "cpu": "10m", "memory": "64Mi"}
    # Endpoints come to proxies through the controller: one that drains away leaves them old ones.
    controller = {"replicas": 2, "cpu": "10m", "memory": "64Mi"}
    return (
        "--data",
        f"proxy={json.dumps(small)}",
        "--data",
        f"controller={json.dumps(controller)}",
    )


def envoys() -> list[Path]:
    """The processes of this lab's Envoys, of their cluster's control group."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name, group = (process / "comm").read_text(), (process / "cgroup").read_text()
        except OSError:
            continue
        if name.strip() == "envoy" and f"/envoyfleet/{LAB}/" in group:
            found.append(process)
    return found


def processor_seconds() -> float:
    fields = [(it / "stat").read_text().rpartition(")")[2].split() for it in envoys()]
    return sum(int(it[11]) + int(it[12]) for it in fields) / 100


def resident() -> int:
    """Bytes of all Envoys of the lab."""
    return sum(int((it / "statm").read_text().split()[1]) for it in envoys()) * 4096


def costs(address: str, count: int = 10000) -> None:
    """
    Prints what the Envoys use for requests over one connection, over new ones with TLS, and for
    idle connections with TLS that had one request each.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def connected(port: int) -> socket.socket:
        plain = socket.create_connection((address, port), timeout=30)
        if port == 80:
            return plain
        return context.wrap_socket(plain, server_hostname="blue.lab.test")

    def ask(connection: socket.socket) -> None:
        connection.sendall(HELLO)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65536)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"\ncontent-length:")[2].split()[0])
        while len(body) < length:
            body += connection.recv(65536)

    one, before = connected(80), processor_seconds()
    for _ in range(count):
        ask(one)
    used = processor_seconds() - before
    print(f"     processor time: {1000 * used / count:.3f} ms a request over one connection")
    before = processor_seconds()
    for _ in range(count // 10):
        with connected(443) as it:
            ask(it)
    used = processor_seconds() - before
    print(f"     processor time: {10000 * used / count:.3f} ms a request over a new TLS connection")
    empty, held = resident(), []
    for _ in range(CONNECTIONS):
        held.append(connected(443))
        ask(held[-1])
    full = resident()
    for it in held:
        it.close()
    share = (full - empty) / CONNECTIONS / 1024
    print(
        f"     memory: {empty / len(envoys()) / 2**20:.0f} MiB an Envoy without connections, "
        f"{share:.0f} KiB each of {CONNECTIONS} idle TLS connections"
    )


def measured(folder: Path) -> int:
    """Prints a line a way; how many requests were lost."""
    from tests.lab.fleet import opened
    from tests.lab.load import Met, load
    from tests.lab.running import until
    from tests.lab.test_scaling import PATIENT_APPLICATION, ready

    lab(LAB, "up", "1", "--nodes", "2", "--leaving-endpoints", "10")
    lab(LAB, "sample")
    fleet = opened(folder)
    (folder / "benchmarks").symlink_to(REPOSITORY / "benchmarks")
    [name] = fleet.names
    patch = ("patch", "deployment", "blue", "-n", "demo", "-p", json.dumps(PATIENT_APPLICATION))
    fleet.kubectl(name, *patch)
    deployed(folder, LAB, "install", *proxies(2))
    lost = 0

    def tell(what: str, met: Met) -> None:
        nonlocal lost
        lost += len(met.lost)
        kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(met.kinds.items()))
        print(
            f"{'MISS' if met.lost else 'ok  '} {what}: {len(met.lost)} of {met.sent:,} requests "
            f"lost{f' ({kinds})' if kinds else ''}, {met.unsure} unsure, longest gap "
            f"{met.longest_gap:.2f} s (generator late by {met.late:.2f} s at most)"
        )

    def there(wanted: int) -> bool:
        return len(ready(fleet)) == wanted

    for replicas in (6, 2):
        with load(fleet.address(name)) as met:
            deployed(folder, LAB, "install", *proxies(replicas))
            until("the proxies", partial(there, replicas))
            time.sleep(30)  # until those that leave have gone
        tell(f"to {replicas} proxies", met)
    with load(fleet.address(name)) as met:
        drain = ("drain", f"{name}-2", "--ignore-daemonsets", "--delete-emptydir-data")
        fleet.kubectl(name, *drain)
        until("two proxies", lambda: [*ready(fleet).values()] == [name, name])
    tell("one of two nodes drains", met)
    costs(fleet.address(name))
    return lost


def main() -> int:
    import os

    parser = argparse.ArgumentParser(description="Measure what scaling costs in requests.")
    parser.add_argument("--print", action="store_true", help="print the figures (always done)")
    parser.parse_args()
    os.environ["ENVOYFLEET_LAB"] = LAB
    lab(LAB, "down")
    try:
        with tempfile.TemporaryDirectory() as folder:
            lost = measured(Path(folder))
    finally:
        lab(LAB, "down")
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
