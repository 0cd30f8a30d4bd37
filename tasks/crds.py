"""
The CustomResourceDefinitions of the Gateway API and of Envoy Gateway: always first, only forward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError, OperationError

from tasks import change
from tasks.connectors.api import Api, ApiError, anew
from tasks.connectors.command import METADATA_ONLY, Call, KubeCommand
from tasks.facts.kube import (
    KubeApplyPlan,
    KubeObject,
    KubeObjects,
    Manifest,
    ServedVersions,
    apply_command,
)
from tasks.fleet import charts
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.charts import Chart
from tasks.fleet.guard import FactFailed, Steps, fact, fleet_operation, session
from tasks.fleet.inventory import Cluster
from tasks.operations.kube import live_objects, show, wait_until
from tasks.plans import crds, kinds, served
from tasks.plans.objects import MANAGER

API, KIND = "apiextensions.k8s.io/v1", "CustomResourceDefinition"
MERGE_PATCH = "application/merge-patch+json"
ONE_METADATA = METADATA_ONLY.replace("MetadataList", "Metadata")
#: Objects rewritten at once.
AT_ONCE = 4

#: By cluster: CRDs whose objects will have to be rewritten once ``installed`` has run, for the
#: plan.
_will_store_several: dict[str, set[str]] = {}
#: By cluster, and whether that was in executing: its CRDs without their schemas, when its turn
#: came.
_looked: dict[tuple[str, bool], list[dict[str, Any]]] = {}


def bring() -> None:
    """
    Deploy code: the CRDs alone, ahead of an upgrade. Raises ChartRefused before any cluster is
    touched.
    """
    data = fleet_run.cluster()
    chart = charts.once(
        data.chart, data.envoy_gateway_version, Path(data.lock), data.helm, data.chart_plain_http
    )
    with attempt("Bring") as it:
        installed(name="CRDs", chart=chart, data=data)
        migrated(name="Stored versions", chart=chart, data=data)
        guarded(name="Safe-upgrades policy", chart=chart, data=data)
    with it.always():
        change.ended(name="Lease", data=data)
    settle(it)


@fleet_operation()
def installed(chart: Chart, data: Cluster, timeout: int = 120) -> Steps:
    """
    Bring the CRDs to those of ``chart``, by server-side apply (the EnvoyProxy CRD does not fit the
    annotation of ``kubectl apply``), and wait until the API server serves them. Helm never updates
    them, and a controller that meets older ones drops TCPRoutes in silence or crashes.

    All changed CRDs pass a dry run before the first is written: a refused one would leave a mixed
    bundle. One after the other: an API server works out each schema on one core and answers several
    at once no sooner, but each of them later, past its time limit.
    """
    changed = _to_write(chart, data)
    if changed and change.begin(data):
        changed = _to_write(chart, data)
    if not changed:
        host.noop(f"{len(chart.crds)} CRDs are those of {chart.name} {chart.version}, or newer")
        return
    known = {it["metadata"]["name"] for it in _metadata()}
    manifests = [
        _planned(it, chart.version)
        if it["metadata"]["name"] in known
        else Manifest(crds.stamped(it, chart.version, generation=1, proven=True))
        for it in changed
    ]
    names = [it["metadata"]["name"] for it in manifests]
    show(f"Will bring {len(names)} CRDs to those of {chart.name} {chart.version}", names)
    for manifest in manifests:
        yield apply_command(manifest, force=True)
    if state.is_executing:

        def missing() -> list[str]:
            versions = fact(ServedVersions)
            late = crds.not_served(manifests, versions)
            if late:
                return late
            live = fact(KubeObjects, api_version=API, kind=KIND)
            return crds.not_established(names, live)

        wait_until(missing, timeout)


def behind(chart: Chart) -> bool:
    """Whether ``installed`` would change the cluster's CRDs. One request."""
    look_again()
    live = _metadata()
    changed = crds.changed(chart.crds, live)
    return bool(changed) and not crds.downgrades(changed, live, chart.version)


def look_again() -> None:
    """Forget what was read of this cluster's CRDs: they are others now, and not by a change."""
    _looked.pop((host.name, bool(state.is_executing)), None)


def _metadata() -> list[dict[str, Any]]:
    """The CRDs without their schemas; read once as long as this run leaves the cluster alone."""
    turn = host.name, bool(state.is_executing)
    if turn not in _looked or change.begun():
        _looked[turn] = fact(KubeObjects, api_version=API, kind=KIND, metadata_only=True)
    return _looked[turn]


def _to_write(chart: Chart, data: Cluster) -> list[crds.Object]:
    """
    The CRDs to write, in their order. Where the cluster has newer ones, none: they stay as long as
    the wanted controller can work with them. Raises DeployError where somebody else brings them.
    """
    live = _metadata()
    changed = crds.in_order(crds.changed(chart.crds, live))
    newer = crds.downgrades(changed, live, chart.version)
    if newer:
        _stay(newer, chart, data)
        return []
    others = crds.kept_by_others(changed, live)
    if others:
        raise DeployError(
            f"{others[0]}{_more(others)}: two managers would undo each other: let it bring the "
            "CRDs, or take them from it first"
        )
    foreign = crds.foreign_managers(changed, live, data.crd_managers)
    if foreign:
        raise DeployError(f"{foreign[0]}{_more(foreign)}")
    return changed


def _stay(newer: Sequence[str], chart: Chart, data: Cluster) -> None:
    wanted = data.envoy_gateway_version
    versions = fact(ServedVersions)
    lacking = served.missing_served(wanted, versions)
    if lacking:
        it = lacking[0]
        raise DeployError(
            f"CRDs never go back: {newer[0]}{_more(newer)}, and Envoy Gateway {wanted} needs "
            f"{it.needs} of {it.crd}, which they do not serve: take a release that works with them"
        )
    text = f"{len(newer)} are newer than those of {chart.name} {chart.version}: kept"
    fleet_run.note(host, "CRDs", text)


def _planned(thing: crds.Object, version: str) -> Manifest:
    """
    The manifest to apply, with the marks by which a later run knows it; a dry run. Raises
    OperationError where the API server refuses it.
    """
    name = thing["metadata"]["name"]
    try:
        planned = fact(KubeApplyPlan, manifest=Manifest(thing), force=True) or {}
    except FactFailed as error:
        reason = str(error).partition(": ")[2]
        raise OperationError(
            f"{thing['kind']} {name}: refused by the API server: {reason}"
        ) from error
    stored = (planned.get("status") or {}).get("storedVersions") or ()
    waiting = _will_store_several.setdefault(host.name, set())
    (waiting.add if len(stored) > 1 else waiting.discard)(name)
    generation = int(planned["metadata"]["generation"])
    return Manifest(crds.stamped(thing, version, generation, proven=len(stored) == 1))


@fleet_operation()
def migrated(chart: Chart, data: Cluster) -> Steps:
    """
    Rewrite the objects of those of the chart's CRDs that have more than one stored version, so that
    nothing but the storage version is left, say so in ``status.storedVersions``, and read it again
    (Kubernetes docs, "Versions in CustomResourceDefinitions", Upgrade existing objects to a new
    stored version). A later release may then drop the old one.

    One request where nothing is to do. An object is rewritten by a patch that says nothing: the API
    server stores it anew, and it never leaves the cluster.
    """
    names = crds.unproven(chart.crds, _metadata())
    if not state.is_executing:
        names = sorted({*names, *_will_store_several.get(host.name, ())})
    if not names:
        host.noop("only storage versions are stored")
        return
    change.begin(data)
    for name in names:
        yield from _one_version(name)


def _one_version(name: str) -> Steps:
    path = kinds.path(API, KIND, name=name)
    crd = fact(KubeObject, api_version=API, kind=KIND, resource=name)
    if crd is None:
        return
    stored, only = crd["status"]["storedVersions"], [crds.storage_version(crd)]
    planned = not state.is_executing and name in _will_store_several.get(host.name, ())
    if stored == only and not planned:
        show(f"Will note on {name} that {only[0]} alone is stored", [])
    else:
        show(f"Will store all objects of {name} in its storage version", [])
    if stored != only:
        if state.is_executing:
            count = _rewritten(session(), crd)
            fleet_run.journal("objects rewritten", cluster=host.name, crd=name, objects=count)
        yield _merge_patch(f"{path}/status", {"status": {"storedVersions": only}})
        if state.is_executing:
            _prove(name, only, crd["metadata"]["generation"])
    mark = {crds.STORED: str(crd["metadata"]["generation"])}
    yield _merge_patch(path, {"metadata": {"annotations": mark}})


def _merge_patch(path: str, body: Mapping[str, Any]) -> KubeCommand:
    query = {"fieldManager": MANAGER}
    return KubeCommand("PATCH", path, query=query, body=body, content_type=MERGE_PATCH)


def _prove(name: str, only: Sequence[str], generation: int) -> None:
    crd = fact(KubeObject, api_version=API, kind=KIND, resource=name)
    stored = crd["status"]["storedVersions"] if crd else None
    if crd is None or stored != only or crd["metadata"]["generation"] != generation:
        raise OperationError(
            f"{KIND} {name} was changed by somebody while its objects were rewritten: run again"
        )


def _rewritten(api: Api, crd: crds.Object) -> int:
    """How many objects of a CRD were stored anew. Raises OperationError for one that cannot be."""
    from gevent.pool import Pool

    def written() -> int:
        count = 0
        for page in api.pages(crds.collection(crd), METADATA_ONLY):
            refusals = Pool(AT_ONCE).imap(partial(_touched, api, crd), page["items"])
            refused = [it for it in refusals if it is not None]
            if refused:
                raise OperationError(f"{refused[0]}{_more(refused)}")
            count += len(page["items"])
        return count

    try:
        return anew(written)
    except ApiError as error:
        raise OperationError(f"{KIND} {crd['metadata']['name']}: {error}") from error


def _touched(api: Api, crd: crds.Object, thing: crds.Object) -> str | None:
    """Why an object could not be stored anew, or None; one that is gone needs nothing."""
    path, query = crds.item(crd, thing), {"fieldManager": MANAGER}
    try:
        api.text(Call("PATCH", path, query, {}, MERGE_PATCH, ONE_METADATA, frozenset()))
    except ApiError as error:
        if error.status == 404:
            return None
        meta = thing["metadata"]
        place = f"{meta['namespace']}/" if meta.get("namespace") else ""
        return (
            f"{crd['spec']['names']['kind']} {place}{meta['name']} cannot be stored as "
            f"{crds.storage_version(crd)}: {error}: correct or delete it, then run again"
        )
    return None


@fleet_operation()
def guarded(chart: Chart, data: Cluster) -> Steps:
    """
    Keep up the safe-upgrades policy of the Gateway API, which refuses CRDs of an older bundle or of
    another channel, whoever applies them. Only forward, as the CRDs. See ``Chart.policy`` for its
    name.
    """
    wanted = chart.policy(data.helm)
    live = live_objects(wanted)
    newer = crds.downgrades(wanted, live.values(), chart.version)
    if newer:
        host.noop(f"{newer[0]}: kept")
        return
    changed = [it for it in wanted if crds.changed([it], _there(it, live))]
    if not changed:
        host.noop(f"{len(wanted)} objects are those of {chart.name} {chart.version}")
        return
    change.begin(data)
    manifests = [_planned(it, chart.version) for it in changed]
    names = [kinds.title(it) for it in manifests]
    show(f"Will bring the safe-upgrades policy to that of {chart.name} {chart.version}", names)
    for manifest in manifests:
        yield apply_command(manifest, force=True)


def _there(thing: crds.Object, live: Mapping[str, crds.Object]) -> list[crds.Object]:
    found = live.get(kinds.path_of(thing))
    return [] if found is None else [found]


def _more(lines: Sequence[str]) -> str:
    return f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
