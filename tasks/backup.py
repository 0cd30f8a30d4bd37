"""
A backup of one cluster: all objects of the Gateway API and of Envoy Gateway, what they refer to,
and what Helm and the controller live on. Sealed before it reaches the disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from gevent.lock import BoundedSemaphore
from pyinfra import host
from pyinfra.api.exceptions import DeployError

from tasks.connectors.api import ApiError
from tasks.connectors.command import KubeCommand
from tasks.facts.kube import KubeObject, ServedVersions, items
from tasks.fleet import archives
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import fact, kubernetes_version, session
from tasks.fleet.inventory import Cluster
from tasks.fleet.render import SAFE
from tasks.plans import backup, helm, kinds
from tasks.plans.backup import Reference

#: Clusters that are packed at a time: Helm's records are some MB a cluster, thrice in memory.
_few = BoundedSemaphore(8)


def made(data: Cluster) -> Path | None:
    """
    Called by an operation before the first write of its cluster: the backup's file, such as
    ``backups/weu-1/20261121T140211Z.tar.age``, or None where ``backup`` is off or names nobody.
    One request a kind that is served, and two or three for each namespace that is referred to.

    Raises DeployError where it cannot be made; then nothing may be changed.
    """
    if not data.backup.enabled or not data.backup.recipients:
        return None
    with _few:
        files, manifest = _contents(data)
        taken = fleet_run.now()
        folder = Path(data.backup.folder) / SAFE.sub("_", host.name)
        while (folder / f"{taken:%Y%m%dT%H%M%SZ}.tar.age").exists():
            taken += timedelta(seconds=1)
        manifest["taken"] = taken.isoformat()
        archive = archives.sealed(
            folder,
            f"{taken:%Y%m%dT%H%M%SZ}",
            backup.packed(manifest, files, taken),
            data.backup.recipients,
        )
    fleet_run.journal(
        "backup",
        cluster=host.name,
        path=str(archive.path),
        sha256=archive.sha256,
        entries=len(files),
    )
    return archive.path


def _contents(data: Cluster) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files of the backup and its manifest."""
    served = fact(ServedVersions)
    objects = [it for path in backup.lists(served) for it in _listed(path, {})]
    wanted = backup.references(objects) | backup.controls(data.namespace)
    around, records = _referred(wanted, data.namespace)
    found = {_reference(it) for it in around}
    files = backup.entries([*objects, *around, *records])
    system = fact(KubeObject, api_version="v1", kind="Namespace", resource="kube-system")
    about = {
        "cluster": host.name,
        "uid": system and system["metadata"]["uid"],
        "taken": None,
        "run": fleet_run.current().id,
        "kubernetes": kubernetes_version(),
        "envoy_gateway": _version(data.release, records),
        "served": {
            it: served[it] for it in sorted(served) if it.partition(".")[2] in backup.GROUPS
        },
    }
    return files, backup.manifest(files, wanted - found, **about)


def _referred(
    wanted: Iterable[Reference], namespace: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """
    The Secrets and ConfigMaps among ``wanted`` that exist, and Helm's records in the controller's
    namespace. One LIST a kind and namespace; elsewhere the server leaves Helm's records out, which
    are most of what a namespace weighs.
    """
    around, records = [], []
    for kind, place in sorted({(it.kind, it.namespace) for it in wanted}):
        query = {"fieldSelector": "type!=helm.sh/release.v1"}
        own = place == namespace or kind != "Secret"
        for thing in _listed(kinds.path("v1", kind, place), {} if own else query):
            if _reference(thing) in wanted:
                around.append(thing)
            elif place == namespace and backup.is_helm_record(thing):
                records.append(thing)
    return around, records


def _listed(path: str, query: dict[str, str]) -> list[dict[str, Any]]:
    try:
        return items(session().text(KubeCommand("GET", path, query=query).call))
    except ApiError as error:
        raise DeployError(
            f"no backup: GET {path}: {error}: mend that, or switch backup off here"
        ) from error


def _reference(thing: dict[str, Any]) -> Reference:
    meta = thing["metadata"]
    return Reference(thing["kind"], meta["namespace"], meta["name"])


def _version(release: str, records: list[dict[str, Any]]) -> str | None:
    """Of Envoy Gateway, such as "1.8.3"; None without a record that can be read."""
    own = [it for it in records if it["metadata"]["labels"].get("name") == release]
    newest = helm.newest(own)
    try:
        return helm.decode(newest).version if newest else None
    except ValueError:  # what cannot be read is kept all the same
        return None
