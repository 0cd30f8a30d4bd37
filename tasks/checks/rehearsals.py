"""What a rehearsal found that an upgrade would do to a cluster."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.checks.findings import Finding, Where
from tasks.plans.rehearsals.outcome import Outcome


def refused(cluster: str, outcome: Outcome) -> Iterator[Finding]:
    """Objects that the new release, or its CRDs, do not take any more."""
    for it in outcome.refused:
        yield Finding(
            "GW220",
            it.severity,
            Where(cluster, it.name),
            f"after the upgrade: {it.words}",
            "correct the object before the upgrade",
        )


def pruned(cluster: str, outcome: Outcome) -> Iterator[Finding]:
    """Fields that the new CRDs drop."""
    for it in outcome.pruned:
        yield Finding(
            "GW221",
            it.severity,
            Where(cluster, it.name),
            it.words,
            "say it in the way of the new release, or take it out",
        )


def otherwise(cluster: str, outcome: Outcome) -> Iterator[Finding]:
    """What proxies run otherwise, as far as somebody has to look at it."""
    for it in outcome.configuration:
        if it.severity != "info":
            yield Finding(
                "GW222",
                it.severity,
                Where(cluster, it.name),
                f"the proxies run it otherwise after the upgrade: {it.words}",
                "look whether that is meant, and say in the object what shall be",
            )


def lost(cluster: str, outcome: Outcome) -> Iterator[Finding]:
    """Requests that are answered otherwise, or were lost while proxies changed."""
    for it in outcome.traffic:
        yield Finding(
            "GW223",
            it.severity,
            Where(cluster, it.name),
            f"after the upgrade: {it.words}",
            "look at its conditions in the report of the rehearsal",
        )


def left_behind(cluster: str, outcome: Outcome) -> Iterator[Finding]:
    """What the way back does not bring back."""
    for it in outcome.way_back:
        yield Finding(
            "GW224",
            "warning",
            Where(cluster, it.name),
            f"after the way back: {it.words}",
            "mend what the upgrade breaks first: the way back does not",
        )


def every(cluster: str, outcome: Outcome) -> list[Finding]:
    """All of them; what is only to be known is in the report alone."""
    rules = (refused, pruned, otherwise, lost, left_behind)
    found = [it for rule in rules for it in rule(cluster, outcome)]
    return [it for it in found if it.severity != "info"]
