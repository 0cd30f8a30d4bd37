"""What a look-alike of a Secret keeps, and what of the Secret is not in it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from tasks.plans import chains
from tasks.plans.rehearsals.lookalikes import Mint

SALT = b"salt of a test"
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
KEYS: dict[str, Any] = {
    "EC secp256r1": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EC secp384r1": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA 2048": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def issued(subject: str, issuer: str, key: Any, by: Any, ca: bool = False) -> bytes:
    names = [x509.DNSName(f"*.{subject}"), x509.DNSName(subject)]
    built = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(START)
        .not_valid_after(END)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    digest = None if isinstance(by, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return built.sign(by, digest).public_bytes(serialization.Encoding.PEM)


def private(key: Any) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    encoding, hidden = serialization.Encoding.PEM, serialization.NoEncryption()
    return bytes(key.private_bytes(encoding, form, hidden))


def secret(values: dict[str, bytes], type: str = "Opaque") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": "edge", "name": "one", "annotations": {"copy": "of a value"}},
        "type": type,
        "data": {key: base64.b64encode(it).decode() for key, it in values.items()},
    }


def made(thing: dict[str, Any]) -> dict[str, bytes]:
    found = Mint(SALT).secret(thing)
    return {key: base64.b64decode(it) for key, it in found["data"].items()}


@pytest.mark.parametrize("kind", KEYS)
def test_a_chain_keeps_its_names_times_and_kinds_and_no_key(kind: str) -> None:
    key, authority = KEYS[kind](), KEYS["EC secp256r1"]()
    leaf = issued("shop.example.com", "Shop CA", key, authority)
    crt = leaf + issued("Shop CA", "Root", authority, authority, ca=True)
    found = made(secret({"tls.crt": crt, "tls.key": private(key)}, "kubernetes.io/tls"))
    source = chains.read(crt, private(key))
    before, chain = source.certificates, chains.read(found["tls.crt"], found["tls.key"])
    assert chain.problems == source.problems
    assert [
        (it.subject, it.issuer, it.names, it.not_before, it.not_after, it.key, it.is_ca)
        for it in chain.certificates
    ] == [
        (it.subject, it.issuer, it.names, it.not_before, it.not_after, it.key, it.is_ca)
        for it in before
    ]
    assert not {it.fingerprint for it in chain.certificates} & {it.fingerprint for it in before}
    assert found["tls.key"] != private(key)
    first, second = x509.load_pem_x509_certificates(found["tls.crt"])
    first.verify_directly_issued_by(second)


def test_a_certificate_that_is_its_own_authority_keeps_its_key() -> None:
    key = KEYS["EC secp256r1"]()
    crt = issued("lab.test", "lab.test", key, key, ca=True)
    found = made(secret({"tls.crt": crt, "tls.key": private(key)}))
    assert chains.read(found["tls.crt"], found["tls.key"]).problems == ()


def test_a_key_of_another_certificate_stays_wrong() -> None:
    key, other = KEYS["EC secp256r1"](), KEYS["EC secp256r1"]()
    crt = issued("shop.example.com", "Shop CA", key, other)
    [before] = chains.read(crt, private(other)).problems
    found = made(secret({"tls.crt": crt, "tls.key": private(other)}))
    assert [it.code for it in chains.read(found["tls.crt"], found["tls.key"]).problems] == [
        before.code
    ]


def test_what_is_no_certificate_stays_none() -> None:
    block = b"-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n"
    found = made(secret({"tls.crt": block}))["tls.crt"]
    assert found.startswith(b"-----BEGIN CERTIFICATE-----\n")
    assert b"bm90aGluZw==" not in found
    assert chains.read(found, None).certificates == ()


def test_other_values_are_placeholders_of_their_form() -> None:
    values = {
        "token": b"canary-1",
        "same": b"canary-1",
        "other": b"canary-2",
        "empty": b"",
        ".htpasswd": b"anna:{SHA}canary3\n\nbert:{SHA}canary4\n",
        ".dockerconfigjson": b'{"auths": {"r": {"auth": "canary-5"}}}',
        "binary": b"\xff\x00canary-6",
    }
    found = made(secret(values))
    assert list(found) == list(values)
    assert found["token"] == found["same"] != found["other"]
    assert len(found["token"]) == len(found["binary"]) == 64
    assert found["empty"] == b""
    assert [it.split(b":{SHA}")[0] for it in found[".htpasswd"].splitlines()] == [
        b"user-1",
        b"user-2",
    ]
    assert found[".dockerconfigjson"] == b'{"auths": {}}'
    assert b"canary" not in b"".join(found.values())


def test_annotations_and_what_the_salt_hides() -> None:
    thing = secret({"token": b"1234"})
    found = Mint(SALT).secret(thing)
    assert found["metadata"] == {"namespace": "edge", "name": "one"}
    assert found != Mint(b"another").secret(thing)
    assert "data" not in Mint(SALT).secret({**secret({}), "data": None})
