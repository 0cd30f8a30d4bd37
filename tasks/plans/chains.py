"""
What a TLS Secret or a pair of files holds: the certificates in their order, whether the key is the
first one's, and what Envoy Gateway or a client would not take. Nothing of a key is ever kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509


@dataclass(frozen=True)
class Certificate:
    """
    What is said of one X.509 certificate.

    + serial: in lower-case hexadecimal, such as "3fa1b2c4"; + fingerprint: SHA-256 of its bytes, in
      hexadecimal
    + subject, issuer: such as "CN=shop.example.com,O=Shop"
    + names: DNS names and addresses of its SAN, in lower case: ("shop.example.com", "10.0.0.4")
    + key: such as "RSA 2048", "EC secp256r1", "Ed25519"; + signature: such as "sha256"
    """

    serial: str
    fingerprint: str
    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    key: str
    signature: str
    is_ca: bool

    @property
    def text(self) -> str:
        """Such as "serial 3fa1b2c4, CN=shop.example.com, until 2027-02-01"."""
        return f"serial {self.serial}, {self.subject}, until {self.not_after:%Y-%m-%d}"


@dataclass(frozen=True)
class Problem:
    """
    Why a chain or its key is not good.

    + code: the finding that it becomes, such as "GW610"; + what: such as "the key is not the
      certificate's"; + fix: such as "take key and certificate from the same order"
    """

    code: str
    what: str
    fix: str


@dataclass(frozen=True)
class Chain:
    """
    + certificates: as they stand in the file, the served one first; empty where nothing was read
    + problems: what is wrong with the bytes themselves, whatever the day and whoever uses them
    """

    certificates: tuple[Certificate, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def leaf(self) -> Certificate | None:
        """The one that is served."""
        return self.certificates[0] if self.certificates else None


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate as it came over a socket, in hexadecimal."""
    from hashlib import sha256

    return sha256(der).hexdigest()


def certificate(found: x509.Certificate) -> Certificate:
    """What is said of a parsed certificate. Raises ValueError where a part of it is no X.509."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    try:
        is_ca = bool(found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        is_ca = False
    hashed = found.signature_hash_algorithm
    return Certificate(
        f"{found.serial_number:x}",
        found.fingerprint(SHA256()).hex(),
        found.subject.rfc4514_string(),
        found.issuer.rfc4514_string(),
        tuple(
            str(it.value).lower() for it in names if isinstance(it, x509.DNSName | x509.IPAddress)
        ),
        found.not_valid_before_utc,
        found.not_valid_after_utc,
        _key(found.public_key()),
        hashed.name if hashed else "none",
        is_ca,
    )


def _key(public: object) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA {public.key_size}"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return f"EC {public.curve.name}"
    return type(public).__name__.removeprefix("_").removesuffix("PublicKey")


def covers(names: Sequence[str], hostname: str) -> bool:
    """
    Whether one of a certificate's names is good for a host name: "*.x" is one label and no more
    (RFC 6125, 6.4.3). A wildcard listener "*.x" is covered by "*.x" alone.
    """
    wanted = hostname.lower().rstrip(".")
    above = wanted.partition(".")[2]
    return any(it == wanted or (it.startswith("*.") and it[2:] == above) for it in names)
