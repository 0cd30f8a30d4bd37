"""
A steady load of new TLS handshakes with one listener, in a process of its own: none may fail while
its certificate changes.

    python -m tests.lab.handshakes 10.200.18.128 a.lab.test --rate 50    ends with SIGTERM
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import signal
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
#: Seconds for one handshake, and seconds that a forgotten generator runs.
TIMEOUT, LONGEST = 10.0, 600.0


@dataclass
class Shaken:
    """
    + sent: handshakes that were begun; + failed: by kind; + served: how often each certificate, by
    its SHA-256; + unsure: those that ran out of time while the generator itself was not run
    """

    sent: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    served: dict[str, int] = field(default_factory=dict)
    unsure: int = 0


@contextmanager
def handshakes(address: str, name: str, rate: int = 50) -> Iterator[Shaken]:
    """What it yields is filled in at the end."""
    shaken = Shaken()
    command = [sys.executable, "-m", "tests.lab.handshakes", address, name, "--rate", str(rate)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        yield shaken
    finally:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
        shaken.__dict__.update(json.loads(out))


async def _generate(address: str, name: str, rate: int) -> dict[str, object]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    failed, served, stop = Counter[str](), Counter[str](), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    begun, sent, unsure, stalled = time.monotonic(), 0, 0, 0.0
    running: set[asyncio.Task[None]] = set()

    async def listen() -> None:
        """How long this process was not run."""
        nonlocal stalled
        while True:
            rang = time.monotonic()
            await asyncio.sleep(0.05)
            stalled += max(0.0, time.monotonic() - rang - 0.1)

    async def one() -> None:
        nonlocal unsure
        before = stalled
        try:
            async with asyncio.timeout(TIMEOUT):
                _, writer = await asyncio.open_connection(
                    address, 443, ssl=context, server_hostname=name
                )
        except OSError as error:
            if isinstance(error, TimeoutError) and stalled - before > 0.5:
                unsure += 1
            else:
                failed[type(error).__name__] += 1
            return
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        served[hashlib.sha256(der).hexdigest()] += 1
        writer.close()

    bell = asyncio.create_task(listen())
    while not stop.is_set() and (due := begun + sent / rate) < begun + LONGEST:
        await asyncio.sleep(due - time.monotonic())
        task = asyncio.create_task(one())
        running.add(task)
        task.add_done_callback(running.discard)
        sent += 1
    await asyncio.gather(*running)
    bell.cancel()
    return {"sent": sent, "failed": failed, "served": served, "unsure": unsure}


def main() -> None:
    parser = argparse.ArgumentParser(description="A steady load of new TLS handshakes.")
    parser.add_argument("address")
    parser.add_argument("name")
    parser.add_argument("--rate", type=int, default=50)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(_generate(options.address, options.name, options.rate))))


if __name__ == "__main__":
    main()
