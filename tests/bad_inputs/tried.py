"""One generated bad input, and what came of it."""

from __future__ import annotations

import os
import re
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.bad_inputs.surfaces import SURFACES

#: A line may quote what was given, but not all of it.
LONGEST = 800
#: How Python's own errors begin: a line that begins so names a defect of ours, and no way out.
DEFECT = re.compile(r"\b(Key|Type|Attribute|Index|Value|Assertion|Recursion|Unicode\w*)Error\b")


@dataclass(frozen=True)
class Tried:
    """
    + lines: that refuse it, none where it was harmless; + faults: what must not be, none where all
    is well
    """

    surface: str
    number: int
    lines: tuple[str, ...]
    faults: tuple[str, ...]


def tried(surface: str, number: int) -> Tried:
    """The same for the same number."""
    it = SURFACES[surface]
    with _folder() as folder:
        try:
            before = Before(folder)
            lines = it.attempt(before.random(surface, number))
        except Exception:
            last = traceback.format_exc()
            return Tried(surface, number, (), (last,))
        faults = [*_of_lines(lines, it.own), *before.written(it.may_write)]
    return Tried(surface, number, tuple(lines), tuple(faults))


class Before:
    """What was in the folder when the input was entered: it is there again, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def random(self, surface: str, number: int) -> Random:
        return Random(f"{surface} {number}")

    def written(self, allowed: tuple[str, ...]) -> Iterator[str]:
        for file in sorted(self._folder.rglob("*")):
            name = file.relative_to(self._folder).as_posix()
            if file.is_file() and file.suffix == ".part" and not name.startswith(allowed):
                yield f"{name} was written"


def _of_lines(lines: list[str], own: bool) -> Iterator[str]:
    for line in lines:
        if not line.strip():
            yield "an empty line"
        if len(line) > LONGEST:
            yield f"{len(line)} signs: {line[:200]}"
        if not line.isprintable():
            yield f"not printable: {line[:300]!r}"
        if DEFECT.search(line) and not own:
            yield f"an error of Python's: {line[:300]}"
        if "t0p-s3cret" in line:
            yield "a secret"


@contextmanager
def _folder() -> Iterator[Path]:
    back = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="bad-input-") as name:
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(back)
