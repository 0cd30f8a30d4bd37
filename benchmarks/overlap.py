"""
The bound of the search for certificates that overlap: 10,000 listeners, in the layouts that a
search by pairs takes longest for, and in healthy ones. No cluster is asked.

    python benchmarks/overlap.py --print        ten seconds; each figure is the best of three
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tasks.checks.overlap import findings
from tasks.plans.listeners import Listener
from tasks.plans.overlap import overlaps
from tasks.plans.x509 import Certificate

COUNT, BOUND = 10_000, 2.0
Layout = list[tuple[Listener, Certificate]]
DAY = datetime(2026, 1, 1, tzinfo=UTC)


def listener(number: int, hostname: str, **more: str | int | bool) -> Listener:
    """+ more: what differs from a listener of the one Gateway of cluster c-0 with alpnProtocols"""
    given = {"cluster": "c-0", "gateway": "edge/public", "port": 443, "address": "20.0.0.1", **more}
    gateway = str(given["gateway"])
    alpn = ("h2", "http/1.1") if more.get("h2", True) else None
    return Listener(
        str(given["cluster"]),
        f"Gateway {gateway}",
        gateway,
        f"l{number}",
        int(given["port"]),
        hostname,
        (str(given["address"]),),
        gateway,
        (),
        alpn,
    )


def certificate(serial: int, *names: str) -> Certificate:
    return Certificate(
        f"{serial:x}", f"{serial:x}", "CN=x", "CN=y", names, DAY, DAY, "RSA 2048", "sha256", False
    )


def healthy() -> Layout:
    """A fleet of 64 clusters, each listener with a certificate and an address of its own."""
    return [
        (
            listener(
                it,
                f"n{it}.example.com",
                cluster=f"c-{it % 64}",
                gateway=f"edge/g{it // 64}",
                address=f"20.0.{it // 250}.{it % 250}",
            ),
            certificate(it, f"n{it}.example.com"),
        )
        for it in range(COUNT)
    ]


def one_gateway() -> Layout:
    """One Gateway, a certificate for each listener."""
    return [
        (listener(it, f"n{it}.example.com"), certificate(it, f"n{it}.example.com"))
        for it in range(COUNT)
    ]


def wildcard() -> Layout:
    """One certificate for all."""
    shared = certificate(1, "*.example.com")
    return [(listener(it, f"n{it}.example.com"), shared) for it in range(COUNT)]


def fallen() -> Layout:
    """The same without alpnProtocols."""
    shared = certificate(1, "*.example.com")
    return [(listener(it, f"n{it}.example.com", h2=False), shared) for it in range(COUNT)]


def copies() -> Layout:
    """A wildcard certificate of its own for each, with one more name."""
    return [
        (
            listener(it, f"n{it}.example.com"),
            certificate(it, "*.example.com", f"n{it}.example.com"),
        )
        for it in range(COUNT)
    ]


def chained() -> Layout:
    """Each certificate is good for the next listener too."""
    return [
        (
            listener(it, f"n{it}.example.com"),
            certificate(it, f"n{it}.example.com", f"n{it + 1}.example.com"),
        )
        for it in range(COUNT)
    ]


def one_address() -> Layout:
    """64 clusters behind one public address, all with one certificate, half with the same names."""
    shared = certificate(1, "*.example.com")
    return [
        (listener(it, f"n{it if it % 2 else it // 64}.example.com", cluster=f"c-{it % 64}"), shared)
        for it in range(COUNT)
    ]


LAYOUTS: dict[str, Callable[[], Layout]] = {
    "64 clusters, healthy": healthy,
    "one Gateway, healthy": one_gateway,
    "one shared wildcard, 404": wildcard,
    "one shared wildcard, HTTP/1.1": fallen,
    "a wildcard each": copies,
    "each overlaps the next": chained,
    "64 clusters behind one address": one_address,
}


def measured(layout: Layout) -> tuple[float, float, int, int]:
    """Seconds, those of the processor, groups and findings."""
    served = {it: [held] for it, held in layout}
    took = []
    for _ in range(3):
        begun, worked = time.perf_counter(), time.process_time()
        found = overlaps([it for it, _ in layout], served)
        told = [*findings(found)]
        took.append((time.perf_counter() - begun, time.process_time() - worked))
    return *min(took), len(found), len(told)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="print every figure")
    shown = parser.parse_args().print
    slow = 0
    for name, made in LAYOUTS.items():
        seconds, worked, groups, told = measured(made())
        slow += seconds > BOUND
        if shown or seconds > BOUND:
            print(
                f"{name:32} {seconds:5.2f} s of {BOUND:.0f} (processor {worked:.2f} s)"
                f"   {groups:3} groups, {told:3} findings"
            )
    return 1 if slow else 0


if __name__ == "__main__":
    raise SystemExit(main())
