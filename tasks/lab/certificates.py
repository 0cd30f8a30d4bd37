"""
The certificates of a lab: one authority, and what it signs. Good for ten years, because a lab is
never renewed.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tasks.lab.state import write

YEARS = datetime.timedelta(days=3650)


def authority(folder: Path) -> None:
    """Make ``ca.crt`` and ``ca.key`` in this folder, once."""
    if (folder / "ca.crt").exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("envoyfleet lab", ())
    builder = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    _keep(folder, "ca", key, builder.sign(key, hashes.SHA256()))


def issue(
    folder: Path,
    name: str,
    ca: Path,
    subject: str,
    groups: Sequence[str] = (),
    hosts: Sequence[str] = (),
) -> None:
    """
    Make ``<name>.crt`` and ``<name>.key``, once, for a user of these groups, or a server of these
    hosts (names and addresses).
    """
    if (folder / f"{name}.crt").exists():
        return
    issuer = x509.load_pem_x509_certificate((ca / "ca.crt").read_bytes())
    signer = serialization.load_pem_private_key((ca / "ca.key").read_bytes(), password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(_name(subject, groups), issuer.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    _keep(folder, name, key, builder.sign(signer, hashes.SHA256()))


def signing_key(folder: Path) -> None:
    """Make ``service-accounts.key``, once: what the tokens of service accounts are signed with."""
    file = folder / "service-accounts.key"
    if not file.exists():
        write(file, _private(rsa.generate_private_key(public_exponent=65537, key_size=2048)))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + YEARS)
    )


def _name(common_name: str, groups: Sequence[str]) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _keep(
    folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> None:
    write(folder / f"{name}.key", _private(key))
    write(folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))
