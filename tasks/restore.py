"""
A cluster from its backup: CRDs and controller from the lock, objects from the archive, and requests
that prove it. Into an empty cluster or a damaged one; what is there and equal is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.envoy_gateway import Desired
from tasks.plans.probes import Answer, Request


@dataclass(frozen=True)
class Source:
    """
    Whose archive a restore takes.

    + cluster: the one that it was made of, such as "weu-1"
    + archive: the file; None is the newest of that cluster
    """

    cluster: str
    archive: Path | None = None


@dataclass(frozen=True)
class Proof:
    """
    One request that was sent in the end. + answer: None where there was none; + as_archived:
    whether the certificate that was served is the one of the archive, None without TLS or where
    the archive does not have it
    """

    request: Request
    answer: Answer | None
    as_archived: bool | None = None


@dataclass
class Outcome:
    """
    What a restore did to one cluster.

    + archive, sha256: the file and its digest on the disk; + manifest: of the archive
    + created, changed, left, deleted: titles such as "HTTPRoute shop/cart"
    + kept: objects that differ and were left all the same, by title, and why
    + left_out: what the archive has and this cluster could not get, by title, and why
    + differences: such as "HTTPRoute shop/cart: spec.rules[0].timeouts is missing"
    + proofs: every request that was sent; + not_proven: by title or request, why
    + seconds: of each step, such as {"Archive": 0.2, "Objects": 3.1}
    """

    archive: Path
    sha256: str
    manifest: Mapping[str, Any]
    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    not_proven: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


#: By cluster: the last restore of this run.
_outcomes: dict[str, Outcome] = {}


def from_backup() -> None:
    """
    Deploy code: this cluster from its newest backup, or from ``archive`` or ``from_cluster`` of its
    data. Nothing is rolled back: the same command goes on where it ended.
    """
    raise NotImplementedError


def steps(wanted: Desired, source: Source) -> None:
    """Deploy code: the operations of one restore of one archive into this cluster."""
    steps_until_objects(wanted, source)
    steps_of_proof(wanted, source)


def steps_until_objects(wanted: Desired, source: Source) -> None:
    """Deploy code: Archive, CRDs, Keys, Controller, Objects."""
    raise NotImplementedError


def steps_of_proof(wanted: Desired, source: Source) -> None:
    """Deploy code: Traffic and Comparison, once backends are there."""
    raise NotImplementedError


def outcome(name: str) -> Outcome:
    """The last restore of this run on a cluster. Raises LookupError where its archive was not read."""
    if name not in _outcomes:
        raise LookupError(f"{name}: no archive was read")
    return _outcomes[name]
