"""Files that only the holders of a key can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.exceptions import DeployError
from pyrage import decrypt, x25519  # type: ignore[import-untyped]

from tasks.fleet.archives import problems, sealed
from tasks.fleet.inventory import Cluster, parsed

KEY = x25519.Identity.generate()
PUBLIC = str(KEY.to_public())
NOBODY = (
    'backup has no recipients: make a key with "age-keygen -o FILE", write the public key it '
    'prints into recipients and keep FILE, or set "enabled": False'
)


def cluster(**backup: Any) -> Cluster:
    return parsed({"ring": 0, "envoy_gateway_version": "1.9.1", "backup": backup})


@pytest.mark.parametrize(
    ("clusters", "lines"),
    [
        pytest.param({"weu-1": cluster(recipients=[PUBLIC])}, [], id="good"),
        pytest.param({"weu-1": cluster(enabled=False)}, [], id="off"),
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


def test_only_the_key_opens_it(tmp_path: Path) -> None:
    other = x25519.Identity.generate()
    archive = sealed(tmp_path / "backups" / "weu-1", "now", b"t0p-s3cret", [PUBLIC])
    assert archive.path == tmp_path / "backups/weu-1/now.tar.age"
    content = archive.path.read_bytes()
    assert b"t0p-s3cret" not in content
    assert decrypt(content, [KEY]) == b"t0p-s3cret"
    with pytest.raises(Exception, match="No matching keys"):
        decrypt(content, [other])
    modes = [oct(it.stat().st_mode & 0o777) for it in (archive.path, *archive.path.parents[:2])]
    assert modes == ["0o600", "0o700", "0o700"]
    assert [it.name for it in archive.path.parent.iterdir()] == ["now.tar.age"]


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("")
    with pytest.raises(DeployError) as error:
        sealed(tmp_path / "backups" / "weu-1", "now", b"", [PUBLIC])
    assert str(error.value) == (
        f"{tmp_path}/backups/weu-1/now.tar.age cannot be written (File exists): make room, or "
        "correct backup.folder"
    )
