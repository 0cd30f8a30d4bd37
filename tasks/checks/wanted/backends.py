"""Backends that are not there, get no requests, or may not be referred to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from tasks.checks.findings import Finding
from tasks.checks.wanted.view import ROUTES, Object, View
from tasks.plans.arm import number, objects, text
from tasks.plans.kinds import ENVOY_GATEWAY
from tasks.plans.listeners import granted
from tasks.plans.references import Reference

SERVICE, BACKEND = ("", "Service"), (ENVOY_GATEWAY, "Backend")


def missing(view: View) -> Iterator[Finding]:
    """GW313: a Service or Backend that does not exist, or a port that it has not."""
    for thing in view.wanted:
        for ref in _backends(thing.get("spec")):
            target = _target(thing, ref)
            if (target.group, target.kind) not in (SERVICE, BACKEND):
                continue
            there, port = view.every.get(target), ref.get("port")
            if there is None:
                if view.live is not None:
                    fix = f"create it, or correct the name{_near(view, target)}"
                    what = f"{target.title} does not exist"
                    yield view.finding("GW313", "error", thing, what, fix)
                continue
            ports = [number(it, "port") for it in objects(there, "spec", "ports")]
            if target.kind == "Service" and port is not None and port not in ports:
                has = ", ".join(str(it) for it in ports) or "none"
                what, fix = f"{target.title} has no port {port}", f"name one that it has: {has}"
                yield view.finding("GW313", "error", thing, what, fix)


def weightless(view: View) -> Iterator[Finding]:
    """GW317: a rule all of whose backends have weight 0 answers 500 to everybody."""
    for route in view.wanted_of(*ROUTES):
        for index, rule in enumerate(objects(route, "spec", "rules"), 1):
            refs = objects(rule, "backendRefs")
            if refs and all(it.get("weight") == 0 for it in refs):
                what = f"all backends of rule {index} have weight 0, so that it answers 500"
                fix = "give one of them a weight, or take the rule away"
                yield view.finding("GW317", "error", route, what, fix)


def not_granted(view: View) -> Iterator[Finding]:
    """GW318: a reference into another namespace that nobody there allows."""
    if view.live is None:
        return
    grants = view.of("ReferenceGrant")
    for thing in view.wanted:
        own = thing["metadata"].get("namespace")
        group, kind = thing["apiVersion"].rpartition("/")[0], thing["kind"]
        certificates = [
            {"kind": "Secret", **it}
            for listener in objects(thing, "spec", "listeners")
            for it in objects(listener, "tls", "certificateRefs")
        ]
        backends = [{"kind": "Service", **it} for it in _backends(thing.get("spec"))]
        for ref in (*certificates, *backends):
            if own and not granted(own, kind, ref, grants, group):
                target = f"{ref['kind']} {ref.get('namespace')}/{ref.get('name')}"
                what = f"{target} is in another namespace, and no ReferenceGrant there allows it"
                fix = f"grant {kind} of {own} in {ref.get('namespace')}, or keep both together"
                yield view.finding("GW318", "error", thing, what, fix)


def _target(thing: Object, ref: Object) -> Reference:
    namespace = text(ref, "namespace") or thing["metadata"].get("namespace")
    kind = text(ref, "kind") or "Service"
    return Reference(text(ref, "group"), kind, namespace, text(ref, "name"))


def _near(view: View, target: Reference) -> str:
    """Such as " to cart" """
    names = [
        it["metadata"]["name"]
        for it in view.of(target.kind, target.group)
        if it["metadata"].get("namespace") == target.namespace
    ]
    near = get_close_matches(target.name, names, n=1)
    return f" to {near[0]}" if near else ""


def _backends(thing: Any) -> Iterator[Mapping[str, Any]]:
    """Every backendRef below, of routes and of policies."""
    if isinstance(thing, list):
        for it in thing:
            yield from _backends(it)
    elif isinstance(thing, Mapping):
        for name, below in thing.items():
            if name in ("backendRef", "backendRefs"):
                refs = below if isinstance(below, list) else [below]
                yield from (it for it in refs if isinstance(it, Mapping))
            if isinstance(below, (list, Mapping)):
                yield from _backends(below)
