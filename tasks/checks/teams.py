"""
Holes between teams: who could take a host name that is another team's, or refer to what is not
theirs. On objects as they are rendered, or as a cluster has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.checks.findings import Finding, Severity, Where
from tasks.plans import references, teams
from tasks.plans.kinds import GATEWAY_API, title
from tasks.plans.listeners import ROUTES
from tasks.plans.probes import covered
from tasks.plans.teams import Team

Object = Mapping[str, Any]
#: Kinds that ask for host names, those without refer to a listener as a whole.
_ROUTES = tuple(dict.fromkeys(kind for kinds in ROUTES.values() for kind in kinds))


@dataclass(frozen=True)
class _Listener:
    """+ owner: the Gateway or ListenerSet it is written in; + gateway: "namespace/name" """

    owner: Object
    gateway: str
    written: Object

    @property
    def hostname(self) -> str | None:
        found: str | None = self.written.get("hostname")
        return found

    @property
    def part(self) -> str:
        return f"listener {self.written['name']}"

    @property
    def named(self) -> str:
        """Such as "listener https of Gateway edge/public"."""
        return f"{self.part} of {title(self.owner)}"

    def admits(self, namespace: str, labels: Mapping[str, str]) -> bool:
        own: str = self.owner["metadata"]["namespace"]
        return teams.admits(self.written, own, namespace, labels)


def findings(
    cluster: str, every: Sequence[Team], objects: Iterable[Object], whole: bool = False
) -> Iterator[Finding]:
    """
    Nothing where there are no teams.

    + objects: Gateways, ListenerSets, routes, ReferenceGrants and Namespaces; others are left alone
    + whole: these are all of the cluster, so that what is not among them does not exist
    """
    if not every:
        return
    there = list(objects)
    by_kind: dict[str, list[Object]] = {}
    for it in there:
        by_kind.setdefault(it["kind"], []).append(it)
    labels: dict[str, Mapping[str, str]] = {one: {} for team in every for one in team.namespaces}
    for it in by_kind.get("Namespace", ()):
        labels[it["metadata"]["name"]] = it["metadata"].get("labels") or {}
    routes = [it for kind in _ROUTES for it in by_kind.get(kind, ())]
    for it in (*routes, *by_kind.get("ListenerSet", ())):
        labels.setdefault(it["metadata"]["namespace"], {})
    gateways = {_name(it): it for it in by_kind.get("Gateway", ())}
    sets = list(_let_in(by_kind, gateways, labels))
    listeners = list(_listeners(gateways, sets))
    for listener in listeners:
        yield from _open(cluster, every, listener, labels)
    for it in gateways.values():
        yield from _bringing(cluster, every, it, labels)
    yield from _sets(cluster, every, sets)
    yield from _routes(cluster, every, routes, listeners, labels)
    yield from _unknown(cluster, every, listeners, whole)
    for grant in by_kind.get("ReferenceGrant", ()):
        yield from _wide(cluster, every, grant, there if whole else None)


def _listeners(
    gateways: Mapping[str, Object], sets: Iterable[tuple[Object, str]]
) -> Iterator[_Listener]:
    for name, gateway in gateways.items():
        for it in gateway["spec"].get("listeners") or ():
            yield _Listener(gateway, name, it)
    for one, name in sets:
        for it in one["spec"].get("listeners") or ():
            yield _Listener(one, name, it)


def _let_in(
    by_kind: Mapping[str, Sequence[Object]],
    gateways: Mapping[str, Object],
    labels: Mapping[str, Mapping[str, str]],
) -> Iterator[tuple[Object, str]]:
    """ListenerSets, each with the name of its Gateway, where that takes it."""
    for it in by_kind.get("ListenerSet", ()):
        ref, own = it["spec"]["parentRef"], it["metadata"]["namespace"]
        name = f"{ref.get('namespace') or own}/{ref['name']}"
        if name in gateways and teams.lets_in(gateways[name], own, labels[own]):
            yield it, name


def _open(
    cluster: str,
    every: Sequence[Team],
    listener: _Listener,
    labels: Mapping[str, Mapping[str, str]],
) -> Iterator[Finding]:
    """Whom a listener lets in beside those whose host names it serves."""
    where = Where(cluster, title(listener.owner), listener.part)
    if not ROUTES.get(listener.written["protocol"]):
        return
    said = (listener.written.get("allowedRoutes") or {}).get("namespaces") or {}
    if said.get("from") == "All":
        yield Finding(
            "GW332",
            "warning",
            where,
            f"takes routes of every namespace, for {listener.hostname or 'every host name'}",
            "name it in listeners of the teams that may use it, or set routes_from to Same",
        )
        return
    yield from _by_label(where, said, "its routes", "listeners")
    own = listener.owner["metadata"]["namespace"]
    admitted = {it for it, known in labels.items() if it != own and listener.admits(it, known)}
    inside = [it for it in every if admitted & set(it.namespaces)]
    for victim in every:
        takers = [it.name for it in inside if it is not victim]
        zones = [it for it in victim.zones if teams.overlapping(listener.hostname, it)]
        if takers and zones:
            yield Finding(
                "GW331",
                "warning",
                where,
                f"lets in routes of team {_and(takers)}, which could take {_and(zones)} of team "
                f"{victim.name}",
                f"give {_and(zones)} a listener of its own that only team {victim.name} names",
            )


def _by_label(where: Where, said: Object, what: str, key: str) -> Iterator[Finding]:
    """Namespaces that are selected by a label which is not their name."""
    selector = said.get("selector") or {}
    keys = [*(selector.get("matchLabels") or {})]
    keys += [it["key"] for it in selector.get("matchExpressions") or ()]
    others = sorted({it for it in keys if it != teams.NAME})
    if said.get("from") == "Selector" and others and teams.NAME not in keys:
        yield Finding(
            "GW337",
            "info",
            where,
            f"whoever may label a namespace with {', '.join(others)} lets {what} in",
            f"select by {teams.NAME}, as {key} of a team in the inventory do",
        )


def _bringing(
    cluster: str,
    every: Sequence[Team],
    gateway: Object,
    labels: Mapping[str, Mapping[str, str]],
) -> Iterator[Finding]:
    """
    Whose ListenerSets a Gateway takes: no rule says which host names they may bring, and the one
    with the more specific host name has the requests, also before a listener of the Gateway.
    """
    where, own = (
        Where(cluster, title(gateway), "allowedListeners"),
        gateway["metadata"]["namespace"],
    )
    said = (gateway["spec"].get("allowedListeners") or {}).get("namespaces") or {}
    if said.get("from") == "All":
        what = "takes ListenerSets of every namespace, which bring any host name"
        fix = "name it in listener_sets of the teams that may bring some"
        yield Finding("GW338", "warning", where, what, fix)
        return
    yield from _by_label(where, said, "its ListenerSets", "listener_sets")
    let_in = {it for it, known in labels.items() if it != own and teams.lets_in(gateway, it, known)}
    named = _name(gateway)
    bringing = [it for it in every if let_in & set(it.namespaces)]
    users = [it for it in every if _uses(it, named)]
    for it in bringing:
        others = [other for other in users if other is not it and other.zones]
        if others:
            zones = [zone for other in others for zone in other.zones]
            yield Finding(
                "GW338",
                "warning",
                where,
                f"takes ListenerSets of team {it.name}, which could take {_and(zones)} of team "
                f"{_and([other.name for other in others])}",
                f"give ListenerSets of team {it.name} a Gateway that no other team uses",
            )


def _uses(team: Team, gateway: str) -> bool:
    used = {"/".join(it.split("/")[:2]) for it in (*team.listeners, *team.listener_sets)}
    return gateway in used


def _sets(
    cluster: str, every: Sequence[Team], sets: Iterable[tuple[Object, str]]
) -> Iterator[Finding]:
    """ListenerSets that serve a name which is not their team's."""
    for it, gateway in sets:
        namespace = it["metadata"]["namespace"]
        for written in it["spec"].get("listeners") or ():
            hostname, named = written.get("hostname"), ROUTES.get(written["protocol"])
            found = _taken(every, namespace, hostname) if named else None
            if found and namespace != gateway.partition("/")[0]:
                severity, what = found
                yield Finding(
                    "GW336",
                    severity,
                    Where(cluster, title(it), f"listener {written['name']}"),
                    what,
                    "set hostname to one of the team's zones, or correct the zones in teams",
                )


def _routes(
    cluster: str,
    every: Sequence[Team],
    routes: Iterable[Object],
    listeners: Sequence[_Listener],
    labels: Mapping[str, Mapping[str, str]],
) -> Iterator[Finding]:
    """Routes that take a host name which is not their team's, and those of no team."""
    homeless: dict[str, tuple[str, str]] = {}
    for route in routes:
        namespace = route["metadata"]["namespace"]
        reached = [it for it in listeners if _attaches(route, it, labels.get(namespace, {}))]
        if not reached:
            continue
        if teams.of_namespace(namespace, every) is None:
            homeless.setdefault(namespace, (title(route), reached[0].named))
        taken = [it for one in reached for it in _hosts(route, one)]
        problems = {hostname: _taken(every, namespace, hostname) for hostname in taken}
        for hostname, found in problems.items():
            if found:
                severity, what = found
                yield Finding(
                    "GW330",
                    severity,
                    Where(cluster, title(route), f"host name {hostname or '*'}"),
                    what,
                    "correct hostnames of the route, or the zones in teams",
                )
    for namespace, (first, listener) in homeless.items():
        yield Finding(
            "GW334",
            "warning",
            Where(cluster, f"Namespace {namespace}"),
            f"is of no team, and {first} of it attaches to {listener}",
            "add it to namespaces of its team, or take allowedRoutes away from it",
        )


def _attaches(route: Object, listener: _Listener, labels: Mapping[str, str]) -> bool:
    """Whether a listener takes a route that is not the platform's own, beside the Gateway."""
    own, meta = route["metadata"]["namespace"], listener.owner["metadata"]
    if own == listener.gateway.partition("/")[0] or not listener.admits(own, labels):
        return False
    if route["kind"] not in ROUTES.get(listener.written["protocol"], ()):
        return False
    return bool(_hosts(route, listener)) and any(
        ref.get("group", GATEWAY_API) == GATEWAY_API
        and ref.get("kind", "Gateway") == listener.owner["kind"]
        and (ref.get("namespace") or own, ref["name"]) == (meta["namespace"], meta["name"])
        and ref.get("sectionName", listener.written["name"]) == listener.written["name"]
        and ref.get("port", listener.written["port"]) == listener.written["port"]
        for ref in route["spec"].get("parentRefs") or ()
    )


def _hosts(route: Object, listener: _Listener) -> list[str | None]:
    """What a route takes of a listener: the narrower of both names, None is every name."""
    wanted = route["spec"].get("hostnames")
    if not wanted:
        return [listener.hostname]
    found: list[str | None] = []
    for it in wanted:
        if teams.overlapping(it, listener.hostname):
            narrow = listener.hostname is None or teams.within(it, listener.hostname)
            found.append(it if narrow else listener.hostname)
    return found


def _taken(
    every: Sequence[Team], namespace: str, hostname: str | None
) -> tuple[Severity, str] | None:
    """How bad it is that a namespace serves a host name, and in which words; None is well."""
    mine, owner = teams.of_namespace(namespace, every), teams.owner(hostname, every)
    who = f"team {mine.name}" if mine else f"namespace {namespace}, of no team,"
    name = hostname or "every host name"
    if owner is not None:
        return None if owner is mine else ("error", f"{who} takes {name} of team {owner.name}")
    others = [it for it in every if it is not mine]
    victims = [
        it.name
        for it in others
        if any(hostname is None or covered(zone, hostname) for zone in it.zones)
    ]
    if victims:
        return "error", f"{who} takes {name}, which includes that of team {_and(victims)}"
    return ("warning", f"{who} takes {name}, which is in none of its zones") if mine else None


def _unknown(
    cluster: str, every: Iterable[Team], listeners: Sequence[_Listener], whole: bool
) -> Iterator[Finding]:
    gateways = {it.gateway for it in listeners}
    known = gateways | {f"{it.gateway}/{it.written['name']}" for it in listeners}
    for team in every:
        for it in team.listeners:
            of_others = "/".join(it.split("/")[:2]) not in gateways and not whole
            if it not in known and not of_others:
                yield Finding(
                    "GW335",
                    "error",
                    Where(cluster, f"team {team.name}"),
                    f"listener {it} does not exist",
                    "correct listeners of the team, or add it to a Gateway",
                )
        for it in team.listener_sets:
            if whole and it not in gateways:
                yield Finding(
                    "GW335",
                    "error",
                    Where(cluster, f"team {team.name}"),
                    f"Gateway {it} does not exist",
                    "correct listener_sets of the team, or add the Gateway",
                )


def _wide(
    cluster: str, every: Sequence[Team], grant: Object, there: Sequence[Object] | None
) -> Iterator[Finding]:
    """What a ReferenceGrant allows and nobody needs."""
    where, place = Where(cluster, title(grant)), grant["metadata"]["namespace"]
    if teams.of_namespace(place, every) is None:
        return
    sources = {(it["kind"], it["namespace"]) for it in grant["spec"].get("from") or ()}
    for it in grant["spec"].get("to") or ():
        if sources and not it.get("name"):
            yield Finding(
                "GW333",
                "warning",
                where,
                f"lets {_and(sorted({name for _, name in sources}))} refer to every {it['kind']} "
                f"of {place}",
                f"name the {it['kind']} in to, or write it as grants of the team",
            )
    if there is None:
        return
    targets = {it["kind"] for it in grant["spec"].get("to") or ()}
    used = {
        (it["kind"], it["metadata"].get("namespace"))
        for it in there
        for ref in references.references(it)
        if ref.namespace == place and ref.kind in targets
    }
    for kind, namespace in sorted(sources - used):
        yield Finding(
            "GW333",
            "info",
            where,
            f"no {kind} of {namespace} refers to anything in {place} that it allows",
            "take it away until somebody needs it",
        )


def _name(thing: Object) -> str:
    return f"{thing['metadata']['namespace']}/{thing['metadata']['name']}"


def _and(names: Sequence[str]) -> str:
    """Such as "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
