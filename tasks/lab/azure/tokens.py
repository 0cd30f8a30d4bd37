"""JSON Web Tokens, as Entra ID writes them: RS256, with the keys that its JWKS shows."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tasks.lab.state import write

Claims = dict[str, Any]


class BadToken(Exception):
    """A text that is no token, or not signed by whom it says."""


def key(folder: Path) -> rsa.RSAPrivateKey:
    """``entra.key`` of this folder, made once."""
    file = folder / "entra.key"
    if not file.exists():
        made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = serialization.PrivateFormat.PKCS8
        text = made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        write(file, text)
    found = serialization.load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(found, rsa.RSAPrivateKey):
        raise ValueError(f"{file} is no RSA key")
    return found


def signed(claims: Mapping[str, Any], key: rsa.RSAPrivateKey) -> str:
    header = {"typ": "JWT", "alg": "RS256", "kid": kid(key.public_key())}
    text = f"{_packed(header)}.{_packed(claims)}"
    signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{encoded(signature)}"


def read(token: str) -> tuple[Claims, Claims]:
    """Header and claims, whoever signed them; raises `BadToken`."""
    try:
        header, claims, _ = token.split(".")
        return json.loads(_decoded(header)), json.loads(_decoded(claims))
    except ValueError:
        raise BadToken("not a token") from None


def check(token: str, key: rsa.RSAPublicKey) -> None:
    """Raises `BadToken` unless the owner of this key signed it (RS256 or PS256)."""
    header, _ = read(token)
    text, _, signature = token.rpartition(".")
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    way = pss if header.get("alg") == "PS256" else padding.PKCS1v15()
    try:
        key.verify(_decoded(signature), text.encode(), way, hashes.SHA256())
    except InvalidSignature:
        raise BadToken("not signed with this key") from None


def public(key: rsa.RSAPublicKey) -> dict[str, str]:
    """One entry of a JWKS."""
    numbers = key.public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": kid(key),
        "n": encoded(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)),
        "e": encoded(numbers.e.to_bytes(3)),
    }


def kid(key: rsa.RSAPublicKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    text = key.public_bytes(serialization.Encoding.DER, form)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(text)
    return encoded(digest.finalize())[:27]


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _packed(content: Mapping[str, Any]) -> str:
    return encoded(json.dumps(content, separators=(",", ":")).encode())
