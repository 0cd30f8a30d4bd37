"""
What others have set in an object of ours that the inventory does not say, and how it is taken out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from tasks.plans.defaults import without_defaults
from tasks.plans.objects import MANAGER, OF_ALL, Path, holds, left_out, owned_fields

Object = Mapping[str, Any]
#: Of a Deployment's Pods, where kubectl rollout restart leaves its mark.
_OF_PODS = ("f:spec", "f:template", "f:metadata")


def additions(
    wanted: Object, live: Object, fresh: Object | None = None
) -> dict[Path, tuple[str, ...]]:
    """
    By place, the field managers that set it; nothing in an object that we never applied. What the
    API server fills in has no manager; but who created an object has all that was filled in then,
    so what ``fresh`` has too is nobody's.

    + fresh: what the server would store if the object were new; without it, only the defaults of
      ``without_defaults`` are known
    """
    if wanted["kind"] == "Namespace" or owned_fields(live) is None:
        return {}
    found: dict[Path, tuple[str, ...]] = {}
    for entry in live["metadata"].get("managedFields") or ():
        by = str(entry.get("manager"))
        if by == MANAGER or entry.get("subresource"):
            continue
        tree = {k: it for k, it in (entry.get("fieldsV1") or {}).items() if k not in OF_ALL}
        for path in left_out(tree, wanted):
            if path[:3] != _OF_PODS and not _is_default(live, path, fresh):
                found[path] = tuple(dict.fromkeys((*found.get(path, ()), by)))
    return found


def without(live: Object, paths: Sequence[Path]) -> dict[str, Any]:
    """The object as it is after ``removal`` of these."""
    found: Any = deepcopy(live)
    for steps in _last_first(live, paths):
        *way, last = steps
        here = found
        for it in way:
            here = here[it]
        del here[last]
    return dict(found)


def removal(live: Object, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """A JSON patch that takes these out of the object as it was read, and of no other."""
    version = live["metadata"]["resourceVersion"]
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
    pointers = ["".join(f"/{_escaped(it)}" for it in steps) for steps in _last_first(live, paths)]
    return [test, *({"op": "remove", "path": it} for it in pointers)]


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


def _last_first(live: Object, paths: Sequence[Path]) -> list[list[str | int]]:
    """Names and positions, so that taking one out moves no other."""
    found = [it for path in paths if (it := _steps(live, path)) is not None]
    return sorted(found, key=lambda it: [i if isinstance(i, int) else 0 for i in it], reverse=True)


def _steps(thing: Any, path: Path) -> list[str | int] | None:
    """The place in this very object, or None where it is not in it."""
    found: list[str | int] = []
    for step in path:
        mark, _, text = step.partition(":")
        at: str | int | None = None
        if mark == "f":
            at = text if isinstance(thing, Mapping) and text in thing else None
        elif isinstance(thing, list):
            said = json.loads(text)
            same = (
                i for i, it in enumerate(thing) if it == said or (mark == "k" and holds(it, said))
            )
            at = next(same, None)
        if at is None:
            return None
        found.append(at)
        thing = thing[at]
    return found


def _is_default(live: Object, path: Path, fresh: Object | None) -> bool:
    """Also where it is not there any more: then there is nothing to say of it."""
    steps, now = _steps(live, path), live
    if steps is None:
        return True
    if fresh is not None:
        there = _steps(fresh, path)
        if there is not None and _at(fresh, there) == _at(now, steps):
            return True
    names = [it for it in steps if isinstance(it, str)]
    field = names[-2] if len(names) > 1 else ""
    return isinstance(steps[-1], str) and not without_defaults({names[-1]: _at(now, steps)}, field)


def _at(thing: Any, steps: Sequence[str | int]) -> Any:
    for it in steps:
        thing = thing[it]
    return thing
