"""See tests/bad_inputs/__init__.py. Each kind of input has a process: one that dies is told."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()  # as pyinfra's command line does

import argparse  # noqa: E402
import json  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from dataclasses import asdict, dataclass  # noqa: E402
from pathlib import Path  # noqa: E402

from tests.bad_inputs.surfaces import SURFACES  # noqa: E402
from tests.bad_inputs.tried import tried  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "bad-inputs.md"
WHOLE = 10_000
HEAD = """\
# Bad inputs

`make hardening` writes this page. Nothing here is typed in: each input is a good one that was
altered by a generator (tests/bad_inputs/), the same for the same number, and entered by the
functions that the deploys call. **Refused** is: in lines that an operator reads, each printable, of
bounded length, without the name of an error of Python's and without a secret of the input.
**Harmless** is: what was altered means nothing, or something else that is right. A **fault** would
be a traceback, a line that is none, a file that was written, or a process that died.

Through the whole command line, with exit code 2 and before the first request to a cluster, a sample
of them goes in tests/test_bad_inputs.py.

| input | what is altered | entered by | tried | refused | harmless | faults |
| --- | --- | --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Count:
    """+ faults: the first of them, with their numbers"""

    surface: str
    tried: int
    refused: int
    faulty: int
    faults: tuple[str, ...] = ()


def counted(surface: str, first: int, count: int) -> Count:
    every = [tried(surface, number) for number in range(first, first + count)]
    faulty = [it for it in every if it.faults]
    told = [f"{it.number}: {it.faults[0]}" for it in faulty[:5]]
    refused = sum(bool(it.lines) and not it.faults for it in every)
    return Count(surface, count, refused, len(faulty), tuple(told))


def apart(surface: str, first: int, count: int) -> Count:
    """``counted`` in a process of its own."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        words = ["--only", surface, "--from", str(first), "--count", str(count), "--to", file.name]
        done = subprocess.run(
            [sys.executable, "-m", "tests.bad_inputs", *words], capture_output=True, check=False
        )
        content = Path(file.name).read_text()
    if done.returncode not in (0, 1) or not content:
        last = done.stderr.decode("utf-8", "replace")[-300:]
        return Count(surface, count, 0, count, (f"ended with {done.returncode}: {last}",))
    found = json.loads(content)
    return Count(**{**found, "faults": tuple(found["faults"])})


def page(counts: list[Count]) -> str:
    return HEAD + "\n".join([*_rows(counts), ""])


def _rows(counts: list[Count]) -> Iterator[str]:
    total = [0, 0, 0, 0]
    for it in counts:
        about = SURFACES[it.surface]
        numbers = (it.tried, it.refused, it.tried - it.refused - it.faulty, it.faulty)
        total = [a + b for a, b in zip(total, numbers, strict=True)]
        entered = ", ".join(f"`{name}`" for name in about.entered.split(", "))
        yield f"| {it.surface} | {about.what} | {entered} | {_cells(numbers)} |"
    yield f"| **all** | | | {_cells(total)} |"


def _cells(numbers: list[int] | tuple[int, ...]) -> str:
    return " | ".join(f"{it:,}" for it in numbers)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bad_inputs")
    parser.add_argument("--only", choices=[*SURFACES])
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--count", type=int, help=f"in all, or of --only; {WHOLE:,} without")
    parser.add_argument("--to", type=Path, help="a file for the counts of --only, as JSON")
    given = parser.parse_args()
    if given.only:
        counts = [counted(given.only, given.first, given.count or WHOLE)]
    else:
        each = -(-(given.count or WHOLE) // len(SURFACES))
        counts = [apart(it, given.first, each) for it in SURFACES]
    for it in counts:
        print(f"{it.surface}: {it.tried:,} tried, {it.refused:,} refused, {it.faulty:,} faults")
        for fault in it.faults:
            print(f"  {fault}")
    if given.to:
        given.to.write_text(json.dumps(asdict(counts[0])))
    elif not given.only and not given.count:
        PAGE.write_text(page(counts))
        print(f"wrote {PAGE.relative_to(Path.cwd())}")
    return 1 if any(it.faulty for it in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
