"""
Faults of real Envoys with the truth beside them, in the very shape of the shared scenarios: made
by ``python -m tests.captures``, kept in tests/data/captures. See docs/diagnosis-captures.md.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]
#: Of the repository.
FOLDER = Path(__file__).parents[1] / "data" / "captures"
#: Files of a bundle that are JSON, and where a capture keeps what is in them.
JSON_FILES = {
    "client.json": ("client",),
    "config_dump.json": ("admin", "config_dump"),
    "clusters.json": ("admin", "clusters"),
    "listeners.json": ("admin", "listeners"),
    "certs.json": ("admin", "certs"),
    "server_info.json": ("admin", "server_info"),
    "k8s.json": ("kubernetes",),
}
TEXT_FILES = {
    "clusters.txt": ("admin", "clusters_text"),
    "stats.txt": ("admin", "stats"),
    "stats_prometheus.txt": ("admin", "stats_prometheus"),
}
LOGS = {
    "access.eg.jsonl": "eg_default_json",
    "access.guide.jsonl": "guide_json",
    "access.default.log": "envoy_default_text",
}


def committed() -> list[Path]:
    """Every capture that the repository keeps."""
    return sorted(FOLDER.glob("*.json.gz"))


def read(path: Path) -> Json:
    """A capture, compressed or not."""
    raw = path.read_bytes()
    found: Json = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    return found


def bundle(capture: Mapping[str, Any], folder: Path) -> Path:
    """Write a capture as the folder that a diagnosis reads; ``expected`` stays out of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, keys in JSON_FILES.items():
        if (found := _under(capture, keys)) is not None:
            (folder / name).write_text(json.dumps(found))
    for name, keys in TEXT_FILES.items():
        if (found := _under(capture, keys)) is not None:
            (folder / name).write_text(found)
    for name, key in LOGS.items():
        if (lines := _under(capture, ("access_log", key))) is not None:
            said = [it if isinstance(it, str) else json.dumps(it) for it in lines]
            (folder / name).write_text("".join(f"{it}\n" for it in said))
    if (lines := capture.get("envoy_log")) is not None:
        (folder / "envoy.log").write_text("".join(f"{it}\n" for it in lines))
    return folder


def _under(capture: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    found: Any = capture
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
