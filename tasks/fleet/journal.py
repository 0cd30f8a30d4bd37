"""
What a run did, in the order it did it, written down before it is done: ``runs/<id>/journal.jsonl``.

Each line carries the hash of the line before, so a journal that was cut or altered is found.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

NAME, START = "journal.jsonl", "0" * 64
#: How the fault of a line ends that was being written when the machine stopped.
CUT = "is cut off"
#: What a later run reads of entries, by their events.
NEEDED: dict[str, dict[str, type]] = {
    "run": {"id": str, "clusters": dict, "process": dict},
    "run goes on": {"process": dict},
    "rings": {"rings": dict},
    "change": {"cluster": str},
    "step": {"step": str},
    "step ended": {"step": str, "status": str},
}


class Journal:
    """
    Append-only, one JSON object a line, on the disk before ``write`` returns. No secret values.
    Raises OSError where a line cannot be written; then nothing of it is there.
    """

    def __init__(self, folder: Path) -> None:
        """A new one. Raises FileExistsError where the folder exists."""
        folder.mkdir(parents=True, mode=0o700)
        self._open(folder, os.O_CREAT | os.O_EXCL)

    @classmethod
    def going_on(cls, folder: Path) -> Self:
        """The journal of a run that was broken off; a last line that was cut off goes."""
        it = cls.__new__(cls)
        it._open(folder, 0)
        whole = it.path.read_bytes()
        lines = whole[: whole.rfind(b"\n") + 1].splitlines(keepends=True)
        if len(b"".join(lines)) < len(whole):
            os.truncate(it.path, len(b"".join(lines)))
        it._before = sha256(lines[-1]).hexdigest() if lines else START
        return it

    def _open(self, folder: Path, flags: int) -> None:
        self.path = folder / NAME
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | flags, 0o600)
        self._before = START

    @property
    def head(self) -> str:
        """The hash of the newest line: what a later reader must find in this journal."""
        return self._before

    def write(self, event: str, at: str, **details: Any) -> None:
        """
        One line such as ``{"event": "step", "at": "2026-11-21T14:02:11Z", "cluster": "weu-1",
        "step": "CRDs", "before": "9f86..."}``.
        """
        entry = {"event": event, "at": at, **details, "before": self._before}
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        self._append(line)
        self._before = sha256(line).hexdigest()

    def _append(self, line: bytes) -> None:
        """The whole line or nothing of it: half a line would look like an altered journal."""
        end, left = os.lseek(self._file, 0, os.SEEK_END), line
        try:
            while left:  # a disk that gets full takes a part, and says so of the next
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, end)
            raise


def read(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    """
    The entries of a journal and what is wrong with it: None, or a line such as "line 7 does not
    follow from line 6: the journal was altered". Entries after the fault are left out.
    """
    entries: list[dict[str, Any]] = []
    before = START
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line) if line.endswith(b"\n") else None
        except (ValueError, RecursionError):
            entry = None
        cut = not line.endswith(b"\n")
        if not isinstance(entry, dict) or not _is_whole(entry):
            return entries, f"line {number} {CUT if cut else 'is no entry'}"
        if entry.get("before") != before:
            return (
                entries,
                f"line {number} does not follow from line {number - 1}: the journal was altered",
            )
        entries.append(entry)
        before = sha256(line).hexdigest()
    return entries, None


def _is_whole(entry: Mapping[str, Any]) -> bool:
    """Whether all is there, and of its type, that somebody reads later."""
    needed = {"event": str, "at": str, **NEEDED.get(str(entry.get("event")), {})}
    return all(isinstance(entry.get(key), it) for key, it in needed.items())


def heads(entries: Sequence[Mapping[str, Any]], path: Path) -> set[str]:
    """Every ``head`` that the journal at ``path`` with these entries ever had."""
    last = path.read_bytes().splitlines(keepends=True)[len(entries) - 1 :][:1]
    return {it["before"] for it in entries} | {sha256(line).hexdigest() for line in last}
