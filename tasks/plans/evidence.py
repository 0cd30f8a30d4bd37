"""
What a drill proved, for somebody who was not there: one document with digests and without secrets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

SCHEMA = "envoyfleet.drill/1"

Result = Literal["restored", "restored with findings", "failed"]


@dataclass(frozen=True)
class Archive:
    """
    What was restored.

    + sha256: of the file; + manifest_sha256: over the digests of all that is in it
    + kinds: how many objects of each, such as {"Gateway": 1}
    """

    path: str
    sha256: str
    manifest_sha256: str
    cluster: str
    taken: str
    kubernetes: str | None
    envoy_gateway: str | None
    kinds: Mapping[str, int]


@dataclass(frozen=True)
class Answered:
    """
    One request through a listener. + route: "HTTPRoute shop/cart", None for the listener alone; +
    answer: None where there was none; + certificate: SHA-256 of what was served; + as_archived:
    whether that is the archive's
    """

    request: str
    route: str | None
    answer: str | None
    certificate: str | None
    as_archived: bool | None


@dataclass(frozen=True)
class Unproven:
    """+ expected: whether no drill can prove it; else it is a finding"""

    what: str
    why: str
    expected: bool


@dataclass(frozen=True)
class Restored:
    """
    One restore of the drill.

    + after: what was lost before it, such as "namespace shop is deleted"
    + began: when it did; + seconds: until the last probe; + steps: seconds of each
    + created, changed, left: how many objects; + unmet: what was restored and does not work
    """

    after: str
    began: str
    seconds: float
    steps: Mapping[str, float]
    created: int
    changed: int
    left: int
    differences: Sequence[str]
    answers: Sequence[Answered]
    not_proven: Sequence[Unproven]
    unmet: Sequence[str]
    left_out: Mapping[str, str]
    stand_ins: Sequence[str]


@dataclass(frozen=True)
class Refusal:
    """Something that had to be refused, and what was said. + what: such as "the archive, cut"."""

    what: str
    said: str


@dataclass(frozen=True)
class Address:
    """
    What Azure has for an address that the source's inventory wants.

    + gateway: such as "edge/public"; + public_ip: such as "addresses/weu-1", None where it does not
      exist or nothing names it
    + lives_with: "cluster", "group" or "lock", see docs/public_ips.md; None without ``public_ip``
    """

    gateway: str
    address: str | None
    public_ip: str | None
    lives_with: str | None

    @property
    def text(self) -> str:
        """Such as "edge/public: public IP addresses/weu-1 (20.103.0.10) outlives the cluster"."""
        if self.public_ip is None:
            return f"{self.gateway}: Azure has no public IP for it ({self.address or 'by name'})"
        outlives = {
            "cluster": "dies with the cluster",
            "group": "outlives the cluster, and no lock keeps it",
            "lock": "outlives the cluster, and a lock keeps it",
        }
        known = outlives.get(self.lives_with or "", "")
        return f"{self.gateway}: public IP {self.public_ip} ({self.address}) {known}"


@dataclass(frozen=True)
class Emptied:
    """
    What the drill took away again. + kinds: how many objects of each; + nothing_left: whether a
    listing found nothing of the drill afterwards; + of_others: what came meanwhile and stays
    """

    kinds: Mapping[str, int]
    nothing_left: bool
    of_others: Sequence[str] = ()


@dataclass
class Drill:
    """
    One drill of one source, as it goes.

    + who: such as "anna@jump-1"; + rpo_seconds: age of the backup when the drill began
    + problems: why it failed, a line each; + addresses: of the source, where it is of AKS
    """

    run: str
    who: str
    inventory: str
    source: str
    target: str
    scenario: str
    began: datetime
    target_kubernetes: str
    target_envoy_gateway: str
    archive: Archive | None = None
    rpo_seconds: float | None = None
    restores: list[Restored] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    emptied: Emptied | None = None
    problems: list[str] = field(default_factory=list)
    addresses: Sequence[Address] = ()

    @property
    def rto_seconds(self) -> float | None:
        """The longest restore counts; None where one did not end."""
        whole = self.restores and not self.problems
        return max(it.seconds for it in self.restores) if whole else None

    @property
    def findings(self) -> list[str]:
        """Differences and what should have been proven, a line each."""
        return list(
            dict.fromkeys(
                line
                for it in self.restores
                for line in (
                    *it.differences,
                    *it.unmet,
                    *(f"{one.what}: {one.why}" for one in it.not_proven if not one.expected),
                    *(f"{one}: not restored: {why}" for one, why in it.left_out.items()),
                )
            )
        )

    @property
    def result(self) -> Result:
        if self.problems or not self.restores:
            return "failed"
        return "restored with findings" if self.findings else "restored"


def document(drill: Drill, ended: datetime) -> dict[str, Any]:
    """drill-<source>.json: {"schema": "envoyfleet.drill/1", "source": "weu-1", ...}."""
    return {
        "schema": SCHEMA,
        "result": drill.result,
        "run": drill.run,
        "who": drill.who,
        "inventory": drill.inventory,
        "source": drill.source,
        "target": drill.target,
        "scenario": drill.scenario,
        "began": drill.began.isoformat(),
        "ended": ended.isoformat(),
        "seconds": round((ended - drill.began).total_seconds(), 1),
        "rto_seconds": drill.rto_seconds,
        "rpo_seconds": drill.rpo_seconds,
        "target_kubernetes": drill.target_kubernetes,
        "target_envoy_gateway": drill.target_envoy_gateway,
        "archive": drill.archive and asdict(drill.archive),
        "restores": [asdict(it) for it in drill.restores],
        "refusals": [asdict(it) for it in drill.refusals],
        "findings": drill.findings,
        "emptied": drill.emptied and asdict(drill.emptied),
        "problems": list(drill.problems),
        "addresses": [asdict(it) | {"text": it.text} for it in drill.addresses],
    }


def duration(seconds: float | None) -> str:
    """Such as "48 s", "3 min 20 s", "26 h 5 min", "not reached"."""
    if seconds is None:
        return "not reached"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(text: str) -> str:
    """ "2026-11-21T23:50:18.740557+00:00" -> "2026-11-21 23:50:18 UTC"; anything else as it is."""
    try:
        found = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return text
    return f"{found:%Y-%m-%d %H:%M:%S} UTC"
