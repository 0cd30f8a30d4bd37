"""
A cluster that is well, recorded from a real one: Envoy Gateway 1.9.1 with one Gateway, three routes
and one proxy, as ``tasks.operations.evidence`` read it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.diagnosis.evidence import Evidence, Gap
from tasks.operations import admin

RECORD = Path(__file__).parents[1] / "data" / "diagnosis" / "cluster.json.gz"
Object = dict[str, Any]


def recorded() -> dict[str, Any]:
    """{"objects": [...], "served": {...}, "logs": {...}, "now": ..., "proxies": {...}}."""
    found: dict[str, Any] = json.loads(gzip.decompress(RECORD.read_bytes()))
    return found


class Cluster:
    """The objects of the record, to be made wrong, and what is read of them then."""

    def __init__(self) -> None:
        self.record = recorded()
        self.objects: list[Object] = self.record["objects"]
        self.gaps: list[Gap] = []

    def get(self, kind: str, name: str) -> Object:
        """The first whose name begins so."""
        return next(
            it
            for it in self.objects
            if it["kind"] == kind and it["metadata"]["name"].startswith(name)
        )

    def drop(self, kind: str, name: str = "") -> None:
        self.objects[:] = [
            it
            for it in self.objects
            if it["kind"] != kind or not it["metadata"]["name"].startswith(name)
        ]

    def add(self, api: str, kind: str, name: str, namespace: str, **more: Any) -> Object:
        """Made an hour before it is looked at."""
        meta = {"name": name, "namespace": namespace, "generation": 1}
        made = {"creationTimestamp": "2026-11-22T10:40:00Z"}
        thing = {"apiVersion": api, "kind": kind, "metadata": {**meta, **made}, **more}
        self.objects.append(thing)
        return thing

    def evidence(self, **more: Any) -> Evidence:
        files = self.record["proxies"]
        proxies = tuple(
            admin.described(name, {file: text.encode() for file, text in it.items()})
            for name, it in files.items()
        )
        known = Evidence(
            proxies=proxies,
            objects=tuple(self.objects),
            now=self.record["now"],
            cluster="weu-1",
            live=True,
            served=self.record["served"],
            logs=self.record["logs"],
            gaps=tuple(self.gaps),
        )
        return replace(known, **more)


Wrong = Callable[[Cluster], None]


def condition(it: Object, kind: str, status: str, reason: str, message: str) -> None:
    """Said of the newest generation, long ago."""
    said = {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": it["metadata"].get("generation", 1),
        "lastTransitionTime": "2026-11-22T10:40:00Z",
    }
    conditions = it.setdefault("status", {}).setdefault("conditions", [])
    conditions[:] = [*(one for one in conditions if one["type"] != kind), said]
