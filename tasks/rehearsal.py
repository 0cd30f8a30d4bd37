"""
The rehearsal: a cluster's objects on an empty one with the release that runs, the upgrade there
with requests running, the way back, and what each of them changed. Nothing is written to the
cluster that is rehearsed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError, OperationError
from pyinfra.context import ctx_host

from tasks import change, controller, crds, drill, envoy_gateway, gateways, restore, rollback
from tasks import traffic as proofs
from tasks.checks import rehearsals as checks
from tasks.connectors.command import KubeCommand
from tasks.envoy_gateway import Desired, wanted_of
from tasks.facts.kube import KubeObjects, Resources
from tasks.fleet import archives, process, rehearsed
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import Attempt, attempt, settle
from tasks.fleet.guard import Steps, fact, fleet_operation, one_line
from tasks.fleet.inventory import Cluster
from tasks.fleet.survey import surveyed
from tasks.operations import emptying, observing, prober, proxies, stand_ins
from tasks.operations.kube import POLL, show, wait_until
from tasks.plans import archive as packing
from tasks.plans import backup, probes
from tasks.plans import emptying as marks
from tasks.plans import stand_ins as plan
from tasks.plans.emptying import Mark
from tasks.plans.kinds import GATEWAY_API
from tasks.plans.probes import Answer, Request, Seen
from tasks.plans.references import GROUPS
from tasks.plans.rehearsals import configuration, copies, observed
from tasks.plans.rehearsals.change import Change, in_order
from tasks.plans.rehearsals.lookalikes import Mint
from tasks.plans.rehearsals.observed import Look
from tasks.plans.rehearsals.outcome import Outcome, Rehearsal
from tasks.way_in import Source

Object = Mapping[str, Any]


@dataclass
class _UnderWay:
    """
    A rehearsal while it runs. + said: failures of this cluster before it; + objects: as they are
    put here; + now, wanted: what the inventory wants with the release that runs, and with the one
    that comes; + mark: what is noted on the target; + before, after, back: how it was
    + fields: the objects under the new CRDs, before the controller is another
    """

    record: Rehearsal
    said: int
    objects: Sequence[Object]
    now: Desired
    wanted: Desired
    mark: Mark | None = None
    before: Look | None = None
    fields: Mapping[str, Object] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    unrest: list[Change] = field(default_factory=list)
    after: Look | None = None
    back: Look | None = None
    left: list[Change] = field(default_factory=list)
    seen: Seen | None = None


#: By cluster: its rehearsal of this moment.
_rehearsals: dict[str, _UnderWay] = {}


def of_the_sources() -> None:
    """
    Deploy code: for each ``rehearsal_source`` of this cluster, its upgrade tried here and taken
    away again. A cluster without does nothing. Raises Refused where no cluster has one.
    """
    run = fleet_run.current()
    fleet_run.ready()
    asked = [it.name for it in state.inventory if state.is_host_in_limit(it)]
    problem = usage_problem(asked, run.clusters)
    if problem:
        raise fleet_run.Refused(problem)
    sources = fleet_run.cluster().rehearsal_source
    attempts = [_of(sources[number]) for number in host.loop(range(len(sources)))]
    for number in host.loop(range(len(attempts))):
        settle(attempts[number])


def usage_problem(asked: Sequence[str], clusters: Mapping[str, Cluster]) -> str | None:
    """Why nothing is begun, in one line, or None. + asked: clusters of this run"""
    targets = {it: clusters[it].rehearsal_source for it in asked if it in clusters}
    if not any(targets.values()):
        return (
            "no cluster here has rehearsal_source: name the clusters whose upgrade is tried on an "
            'empty one, such as "rehearsal_source": ["weu-1"], see docs/rehearse.md'
        )
    for name, sources in targets.items():
        for source in sources:
            if source == name:
                return f"{name}: rehearsal_source names the cluster itself: name another"
            if source not in clusters:
                return (
                    f"{name}: rehearsal_source names {source}, which is not in the inventory: it "
                    f"knows {', '.join(sorted(set(clusters) - {name}))}"
                )
            if source in asked and clusters[source].rehearsal_source:
                return (
                    f"{name}: rehearsal_source names {source}, which is a place for rehearsals "
                    "itself: name the cluster that is upgraded"
                )
    return None


def _of(source: str) -> Attempt:
    data = fleet_run.cluster()
    with attempt("Rehearsal") as it:
        begun(name="Source and empty target", source=source)
        running(name="Current release")
        answering(name="Before")
        upgraded(name="Upgrade")
        observed_after(name="After")
        gone_back(name="Way back")
    with it.always():
        change.ended(name="Lease", data=data)
        emptied(name="Target empty again")
        reported(name="Report", source=source)
    return it


@contextmanager
def _on(name: str) -> Iterator[None]:
    """Facts are read of another cluster of the inventory meanwhile. Raises ConnectError."""
    here: Any = ctx_host.get()
    there: Any = state.inventory.get_host(name)
    opened = not there.connected
    if opened:
        there.connector.connect()
        there.connected = True
    ctx_host.set(there)
    try:
        yield
    finally:
        ctx_host.set(here)
        if opened:
            there.connector.disconnect()
            there.connected = False


@fleet_operation()
def begun(source: str) -> Steps:
    """
    Read the source, and see that this cluster is empty; what an own run that was broken off left
    here goes first. Then note on this cluster what is on it, before anything else is written.
    """
    it = _rehearsals[host.name] = _read(source)
    record, data = it.record, it.now.data
    counts = ", ".join(f"{count} {kind}" for kind, count in record.kinds.items())
    show(f"Will rehearse {record.before} → {record.after} of {source}", [f"+ {counts}"])
    mark = yield from emptying.taken(
        "rehearsal",
        (record.run, source, f"{len(it.objects)} objects"),
        it.objects,
        (data.release, data.namespace),
        data.timeout,
    )
    if not state.is_executing:
        return
    it.mark = mark
    older = sorted(one for one in mark.before if one.startswith(f"{marks.CRDS} ") and _is_ours(one))
    if older:
        raise DeployError(
            f"CustomResourceDefinition {older[0].partition(' ')[2]} is there: a rehearsal begins "
            "with the CRDs of the release that runs, and CRDs only go forward: delete those of the "
            "Gateway API here, or name another target"
        )
    fleet_run.journal(
        "rehearsal", cluster=host.name, source=source, before=record.before, after=record.after
    )


def _is_ours(key: str) -> bool:
    return key.partition(" ")[2].partition(".")[2] in GROUPS


def _read(source: str) -> _UnderWay:
    """What is on the source, as it is put here. No value of a Secret outlives this function."""
    run, target = fleet_run.current(), fleet_run.cluster()
    data = run.clusters[source]
    with _on(source):
        survey = surveyed(data, secrets=True, values=False)
        version = survey.about["envoy_gateway"] or controller.image_version(data)
    every = packing.Contents({}, survey.files).objects()
    mint = Mint(secrets.token_bytes(32))
    found = copies.copied(every, data.namespace, mint)
    digests = copies.digests(every)
    del every, survey
    wanted = data.envoy_gateway_version
    if version is None:
        raise DeployError(f"{source} runs no Envoy Gateway: there is nothing to rehearse")
    if version == wanted:
        raise DeployError(
            f"{source} runs {version}, which its inventory wants: nothing to rehearse: name the "
            "release that comes in envoy_gateway_version"
        )
    record = Rehearsal(
        run=run.id,
        who=process.myself(run.id).who,
        source=source,
        target=host.name,
        began=fleet_run.now().isoformat(),
        before=version,
        after=wanted,
        kinds=copies.counted(found),
        digests=digests,
        kept=target.keep,
    )
    small = data_of(source, target, run.clusters)
    return _UnderWay(
        record,
        len(run.failures.get(host.name, ())),
        found,
        wanted_of(host.name, small.model_copy(update={"envoy_gateway_version": version})),
        wanted_of(host.name, small),
    )


def data_of(source: str, target: Cluster, clusters: Mapping[str, Cluster]) -> Cluster:
    """
    The data by which ``source`` is rehearsed on ``target``, as for a drill; the controller is one,
    wherever there is room. What preflight would stop for is what a rehearsal is to show.
    """
    data = drill.data_of(source, target, clusters)
    small = {"replicas": 1, "priority_class": None}
    return data.model_copy(
        update={
            "accept": sorted({*data.accept, "sick", "disruption", "behaviour", "no-way-back"}),
            "controller": data.controller.model_copy(update=small),
            "merge_gateways": clusters[source].merge_gateways,
        }
    )


@fleet_operation()
def running(name: str = "") -> Steps:
    """The release that runs on the source, and its objects."""
    it = _rehearsals.get(host.name)
    if not state.is_executing or it is None:
        return
    data, chart = it.now.data, it.now.chart
    crds.look_again()
    files = {packing.path_of(one): backup.content(one) for one in it.objects}
    about = {
        "cluster": it.record.source,
        "uid": None,
        "envoy_gateway": it.record.before,
        "helm": {"namespace": data.namespace},
    }
    packed = packing.packed(about, files, fleet_run.now())
    kept = archives.written(fleet_run.current().folder / "rehearsal.tar.gz", packed)
    try:
        source = Source(it.record.source, str(kept.path), addresses=False, named=False)
        yield from restore.opened._inner(wanted=it.now, source=source)
    finally:
        kept.path.unlink(missing_ok=True)
    yield from crds.installed._inner(chart=chart, data=data)
    yield from crds.migrated._inner(chart=chart, data=data)
    yield from controller.installed._inner(data=data, chart=chart, values=it.now.values)
    yield from crds.guarded._inner(chart=chart, data=data)
    yield from restore.written._inner(data=data)
    lacking = stand_ins.lacking(it.objects)
    if lacking and data.stand_in_image is not None:
        yield from stand_ins.put(lacking, data.stand_in_image, data.timeout)
    elif lacking:
        host.log("no stand_in_image: what needs a backend answers 503, before and after")
    yield from change.ended._inner(data=data)


@fleet_operation()
def answering(name: str = "") -> Steps:
    """How it is with the release that runs; from here on requests are sent without a pause."""
    yield from ()
    it = _rehearsals.get(host.name)
    if not state.is_executing or it is None:
        return
    _settled(it, it.now.data)
    it.before = observing.look(it.now.data, _requests(it, it.now.data))
    if gateways.ours(it.now.data)[1] and not it.before.dumps:
        raise OperationError("no proxy of the source's Gateways comes up here: look at its Pods")
    good = [
        request
        for request in _requests(it, it.now.data)
        if isinstance(said := it.before.answers.get(probes.at(request)), Answer)
        and not probes.problem(request, said)
    ]
    if good and it.now.data.probe.rate:
        prober.start(host.name, good, it.now.data.probe.rate)


def _requests(it: _UnderWay, data: Cluster) -> list[Request]:
    """Through every listener, of every route that sends nothing out of the cluster."""
    if not data.probe.enabled:
        return []
    outside = plan.leaving(it.objects)
    routes = fact(KubeObjects, api_version=f"{GATEWAY_API}/v1", kind="HTTPRoute")
    return [
        request
        for gateway in gateways.ours(data)[1]
        for request in probes.requests(gateway, routes)
        if f"HTTPRoute {request.route}" not in outside
    ]


def _settled(it: _UnderWay, data: Cluster) -> list[Change]:
    """Wait until the controller has answered for everything; what it never did is said."""
    try:
        proofs.settled(data, restore.archive(host.name))
    except OperationError as error:
        host.log(f"goes on: {one_line(error)}")
        version = data.envoy_gateway_version
        return [Change("object", f"Envoy Gateway {version}", one_line(error), "error")]
    return []


@fleet_operation()
def upgraded(name: str = "") -> Steps:
    """The operations of deploys/upgrade.py, with a look at the objects once the CRDs are new."""
    it = _rehearsals.get(host.name)
    if not state.is_executing or it is None:
        return
    data, chart, values = it.wanted.data, it.wanted.chart, it.wanted.values
    crds.look_again()
    yield from envoy_gateway.opened._inner(data=data, chart=chart, values=values)
    yield from crds.installed._inner(chart=chart, data=data)
    yield from crds.migrated._inner(chart=chart, data=data)
    it.fields = observing.objects()
    it.refused = observing.refusals(_places(it))
    yield from controller.installed._inner(data=data, chart=chart, values=values)
    yield from crds.guarded._inner(chart=chart, data=data)
    others = [one for one in it.wanted.objects if one not in it.now.objects]
    if others:
        small = [copies.changed(one) for one in others]
        yield from gateways.applied._inner(manifests=small, data=data)


def _places(it: _UnderWay) -> list[tuple[Any, Object]]:
    """The objects as they were sent, in the version of then where that is still served."""
    served = {(one.group, one.version, one.kind): one for one in fact(Resources)}
    found = []
    for thing in it.objects:
        group, _, version = str(thing["apiVersion"]).rpartition("/")
        place = served.get((group, version, thing["kind"]))
        if group and place is not None:
            found.append((place, thing))
    return found


@fleet_operation()
def observed_after(name: str = "") -> Steps:
    """How it is with the release that comes, and what the requests met meanwhile."""
    yield from ()
    it = _rehearsals.get(host.name)
    if not state.is_executing or it is None or it.before is None:
        return
    data = it.wanted.data
    it.unrest = _settled(it, data)
    it.after = observing.look(data, ())
    it.after = replace(it.after, answers=_answers(it, data))
    _until_left(data)
    it.seen = prober.stop(host.name)
    failed = sum(it.seen.failures.values()) if it.seen else 0
    it.record.requests = {"sent": it.seen.requests if it.seen else 0, "lost": failed}


def _answers(it: _UnderWay, data: Cluster) -> dict[Request, Answer | str]:
    before = it.before.answers if it.before else {}
    return observing.settled_answers(lambda: _requests(it, data), before, data.probe.timeout)


def _until_left(data: Cluster) -> None:
    """Requests are lost when the last old proxy goes."""

    def there() -> list[str]:
        return [f"Pod {one} has not gone yet" for one in proxies.leaving(data.proxy_namespace)]

    try:
        wait_until(there, gateways.LEAVING, every=POLL)
    except OperationError as error:
        host.log(f"goes on: {one_line(error)}")


@fleet_operation()
def gone_back(name: str = "") -> Steps:
    """The operations of deploys/rollback.py, and how it is then."""
    it = _rehearsals.get(host.name)
    if not state.is_executing or it is None or it.before is None:
        return
    data = it.now.data
    yield from rollback.controller._inner(data=it.wanted.data, asked=False)
    yield from rollback.objects._inner(data=it.wanted.data, asked=False)
    it.left = _settled(it, data)
    yield from gateways.repaired._inner(data=data)
    it.back = observing.look(data, ())
    it.back = replace(it.back, answers=_answers(it, data))


@fleet_operation()
def emptied(name: str = "") -> Steps:
    """Take away what the rehearsal brought, unless it is kept to be looked at."""
    it = _rehearsals.get(host.name)
    prober.stop(host.name)
    if not state.is_executing or it is None or it.mark is None:
        return
    if it.record.kept:
        host.log("kept, as keep says: the next rehearsal here takes it away")
        return
    emptying.empty(it.mark, it.now.data.timeout)
    yield KubeCommand("DELETE", emptying.mark_path(), ok=[404])


@fleet_operation()
def reported(source: str) -> Steps:
    """Write what it showed, into the run's folder and where an upgrade looks for it."""
    yield from ()
    it = _rehearsals.pop(host.name, None)
    if not state.is_executing or it is None:
        return
    run, record = fleet_run.current(), it.record
    record.ended = fleet_run.now().isoformat()
    record.problems += run.failures.get(host.name, [])[it.said :]
    record.outcome = _outcome(it)
    run.findings += checks.every(source, record.outcome)
    newest = run.clusters[source].rehearsal.folder if it.before is not None else None
    digests = rehearsed.write(run.folder, newest, record)
    fleet_run.journal("rehearsed", cluster=host.name, result=record.result, sha256=digests)
    fleet_run.note(host, f"rehearsal of {source}", f"{record.result}: {record.text}")


def _outcome(it: _UnderWay) -> Outcome:
    """All that was seen, as far as the rehearsal came."""
    if it.before is None:
        return Outcome()
    was = it.before.objects
    refused = [*observed.words_of(it.refused), *it.unrest]
    found = Outcome(
        pruned=observed.dropped(was, it.fields), defaulted=observed.filled_in(was, it.fields)
    )
    if it.after is not None:
        refused += observed.turned(was, it.after.objects)
        found = replace(
            found,
            configuration=_configuration(it.before, it.after),
            traffic=observed.answered(it.before.answers, it.after.answers) + observed.lost(it.seen),
        )
    if it.back is not None:
        left = observed.left_behind(
            observed.turned(was, it.back.objects),
            _configuration(it.before, it.back),
            observed.answered(it.before.answers, it.back.answers),
            it.left,
        )
        found = replace(found, way_back=left)
    return replace(found, refused=in_order(refused))


def _configuration(before: Look, after: Look) -> tuple[Change, ...]:
    """The proxies of each Gateway, before and after."""
    found: list[Change] = []
    for owner, dump in before.dumps.items():
        now = after.dumps.get(owner)
        if now is None:
            found.append(Change("object", f"Gateway {owner}", "has no ready proxy", "error"))
        else:
            found += configuration.changes(dump, now)
    return in_order(found)
