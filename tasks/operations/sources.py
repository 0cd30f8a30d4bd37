"""Where a certificate and its key come from. Nothing of a key is ever in an error of these."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from pyinfra.api.exceptions import DeployError

from tasks.fleet import run as fleet_run
from tasks.fleet.inventory import Certificate, Cluster
from tasks.operations import key_vault
from tasks.plans.rings import seconds
from tasks.plans.rotation import Pair

if TYPE_CHECKING:
    from cryptography import x509

#: A Secret holds a megabyte at most; a chain has a hundredth of that.
LARGEST = 256 * 1024
#: How long a self-signed certificate is good, at least; and how far clocks may differ.
LIFETIME, SKEW = timedelta(days=90), timedelta(hours=1)


def material(data: Cluster, entry: Certificate, names: Sequence[str]) -> Pair:
    """
    What the source of an entry has now, unjudged.

    + names: that the certificate has to cover; a self-signed one is made for these

    Raises DeployError, in one line, where the source cannot be read. Source "cert-manager" has
    nothing to read: it writes the Secret itself.
    """
    if entry.source == "self-signed":
        if not names:
            raise DeployError("it has no names: set names, or a hostname on its listener")
        before = seconds(entry.renew_before or data.renew_before)
        return self_signed(names, fleet_run.now(), max(LIFETIME, timedelta(seconds=2 * before)))
    if entry.source == "key-vault":
        return key_vault.read(entry)
    return Pair(_bytes(str(entry.certificate)), _bytes(str(entry.key)))


def _bytes(name: str) -> bytes:
    path = Path(name)
    try:
        if path.stat().st_size > LARGEST:
            raise DeployError(f"file {name} is larger than any chain: is it the right one?")
        return path.read_bytes()
    except OSError as error:
        where = "" if path.is_absolute() else " (below the folder of the run)"
        raise DeployError(f"file {name}{where} cannot be read: {error.strerror}") from error


def self_signed(names: Sequence[str], now: datetime, lifetime: timedelta) -> Pair:
    """A certificate that signs itself, for labs: nobody trusts it. EC P-256."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    # A common name has 64 characters at most, and clients read the names below alone.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    found = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectAlternativeName([_name(it) for it in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(
        found.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
