"""A cluster as a folder of YAML files that people read and Git compares."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pyinfra.api.exceptions import DeployError


def written(place: Path, files: Mapping[str, bytes], secrets: list[str]) -> None:
    """
    Replace ``place`` as a whole by these files.

    + files: by path below it, JSON that is written as YAML
    + secrets: their titles, such as "Secret edge/tls": a file of comments each, which nobody
      applies by mistake

    Raises DeployError, in one line; then the tree is as it was.
    """
    new, old = (place.with_name(f".{place.name}.{it}") for it in ("new", "old"))
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _emptied(new, old)
        for path, content in files.items():
            _write(new / path, _yaml(content))
        for title in secrets:
            kind, _, name = title.partition(" ")
            _write(
                new / kind / f"{name}.yaml", f"# {title}: in no tree, only in a sealed archive\n"
            )
        if place.exists():
            place.rename(old)
        new.rename(place)
        _emptied(old)
    except OSError as error:
        with suppress(OSError):
            _emptied(new)
        raise DeployError(
            f"{place} cannot be written ({error.strerror}): make room, or correct backup.folder"
        ) from error


def _emptied(*folders: Path) -> None:
    for it in folders:
        if it.exists():
            shutil.rmtree(it)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)


def _yaml(content: bytes) -> str:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(json.loads(content), Dumper=dumper, sort_keys=True, allow_unicode=True))
