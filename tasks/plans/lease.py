"""
Who changes a cluster now, and what its last good state was: both are on one Lease in the namespace
of the controller, so that a run in a fresh container on another machine knows them too.

The fields are those of the Kubernetes API reference, coordination.k8s.io/v1 Lease; what they cannot
hold is in annotations.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

from tasks.plans.pem import printable

NAME = "envoyfleet"
HOLDER = "envoyfleet.dev/holder"
STEP = "envoyfleet.dev/step"
STATE = "envoyfleet.dev/state"
LAST_GOOD = "envoyfleet.dev/last-good"
CAME_FROM = "envoyfleet.dev/came-from"
JOURNAL = "envoyfleet.dev/journal"
VALUES = "envoyfleet.dev/values"

#: "changing" while a run works on the cluster, and for good where it was broken off.
State = Literal["changing", "good", "rolled back", "failed"]
#: Signs of a step that somebody may have written there.
LONGEST = 200
T = TypeVar("T", "Holder", "LastGood")


@dataclass(frozen=True)
class Holder:
    """
    The process that works on a cluster.

    + run: such as "20261121T140211Z-upgrade"; + who: such as "anna@jump-1"
    + machine, boot, processes: name of the machine, identity of its boot, of its process namespace
    + pid, begun: of the process, ``begun`` in the clock ticks of /proc/<pid>/stat
    """

    run: str
    who: str
    machine: str
    boot: str
    processes: str
    pid: int
    begun: int


@dataclass(frozen=True)
class LastGood:
    """
    The state to go back to.

    + revision: of Helm; + version: of Envoy Gateway, such as "1.8.3"
    + backup: path of the archive on the machine that made it, None without one; + run: that
      recorded it
    """

    revision: int
    version: str
    backup: str | None
    run: str


def holder(lease: Mapping[str, Any] | None) -> Holder | None:
    """Who holds a Lease, or None where nobody does, or nobody that is known."""
    if lease is None or not (lease.get("spec") or {}).get("holderIdentity"):
        return None
    known = read_holder(_document(_notes(lease).get(HOLDER)))
    return known or Holder(str(lease["spec"]["holderIdentity"]), "somebody", "", "", "", 0, 0)


def read_holder(found: Any) -> Holder | None:
    """Off a Lease or a journal; None where it is of another form."""
    return _of_form(Holder, found)


def last_good(lease: Mapping[str, Any] | None) -> LastGood | None:
    """The state before the last change, or None where nothing that can be read is remembered."""
    return _good(lease, LAST_GOOD)


def came_from(lease: Mapping[str, Any] | None) -> LastGood | None:
    """
    The state before the last change of the version: what somebody wants back who asks for a way
    back, however often routes or CRDs were changed since. None as for ``last_good``.
    """
    return _good(lease, CAME_FROM)


def _good(lease: Mapping[str, Any] | None, key: str) -> LastGood | None:
    return _of_form(LastGood, _document(_notes(lease or {}).get(key)))


def _document(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None


def _of_form(cls: type[T], found: Any) -> T | None:
    """
    One of ``cls`` with all of its fields, each of its type and fit to be printed; what else is
    there is left out.
    """
    forms = {"str": str, "int": int, "str | None": str | None}
    known = {it.name: forms[str(it.type)] for it in fields(cls)}
    if not isinstance(found, Mapping):
        return None
    if not all(key in found and isinstance(found[key], form) for key, form in known.items()):
        return None
    if not all(str(found[key]).isprintable() for key in known):
        return None
    return cls(**{key: found[key] for key in known})


def state(lease: Mapping[str, Any] | None) -> str | None:
    """A ``State``, or None for a cluster that envoyfleet never changed."""
    return _notes(lease or {}).get(STATE)


def left_half_way(lease: Mapping[str, Any] | None, deployed: str | None) -> bool:
    """
    Whether the last change was broken off or failed, and nobody has mended it since: then the state
    before it stays the one to go back to. ``deployed``: when the revision that is deployed was
    begun, None where none is; one begun after the Lease ran out is somebody else's doing.
    """
    if lease is None or state(lease) not in ("changing", "failed"):
        return False
    return deployed is None or not _ran_out(lease, datetime.fromisoformat(deployed))


def applied_values(lease: Mapping[str, Any] | None) -> str | None:
    """The digest of the Helm values that envoyfleet itself applied last, or None."""
    return _notes(lease or {}).get(VALUES)


def journal_cut(lease: Mapping[str, Any] | None, run: str, heads: Collection[str]) -> str | None:
    """
    Why the journal of ``run`` is not the one under which this Lease was written, or None: its end
    was taken away, which the journal itself cannot tell.

    + heads: every hash that the journal's newest line ever had
    """
    found, head = holder(lease), _notes(lease or {}).get(JOURNAL)
    if found is None or found.run != run or head is None or head in heads:
        return None
    return (
        f"runs/{run}/journal.jsonl lacks lines that were there when this cluster was changed: it "
        "is not trusted; find out who changed it, and move its folder away to begin anew"
    )


def refusal(lease: Mapping[str, Any] | None, me: Holder, now: datetime, dead: bool) -> str | None:
    """
    Why ``me`` may not take this Lease, in a line, or None: it is free, my own, has run out, or its
    holder is known to be dead.

    + dead: whether the holder was a process of this machine that is no more
    """
    found = holder(lease)
    if lease is None or found is None or found == me or dead or _ran_out(lease, now):
        return None
    notes, spec = _notes(lease), lease["spec"]
    since, step = _when(spec.get("acquireTime")), notes.get(STEP) or "step not known"
    return printable(
        f"run {found.run} of {found.who} works on this cluster since {since} "
        f"({step[:LONGEST]}): wait for its end, or until its Lease "
        f"{lease['metadata']['namespace']}/{NAME} runs out "
        f"{spec.get('leaseDurationSeconds', 0)} s after it died"
    )


def held(
    lease: Mapping[str, Any] | None, me: Holder, now: datetime, seconds: int, namespace: str
) -> dict[str, Any]:
    """
    The Lease as ``me`` holds it from now on; everything it remembers stays, but for the journal of
    another run.
    """
    before, found = dict(lease or _new(namespace)), holder(lease)
    spec = dict(before.get("spec") or {})
    if found != me:
        spec["acquireTime"] = stamp(now)
        spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (lease is not None)
    spec |= {
        "holderIdentity": f"{me.run} {me.who}",
        "leaseDurationSeconds": seconds,
        "renewTime": stamp(now),
    }
    mine = {HOLDER: json.dumps(asdict(me), separators=(",", ":"))}
    if found is None or found.run != me.run:
        mine[JOURNAL] = ""
    return noted({**before, "spec": spec}, mine)


def released(lease: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The Lease that nobody holds; what it remembers stays."""
    spec = {**lease["spec"], "holderIdentity": "", "renewTime": stamp(now)}
    return noted({**lease, "spec": spec}, {HOLDER: "", STEP: ""})


def noted(lease: Mapping[str, Any], notes: Mapping[str, str]) -> dict[str, Any]:
    """The Lease with these annotations added; an empty text takes one away."""
    kept = {key: value for key, value in {**_notes(lease), **notes}.items() if value}
    return {**lease, "metadata": {**lease["metadata"], "annotations": kept}}


def remembered(good: LastGood, version: str) -> dict[str, str]:
    """
    The annotations for ``noted`` that ``last_good`` and ``came_from`` read again.

    + version: the one that comes now
    """
    text = json.dumps(asdict(good), separators=(",", ":"))
    return {LAST_GOOD: text, **({CAME_FROM: text} if good.version != version else {})}


def stamp(moment: datetime) -> str:
    """A MicroTime of the API: "2026-11-21T14:02:11.000000Z"."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _new(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": NAME, "namespace": namespace},
    }


def _notes(lease: Mapping[str, Any]) -> dict[str, str]:
    return dict((lease.get("metadata") or {}).get("annotations") or {})


def _ran_out(lease: Mapping[str, Any], now: datetime) -> bool:
    spec = lease.get("spec") or {}
    try:
        renewed = datetime.fromisoformat(spec["renewTime"])
    except (KeyError, TypeError, ValueError):
        return True
    return now > renewed + timedelta(seconds=int(spec.get("leaseDurationSeconds") or 0))


def _when(text: str | None) -> str:
    return "a time not known" if text is None else text.partition(".")[0].replace("T", " ") + " UTC"
