"""
The parts a lab runs on, each found or made in the same four steps.

A part is a folder of files. It is taken from the first of these that has it: a folder named by an
environment variable, the cache, an official release with a pinned checksum, a build from pinned
sources. The cache is keyed by what a part is made from, so a part is made once and never used out
of date.
"""

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.lab.locks import lock_file
from tasks.lab.progress import LabError, say

Needs = Mapping[str, Path]


@dataclass(frozen=True)
class Release:
    """
    An official file for a part; a ``.tar.gz`` is unpacked, anything else is the part's only file.
    """

    url: str
    sha256: str


@dataclass(frozen=True)
class Part:
    """
    One part. ``files`` is what must be in its folder, ``pins`` every version, checksum and flag
    that decides its content, ``sources`` files of this repository that do too, ``needs`` the parts
    it is made from. ``make`` gets an empty folder and the folders of its needs.
    """

    name: str
    files: tuple[str, ...]
    make: Callable[[Path, Needs], None]
    how: str
    pins: tuple[str, ...] = ()
    sources: tuple[Path, ...] = ()
    needs: tuple["Part", ...] = ()
    releases: tuple[Release, ...] = ()

    @property
    def variable(self) -> str:
        """The environment variable that may name its folder, such as ENVOYFLEET_GATEWAY_1_9_1."""
        return "ENVOYFLEET_" + "".join(c if c.isalnum() else "_" for c in self.name).upper()


@dataclass(frozen=True)
class Found:
    """Where a part is, and the key of its content."""

    path: Path
    key: str


def cache() -> Path:
    """The folder that keeps parts between labs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "envoyfleet" / "parts"


def find(parts: Iterable[Part]) -> dict[str, Path]:
    """The folders of these parts by name; what is missing is made."""
    found: dict[str, Found] = {}
    for part in parts:
        _find(part, found)
    return {name: one.path for name, one in found.items()}


def _find(part: Part, found: dict[str, Found]) -> Found:
    if part.name not in found:
        given = os.environ.get(part.variable)
        found[part.name] = _given(part, Path(given)) if given else _cached(part, found)
    return found[part.name]


def _given(part: Part, path: Path) -> Found:
    missing = [name for name in part.files if not (path / name).exists()]
    if missing:
        raise LabError(
            f"{part.variable}={path} does not hold {', '.join(missing)}: correct or unset it"
        )
    say(f"part {part.name}: {path}, as {part.variable} says")
    stats = [
        (name, (path / name).stat().st_size, (path / name).stat().st_mtime_ns)
        for name in part.files
    ]
    return Found(path, _hash(str(path), json.dumps(stats)))


def _cached(part: Part, found: dict[str, Found]) -> Found:
    key = key_of(part, {need.name: _key(need, found) for need in part.needs})
    target = cache() / f"{part.name}-{key}"
    if not target.is_dir():
        needs = {need.name: _find(need, found).path for need in part.needs}
        # One caller makes it; another one of the same cache waits, and then finds it there.
        with lock_file(target.with_name(f".{target.name}.lock")):
            if not target.is_dir():
                _obtain(part, target, needs)
    return Found(target, key)


def _key(part: Part, found: dict[str, Found]) -> str:
    """The key of a part, without making it where nothing needs it."""
    if part.name in found:
        return found[part.name].key
    given = os.environ.get(part.variable)
    if given:
        return _find(part, found).key
    return key_of(part, {need.name: _key(need, found) for need in part.needs})


def key_of(part: Part, needs: Mapping[str, str]) -> str:
    """What the part's place in the cache is named after: everything that decides its content."""
    sources = [hashlib.sha256(file.read_bytes()).hexdigest() for file in part.sources]
    return _hash(part.name, json.dumps([part.files, part.pins, sources, sorted(needs.items())]))


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _obtain(part: Part, target: Path, needs: Needs) -> None:
    """Make the part in a folder beside its place, and move it there once it is whole."""
    began = time.monotonic()
    for left in target.parent.glob(f".{target.name}-*"):  # by one that was killed
        shutil.rmtree(left, ignore_errors=True)
    half = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        if not any(_download(part, release, half) for release in part.releases):
            say(f"part {part.name}: not in the cache; {part.how} ...")
            part.make(half, needs)
        missing = [name for name in part.files if not (half / name).exists()]
        if missing:
            raise LabError(f"part {part.name}: {part.how} did not give {', '.join(missing)}")
        half.chmod(0o755)
        half.rename(target)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    say(f"part {part.name}: done in {time.monotonic() - began:.0f} s, kept in {target}")


def _download(part: Part, release: Release, half: Path) -> bool:
    """
    Fetch an official release; whether that worked. What is wrong with it is said, and the next way
    is tried.
    """
    import urllib.request

    try:
        with urllib.request.urlopen(release.url, timeout=10) as answer:
            content: bytes = answer.read()
    except (OSError, ValueError) as error:
        say(f"part {part.name}: no official release from {release.url} ({error}), next way")
        return False
    actual = hashlib.sha256(content).hexdigest()
    if actual != release.sha256:
        say(f"part {part.name}: {release.url} has checksum {actual}, not the pinned one, next way")
        return False
    if release.url.endswith((".tar.gz", ".tgz")):
        archive = half / ".archive"
        archive.write_bytes(content)
        with tarfile.open(archive) as tar:
            tar.extractall(half, filter="data")
        archive.unlink()
    else:
        (half / part.files[0]).write_bytes(content)
        (half / part.files[0]).chmod(0o755)
    return True
