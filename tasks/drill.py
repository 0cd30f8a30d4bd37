"""
The drill: a backup restored into an empty cluster, proven by requests, measured, and taken away
again, with evidence that can be kept.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError, OperationError

from tasks import change, crds, public_ips, restore
from tasks.connectors.command import KubeCommand
from tasks.envoy_gateway import Desired, wanted_of
from tasks.facts.kube import KubeObjects
from tasks.fleet import archives, process
from tasks.fleet import evidence as files
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import Attempt, attempt, settle
from tasks.fleet.guard import Steps, fact, fleet_operation, kubernetes_version
from tasks.fleet.inventory import Cluster
from tasks.operations import copies, emptying, stand_ins
from tasks.plans import emptying as marks
from tasks.plans import evidence, scenarios
from tasks.plans import stand_ins as plan
from tasks.plans.archive import Contents
from tasks.plans.emptying import Mark
from tasks.plans.evidence import Answered, Archive, Drill, Refusal, Restored, Unproven
from tasks.plans.probes import Request
from tasks.restore import Outcome, Source

#: What a drill takes from the inventory of the source, where that has it; the rest (registry,
#: images, helm, identity, waits) is the target's.
OF_THE_SOURCE = (
    "envoy_gateway_version",
    "release",
    "namespace",
    "controller_name",
    "watch_namespaces",
    "deploy_type",
    "gateway_class",
    "merge_gateways",
    "controller",
    "proxy",
    "gateways",
    "routes",
)


#: What a drill does in between, by the name that a restore has for that.
STEPS = {"Until traffic": "Stand-ins"}


@dataclass
class _UnderWay:
    """
    A drill while it runs. + mark: what is noted on the target, None before that; + crds: names of
    those that were there before; + clock: when the restore that runs began, and after what
    """

    record: Drill
    said: int
    contents: Contents | None = None
    mark: Mark | None = None
    clock: datetime | None = None
    after: str = ""
    stand_ins: list[str] = field(default_factory=list)


#: By cluster: its drill of this moment.
_drills: dict[str, _UnderWay] = {}


def of_the_sources() -> None:
    """
    Deploy code: for each ``drill_source`` of this cluster, its newest backup restored here, proven
    and taken away again. A cluster without does nothing. Raises Refused where no cluster has one.
    """
    run = fleet_run.current()
    fleet_run.ready()
    asked = [it.name for it in state.inventory if state.is_host_in_limit(it)]
    if not any(run.clusters[it].drill_source for it in asked):
        raise fleet_run.Refused(
            "no cluster here has drill_source: name the clusters whose backups are tried on an "
            'empty one, such as "drill_source": ["weu-1"], see docs/drill.md'
        )
    sources = fleet_run.cluster().drill_source
    attempts = [_of(sources[number]) for number in host.loop(range(len(sources)))]
    for number in host.loop(range(len(attempts))):
        settle(attempts[number])


def _of(source: str) -> Attempt:
    data = data_of(source, fleet_run.cluster(), fleet_run.current().clusters)
    wanted = wanted_of(host.name, data)
    oldest = data.scenario == "old-backup" and not data.archive
    taken = Source(source, data.archive, addresses=False, oldest=oldest)
    with attempt("Drill") as it:
        begun(name="Archive and empty target", source=taken, data=data)
        for turn in host.loop(range(2 if data.scenario in scenarios.BROKEN else 1)):
            if turn:
                broken(name="Damage", scenario=str(data.scenario), data=data)
            _restored(wanted, taken)
    with it.always():
        change.ended(name="Lease", data=data)
        emptied(name="Target empty again", data=data)
        proven(name="Evidence", source=source, data=data)
    return it


def _restored(wanted: Desired, source: Source) -> None:
    data = wanted.data
    restore.steps_until_objects(wanted, source)
    stood_in(name="Stand-ins", data=data)
    restore.steps_of_proof(wanted, source)
    noted(name="Recovery time", data=data)
    change.ended(name="Lease", data=data)


def data_of(source: str, target: Cluster, clusters: Mapping[str, Cluster]) -> Cluster:
    """
    The data by which ``source`` is restored on ``target``: what is wanted is the source's, how it
    is reached the target's. The archive is what is restored: Helm values that differ from it do
    not stop a drill, and no backup is made of a cluster that is empty.
    """
    wanted = clusters.get(source, target)
    return target.model_copy(
        update={
            **{key: getattr(wanted, key) for key in OF_THE_SOURCE},
            "from_cluster": source,
            "accept": sorted({*target.accept, "values"}),
            "backup": target.backup.model_copy(update={"enabled": False}),
            "only": [],
            "delete_others": False,
        }
    )


@fleet_operation()
def begun(source: Source, data: Cluster) -> Steps:
    """
    Read the archive, and see that the target is empty; what an own drill that was broken off left
    there goes first. Then note on the target what is on it, before anything else is written.
    """
    run, now = fleet_run.current(), fleet_run.now()
    it = _drills[host.name] = _UnderWay(_record(source.cluster, data, now), _failures())
    archive = copies.chosen(data.backup, source.cluster, source.archive, source.oldest).path
    it.contents = _read(archive, data, it.record)
    it.record.archive = _about(archive, it.contents)
    it.record.addresses = public_ips.of_lost(source.cluster)
    taken = datetime.fromisoformat(it.contents.manifest["taken"])
    it.record.rpo_seconds = round((now - taken).total_seconds(), 1)
    mark = yield from emptying.taken(
        "drill",
        (run.id, source.cluster, str(archive)),
        it.contents.objects(),
        (data.release, data.namespace),
        data.timeout,
    )
    if state.is_executing:
        it.mark = mark
        fleet_run.journal("drill", cluster=host.name, source=mark.source, archive=mark.archive)
        _start(it, "the cluster is lost")


def _read(path: Path, data: Cluster, record: Drill) -> Contents:
    """
    What is in the archive. In a scene with something to refuse, that first: a copy that was cut
    in half, or the key of somebody else. Raises DeployError.
    """
    if data.scenario in scenarios.REFUSED and state.is_executing:
        with tempfile.TemporaryDirectory(prefix="envoyfleet-") as folder:
            what, said = _refusal(str(data.scenario), path, data, Path(folder))
        record.refusals.append(Refusal(what, said))
        host.log(f"{what}: {said}")
    return archives.read(path, data)


def _refusal(scenario: str, path: Path, data: Cluster, folder: Path) -> tuple[str, str]:
    """What was tried and what was said. Raises OperationError where nothing was refused."""
    if scenario == "archive-half-written":
        what = "the newest archive, cut in half"
        copy = archives.folder_of(folder, host.name) / path.name
        copy.parent.mkdir(mode=0o700)
        copy.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        tried, key = archives.newest(folder, host.name), data
    else:
        from pyrage import x25519  # type: ignore[import-untyped]

        what, tried = "another key", path
        file = folder / "identity"
        file.touch(mode=0o600)
        file.write_text(f"{x25519.Identity.generate()}\n", encoding="utf-8")
        backup = data.backup.model_copy(update={"identity": str(file)})
        key = data.model_copy(update={"backup": backup})
    try:
        archives.read(tried or path, key)
    except DeployError as error:
        return what, str(error).replace(str(folder), "a copy of the folder")
    raise OperationError(f"{what} was taken for good: nothing of it was restored")


def _record(source: str, data: Cluster, now: datetime) -> Drill:
    run = fleet_run.current()
    return Drill(
        run=run.id,
        who=process.myself(run.id).who,
        inventory=run.inventory,
        source=source,
        target=host.name,
        scenario=data.scenario or "cluster-lost",
        began=now,
        target_kubernetes=kubernetes_version(),
        target_envoy_gateway=data.envoy_gateway_version,
    )


def _about(path: Path, contents: Contents) -> Archive:
    manifest = contents.manifest
    return Archive(
        path=str(path),
        sha256=sha256(path.read_bytes()).hexdigest(),
        manifest_sha256=manifest["sha256"],
        cluster=manifest["cluster"],
        taken=manifest["taken"],
        kubernetes=manifest.get("kubernetes"),
        envoy_gateway=manifest.get("envoy_gateway"),
        kinds=dict(sorted(Counter(it["kind"] for it in contents.objects()).items())),
    )


def _start(it: _UnderWay, after: str) -> None:
    crds.look_again()
    it.clock, it.after = fleet_run.now(), after


def _since(begun: datetime) -> float:
    return (fleet_run.now() - begun).total_seconds()


@fleet_operation()
def stood_in(data: Cluster) -> Steps:
    """An echo server for every Service that routes of the archive send to and nothing answers."""
    it = _drills.get(host.name)
    if not state.is_executing or it is None or it.contents is None:
        return
    lacking = stand_ins.lacking(it.contents.objects())
    new = [f"Service {one.namespace}/{one.name}" for one in lacking]
    it.stand_ins = sorted({*it.stand_ins, *new})  # those of the restore before are still there
    if not lacking:
        host.noop("every Service has endpoints")
    elif data.stand_in_image is None:
        host.log("no stand_in_image: what needs a backend will not answer")
    else:
        yield from stand_ins.put(lacking, data.stand_in_image, data.timeout)


@fleet_operation()
def noted(data: Cluster) -> Steps:
    """Stop the clock, and write down what this restore did and what answered."""
    yield from ()
    it = _drills.get(host.name)
    if not state.is_executing or it is None or it.contents is None or it.clock is None:
        return
    outcome = restore.outcome(host.name)
    took = _since(it.clock) - outcome.seconds.get("Comparison", 0)
    objects = it.contents.objects()
    it.record.restores.append(_summary(it, objects, it.clock, outcome, took))
    it.clock = None
    host.log(f"restored and proven in {evidence.duration(took)}")


def _summary(
    it: _UnderWay,
    objects: Sequence[Mapping[str, Any]],
    began: datetime,
    outcome: Outcome,
    seconds: float,
) -> Restored:
    addresses = {
        f"the address of {name}": f"{value} is the source's, here it got another"
        for name, value in plan.fixed_addresses(objects).items()
    }
    unprovable = {**addresses, **plan.not_provable(objects)}
    return Restored(
        after=it.after,
        began=began.isoformat(),
        seconds=round(seconds, 1),
        steps={
            STEPS.get(name, name): round(took, 1)
            for name, took in outcome.seconds.items()
            if name != "Until comparison"
        },
        created=len(outcome.created),
        changed=len(outcome.changed),
        left=len(outcome.left),
        differences=outcome.differences,
        answers=[
            Answered(
                proof.request.text,
                _routes(proof.request, objects),
                proof.answer.text if proof.answer else None,
                proof.answer.certificate if proof.answer else None,
                proof.as_archived,
            )
            for proof in outcome.proofs
        ],
        not_proven=[
            *(Unproven(what, why, True) for what, why in unprovable.items()),
            *(
                Unproven(what, why, False)
                for what, why in outcome.not_proven.items()
                if what not in unprovable
            ),
        ],
        unmet=outcome.unmet,
        left_out=outcome.left_out,
        stand_ins=it.stand_ins,
    )


def _routes(request: Request, objects: Sequence[Mapping[str, Any]]) -> str | None:
    """Which routes a request proves: "HTTPRoute shop/cart"; None for a listener alone."""
    if request.route:
        return f"HTTPRoute {request.route}"
    if request.scheme not in ("tcp", "tls"):
        return None
    return ", ".join(plan.through(objects, request.gateway, request.listener)) or None


@fleet_operation()
def broken(scenario: str, data: Cluster) -> Steps:
    """
    Really destroy, by API calls, what the scene says of what this drill has brought in this run.
    """
    it = _drills.get(host.name)
    if not state.is_executing or it is None or it.contents is None:
        return
    mark = it.mark
    if mark is None:
        raise OperationError("nothing is destroyed: this run has not filled the target itself")
    there = fact(KubeObjects, api_version=crds.API, kind=crds.KIND, metadata_only=True)
    names = [one["metadata"]["name"] for one in there]
    brought = [one for one in names if f"{marks.CRDS} {one}" not in mark.before]
    damage = scenarios.damage(scenario, it.contents.objects(), data.namespace, brought)
    host.log(damage.text)
    fleet_run.journal("damage", cluster=host.name, scenario=scenario, what=damage.text)
    yield from emptying.destroyed(mark, damage.things, data.timeout)
    _start(it, damage.text)


@fleet_operation()
def emptied(data: Cluster) -> Steps:
    """Take away what this drill brought, prove by a listing that nothing of it is left."""
    it = _drills.get(host.name)
    if not state.is_executing or it is None or it.mark is None:
        return
    it.record.emptied = emptying.empty(it.mark, data.timeout)
    yield KubeCommand("DELETE", emptying.mark_path(), ok=[404])


@fleet_operation()
def proven(source: str, data: Cluster) -> Steps:
    """Write the evidence, and its digests into the journal."""
    yield from ()
    it = _drills.pop(host.name, None)
    if not state.is_executing or it is None:
        return
    run, record = fleet_run.current(), it.record
    if it.clock is not None and it.contents is not None:  # a restore that did not end
        with suppress(LookupError):
            known, objects = restore.outcome(host.name), it.contents.objects()
            record.restores.append(_summary(it, objects, it.clock, known, _since(it.clock)))
    record.problems += run.failures.get(host.name, [])[it.said :]
    digests = files.write(run.folder, evidence.document(record, fleet_run.now()))
    fleet_run.journal("evidence", cluster=host.name, result=record.result, sha256=digests)
    fleet_run.note(host, f"drill of {source}", _in_short(record))


def _in_short(record: Drill) -> str:
    """Such as "restored in 48 s (RTO) from a backup 3 h 2 min old (RPO), 12 requests"."""
    rpo = record.rpo_seconds
    age = f" from a backup {evidence.duration(rpo)} old (RPO)" if rpo is not None else ""
    if record.rto_seconds is None:
        return f"{record.result}{age}"
    answered = sum(len(it.answers) for it in record.restores)
    return (
        f"{record.result} in {evidence.duration(record.rto_seconds)} (RTO){age}, {answered} "
        f"requests, {len(record.findings)} findings"
    )


def _failures() -> int:
    return len(fleet_run.current().failures.get(host.name, ()))
