"""
Objects of a cluster in the words of the inventory: what its keys may render to. Only rendering them
tells. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.plans.public_ips import ADDRESS

Object = Mapping[str, Any]


def proxy_entry(envoy_proxy: Object) -> dict[str, Any]:
    """The inventory's ``proxy``, as far as an EnvoyProxy says it."""
    spec = envoy_proxy.get("spec") or {}
    deployment = _at(spec, "provider", "kubernetes", "envoyDeployment")
    asked = _at(deployment, "container", "resources", "requests")
    drain = _at(spec, "shutdown")
    said = {
        "replicas": deployment.get("replicas"),
        "cpu": asked.get("cpu"),
        "memory": asked.get("memory"),
        "min_drain": drain.get("minDrainDuration"),
        "drain_timeout": drain.get("drainTimeout"),
    }
    return {key: it for key, it in said.items() if it is not None}


def gateway_entry(gateway: Object) -> dict[str, Any]:
    """An entry of ``gateways`` that may render to this; only rendering it tells."""
    meta, spec = gateway["metadata"], gateway["spec"]
    notes = dict(_at(spec, "infrastructure", "annotations"))
    address = notes.pop(ADDRESS[False], None)
    found = {
        "name": meta["name"],
        "namespace": meta["namespace"],
        "listeners": [_listener(it) for it in spec["listeners"]],
    }
    if address:
        found["address"] = address
    return {**found, **({"annotations": notes} if notes else {})}


def _listener(listener: Object) -> dict[str, Any]:
    found = {
        key: listener[key] for key in ("name", "port", "protocol", "hostname") if key in listener
    }
    refs = _at(listener, "tls").get("certificateRefs") or ()
    if refs:
        found["secret"] = refs[0]["name"]
    admitted = _at(listener, "allowedRoutes", "namespaces").get("from")
    if admitted in ("Same", "All"):
        found["routes_from"] = admitted
    return found


def route_entry(route: Object) -> dict[str, Any] | None:
    """An entry of ``routes`` that may render to this, or None where there is no key for it."""
    meta, spec = route["metadata"], route["spec"]
    parents: list[Object] = spec.get("parentRefs") or []
    rules: list[Object] = spec.get("rules") or []
    if len(parents) != 1 or len(rules) != 1:
        return None
    ref, rule = parents[0], rules[0]
    backends = rule.get("backendRefs") or ()
    if not backends or any("port" not in it for it in backends):
        return None
    found = {
        "name": meta["name"],
        "namespace": meta["namespace"],
        "kind": route["kind"],
        "gateway": f"{ref.get('namespace') or meta['namespace']}/{ref['name']}",
        "backends": [
            {"service": it["name"], "port": it["port"], "weight": it.get("weight", 1)}
            for it in backends
        ],
    }
    if "sectionName" in ref:
        found["listener"] = ref["sectionName"]
    if spec.get("hostnames"):
        found["hostnames"] = list(spec["hostnames"])
    paths = [_at(it, "path").get("value") for it in rule.get("matches") or ()]
    if paths and paths[0] not in (None, "/"):
        found["path"] = paths[0]
    return found


def _at(thing: Object, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        thing = thing.get(key) or {}
    return thing
