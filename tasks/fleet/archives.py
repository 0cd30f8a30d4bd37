"""
Archives on the disk: sealed in memory with age, so that nothing readable reaches it, and opened
again. Their names are their times: ``<folder>/<cluster>/20261121T140211Z.tar.gz.age``, with
``-upgrade`` behind the time where they were made before a change.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pyinfra.api.exceptions import DeployError

from tasks.fleet.inventory import Cluster, together
from tasks.fleet.render import SAFE
from tasks.plans import archive
from tasks.plans.archive import Contents, Damaged
from tasks.plans.retention import NAME, is_of_damage

HEADER = b"age-encryption.org/v1\n"
SEALED = ".age"
LARGEST = 256 << 20
IDENTITY = "ENVOYFLEET_AGE_IDENTITY"
NO_IDENTITY = (
    f"no age identity here opens backups: write the file of the key into backup.identity, or into "
    f"the environment variable {IDENTITY}"
)
#: How a file ends that is being written, under a lock: who takes one for an archive takes half.
PART = ".part"


@dataclass(frozen=True)
class Archive:
    """+ sha256: of the file as it is on the disk."""

    path: Path
    sha256: str


def problems(clusters: Mapping[str, Cluster]) -> list[str]:
    """
    Why backups of these clusters could not be sealed, a line a reason, such as "weu-1 (and 59
    more): backup has no recipients: ..."; empty where they could, or hold no Secrets.
    """
    reasons: dict[str, list[str]] = {}
    for name, data in clusters.items():
        hides = data.backup.secrets and data.format == "archive"
        if data.backup.enabled and hides and not data.backup.recipients:
            reason = (
                'backup has no recipients: make a key with "age-keygen -o FILE", write the public '
                'key it prints into recipients and keep FILE, or leave Secrets out with "secrets": '
                'False, or set "enabled": False'
            )
            reasons.setdefault(reason, []).append(name)
        for recipient in data.backup.recipients if data.backup.enabled else ():
            if not is_recipient(recipient):
                reason = f"backup.recipients: {recipient!r} is not an age public key: copy it again"
                reasons.setdefault(reason, []).append(name)
    return together(reasons)


def unopenable(clusters: Mapping[str, Cluster], deploy: str) -> list[str]:
    """
    Why archives of these clusters could not be opened here, a line; empty where they could.

    + deploy: such as "drill", which opens those of ``drill_source`` alone
    """
    names = [
        name
        for name, data in clusters.items()
        if (data.drill_source or deploy != "drill")
        and (data.backup.enabled or deploy != "verify")
        and (data.backup.recipients or data.backup.secrets)
        and not (data.archive or "").endswith(".tar.gz")
        and not has_identity(data)
    ]
    return together({NO_IDENTITY: names} if names else {})


def is_recipient(text: str) -> bool:
    from pyrage import RecipientError, x25519  # type: ignore[import-untyped]

    try:
        x25519.Recipient.from_str(text)
    except RecipientError:
        return False
    return True


def folder_of(folder: Path, cluster: str) -> Path:
    """Where the archives of a cluster are."""
    return folder / SAFE.sub("_", cluster)


def newest(folder: Path, cluster: str) -> Path | None:
    """
    The newest archive of a cluster by its name, or None. A file that is still being written has
    another name; what was kept before an install or a restore is not taken: it may be of nothing.

    Raises DeployError, in one line, where the folder cannot be read.
    """
    place = folder_of(folder, cluster)
    found = [it for it in names(place) if not is_of_damage(it)]
    return place / found[-1] if found else None


def names(place: Path) -> list[str]:
    """The archives in the folder of a cluster, the oldest first. Raises DeployError."""
    try:
        found = [it.name for it in place.iterdir() if NAME.match(it.name)]
        return in_order(found)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DeployError(f"{place} cannot be read ({error.strerror}): correct that") from error


def in_order(names: Iterable[str]) -> list[str]:
    """Names of archives, the oldest first; what was made before a change behind others of then."""
    return sorted(names, key=lambda it: (it[:16], it))


def identity_file(data: Cluster) -> Path:
    """
    The file with the age identity that opens this cluster's archives. Raises DeployError where the
    inventory and the environment name none.
    """
    named = data.backup.identity or os.environ.get(IDENTITY)
    if not named:
        raise DeployError(NO_IDENTITY)
    return Path(named)


def has_identity(data: Cluster) -> bool:
    return bool(data.backup.identity or os.environ.get(IDENTITY))


def read(path: Path, data: Cluster) -> Contents:
    """``opened`` with this cluster's identity, which an archive without Secrets does not need."""
    return opened(path, identity_file(data) if path.name.endswith(SEALED) else None)


def opened(path: Path, identities: Path | None) -> Contents:
    """
    What is in an archive, all of it checked.

    + identities: a file as age-keygen writes it, one identity a line and comments; None for an
      archive that is not sealed

    Raises DeployError, in one line: no such file, not readable, not of age, another key's, damaged.
    """
    content = _bytes(path)
    if path.name.endswith(SEALED):
        if identities is None:
            raise DeployError(f"{path}: {NO_IDENTITY}")
        content = _unsealed(path, content, identities)
    try:
        return archive.unpacked(content)
    except Damaged as error:
        raise DeployError(f"{path} cannot be used: {error}: take another archive") from error


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise DeployError(f"{path} has more than {LARGEST >> 20} MB: it is no backup")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DeployError(f"{path} does not exist: correct its name") from error
    except OSError as error:
        raise DeployError(f"{path} cannot be read ({error.strerror}): correct that") from error


def _unsealed(path: Path, content: bytes, identities: Path) -> bytes:
    from pyrage import DecryptError, decrypt

    if not content.startswith(HEADER):
        raise DeployError(f"{path} is not sealed with age, or damaged: take another archive")
    try:
        return bytes(decrypt(content, _identities(identities)))
    except DecryptError as error:
        if "No matching keys" in str(error):
            raise DeployError(
                f"{path} is not for the key in {identities}: name the file of a key that it was "
                "sealed for in backup.identity"
            ) from error
        raise DeployError(
            f"{path} is damaged, not all of it can be decrypted: take another archive"
        ) from error


def _identities(file: Path) -> list[Any]:
    from pyrage import IdentityError, x25519

    try:
        lines = [it.strip() for it in file.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise DeployError(
            f"the age identity {file} cannot be read ({error.strerror}): correct backup.identity"
        ) from error
    except ValueError as error:
        raise DeployError(f"{file} is no file of age identities: it is no text") from error
    found = []
    for number, line in enumerate(lines, 1):
        if line and not line.startswith("#"):
            try:
                found.append(x25519.Identity.from_str(line))
            except IdentityError as error:  # the line itself may be most of a key
                raise DeployError(
                    f"{file} line {number} is no age identity (AGE-SECRET-KEY-1...): correct it"
                ) from error
    if not found:
        raise DeployError(f"{file} holds no age identity: write AGE-SECRET-KEY-1... into it")
    return found


def kept(folder: Path, stem: str, data: bytes, recipients: Sequence[str]) -> Archive:
    """
    ``data`` as ``<folder>/<stem>.tar.gz.age``, 0600, read back from where it was written; without
    recipients as it is, ``<stem>.tar.gz``.

    Raises DeployError, in one line; then nothing is left.
    """
    content = _sealed(data, recipients) if recipients else data
    return written(folder / f"{stem}.tar.gz{SEALED if recipients else ''}", content)


def written(path: Path, content: bytes) -> Archive:
    """
    An archive as it is, sealed or not, 0600, read back from where it was written. Raises
    DeployError, in one line; then nothing is left.
    """
    digest = sha256(content).hexdigest()
    try:
        for it in (path.parent.parent, path.parent):
            it.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep(path.parent)
        _write(path, content)
        back = path.read_bytes()
    except OSError as error:
        raise DeployError(
            f"{path} cannot be written ({error.strerror}): make room, or correct backup.folder"
        ) from error
    if sha256(back).hexdigest() != digest:
        raise DeployError(f"{path} is not what was written: look at the disk, then run again")
    return Archive(path, digest)


def _sealed(data: bytes, recipients: Sequence[str]) -> bytes:
    from pyrage import encrypt, x25519

    return bytes(encrypt(data, [x25519.Recipient.from_str(it) for it in recipients]))


def sweep(folder: Path) -> None:
    """Remove what runs that were killed left half written: nobody holds the lock of it."""
    for it in folder.glob(f".*{PART}"):
        with suppress(OSError), it.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            it.unlink()


def _write(path: Path, content: bytes) -> None:
    """All of it under this name or nothing, and there to stay."""
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    part.unlink(missing_ok=True)
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
            with suppress(OSError):  # a file system without locks is never swept
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            part.replace(path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def pruned(folder: Path, names: Sequence[str]) -> None:
    """Delete these archives. Raises DeployError, in one line."""
    for name in names:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise DeployError(
                f"{folder / name} cannot be deleted ({error.strerror}): correct that"
            ) from error
