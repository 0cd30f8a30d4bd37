"""
The form of a backup: a gzipped tar of one JSON an object, after a manifest that names each in its
order, with size and digest. What is read is not trusted: everything is checked before any of it is
used.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

SCHEMA = "envoyfleet.backup/2"
MANIFEST = "manifest.json"
#: More than any cluster has: 1.5 MB is etcd's own limit of an object, the rest is generous.
MOST_FILES, LARGEST_FILE, LARGEST_WHOLE = 100_000, 8 << 20, 1 << 30


class Damaged(ValueError):
    """Why an archive cannot be used, in one line without its name."""


@dataclass(frozen=True)
class Contents:
    """
    What is in an archive that was found whole.

    + manifest: such as {"schema": "envoyfleet.backup/2", "cluster": "weu-1", "entries": [...], ...}
    + files: by path, such as {"gateway.networking.k8s.io/Gateway/edge/public.json": b"{...}"}
    """

    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]

    def objects(self) -> list[dict[str, Any]]:
        """The objects, in the order of the manifest."""
        return [json.loads(it) for it in self.files.values()]


def packed(about: Mapping[str, Any], files: Mapping[str, bytes], taken: datetime) -> bytes:
    """
    The archive, the same bytes for the same input.

    + about: what the manifest says besides: cluster, uid, versions
    + files: in the order in which they are kept
    """
    entries = [
        {"path": path, "size": len(content), "sha256": sha256(content).hexdigest()}
        for path, content in files.items()
    ]
    manifest = {
        "schema": SCHEMA,
        **about,
        "taken": taken.isoformat(),
        "entries": entries,
    }
    manifest["sha256"] = _whole(manifest)
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path, content in {MANIFEST: json.dumps(manifest).encode(), **files}.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(taken.timestamp())
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def path_of(thing: Mapping[str, Any]) -> str:
    """Where an object is kept: "gateway.networking.k8s.io/Gateway/edge/public.json"."""
    meta = thing["metadata"]
    group = thing["apiVersion"].rpartition("/")[0] or "core"
    parts = [group, thing["kind"], meta.get("namespace"), f"{meta['name']}.json"]
    return "/".join(it for it in parts if it)


def unpacked(data: bytes) -> Contents:
    """
    What ``packed`` made. Raises Damaged for anything else: another byte, another order, one file
    more or less, a path that leaves the archive, more than a cluster can have.
    """
    members = _members(_inflated(data))
    if next(iter(members), None) != MANIFEST:
        raise Damaged("it does not begin with a manifest: it is no backup of envoyfleet")
    manifest = _manifest(members.pop(MANIFEST))
    entries = manifest["entries"]
    if [it["path"] for it in entries] != list(members):
        raise Damaged("its files are not those of its manifest, in that order")
    for entry in entries:
        content = members[entry["path"]]
        if len(content) != entry["size"] or sha256(content).hexdigest() != entry["sha256"]:
            raise Damaged(f"{entry['path']} is not what was packed")
        if _place(content) != entry["path"]:
            raise Damaged(f"{entry['path']} holds another object")
    if manifest.get("sha256") != _whole(manifest):
        raise Damaged("its manifest was altered")
    return Contents(manifest, members)


def _whole(manifest: Mapping[str, Any]) -> str:
    """One digest over all that a manifest says, the digests of all files in their order too."""
    said = {key: it for key, it in manifest.items() if key != "sha256"}
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _inflated(data: bytes) -> bytes:
    """Raises Damaged, also for what would grow beyond all bounds."""
    stream = zlib.decompressobj(wbits=31)
    try:
        content = stream.decompress(data, LARGEST_WHOLE)
    except zlib.error as error:
        raise Damaged("it is not gzip, or damaged") from error
    if stream.unconsumed_tail:
        raise Damaged(f"it grows beyond {LARGEST_WHOLE >> 20} MB")
    if not stream.eof or stream.unused_data:
        raise Damaged("it is cut off, or something follows it")
    return content


def _members(content: bytes) -> dict[str, bytes]:
    """The files of a tar by path, in their order. Raises Damaged."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for it in archive:
                problem = _refused(it, found)
                if problem:
                    raise Damaged(problem)
                file = archive.extractfile(it)
                found[it.name] = file.read() if file else b""
            end = archive.offset
    except (tarfile.TarError, ValueError, EOFError) as error:
        if isinstance(error, Damaged):
            raise
        raise Damaged(f"it is no tar ({error})") from error
    if content[end:].strip(b"\0"):
        raise Damaged("something follows its last file")
    return found


def _refused(member: tarfile.TarInfo, found: Mapping[str, bytes]) -> str | None:
    name = member.name
    if not member.isreg():
        return f"{name!r} is no plain file"
    if name.startswith("/") or "\\" in name or {"", ".", ".."} & set(name.split("/")):
        return f"the path {name!r} leaves the archive"
    if name in found:
        return f"{name!r} is there twice"
    if len(found) >= MOST_FILES:
        return f"it has more than {MOST_FILES:,} files"
    if member.size > (LARGEST_WHOLE if name == MANIFEST else LARGEST_FILE):
        return f"{name!r} has {member.size >> 20} MB"
    return None


def _manifest(content: bytes) -> dict[str, Any]:
    """Raises Damaged where it is none, or of a format that is not known here."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Damaged("its manifest is not JSON") from error
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA:
        raise Damaged(
            f"it has the format {schema!r}, and this envoyfleet reads {SCHEMA!r}: use the "
            "envoyfleet that made it, or a newer one"
        )
    entries = found.get("entries")
    well = isinstance(entries, list) and all(
        isinstance(it, dict)
        and isinstance(it.get("path"), str)
        and isinstance(it.get("sha256"), str)
        and type(it.get("size")) is int
        for it in entries
    )
    if not well or not isinstance(found.get("cluster"), str) or not _is_time(found.get("taken")):
        raise Damaged("its manifest lacks entries, cluster or time")
    return dict(found)


def _is_time(text: Any) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _place(content: bytes) -> str | None:
    """Where the object in a file belongs; None where it holds none."""
    try:
        thing = json.loads(content)
        return path_of(thing)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
