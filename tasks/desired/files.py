"""The objects that an inventory has in files of its own, key ``objects``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.checks.findings import Finding
from tasks.checks.wanted import files as checks
from tasks.fleet.inventory import Cluster
from tasks.fleet.render import TemplateRefused, render_file


def from_files(name: str, data: Cluster) -> Iterator[tuple[str, dict[str, Any]] | Finding]:
    """
    Each object of the files of one cluster with the file that it is from, such as
    ("objects/shop.yaml.j2", {...}), and a finding for whatever cannot be used.
    """
    for path in _paths(name, data):
        if isinstance(path, Finding):
            yield path
            continue
        try:
            documents = render_file(path, name, {"values": data.values})
        except TemplateRefused as error:
            said = str(error).removeprefix(f"{name}: ").removeprefix(path).removeprefix(": ")
            yield checks.unreadable(name, path, said.removesuffix(f": {checks.CORRECT}").strip())
            continue
        for number, document in enumerate(documents, 1):
            problem = checks.problem(name, path, number, document) or _of_json(name, path, document)
            yield problem if problem else (path, document)


def _paths(name: str, data: Cluster) -> Iterator[str | Finding]:
    """Every file once, in the order of the patterns and then of names."""
    seen: set[str] = set()
    for pattern in data.objects:
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            yield checks.unreadable(name, pattern, "leads out of the folder that the run begins in")
            continue
        found = sorted(str(it) for it in Path().glob(pattern) if it.is_file())
        if not found:
            yield checks.unreadable(name, pattern, f"no file is there, looked in {Path.cwd().name}")
        for path in found:
            if path not in seen:
                seen.add(path)
                yield path


def _of_json(name: str, path: str, document: Mapping[str, Any]) -> Finding | None:
    try:
        json.dumps(document)
    except (TypeError, ValueError) as error:
        return checks.unreadable(name, path, f"{checks.title(document)}: {error}")
    return None
