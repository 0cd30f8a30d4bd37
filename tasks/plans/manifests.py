"""What a chart would change of what a release installed, object by object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tasks.plans.kinds import title
from tasks.plans.objects import diff

Object = Mapping[str, Any]


def difference(installed: Iterable[Object], planned: Iterable[Object]) -> list[str]:
    """
    Lines such as "change Deployment eg/envoy-gateway" with its diff below, "create ..." with the
    whole object, and "delete ...". Values of Secrets are never among them.
    """
    before, after = _by_identity(installed), _by_identity(planned)
    lines = []
    for key, thing in after.items():
        changed = diff(before.get(key), thing)
        if changed:
            lines += [f"{'change' if key in before else 'create'} {title(thing)}", *changed]
    gone = [thing for key, thing in before.items() if key not in after]
    return lines + [f"delete {title(thing)}" for thing in gone]


def _by_identity(objects: Iterable[Object]) -> dict[tuple[str, ...], Object]:
    found: dict[tuple[str, ...], Object] = {}
    for thing in objects:
        group, meta = thing["apiVersion"].rpartition("/")[0], thing["metadata"]
        found[group, thing["kind"], meta.get("namespace") or "", meta["name"]] = thing
    return found
