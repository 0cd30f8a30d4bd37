"""Authorities and certificates for tests, made here, and the PEM text of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

NOW = datetime(2026, 11, 22, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Pair:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.DER)

    def key_pem(
        self, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes | None = None
    ) -> bytes:
        """The key, encrypted where there is a password."""
        how = BestAvailableEncryption(password) if password else NoEncryption()
        return bytes(self.key.private_bytes(Encoding.PEM, form, how))


@cache
def rsa_key(size: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    """The same one for each number: making one takes long."""
    return rsa.generate_private_key(65537, size)


def issued(
    title: str,
    names: Sequence[str] = (),
    by: Pair | None = None,
    *,
    authority: bool = False,
    key: Any = None,
    begin: int = -30,
    end: float = 60,
    extensions: Sequence[x509.ExtensionType] = (),
    identified: bool = True,
    serial: int | None = None,
) -> Pair:
    """
    A certificate for CN=title, or without a subject, signed by itself where ``by`` is None.

    + begin, end: days from NOW; + identified: with key identifiers, as nearly all have
    """
    own = key or ec.generate_private_key(ec.SECP256R1())
    signer = by.key if by else own
    said = [x509.NameAttribute(x509.NameOID.COMMON_NAME, title)] if title else []
    subject = x509.Name(said)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(own.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=begin))
        .not_valid_after(NOW + timedelta(days=end))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
    )
    if names:
        san = x509.SubjectAlternativeName([x509.DNSName(it) for it in names])
        builder = builder.add_extension(san, critical=False)
    if identified:
        public = x509.SubjectKeyIdentifier.from_public_key(own.public_key())
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(public, False).add_extension(above, False)
    for it in extensions:
        builder = builder.add_extension(it, critical=False)
    hashed = None if isinstance(signer, ed25519.Ed25519PrivateKey) else SHA256()
    return Pair(builder.sign(signer, hashed), own)


def chain(*pairs: Pair) -> bytes:
    """Their certificates, in this order."""
    return b"".join(it.pem for it in pairs)
