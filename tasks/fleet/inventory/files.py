"""The clusters of an inventory's file, for whoever reads it and connects to none of them."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: How an entry begins that Azure lists the clusters of.
AKS = "@aks/"


class Unusable(Exception):
    """What was asked for cannot be made; one line for whoever asked."""


def clusters(path: Path) -> dict[str, Mapping[str, Any]]:
    """
    By name, the data of all clusters of an inventory: its own, that of its groups in group_data/
    beside the inventory, and that of all. The clusters of an entry such as "@aks/platform" are one;
    tags may say their ring.
    """
    if not path.is_file():
        raise Unusable(f"{path} does not exist: name the file of an inventory")
    found: dict[str, Mapping[str, Any]] = {}
    for group, members in _public(path).items():
        if not isinstance(members, list):
            continue
        shared = {**_public(_beside(path, "all")), **_public(_beside(path, group))}
        for it in members:
            name, data = _entry(path, it)
            of_azure = name.startswith(AKS)
            key = name if of_azure else name.partition("/")[2]
            tagged = {"ring": 0} if of_azure else {}
            found[key] = {**tagged, **shared, **found.get(key, {}), **data}
    if not found:
        raise Unusable(f"{path} has no list of clusters: name the file of an inventory")
    return found


def _entry(path: Path, entry: Any) -> tuple[str, Mapping[str, Any]]:
    match entry:
        case str():
            return entry, {}
        case (str() as name, dict() as data):
            return name, data
    raise Unusable(f'{path}: {entry!r:.80} is no entry such as ("@kube/weu-1", {{"ring": 0}})')


def _beside(path: Path, group: str) -> Path:
    return path.parent / "group_data" / f"{group}.py"


def _public(path: Path) -> dict[str, Any]:
    """What a file defines, none where it does not exist."""
    if not path.is_file():
        return {}
    try:
        every = runpy.run_path(str(path))
    except Exception as error:  # whatever is wrong with somebody's file is one line
        line = " ".join(str(error).split())
        raise Unusable(f"{path}: {type(error).__name__}: {line}") from error
    return {key: it for key, it in every.items() if key.islower() and not key.startswith("_")}
