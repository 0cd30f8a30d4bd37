"""
Where the archives of a cluster are: in the folder of this machine, and as copies in a container.
What is read is always a file of the folder; a copy that is only in the container is fetched first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyinfra import host
from pyinfra.api.exceptions import DeployError

from tasks.fleet import archives
from tasks.fleet import run as fleet_run
from tasks.fleet.archives import Archive
from tasks.fleet.inventory import Backup
from tasks.operations import blobs
from tasks.operations.blobs import Blob
from tasks.plans.retention import NAME, is_of_damage


@dataclass(frozen=True)
class Choice:
    """
    The archive that a restore takes.

    + path: its file; + before: how the one before it is named, where there is one
    + newer: names of those that are newer and were made of a damaged or empty cluster
    + copies: what the container has, by name
    + unread: why the container was not read, so that it may have a newer one
    """

    path: Path
    before: str | None = None
    newer: Sequence[str] = ()
    copies: Mapping[str, Blob] = field(default_factory=dict)
    unread: str | None = None


#: By what was asked for: the choice of this run, whatever comes meanwhile.
_choices: dict[tuple[str, str | None, str, str | None, bool], Choice] = {}


def copied(archive: Archive, backup: Backup, cluster: str) -> str | None:
    """
    Bring a copy of an archive into the container; its URL, None where the inventory names none.
    Raises DeployError, in one line: the archive stays where it is.
    """
    if backup.container is None:
        return None
    name = f"{archive.path.parent.name}/{archive.path.name}"
    try:
        url = blobs.put(backup.container, name, archive.path.read_bytes())
    except DeployError as error:
        raise DeployError(f"{archive.path} is good, but it has no copy: {error}") from error
    fleet_run.journal("copy", cluster=cluster, url=url, sha256=archive.sha256)
    return url


def chosen(
    backup: Backup, cluster: str, archive: str | None = None, oldest: bool = False
) -> Choice:
    """
    The newest archive of a cluster, of the folder and the container together; the same one for all
    of this run. A container that cannot be read is an error only where the folder has nothing.

    + archive: the one to take instead: its file, or its URL in a container
    + oldest: the oldest one instead

    Raises DeployError, in one line.
    """
    key = (backup.folder, backup.container, cluster, archive, oldest)
    if key not in _choices:
        _choices[key] = (
            Choice(_named(archive, backup)) if archive else _found(backup, cluster, oldest)
        )
    return _choices[key]


def _found(backup: Backup, cluster: str, oldest: bool) -> Choice:
    place = archives.folder_of(Path(backup.folder), cluster)
    here, (copies, unread) = archives.names(place), _copies(backup, place.name)
    names = archives.in_order({*here, *copies})
    good = [it for it in names if not is_of_damage(it)]
    if not good:
        raise DeployError(_none(place, backup.container, unread))
    name = good[0 if oldest else -1]
    older = good[: good.index(name)]
    before = None
    if older:
        before = str(place / older[-1]) if older[-1] in here else copies[older[-1]].url
    path = place / name
    if name not in here:
        try:
            path = _fetched(str(backup.container), place, name)
        except DeployError as error:
            if before is None:
                raise
            raise DeployError(f"{error}; the one before it is --data archive={before}") from error
    return Choice(path, before, names[names.index(good[-1]) + 1 :], copies, unread)


def _none(place: Path, container: str | None, unread: str | None) -> str:
    """Where no backup is, and what to do."""
    if unread:
        return f"{place} holds no backup, and {unread}"
    nowhere = f"neither {place} nor {container} holds a" if container else f"{place} holds no"
    return (
        f"{nowhere} backup: make one with deploys/backup.py, name one with --data archive=FILE, or "
        "correct backup.folder"
    )


def _copies(backup: Backup, folder: str) -> tuple[dict[str, Blob], str | None]:
    """Archives that the container has, by name, and why it could not be read."""
    if backup.container is None:
        return {}, None
    try:
        found = blobs.listed(backup.container, folder)
    except DeployError as error:
        return {}, str(error)
    return {name: it for name, it in found.items() if NAME.match(name)}, None


def _named(archive: str, backup: Backup) -> Path:
    """
    The file that ``archive`` of the inventory means: a path, or a copy that is fetched,
    "https://<account>.blob.core.windows.net/<container>/<cluster>/<name>.tar.gz.age". Raises
    DeployError, in one line.
    """
    if not archive.startswith("https://"):
        return Path(archive)
    container, _, rest = archive.rpartition("/")
    container, _, cluster = container.rpartition("/")
    if not NAME.match(rest) or container.count("/") < 3:
        raise DeployError(
            f"{archive} names no archive in a container: write https://<account>.blob.core."
            "windows.net/<container>/<cluster>/<name>.tar.gz.age"
        )
    return _fetched(container, archives.folder_of(Path(backup.folder), cluster), rest)


def _fetched(container: str, place: Path, name: str) -> Path:
    """A copy, brought into the folder as it is, sealed. Raises DeployError."""
    content = blobs.read(container, f"{place.name}/{name}")
    path = place / name
    if path.exists() and path.read_bytes() != content:
        raise DeployError(
            f"{path} is there and differs from {container}/{place.name}/{name}: move it away, or "
            "name it with --data archive=FILE"
        )
    host.log(f"fetched {container}/{place.name}/{name}")
    return archives.written(path, content).path


def copy_of(choice: Choice, backup: Backup) -> str | None:
    """
    The URL of the copy that an archive has in the container, None where the inventory names none.
    Raises DeployError, in one line, where it is not as good as the archive.
    """
    if backup.container is None:
        return None
    path, copy = choice.path, choice.copies.get(choice.path.name)
    why = choice.unread
    if why is None and copy is None:
        url = f"{backup.container}/{path.parent.name}/{path.name}"
        why = f"{url} does not exist: run deploys/backup.py"
    elif copy is not None and not copy.holds(path.read_bytes()):
        why = f"{copy.url} differs: find out who wrote there, then run deploys/backup.py"
    if copy is None or why is not None:
        raise DeployError(f"{path} is good, its copy is not: {why}")
    return copy.url
