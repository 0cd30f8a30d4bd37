"""What is wrong with a cluster after a restore, though nothing of the restore itself failed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from tasks.checks.findings import Finding, Where


def differences(cluster: str, lines: Sequence[str]) -> Iterator[Finding]:
    """+ lines: of the comparison, such as "HTTPRoute shop/cart: spec.rules is missing"."""
    for line in lines:
        name, _, what = line.partition(": ")
        yield Finding(
            "GW401",
            "warning",
            Where(cluster, name),
            f"is not what the archive has: {what}",
            "look who changed it, and restore it again with only, or leave it",
        )


def left_out(cluster: str, whys: Mapping[str, str]) -> Iterator[Finding]:
    """+ whys: by title, what is missing here and what to do, in one line"""
    for name, why in whys.items():
        what, _, fix = why.partition(": ")
        yield Finding(
            "GW402", "warning", Where(cluster, name), f"was not restored, {what}", fix or "see docs"
        )


def unmet(cluster: str, lines: Sequence[str]) -> Iterator[Finding]:
    """+ lines: what does not work, such as "Gateway edge/public: Programmed is False: ..."."""
    for line in lines:
        name, _, what = line.partition(": ")
        yield Finding(
            "GW403",
            "warning",
            Where(cluster, name),
            f"was restored and does not work: {what}",
            "look at its conditions, and at what it refers to",
        )


def not_proven(
    cluster: str, whys: Mapping[str, str], without_pods: Collection[str]
) -> Iterator[Finding]:
    """+ whys: by title; + without_pods: those that only lack their application"""
    for name, why in whys.items():
        here = name in without_pods
        yield Finding(
            "GW404",
            "warning" if here else "info",
            Where(cluster, name),
            f"was restored and not proven: {why}",
            "deploy its application, then run again" if here else "ask it as its clients do",
        )
