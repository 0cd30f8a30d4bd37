"""
Files that only the holders of an age key can read: sealed in memory, so that nothing readable
reaches the disk.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pyinfra.api.exceptions import DeployError

from tasks.fleet.inventory import Cluster, together

HEADER = b"age-encryption.org/v1\n"


@dataclass(frozen=True)
class Archive:
    """+ sha256: of the file as it is on the disk."""

    path: Path
    sha256: str


def problems(clusters: Mapping[str, Cluster]) -> list[str]:
    """
    Why backups of these clusters could not be sealed, a line a reason, such as "weu-1 (and 59
    more): backup has no recipients: ..."; empty where they could.
    """
    reasons: dict[str, list[str]] = {}
    for name, data in clusters.items():
        if data.backup.enabled and not data.backup.recipients:
            reason = (
                'backup has no recipients: make a key with "age-keygen -o FILE", write the public '
                'key it prints into recipients and keep FILE, or set "enabled": False'
            )
            reasons.setdefault(reason, []).append(name)
        for recipient in data.backup.recipients if data.backup.enabled else ():
            if not is_recipient(recipient):
                reason = f"backup.recipients: {recipient!r} is not an age public key: copy it again"
                reasons.setdefault(reason, []).append(name)
    return together(reasons)


def is_recipient(text: str) -> bool:
    from pyrage import RecipientError, x25519  # type: ignore[import-untyped]

    try:
        x25519.Recipient.from_str(text)
    except RecipientError:
        return False
    return True


def sealed(folder: Path, stem: str, data: bytes, recipients: Sequence[str]) -> Archive:
    """
    ``data`` as ``<folder>/<stem>.tar.age``, 0600, read back from where it was written.

    Raises DeployError, in one line.
    """
    from pyrage import encrypt, x25519

    secret = encrypt(data, [x25519.Recipient.from_str(it) for it in recipients])
    path, digest = folder / f"{stem}.tar.age", sha256(secret).hexdigest()
    try:
        for it in (folder.parent, folder):
            it.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, secret)
        kept = path.read_bytes()
    except OSError as error:
        raise DeployError(
            f"{path} cannot be written ({error.strerror}): make room, or correct backup.folder"
        ) from error
    if not kept.startswith(HEADER) or sha256(kept).hexdigest() != digest:
        raise DeployError(f"{path} is not what was written: look at the disk, then run again")
    return Archive(path, digest)


def _write(path: Path, content: bytes) -> None:
    """All of it under this name or nothing, and there to stay."""
    part = path.with_suffix(f".{os.getpid()}")
    part.unlink(missing_ok=True)
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
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
