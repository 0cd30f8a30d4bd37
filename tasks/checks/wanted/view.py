"""The objects that are wanted, and those that they meet on the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tasks.checks.findings import Finding, Severity, Where
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API, title
from tasks.plans.references import Reference, to

Object = Mapping[str, Any]
ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")


@dataclass(frozen=True)
class View:
    """
    + wanted: the objects of the inventory; + origins: where each is written
    + live: what the cluster has, or None where it was not asked: then nothing is said to be missing
    """

    cluster: str
    wanted: Sequence[Object]
    origins: Mapping[Reference, str]
    live: Sequence[Object] | None = None

    @cached_property
    def every(self) -> Mapping[Reference, Object]:
        """The cluster as it is going to be: the wanted object in place of the one that is there."""
        found = {to(it): it for it in self.live or ()}
        return found | {to(it): it for it in self.wanted}

    @cached_property
    def by_kind(self) -> Mapping[tuple[str, str], Sequence[Object]]:
        """``every`` by group and kind."""
        found: dict[tuple[str, str], list[Object]] = {}
        for key, it in self.every.items():
            found.setdefault((key.group, key.kind), []).append(it)
        return found

    def of(self, kind: str, group: str = GATEWAY_API) -> Sequence[Object]:
        return self.by_kind.get((group, kind), ())

    def of_envoy(self, kind: str) -> Sequence[Object]:
        return self.by_kind.get((ENVOY_GATEWAY, kind), ())

    def is_wanted(self, thing: Object) -> bool:
        return to(thing) in self.origins

    def finding(self, code: str, severity: Severity, thing: Object, what: str, fix: str) -> Finding:
        """At an object and where it is written."""
        where = Where(self.cluster, title(thing), self.origins.get(to(thing)))
        return Finding(code, severity, where, what, fix)
