"""
What stands around every change of a cluster: its Lease, its last good state, and its backup, taken
before the first write and by nobody else at the same time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import gevent
from gevent.lock import RLock
from pyinfra import host, state
from pyinfra.api.exceptions import DeployError, OperationError

from tasks import backup
from tasks.connectors.api import Api, ApiError
from tasks.connectors.command import APPLY, Call
from tasks.facts.helm import HelmRecords, HelmRelease
from tasks.facts.kube import KubeObject
from tasks.fleet import journal, process
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import Steps, fact, fleet_operation, session
from tasks.fleet.inventory import Cluster
from tasks.operations import announcements
from tasks.operations.kube import live_objects
from tasks.plans import helm as releases
from tasks.plans import kinds, lease, memory, preflight
from tasks.plans.lease import Holder, LastGood
from tasks.plans.objects import MANAGER
from tasks.plans.preflight import Reason

API = "coordination.k8s.io/v1"
#: A Lease is renewed this often before it runs out.
RENEWALS = 3


@dataclass
class _Change:
    """
    A cluster while this run changes it.

    + before: the Lease as this run found it
    + entered: whether it says that the cluster is being changed; only then was anything written
    + lost: why the Lease is no longer ours
    """

    data: Cluster
    lease: dict[str, Any]
    before: Mapping[str, Any] | None = None
    good: LastGood | None = None
    entered: bool = False
    lost: str | None = None
    renewing: Any = field(default=None, repr=False)
    writing: RLock = field(default_factory=RLock, repr=False)

    @property
    def after(self) -> Holder | None:
        """Who held the Lease before, where that run was broken off."""
        return lease.holder(self.before)


_changes: dict[str, _Change] = {}


def heed(reasons: Iterable[Reason], data: Cluster) -> None:
    """
    What speaks against a change of this cluster: warnings are said and reported, and what stops it
    raises DeployError.
    """
    stops, warnings = preflight.settled(reasons, data.accept)
    for it in warnings:
        host.log(f"warning: {it}")
    if warnings:
        fleet_run.note(host, "warning", "; ".join(warnings))
    if stops:
        raise DeployError("; ".join(stops))


def begin(data: Cluster, going_back: bool = False, release: bool = True) -> bool:
    """
    Called by an operation before it writes, as often as it likes: the first call takes the Lease,
    writes down the last good state and makes the backup. True where it did that now, so that the
    caller decides again: what it had read may be older than the Lease. Does nothing while a run is
    only planned.

    + going_back: the last good state stays the one that is remembered
    + release: False where neither the release nor our objects change, such as for a certificate:
      the Lease alone, without a backup, and what it remembers stays

    Raises OperationError where another run holds the Lease, or took it from us.
    """
    if not state.is_executing:
        return False
    change = _changes.get(host.name)
    if change is not None:
        if change.lost:
            raise OperationError(change.lost)
        return False
    change = _changes[host.name] = _Change(data, *_taken(data))
    fleet_run.current().changed.add(host.name)
    _renew(change)
    fleet_run.current().at_first_write.pop(host.name, lambda: None)()
    announcements.begun(data)
    if not release:
        fleet_run.journal("change", cluster=host.name, last_good=None, backup=None, goes_on=False)
        return True
    before = lease.last_good(change.lease)
    records = fact(HelmRecords, release=data.release, namespace=data.namespace)
    broken_off = lease.left_half_way(change.before, releases.finished_since(records))
    made = backup.made(data)
    archive = None if made is None else str(made)
    keep = going_back or (broken_off and before is not None)
    change.good = before if keep else _now_good(data, records, archive)
    fleet_run.journal(
        "change",
        cluster=host.name,
        last_good=change.good and asdict(change.good),
        backup=archive,
        goes_on=broken_off,
    )
    good: dict[str, str] = {}
    if change.good and not keep:
        good = lease.remembered(change.good, data.envoy_gateway_version)
    _write(change, {lease.STATE: "changing", **good})
    change.entered = True
    if archive:
        fleet_run.note(host, "backup", archive)
    return True


def begun() -> bool:
    """Whether this run has begun to change this cluster."""
    return host.name in _changes


def last_good() -> LastGood | None:
    """The state that this run would go back to on this cluster, once it began to change it."""
    change = _changes.get(host.name)
    return change.good if change else None


def without_programs() -> bool:
    """
    End what this run, or the one that it took over from, still has running for this cluster on this
    machine. True where nothing else of theirs can be at work.
    """
    change = _changes[host.name]
    runs = {fleet_run.current().id, *([change.after.run] if change.after else [])}
    ended = process.end_programs(runs, host.name)
    if ended:
        host.log(f"ended {ended} programs that a broken off attempt had left running")
    return ended > 0 or (change.after is not None and process.is_dead(change.after))


def note_values(values: Mapping[str, Any]) -> None:
    """Remember on the Lease that these Helm values are envoyfleet's own doing."""
    change = _changes.get(host.name)
    if change is not None:
        _write(change, {lease.VALUES: memory.digest(values)})


def read_lease(data: Cluster) -> dict[str, Any] | None:
    """The cluster's Lease, or None. One request."""
    return fact(
        KubeObject, api_version=API, kind="Lease", resource=lease.NAME, namespace=data.namespace
    )


def held_by_another(data: Cluster) -> str | None:
    """
    Why this run may not change the cluster now, such as "run 20261121T140211Z-upgrade of
    anna@jump-1 works on this cluster since ...", or None. One request.
    """
    return refusal(read_lease(data))


@fleet_operation()
def ended(data: Cluster) -> Steps:
    """
    Give the Lease back and say on it how the cluster was left: good, rolled back or failed.
    """
    yield from ()
    change = _changes.pop(host.name, None)
    if not state.is_executing:
        return
    announcements.ended(data)
    if change is None:
        return
    run = fleet_run.current()
    how = "good"
    if host.name in run.failures:
        how = "rolled back" if host.name in run.rolled_back else "failed"
    if change.renewing is not None:
        change.renewing.kill()
    if change.lost:
        raise OperationError(change.lost)
    how = how if change.entered else lease.state(change.before) or ""
    now = fleet_run.now()
    _put(session(), lease.released(lease.noted(change.lease, {lease.STATE: how}), now))
    fleet_run.journal("change ended", cluster=host.name, state=how)


def remember_objects(
    data: Cluster,
    was: Sequence[Mapping[str, Any]],
    wanted: Sequence[Mapping[str, Any]],
    whole: bool = False,
) -> None:
    """
    Called before our objects are written: keep them as they are now, in the cluster itself, because
    a job in a fresh container must find them. What an attempt that was broken off had kept stays.

    + was: what the inventory renders for the last good version; + wanted: for the version that
      comes; + whole: also what others set of them
    """
    if not state.is_executing:
        return
    found, of_run = _memory(data), _good_run()
    if found is not None and memory.run(found) == of_run:
        return
    kept = memory.kept(was, wanted, live_objects(was), data.namespace, of_run, whole)
    query = {"fieldManager": MANAGER, "force": "true"}
    session().text(Call("PATCH", kinds.path_of(kept), query, kept, APPLY, None, frozenset()))


def _good_run() -> str:
    """
    The run whose last good state this one would go back to; a cluster whose controller no Helm
    release has, such as one of AKS, has only this one's.
    """
    good = last_good()
    return good.run if good else fleet_run.current().id


def objects_before_this_change(data: Cluster) -> memory.Objects | None:
    """As ``remember_objects`` kept them in this change, None where nothing was to be written."""
    found = _memory(data)
    return memory.read(found) if found is not None and memory.run(found) == _good_run() else None


def objects_before(data: Cluster, good: LastGood) -> memory.Objects | None:
    """
    Our objects as they were at ``good``, or None where they are not known: they were not changed
    since, or changed again by another run.
    """
    found = _memory(data)
    return memory.read(found) if found is not None and memory.run(found) == good.run else None


def _memory(data: Cluster) -> dict[str, Any] | None:
    return fact(
        KubeObject, api_version="v1", kind="Secret", resource=memory.NAME, namespace=data.namespace
    )


def _now_good(
    data: Cluster, records: Sequence[Mapping[str, Any]], archive: str | None
) -> LastGood | None:
    """The revision that Helm finished last, or None where there is none that can be read."""
    for name in releases.finished(records):
        try:
            release = fact(HelmRelease, record=name, namespace=data.namespace)
        except ValueError:  # the next older one then
            continue
        if release is not None:
            run = fleet_run.current().id
            return LastGood(release.revision, release.version, archive, run)
    return None


def _me() -> Holder:
    return process.myself(fleet_run.current().id)


def refusal(found: Mapping[str, Any] | None) -> str | None:
    """``held_by_another`` for a Lease that was read already."""
    run, holder = fleet_run.current(), lease.holder(found)
    if run.before and holder != _me():
        heads = journal.heads(run.before, run.folder / journal.NAME)
        cut = lease.journal_cut(found, run.id, heads)
        if cut:
            return cut
    gone = holder is not None and process.is_dead(holder)
    return lease.refusal(found, _me(), fleet_run.now(), gone)


def _taken(data: Cluster) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """
    The Lease, ours, and as it was found. Raises OperationError where somebody else has it.
    """
    for _ in range(5):
        found = read_lease(data)
        problem = refusal(found)
        if problem:
            raise OperationError(problem)
        holder = lease.holder(found)
        wanted = lease.held(found, _me(), fleet_run.now(), data.lease_seconds, data.namespace)
        try:
            taken = _put(session(), wanted)
        except ApiError as error:
            if error.status == 409:  # somebody was faster: look again
                continue
            if error.status == 404 and found is None:
                _make_namespace(data)
                continue
            raise OperationError(
                f"Lease {data.namespace}/{lease.NAME} cannot be taken: {error}"
            ) from error
        if holder is not None and holder != _me():
            host.log(f"takes over from run {holder.run} of {holder.who}, which ended half way")
        return taken, found
    raise OperationError(f"Lease {data.namespace}/{lease.NAME} changes all the time: run again")


def _make_namespace(data: Cluster) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": data.namespace}}
    call = Call("POST", "/api/v1/namespaces", {}, body, "application/json", None, frozenset({409}))
    try:
        session().text(call)
    except ApiError as error:
        if error.status != 409:
            raise


def _write(change: _Change, notes: Mapping[str, str]) -> None:
    """Our notes on our Lease. Raises OperationError where it is not ours any more."""
    if change.lost:
        raise OperationError(change.lost)
    try:
        _renewed(change, session(), _me(), notes)
    except ApiError as error:
        change.lost = _how_lost(error, change)
        raise OperationError(change.lost) from error


def _renewed(change: _Change, api: Api, me: Holder, notes: Mapping[str, str]) -> None:
    with change.writing:
        seconds, namespace = change.data.lease_seconds, change.data.namespace
        wanted = lease.held(change.lease, me, fleet_run.now(), seconds, namespace)
        written = fleet_run.current().journal
        head = {lease.JOURNAL: written.head} if written else {}
        change.lease = _put(api, lease.noted(wanted, {**head, **notes}))


def _how_lost(error: ApiError, change: _Change) -> str:
    name = f"Lease {change.data.namespace}/{lease.NAME}"
    if error.status in (404, 409):
        return f"{name} was taken from this run or deleted: look who works on this cluster"
    return f"{name} could not be renewed: {error}"


def _renew(change: _Change) -> None:
    """Renew the Lease again and again, with the step that is under way, in a greenlet."""
    api, name, me = session(), host.name, _me()

    def run() -> None:
        pause = change.data.lease_seconds / RENEWALS
        renewed = time.monotonic()
        while not change.lost:
            gevent.sleep(pause)
            step = fleet_run.current().step_of(name)
            try:
                _renewed(change, api, me, {lease.STEP: step or ""})
            except ApiError as error:
                over = time.monotonic() - renewed > change.data.lease_seconds
                if error.status in (404, 409) or over:
                    change.lost = _how_lost(error, change)
            else:
                renewed = time.monotonic()

    change.renewing = gevent.spawn(run)


def _put(api: Api, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Create or replace a Lease, by its resourceVersion. Raises ApiError, 409 where it moved on."""
    new = "resourceVersion" not in wanted["metadata"]
    namespace = wanted["metadata"]["namespace"]
    path = kinds.path(API, "Lease", namespace, None if new else lease.NAME)
    method = "POST" if new else "PUT"
    call = Call(method, path, {}, dict(wanted), "application/json", None, frozenset())
    found: dict[str, Any] = json.loads(api.text(call))
    return found
