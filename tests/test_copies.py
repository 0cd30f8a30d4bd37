"""Archives with copies in a container, through the command line of backup and verify."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyrage import decrypt  # type: ignore[import-untyped]

from tasks.fleet.journal import read
from tests.api_server import ApiServer
from tests.azure import environment, standing_azure
from tests.blob_service import Service, serving
from tests.command_line import CommandLine, Outcome
from tests.test_backup import KEEP, KEY, RECIPIENTS, clone, server

__all__ = ["server"]
OLD = "20260101T000000Z.tar.gz.age"
NO_ROLE = "no permission: give this identity the role Storage Blob Data Contributor on it"


@dataclass(frozen=True)
class Fleet:
    """One cluster, the folder that its runs are in, and its container."""

    command_line: CommandLine
    server: ApiServer
    folder: Path
    service: Service

    @property
    def place(self) -> Path:
        return self.folder / "backups/weu-1"

    @property
    def names(self) -> list[str]:
        return sorted(it.name for it in self.place.iterdir())

    @property
    def copies(self) -> list[str]:
        return sorted(it.removeprefix("weu-1/") for it in self.service.blobs)

    def run(self, deploy: str, *flags: str, **more: Any) -> Outcome:
        backup = {
            **{"recipients": RECIPIENTS, "identity": "key", "container": self.service.url},
            **{"keep": {"daily": 1, "weekly": 0, "monthly": 0}},
            **more,
        }
        kubeconfig = clone(self.folder, self.server, {}, backup)
        for name in ("rollback", "upgrade"):  # that they change nothing is enough here
            (self.folder / f"deploys/{name}.py").write_text(KEEP)
        arguments = ("inventory/prod.py", f"deploys/{deploy}.py", *flags)
        ended = self.command_line.run(
            self.folder, arguments, KUBECONFIG=str(kubeconfig), NO_PROXY="*", **environment()
        )
        assert "Traceback" not in ended.text, ended.text
        assert "is-the-secret" not in ended.text
        return ended

    def events(self, kind: str) -> list[Any]:
        """Of the newest run."""
        newest = max((self.folder / "runs").iterdir(), key=lambda it: it.stat().st_mtime)
        lines, damage = read(newest / "journal.jsonl")
        assert damage is None
        return [it for it in lines if it["event"] == kind]


@pytest.fixture
def fleet(
    command_line: CommandLine,
    server: ApiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Fleet]:
    with standing_azure(tmp_path, monkeypatch), serving(tmp_path) as service:
        yield Fleet(command_line, server, tmp_path / "clone", service)


def test_a_backup_has_a_copy(fleet: Fleet) -> None:
    ended = fleet.run("backup", "-y")
    assert ended.code == 0, ended.text
    [name] = fleet.names
    url = f"{fleet.service.url}/weu-1/{name}"
    assert fleet.service.blobs == {f"weu-1/{name}": (fleet.place / name).read_bytes()}
    assert f"copy {url}, " in ended.text
    [copy] = fleet.events("copy")
    assert (copy["cluster"], copy["url"]) == ("weu-1", url)
    [kept] = fleet.events("backup")
    assert kept["sha256"] == copy["sha256"] == fleet.service.metadata[f"weu-1/{name}"]["sha256"]

    fleet.server.asked.clear()
    fleet.service.asked.clear()
    ended = fleet.run("verify")
    assert ended.code == 0, ended.text
    assert f"weu-1: copy: {url}" in ended.lines
    assert fleet.service.asked == ["GET"]  # the list: what is in the folder is not fetched
    assert fleet.server.asked == []


def test_one_that_gets_no_copy_fails(fleet: Fleet) -> None:
    """The archive stays, and nothing goes for it."""
    fleet.place.mkdir(parents=True)
    (fleet.place / OLD).write_bytes(b"old")
    fleet.service.refusal = (403, "AuthorizationPermissionMismatch")
    ended = fleet.run("backup", "-y")
    assert ended.code == 1
    [_, name] = fleet.names
    said = f"backups/weu-1/{name} is good, but it has no copy: {fleet.service.url}/weu-1/{name}"
    assert f"weu-1 0 failed {said}: {NO_ROLE} 0 s" in ended.lines
    assert decrypt((fleet.place / name).read_bytes(), [KEY])

    ended = fleet.run("verify")
    assert ended.code == 1
    said = f"backups/weu-1/{name} is good, its copy is not: {fleet.service.url}/weu-1"
    assert f"not good: {said}: {NO_ROLE.replace('Contributor', 'Reader')}" in " ".join(ended.lines)

    fleet.service.refusal = None
    ended = fleet.run("verify")
    assert ended.code == 1
    assert f"{fleet.service.url}/weu-1/{name} does not exist: run deploys/backup.py" in ended.text


@pytest.mark.parametrize(("deploy", "goes_on"), [("upgrade", False), ("rollback", True)])
def test_before_a_change(fleet: Fleet, deploy: str, goes_on: bool) -> None:
    """What goes forward is stopped without a copy, the way back is not."""
    fleet.service.refusal = (403, "AuthorizationPermissionMismatch")
    ended = fleet.run(deploy, "-y")
    [name] = fleet.names
    assert name.endswith(f"-{deploy}.tar.gz.age")
    assert (f"[weu-1] kept backups/weu-1/{name}" in ended.lines) is goes_on
    assert f"backups/weu-1/{name} is good, but it has no copy: " in ended.text
    assert ended.code == (0 if goes_on else 1)


def test_a_machine_with_an_empty_folder(fleet: Fleet) -> None:
    assert fleet.run("backup", "-y").code == 0
    [name] = fleet.names
    shutil.rmtree(fleet.place)
    ended = fleet.run("verify")
    assert ended.code == 0, ended.text
    assert f"[weu-1] fetched {fleet.service.url}/weu-1/{name}" in ended.lines
    assert (fleet.place / name).read_bytes() == fleet.service.blobs[f"weu-1/{name}"]
    assert (fleet.place / name).stat().st_mode & 0o777 == 0o600
    assert fleet.place.stat().st_mode & 0o777 == 0o700


def test_the_newer_one_of_folder_and_container(fleet: Fleet) -> None:
    assert fleet.run("backup", "-y").code == 0
    [name] = fleet.names
    shutil.rmtree(fleet.place)
    fleet.place.mkdir()
    (fleet.place / OLD).write_bytes(b"old")
    fleet.service.blobs[f"weu-1/{name[:16]}-restore.tar.gz.age"] = b"of the damage"
    fleet.service.blobs["weu-1/notes.txt"] = b"of somebody"
    ended = fleet.run("verify")
    assert ended.code == 0, ended.text
    assert fleet.names == [OLD, name]


@pytest.mark.parametrize("empty", [True, False])
def test_a_copy_that_was_tampered_with(fleet: Fleet, empty: bool) -> None:
    assert fleet.run("backup", "-y").code == 0
    [name] = fleet.names
    blob, url = f"weu-1/{name}", f"{fleet.service.url}/weu-1/{name}"
    content = fleet.service.blobs[blob]
    fleet.service.blobs[blob] = content[:-1] + bytes([content[-1] ^ 1])
    if empty:
        shutil.rmtree(fleet.place)
    ended = fleet.run("verify")
    assert ended.code == 1
    assert (
        f"{url} is not what was written there: take another archive"
        if empty
        else f"backups/weu-1/{name} is good, its copy is not: {url} differs: find out who wrote "
        "there, then run deploys/backup.py"
    ) in ended.text
    if empty:
        assert not fleet.place.exists()


def test_the_copy_before_a_bad_one_is_named(fleet: Fleet) -> None:
    assert fleet.run("backup", "-y").code == 0
    [name] = fleet.names
    shutil.rmtree(fleet.place)
    fleet.service.blobs[f"weu-1/{OLD}"] = b"older"
    fleet.service.blobs[f"weu-1/{name}"] = b"forged"
    ended = fleet.run("verify")
    assert ended.code == 1
    assert (
        f"{fleet.service.url}/weu-1/{name} is not what was written there: take another archive; "
        f"the one before it is --data archive={fleet.service.url}/weu-1/{OLD}"
    ) in ended.text


def test_one_that_is_named_by_its_url(fleet: Fleet) -> None:
    assert fleet.run("backup", "-y").code == 0
    [name] = fleet.names
    url = f"{fleet.service.url}/weu-1/{name}"
    shutil.rmtree(fleet.place)
    ended = fleet.run("verify", "--data", f"archive={url}", container=None)
    assert ended.code == 0, ended.text
    assert fleet.names == [name]

    (fleet.place / name).write_bytes(b"another")
    ended = fleet.run("verify", "--data", f"archive={url}")
    assert ended.code == 1
    assert f"backups/weu-1/{name} is there and differs from {url}: move it away" in ended.text

    ended = fleet.run("verify", "--data", f"archive={fleet.service.url}/notes.txt")
    assert ended.code == 1
    assert f"{fleet.service.url}/notes.txt names no archive in a container: write https" in (
        ended.text
    )


def test_nowhere(fleet: Fleet) -> None:
    ended = fleet.run("verify")
    assert ended.code == 1
    nowhere = f"neither backups/weu-1 nor {fleet.service.url} holds a backup: make one with"
    assert nowhere in ended.text
    fleet.service.refusal = (404, "ContainerNotFound")
    ended = fleet.run("verify")
    assert ended.code == 1
    assert (
        f"backups/weu-1 holds no backup, and {fleet.service.url}/weu-1: there is no such "
        "container: make it, or correct backup.container"
    ) in ended.text
