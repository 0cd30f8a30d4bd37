"""
What the proxies of a Gateway run otherwise after an upgrade, resource by resource.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.plans.rehearsals.change import Change, in_order

#: The JSON of Envoy's /config_dump?include_eds.
Dump = Mapping[str, Any]
_KINDS = {
    "dynamic_listeners": "listener",
    "dynamic_active_clusters": "cluster",
    "dynamic_route_configs": "route",
    "dynamic_active_secrets": "secret",
}
#: What a dump says of itself, and values of Secrets.
_OF_ITSELF = ("last_updated", "version_info", "client_status")


def changes(before: Dump, after: Dump) -> tuple[Change, ...]:
    """What came, went or is another, a line a resource and place."""
    was, now = dict(_resources(before)), dict(_resources(after))
    found = []
    for what, name in sorted({*was, *now}):
        old, new = was.get((what, name)), now.get((what, name))
        if old is None:
            found.append(Change(what, name, "is new", "info"))
        elif new is None:
            found.append(Change(what, name, "is gone"))
        elif what != "secret":
            found += [Change(what, name, it, "info") for it in _differences(old, new, "")]
    return in_order(found)


def _resources(dump: Dump) -> Iterator[tuple[tuple[str, str], Any]]:
    for part in dump.get("configs") or ():
        for key, what in _KINDS.items():
            for entry in part.get(key) or ():
                it = (entry.get("active_state") or entry) if key == "dynamic_listeners" else entry
                body = it.get(what) or it.get("route_config") or {}
                name = entry.get("name") or body.get("name") or ""
                yield (what, name), _plain(body)


def _plain(thing: Any) -> Any:
    if isinstance(thing, Mapping):
        return {key: _plain(it) for key, it in thing.items() if key not in _OF_ITSELF}
    return [_plain(it) for it in thing] if isinstance(thing, list) else thing


def _differences(old: Any, new: Any, at: str) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _differences(old.get(key), new.get(key), f"{at}.{key}" if at else str(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _differences(one, other, f"{at}[{number}]")
    elif old != new:
        yield f"{at}: {_short(old)} → {_short(new)}"


def _short(value: Any) -> str:
    if value is None:
        return "none"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
