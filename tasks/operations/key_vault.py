"""
Certificates of Azure Key Vault, through the official SDK. A certificate's key is in the secret of
the same name and version (Azure docs, About Azure Key Vault certificates, Composition).
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pyinfra.api.exceptions import DeployError

from tasks.connectors import azure
from tasks.connectors.azure import first_line
from tasks.fleet.inventory import Certificate
from tasks.operations.azure_services import Service, told
from tasks.plans.rotation import Pair

if TYPE_CHECKING:
    from cryptography import x509

VAULT = Service("Key Vault", "the vault", "the vault", "vault")
#: Seconds to connect and to wait for an answer, and how often one is asked for again.
CONNECT, READ, RETRIES = 5, 20, 2
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----[ \t]*\r?\n?", re.DOTALL)
#: What a vault says inside a 403, and what to do about it.
_FORBIDDEN = {
    "ForbiddenByRbac": "give this identity the role Key Vault Certificate User on it",
    "ForbiddenByPolicy": "its access policy must allow this identity to get certificates and "
    "secrets",
    "ForbiddenByFirewall": "its firewall refuses the network of this machine",
    "SecretDisabled": "this version is disabled: enable it, or name another version",
}


def read(entry: Certificate) -> Pair:
    """
    Chain and key of an entry of source "key-vault", the newest version or the one it names. Two
    requests for a certificate, one for a secret.

    Raises DeployError, in one line.
    """
    from azure.keyvault.certificates import CertificateClient
    from azure.keyvault.secrets import SecretClient

    vault, name, version = str(entry.vault), str(entry.object), entry.version
    how: dict[str, Any] = {
        "connection_timeout": CONNECT,
        "read_timeout": READ,
        "retry_total": RETRIES,
    }
    with told(_title(entry), VAULT, _refused):
        if entry.kind == "certificate":
            with CertificateClient(vault, azure.credential(), **how) as certificates:
                found = (
                    certificates.get_certificate_version(name, version)
                    if version
                    else certificates.get_certificate(name)
                )
            about = found.properties
            if about is not None and about.enabled is False:
                raise DeployError(f"{_title(entry)}: {_FORBIDDEN['SecretDisabled']}")
            version = about.version if about else version
        with SecretClient(vault, azure.credential(), **how) as secrets:
            secret = secrets.get_secret(name, version)
        return _pair(entry, secret.value or "")


def _refused(error: Any) -> str:
    if error.status_code == 404:
        return "it does not exist there: correct object or version"
    if error.status_code != 403:
        return f"the vault answers {error.status_code}: {first_line(error)}"
    text = str(error)
    for code, advice in _FORBIDDEN.items():
        if code in text:
            return advice if code == "SecretDisabled" else f"no permission: {advice}"
    return f"no permission: {_FORBIDDEN['ForbiddenByRbac']}"


def _title(entry: Certificate) -> str:
    version = f" version {entry.version}" if entry.version else ""
    return f"{entry.kind} {entry.object}{version} of {entry.vault}"


def _pair(entry: Certificate, value: str) -> Pair:
    """What a secret of the vault holds: PEM with everything in it, or a PFX as base64."""
    found = _of_pem(value.encode()) if "-----BEGIN" in value else _of_pfx(entry, value)
    if not found.key:
        exportable = " (is its key exportable?)" if entry.kind == "certificate" else ""
        raise DeployError(f"{_title(entry)}: it comes without its key{exportable}")
    return found


def _of_pem(text: bytes) -> Pair:
    blocks = [(it[1], it[0].strip() + b"\n") for it in _BLOCK.finditer(text)]
    return Pair(
        b"".join(it for kind, it in blocks if not kind.endswith(b"PRIVATE KEY")),
        b"".join(it for kind, it in blocks if kind.endswith(b"PRIVATE KEY")),
    )


def _of_pfx(entry: Certificate, value: str) -> Pair:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

    try:
        key, leaf, others = load_key_and_certificates(b64decode(value), None)
    except (ValueError, TypeError):
        raise DeployError(
            f"{_title(entry)}: it is neither PEM nor a PFX without password"
        ) from None
    pem = serialization.Encoding.PEM
    chain = [] if leaf is None else [leaf, *_in_order(leaf, others)]
    private = b""
    if key is not None:
        private = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    return Pair(b"".join(it.public_bytes(pem) for it in chain), private)


def _in_order(leaf: x509.Certificate, others: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    """A PFX keeps its certificates in no order: from the one that signed the leaf upwards."""
    left, found, last = list(others), list[Any](), leaf
    while last.issuer != last.subject:
        above = next((it for it in left if it.subject == last.issuer), None)
        if above is None:
            break
        left.remove(above)
        found.append(above)
        last = above
    return found
