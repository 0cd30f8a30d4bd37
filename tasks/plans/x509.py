"""What is said of one X.509 certificate, and which names it is good for."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from tasks.plans.pem import printable

if TYPE_CHECKING:
    from cryptography import x509

Severity = Literal["error", "warning", "info"]
_LINE = 100
KEPT = 8192


@dataclass(frozen=True)
class Certificate:
    """
    What is said of one X.509 certificate.

    + serial: in lower-case hexadecimal, such as "3fa1b2c4"; + fingerprint: SHA-256 of its bytes, in
      hexadecimal
    + subject, issuer: such as "CN=shop.example.com,O=Shop"
    + names: DNS names and addresses of its SAN, in lower case: ("shop.example.com", "10.0.0.4")
    + key: such as "RSA 2048", "EC secp256r1", "Ed25519"; + signature: such as "sha256"
    + key_id, issuer_key_id: subject and authority key identifier, "" where it has none
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
    key_id: str = ""
    issuer_key_id: str = ""

    @property
    def text(self) -> str:
        """Such as "serial 3fa1b2c4, CN=shop.example.com, until 2027-02-01"."""
        return f"serial {self.serial}, {self.title}, until {self.not_after:%Y-%m-%d}"

    @property
    def title(self) -> str:
        """Its subject, or its first name where the subject is empty; no longer than a line."""
        title = self.subject or (self.names[0] if self.names else f"serial {self.serial}")
        return title if len(title) <= _LINE else f"{title[:_LINE]}..."

    @property
    def is_authority(self) -> bool:
        """Whether it is no server's: ``openssl req -x509`` makes one that is both."""
        return self.is_ca and not (self.self_issued and self.names)

    @property
    def self_issued(self) -> bool:
        """Whether it is its own authority, as a root is."""
        return self.subject == self.issuer and self.issuer_key_id in ("", self.key_id)


@dataclass(frozen=True)
class Problem:
    """
    Why a chain or its key is not good.

    + code: the finding that it becomes, such as "GW607"; + what: such as "the key is not the
      certificate's"; + fix: such as "take key and certificate from the same order"
    + severity: *error* where Envoy Gateway, Envoy or common clients refuse it, *warning* where one
      release or some clients do
    """

    code: str
    what: str
    fix: str
    severity: Severity = "error"


@dataclass(frozen=True)
class Member:
    """A certificate of a chain, with its parsed form."""

    parsed: x509.Certificate
    said: Certificate


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate as it came over a socket, in hexadecimal."""
    return sha256(der).hexdigest()


def certificate(found: x509.Certificate) -> Certificate:
    """What is said of a parsed certificate. Raises ValueError where a part of it is no X.509."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    extensions = {type(it.value): it.value for it in found.extensions}
    names = extensions.get(x509.SubjectAlternativeName, ())
    constraints: Any = extensions.get(x509.BasicConstraints)
    of_issuer: Any = extensions.get(x509.AuthorityKeyIdentifier)
    hashed = found.signature_hash_algorithm
    return Certificate(
        f"{found.serial_number:x}",
        fingerprint(found.public_bytes(Encoding.DER)),
        printable(found.subject.rfc4514_string()),
        printable(found.issuer.rfc4514_string()),
        tuple(
            printable(str(it.value).lower())
            for it in names
            if isinstance(it, x509.DNSName | x509.IPAddress)
        ),
        found.not_valid_before_utc,
        found.not_valid_after_utc,
        _key(found.public_key()),
        hashed.name if hashed else "none",
        bool(constraints and constraints.ca),
        _key_id(found, extensions.get(x509.SubjectKeyIdentifier)),
        (of_issuer.key_identifier or b"").hex() if of_issuer else "",
    )


def _key_id(found: x509.Certificate, said: Any) -> str:
    """What the certificate says, else the usual one (RFC 5280, 4.2.1.2, method 1)."""
    from cryptography.x509 import SubjectKeyIdentifier

    value = said or SubjectKeyIdentifier.from_public_key(found.public_key())
    return str(value.digest.hex())


def _key(public: object) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA {public.key_size}"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return f"EC {public.curve.name}"
    return type(public).__name__.removeprefix("_").removesuffix("PublicKey")


@lru_cache(maxsize=KEPT)
def member(der: bytes) -> Member | None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509 import (
        DuplicateExtension,
        InvalidVersion,
        UnsupportedGeneralNameType,
        load_der_x509_certificate,
    )

    try:
        with warnings.catch_warnings(action="ignore"):  # of what it will refuse one day
            parsed = load_der_x509_certificate(der)
            if parsed.serial_number < 0:  # as Go does today
                return None
            return Member(parsed, certificate(parsed))
    except (
        ValueError,
        TypeError,
        OverflowError,
        UnsupportedAlgorithm,
        DuplicateExtension,
        InvalidVersion,
        UnsupportedGeneralNameType,
    ):
        return None


def covers(names: Sequence[str], hostname: str) -> bool:
    """
    Whether one of a certificate's names is good for a host name: "*.x" is one label and no more
    (RFC 6125, 6.4.3). A wildcard listener "*.x" is covered by "*.x" alone.
    """
    wanted = hostname.lower().rstrip(".")
    above = wanted.partition(".")[2]
    return any(it == wanted or (bool(above) and it == f"*.{above}") for it in names)
