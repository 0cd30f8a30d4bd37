"""
Azurite, the emulator of Blob Storage, for tests: installed with npm at the versions that are pinned
in tests/data/azurite, each package by its hash, and kept in the cache of the lab's parts.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.lab import certificates, parts
from tasks.lab.parts import Needs, Part
from tasks.lab.progress import LabError

PINNED = Path(__file__).parent / "data" / "azurite"
MAIN = "node_modules/azurite/dist/src/blob/main.js"
ACCOUNT, CONTAINER = "fleetbackups", "envoyfleet"
#: Seconds for npm, and until the emulator listens, on a busy machine.
INSTALL, START = 300, 60
_LISTENS = re.compile(r"successfully listens on (https://\S+)")


def _install(folder: Path, _: Needs) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise LabError("Azurite is installed with npm, which is not here: install Node.js")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PINNED / name, folder)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-bin-links", "--omit=dev")
    done = subprocess.run(
        [npm, "ci", *quiet],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL,
    )
    if done.returncode:
        raise LabError(f"npm cannot install Azurite: {done.stderr.strip()[-500:]}")


AZURITE = Part(
    name="azurite",
    files=(MAIN,),
    make=_install,
    how="npm installs it from pinned packages (10-20 s)",
    sources=(PINNED / "package.json", PINNED / "package-lock.json"),
)


@dataclass(frozen=True)
class BlobStorage:
    """
    + url: of the container, such as "https://127.0.0.1:10000/fleetbackups/envoyfleet"
    + authority: what its clients trust; + key: of the account, which may do everything
    """

    url: str
    authority: Path
    key: str

    def as_owner(self) -> Any:
        """The container for whoever has the account's key: azure-storage-blob's ContainerClient."""
        from azure.core.credentials import AzureNamedKeyCredential
        from azure.storage.blob import ContainerClient

        return ContainerClient.from_container_url(
            self.url,
            AzureNamedKeyCredential(ACCOUNT, self.key),
            connection_verify=str(self.authority),
        )


@contextmanager
def azurite(folder: Path, authority: Path) -> Iterator[BlobStorage]:
    """
    An account with an empty container, over HTTPS; it takes tokens of Entra ID for Storage, whoever
    signed them (``--oauth basic``).

    + authority: the folder of the one that issues its certificate
    """
    main = parts.find([AZURITE])["azurite"] / MAIN
    certificates.issue(folder, "azurite", authority, "azurite", hosts=["127.0.0.1"])
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    command = [
        *("node", str(main), "--blobHost", "127.0.0.1", "--blobPort", "0"),
        *("--location", str(folder / "azurite"), "--silent", "--disableTelemetry"),
        *("--cert", str(folder / "azurite.crt"), "--key", str(folder / "azurite.key")),
        *("--oauth", "basic", "--skipApiVersionCheck"),
    ]
    log = folder / "azurite.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"{_address(process, log)}/{ACCOUNT}/{CONTAINER}"
            found = BlobStorage(url, authority / "ca.crt", key)
            with found.as_owner() as container:
                container.create_container()
            yield found
        finally:
            process.terminate()
            process.wait(30)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START
    while not (said := _LISTENS.search(log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"Azurite does not listen: {log.read_text()}"
        time.sleep(0.1)
    return said[1]
