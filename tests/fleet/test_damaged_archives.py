"""
Archives that were altered, by accident or on purpose: each is found before anything of it is used,
or what was altered is nothing that is read. ``ENVOYFLEET_DAMAGES`` sets how many are tried.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.exceptions import DeployError
from pyrage import decrypt, encrypt, x25519  # type: ignore[import-untyped]

from tasks.fleet import archives
from tasks.plans import archive
from tasks.plans.archive import MANIFEST, Contents, packed, path_of
from tests.objects import objects

TRIES = int(os.environ.get("ENVOYFLEET_DAMAGES", "200"))
TAKEN = datetime(2026, 11, 21, 14, 2, 11, tzinfo=UTC)
KEY = x25519.Identity.generate()
Random = random.Random
Member = tuple[str, bytes]


def filler() -> dict[str, Any]:
    """So much that age seals it in several pieces, which could be put in another order."""
    meta = {"name": "filler", "namespace": "shop"}
    data = {"filler": Random(1).randbytes(130_000).hex()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


THINGS = [*objects("1.9.1"), filler()]
FILES = {path_of(it): json.dumps(it).encode() for it in THINGS}
ABOUT = {"cluster": "weu-1", "envoy_gateway": "1.9.1", "helm": {"values": {"replicas": 2}}}
PLAIN = packed(ABOUT, FILES, TAKEN)
TAR = gzip.decompress(PLAIN)
#: Of the same cluster, an hour before: its files are as good as those of the other one.
OLDER = packed(
    {**ABOUT, "envoy_gateway": "1.8.3"},
    {path_of(it): json.dumps(it).encode() for it in objects("1.8.3")},
    TAKEN.replace(hour=13),
)


def sealed(data: bytes) -> bytes:
    return bytes(encrypt(data, [KEY.to_public()]))


SEALED = sealed(PLAIN)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("key") / "key"
    file.write_text(f"# of the tests\n{KEY}\n")
    return file


def opened(folder: Path, identity: Path, content: bytes) -> Contents:
    path = folder / "20261121T140211Z.tar.gz.age"
    path.write_bytes(content)
    return archives.opened(path, identity)


def members(data: bytes) -> list[Member]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as tar:
        return [(it.name, tar.extractfile(it).read()) for it in tar]  # type: ignore[union-attr]


def tarred(members: list[Member]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def squeezed(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


WHOLE, BEFORE = members(PLAIN), members(OLDER)


# What can come to bytes.
def flipped(data: bytes, chosen: Random) -> bytes:
    at = chosen.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chosen.randrange(8)]) + data[at + 1 :]


def cut(data: bytes, chosen: Random) -> bytes:
    return data[: chosen.randrange(len(data))]


def followed(data: bytes, chosen: Random) -> bytes:
    return data + chosen.randbytes(chosen.randint(1, 600))


def _range(data: bytes, chosen: Random) -> tuple[int, int]:
    begin = chosen.randrange(len(data) - 1)
    return begin, min(len(data), begin + chosen.choice((1, 16, 512, 65_552)))


def lost(data: bytes, chosen: Random) -> bytes:
    begin, end = _range(data, chosen)
    return data[:begin] + data[end:]


def doubled(data: bytes, chosen: Random) -> bytes:
    begin, end = _range(data, chosen)
    return data[:end] + data[begin:]


def zeroed(data: bytes, chosen: Random) -> bytes:
    begin, end = _range(data, chosen)
    return data[:begin] + bytes(end - begin) + data[end:]


def exchanged(data: bytes, chosen: Random) -> bytes:
    """Two pieces as age and file systems have them, each in the place of the other."""
    size = chosen.choice((512, 4096, 65_552))
    pieces = [data[it : it + size] for it in range(0, len(data), size)]
    one, other = chosen.sample(range(len(pieces)), 2)
    pieces[one], pieces[other] = pieces[other], pieces[one]
    return b"".join(pieces)


# What can come to files of the tar.
def reordered(chosen: Random) -> list[Member]:
    rest = WHOLE[1:]
    chosen.shuffle(rest)
    return [WHOLE[0], *rest]


def swapped(chosen: Random) -> list[Member]:
    """The contents of two files."""
    found = list(WHOLE)
    one, other = chosen.sample(range(1, len(found)), 2)
    (name, content), (name2, content2) = found[one], found[other]
    found[one], found[other] = (name, content2), (name2, content)
    return found


def renamed(chosen: Random) -> list[Member]:
    found = list(WHOLE)
    at = chosen.randrange(1, len(found))
    found[at] = (found[at][0].replace(".json", f"-{chosen.randrange(99)}.json"), found[at][1])
    return found


def twice(chosen: Random) -> list[Member]:
    found = list(WHOLE)
    found.insert(chosen.randint(1, len(found)), chosen.choice(WHOLE))
    return found


def left_out(chosen: Random) -> list[Member]:
    found = list(WHOLE)
    del found[chosen.randrange(len(found))]
    return found


def brought_in(chosen: Random) -> list[Member]:
    found = list(WHOLE)
    found.insert(chosen.randint(1, len(found)), (f"core/Secret/shop/{chosen.random()}.json", b"{}"))
    return found


def of_older(chosen: Random) -> list[Member]:
    """A file, or the manifest, of another archive of the same cluster."""
    found, at = list(WHOLE), chosen.randrange(len(BEFORE))
    name = BEFORE[at][0]
    if any(it == BEFORE[at] for it in WHOLE):
        name, at = MANIFEST, 0
    return [(it, BEFORE[at][1] if it == name else content) for it, content in found]


def said_otherwise(chosen: Random) -> list[Member]:
    """Another word in the manifest, which says it in good form."""
    manifest = json.loads(WHOLE[0][1])
    key = chosen.choice(sorted(set(manifest) - {"schema", "entries"}))
    manifest[key] = f"{chosen.random()}" if key != "taken" else "2020-01-01T00:00:00+00:00"
    return [(MANIFEST, json.dumps(manifest).encode()), *WHOLE[1:]]


OF_BYTES = (flipped, cut, followed, lost, doubled, zeroed, exchanged)
OF_FILES = (
    *(reordered, swapped, renamed, twice, left_out, brought_in),
    *(of_older, said_otherwise),
)


def damaged(chosen: Random) -> tuple[str, bytes]:
    """One altered archive, and how it was altered."""
    layer = chosen.choice(("sealed", "gzip", "tar", "files"))
    if layer == "files":
        how: Callable[..., Any] = chosen.choice(OF_FILES)
        return f"files {how.__name__}", sealed(squeezed(tarred(how(chosen))))
    how = chosen.choice(OF_BYTES)
    if layer == "sealed":
        return f"sealed {how.__name__}", how(SEALED, chosen)
    if layer == "gzip":
        return f"gzip {how.__name__}", sealed(how(PLAIN, chosen))
    return f"tar {how.__name__}", sealed(squeezed(how(TAR, chosen)))


def test_what_was_not_altered(tmp_path: Path, identity: Path) -> None:
    found = opened(tmp_path, identity, SEALED)
    assert (found.files, found.manifest["helm"]) == (FILES, ABOUT["helm"])
    assert decrypt(SEALED, [KEY]) == PLAIN
    assert len(SEALED) > 2 * 65_536


@pytest.mark.timeout(60 + TRIES)
def test_every_damage_is_found(tmp_path: Path, identity: Path) -> None:
    good = opened(tmp_path, identity, SEALED)
    found, taken = 0, []
    for seed in range(TRIES):
        how, content = damaged(Random(seed))
        try:
            contents = opened(tmp_path, identity, content)
        except DeployError:
            found += 1
            continue
        if contents != good or list(contents.files) != list(good.files):
            taken.append(f"{seed}: {how}")
    assert taken == []
    assert found > 0.9 * TRIES
    print(f"{found} of {TRIES} found, {TRIES - found} altered nothing that is read")


def entries(**of_one: Any) -> bytes:
    """A tar with a good beginning and one member of another form."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in (WHOLE[0], ("core/Secret/shop/a.json", b"{}")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            if name != MANIFEST:
                for key, it in of_one.items():
                    setattr(entry, key, it)
            tar.addfile(entry, io.BytesIO(content) if entry.isreg() else None)
    return buffer.getvalue()


def with_manifest(text: bytes) -> bytes:
    return tarred([(MANIFEST, text), *WHOLE[1:]])


def one_file(text: bytes) -> bytes:
    """A manifest that names its one file rightly, and a file that is a bomb."""
    return gzip.decompress(packed(ABOUT, {"core/Secret/shop/a.json": text}, TAKEN))


@pytest.mark.parametrize(
    ("tar", "why"),
    [
        *(
            pytest.param(entries(name=it), "leaves the archive", id=f"path {it}")
            for it in ("/etc/passwd", "../a", "a/../../b", "a\\..\\b", "a//b", "./a")
        ),
        *(
            pytest.param(entries(type=it, linkname="/etc/passwd"), "is no plain file", id=name)
            for name, it in (
                ("symlink", tarfile.SYMTYPE),
                ("link", tarfile.LNKTYPE),
                ("device", tarfile.CHRTYPE),
                ("pipe", tarfile.FIFOTYPE),
                ("folder", tarfile.DIRTYPE),
            )
        ),
        *(
            pytest.param(entries(pax_headers={"size": it}), "", id=f"size {it}")
            for it in ("99999999999999999999", "-1", "9437184", "1e9", "x")
        ),
        pytest.param(entries(pax_headers={"path": "/etc/passwd"}), "", id="path in a header"),
        pytest.param(
            entries(pax_headers={"GNU.sparse.realsize": "1000000000000"}), "", id="sparse"
        ),
        pytest.param(with_manifest(b"[" * 1_000_000), "is not JSON", id="deep manifest"),
        pytest.param(with_manifest(b'{"a":' * 1_000_000), "is not JSON", id="deep map"),
        pytest.param(with_manifest(b"1" * 1_000_000), "is not JSON", id="long number"),
        pytest.param(with_manifest(b"\xff\xfe"), "is not JSON", id="no text"),
        pytest.param(with_manifest(b"null"), "it has the format None", id="nothing"),
        pytest.param(one_file(b"[" * 1_000_000), "holds another object", id="deep object"),
        pytest.param(one_file(b"9" * 1_000_000), "holds another object", id="number as object"),
    ],
)
def test_what_was_made_to_harm(tmp_path: Path, identity: Path, tar: bytes, why: str) -> None:
    with pytest.raises(DeployError) as error:
        opened(tmp_path, identity, sealed(squeezed(tar)))
    assert why in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LARGEST_WHOLE", 4 << 20)


@pytest.mark.usefixtures("little_room")
def test_a_bomb_is_not_let_grow(tmp_path: Path, identity: Path) -> None:
    with pytest.raises(DeployError, match="it grows beyond 4 MB"):
        opened(tmp_path, identity, sealed(squeezed(bytes(64 << 20))))


def test_a_tar_of_empty_files_is_not_read_to_its_end(
    tmp_path: Path, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_FILES", 50)
    many = tarred([WHOLE[0], *((f"core/Secret/shop/{it}.json", b"") for it in range(60))])
    with pytest.raises(DeployError, match="it has more than 50 files"):
        opened(tmp_path, identity, sealed(squeezed(many)))
