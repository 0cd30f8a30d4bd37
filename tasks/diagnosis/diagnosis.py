"""What a diagnosis answers: findings that explain a symptom, most likely first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.checks.findings import Severity
from tasks.diagnosis.causes import AnsweredBy, Cause
from tasks.diagnosis.evidence import Gap, Skipped

SCHEMA = "envoyfleet.diagnosis/1"


@dataclass(frozen=True)
class Ref:
    """An object of Kubernetes; of a plain Envoy: "Cluster", "Listener", "RouteConfiguration"."""

    kind: str
    name: str
    namespace: str = ""

    @property
    def text(self) -> str:
        """Such as "HTTPRoute shop/cart"."""
        return f"{self.kind} {self.namespace}/{self.name}".replace(" /", " ")


@dataclass(frozen=True)
class Found:
    """
    One cause.

    + code: such as "GW931", with an entry in docs/findings.md; + cause: one of CAUSES
    + answered_by: who wrote the response, or broke off
    + object, field: what is wrong, such as Service shop/cart, "spec.ports[0].targetPort"
    + evidence: what was read, literally, such as 'access.eg.jsonl:4: response_flags "UF"'
    + sentence: the cause for an operator, one line; + fix: exact manifest or command
    + confidence: from 0 to 1; + severity: of findings
    + where: proxy, listener and line, such as "edge/public, listener http"
    """

    code: str
    cause: Cause
    answered_by: AnsweredBy
    object: Ref
    field: str
    sentence: str
    fix: str
    evidence: Sequence[str]
    confidence: float = 1.0
    severity: Severity = "error"
    where: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """
    + findings: that explain the symptom, most likely first; none where all is well
    + answered_by, reason: who wrote the response that is asked about, and why that is sure
    + ruled_out: such as "no_healthy_endpoints: 1 of 1 endpoints of … is healthy"
    + gaps, skipped: what could not be read
    + unexplained: whether the request failed, and no cause is sure
    """

    findings: Sequence[Found] = ()
    answered_by: AnsweredBy = "upstream"
    reason: str = ""
    ruled_out: Sequence[str] = ()
    gaps: Sequence[Gap] = ()
    skipped: Sequence[Skipped] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    unexplained: bool = False


def as_json(it: Diagnosis) -> dict[str, Any]:
    """
    {"schema": "envoyfleet.diagnosis/1", "findings": [{"code": "GW931", "cause": "backend_404",
    "answered_by": "upstream", "object": {"kind": ..., "namespace": ..., "name": ...}, "field": "",
    "evidence": [...], "fix": ..., ...}], "verdict": {"cause": ..., "answered_by": ..., "reason":
    ...}, "ruled_out": [...], "gaps": [...], "skipped": [...]}; the verdict is "ok" where
    there is no finding, "unexplained" where the request failed all the same.
    """
    first = it.findings[0] if it.findings else None
    return {
        "schema": SCHEMA,
        "findings": [_found(one) for one in it.findings],
        "verdict": {
            "cause": first.cause if first else "unexplained" if it.unexplained else "ok",
            "answered_by": first.answered_by if first else it.answered_by,
            "reason": it.reason,
        },
        "ruled_out": list(it.ruled_out),
        "gaps": [vars(one) for one in it.gaps],
        "skipped": [vars(one) for one in it.skipped],
        "notes": list(it.notes),
    }


def _found(it: Found) -> Mapping[str, Any]:
    ref = it.object  # an object that is damaged may have null for its namespace
    thing = {"kind": ref.kind, "namespace": ref.namespace or "", "name": ref.name or ""}
    return {
        "code": it.code,
        "cause": it.cause,
        "answered_by": it.answered_by,
        "object": thing,
        "field": it.field,
        "sentence": it.sentence,
        "evidence": list(it.evidence),
        "fix": it.fix,
        "confidence": it.confidence,
        "severity": it.severity,
        "where": it.where,
    }
