"""What would end an overlap, written where what is or would be applied is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tasks.fleet.render import render
from tasks.plans import cures
from tasks.plans.overlap import Overlap, Served

Object = Mapping[str, Any]


def write(
    overlaps: Iterable[Overlap],
    served: Served,
    gateways: Mapping[str, Iterable[Object]],
    routes: Mapping[str, Iterable[Object]],
) -> dict[tuple[str, str], tuple[str, ...]]:
    """
    Manifests in ``rendered/<cluster>/overlap/``, for ``tasks.checks.overlap.findings``: their names
    by the overlap's key. Nothing is applied.

    + gateways, routes: live objects by cluster
    """
    by_name = {
        (cluster, f"{it['metadata']['namespace']}/{it['metadata']['name']}"): it
        for cluster, every in gateways.items()
        for it in every
    }
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for overlap in overlaps:
        first = overlap.members[0]
        gateway = by_name.get((first.cluster, first.gateway))
        if overlap.effect == "elsewhere" or gateway is None or overlap.key in found:
            continue
        found[overlap.key] = (
            *_merge(overlap, gateway, routes.get(first.cluster, ()), served),
            *_misdirected(overlap, gateway),
        )
    return {key: names for key, names in found.items() if names}


def _merge(
    overlap: Overlap, gateway: Object, routes: Iterable[Object], served: Served
) -> tuple[str, ...]:
    merge = cures.merge(overlap, gateway, routes, served)
    if merge is None:
        return ()
    return _rendered("merged", overlap, objects=merge.objects, gone=merge.gone)


def _misdirected(overlap: Overlap, gateway: Object) -> tuple[str, ...]:
    configurations = cures.route_configurations(overlap)
    if not configurations:
        return ()
    meta, first = gateway["metadata"], overlap.members[0]
    return _rendered(
        "misdirected",
        overlap,
        name=f"{meta['name']}-misdirected-{first.port}-{first.name}",
        namespace=meta["namespace"],
        target=meta["name"],
        route_configurations=configurations,
    )


def _rendered(template: str, overlap: Overlap, **values: Any) -> tuple[str, ...]:
    first = overlap.members[0]
    part = f"{first.gateway.replace('/', '-')}-{first.port}-{first.name}"
    more = {"part": part, "gateway": first.gateway, "port": first.port}
    render(f"overlap/{template}.yaml.j2", first.cluster, **more, **values)
    return (f"{template}-{part}.yaml",)
