"""Where an Envoy sends requests, and how it treats what is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.plans.rehearsals.equal_forms import plain, shares, written
from tasks.plans.rehearsals.named import (
    Object,
    Thing,
    mapping,
    number,
    objects,
    text,
    title,
    without_resources,
)


def cluster(name: str, raw: Object, endpoints: Mapping[str, Object]) -> Thing:
    kept = {k: v for k, v in raw.items() if k not in ("name", "load_assignment")}
    said: dict[str, Any] = plain({"@type": ".Cluster", **kept})
    said.pop("type", None) if said.get("type") == "Cluster" else None
    eds = mapping(raw, "eds_cluster_config").get("service_name")
    said.pop("eds_cluster_config", None)
    without_resources(said)
    given = mapping(raw, "load_assignment")
    held = given or endpoints.get(text(eds)) or endpoints.get(name)
    if held is not None:
        said["endpoints"] = _endpoints(held, named=bool(given))
    called = title(name) or f"cluster {name}"
    # Under another name it is known by what it does, and where.
    return Thing("cluster", called, (name, written(said)), said)


def _endpoints(held: Object, named: bool) -> dict[str, Any]:
    """
    How many there are, who gets how much of the requests, and, where they are part of the
    configuration, which. Addresses of Pods come and go.
    """
    count, weights, addresses = 0, [], []
    for position, group in enumerate(objects(held.get("endpoints"))):
        found = [*objects(group.get("lb_endpoints"))]
        count += len(found)
        region = text(mapping(group, "locality").get("region")).rpartition("/")[2]
        backend = f"backend {region if region.isdigit() else position}"
        if found:
            weights.append((backend, number(group.get("load_balancing_weight"), 1)))
        for it in found:
            address = mapping(it, "endpoint", "address", "socket_address")
            addresses.append(f"{address.get('address')}:{address.get('port_value')}")
    said: dict[str, Any] = {"number": count}
    if len(weights) > 1:
        said["shares"] = shares(weights)
    if named and addresses:
        said["addresses"] = sorted(addresses)
    return said
