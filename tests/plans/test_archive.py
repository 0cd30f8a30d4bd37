"""An archive is read whole and as it was packed, or not at all."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.plans import archive
from tasks.plans.archive import Damaged, packed, path_of, unpacked

TAKEN = datetime(2026, 11, 21, 14, 2, 11, tzinfo=UTC)
Member = tuple[str, bytes]


def thing(name: str, kind: str = "Gateway") -> dict[str, Any]:
    meta = {"name": name, "namespace": "edge"}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": meta}


FILES = {
    path_of(it): json.dumps(it).encode()
    for it in (thing("public"), thing("private"), thing("shop", "HTTPRoute"))
}


def whole() -> bytes:
    return packed({"cluster": "weu-1"}, FILES, TAKEN)


def members(data: bytes) -> list[Member]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as tar:
        return [(it.name, tar.extractfile(it).read()) for it in tar]  # type: ignore[union-attr]


def again(members: list[Member], kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size, entry.type = len(content), kind
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue())


def altered(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """With another manifest."""
    (name, content), *rest = members(whole())
    manifest = json.loads(content)
    change(manifest)
    return again([(name, json.dumps(manifest).encode()), *rest])


def test_what_was_packed() -> None:
    found = unpacked(whole())
    assert found.files == FILES
    assert list(found.files) == list(FILES)
    assert found.objects()[2]["kind"] == "HTTPRoute"
    assert found.manifest["cluster"] == "weu-1"
    assert found.manifest["taken"] == "2026-11-21T14:02:11+00:00"
    assert whole() == whole()


def swapped(data: bytes) -> bytes:
    first, (a, one), (b, two), *rest = members(data)
    return again([first, (a, two), (b, one), *rest])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"", "it is cut off, or something follows it", id="nothing"),
        pytest.param(b"hello", "it is not gzip, or damaged", id="text"),
        pytest.param(gzip.compress(b"hello"), "it is no tar (truncated header)", id="no tar"),
        pytest.param(
            again([]),
            "it does not begin with a manifest: it is no backup of envoyfleet",
            id="empty",
        ),
        pytest.param(whole() + b"x", "it is cut off, or something follows it", id="longer"),
        pytest.param(
            gzip.compress(gzip.decompress(whole()) + b"x" * 512),
            "something follows its last file",
            id="something behind the tar",
        ),
        pytest.param(
            again(members(whole())[:-1]),
            "its files are not those of its manifest, in that order",
            id="a file less",
        ),
        pytest.param(
            again([*members(whole()), ("a/b.json", b"{}")]),
            "its files are not those of its manifest, in that order",
            id="a file more",
        ),
        pytest.param(
            again([members(whole())[0], *reversed(members(whole())[1:])]),
            "its files are not those of its manifest, in that order",
            id="another order",
        ),
        pytest.param(
            swapped(whole()),
            "gateway.networking.k8s.io/Gateway/edge/public.json is not what was packed",
            id="contents swapped",
        ),
        pytest.param(
            again([*members(whole()), members(whole())[1]]),
            "'gateway.networking.k8s.io/Gateway/edge/public.json' is there twice",
            id="twice",
        ),
        pytest.param(
            again([*members(whole()), ("../../etc/cron.d/x", b"{}")]),
            "the path '../../etc/cron.d/x' leaves the archive",
            id="upwards",
        ),
        pytest.param(
            again([("/etc/passwd", b"")]),
            "the path '/etc/passwd' leaves the archive",
            id="absolute",
        ),
        pytest.param(
            again([("link", b"")], tarfile.SYMTYPE), "'link' is no plain file", id="a link"
        ),
        pytest.param(
            again([("a", bytes(9 << 20))]), "'a' has 9 MB", id="a file that no cluster has"
        ),
        pytest.param(
            altered(lambda it: it.update(schema="envoyfleet.backup/3")),
            "it has the format 'envoyfleet.backup/3', and this envoyfleet reads "
            "'envoyfleet.backup/2': use the envoyfleet that made it, or a newer one",
            id="newer format",
        ),
        pytest.param(
            altered(lambda it: it.pop("cluster")),
            "its manifest lacks entries, cluster or time",
            id="of no cluster",
        ),
        pytest.param(
            altered(lambda it: it.update(taken="yesterday")),
            "its manifest lacks entries, cluster or time",
            id="of no time",
        ),
        pytest.param(
            altered(lambda it: it.update(entries=[7])),
            "its manifest lacks entries, cluster or time",
            id="entries that are none",
        ),
        pytest.param(
            altered(lambda it: it.update(sha256="0")),
            "its manifest was altered",
            id="digest of the whole",
        ),
        pytest.param(
            again([(archive.MANIFEST, b"[" * 100_000)]), "its manifest is not JSON", id="deep JSON"
        ),
        pytest.param(
            packed({"cluster": "weu-1"}, {"a/b.json": FILES[path_of(thing("public"))]}, TAKEN),
            "a/b.json holds another object",
            id="an object at another place",
        ),
    ],
)
def test_anything_else(data: bytes, why: str) -> None:
    with pytest.raises(Damaged) as refused:
        unpacked(data)
    assert str(refused.value) == why


def test_what_grows_beyond_all_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LARGEST_WHOLE", 1 << 20)
    with pytest.raises(Damaged, match="it grows beyond 1 MB"):
        unpacked(gzip.compress(bytes(2 << 20)))


def test_any_byte() -> None:
    """Every altered byte and every cut is found, or changes nothing that is read."""
    data, chosen = whole(), random.Random(5)
    for _ in range(300):
        at = chosen.randrange(len(data))
        other = data[:at] + bytes([data[at] ^ 1 << chosen.randrange(8)]) + data[at + 1 :]
        for it in (other, data[:at]):
            try:
                assert unpacked(it).files == FILES
            except Damaged:
                continue
