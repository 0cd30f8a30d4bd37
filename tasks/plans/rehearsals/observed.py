"""
What a cluster showed before and after: conditions that turned, fields that new CRDs dropped or
filled in, and requests that are answered otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.plans.kinds import title
from tasks.plans.probes import Answer, Request, Seen
from tasks.plans.rehearsals.change import Change, Severity, in_order

Object = Mapping[str, Any]
#: Conditions that are good where they are True; of any other, True is what has to be looked at
#: (Gateway API and Envoy Gateway 1.9 references, condition types).
GOOD = ("Accepted", "Programmed", "ResolvedRefs", "Ready", "BackendsAvailable")
#: True tells something, and takes nothing away.
TOLD = ("Merged", "Aggregated", "Overridden")
#: Where a status keeps conditions of several, and what each is named by.
_PARTS: Mapping[str, Callable[[Object], str]] = {
    "listeners": lambda it: f"listener {it['name']}",
    "parents": lambda it: _reference(it["parentRef"]),
    "ancestors": lambda it: _reference(it["ancestorRef"]),
}
_LONGEST = 60


@dataclass(frozen=True)
class Look:
    """
    A cluster at one moment. + objects: by title; + dumps: of a proxy of each Gateway, as Envoy
    gave them; + answers: by ``probes.at``
    """

    objects: Mapping[str, Object]
    dumps: Mapping[str, Object]
    answers: Mapping[Request, Answer | str]


def conditions(thing: Object) -> dict[tuple[str, str], Object]:
    """
    The conditions of an object, by part and type: ("", "Accepted"), ("listener https",
    "Programmed"), ("Gateway edge/public", "Accepted").
    """
    status = thing.get("status") or {}
    found = {("", it["type"]): it for it in status.get("conditions") or ()}
    for key, name in _PARTS.items():
        for part in status.get(key) or ():
            for it in part.get("conditions") or ():
                found[name(part), it["type"]] = it
    return found


def _reference(ref: Object) -> str:
    place = f"{ref['namespace']}/" if ref.get("namespace") else ""
    section = f", {ref['sectionName']}" if ref.get("sectionName") else ""
    return f"{ref.get('kind', 'Gateway')} {place}{ref['name']}{section}"


def signature(thing: Object) -> str:
    """What an object's status says, whenever it said so: equal as long as nothing happens."""
    said = {
        f"{part}/{kind}": (it["status"], it.get("reason"), it.get("observedGeneration"))
        for (part, kind), it in conditions(thing).items()
    }
    return json.dumps([title(thing), said, _attached(thing)], sort_keys=True)


def turned(before: Mapping[str, Object], after: Mapping[str, Object]) -> tuple[Change, ...]:
    """
    Conditions that say something else now, and routes that are attached no longer. + before, after:
    objects by title, as they were read
    """
    found: list[Change] = []
    for name, was in before.items():
        now = after.get(name)
        if now is None:
            found.append(Change("object", name, "is not there any more", "error"))
            continue
        found += _turned(name, conditions(was), conditions(now))
        found += _detached(name, _attached(was), _attached(now))
    return in_order(found)


def _turned(
    name: str, was: Mapping[tuple[str, str], Object], now: Mapping[tuple[str, str], Object]
) -> Iterator[Change]:
    for part, kind in sorted({*was, *now}):
        old, new = was.get((part, kind)), now.get((part, kind))
        where = f"{part}: " if part else ""
        if kind in GOOD:
            if _is(old) and not _is(new):
                yield Change("condition", name, f"{where}{_said(kind, new)}", "error")
            elif new and old and _is(new) and not _is(old):
                yield Change("condition", name, f"{where}{kind} is True now", "info")
        elif _is(new) and not _is(old):
            severity: Severity = "info" if kind in TOLD else "warning"
            yield Change("condition", name, f"{where}{_said(kind, new)}", severity)


def _is(condition: Object | None) -> bool:
    return condition is not None and condition["status"] == "True"


def _said(kind: str, condition: Object | None) -> str:
    if condition is None:
        return f"{kind} is no longer reported"
    message = f": {condition['message']}" if condition.get("message") else ""
    return f"{kind} is {condition['status']} now: {condition.get('reason')}{message}"


def _attached(thing: Object) -> dict[str, int]:
    listeners = (thing.get("status") or {}).get("listeners") or ()
    return {it["name"]: int(it.get("attachedRoutes") or 0) for it in listeners}


def _detached(name: str, was: Mapping[str, int], now: Mapping[str, int]) -> Iterator[Change]:
    for listener, count in was.items():
        left = now.get(listener, 0)
        if left < count:
            words = f"listener {listener}: {left} routes are attached, {count} were"
            yield Change("condition", name, words, "error")


def dropped(before: Mapping[str, Object], after: Mapping[str, Object]) -> tuple[Change, ...]:
    """Fields that were there under the old CRDs and are not, or are another, under the new."""
    return in_order(
        Change("field", name, words, "error")
        for name, was in before.items()
        if name in after
        for words in _lost(was.get("spec"), after[name].get("spec"), "spec")
    )


def filled_in(before: Mapping[str, Object], after: Mapping[str, Object]) -> tuple[Change, ...]:
    """Fields that nobody sent, and that the new CRDs give a value."""
    return in_order(
        Change("field", name, words, "info")
        for name, was in before.items()
        if name in after
        for words in _new(was.get("spec"), after[name].get("spec"), "spec")
    )


def _lost(was: Any, now: Any, at: str) -> Iterator[str]:
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key, it in was.items():
            if it is None:
                continue
            if key in now:
                yield from _lost(it, now[key], f"{at}.{key}")
            else:
                yield f"{at}.{key}{_shown(it)} is dropped by the new CRDs"
    elif isinstance(was, list) and isinstance(now, list):
        if len(now) != len(was):
            yield f"{at} has {len(now)} items under the new CRDs, {len(was)} before"
        for number, (one, other) in enumerate(zip(was, now, strict=False)):
            yield from _lost(one, other, f"{at}[{number}]")
    elif type(was) is not type(now) or was != now:
        yield f"{at} is another under the new CRDs{_shown(was, ' was')}{_shown(now, ' is')}"


def _new(was: Any, now: Any, at: str) -> Iterator[str]:
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key, it in now.items():
            if key in was:
                yield from _new(was[key], it, f"{at}.{key}")
            else:
                yield f"{at}.{key} is filled in by the new CRDs{_shown(it)}"
    elif isinstance(was, list) and isinstance(now, list):
        for number, (one, other) in enumerate(zip(was, now, strict=False)):
            yield from _new(one, other, f"{at}[{number}]")


def _shown(value: Any, before: str = "") -> str:
    """A number, a switch or a short word of an API; of any other text only that it is there."""
    plain = isinstance(value, bool | int | float) or (
        isinstance(value, str) and len(value) <= _LONGEST and value.replace("-", "").isalnum()
    )
    return f"{',' if before else ''}{before} ({json.dumps(value)})" if plain else ""


def answered(
    before: Mapping[Request, Answer | str], after: Mapping[Request, Answer | str]
) -> tuple[Change, ...]:
    """
    Requests that were answered and are answered otherwise. + before, after: by
    ``probes.at``; a text says why there was no answer
    """
    found = []
    for request, was in before.items():
        if isinstance(was, str):
            continue
        now = after.get(request, "is not sent any more: its listener or its address went")
        name = f"HTTPRoute {request.route}" if request.route else f"Gateway {request.gateway}"
        asked = _asked(request)
        if isinstance(now, str):
            found.append(Change("request", name, f"{asked}: {_status(was)}, now: {now}", "error"))
        elif now.status != was.status:
            worse = was.status < 400 <= now.status or now.status >= 500 > was.status
            words = f"{asked}: {_status(was)}, now {_status(now)}"
            found.append(Change("request", name, words, "error" if worse else "warning"))
        elif (now.certificate, was.certificate).count(None) == 1:
            found.append(Change("request", name, f"{asked}: its TLS is another", "error"))
    return in_order(found)


def lost(seen: Seen | None) -> tuple[Change, ...]:
    """What the requests met that ran while the cluster was upgraded."""
    if seen is None or not seen.failures:
        return ()
    return (Change("request", "requests while upgrading", seen.text, "warning"),)


def _asked(request: Request) -> str:
    if request.scheme == "tcp":
        return f"a connection to port {request.port}"
    return f"{request.scheme}://{request.host}:{request.port}{request.path}"


def _status(answer: Answer) -> str:
    return str(answer.status) if answer.status else "connected"


def words_of(refusals: Mapping[str, str]) -> tuple[Change, ...]:
    """+ refusals: by title, why the API server would not take the object as it is"""
    return in_order(
        Change("object", name, f"would be refused by the new CRDs: {why}", "error")
        for name, why in refusals.items()
    )


def left_behind(*changes: Sequence[Change]) -> tuple[Change, ...]:
    """What is another after the way back than it was before the upgrade."""
    return in_order(it for them in changes for it in them if it.severity != "info")
