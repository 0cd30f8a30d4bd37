"""
Rules and scrape jobs as plain files, for a Prometheus that no operator runs: a folder a cluster,
written only where they differ.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyinfra import host
from pyinfra.api.command import StringCommand
from pyinfra.connectors.util import CommandOutput
from typing_extensions import override

from tasks.fleet.guard import Steps
from tasks.fleet.render import SAFE
from tasks.fleet.report import put
from tasks.operations.kube import show

#: First line of a file of ours: no other is ever taken away.
OURS = "# Written by envoyfleet: change the inventory, never this.\n"


def folder(root: str, cluster: str) -> Path:
    return Path(root) / SAFE.sub("_", cluster)


def written_steps(place: Path, documents: Mapping[str, Any]) -> Steps:
    """
    Bring a folder to these documents, such as {"rules.yml": {"groups": [...]}}. A file of ours that
    is not wanted any more is deleted.
    """
    wanted = {place / name: _text(it) for name, it in documents.items()}
    there = {it: it.read_text(encoding="utf-8") for it in sorted(place.glob("*.yml"))}
    differing = {path: text for path, text in wanted.items() if there.get(path) != text}
    gone = [path for path, text in there.items() if path not in wanted and text.startswith(OURS)]
    for path, text in differing.items():
        before = there.get(path, "")
        lines = difflib.unified_diff(before.splitlines(), text.splitlines(), n=2, lineterm="")
        show(f"Will {'change' if before else 'create'} {path}", list(lines)[2:])
    for path in gone:
        show(f"Will delete {path}", [])
    if not differing and not gone:
        host.noop(f"{len(wanted)} files are as they should be")
        return
    yield Write(differing, gone)


def _text(document: Any) -> str:
    import yaml

    return OURS + yaml.safe_dump(document, sort_keys=False, width=100, allow_unicode=True)


class Write(StringCommand):
    """Writes files, each whole or not at all, and deletes others; prints as ``write 2 files``."""

    def __init__(self, texts: Mapping[Path, str], gone: Sequence[Path]) -> None:
        super().__init__("write", f"{len(texts)} files,", "delete", str(len(gone)))
        self.texts, self.gone = texts, gone

    @override
    def execute(
        self, state: Any, host: Any, connector_arguments: Any
    ) -> tuple[bool, CommandOutput]:
        host.connector.last_error = None  # of a command before this one
        for path, text in self.texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            put(path, text)
        for path in self.gone:
            path.unlink(missing_ok=True)
        return True, CommandOutput([])
