"""An authority that exists for as long as it takes to sign what is asked for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tasks.plans.control_plane import Part, Unit

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

#: As certgen has it (Envoy Gateway 1.9 source, internal/crypto).
LIFETIME, BACKDATED, BITS = timedelta(days=5 * 365), timedelta(days=1), 2048


def renewed(before: Unit, now: datetime) -> dict[str, Part]:
    """
    New keys and certificates with the subjects and names of those before, all of one new authority,
    whose key is gone when this returns.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    serial, key = x509.random_serial_number(), _key()
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "envoy-gateway"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, str(serial)),  # no two have one name
        ]
    )
    authority = (
        _builder(subject, subject, key, serial, now)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    pem = authority.public_bytes(Encoding.PEM)
    return {name: _signed(it, authority, pem, key, now) for name, it in before.items()}


def _signed(
    before: Part, authority: x509.Certificate, pem: bytes, key: rsa.RSAPrivateKey, now: datetime
) -> Part:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    old = x509.load_pem_x509_certificate(before.certificate)
    names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    own, serial = _key(), x509.random_serial_number()
    leaf = (
        _builder(old.subject, authority.subject, own, serial, now)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .add_extension(names, critical=False)
        .sign(key, SHA256())
    )
    return Part(
        leaf.public_bytes(Encoding.PEM),
        (pem,),
        own.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    )


def _key() -> rsa.RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=BITS)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, serial: int, now: datetime
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    leaf = not signs_certificates
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        content_commitment=leaf,
        data_encipherment=leaf,
        key_cert_sign=signs_certificates,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
