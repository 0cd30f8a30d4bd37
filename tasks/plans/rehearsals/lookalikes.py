"""
Look-alikes of Secrets for a cluster that may know none of them: certificates with the same names,
kinds of keys, times and chains, signed by nobody that anybody trusts, and placeholders for the
rest. What they are made of cannot be read off them.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Mapping
from hashlib import sha1, sha256
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from cryptography import x509

Object = Mapping[str, Any]
#: What a key is for: keys of one kind and role are one, for nothing looks at more than that.
Role = Literal["authority", "server", "nobody"]

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_USERS = ".htpasswd"
#: Keys whose form the API server or Envoy Gateway looks at.
_FORMS = {
    ".dockerconfigjson": json.dumps({"auths": {}}).encode(),
    ".dockercfg": b"{}",
}


class Mint:
    """
    Makes look-alikes of one rehearsal. + salt: random bytes that nobody keeps, so that a guessed
    password cannot be tried against its placeholder
    """

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self._keys: dict[tuple[str, Role], Any] = {}

    def secret(self, thing: Object) -> dict[str, Any]:
        """
        The same Secret with other values: type, name, labels and the names of its values stay.
        Annotations go, for tools keep copies of values in them.
        """
        values = {key: _decoded(it) for key, it in (thing.get("data") or {}).items()}
        roles = _roles(values.values())
        made = {key: self._value(key, it, roles) for key, it in values.items()}
        meta = {k: v for k, v in thing["metadata"].items() if k != "annotations"}
        found = {k: v for k, v in thing.items() if k not in ("data", "stringData")}
        found["metadata"] = meta
        if made:
            found["data"] = {key: base64.b64encode(it).decode() for key, it in made.items()}
        return found

    def _value(self, key: str, value: bytes, roles: Mapping[bytes, Role]) -> bytes:
        if not value:
            return value
        if key in _FORMS:
            return _FORMS[key]
        if key == _USERS:
            return self._users(value)
        blocks = [(it.group(1).decode(), it.group(0)) for it in _BLOCK.finditer(value)]
        if not blocks:
            return self._placeholder(value)
        made = [self._block(label, block, roles) for label, block in blocks]
        return b"".join(made)

    def _placeholder(self, value: bytes) -> bytes:
        return hmac.new(self._salt, value, sha256).hexdigest().encode()

    def _users(self, value: bytes) -> bytes:
        """As many users as there were; Envoy takes {SHA} alone."""
        lines = [it for it in value.splitlines() if it.strip()]
        made = []
        for number, it in enumerate(lines, 1):
            digest = sha1(self._placeholder(it), usedforsecurity=False).digest()
            made.append(b"user-%d:{SHA}%s\n" % (number, base64.b64encode(digest)))
        return b"".join(made)

    def _block(self, label: str, block: bytes, roles: Mapping[bytes, Role]) -> bytes:
        """One PEM block; one that cannot be read stays one that cannot be read."""
        try:
            if label == "CERTIFICATE":
                return self._certificate(block, roles)
            if label == "X509 CRL":
                return self._revoked(block)
            if label.endswith("PRIVATE KEY"):
                return self._private(label, block, roles)
        except (ValueError, TypeError):
            pass
        text = base64.b64encode(self._placeholder(block)).decode()
        return f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n".encode()

    def _private(self, label: str, block: bytes, roles: Mapping[bytes, Role]) -> bytes:
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
            load_pem_private_key,
        )

        public: Any = load_pem_private_key(block, None).public_key()
        key = self._key(_kind(public), roles.get(_digest(public), "nobody"))
        form = PrivateFormat.PKCS8 if label == "PRIVATE KEY" else PrivateFormat.TraditionalOpenSSL
        return bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))

    def _certificate(self, block: bytes, roles: Mapping[bytes, Role]) -> bytes:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        old = x509.load_pem_x509_certificate(block)
        public: Any = old.public_key()
        own = self._key(_kind(public), roles.get(_digest(public), "server"))
        signer = own if old.subject == old.issuer else self._key(_signed_by(old), "authority")
        new = (
            x509.CertificateBuilder()
            .subject_name(old.subject)
            .issuer_name(old.issuer)
            .public_key(own.public_key())
            .serial_number(self._serial(block))
            .not_valid_before(old.not_valid_before_utc)
            .not_valid_after(old.not_valid_after_utc)
        )
        for it in old.extensions:
            value = _extension(it.value, own.public_key(), signer.public_key())
            if value is not None:
                new = new.add_extension(value, it.critical)
        return bytes(new.sign(signer, _hash_for(signer)).public_bytes(Encoding.PEM))

    def _revoked(self, block: bytes) -> bytes:
        """A list of the same authority and times on which nobody is."""
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        old = x509.load_pem_x509_crl(block)
        signer = self._key("EC secp256r1", "authority")
        start, end = old.last_update_utc, old.next_update_utc
        new = x509.CertificateRevocationListBuilder().issuer_name(old.issuer).last_update(start)
        new = new.next_update(end or start.replace(year=start.year + 1))
        return bytes(new.sign(signer, _hash_for(signer)).public_bytes(Encoding.PEM))

    def _serial(self, block: bytes) -> int:
        """Another for each certificate; 20 octets at most, and positive (RFC 5280, 4.1.2.2)."""
        return int.from_bytes(hmac.new(self._salt, block, sha256).digest()[:16]) | 1

    def _key(self, kind: str, role: Role) -> Any:
        if (kind, role) not in self._keys:
            self._keys[kind, role] = _generated(kind)
        return self._keys[kind, role]


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value)
    except binascii.Error:
        return b""


def _roles(values: Any) -> dict[bytes, Role]:
    """
    Of the public keys in one Secret, what they are for: the key of a Secret must stay that of its
    certificate, and one that was not its certificate's must not become that.
    """
    from cryptography import x509

    found: dict[bytes, Role] = {}
    for value in values:
        for it in _BLOCK.finditer(value):
            if it.group(1) != b"CERTIFICATE":
                continue
            try:
                certificate = x509.load_pem_x509_certificate(it.group(0))
                digest = _digest(certificate.public_key())
                found[digest] = "authority" if _is_authority(certificate) else "server"
            except (ValueError, TypeError):
                continue
    return found


def _is_authority(certificate: x509.Certificate) -> bool:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return found.value.ca


def _digest(public: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def _kind(public: Any) -> str:
    """Such as "RSA 2048", "EC secp256r1", "Ed25519". Raises ValueError for any other."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA {public.key_size}"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return f"EC {public.curve.name}"
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "Ed25519"
    raise ValueError("a kind of key that no look-alike is made of")


def _signed_by(certificate: x509.Certificate) -> str:
    """The kind of key that its signature says; the size is the usual one."""
    name = certificate.signature_algorithm_oid._name.lower()
    if "rsa" in name:
        return "RSA 2048"
    return "Ed25519" if "ed25519" in name else "EC secp256r1"


def _generated(kind: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    name, _, detail = kind.partition(" ")
    if name == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=int(detail))
    if name == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curves = {"secp384r1": ec.SECP384R1, "secp521r1": ec.SECP521R1}
    return ec.generate_private_key(curves.get(detail, ec.SECP256R1)())


def _hash_for(key: Any) -> Any:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _extension(value: Any, own: Any, signer: Any) -> Any:
    """An extension as the look-alike has it, None for one that only the original can have."""
    from cryptography import x509

    if isinstance(value, x509.SubjectKeyIdentifier):
        return x509.SubjectKeyIdentifier.from_public_key(own)
    if isinstance(value, x509.AuthorityKeyIdentifier):
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer)
    kept = (
        x509.SubjectAlternativeName,
        x509.BasicConstraints,
        x509.KeyUsage,
        x509.ExtendedKeyUsage,
        x509.NameConstraints,
        x509.TLSFeature,
    )
    return value if isinstance(value, kept) else None
