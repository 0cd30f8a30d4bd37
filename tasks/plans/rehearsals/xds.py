"""
What an Envoy does by its /config_dump, thing by thing: routes, clusters, listeners and Secrets,
called by what they are for and not by the names that a release makes up.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tasks.plans.rehearsals import clusters, listeners, routes
from tasks.plans.rehearsals.equal_forms import SYSTEM, renamed
from tasks.plans.rehearsals.named import Object, Thing, mapping, objects, text


@dataclass
class _Raw:
    listeners: list[Object] = field(default_factory=list)
    tables: dict[str, Object] = field(default_factory=dict)
    clusters: dict[str, Object] = field(default_factory=dict)
    endpoints: dict[str, Object] = field(default_factory=dict)
    secrets: dict[str, Object] = field(default_factory=dict)


def things(dump: Object) -> list[Thing]:
    """All that a dump holds; what is not as Envoy writes it is left out."""
    raw = _raw(dump)
    # Of several policies the old release delivers the system's CAs under as many names.
    names = {name: SYSTEM for name, it in raw.secrets.items() if _of_the_system(name, it)}
    served: dict[str, routes.Served] = {}
    found: list[Thing] = []
    for one in raw.listeners:
        found += listeners.listener(one, raw.tables, served)
    for table in sorted(served.values(), key=lambda it: it.place):
        found += routes.routes(table)
    found += [clusters.cluster(name, one, raw.endpoints) for name, one in raw.clusters.items()]
    found += [_secret(name) for name in dict.fromkeys(names.get(it, it) for it in raw.secrets)]
    return [
        replace(it, says=renamed(it.says, names))
        if names and it.what in ("cluster", "listener")
        else it
        for it in found
    ]


def _raw(dump: Object) -> _Raw:
    raw = _Raw()
    for part in objects(dump.get("configs")):
        for key in ("static_listeners", "dynamic_listeners"):
            for it in objects(part.get(key)):
                state = it if key[0] == "s" else mapping(it, "active_state")
                if one := mapping(state, "listener"):
                    raw.listeners.append({"name": it.get("name"), **one})
        for key, kept, what in (
            ("static_route_configs", raw.tables, "route_config"),
            ("dynamic_route_configs", raw.tables, "route_config"),
            ("static_clusters", raw.clusters, "cluster"),
            ("dynamic_active_clusters", raw.clusters, "cluster"),
            ("static_secrets", raw.secrets, "secret"),
            ("dynamic_active_secrets", raw.secrets, "secret"),
            ("dynamic_warming_secrets", raw.secrets, "secret"),
        ):
            for it in objects(part.get(key)):
                one = mapping(it, what)
                if name := text(one.get("name")) or text(it.get("name")):
                    kept[name] = one
        for key in ("static_endpoint_configs", "dynamic_endpoint_configs"):
            for it in objects(part.get(key)):
                one = mapping(it, "endpoint_config")
                raw.endpoints[text(one.get("cluster_name"))] = one
    return raw


def _secret(name: str) -> Thing:
    return Thing("secret", f"Secret {name}" if "/" in name else name, (name,), {})


def _of_the_system(name: str, raw: Object) -> bool:
    """Also where the file is not there: only those of the system are read from one."""
    if not mapping(raw, "validation_context"):
        return name.endswith("-ca") and "tls_certificate" not in raw
    held = mapping(raw, "validation_context", "trusted_ca").get("filename")
    return held == "/etc/ssl/certs/ca-certificates.crt"
