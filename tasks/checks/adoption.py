"""What of a cluster did not come into its inventory, and what came otherwise than it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from typing import Any

from tasks.checks.findings import Finding, Where
from tasks.plans.adoption import obstacle
from tasks.plans.kinds import title
from tasks.plans.references import Reference

Object = Mapping[str, Any]


def findings(
    cluster: str,
    live: Mapping[Reference, Object],
    rendered: Collection[Reference],
    equal: Set[Reference],
    left: Iterable[Object],
) -> Iterator[Finding]:
    """
    + live: what was adopted; + rendered: what the adopted inventory renders to; + equal: which of
      that says the same; + left: other objects of the same kinds
    """
    for key, thing in live.items():
        where = Where(cluster, key.title)
        if key not in rendered or key not in equal:
            what = "is not rendered" if key not in rendered else "is rendered otherwise than it is"
            fix = "compare it with its file, and correct that by hand"
            yield Finding("GW340", "warning", where, what, fix)
        if _image(thing):
            yield Finding(
                "GW343",
                "warning",
                where,
                f"names an image of Envoy, {_image(thing)}: an upgrade would not replace it",
                "take it out of the EnvoyProxy, and set images.envoy in the inventory",
            )
    for key in rendered:
        if key not in live:
            yield Finding(
                "GW340",
                "warning",
                Where(cluster, key.title),
                "is rendered, and the cluster does not have it",
                "take it out of the inventory, or let deploys/gateways.py create it",
            )
    for thing in left:
        found = obstacle(thing)
        what, fix = found or (
            "no Gateway of this controller uses it",
            "delete it, or leave it to whoever does",
        )
        code = "GW341" if found else "GW342"
        yield Finding(code, "info", Where(cluster, title(thing)), what, fix)


def _image(thing: Object) -> str | None:
    if thing["kind"] != "EnvoyProxy":
        return None
    found: Any = thing.get("spec")
    for key in ("provider", "kubernetes", "envoyDeployment", "container", "image"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return str(found) if found else None
