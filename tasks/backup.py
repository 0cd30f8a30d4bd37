"""
A backup of one cluster: the Gateway API and Envoy Gateway, what they reach, and what a restore asks
for; sealed before it reaches the disk, opened again, and kept for as long as it is due.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from gevent.lock import BoundedSemaphore
from pyinfra import host, state
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import DeployError
from pyinfra.connectors.util import CommandOutput
from typing_extensions import override

from tasks.facts.kube import KubeObject
from tasks.fleet import archives, audits, trees
from tasks.fleet import run as fleet_run
from tasks.fleet.archives import Archive
from tasks.fleet.guard import Steps, fact, fleet_operation
from tasks.fleet.inventory import Cluster
from tasks.fleet.recorder import ClusterResult
from tasks.fleet.survey import surveyed
from tasks.operations import copies
from tasks.operations.kube import show
from tasks.plans import archive, backup, lease, retention

SCHEMA = "envoyfleet.verify/1"
COLUMNS = ("cluster", "archive", "taken", "Envoy Gateway", "objects", "missing", "needs")
#: Deploys that go back: they must not wait for a container that cannot be reached.
WITHOUT_COPY = ("restore", "rollback")
#: Clusters that are read and packed at a time: each is some 8 MB in memory, and waits for answers.
_few = BoundedSemaphore(12)
_rows: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Kept:
    """+ manifest: without its entries; + opened: whether the archive was opened again here"""

    archive: Archive
    manifest: Mapping[str, Any]
    kinds: Mapping[str, int]
    opened: bool


class _Done(StringCommand):
    """Work that was done on this machine, so that pyinfra counts it as a change."""

    @override
    def execute(
        self, state: Any, host: Any, connector_arguments: Any
    ) -> tuple[bool, CommandOutput]:
        return True, CommandOutput([])


def of_the_fleet() -> None:
    """Deploy code: keep every cluster, all at once; one that fails stops no other."""
    fleet_run.ready()
    data = fleet_run.cluster()
    if data.format == "tree":
        as_tree(name="Tree", data=data)
    else:
        keep(name="Backup", data=data)


def verify_the_fleet() -> None:
    """Deploy code: open the newest archive of every cluster, or the one that ``archive`` names."""
    run = fleet_run.audit()
    run.finish_audit = _print
    verify(name="Verify", data=fleet_run.cluster())


@fleet_operation(is_idempotent=False)
def keep(data: Cluster) -> Steps:
    """
    Keep the cluster in an archive, open that again, and delete the archives that are no longer due.
    """
    if not data.backup.enabled:
        host.noop("backup is off here")
        return
    if not state.is_executing:
        show(f"Will write a backup into {_folder(data)}", [])
        yield _Done("backup")
        return
    begun = time.monotonic()
    kept = _kept(data, "")
    copy = copies.copied(kept.archive, data.backup, host.name)
    pruned = _pruned(data, kept.archive.path)
    for name in ("needs", "missing"):
        for line in kept.manifest[name]:
            host.log(f"{name}: {line}")
    if not kept.opened:
        host.log("sealed, not opened again: no identity here")
    for key, value in {
        "backup": str(kept.archive.path),
        **({"copy": copy} if copy else {}),
        "objects": str(sum(kept.kinds.values())),
        "kinds": str(len(kept.kinds)),
        "verified": "opened again" if kept.opened else "before it was sealed",
        "needs": str(len(kept.manifest["needs"])),
        "missing": str(len(kept.manifest["missing"])),
        "deleted": str(len(pruned)),
        "seconds": f"{time.monotonic() - begun:.1f}",
    }.items():
        fleet_run.note(host, key, value)
    yield _Done("backup")


@fleet_operation(is_idempotent=False)
def as_tree(data: Cluster) -> Steps:
    """Write the cluster as one YAML file an object, for people and for GitOps; no Secrets."""
    place = _folder(data) / "tree"
    if not state.is_executing:
        show(f"Will write {place}", [])
        yield _Done("tree")
        return
    with _few:
        survey = surveyed(data, secrets=False, values=False)
        paths = backup.tree_paths(survey.files)
        trees.written(place, {paths[it]: survey.files[it] for it in paths}, survey.secrets)
    fleet_run.note(host, "tree", str(place))
    fleet_run.note(host, "objects", str(len(paths)))
    fleet_run.journal("tree", cluster=host.name, path=str(place), objects=len(paths))
    yield _Done("tree")


@fleet_operation()
def verify(data: Cluster) -> Steps:
    """
    Open an archive: every digest, every object; where a container is named, its copy of it too.
    Asks no cluster.
    """
    yield from ()
    if not data.backup.enabled:
        _rows[host.name] = {"ring": data.ring, "archive": None}
        return
    choice = copies.chosen(data.backup, data.from_cluster or host.name, data.archive)
    path = choice.path
    with _few:
        found = archives.read(path, data)
    copy = None if data.archive else copies.copy_of(choice, data.backup)
    manifest = found.manifest
    _rows[host.name] = {
        "ring": data.ring,
        "archive": str(path),
        "copy": copy,
        "sha256": sha256(path.read_bytes()).hexdigest(),
        "objects": len(found.files),
        **{key: manifest.get(key) for key in ("cluster", "taken", "envoy_gateway")},
        **{key: list(manifest.get(key) or ()) for key in ("needs", "missing", "left_out")},
    }


def _print(results: list[ClusterResult]) -> None:
    audits.show(results, _rows, SCHEMA, COLUMNS, _line)
    if not any(it.output == "json" for it in fleet_run.current().clusters.values()):
        for name, row in sorted(_rows.items()):
            if row.get("copy"):
                print(f"{name}: copy: {row['copy']}")
            for key in ("needs", "missing"):
                for line in row.get(key, ()):
                    print(f"{name}: {key}: {line}")


def _line(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    if "unreachable" in row:
        return (name, f"not good: {row['unreachable']}", "", "", "", "", "")
    if row["archive"] is None:
        return (name, "backup is off here", "", "", "", "", "")
    taken = datetime.fromisoformat(row["taken"])
    return (
        name,
        row["archive"],
        f"{taken:%Y-%m-%d %H:%M} UTC",
        row["envoy_gateway"] or "none",
        *(str(it) for it in (row["objects"], len(row["missing"]), len(row["needs"]))),
    )


def made(data: Cluster) -> Path | None:
    """
    Called by an operation before the first write of its cluster: the backup's file, such as
    ``backups/weu-1/20261121T140211Z-upgrade.tar.gz.age``, or None where ``backup`` is off or names
    nobody.

    Raises DeployError where it cannot be made; then nothing may be changed. A copy that cannot be
    made stops what goes forward, and not the way out of an outage.
    """
    if not data.backup.enabled or (data.backup.secrets and not data.backup.recipients):
        return None
    deploy = fleet_run.current().deploy
    archive = _kept(data, f"-{deploy}").archive
    try:
        copies.copied(archive, data.backup, host.name)
    except DeployError as error:
        if deploy not in WITHOUT_COPY:
            raise
        host.log(f"goes on without a copy: {error}")
        fleet_run.note(host, "copy", "none")
    return archive.path


def _kept(data: Cluster, why: str) -> Kept:
    """
    The cluster as it is, on the disk and known to be whole. + why: behind the time in the name of
    the file, such as "-upgrade"
    """
    with _few:
        sealed = bool(data.backup.recipients)
        survey = surveyed(data, secrets=data.backup.secrets, values=sealed)
        folder, taken = _folder(data), fleet_run.now()
        while any(folder.glob(f"{taken:%Y%m%dT%H%M%SZ}*")):
            taken += timedelta(seconds=1)
        packed = archive.packed(survey.about, survey.files, taken)
        counts = backup.kinds_of(survey.files)
        survey.files.clear()
        opens = not why and sealed and archives.has_identity(data)
        if not opens:
            archive.unpacked(packed)
        stem = f"{taken:%Y%m%dT%H%M%SZ}{why}"
        kept = archives.kept(folder, stem, packed, data.backup.recipients)
        if opens:
            archives.read(kept.path, data)
    fleet_run.journal(
        "backup",
        cluster=host.name,
        path=str(kept.path),
        sha256=kept.sha256,
        objects=sum(counts.values()),
    )
    return Kept(kept, survey.about, counts, opens)


def _pruned(data: Cluster, good: Path) -> list[str]:
    """Delete what is no longer due; the names of that."""
    found = fact(
        KubeObject,
        api_version="coordination.k8s.io/v1",
        kind="Lease",
        resource=lease.NAME,
        namespace=data.namespace,
    )
    ways_back = [it.backup for it in (lease.last_good(found), lease.came_from(found)) if it]
    names = retention.superfluous(
        archives.names(good.parent),
        fleet_run.now(),
        good.name,
        [Path(it).name for it in ways_back if it],
        **data.backup.keep.model_dump(),
    )
    archives.pruned(good.parent, names)
    if names:
        fleet_run.journal("backups deleted", cluster=host.name, names=names)
    return names


def _folder(data: Cluster) -> Path:
    return archives.folder_of(Path(data.backup.folder), host.name)
