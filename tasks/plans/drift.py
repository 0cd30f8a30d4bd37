"""What differs between wanted objects and those of a cluster, and whose doing it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

from tasks.plans import added, gitops, objects, ours
from tasks.plans.kinds import title
from tasks.plans.references import Reference, references, to

Object = Mapping[str, Any]
#: From the outside in: names of fields, and whole items of lists.
Path = tuple[Any, ...]
State = Literal["missing", "changed", "set by others", "not wanted", "kept by others"]


@dataclass(frozen=True)
class Difference:
    """
    + object: such as "HTTPRoute shop/cart"; + by: who wrote it last, such as "kubectl-edit" or
      "Argo CD application shop"; None where only the inventory changed since
    + fields: such as ".spec.rules"
    """

    state: State
    thing: Object
    by: str | None = None
    fields: tuple[str, ...] = ()

    @property
    def object(self) -> str:
        return title(self.thing)


@dataclass(frozen=True)
class Drift:
    """
    + differences: all of them, in the order of the objects; + writes: wanted objects that may have
      to be applied, those that others keep left out; + leftovers: ours that are not wanted any more
    + added: by object, what others have set in it that the inventory does not say
    """

    differences: tuple[Difference, ...]
    writes: tuple[Object, ...]
    leftovers: tuple[Object, ...]
    added: Mapping[Reference, tuple[objects.Path, ...]]


def drift(
    wanted: Sequence[Object],
    live: Mapping[Reference, Object],
    fresh: Mapping[Reference, Object] | None = None,
) -> Drift:
    """
    What differs. A field that the server would fill in or write otherwise may be among it: a dry
    run decides, see ``objects.is_applied``.

    + fresh: what the server would store of wanted objects if they were new, of those that
      ``suspect`` names
    """
    found: list[Difference] = []
    writes: list[Object] = []
    more: dict[Reference, tuple[objects.Path, ...]] = {}
    for thing in wanted:
        there = live.get(to(thing))
        by = gitops.keeper(there) if there else None
        beside = {}
        if there and not by:
            beside = added.additions(thing, there, (fresh or {}).get(to(thing)))
            there = added.without(there, [*beside]) if beside else there
        if there is None:
            found.append(Difference("missing", thing))
            writes.append(thing)
        elif by:
            fields = [_text(it) for it in differing(ours.unlabelled(thing), there)]
            if fields:
                found.append(Difference("kept by others", thing, by, tuple(fields)))
        elif not objects.is_applied(thing, there):
            found.append(changed(thing, there))
            writes.append(thing)
        if beside:
            found.append(_set_by_others(thing, beside))
            more[to(thing)] = tuple(beside)
    known = {to(it) for it in wanted}
    left = [it for key, it in live.items() if key not in known and ours.is_ours(it)]
    leftovers = [it for it in left if not gitops.keeper(it)]
    found += [Difference("not wanted", it) for it in leftovers]
    return Drift(tuple(found), tuple(writes), tuple(leftovers), more)


def suspect(wanted: Sequence[Object], live: Mapping[Reference, Object]) -> list[Object]:
    """Wanted objects in which others have set something that may be no more than a default."""
    return [
        it
        for it in wanted
        if (there := live.get(to(it))) and not gitops.keeper(there) and added.additions(it, there)
    ]


def _set_by_others(thing: Object, beside: Mapping[objects.Path, Sequence[str]]) -> Difference:
    authors = dict.fromkeys(one for it in beside.values() for one in it)
    return Difference("set by others", thing, ", ".join(authors), (*map(objects.spelt, beside),))


def changed(thing: Object, there: Object) -> Difference:
    """The difference of one object that is there."""
    paths = [*differing(thing, there)]
    owned = objects.owned_fields(there) or {}
    wholes = [*objects.differing_wholes(there, thing)]
    gone = [*objects.left_out(owned, thing)]
    authors = dict.fromkeys(
        by for it in [*paths, *map(_names, wholes)] if (by := _author(there, it))
    )
    fields = dict.fromkeys([*map(_text, paths), *map(objects.spelt, [*wholes, *gone])])
    return Difference("changed", thing, ", ".join(authors) or None, tuple(fields))


def differing(wanted: Any, there: Any, at: Path = ()) -> Iterator[Path]:
    """Where a cluster's object does not hold what is wanted."""
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        for key, value in wanted.items():
            if key not in there:
                yield (*at, key)
            else:
                yield from differing(value, there[key], (*at, key))
    elif not objects.holds(there, wanted):
        yield at


def still_used(gone: Iterable[Object], live: Iterable[Object]) -> dict[str, list[str]]:
    """
    By object that is to go, such as "Gateway edge/old", what stays and refers to it: nothing of
    others is taken the ground from.
    """
    going = {to(it): title(it) for it in gone}
    found: dict[str, list[str]] = {}
    for thing in live:
        if to(thing) not in going:
            for it in references(thing):
                if it in going:
                    found.setdefault(going[it], []).append(title(thing))
    return found


def _author(there: Object, path: Path) -> str | None:
    """The manager beside us that wrote a field last, as far as the object remembers."""
    entries = [
        it
        for it in there["metadata"].get("managedFields") or ()
        if it.get("manager") != objects.MANAGER
        and not it.get("subresource")
        and _owns(it.get("fieldsV1") or {}, path)
    ]
    newest = max(entries, key=lambda it: str(it.get("time", "")), default=None)
    return str(newest.get("manager")) if newest else None


def _owns(tree: Mapping[str, Any], path: Path) -> bool:
    """Whether a ``fieldsV1`` tree holds a field, or the whole that it is in, or a part of it."""
    for step in path:
        if not tree:
            return True
        below = tree.get(f"f:{step}")
        if below is None:
            return False
        tree = below
    return True


def _names(path: objects.Path) -> Path:
    """As far as they are names of fields."""
    found = [it.partition(":") for it in path]
    return tuple(text for _, _, text in takewhile(lambda it: it[0] == "f", found))


def _text(path: Path) -> str:
    """Such as ".spec.hostnames"; a key with a dot in quotes."""
    return "".join(f'["{it}"]' if "." in str(it) or "/" in str(it) else f".{it}" for it in path)


def as_dict(it: Difference, origin: str | None) -> dict[str, Any]:
    """For JSON."""
    return {
        "object": it.object,
        "state": it.state,
        "by": it.by,
        "fields": [*it.fields],
        "origin": origin,
    }
