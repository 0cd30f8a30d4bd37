"""What would end an overlap of certificates, as objects to apply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.plans.listeners import Listener
from tasks.plans.overlap import Overlap, Served
from tasks.plans.probes import covered
from tasks.plans.x509 import covers

Object = Mapping[str, Any]
#: kubectl's own copy of the object.
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: What a listener says beside its name, hostname and certificates.
REST = ("port", "protocol", "allowedRoutes")


@dataclass(frozen=True)
class Merge:
    """
    + objects: routes, then their Gateway, to replace those that are there; + gone: names of
      listeners that the Gateway has no more
    """

    objects: tuple[Object, ...]
    gone: tuple[str, ...]


def merge(
    overlap: Overlap, gateway: Object, routes: Iterable[Object], served: Served
) -> Merge | None:
    """
    One listener for the names of all of them, with the name of the first: a wildcard where the
    names have a domain in common, else a listener without hostname. None where one listener cannot
    stand for all: of several Gateways or ListenerSets, with different rules for routes.
    """
    members = overlap.members
    meta = gateway["metadata"]
    owner = f"Gateway {meta['namespace']}/{meta['name']}"
    names = {it.name for it in members}
    old = [it for it in gateway["spec"]["listeners"] if it["name"] in names]
    if any(it.owner != owner or it.protocol != "HTTPS" for it in members) or len(old) < 2:
        return None
    if any(_rest(it) != _rest(old[0]) for it in old):
        return None
    hostname = _common(members)
    others = [it for it in gateway["spec"]["listeners"] if it["name"] not in names]
    if any((it["port"], it.get("hostname")) == (old[0]["port"], hostname) for it in others):
        return None
    new = {key: it for key, it in old[0].items() if key != "hostname"}
    if hostname:
        new["hostname"] = hostname
    new["tls"] = {**old[0]["tls"], "certificateRefs": _refs(members, old, served)}
    listeners = [
        new if it is old[0] else it
        for it in gateway["spec"]["listeners"]
        if it is old[0] or it["name"] not in names
    ]
    gone = {it["name"]: it.get("hostname") for it in old}
    changed = [it for route in routes if (it := _rerouted(route, gateway, new["name"], gone))]
    spec = {**gateway["spec"], "listeners": listeners}
    return Merge((*changed, _written(gateway, spec)), tuple(it for it in gone if it != new["name"]))


def _rest(listener: Object) -> list[Any]:
    return [listener.get(it) for it in REST]


def _common(members: Sequence[Listener]) -> str | None:
    """ "*.example.com" for names that are all one label below example.com, or that itself."""
    above = {(it.hostname or "").partition(".")[2] for it in members}
    return f"*.{above.pop()}" if len(above) == 1 and "" not in above else None


def _refs(members: Sequence[Listener], old: Sequence[Object], served: Served) -> list[Any]:
    """
    No Secret whose names another has already: of two for one name Envoy Gateway refuses one.
    """
    by_name = {it["name"]: it for it in old}
    refs: list[Any] = []
    known: list[str] = []
    for it in members:
        if it.hostname is None or not covers(known, it.hostname):
            refs += [ref for ref in by_name[it.name]["tls"]["certificateRefs"] if ref not in refs]
            known += [name for held in served.get(it, ()) for name in held.names]
    return refs


def _rerouted(
    route: Object, gateway: Object, kept: str, hostnames: Mapping[str, str | None]
) -> Object | None:
    """
    A route of a listener that goes, with the one that stays as a parent too, and with the names
    that it had there; None for a route that need not change.
    """
    spec, meta = route["spec"], gateway["metadata"]
    own = [
        it
        for it in spec.get("parentRefs") or ()
        if it.get("sectionName") in hostnames
        and (it.get("namespace") or route["metadata"]["namespace"], it["name"])
        == (meta["namespace"], meta["name"])
    ]
    if not own:
        return None
    names = dict.fromkeys(
        name
        for ref in own
        for asked in spec.get("hostnames") or [None]
        if (name := _narrower(asked, hostnames[ref["sectionName"]]))
    )
    parents = [*spec["parentRefs"]]
    new = {**own[0], "sectionName": kept}
    if new not in parents:
        parents.append(new)
    changed = {**spec, "parentRefs": parents, **({"hostnames": [*names]} if names else {})}
    return None if changed == spec else _written(route, changed)


def _narrower(asked: str | None, of_listener: str | None) -> str | None:
    if asked is None or of_listener is None:
        return asked or of_listener
    if covered(asked, of_listener):
        return of_listener if asked.startswith("*.") and not of_listener.startswith("*.") else asked
    return None


def _written(thing: Object, spec: Object) -> Object:
    """As somebody would write it: without what the API server added."""
    meta = {key: thing["metadata"][key] for key in ("name", "namespace")}
    for key in ("labels", "annotations"):
        said = {
            name: it for name, it in (thing["metadata"].get(key) or {}).items() if name != APPLIED
        }
        meta |= {key: said} if said else {}
    return {
        "apiVersion": thing["apiVersion"],
        "kind": thing["kind"],
        "metadata": meta,
        "spec": spec,
    }


def route_configurations(overlap: Overlap) -> list[str]:
    """
    Names of Envoy's route configurations that a virtual host with 421 for all other names fits in:
    empty where one of the listeners takes every name, or is no listener of a Gateway by itself
    (Envoy Gateway 1.9 source, internal/gatewayapi/helpers.go).
    """
    if any(
        it.hostname is None
        or it.protocol != "HTTPS"
        or not it.falls_back
        or it.workload != it.gateway
        for it in overlap.members
    ):
        return []
    return [_configuration(it) for it in overlap.members]


def _configuration(listener: Listener) -> str:
    kind, _, name = listener.owner.partition(" ")
    within = f"{name}/" if kind == "ListenerSet" else ""
    return f"{listener.gateway}/{within}{listener.name}"
