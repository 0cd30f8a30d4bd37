"""
A container of Azure Blob Storage, through the official SDK. Each blob is written once and never
again, and none is deleted here: that is for the container's own policies.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, partial
from hashlib import md5, sha256
from typing import Any

from pyinfra.api.exceptions import DeployError

from tasks.connectors import azure
from tasks.connectors.azure import first_line
from tasks.operations.azure_services import Service, told

STORAGE = Service("Blob Storage", "the service", "the storage account", "backup.container")
#: Seconds to connect and to wait for an answer, and how often one is asked for again.
CONNECT, READ, RETRIES = 5, 60, 2
#: Blobs that are written or read at a time, all clusters together.
CONNECTIONS = 12
#: All of a blob goes in one request, so that the service says the digest of all of it.
LARGEST = 256 << 20
#: The SHA-256 of a blob, among its metadata.
DIGEST = "sha256"
#: A blob of this name is there; whether an immutability policy keeps it does not matter.
THERE = ("BlobAlreadyExists", "BlobImmutableDueToPolicy")
_ROLE = "the role Storage Blob Data {} on it"
_WRITER, _READER = _ROLE.format("Contributor"), _ROLE.format("Reader")
#: What the service says in a refusal, and what to do about it. {}: the role that is needed
_REFUSED = {
    "AuthorizationPermissionMismatch": "no permission: give this identity {}",
    "InsufficientAccountPermissions": "no permission: give this identity {}",
    "AuthorizationFailure": "its firewall refuses the network of this machine: use a private "
    "endpoint, or add the network to the account's rules",
    "PublicAccessNotPermitted": "it was asked without a sign-in, which the account refuses",
    "ContainerNotFound": "there is no such container: make it, or correct backup.container",
    "ContainerBeingDeleted": "the container is being deleted: make it anew, or correct "
    "backup.container",
    "ContainerDisabled": "the container is disabled: ask whoever owns the account",
    "AccountIsDisabled": "the account is disabled: ask whoever owns the subscription",
    "BlobNotFound": "it does not exist: correct its name",
    "BlobArchived": "it is in the archive tier: az storage blob set-tier --tier Hot, which takes "
    "hours",
    "ServerBusy": "the service is busy and refuses more requests: run again later",
    "OperationTimedOut": "the service did not end in time: run again later",
    "Md5Mismatch": "what arrived is not what was sent: run again",
}


@dataclass(frozen=True)
class Blob:
    """
    + sha256: as whoever wrote it noted it, None where that was not envoyfleet
    + md5: that the service has of its content, None where it was written in parts
    """

    url: str
    size: int
    sha256: str | None
    md5: str | None

    def holds(self, content: bytes) -> bool:
        """Whether it is a copy of this, by its size and every digest that is known."""
        return (
            self.size == len(content)
            and self.sha256 in (None, sha256(content).hexdigest())
            and self.md5 in (None, _md5(content))
        )


def put(container: str, name: str, content: bytes) -> str:
    """
    Write a blob, such as "weu-1/20261121T140211Z.tar.gz.age", and have the service say what it got;
    its URL. One request. A blob with this content that is there already is as good.

    + container: its URL, such as "https://fleetbackups.blob.core.windows.net/envoyfleet"

    Raises DeployError, in one line; also where another content is there, which stays.
    """
    from azure.core.exceptions import ResourceExistsError

    url, digest = f"{container}/{name}", sha256(content).hexdigest()
    with _told(url, _WRITER):
        blob = _client(container).get_blob_client(name)
        try:
            blob.upload_blob(  # and compares the MD5 that the service answers
                content, overwrite=False, metadata={DIGEST: digest}, validate_content=True
            )
        except ResourceExistsError as error:
            if _code(error) not in THERE:
                raise
            if not _blob(url, blob.get_blob_properties()).holds(content):
                raise DeployError(
                    f"{url}: another content is there, and nothing is overwritten: run again"
                ) from None
    return url


def listed(container: str, folder: str) -> dict[str, Blob]:
    """
    The blobs of a folder, such as "weu-1", by their names in it. One request for 5000 of them.
    Raises DeployError, in one line.
    """
    with _told(f"{container}/{folder}", _READER):
        found = _client(container).list_blobs(f"{folder}/", include=["metadata"])
        return {
            it.name.removeprefix(f"{folder}/"): _blob(f"{container}/{it.name}", it) for it in found
        }


def read(container: str, name: str) -> bytes:
    """
    The content of a blob, held against its digests. One request. Raises DeployError, in one line.
    """
    url = f"{container}/{name}"
    with _told(url, _READER):
        answer = _client(container).get_blob_client(name).download_blob()
        if answer.size > LARGEST:
            raise DeployError(f"{url} has more than {LARGEST >> 20} MB: it is no backup")
        content = bytes(answer.readall())
        if not _blob(url, answer.properties).holds(content):
            raise DeployError(f"{url} is not what was written there: take another archive")
    return content


def _blob(url: str, properties: Any) -> Blob:
    known = {key.lower(): value for key, value in (properties.metadata or {}).items()}
    return Blob(
        url, properties.size, known.get(DIGEST), _hex(properties.content_settings.content_md5)
    )


def _md5(content: bytes) -> str:
    """The digest that the service counts with; nobody is kept out by it."""
    return md5(content, usedforsecurity=False).hexdigest()


def _hex(digest: bytes | bytearray | None) -> str | None:
    return bytes(digest).hex() if digest else None


@cache
def _client(container: str) -> Any:
    """One a container and run, so that connections are used again."""
    from azure.storage.blob import ContainerClient

    from tasks.connectors.arm_pipeline import transport

    return ContainerClient.from_container_url(
        container,
        credential=azure.credential(),
        transport=transport(CONNECTIONS, CONNECT, READ),
        max_single_put_size=LARGEST,
        max_single_get_size=LARGEST,
        retry_total=RETRIES,
        initial_backoff=1,
        increment_base=2,
    )


def _told(url: str, role: str) -> AbstractContextManager[None]:
    """Raises DeployError, in one line. + role: that this identity needs"""
    return told(url, STORAGE, partial(_refused, role=role))


def _refused(error: Any, role: str) -> str:
    known = _REFUSED.get(_code(error))
    if known is not None:
        return known.format(role)
    return f"the service answers {error.status_code}: {first_line(error)}"


def _code(error: Any) -> str:
    """What the service calls it, such as "BlobAlreadyExists": some are an enumeration's."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code))
