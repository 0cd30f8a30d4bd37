"""
Archives with copies in Blob Storage, which Azurite is here: a cluster of AKS comes back on a
machine that has nothing but the container, and Azure may be out.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blob_storage import BlobStorage, azurite
from tests.lab.fleet import Ended, Fleet, opened
from tests.lab.test_restore import at

pytestmark = pytest.mark.lab
#: Where nobody takes connections.
NOBODY = "https://127.0.0.1:9"
OUT = {"AZURE_AUTHORITY_HOST": NOBODY, "AZURE_RESOURCE_MANAGER_URL": NOBODY}
BY_KUBECONFIG = "tests/lab/inventories/without_azure.py"


@pytest.fixture(scope="module")
def storage(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlobStorage]:
    """With a certificate of the lab's authority, which the lab's inventory trusts."""
    authority = Path(fleet.lab.data["azure"]["environment"]["REQUESTS_CA_BUNDLE"]).parent
    with azurite(tmp_path_factory.mktemp("azurite"), authority) as found:
        yield found


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """The first cluster has Envoy Gateway."""
    found = opened(tmp_path_factory.mktemp("copies"))
    ended = found.pyinfra("install", "-y", "--limit", found.names[0], *at(found, found.names[0]))
    assert ended.code == 0, ended.text
    return found


def run(fleet: Fleet, storage: BlobStorage, deploy: str, *more: str, **how: str) -> Ended:
    """A deploy on the first cluster, with the container in its inventory."""
    [first, *_] = fleet.names
    data = fleet.lab.data
    backup = {
        **{"recipients": [data["age_recipient"]], "identity": data["age_identity"]},
        "container": storage.url,
    }
    where = ("--limit", first, "--data", f"backup={json.dumps(backup)}", *at(fleet, first))
    return fleet.pyinfra(deploy, *where, *more, **how)


def copies(storage: BlobStorage) -> dict[str, str]:
    """By name, what changes whenever a blob is written."""
    with storage.as_owner() as container:
        return {it.name: it.etag for it in container.list_blobs()}


def place(fleet: Fleet) -> Path:
    return fleet.folder / "backups" / fleet.names[0]


def test_a_cluster_comes_back_from_its_container(fleet: Fleet, storage: BlobStorage) -> None:
    """Nothing is in the folder; what is there before the restore gets a copy too."""
    [first, *_] = fleet.names
    ended = run(fleet, storage, "backup", "-y")
    assert ended.code == 0, ended.text
    [archive] = copies(storage)
    assert archive.startswith(f"{first}/20")
    assert f"copy {storage.url}/{archive}" in ended.text
    before = copies(storage)
    shutil.rmtree(place(fleet))
    fleet.kubectl(first, "delete", "httproute", "green", "--namespace", "demo")

    ended = run(fleet, storage, "restore", "-y")
    assert ended.code == 0, ended.text
    fleet.kubectl(first, "get", "httproute", "green", "--namespace", "demo")
    assert f"fetched {storage.url}/{archive}" in ended.text
    names = {f"{first}/{it.name}" for it in place(fleet).iterdir()}
    assert names == set(copies(storage))
    assert len(names) == 2
    assert {key: it for key, it in copies(storage).items() if key in before} == before

    ended = run(fleet, storage, "verify")
    assert ended.code == 0, ended.text
    assert f"{first}: copy: {storage.url}/{archive}" in ended.out


def test_a_copy_that_was_tampered_with_is_refused(fleet: Fleet, storage: BlobStorage) -> None:
    ended = run(fleet, storage, "backup", "-y")
    assert ended.code == 0, ended.text
    name = max(copies(storage))
    with storage.as_owner() as container:
        blob = container.get_blob_client(name)
        content, metadata = blob.download_blob().readall(), blob.get_blob_properties().metadata
        forged = content[:-1] + bytes([content[-1] ^ 1])
        blob.upload_blob(forged, overwrite=True, metadata=metadata)
        ended = run(fleet, storage, "verify")
        assert ended.code == 1
        assert f"is good, its copy is not: {storage.url}/{name} differs" in ended.text
        shutil.rmtree(place(fleet))
        ended = run(fleet, storage, "restore", "--dry")
        assert ended.code == 1
        assert f"{storage.url}/{name} is not what was written there: take another" in ended.text
        assert not place(fleet).exists()
        blob.upload_blob(content, overwrite=True, metadata=metadata)


def test_it_is_restored_while_azure_is_out(fleet: Fleet, storage: BlobStorage) -> None:
    """From what the folder has and with a kubeconfig, which is what an operator keeps for it."""
    assert run(fleet, storage, "verify").code == 0  # brings the archive into the folder
    [first, *_] = fleet.names
    fleet.kubectl(first, "delete", "httproute", "green", "--namespace", "demo")
    ended = run(fleet, storage, "restore", "-y", inventory=BY_KUBECONFIG, **OUT)
    assert ended.code == 0, ended.text
    assert "there may be a newer archive" in ended.text
    assert "goes on without a copy: " in ended.text
    fleet.kubectl(first, "get", "httproute", "green", "--namespace", "demo")
