"""
What a run did, in the order it did it, written down before it is done: ``runs/<id>/journal.jsonl``.

Each line carries the hash of the line before, so a journal that was cut or altered is found.
"""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

START = "0" * 64


class Journal:
    """
    Append-only, one JSON object a line, on the disk before ``write`` returns. No secret values.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, mode=0o700)
        self.path = folder / "journal.jsonl"
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o600)
        self._before = START

    def write(self, event: str, at: str, **details: Any) -> None:
        """
        One line such as ``{"event": "step", "at": "2026-11-21T14:02:11Z", "cluster": "weu-1",
        "step": "CRDs", "before": "9f86..."}``.
        """
        entry = {"event": event, "at": at, **details, "before": self._before}
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        os.write(self._file, line)
        os.fsync(self._file)
        self._before = sha256(line).hexdigest()


def read(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    """
    The entries of a journal and what is wrong with it: None, or a line such as "line 7 does not
    follow from line 6: the journal was altered". Entries after the fault are left out.
    """
    entries: list[dict[str, Any]] = []
    before = START
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        try:
            entry = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            return entries, f"line {number} is cut off"
        if entry.get("before") != before:
            return (
                entries,
                f"line {number} does not follow from line {number - 1}: the journal was altered",
            )
        entries.append(entry)
        before = sha256(line).hexdigest()
    return entries, None
