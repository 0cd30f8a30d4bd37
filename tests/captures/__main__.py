"""Capture faults: ``python -m tests.captures [--only NAME ...] [--out FOLDER]``."""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.captures import FOLDER, Json
from tests.captures.casts import RELEASES
from tests.captures.play import Wrong, play
from tests.captures.table import Take, takes

#: The first of the loopback networks that captures use.
FIRST = 82
#: How often one that did not show its fault is tried: machines are busy now and then.
TRIES = 2


def main() -> int:
    parser = argparse.ArgumentParser(description="Capture faults of real Envoys.")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="captures, or how they begin")
    parser.add_argument("--exact", nargs="+", metavar="NAME", help="just these")
    parser.add_argument("--cause", nargs="+", metavar="CAUSE", help="those of these causes")
    parser.add_argument("--envoy", choices=sorted(RELEASES.values()), help="this Envoy for all")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="FOLDER")
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--list", action="store_true", help="say what there is")
    given = parser.parse_args()
    wanted = takes()
    if given.only:
        wanted = [it for it in wanted if it.name.startswith(tuple(given.only))]
    if given.exact:
        wanted = [it for it in wanted if it.name in given.exact]
    if given.cause:
        wanted = [it for it in wanted if it.fault.truth.cause in given.cause]
    if given.out == FOLDER:
        wanted = [it for it in wanted if it.kept]
    if not wanted:
        parser.error("no capture is called so; --list says what there is")
    if given.list:
        print("\n".join(f"{it.fault.truth.cause}: {it.name}" for it in wanted))
        return 0
    given.out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    wrong = asyncio.run(capture(wanted, given.out, given.envoy, given.at_once))
    took = time.monotonic() - begun
    print(f"{len(wanted) - len(wrong)} of {len(wanted)} captured, {took:.0f} s")
    return 1 if wrong else 0


async def capture(
    wanted: Sequence[Take], out: Path, envoy: str | None, at_once: int
) -> dict[str, str]:
    """Capture them, a few at once; why each of the others was not."""
    turns = asyncio.Semaphore(at_once)
    wrong: dict[str, str] = {}

    async def one(number: int, take: Take) -> None:
        async with turns:
            try:
                made = await _tried(number, take, envoy)
            except Wrong as error:
                wrong[take.name] = str(error)
            except Exception:  # the others are captured all the same
                wrong[take.name] = traceback.format_exc()
            else:
                write(made, out / f"{take.name}.json.gz")
                return
        print(f"{take.name}: {wrong[take.name]}", file=sys.stderr, flush=True)

    await asyncio.gather(*(one(number, it) for number, it in enumerate(wanted)))
    return wrong


async def _tried(number: int, take: Take, envoy: str | None) -> Json:
    network = f"127.{FIRST + number // 250}.{number % 250}"
    for left in reversed(range(TRIES)):
        world = take.world()
        if envoy is not None:
            world.release = next(key for key, it in RELEASES.items() if it == envoy)
        with tempfile.TemporaryDirectory(prefix="capture-") as folder:
            try:
                return await play(take.name, world, Path(folder), network)
            except Wrong:
                if not left:
                    raise
    raise AssertionError("tried at least once")


def write(capture: Json, path: Path) -> None:
    """The same bytes for the same capture."""
    raw = json.dumps(capture, separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(raw, 9, mtime=0))


if __name__ == "__main__":
    sys.exit(main())
