"""
What is different between an object as we want it and as the cluster has it, without asking the
server.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.plans.defaults import without_defaults

MANAGER = "envoyfleet"
SERVER_OWNED = (
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)


def is_applied(wanted: Mapping[str, Any], live: Mapping[str, Any] | None) -> bool:
    """
    Whether server-side apply of ``wanted`` would change nothing: every field in it has that value
    in the cluster, and everything that we own there is still in it (Kubernetes docs, Server-Side
    Apply: a field that its last manager leaves out is removed). False may be wrong, for a value
    that the server normalises ("1" and "1000m"); then a dry run decides. True is never wrong.
    """
    if live is None:
        return False
    owned = owned_fields(live)
    if owned is None:  # nothing of it is ours; that is how it stays where the manifest says nothing
        return not says_anything(wanted)
    return (
        holds(live, wanted)
        and same_where_whole(owned, live, wanted)
        and not any(True for _ in left_out(owned, wanted))
    )


def says_anything(wanted: Mapping[str, Any]) -> bool:
    """
    Whether a manifest holds more than an identity. Server-side apply of a bare Namespace leaves no
    field to own.
    """
    return bool(
        set(wanted) - {"apiVersion", "kind", "metadata"}
        or set(wanted["metadata"]) - {"name", "namespace"}
    )


def holds(live: Any, wanted: Any) -> bool:
    """Whether ``live`` has everything that ``wanted`` says; lists must match item by item."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            key in live and holds(live[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(holds(a, b) for a, b in zip(live, wanted, strict=True))
        )
    return type(live) is type(wanted) and bool(live == wanted)


def same_where_whole(owned: Mapping[str, Any], live: Any, wanted: Any) -> bool:
    """
    Whether what the server keeps as a whole, such as the rules of an HTTPRoute, is the same on both
    sides. ``owned`` (see ``left_out``) ends there, so nothing tells a field that we left out from
    one that the server added.
    """
    for key, below in owned.items():
        mark, _, text = key.partition(":")
        if mark == "f" and isinstance(wanted, Mapping) and text in wanted:
            ours, theirs = wanted[text], live[text]
            if not below and without_defaults(ours, text) != without_defaults(theirs, text):
                return False
            if below and not same_where_whole(below, theirs, ours):
                return False
        elif mark == "k":
            keys = json.loads(text)
            ours, theirs = _item(wanted, keys), _item(live, keys)
            if ours is not None and not same_where_whole(below, theirs, ours):
                return False
    return True


def owned_fields(live: Mapping[str, Any], manager: str = MANAGER) -> Mapping[str, Any] | None:
    """
    The ``fieldsV1`` tree of what ``manager`` applied, or None where it never applied this object.
    """
    for entry in live["metadata"].get("managedFields") or ():
        if (
            entry.get("manager") == manager
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ):
            return dict(entry.get("fieldsV1") or {})
    return None


def other_manager(live: Mapping[str, Any], field: str) -> str | None:
    """Who beside us wrote something below a field such as "data", the last one; None is nobody."""
    entries = live["metadata"].get("managedFields") or ()
    others = [
        str(it.get("manager"))
        for it in entries
        if it.get("manager") != MANAGER and f"f:{field}" in (it.get("fieldsV1") or {})
    ]
    return others[-1] if others else None


def extracted(live: Mapping[str, Any], manager: str = MANAGER) -> dict[str, Any] | None:
    """
    What ``manager`` applied of an object, as the manifest that would apply it again, or None where
    it never did.
    """
    owned = owned_fields(live, manager)
    if owned is None:
        return None
    meta = live["metadata"]
    said = _owned_part(live, owned) if owned else {}
    place = {k: meta[k] for k in ("name", "namespace") if meta.get(k)}
    return {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        **said,
        "metadata": {**said.get("metadata", {}), **place},
    }


def _owned_part(live: Any, owned: Mapping[str, Any]) -> Any:
    if not owned:  # the server keeps it as a whole
        return live
    if isinstance(live, list):
        return [
            _owned_part(item, below) for item in live if (below := _entry(item, owned)) is not None
        ]
    found = {}
    for key, below in owned.items():
        name = key.removeprefix("f:")
        if key.startswith("f:") and isinstance(live, Mapping) and name in live:
            found[name] = _owned_part(live[name], below)
    return found


def _entry(item: Any, owned: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The part of a ``fieldsV1`` tree that is about this item of a list, or None."""
    for key, below in owned.items():
        mark, _, text = key.partition(":")
        if mark == "k" and isinstance(item, Mapping) and holds(item, json.loads(text)):
            return {k: v for k, v in below.items() if k != "."} or {}
        if mark == "v" and item == json.loads(text):
            return {}
    return None


def left_out(owned: Mapping[str, Any], wanted: Any, at: str = "") -> Iterator[str]:
    """
    Paths that we own in the cluster and no longer want, such as ".spec.listeners[name=https]".
    ``owned`` is a ``fieldsV1`` tree: "f:name" a field, 'k:{"name":"x"}' an item by key, 'v:"x"' an
    item by value, "." the thing itself (Kubernetes API reference, FieldsV1).
    """

    for key, below in owned.items():
        mark, _, text = key.partition(":")
        if key == ".":
            continue
        if mark == "f":
            if not isinstance(wanted, Mapping) or text not in wanted:
                yield f"{at}.{text}"
            elif below:
                yield from left_out(below, wanted[text], f"{at}.{text}")
        elif mark == "k":
            keys = json.loads(text)
            item = _item(wanted, keys)
            name = ",".join(f"{k}={v}" for k, v in keys.items())
            if item is None:
                yield f"{at}[{name}]"
            else:
                yield from left_out(below, item, f"{at}[{name}]")
        elif mark == "v" and json.loads(text) not in _items(wanted):
            yield f"{at}[{text}]"


def _items(wanted: Any) -> Sequence[Any]:
    return wanted if isinstance(wanted, list) else ()


def _item(things: Any, keys: Mapping[str, Any]) -> Any:
    """
    The item that has these keys, or None. A key may hold a default that the manifest leaves out,
    such as protocol: TCP of a port.
    """
    items = [it for it in _items(things) if isinstance(it, Mapping)]
    exact = (it for it in items if holds(it, keys))
    default = (it for it in items if all(it.get(k, v) == v for k, v in keys.items()))
    return next(exact, None) or next(default, None)


def diff(live: Mapping[str, Any] | None, planned: Mapping[str, Any]) -> list[str]:
    """
    The change as lines of a unified diff ("-  replicas: 1", "+  replicas: 2"), empty where there
    is none. What the server owns is left out, and a Secret shows that a value differs, never the
    value.
    """
    import yaml

    def text(thing: Mapping[str, Any] | None) -> list[str]:
        return yaml.safe_dump(thing, sort_keys=True).splitlines() if thing else []

    before, after = cleaned(live), cleaned(planned)
    if planned.get("kind") == "Secret":
        before, after = _masked(before, after)
    return list(difflib.unified_diff(text(before), text(after), n=2, lineterm=""))[2:]


def cleaned(thing: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The object without what the server owns, its status and the last-applied annotation."""
    if thing is None:
        return None
    meta = {k: v for k, v in thing.get("metadata", {}).items() if k not in SERVER_OWNED}
    notes = dict(meta.get("annotations") or {})
    notes.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    meta.pop("annotations", None)
    if notes:
        meta["annotations"] = notes
    return {**{k: v for k, v in thing.items() if k != "status"}, "metadata": meta}


def _masked(
    before: dict[str, Any] | None, after: dict[str, Any] | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    for field in ("data", "stringData"):
        old, new = (before or {}).get(field) or {}, (after or {}).get(field) or {}
        shown_old = {key: "***" if new.get(key) == old[key] else "*** (before)" for key in old}
        shown_new = {key: "***" if old.get(key) == new[key] else "*** (after)" for key in new}
        if before and old:
            before[field] = shown_old
        if after and new:
            after[field] = shown_new
    return before, after
