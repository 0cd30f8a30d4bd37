"""
What an audit finds, the same for every audit: findings, their order, silences until a date, exit
code and JSON.

Codes are never reused. GW0xx are about findings themselves, GW1xx about CRDs, GW2xx about versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Literal

Severity = Literal["error", "warning", "info"]

SCHEMA = "envoyfleet.findings/1"
#: Exit code of a run whose audit found something (docs/how-a-run-works.md).
FOUND = 3
_RANK: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}
_CODE = re.compile(r"GW\d{3}")


@dataclass(frozen=True)
class Where:
    """
    The place of a finding, as its reader knows it.

    + cluster: such as "weu-1", or ``None`` for the inventory itself
    + object: such as "Gateway edge/public", or ``None`` for the whole cluster
    + part: such as "listener https", or ``None`` for the whole object
    """

    cluster: str | None
    object: str | None = None
    part: str | None = None

    @property
    def text(self) -> str:
        """Such as "weu-1: Gateway edge/public, listener https"."""
        rest = ", ".join(it for it in (self.object, self.part) if it is not None)
        place = self.cluster if self.cluster is not None else "inventory"
        return f"{place}: {rest}" if rest else place


@dataclass(frozen=True)
class Finding:
    """
    One thing that is wrong: *error* breaks traffic now, *warning* may later, *info* never fails a
    run.

    + code: such as "GW101", with an entry in docs/findings.md
    + what: what is wrong, such as "Secret edge/shop-tls does not exist"
    + fix: what to do, such as "create it, or correct certificateRefs"
    """

    code: str
    severity: Severity
    where: Where
    what: str
    fix: str

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code):
            raise ValueError(f'finding code "{self.code}" is not of the form GW101')

    @property
    def docs(self) -> str:
        """Its entry in the documentation, such as "docs/findings.md#gw101"."""
        return f"docs/findings.md#{self.code.lower()}"

    @property
    def text(self) -> str:
        """
        Such as "error GW101 weu-1: Gateway edge/public: Secret edge/tls is missing: create it".
        """
        return f"{self.severity} {self.code} {self.where.text}: {self.what}: {self.fix}"


@dataclass(frozen=True)
class Silence:
    """
    Somebody's decision that a finding does not count for now.

    + code: such as "GW103", or a pattern such as "GW1*"
    + where: pattern of a place, such as "weu-*: Gateway edge/*" or "*", as `fnmatch` reads it
    + until: the last day on which it holds; there is no silence for ever
    + reason: who decided it and why, shown with the finding
    """

    code: str
    where: str
    until: date
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Whether code and place fit; whether the silence still holds is another question."""
        return fnmatchcase(finding.code, self.code) and fnmatchcase(finding.where.text, self.where)


@dataclass(frozen=True)
class Judged:
    """
    + open: findings that count, in order
    + silent: findings that a silence holds back, in order, each with the first silence that does
    """

    open: tuple[Finding, ...]
    silent: tuple[tuple[Finding, Silence], ...] = ()


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """
    Errors first, then by code, cluster (lab-2 before lab-10) and place: the same input always looks
    the same.
    """
    return sorted(
        findings,
        key=lambda it: (_RANK[it.severity], it.code, _natural(it.where), it.text),
    )


def _natural(where: Where) -> tuple[tuple[tuple[str, int], ...], ...]:
    """Digits as numbers; ``None`` comes before any text."""
    return tuple(
        tuple((text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", part or ""))
        for part in (where.cluster, where.object, where.part)
    )


def silenced(findings: Iterable[Finding], silences: Sequence[Silence], today: date) -> Judged:
    """
    Which findings count on this day. A silence that ran out holds nothing back any more, and is a
    finding itself.
    """
    holding = [it for it in silences if it.until >= today]
    open_, silent = [_ran_out(it) for it in silences if it.until < today], []
    for finding in in_order(findings):
        by = next((it for it in holding if it.covers(finding)), None)
        if by is None:
            open_.append(finding)
        else:
            silent.append((finding, by))
    return Judged(tuple(in_order(open_)), tuple(silent))


def _ran_out(silence: Silence) -> Finding:
    return Finding(
        code="GW001",
        severity="info",
        where=Where(None, f"silence of {silence.code}", silence.where),
        what=f"ran out on {silence.until} ({silence.reason})",
        fix="remove it, or renew it with a later date",
    )


def exit_code(findings: Iterable[Finding]) -> int:
    """3 where there is an error or a warning, else 0."""
    return FOUND if any(it.severity != "info" for it in findings) else 0


def as_json(
    findings: Iterable[Finding], silent: Iterable[tuple[Finding, Silence]] = ()
) -> dict[str, object]:
    """
    {"schema": "envoyfleet.findings/1", "exit": 3, "findings": [...], "silenced": [...]}. Keys are
    only ever added under this schema; a key that goes or changes its meaning makes it /2.
    """
    ordered = in_order(findings)
    return {
        "schema": SCHEMA,
        "exit": exit_code(ordered),
        "findings": [_as_dict(it) for it in ordered],
        "silenced": [
            _as_dict(it) | {"until": by.until.isoformat(), "reason": by.reason} for it, by in silent
        ],
    }


def _as_dict(finding: Finding) -> dict[str, object]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "cluster": finding.where.cluster,
        "object": finding.where.object,
        "part": finding.where.part,
        "what": finding.what,
        "fix": finding.fix,
        "docs": finding.docs,
    }
