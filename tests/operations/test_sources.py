"""Where a certificate comes from: files, or made here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.exceptions import DeployError

from tasks.checks.certificates import usable
from tasks.fleet.inventory import Certificate, Cluster
from tasks.operations import sources
from tasks.plans import chains

NOW = datetime.now(UTC)
DATA = Cluster(ring=0, envoy_gateway_version="1.9.1")


def entry(**more: Any) -> Certificate:
    about = {"namespace": "edge", "secret": "shop-tls", "source": "files"}
    files = {"certificate": "shop.pem", "key": "shop.key"}
    return Certificate.model_validate({**about, **files, **more})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_are_taken_as_they_are(folder: Path) -> None:
    (folder / "shop.pem").write_bytes(b"\xef\xbb\xbfa certificate\r\n")
    (folder / "shop.key").write_bytes(b"a key")
    found = sources.material(DATA, entry(), ())
    assert (found.certificate, found.key) == (b"\xef\xbb\xbfa certificate\r\n", b"a key")


def test_files_that_cannot_be_read(folder: Path) -> None:
    assert (
        said()
        == "file shop.pem (below the folder of the run) cannot be read: No such file or directory"
    )
    (folder / "shop.pem").mkdir()
    assert said() == "file shop.pem (below the folder of the run) cannot be read: Is a directory"
    (folder / "shop.pem").rmdir()
    with (folder / "shop.pem").open("wb") as file:
        file.truncate(sources.LARGEST + 1)
    assert said() == "file shop.pem is larger than any chain: is it the right one?"
    missing = str(folder / "missing.pem")
    assert said(certificate=missing) == f"file {missing} cannot be read: No such file or directory"


def said(**more: Any) -> str:
    with pytest.raises(DeployError) as caught:
        sources.material(DATA, entry(**more), ())
    return str(caught.value)


@pytest.mark.parametrize(
    ("before", "days"),
    [pytest.param(None, 90, id="a month"), pytest.param("60d", 120, id="twice what it is due in")],
)
def test_self_signed(before: str | None, days: int) -> None:
    names = ("*.lab.test", "lab.test", "10.0.0.4")
    now = datetime.now(UTC)
    found = sources.material(DATA, entry(source="self-signed", renew_before=before), names)
    read = chains.read(found.certificate, found.key)
    assert usable(read, names[:2], now) == []
    leaf = read.leaf
    assert leaf is not None
    assert (leaf.key, leaf.names, leaf.is_ca) == ("EC secp256r1", names, False)
    assert timedelta(days=days) - timedelta(minutes=1) < leaf.not_after - now
    assert leaf.not_after - now < timedelta(days=days, minutes=5)


def test_self_signed_without_names() -> None:
    with pytest.raises(DeployError, match="it has no names: set names, or a hostname"):
        sources.material(DATA, entry(source="self-signed"), ())


def test_two_are_never_the_same() -> None:
    one, two = (sources.self_signed(["a.test"], NOW, timedelta(days=9)) for _ in range(2))
    assert one != two
