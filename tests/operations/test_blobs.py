"""
Blob Storage through its official SDK, against a service of this process that answers as the real
one does, with tokens of the stand-in for Azure. Azurite is in tests/lab/test_azure_backup.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import gevent
import pytest
from pyinfra.api.exceptions import DeployError

from tasks.connectors import azure as azure_connector
from tasks.operations import blobs
from tests.azure import Serving, standing_azure
from tests.blob_service import Service, serving

NAME = "weu-1/20261121T140211Z.tar.gz.age"
OTHER = "another content is there, and nothing is overwritten: run again"
CONTENT = b"age-encryption.org/v1\n and what is sealed"


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    azure_connector.tokens.cache_clear()
    blobs._client.cache_clear()
    with standing_azure(tmp_path, monkeypatch) as serving:
        yield serving
    azure_connector.tokens.cache_clear()
    blobs._client.cache_clear()


@pytest.fixture
def service(azure: Serving, tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path) as service:
        yield service


def test_a_copy_is_written_once_with_its_digest(service: Service) -> None:
    assert blobs.put(service.url, NAME, CONTENT) == f"{service.url}/{NAME}"
    assert service.asked == [f"PUT {NAME}"]
    assert service.blobs == {NAME: CONTENT}
    assert service.metadata[NAME] == {"sha256": sha256(CONTENT).hexdigest()}


@pytest.mark.parametrize("code", ["BlobAlreadyExists", "BlobImmutableDueToPolicy"])
def test_one_that_is_there_already_is_as_good(service: Service, code: str) -> None:
    service.exists = code
    blobs.put(service.url, NAME, CONTENT)
    assert blobs.put(service.url, NAME, CONTENT) == f"{service.url}/{NAME}"
    assert service.asked[-2:] == [f"PUT {NAME}", f"HEAD {NAME}"]


@pytest.mark.parametrize("code", ["BlobAlreadyExists", "BlobImmutableDueToPolicy"])
def test_another_content_is_never_overwritten(service: Service, code: str) -> None:
    service.exists = code
    blobs.put(service.url, NAME, CONTENT)
    with pytest.raises(DeployError) as caught:
        blobs.put(service.url, NAME, CONTENT[::-1])
    assert str(caught.value) == f"{service.url}/{NAME}: {OTHER}"
    assert service.blobs == {NAME: CONTENT}


def test_what_the_service_got_is_compared(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    service.damage = b"!"
    with pytest.raises(DeployError) as caught:
        blobs.put(service.url, NAME, CONTENT)
    assert str(caught.value) == f"{service.url}/{NAME}: {OTHER}"


def test_a_list_says_the_digests_of_a_cluster(service: Service) -> None:
    blobs.put(service.url, NAME, CONTENT)
    blobs.put(service.url, "weu-10/20261121T140211Z.tar.gz.age", b"of another")
    service.asked.clear()
    found = blobs.listed(service.url, "weu-1")
    assert list(found) == [NAME.removeprefix("weu-1/")]
    [blob] = found.values()
    assert blob.url == f"{service.url}/{NAME}"
    assert blob.holds(CONTENT)
    assert not blob.holds(CONTENT[::-1])
    assert service.asked == ["GET"]


def test_a_blob_of_somebody_else_has_its_size_at_least(service: Service) -> None:
    service.parts, service.blobs = True, {NAME: CONTENT}
    [blob] = blobs.listed(service.url, "weu-1").values()
    assert (blob.sha256, blob.md5) == (None, None)
    assert blob.holds(CONTENT)
    assert not blob.holds(CONTENT + b"!")
    assert blobs.read(service.url, NAME) == CONTENT


def test_what_is_read_is_what_was_written(service: Service) -> None:
    blobs.put(service.url, NAME, CONTENT)
    service.asked.clear()
    assert blobs.read(service.url, NAME) == CONTENT
    assert service.asked == [f"GET {NAME}"]
    service.blobs[NAME] = CONTENT[:-1] + b"!"
    with pytest.raises(DeployError) as caught:
        blobs.read(service.url, NAME)
    assert str(caught.value) == (
        f"{service.url}/{NAME} is not what was written there: take another archive"
    )


def test_one_sign_in_for_all(service: Service, azure: Serving) -> None:
    for number in range(3):
        blobs.put(service.url, f"weu-{number}/20261121T140211Z.tar.gz.age", CONTENT)
    tokens = [it for it in azure.azure.requests if "oauth2" in it.path]
    assert len(tokens) == 1


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        pytest.param(
            403,
            "AuthorizationPermissionMismatch",
            "no permission: give this identity the role Storage Blob Data Contributor on it",
            id="no role",
        ),
        pytest.param(
            403,
            "AuthorizationFailure",
            "its firewall refuses the network of this machine: use a private endpoint, or add the "
            "network to the account's rules",
            id="firewall",
        ),
        pytest.param(
            404,
            "ContainerNotFound",
            "there is no such container: make it, or correct backup.container",
            id="no container",
        ),
        pytest.param(
            409,
            "ContainerBeingDeleted",
            "the container is being deleted: make it anew, or correct backup.container",
            id="a container that goes",
        ),
        pytest.param(
            409,
            "BlobArchived",
            "it is in the archive tier: az storage blob set-tier --tier Hot, which takes hours",
            id="archive tier",
        ),
        pytest.param(
            403,
            "AccountIsDisabled",
            "the account is disabled: ask whoever owns the subscription",
            id="no account any more",
        ),
        pytest.param(
            400,
            "InvalidResourceName",
            "the service answers 400: It is InvalidResourceName.",
            id="anything else",
        ),
    ],
)
def test_refused(service: Service, status: int, code: str, advice: str) -> None:
    service.refusal = (status, code)
    assert said(service) == f"{service.url}/{NAME}: {advice}"
    assert len(service.asked) == 1


def test_who_only_reads_needs_less(service: Service) -> None:
    service.refusal = (403, "AuthorizationPermissionMismatch")
    with pytest.raises(DeployError) as caught:
        blobs.listed(service.url, "weu-1")
    assert str(caught.value) == (
        f"{service.url}/weu-1: no permission: give this identity the role Storage Blob Data Reader "
        "on it"
    )


def test_a_busy_service_is_asked_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    service.refusal = (503, "ServerBusy")
    why = "the service is busy and refuses more requests: run again later"
    assert said(service) == f"{service.url}/{NAME}: {why}"
    assert len(service.asked) == 1 + blobs.RETRIES


def test_no_sign_in(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    assert said(service) == (
        f"{service.url}/{NAME}: no sign-in to Azure: AADSTS7000215: the client secret is wrong: "
        "set AZURE_CLIENT_SECRET to its value, not to its id"
    )
    assert not service.asked


def test_those_who_wait_for_a_sign_in_fail_with_it(
    service: Service, azure: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    azure.azure.requests.clear()
    lines = [gevent.spawn(said, service) for _ in range(20)]
    gevent.joinall(lines, raise_error=True)
    assert len({it.value for it in lines}) == 1
    assert len([it for it in azure.azure.requests if "oauth2" in it.path]) == 1


def test_no_such_account(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    service.url = "https://127.0.0.1:9/fleetbackups/envoyfleet"
    line = said(service)
    assert line.startswith(f"{service.url}/{NAME}: the storage account cannot be reached: ")
    assert line.endswith(": correct backup.container, or let this machine reach it")


def said(service: Service) -> str:
    """The one line of a service that takes nothing."""
    with pytest.raises(DeployError) as caught:
        blobs.put(service.url, NAME, CONTENT)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_sixty_clusters_share_some_connections(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"weu-{number}/20261121T140211Z.tar.gz.age" for number in range(60)]
    gevent.joinall([gevent.spawn(blobs.put, service.url, it, CONTENT) for it in names])
    assert sorted(service.blobs) == sorted(names)
    assert service.connections <= blobs.CONNECTIONS
    assert capsys.readouterr().err == ""
