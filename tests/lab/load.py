"""
A steady load of new connections, in a process of its own: what its clients meet while something
else changes the cluster.

    python -m tests.lab.load 10.200.18.128 --rate 100      ends with SIGTERM, prints what it met
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
HOST = "blue.lab.test"
#: Which listener a connection goes through, in turn; the TCP one leads to an HTTP backend.
SCHEMES = (("http", 80), ("https", 443), ("tcp", 9000))
#: Seconds for one request, requests at a time, and seconds that a forgotten generator runs.
TIMEOUT, AT_A_TIME, LONGEST = 10.0, 1000, 1200.0
REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()


@dataclass
class Met:
    """
    + sent: requests, one new connection each; + lost: such as [[12.3, "https", "503"]], seconds
    since the beginning first; + unsure: requests that ran out of time while the generator itself
    was not run; + longest_gap: seconds without an answer; + late: seconds by which the generator
    was late at most
    """

    sent: int = 0
    lost: list[tuple[float, str, str]] = field(default_factory=list)
    unsure: int = 0
    longest_gap: float = 0.0
    late: float = 0.0
    seconds: float = 0.0

    @property
    def kinds(self) -> dict[str, int]:
        """Such as {"https 503": 2, "tcp ConnectionResetError": 1}."""
        return dict(Counter(f"{scheme} {kind}" for _, scheme, kind in self.lost))


@contextmanager
def load(address: str, rate: int = 100) -> Iterator[Met]:
    """New connections to the three listeners in turn; what it yields is filled in at the end."""
    met = Met()
    command = [sys.executable, "-m", "tests.lab.load", address, "--rate", str(rate)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        yield met
    finally:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
        found = json.loads(out)
        found["lost"] = [tuple(it) for it in found["lost"]]
        met.__dict__.update(found)


async def _request(address: str, scheme: str, port: int, context: ssl.SSLContext) -> None:
    """Raises OSError, EOFError or RuntimeError (another status than 200)."""
    tls = {"ssl": context, "server_hostname": HOST} if scheme == "https" else {}
    reader, writer = await asyncio.open_connection(address, port, **tls)  # type: ignore[arg-type]
    try:
        writer.write(REQUEST)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        # Not until the connection ends: a draining Envoy closes it seconds after a whole answer.
        await reader.readexactly(int(head.partition(b"\ncontent-length:")[2].split()[0]))
        status = head.split()[1].decode()
        if status != "200":
            raise RuntimeError(status)
    finally:
        writer.close()


async def _generate(address: str, rate: int) -> Met:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    met, stop, slots = Met(), asyncio.Event(), asyncio.Semaphore(AT_A_TIME)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    begun = answered = time.monotonic()
    stalled = 0.0
    running: set[asyncio.Task[None]] = set()

    async def listen() -> None:
        """How long this process was not run, by a bell that should ring every 50 ms."""
        nonlocal stalled
        while True:
            rang = time.monotonic()
            await asyncio.sleep(0.05)
            stalled += max(0.0, time.monotonic() - rang - 0.1)

    async def one(scheme: str, port: int) -> None:
        nonlocal answered
        at, before = time.monotonic() - begun, stalled
        try:
            async with asyncio.timeout(TIMEOUT):
                await _request(address, scheme, port, context)
        except (OSError, EOFError, RuntimeError) as error:
            await asyncio.sleep(0.1)
            if isinstance(error, TimeoutError) and stalled - before > 0.5:
                met.unsure += 1
                return
            kind = str(error) if isinstance(error, RuntimeError) else type(error).__name__
            met.lost.append((round(at, 2), scheme, kind))
        else:
            now = time.monotonic()
            met.longest_gap, answered = max(met.longest_gap, now - answered), now
        finally:
            slots.release()

    bell = asyncio.create_task(listen())
    while not stop.is_set() and (due := begun + met.sent / rate) < begun + LONGEST:
        await asyncio.sleep(due - time.monotonic())
        met.late = max(met.late, time.monotonic() - due)
        await slots.acquire()
        task = asyncio.create_task(one(*SCHEMES[met.sent % len(SCHEMES)]))
        running.add(task)
        task.add_done_callback(running.discard)
        met.sent += 1
    await asyncio.gather(*running)
    bell.cancel()
    met.seconds = time.monotonic() - begun
    return met


def main() -> None:
    parser = argparse.ArgumentParser(description="A steady load of new connections.")
    parser.add_argument("address")
    parser.add_argument("--rate", type=int, default=100, help="new connections a second")
    given = parser.parse_args()
    print(json.dumps(asdict(asyncio.run(_generate(given.address, given.rate)))))


if __name__ == "__main__":
    main()
