"""
Kubeconfig files as kubectl reads them: a list of files in ``KUBECONFIG``, the first file that
names a context, cluster or user wins, and relative paths count from the file that holds them
(kubernetes.io, Organizing Cluster Access Using kubeconfig Files, "Merging kubeconfig files").

Parsed once a run with the C parser: sixty contexts read one by one with the official loader cost
5 s, this costs 0.1 s.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pyinfra.api.exceptions import InventoryError

from tasks.connectors import documents

FILE_KEYS = {
    "cluster": ("certificate-authority",),
    "user": ("client-certificate", "client-key", "tokenFile"),
}


def one_context(name: str, explicit: str | None = None) -> dict[str, Any]:
    """
    A kubeconfig that holds the one context ``name``, such as ``{"current-context": "weu-1",
    "contexts": [...], "clusters": [...], "users": [...]}``. ``explicit`` is a file, or a list of
    files as in ``KUBECONFIG``; None means that variable, then ``~/.kube/config``.

    Raises InventoryError, in one line, where the context or what it refers to does not exist.
    """
    files = paths(explicit)
    merged = _merged(files)
    where = ", ".join(map(str, files))
    context = merged["contexts"].get(name)
    if context is None:
        near = get_close_matches(name, merged["contexts"], n=1)
        hint = f"did you mean {near[0]}?" if near else _there(merged["contexts"])
        raise InventoryError(f"{name}: no context of this name in {where}: {hint}")
    cluster = _named(merged["clusters"], context.get("cluster"))
    if not cluster or not cluster.get("server"):
        raise InventoryError(
            f"{name}: its context names cluster {context.get('cluster')!r:.80}, which {where} does "
            "not describe: fetch the credentials again"
        )
    user = _named(merged["users"], context.get("user"))
    if user is None:
        raise InventoryError(
            f"{name}: its context names user {context.get('user')!r:.80}, which {where} does not "
            "describe: fetch the credentials again"
        )
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {**context, "cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
    }


def _there(contexts: Mapping[str, Any]) -> str:
    """Where none is near: the only ones there are, or how to list them."""
    few = sorted(map(str, contexts)) if 0 < len(contexts) < 4 else []
    return f"it has {', '.join(few)}" if few else "kubectl config get-contexts lists them"


def _named(section: dict[str, Any], name: Any) -> dict[str, Any] | None:
    return section.get(name) if isinstance(name, str) else None


def received(text: str, name: str) -> dict[str, Any]:
    """
    What Azure sends for one cluster, as ``one_context`` gives it, with ``name`` for its context.
    Raises ValueError where it is none.
    """
    import yaml

    try:
        document = documents.one(text)
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    except (yaml.YAMLError, IndexError, KeyError, TypeError):
        raise ValueError("no kubeconfig") from None
    if not isinstance(cluster, Mapping) or not cluster.get("server") or not isinstance(user, dict):
        raise ValueError("no kubeconfig with a server and a user")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": dict(cluster)}],
        "users": [{"name": name, "user": user}],
    }


def argument(user: Mapping[str, Any], option: str) -> str | None:
    """What an exec plugin is told with an option, such as "--server-id"; None where it is not."""
    words = [str(it) for it in (user.get("exec") or {}).get("args") or ()]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == option:
            return following or None
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def paths(explicit: str | None = None) -> tuple[Path, ...]:
    """
    The kubeconfig files to read, in order; those of ``KUBECONFIG`` that do not exist are skipped.
    """
    text = explicit or os.environ.get("KUBECONFIG") or ""
    listed = [Path(part).expanduser() for part in text.split(os.pathsep) if part]
    if not listed:
        return (Path.home() / ".kube" / "config",)
    if len(listed) == 1:
        return (listed[0],)
    return tuple(path for path in listed if path.exists()) or tuple(listed)


def _merged(files: tuple[Path, ...]) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {"contexts": {}, "clusters": {}, "users": {}}
    for path in files:
        try:
            stamp = path.stat().st_mtime_ns
        except OSError as error:
            raise InventoryError(_unreadable(path, error)) from error
        for section, entries in _parsed(path, stamp).items():
            for name, entry in entries.items():
                merged[section].setdefault(name, entry)
    return merged


@functools.cache
def _parsed(path: Path, stamp: int) -> dict[str, dict[str, Any]]:
    """
    ``{"contexts": {"weu-1": {...}}, ...}`` of one file; ``stamp`` makes a changed file a new one.
    """
    import yaml

    try:
        document = documents.one(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise InventoryError(_unreadable(path, error)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise InventoryError(
            f"kubeconfig {path} is not YAML{line}: mend it, or fetch the credentials again"
        ) from error
    if not isinstance(document, Mapping):
        raise InventoryError(f"kubeconfig {path} holds no mapping: fetch the credentials again")
    found: dict[str, dict[str, Any]] = {}
    for section, kind in (("contexts", "context"), ("clusters", "cluster"), ("users", "user")):
        entries = document.get(section) or []
        if not isinstance(entries, list):
            raise InventoryError(f"kubeconfig {path}: {section} is not a list: mend the file")
        found[section] = {
            entry["name"]: _resolved(entry.get(kind) or {}, kind, entry["name"], path)
            for entry in entries
            if isinstance(entry, Mapping) and isinstance(entry.get("name"), str)
        }
    return found


def _resolved(entry: Any, kind: str, name: str, path: Path) -> dict[str, Any]:
    where = f"kubeconfig {path}: {kind} {name}"
    if not isinstance(entry, Mapping):
        raise InventoryError(f"{where} is not a mapping: mend the file")
    out = dict(entry)
    for key in FILE_KEYS.get(kind, ()):
        if not isinstance(out.get(key) or "", str):
            raise InventoryError(f"{where}: {key} is not a path: mend the file")
        if out.get(key):
            out[key] = str(path.parent / Path(out[key]).expanduser())
    plugin = out.get("exec") or {}
    if not isinstance(plugin, Mapping):
        raise InventoryError(f"{where}: exec is not a mapping: mend the file")
    if os.sep in str(plugin.get("command", "")):
        out["exec"] = {**plugin, "command": str(path.parent / plugin["command"])}
    return out


def _unreadable(path: Path, error: OSError) -> str:
    return (
        f"kubeconfig {path} cannot be read ({error.strerror}): set KUBECONFIG, or kube_config "
        "in the inventory, to a file that can"
    )
