"""
What the proxies of a Gateway do otherwise after an upgrade: routes, clusters, listeners and Secrets
of two dumps of Envoy's configuration, compared by what they mean.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tasks.plans.rehearsals import phrases
from tasks.plans.rehearsals.change import Change, in_order
from tasks.plans.rehearsals.equal_forms import renamed
from tasks.plans.rehearsals.matches import meet
from tasks.plans.rehearsals.named import Thing
from tasks.plans.rehearsals.xds import things

#: The JSON of Envoy's /config_dump?include_eds.
Dump = Mapping[str, Any]
Pair = tuple[Thing, Thing]
#: Shares of requests are told all at once.
_WHOLE = (("clusters",), ("shares",))


def changes(before: Dump, after: Dump) -> tuple[Change, ...]:
    """What came, went or is done otherwise, a line each."""
    was, now = things(before), things(after)
    now = _known_names(was, now)
    found: list[Change] = []
    for what in phrases.KINDS:
        pairs, gone, new = paired(_of(what, was), _of(what, now))
        for one, other in pairs:
            found += _otherwise(one, other)
        if what == "virtual host":  # its routes say that it came or went
            continue
        found += [phrases.gone(it) for it in gone]
        found += [phrases.new(it) for it in new]
        if what == "route":
            found += _order(pairs)
    return in_order(found)


def _of(what: str, these: Iterable[Thing]) -> list[Thing]:
    return [it for it in these if it.what == what]


def paired(
    was: Sequence[Thing], now: Sequence[Thing]
) -> tuple[list[Pair], list[Thing], list[Thing]]:
    """The same things before and after, and those without one; by the surest key first."""
    pairs, gone, new = [], [*was], [*now]
    for number in range(max((len(it.keys) for it in was), default=0)):
        at: dict[Hashable, list[int]] = {}
        for index, it in enumerate(new):
            if number < len(it.keys):
                at.setdefault(it.keys[number], []).append(index)
        left, taken = [], set()
        for it in gone:
            found = at.get(it.keys[number]) if number < len(it.keys) else None
            if found:
                index = found.pop(0)
                taken.add(index)
                pairs.append((it, new[index]))
            else:
                left.append(it)
        gone, new = left, [it for index, it in enumerate(new) if index not in taken]
    return pairs, gone, new


def _known_names(was: Sequence[Thing], now: Sequence[Thing]) -> list[Thing]:
    """
    The new things with the old names of their clusters: those that were only called anew are known
    by what they do, or by the routes and listeners that send to them.
    """
    pairs, gone, new = paired(_of("cluster", was), _of("cluster", now))
    names = {other.keys[0]: one.keys[0] for one, other in pairs if one.keys[0] != other.keys[0]}
    lost, added = ({it.keys[0] for it in them} for them in (gone, new))
    if lost and added:
        for what in ("route", "listener"):
            for one, other in paired(_of(what, was), _of(what, now))[0]:
                if len(one.asks) == len(other.asks):
                    for old, young in zip(one.asks, other.asks, strict=True):
                        if old in lost and young in added:
                            names[young] = old
                            lost.discard(old)
                            added.discard(young)
    if not names:
        return [*now]
    return [_called(it, names) for it in now]


def _called(thing: Thing, names: Mapping[str, str]) -> Thing:
    keys = thing.keys
    if thing.what == "cluster":
        keys = (names.get(keys[0], keys[0]), *keys[1:])
    return replace(thing, keys=keys, says=renamed(dict(thing.says), names))


def _otherwise(one: Thing, other: Thing) -> Iterator[Change]:
    if one.says == other.says:
        return
    if one.what == "route" and one.says["match"] != other.says["match"]:
        yield phrases.match(one, other)
    for path, old, new in differences(one.says, other.says):
        if path[0] == "" or (one.what == "route" and path[0] == "match"):
            continue
        yield phrases.changed(one, path, old, new)


def differences(
    old: Any, new: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
    """Where two values differ, as deep as both have something: ("route", "timeout"), old, new."""
    if isinstance(old, Mapping) and isinstance(new, Mapping) and path[-1:] not in _WHOLE:
        for key in (*old, *(it for it in new if it not in old)):
            yield from differences(old.get(key), new.get(key), (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and _deep(old):
        for number, (one, another) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, another, (*path, number))
    elif path and path[-1:] not in _WHOLE and _single_beside_none(old, new):
        for key in old or new:
            one, another = (it and it[key] for it in (old, new))
            yield from differences(one, another, (*path, key))
    elif old != new or type(old) is not type(new):
        yield path, old, new


def _single_beside_none(old: Any, new: Any) -> bool:
    return (old is None or new is None) and _single(old if new is None else new)


def _single(value: Any) -> bool:
    """Whether it is a message of one field, whose name tells more than its own."""
    return isinstance(value, Mapping) and len({*value} - {"type"}) == 1


def _deep(value: Sequence[Any]) -> bool:
    return any(isinstance(it, Mapping) for it in value)


def _order(pairs: Sequence[Pair]) -> Iterator[Change]:
    """Routes that are asked in another order, where one request can meet both: the first wins."""
    hosts: dict[Hashable, list[Pair]] = {}
    for one, other in pairs:
        hosts.setdefault(one.keys[0][:2], []).append((one, other))
    for them in hosts.values():
        ranks = [other.says[""] for _, other in them]
        if ranks == sorted(ranks):
            continue
        for index, (one, other) in enumerate(them):
            for first, moved in them[:index]:
                if moved.says[""] > other.says[""] and meet(first.says, one.says):
                    yield phrases.order(first, one)
                    break
