"""What is wrong with Gateways, in their controller's own words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tasks.checks.findings import Finding, Where
from tasks.plans import conditions


def gateway_findings(
    cluster: str, classes: Iterable[Mapping[str, Any]], gateways: Iterable[Mapping[str, Any]]
) -> Iterator[Finding]:
    """
    Each condition of a GatewayClass, Gateway or listener that is not True for the newest
    generation.
    """
    for thing in classes:
        yield from _findings(cluster, conditions.gateway_class(thing))
    for thing in gateways:
        yield from _findings(cluster, conditions.gateway(thing))


def _findings(cluster: str, lines: Iterable[str]) -> Iterator[Finding]:
    for line in lines:
        place, _, what = line.partition(": ")
        thing, _, part = place.partition(", ")
        yield Finding(
            code="GW301",
            severity="error",
            where=Where(cluster, thing, part or None),
            what=what,
            fix="do what the message asks for; without one, look at the controller's log",
        )
