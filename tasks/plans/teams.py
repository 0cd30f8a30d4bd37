"""
Which team has a host name, and which namespaces a listener is there for. Pure.

A namespace is known by ``kubernetes.io/metadata.name``: the API server sets that label, so that
nobody who may label a namespace lets it in elsewhere (Kubernetes docs, Well-Known Labels).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from tasks.plans.listeners import selected
from tasks.plans.probes import covered

#: The label of every namespace that has its name.
NAME = "kubernetes.io/metadata.name"


class Team(Protocol):
    """
    + zones: host names; + listeners: "namespace/gateway" or "namespace/gateway/listener"
    + listener_sets: "namespace/gateway"
    """

    @property
    def name(self) -> str: ...
    @property
    def namespaces(self) -> Sequence[str]: ...
    @property
    def zones(self) -> Sequence[str]: ...
    @property
    def listeners(self) -> Sequence[str]: ...
    @property
    def listener_sets(self) -> Sequence[str]: ...


def contradictions(teams: Iterable[Team]) -> Iterator[str]:
    """What two teams cannot both have, a line each."""
    names: set[str] = set()
    owners: dict[tuple[str, str], str] = {}
    for team in teams:
        if team.name in names:
            yield f"team {team.name} is there twice"
        names.add(team.name)
        for what, values in (("namespace", team.namespaces), ("zone", team.zones)):
            for it in values:
                first = owners.setdefault((what, it), team.name)
                if first != team.name:
                    yield f"{what} {it} is of team {first} and of team {team.name}: keep one"


def of_namespace(namespace: str, teams: Iterable[Team]) -> Team | None:
    return next((it for it in teams if namespace in it.namespaces), None)


def within(hostname: str, zone: str) -> bool:
    """Whether every name that a host name stands for is in a zone ("*.x" is not "x")."""
    return hostname == zone or (zone.startswith("*.") and hostname.endswith(zone[1:]))


def overlapping(one: str | None, other: str | None) -> bool:
    """Whether some name is in both; None is every name."""
    if one is None or other is None:
        return True
    return covered(one, other) or covered(other, one)


def owner(hostname: str | None, teams: Iterable[Team]) -> Team | None:
    """The team with the longest zone that a host name is in; None is every name, so nobody's."""
    if hostname is None:
        return None
    having = [(len(zone), it) for it in teams for zone in it.zones if within(hostname, zone)]
    return max(having, key=lambda it: it[0])[1] if having else None


def admitted(teams: Iterable[Team], gateway: str, listener: str) -> list[str] | None:
    """
    The namespaces that a listener is for, or None where no team names it.

    + gateway: "namespace/name"
    """
    using = [it for it in teams if {gateway, f"{gateway}/{listener}"} & set(it.listeners)]
    return _namespaces(gateway, using)


def bringing(teams: Iterable[Team], gateway: str) -> list[str] | None:
    """
    The namespaces whose ListenerSets a Gateway takes, or None where no team names it.

    + gateway: "namespace/name"
    """
    return _namespaces(gateway, [it for it in teams if gateway in it.listener_sets])


def _namespaces(gateway: str, using: Sequence[Team]) -> list[str] | None:
    if not using:
        return None
    return sorted({gateway.partition("/")[0], *(one for it in using for one in it.namespaces)})


def admits(
    listener: Mapping[str, Any], own: str, namespace: str, labels: Mapping[str, str]
) -> bool:
    """
    Whether routes of a namespace may attach to a listener (Gateway API spec, AllowedRoutes).

    + own: the namespace of the Gateway or ListenerSet; + labels: of ``namespace``
    """
    return _chosen(listener.get("allowedRoutes"), "Same", own, namespace, labels)


def lets_in(gateway: Mapping[str, Any], namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether a Gateway takes ListenerSets of a namespace (Gateway API spec, AllowedListeners)."""
    own = gateway["metadata"]["namespace"]
    return _chosen(gateway["spec"].get("allowedListeners"), "None", own, namespace, labels)


def _chosen(
    allowed: Mapping[str, Any] | None,
    default: str,
    own: str,
    namespace: str,
    labels: Mapping[str, str],
) -> bool:
    said = (allowed or {}).get("namespaces") or {}
    match said.get("from", default):
        case "All":
            return True
        case "Selector":
            return selected({**labels, NAME: namespace}, said.get("selector") or {})
        case "Same":
            return namespace == own
        case _:
            return False
