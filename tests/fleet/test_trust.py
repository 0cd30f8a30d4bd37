"""The file of authorities that an inventory names."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyinfra.api.exceptions import DeployError

from tasks.fleet.inventory import Cluster
from tasks.fleet.trust import trusted
from tests.authorities import issued


def cluster(trust: Path | None) -> Cluster:
    return Cluster(ring=0, envoy_gateway_version="1.9.1", trust=str(trust) if trust else None)


def test_none_is_named() -> None:
    assert trusted(cluster(None)) is None


def test_its_authorities(tmp_path: Path) -> None:
    file = tmp_path / "roots.pem"
    file.write_bytes(issued("Root X1", authority=True).pem)
    assert trusted(cluster(file))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "cannot be read (No such file or directory)", id="missing"),
        pytest.param(b"", "has no certificate in it that can be read", id="empty"),
        pytest.param(b"not PEM", "has no certificate in it that can be read", id="no PEM"),
    ],
)
def test_what_is_no_file_of_authorities(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "roots.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DeployError) as error:
        trusted(cluster(file))
    assert str(error.value) == f"trust: {file} {said}: name a PEM file"
