"""The commands that README.md and docs/ show: lines of ``console`` blocks that begin with "$ "."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Command:
    """
    + page: such as "docs/install.md"; + line: of the page
    + text: as it is typed, several lines where they end in a backslash or begin a here-document
    """

    page: str
    line: int
    text: str

    @property
    def words(self) -> list[str]:
        """Its own words: without sudo, variables before it, pipes and redirections after it."""
        line = self.text.partition("<<")[0].replace("\\\n", " ")
        found = shlex.split(line, comments=True)
        while found and (found[0] == "sudo" or re.fullmatch(r"[A-Z_]+=.*", found[0])):
            found.pop(0)
        ends = [n for n, it in enumerate(found) if it == "|" or re.match(r"[0-9]*>", it)]
        found = found[: min(ends, default=len(found))]
        return [found[0].removeprefix(".venv/bin/"), *found[1:]]

    @override
    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def commands() -> list[Command]:
    return [it for page in PAGES for it in _of(page)]


def _of(page: Path) -> Iterator[Command]:
    text = page.read_text()
    for block in _BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1)) + 1
        lines = block[1].splitlines()
        for number, line in enumerate(lines):
            if line.startswith("$ "):
                whole = "\n".join(_whole(lines[number:]))
                yield Command(str(page.relative_to(ROOT)), first + number, whole)


def _whole(lines: list[str]) -> Iterator[str]:
    line = lines[0].removeprefix("$ ")
    yield line
    here = re.search(r"<<'?(\w+)'?", line)
    for after in lines[1:]:
        if not here and not line.endswith("\\"):
            return
        yield after
        line = after
        if here and after == here[1]:
            return
