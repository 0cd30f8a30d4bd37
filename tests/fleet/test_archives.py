"""Files that only the holders of a key can read, and what is said of those that cannot be."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.exceptions import DeployError
from pyrage import decrypt, encrypt, passphrase, x25519  # type: ignore[import-untyped]

from tasks.fleet import archives
from tasks.fleet.archives import identity_file, kept, newest, opened, problems, pruned
from tasks.fleet.inventory import Cluster, parsed
from tasks.plans.archive import packed

KEY, OTHER = x25519.Identity.generate(), x25519.Identity.generate()
PUBLIC = str(KEY.to_public())
NOBODY = (
    'backup has no recipients: make a key with "age-keygen -o FILE", write the public key it '
    'prints into recipients and keep FILE, or leave Secrets out with "secrets": False, or set '
    '"enabled": False'
)
FILES = {
    "core/Secret/edge/tls.json": json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "tls", "namespace": "edge"},
            "data": {"key": "t0p-s3cret"},
        }
    ).encode()
}
CONTENT = packed({"cluster": "weu-1"}, FILES, datetime(2026, 11, 21, 14, 2, 11, tzinfo=UTC))


def cluster(**backup: Any) -> Cluster:
    return parsed({"ring": 0, "envoy_gateway_version": "1.9.1", "backup": backup})


@pytest.mark.parametrize(
    ("clusters", "lines"),
    [
        pytest.param({"weu-1": cluster(recipients=[PUBLIC])}, [], id="good"),
        pytest.param({"weu-1": cluster(enabled=False)}, [], id="off"),
        pytest.param({"weu-1": cluster(secrets=False)}, [], id="nothing to hide"),
        pytest.param({"weu-1": cluster()}, [f"weu-1: {NOBODY}"], id="one without a key"),
        pytest.param(
            {name: cluster() for name in ("weu-1", "weu-2", "weu-3")},
            [f"weu-1 (and 2 more): {NOBODY}"],
            id="one line for many",
        ),
        pytest.param(
            {"weu-1": cluster(recipients=[PUBLIC, f"{PUBLIC[:-1]}b"])},
            [
                f"weu-1: backup.recipients: {f'{PUBLIC[:-1]}b'!r} is not an age public key: "
                "copy it again"
            ],
            id="mistyped",
        ),
    ],
)
def test_who_could_open_it_is_known_before(clusters: dict[str, Cluster], lines: list[str]) -> None:
    assert problems(clusters) == lines


def with_data(backup: dict[str, Any], **data: Any) -> Cluster:
    return parsed({"ring": 0, "envoy_gateway_version": "1.9.1", "backup": backup, **data})


@pytest.mark.parametrize(
    ("data", "deploy", "refused"),
    [
        pytest.param(cluster(recipients=[PUBLIC]), "verify", True, id="no key"),
        pytest.param(cluster(identity="key"), "verify", False, id="a key"),
        pytest.param(cluster(secrets=False), "restore", False, id="nothing is sealed"),
        pytest.param(cluster(secrets=False, recipients=[PUBLIC]), "restore", True, id="sealed"),
        pytest.param(cluster(enabled=False), "verify", False, id="off"),
        pytest.param(cluster(enabled=False), "restore", True, id="off, of another"),
        pytest.param(with_data({}, archive="x.tar.gz"), "restore", False, id="a plain one"),
        pytest.param(with_data({}, drill_source="weu-1"), "drill", True, id="target of a drill"),
        pytest.param(cluster(), "drill", False, id="no target"),
    ],
)
def test_who_opens_it_is_known_before(
    monkeypatch: pytest.MonkeyPatch, data: Cluster, deploy: str, refused: bool
) -> None:
    monkeypatch.delenv(archives.IDENTITY, raising=False)
    line = f"weu-1: {archives.NO_IDENTITY}"
    assert archives.unopenable({"weu-1": data}, deploy) == ([line] if refused else [])
    monkeypatch.setenv(archives.IDENTITY, "key")
    assert archives.unopenable({"weu-1": data}, deploy) == []


@pytest.fixture
def identities(tmp_path: Path) -> Path:
    file = tmp_path / "identity"
    file.write_text(f"# public key: {PUBLIC}\n\n{OTHER}\n  {KEY}  \n")
    return file


def test_only_the_key_opens_it(tmp_path: Path, identities: Path) -> None:
    folder = tmp_path / "backups" / "weu-1"
    archive = kept(folder, "now", CONTENT, [PUBLIC])
    assert archive.path == tmp_path / "backups/weu-1/now.tar.gz.age"
    content = archive.path.read_bytes()
    assert decrypt(content, [KEY]) == CONTENT
    assert opened(archive.path, identities).files == FILES
    modes = [oct(it.stat().st_mode & 0o777) for it in (archive.path, *archive.path.parents[:2])]
    assert modes == ["0o600", "0o700", "0o700"]
    assert [it.name for it in folder.iterdir()] == ["now.tar.gz.age"]


def test_each_of_several_keys_opens_it(tmp_path: Path, identities: Path) -> None:
    archive = kept(tmp_path, "now", CONTENT, [PUBLIC, str(OTHER.to_public())])
    for key in (KEY, OTHER):
        identities.write_text(str(key))
        assert opened(archive.path, identities).files == FILES


def test_what_hides_nothing_is_not_sealed(tmp_path: Path) -> None:
    archive = kept(tmp_path, "now", CONTENT, [])
    assert archive.path == tmp_path / "now.tar.gz"
    assert oct(archive.path.stat().st_mode & 0o777) == "0o600"
    assert opened(archive.path, None).files == FILES
    assert archives.read(archive.path, cluster(secrets=False)).files == FILES


def problem(path: Path, identities: Path | None) -> str:
    with pytest.raises(DeployError) as error:
        opened(path, identities)
    text = str(error.value)
    assert "\n" not in text
    assert str(KEY) not in text
    return text.replace(str(path.parent), "…")


SEALED = encrypt(CONTENT, [x25519.Recipient.from_str(PUBLIC)])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(
            SEALED[:-3],
            "…/a.tar.gz.age is damaged, not all of it can be decrypted: take another archive",
            id="cut off",
        ),
        pytest.param(
            SEALED + b"x",
            "…/a.tar.gz.age is damaged, not all of it can be decrypted: take another archive",
            id="longer",
        ),
        pytest.param(
            b"",
            "…/a.tar.gz.age is not sealed with age, or damaged: take another archive",
            id="empty",
        ),
        pytest.param(
            CONTENT,
            "…/a.tar.gz.age is not sealed with age, or damaged: take another archive",
            id="not sealed",
        ),
        pytest.param(
            encrypt(CONTENT, [x25519.Identity.generate().to_public()]),
            "…/a.tar.gz.age is not for the key in …/identity: name the file of a key that it was "
            "sealed for in backup.identity",
            id="for somebody else",
        ),
        pytest.param(
            passphrase.encrypt(b"x", "pw"),
            "…/a.tar.gz.age is not for the key in …/identity: name the file of a key that it was "
            "sealed for in backup.identity",
            id="with a passphrase",
        ),
        pytest.param(
            encrypt(CONTENT[:-9], [KEY.to_public()]),
            "…/a.tar.gz.age cannot be used: it is cut off, or something follows it: take another "
            "archive",
            id="packed badly",
        ),
    ],
)
def test_what_is_no_archive(tmp_path: Path, identities: Path, content: bytes, why: str) -> None:
    file = tmp_path / "a.tar.gz.age"
    file.write_bytes(content)
    assert problem(file, identities) == why


def test_what_cannot_be_read(tmp_path: Path, identities: Path, monkeypatch: Any) -> None:
    file = tmp_path / "a.tar.gz.age"
    assert problem(file, identities) == "…/a.tar.gz.age does not exist: correct its name"
    file.mkdir()
    assert problem(file, identities) == (
        "…/a.tar.gz.age cannot be read (Is a directory): correct that"
    )
    file.rmdir()
    file.write_bytes(SEALED)
    monkeypatch.setattr(archives, "LARGEST", 100)
    assert problem(file, identities) == "…/a.tar.gz.age has more than 0 MB: it is no backup"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(
            None,
            "the age identity …/identity cannot be read (No such file or directory): correct "
            "backup.identity",
            id="no file",
        ),
        pytest.param(
            b"# nothing\n",
            "…/identity holds no age identity: write AGE-SECRET-KEY-1... into it",
            id="empty",
        ),
        pytest.param(
            f"# one\n{str(KEY)[:-2]}\n".encode(),
            "…/identity line 2 is no age identity (AGE-SECRET-KEY-1...): correct it",
            id="cut off",
        ),
        pytest.param(
            f"{PUBLIC}\n".encode(),
            "…/identity line 1 is no age identity (AGE-SECRET-KEY-1...): correct it",
            id="the public key",
        ),
        pytest.param(
            b"\xff\xfe\x00",
            "…/identity is no file of age identities: it is no text",
            id="no text",
        ),
    ],
)
def test_what_is_no_identity(tmp_path: Path, text: bytes | None, why: str) -> None:
    file, identity = tmp_path / "a.tar.gz.age", tmp_path / "identity"
    file.write_bytes(SEALED)
    if text is not None:
        identity.write_bytes(text)
    assert problem(file, identity) == why


def test_where_the_identity_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(archives.IDENTITY, raising=False)
    assert identity_file(cluster(identity="key")) == Path("key")
    with pytest.raises(DeployError) as error:
        identity_file(cluster())
    assert str(error.value) == (
        "no age identity here opens backups: write the file of the key into backup.identity, or "
        "into the environment variable ENVOYFLEET_AGE_IDENTITY"
    )
    monkeypatch.setenv(archives.IDENTITY, "elsewhere")
    assert identity_file(cluster()) == Path("elsewhere")
    assert identity_file(cluster(identity="key")) == Path("key")


def test_the_newest(tmp_path: Path) -> None:
    assert newest(tmp_path, "weu-1") is None
    folder = tmp_path / "weu_1"
    folder.mkdir()
    for name in (
        "20261120T140211Z.tar.gz.age",
        "20261121T140211Z-upgrade.tar.gz.age",
        "20261121T150211Z-restore.tar.gz.age",  # of a cluster that was damaged
        ".20261122T140211Z.tar.gz.age.17.part",
        "20261123T140211Z.tar.age",
        "tree",
    ):
        (folder / name).write_text("")
    assert newest(tmp_path, "weu/1") == folder / "20261121T140211Z-upgrade.tar.gz.age"
    folder.rename(tmp_path / "weu_2")
    folder.write_text("")
    with pytest.raises(
        DeployError, match=r"weu_1 cannot be read \(Not a directory\): correct that"
    ):
        newest(tmp_path, "weu/1")


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("")
    with pytest.raises(DeployError) as error:
        kept(tmp_path / "backups" / "weu-1", "now", b"", [PUBLIC])
    assert str(error.value) == (
        f"{tmp_path}/backups/weu-1/now.tar.gz.age cannot be written (File exists): make room, or "
        "correct backup.folder"
    )


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Files of this process stay smaller than that, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_space_left_leaves_nothing(tmp_path: Path) -> None:
    with room_for(100), pytest.raises(DeployError) as error:
        kept(tmp_path, "now", CONTENT, [PUBLIC])
    assert str(error.value) == (
        f"{tmp_path}/now.tar.gz.age cannot be written (File too large): make room, or correct "
        "backup.folder"
    )
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_goes_and_what_lives_stays(tmp_path: Path) -> None:
    import fcntl

    dead, alive = (tmp_path / f".20261121T140211Z.tar.gz.age.{it}.part" for it in (1, 2))
    for it in (dead, alive):
        it.write_bytes(SEALED[:100])
    with alive.open("rb") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        kept(tmp_path, "now", CONTENT, [PUBLIC])
    assert sorted(it.name for it in tmp_path.iterdir()) == [alive.name, "now.tar.gz.age"]


def test_what_is_not_due_is_deleted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("")
    pruned(tmp_path, ["a", "not there"])
    assert [it.name for it in tmp_path.iterdir()] == ["b"]
    (tmp_path / "c").mkdir()
    with pytest.raises(DeployError, match=r"c cannot be deleted \(Is a directory\): correct that"):
        pruned(tmp_path, ["c"])
