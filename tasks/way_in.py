"""
An archive on its way into a cluster: read, and held against the cluster before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from pyinfra import host
from pyinfra.api.exceptions import DeployError

from tasks import change, controller, crds, desired, public_ips
from tasks.envoy_gateway import Desired
from tasks.facts import azure
from tasks.facts.kube import KubeObject, KubeObjects, Resources
from tasks.fleet import archives, refusals, rights
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import fact, kubernetes_version
from tasks.fleet.inventory import Cluster
from tasks.operations import copies, objects
from tasks.plans import crds as plan_crds
from tasks.plans import (
    hand_set,
    moved_ips,
    permissions,
    preflight,
    references,
    reservation,
    restore,
    schemas,
    stand_ins,
    versions,
    way_in,
)
from tasks.plans.archive import Contents
from tasks.plans.kinds import title
from tasks.plans.moved_ips import Moved
from tasks.plans.preflight import Reason, warning
from tasks.plans.public_ips import Wanted
from tasks.plans.references import Reference
from tasks.plans.resources import CORE, Resource
from tasks.plans.rights import deploys
from tasks.plans.way_in import Places

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """
    Whose archive a restore takes.

    + cluster: the one that it was made of, such as "weu-1"
    + archive: its file, or its URL in a container; None is the newest of that cluster
    + addresses: False leaves fixed addresses of load balancers out, for a cluster beside it
    + oldest: the oldest one instead of the newest
    + named: False is a file of the run's own that is gone afterwards, so no line says it
    """

    cluster: str
    archive: str | None = None
    addresses: bool = True
    oldest: bool = False
    named: bool = True


@dataclass(frozen=True)
class Archive:
    """
    An archive that was read, and what of it this cluster takes.

    + sha256: of the file; + passed_over: archives that are newer, and why they were not taken
    + objects: that are restored, in order, without the Secrets of the control plane
    + keys: those Secrets; + all: every object of the archive but for what the chart brings
    + left_out: by title, what has no place here, and why
    + addresses: by title of a Gateway, the public IP that it asks for and can have here
    """

    path: Path
    sha256: str
    manifest: Mapping[str, Any]
    objects: Sequence[Object]
    keys: Sequence[Object]
    all: Sequence[Object]
    places: Places
    left_out: Mapping[str, str]
    reasons: Sequence[Reason]
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def taken(self) -> datetime:
        return datetime.fromisoformat(self.manifest["taken"])

    def resource(self, thing: Object) -> Resource:
        """Where this cluster keeps an object of it. Raises LookupError where it has no place."""
        found = way_in.place(thing, self.places)
        if isinstance(found, str):
            raise LookupError(f"{title(thing)}: {found}")
        return found

    def schema(self, thing: Object) -> Mapping[str, Any] | None:
        """With the defaults of the version that this cluster keeps an object in."""
        return self.places.schema(self.resource(thing))


def read(wanted: Desired, source: Source) -> Archive:
    """
    The archive, all of it checked, and everything that speaks against restoring it here. Changes
    nothing. Raises DeployError, in one line, where the archive cannot be used.
    """
    data = wanted.data
    path, before, passed_over = _chosen(data, source)
    contents = _opened(path, data, before)
    archived = contents.objects()
    every = [it for it in archived if not way_in.comes_otherwise(it, data.release)]
    if not source.addresses:
        every = [stand_ins.without_address(it) for it in every]
    keys = [it for it in every if _is_key(it, data)]
    chosen = restore.selected(every, data.only)
    there_now = fact(KubeObjects, api_version=crds.API, kind=crds.KIND, metadata_only=True)
    places = _places(wanted, every, there_now)
    refused, left_out = way_in.of_places(chosen.objects, places)
    there = [it for it in chosen.objects if title(it) not in left_out]
    needed = _namespaces(there, every, data)
    kept = references.in_order([*needed, *(it for it in there if it not in keys or data.only)])
    reasons = [
        *passed_over,
        *refused,
        *_of_selection(chosen, places),
        *_of_archive(wanted, source, contents.manifest, archived),
        *(() if data.only else _of_crds(wanted, there_now)),
    ]
    if not refused:
        reasons += _of_objects(wanted, kept, places)
        reasons += _of_rights(wanted, kept, places)
    asked = contents.manifest.get("addresses") or () if source.addresses else ()
    moved = _public_ips(moved_ips.asked(asked, {title(it) for it in kept}))
    reasons += [reason for it in moved for reason in it.reasons]
    return Archive(
        path=path,
        sha256=sha256(path.read_bytes()).hexdigest(),
        manifest=contents.manifest,
        objects=kept,
        keys=() if data.only else keys,
        all=every,
        places=places,
        left_out=left_out,
        reasons=reasons,
        addresses={it.gateway: it.address for it in moved if it.address and it.free},
    )


def _chosen(data: Cluster, source: Source) -> tuple[Path, str | None, list[Reason]]:
    """The file to restore, how the one before it is named, and a word for what was not taken."""
    it = copies.chosen(data.backup, source.cluster, source.archive, source.oldest)
    said = []
    if it.newer:
        newer = preflight.listed(it.newer)
        said.append(f"passed over, for it was made before a restore: {newer}")
    if it.unread:
        said.append(f"there may be a newer archive, {it.unread}")
    return it.path, it.before, [warning(line) for line in said]


def _opened(path: Path, data: Cluster, before: str | None) -> Contents:
    try:
        return archives.read(path, data)
    except DeployError as error:
        if before is None:
            raise
        raise DeployError(f"{error}; the one before it is --data archive={before}") from error


def _is_key(thing: Object, data: Cluster) -> bool:
    """Whether it is one of the four Secrets of the control plane."""
    meta = thing["metadata"]
    mine = thing["kind"] == "Secret" and meta.get("namespace") == data.namespace
    return mine and meta["name"] in restore.KEYS


def _namespaces(chosen: Sequence[Object], every: Sequence[Object], data: Cluster) -> list[Object]:
    """Namespaces of the archive that some objects need, that nobody named, and that are missing."""
    if not data.only:
        return []
    there = {it["metadata"]["name"] for it in fact(KubeObjects, api_version="v1", kind="Namespace")}
    needed = {it["metadata"].get("namespace") for it in chosen} - there
    return [
        it
        for it in every
        if it["kind"] == "Namespace" and it["metadata"]["name"] in needed and it not in chosen
    ]


def _places(wanted: Desired, every: Sequence[Object], live: Sequence[Object]) -> Places:
    """
    Where this cluster will keep each kind once the CRDs of the chart are there.

    + live: the CRDs of the cluster, without their schemas
    """
    data, chart = wanted.data, wanted.chart
    known = {it["metadata"]["name"] for it in live}
    behind = {it["metadata"]["name"] for it in plan_crds.changed(chart.crds, live)}
    coming = set[str]()
    if not data.only:
        written = preflight.written(chart.crds, live, chart.version)
        coming = {it["metadata"]["name"] for it in written}
    ours = {(it["spec"]["group"], it["spec"]["names"]["kind"]): it for it in chart.crds}
    discovered = [*CORE, *fact(Resources)]
    names = {(it.group, it.kind): f"{it.plural}.{it.group}" for it in discovered}
    definitions: list[dict[str, Any] | None] = []
    for key in sorted({way_in.kind_of(it) for it in every}):
        crd = ours.get(key)
        name = crd["metadata"]["name"] if crd else names.get(key)
        if crd and (name in coming or name not in behind):
            definitions.append(crd)
        elif name in known:
            definitions.append(
                fact(KubeObject, api_version=crds.API, kind=crds.KIND, resource=name)
            )
    return way_in.places(discovered, [it for it in definitions if it is not None])


def _of_selection(chosen: restore.Selection, places: Places) -> list[Reason]:
    """Patterns that fit nothing, and what the selection refers to and neither side has."""
    found = [Reason(f'only: "{it}" fits nothing in the archive') for it in chosen.unmatched]
    asked = {}
    for it in chosen.needed:
        resource = way_in.place(it, places)
        if isinstance(resource, Resource) and it["kind"] != "Namespace":
            asked[references.to(it)] = (resource, it["metadata"].get("namespace"))
    there = {references.to(it) for it in objects.listed(asked.values())}
    absent = [it.title for it in asked if it not in there]
    if absent:
        said = preflight.listed(absent, 5)
        found.append(warning(f"what is restored needs {said}, which is not here: add it to only"))
    return found


def _of_archive(
    wanted: Desired, source: Source, manifest: Mapping[str, Any], archived: Sequence[Object]
) -> list[Reason]:
    """Whose the archive is, of which version, and what runs here now."""
    data = wanted.data
    busy = change.held_by_another(data)
    system = fact(KubeObject, api_version="v1", kind="Namespace", resource="kube-system")
    release = controller.readable_release(data, anew=True)
    installed = controller.version_that_runs(data, release)
    other = None if release else controller.of_somebody_else(data)
    unfit = versions.refusal(None, data.envoy_gateway_version)
    outside = versions.kubernetes_problem(data.envoy_gateway_version, kubernetes_version())
    helm = manifest.get("helm") or {}
    by_kind: dict[str, list[Object]] = {}
    for it in archived:
        by_kind.setdefault(it["kind"], []).append(it)
    given = data.from_cluster or (source.cluster if source.cluster != host.name else None)
    return [
        *([Reason(it) for it in (busy, other, unfit, outside) if it]),
        *way_in.of_cluster(manifest, host.name, given),
        *way_in.of_identity(manifest, host.name, system["metadata"]["uid"] if system else None),
        *way_in.of_release(installed, data.envoy_gateway_version, data.only),
        *way_in.of_versions(
            manifest.get("envoy_gateway"), data.envoy_gateway_version, by_kind, wanted.values
        ),
        *way_in.of_namespace(helm.get("namespace"), data.namespace),
        *(() if data.only else way_in.of_values(_values(wanted, manifest))),
        # Public IPs are among these; whether each can be had here is looked at by itself.
        *(warning(f"it needs {it}") for it in manifest.get("needs") or ()),
    ]


def _values(wanted: Desired, manifest: Mapping[str, Any]) -> list[str]:
    """What the archive's Helm values say and the inventory's do not."""
    helm, data = manifest.get("helm") or {}, wanted.data
    rendered = [wanted.values]
    if manifest.get("envoy_gateway") not in (None, data.envoy_gateway_version):
        before = data.model_copy(update={"envoy_gateway_version": manifest["envoy_gateway"]})
        with suppress(ValueError):  # its images are not known
            rendered.append(desired.values(host.name, before, part="before"))
    return hand_set.differences(helm.get("values") or {}, rendered, ours=False)


def _of_crds(wanted: Desired, live: Sequence[Object]) -> list[Reason]:
    """Whether the CRDs may be written: their owner, their channel."""
    data, chart = wanted.data, wanted.chart
    changed = preflight.written(chart.crds, live, chart.version)
    named = f"{chart.name} {chart.version}"
    found = preflight.crd_reasons(changed, live, data.crd_managers, named)
    return found + (preflight.bundle_reasons(live, chart.crds, None) if changed else [])


def _of_objects(wanted: Desired, kept: Sequence[Object], places: Places) -> list[Reason]:
    """Objects that the schemas here refuse or would cut, and such without a namespace."""
    chart, found = wanted.chart, []
    ours = {it["metadata"]["name"]: it for it in chart.crds}
    wrong: dict[str, list[str]] = {}
    cut: dict[str, list[str]] = {}
    for it in kept:
        resource = way_in.place(it, places)
        crd = places.definitions.get(way_in.kind_of(it))
        if isinstance(resource, str) or crd is None:
            continue
        name = crd["metadata"]["name"]
        schema = schemas.schema_of(crd, resource.version) or {}
        lost = schemas.pruned(schema, schemas.own(it))
        cut.setdefault(name, []).extend(f"{title(it)}: {path}" for path in lost)
        if ours.get(name) == crd and resource.version == plan_crds.storage_version(crd):
            lines = refusals.of(chart, name, it)
            wrong.setdefault(name, []).extend(f"{title(it)}: {line}" for line in lines)
    for name in cut:
        found += schemas.reasons(name, chart.version, wrong.get(name, []), cut[name])
    return found


def _of_rights(wanted: Desired, kept: Sequence[Object], places: Places) -> list[Reason]:
    data = wanted.data
    verbs = ["list", "create", "patch", "update", *(["delete"] if data.delete_others else [])]
    needed = [permissions.Right("list", "namespaces")]
    kinds = {(way_in.kind_of(it), it["metadata"].get("namespace")) for it in kept}
    for key, namespace in sorted(kinds, key=str):
        for it in places.resources.get(key, ())[:1]:
            name = f"{it.plural}.{it.group}" if it.group else it.plural
            place = None if it.group else namespace  # those of a group are listed everywhere
            needed += [permissions.Right(verb, name, place) for verb in verbs]
    if not data.only:
        own = {it["metadata"].get("namespace") or data.namespace for it in _gateways(kept)}
        needed += deploys.before_writing(replace(rights.places(data), gateways=tuple(sorted(own))))
    denied = rights.denied(list(dict.fromkeys(needed)), data.namespace)
    return [
        Reason(f"this identity may not {it}: ask for a role that allows it")
        for it in permissions.grouped(denied)
    ]


def _public_ips(asked: Mapping[str, Wanted]) -> list[Moved]:
    """What Azure has of the public IPs that Gateways ask for; nothing where this is not Azure."""
    aks = public_ips.cluster_of_azure() if asked else None
    if aks is None:
        return []
    there = azure.landscape([aks.subscription], reservation.NEEDED)
    found = moved_ips.moved(asked, aks, there)
    good = [it.text for it in found if it.free]
    if good:
        fleet_run.note(host, "public IPs to have again", "; ".join(good))
    return found


def _gateways(kept: Sequence[Object]) -> list[Object]:
    return [it for it in kept if it["kind"] == "Gateway"]


def being_deleted(archive: Archive, data: Cluster) -> list[str]:
    """Namespaces and CRDs that go at this moment, and must have gone before they can come back."""
    wanted = {it["metadata"].get("namespace") for it in archive.all} | {data.namespace}
    spaces = fact(KubeObjects, api_version="v1", kind="Namespace")
    definitions = fact(KubeObjects, api_version=crds.API, kind=crds.KIND, metadata_only=True)
    mine = {it["metadata"]["name"] for it in archive.places.definitions.values()}
    going = [f"Namespace {it}" for it in _going(spaces) if it in wanted]
    going += [f"CustomResourceDefinition {it}" for it in _going(definitions) if it in mine]
    return [
        f"{it} is being deleted: if that does not end, look at what its finalizers wait for"
        for it in going
    ]


def _going(things: Sequence[Object]) -> list[str]:
    return [it["metadata"]["name"] for it in things if it["metadata"].get("deletionTimestamp")]


def live(archive: Archive, things: Sequence[Object]) -> dict[Reference, dict[str, Any]]:
    """
    What this cluster has of the kinds of some objects: one list a kind, of core kinds one a
    namespace.
    """
    places = []
    for it in things:
        resource = archive.resource(it)
        namespace = None if resource.group else it["metadata"].get("namespace")
        places.append((resource, namespace))
    return {references.to(it): it for it in objects.listed(places)}
