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

#: A place in an object, from the outside in, as ``fieldsV1`` writes it: "f:name" a field,
#: 'k:{"name":"x"}' an item by key, 'v:"x"' an item by value (Kubernetes API reference, FieldsV1).
Path = tuple[str, ...]

MANAGER = "envoyfleet"
#: Fields that are everybody's: labels, annotations, finalizers, and what controllers say.
OF_ALL = ("f:metadata", "f:status")
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
    that the server normalises ("1" and "1000m"); then a dry run decides. True is never wrong; what
    others set beside it is their own, see ``added``.
    """
    if live is None:
        return False
    owned = owned_fields(live)
    if owned is None:  # nothing of it is ours; that is how it stays where the manifest says nothing
        return not says_anything(wanted)
    return (
        holds(live, wanted)
        and not any(True for _ in differing_wholes(live, wanted))
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


def differing_wholes(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Path]:
    """
    Where what the server keeps as a whole, such as the rules of an HTTPRoute, is not the same on
    both sides, whoever has it now: who changes a part of it, such as a filter, takes all of it.
    """
    for entry in live["metadata"].get("managedFields") or ():
        if not entry.get("subresource"):
            yield from _differing_wholes(entry.get("fieldsV1") or {}, live, wanted)


def _differing_wholes(
    fields: Mapping[str, Any], live: Any, wanted: Any, at: Path = ()
) -> Iterator[Path]:
    """
    ``fields`` (see ``left_out``) end at a whole, so nothing tells a field that we left out from one
    that the server added.
    """
    for key, below in fields.items():
        mark, _, text = key.partition(":")
        if mark == "f" and isinstance(wanted, Mapping) and text in wanted:
            ours, theirs = wanted[text], live.get(text) if isinstance(live, Mapping) else None
            if below:
                yield from _differing_wholes(below, theirs, ours, (*at, key))
            elif without_defaults(ours, text) != without_defaults(theirs, text):
                yield (*at, key)
        elif mark == "k":
            keys = json.loads(text)
            ours, theirs = _item(wanted, keys), _item(live, keys)
            if ours is not None:
                yield from _differing_wholes(below, theirs, ours, (*at, key))


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
    return None if owned is None else _manifest(live, owned)


def extracted_of_all(live: Mapping[str, Any]) -> dict[str, Any]:
    """
    What anybody set of an object, as one manifest: all of it but what the server filled in, what
    controllers say of it, and the labels and annotations of others.
    """
    said: dict[str, Any] = dict(owned_fields(live) or {})
    for entry in live["metadata"].get("managedFields") or ():
        if entry.get("manager") != MANAGER and not entry.get("subresource"):
            tree = {k: v for k, v in (entry.get("fieldsV1") or {}).items() if k not in OF_ALL}
            said = _joined(said, tree)
    return _manifest(live, said)


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two ``fieldsV1`` trees; what is a whole in one is a whole."""
    found = dict(one)
    for key, below in other.items():
        there = found.get(key)
        found[key] = _joined(there, below) if there and below else {} if there == {} else below
    return found


def _manifest(live: Mapping[str, Any], owned: Mapping[str, Any]) -> dict[str, Any]:
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


def left_out(owned: Mapping[str, Any], wanted: Any, at: Path = ()) -> Iterator[Path]:
    """
    What of a manager's ``fieldsV1`` tree a manifest does not say, the whole of each branch: of our
    own, what we no longer want.
    """
    for key, below in owned.items():
        mark, _, text = key.partition(":")
        if key == ".":  # the thing itself
            continue
        if mark == "f":
            if not isinstance(wanted, Mapping) or text not in wanted:
                yield (*at, key)
            elif below:
                yield from left_out(below, wanted[text], (*at, key))
        elif mark == "k":
            item = _item(wanted, json.loads(text))
            if item is None:
                yield (*at, key)
            else:
                yield from left_out(below, item, (*at, key))
        elif mark == "v" and json.loads(text) not in _items(wanted):
            yield (*at, key)


def spelt(path: Path) -> str:
    """Such as ".spec.listeners[name=https]"; a field with a dot or slash in quotes."""
    found = ""
    for step in path:
        mark, _, text = step.partition(":")
        if mark == "f":
            found += f'["{text}"]' if "." in text or "/" in text else f".{text}"
        elif mark == "k":
            found += f"[{','.join(f'{k}={v}' for k, v in json.loads(text).items())}]"
        else:
            found += f"[{text}]"
    return found


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
