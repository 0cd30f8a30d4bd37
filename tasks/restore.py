"""
A cluster from its backup: CRDs and controller from the lock, objects from the archive, and requests
that prove it. Into an empty cluster or a damaged one; what is there and equal is left alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError

from tasks import change, controller, crds, envoy_gateway, gateways, traffic, way_in
from tasks.checks import restored
from tasks.checks.findings import Finding
from tasks.connectors.api import Api
from tasks.connectors.command import KubeCommand
from tasks.envoy_gateway import Desired
from tasks.facts.kube import KubeObjects, Manifest, apply_command
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.guard import Steps, fact, fleet_operation
from tasks.fleet.inventory import Cluster
from tasks.operations import objects
from tasks.operations.kube import show, wait_until
from tasks.plans import comparison, kinds, lease, preflight, restore, served
from tasks.plans.kinds import title
from tasks.plans.objects import MANAGER, diff
from tasks.plans.references import Reference, to
from tasks.plans.restore import Step
from tasks.traffic import Proof as Proof
from tasks.way_in import Archive
from tasks.way_in import Source as Source

Object = Mapping[str, Any]
CONTROLLERS = "control-plane=envoy-gateway,app.kubernetes.io/name=gateway-helm"


@dataclass
class Outcome:
    """
    What a restore did to one cluster.

    + archive, sha256: the file and its digest on the disk; + manifest: of the archive
    + created, changed, left, deleted: titles such as "HTTPRoute shop/cart"
    + kept: objects that differ and were left all the same, by title, and why
    + left_out: what the archive has and this cluster could not get, by title, and why
    + differences: such as "HTTPRoute shop/cart: spec.rules[0].timeouts is missing"
    + unmet: what was restored and does not work, a line each
    + proofs: every request that was sent; + not_proven: by title, why
    + seconds: of each step, such as {"Archive": 0.2, "Objects": 3.1}
    """

    archive: Path
    sha256: str
    manifest: Mapping[str, Any]
    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    not_proven: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class _Work:
    """One restore under way. + mark: when its last step ended"""

    archive: Archive
    outcome: Outcome
    mark: float


#: By cluster: the last restore of this run.
_works: dict[str, _Work] = {}


def from_backup() -> None:
    """
    Deploy code: this cluster from its newest backup, or from ``archive`` or ``from_cluster`` of its
    data. Nothing is rolled back: the same command goes on where it ended.
    """
    data = fleet_run.cluster()
    wanted = envoy_gateway.wanted_of(host.name, data)
    # An archive that is named tells itself whose it is, and way_in asks for the word.
    source = Source(data.from_cluster or host.name, data.archive)
    with attempt("Restore") as it:
        steps(wanted, source)
    with it.always():
        change.ended(name="Lease", data=data)
    settle(it)


def steps(wanted: Desired, source: Source) -> None:
    """Deploy code: the operations of one restore of one archive into this cluster."""
    steps_until_objects(wanted, source)
    steps_of_proof(wanted, source)


def steps_until_objects(wanted: Desired, source: Source) -> None:
    """
    Deploy code: Archive, CRDs, Keys, Controller, Objects. Where ``only`` selects some objects, the
    controller and its CRDs stay as they are.
    """
    data, chart = wanted.data, wanted.chart
    opened(name="Archive", wanted=wanted, source=source)
    if not data.only:
        crds.installed(name="CRDs", chart=chart, data=data)
        crds.migrated(name="Stored versions", chart=chart, data=data)
        keys(name="Keys", data=data)
        controller.installed(name="Controller", data=data, chart=chart, values=wanted.values)
        restarted(name="Controller anew", data=data)
        crds.guarded(name="Safe-upgrades policy", chart=chart, data=data)
    written(name="Objects", data=data)


def steps_of_proof(wanted: Desired, source: Source) -> None:
    """Deploy code: Traffic and Comparison, once backends are there."""
    proven(name="Traffic", data=wanted.data)
    compared(name="Comparison", data=wanted.data)


def outcome(name: str) -> Outcome:
    """The last restore of this run on a cluster. Raises LookupError where no archive was read."""
    if name not in _works:
        raise LookupError(f"{name}: no archive was read")
    return _works[name].outcome


def archive(name: str) -> Archive:
    """What was read for that restore. Raises LookupError where no archive was read."""
    if name not in _works:
        raise LookupError(f"{name}: no archive was read")
    return _works[name].archive


@fleet_operation()
def opened(wanted: Desired, source: Source) -> Steps:
    """
    Read the archive and hold it against the cluster, before the first write. Then wait for what is
    being deleted at this moment, which nothing could be put into.
    """
    yield from ()
    begun = time.monotonic()
    _works.pop(host.name, None)
    archive = way_in.read(wanted, source)
    if source.named:
        fleet_run.note(host, "archive", f"{archive.path} of {archive.taken:%Y-%m-%d %H:%M} UTC")
    change.heed(archive.reasons, wanted.data)
    _works[host.name] = _Work(
        archive,
        Outcome(archive.path, archive.sha256, archive.manifest, left_out=dict(archive.left_out)),
        begun,
    )
    if state.is_executing:
        fleet_run.journal(
            "archive", cluster=host.name, path=str(archive.path), sha256=archive.sha256
        )
        if lease.state(change.read_lease(wanted.data)) in ("changing", "failed"):
            change.begin(wanted.data)  # what was left half way ends, also where nothing is to do
        wait_until(partial(way_in.being_deleted, archive, wanted.data), wanted.data.timeout)
    _took("Archive")


@contextmanager
def _step(name: str, before: str) -> Iterator[_Work]:
    """The work of this cluster, and the clock of one step. + before: what came since the last"""
    _took(before)
    try:
        yield _work()
    finally:
        _took(name)


def _took(name: str) -> None:
    work, now = _work(), time.monotonic()
    before = work.outcome.seconds.get(name, 0.0)
    work.outcome.seconds[name] = round(before + now - work.mark, 3)
    work.mark = now


def _work() -> _Work:
    if host.name not in _works:
        raise OperationError("no archive was read")
    return _works[host.name]


@fleet_operation()
def keys(data: Cluster) -> Steps:
    """
    The Secrets of the control plane, all four or none, before the chart's own Job makes what is
    missing: it would sign that with a new CA.
    """
    with _step("Keys", before="CRDs") as work:
        archived, here = work.archive.keys, _keys_here(data)
        why = restore.keys_state(archived, here)
        if why is None:
            host.noop("the control plane has its keys, or makes them anew")
            there = {to(it): it for it in here}
            work.outcome.kept |= {
                title(it): "the cluster's own four are whole, and the controller works with them"
                for it in archived
                if to(it) in there and not comparison.equal(it, there[to(it)])
            }
            return
        change.begin(data)
        show(f"Will put back the keys of the control plane: {why}", objects.named(archived))
        yield from _put_back(work.archive, data)
        work.outcome.created += objects.named(archived)


def _put_back(archive: Archive, data: Cluster) -> Steps:
    spaces = [it for it in archive.all if title(it) == f"Namespace {data.namespace}"]
    for it in [*spaces, *archive.keys]:
        yield apply_command(Manifest(restore.manifest(it, "v1", {})), force=True)


def _keys_here(data: Cluster) -> list[dict[str, Any]]:
    found = fact(KubeObjects, api_version="v1", kind="Secret", namespace=data.namespace)
    return [it for it in found if it["metadata"]["name"] in restore.KEYS]


@fleet_operation()
def restarted(data: Cluster) -> Steps:
    """
    Restart the Pods of a controller that is older than its CRDs or its keys: it looks for optional
    kinds when it starts and never again, and holds what it watched before they were gone.
    """
    needed = served.needed_crds(data.envoy_gateway_version)
    definitions = fact(KubeObjects, api_version=crds.API, kind=crds.KIND, metadata_only=True)
    made = [
        datetime.fromisoformat(it["metadata"]["creationTimestamp"])
        for it in definitions
        if it["metadata"]["name"] in needed
    ]
    made += [at for it in _keys_here(data) if (at := restore.applied_at(it, MANAGER)) is not None]
    old = restore.older_than(_controllers(data), max(made, default=None))
    if not old:
        host.noop("the controller is newer than what it works with")
        return
    change.begin(data)
    show("Will restart the controller, which is older than its CRDs or keys", old)
    for name in old:
        yield KubeCommand("DELETE", kinds.path("v1", "Pod", data.namespace, name), ok=[404])
    if state.is_executing:
        wait_until(lambda: _still(data, old) or controller.behind(data), data.timeout)


def _controllers(data: Cluster) -> list[dict[str, Any]]:
    return fact(
        KubeObjects, api_version="v1", kind="Pod", namespace=data.namespace, labels=CONTROLLERS
    )


def _still(data: Cluster, names: Sequence[str]) -> list[str]:
    there = {it["metadata"]["name"] for it in _controllers(data)}
    return [f"Pod {data.namespace}/{it} has not gone yet" for it in names if it in there]


@fleet_operation()
def written(data: Cluster) -> Steps:
    """
    Create and change what the plan says, in the order of what refers to what; then owners, whose
    uids are known only now; then delete what the archive does not have, where that was asked for.
    """
    with _step("Objects", before="Controller") as work:
        plan = _planned(work.archive, data)
        if any(it.verb != "leave" for it in plan.steps) or plan.others:
            for it in plan.steps:
                _show(it, work.archive)
            for other in plan.others:
                show(f"Will delete {title(other)}, which the archive does not have", [])
            if change.begin(data):
                plan = _planned(work.archive, data)
            yield from _carried_out(plan, work.archive)
        else:
            host.noop(f"{len(plan.steps)} objects are as they should be")
        _note(plan, work.outcome)


@dataclass(frozen=True)
class _Plan:
    """+ uids: of the objects that are there, and later of those that are made"""

    steps: Sequence[Step]
    others: Sequence[Object]
    uids: dict[Reference, str]


def _planned(archive: Archive, data: Cluster) -> _Plan:
    here = way_in.live(archive, archive.objects)
    going = [it for it in here.values() if it["metadata"].get("deletionTimestamp")]
    if going and state.is_executing:
        wait_until(partial(_going, archive), data.timeout)
        here = way_in.live(archive, archive.objects)
    uids = {key: str(it["metadata"]["uid"]) for key, it in here.items()}
    steps = []
    for it in archive.objects:
        wanted = restore.manifest(it, archive.resource(it).api_version, uids)
        live, schema = here.get(to(it)), archive.schema(it)
        steps.append(restore.decided(wanted, live, archive.taken, schema, data.newer_certificates))
    found = restore.others(here.values(), archive.all, data.only) if data.delete_others else []
    return _Plan(steps, found, uids)


def _going(archive: Archive) -> list[str]:
    wanted = {to(it) for it in archive.objects}
    return [
        f"{title(it)} is being deleted: if that does not end, look at what its finalizers wait "
        f"for ({', '.join(it['metadata'].get('finalizers') or ()) or 'none'})"
        for key, it in way_in.live(archive, archive.objects).items()
        if key in wanted and it["metadata"].get("deletionTimestamp")
    ]


def _show(step: Step, archive: Archive) -> None:
    if step.verb == "leave":
        if step.why:
            show(f"Will leave {step.title}, though it differs: {step.why}", [])
        return
    wanted = comparison.filled(archive.schema(step.wanted) or {}, step.wanted)
    if step.live is None:
        show(f"Will create {step.title}", diff(None, wanted))
    else:
        before, after = restore.shown(step.live, wanted)
        show(f"Will change {step.title}: {step.why}", diff(before, after))


def _carried_out(plan: _Plan, archive: Archive) -> Steps:
    refused: list[str] = []
    todo = [it for it in plan.steps if it.verb != "leave"]
    for batch in restore.batches(todo):
        writes = [(it.title, _write(it, archive, plan.uids)) for it in batch]
        yield objects.Batch(writes, refused)
    if state.is_executing:
        owned = _owned(plan, archive)
        if owned:
            yield objects.Batch(owned, refused)
    if plan.others:
        gone = [(title(it), _deletion(it, archive)) for it in plan.others]
        yield objects.Batch(gone, refused)
    if refused:
        raise OperationError(
            f"{preflight.listed(refused)}: everything else of the archive was written: mend that, "
            "then run again"
        )


def _write(step: Step, archive: Archive, uids: dict[Reference, str]) -> Callable[[Api], None]:
    """Apply one object; where fields of others are left that the archive does not have, replace."""
    resource, schema = archive.resource(step.wanted), archive.schema(step.wanted)
    path = objects.path_of(resource, step.wanted)

    def write(api: Api) -> None:
        found = objects.applied(api, path, step.wanted)
        more = step.verb == "change" and step.wanted["kind"] != "Namespace"
        if more and not comparison.equal(step.wanted, found, schema):
            found = objects.replaced(api, path, step.wanted, found)
        uids[to(step.wanted)] = str(found["metadata"]["uid"])

    return write


def _owned(plan: _Plan, archive: Archive) -> list[tuple[str, Callable[[Api], None]]]:
    """Objects whose owner got its uid only now, to be applied once more."""
    original = {to(it): it for it in archive.objects}
    found = []
    for it in plan.steps:
        thing = original[to(it.wanted)]
        wanted = restore.manifest(thing, it.wanted["apiVersion"], plan.uids)
        if wanted != it.wanted and not (it.verb == "leave" and it.why):
            found.append((it.title, _write(Step("create", wanted), archive, plan.uids)))
    return found


def _deletion(thing: Object, archive: Archive) -> Callable[[Api], None]:
    path = objects.path_of(archive.resource(thing), thing)
    return lambda api: objects.deleted(api, path)


def _note(plan: _Plan, found: Outcome) -> None:
    by_verb: dict[str, list[str]] = {"create": [], "change": [], "leave": []}
    for it in plan.steps:
        by_verb[it.verb].append(it.title)
        if it.verb == "leave" and it.why:
            found.kept[it.title] = it.why
    found.created += by_verb["create"]
    found.changed += by_verb["change"]
    found.left += by_verb["leave"]
    found.deleted += objects.named(plan.others)
    counts = [(found.created, "created"), (found.changed, "changed"), (found.deleted, "deleted")]
    said = [f"{len(them)} {verb}" for them, verb in counts if them]
    fleet_run.note(host, "objects", ", ".join([*said, f"{len(found.left)} as they were"]))
    if found.kept:
        said = [f"{name}: {why}" for name, why in found.kept.items()]
        fleet_run.note(host, "left though they differ", preflight.listed(said))


@fleet_operation()
def proven(data: Cluster) -> Steps:
    """
    Wait until the controller answers for what was restored, then ask every listener and route, and
    look at the certificates. Where handshakes fail, proxies are restarted once.
    """
    if not state.is_executing:
        return
    with _step("Traffic", before="Until traffic") as work:
        found = traffic.proven(data, work.archive)
        if restore.handshakes_fail(found.unanswered):
            yield from gateways.repaired._inner(data=data)
            found = traffic.proven(data, work.archive)
        out = work.outcome
        out.unmet, out.proofs = [*found.unmet, *found.unanswered], found.proofs
        out.not_proven = found.not_proven
        _note_findings(restored.unmet(host.name, out.unmet))
        _note_findings(restored.not_proven(host.name, out.not_proven, found.without_pods))
    silent = [f"{it.request.text}" for it in out.proofs if it.answer is None]
    if silent:
        raise OperationError(
            f"no answer: {preflight.listed(silent)}: run again once that is mended"
        )


@fleet_operation()
def compared(data: Cluster) -> Steps:
    """Every object of the archive with what the cluster has now. Changes nothing."""
    yield from ()
    if not state.is_executing:
        return
    with _step("Comparison", before="Until comparison") as work:
        archive, out = work.archive, work.outcome
        alone: list[str] = []
        here = way_in.live(archive, archive.objects)
        uids = {key: str(it["metadata"]["uid"]) for key, it in here.items()}
        for it in archive.objects:
            wanted = restore.manifest(it, archive.resource(it).api_version, uids)
            lines = comparison.differences(wanted, here.get(to(it)), archive.schema(it))
            if title(it) not in out.kept or it["kind"] != "Secret":
                out.differences += lines
            lost = restore.orphaned(it, uids)
            alone += [f"{title(it)} without {', '.join(lost)}"] if lost else []
        if alone:
            fleet_run.note(host, "owners that are not here", preflight.listed(alone))
        _note_findings(restored.differences(host.name, out.differences))
        _note_findings(restored.left_out(host.name, out.left_out))
        text = f"{len(archive.objects)} objects are those of the archive"
        if out.differences:
            text = f"{len(out.differences)} differences: {'; '.join(out.differences)}"
        fleet_run.note(host, "compared", text)
        fleet_run.journal("compared", cluster=host.name, differences=out.differences)


def _note_findings(found: Iterator[Finding]) -> None:
    for it in found:
        fleet_run.current().findings.append(it)
        host.log(it.text)
