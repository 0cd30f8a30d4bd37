"""
What a private key's text holds, for the question whose key it is. Only public parts leave here: no
function returns a private key, and no message quotes one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.plans.pem import Block, Flaw, Text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

LABELS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")
_PKEY = "use: openssl pkey -in IN -out OUT"
#: The tag of the second element of each form of key, behind its version.
_FORMS = {0x30: "PRIVATE KEY", 0x02: "RSA PRIVATE KEY", 0x04: "EC PRIVATE KEY"}


@dataclass(frozen=True)
class Found:
    """
    + public: of the keys that were read, the one first that Envoy Gateway takes; + flaws: what it
      does not take; + remarks: what one of its releases does not take
    """

    public: tuple[PublicKeyTypes, ...] = ()
    flaws: tuple[Flaw, ...] = ()
    remarks: tuple[Flaw, ...] = ()


def read(text: Text) -> Found:
    """Never raises."""
    if not text.blocks:
        return Found(flaws=text.flaws)
    keys = [it for it in text.blocks if it.label in LABELS]
    if not keys:
        return Found(flaws=(_no_key(text.blocks[0]),))
    public, flaws = _read(keys)
    return Found(public, (*text.flaws, *flaws), tuple(_remarks(text.blocks, len(public))))


def _read(keys: list[Block]) -> tuple[tuple[PublicKeyTypes, ...], tuple[Flaw, ...]]:
    public: list[PublicKeyTypes] = []
    flaws: list[Flaw] = []
    for it in keys:
        found = _public(it)
        if isinstance(found, Flaw):
            flaws.append(found)
        else:
            public.append(found)
    return tuple(public), tuple(flaws)


def _remarks(blocks: tuple[Block, ...], keys: int) -> list[Flaw]:
    found = []
    if blocks[0].label not in LABELS:
        found.append(
            Flaw(
                f"has a block {blocks[0].label} before the key, which Envoy Gateway 1.8 refuses",
                f"put the key first; {_PKEY}",
            )
        )
    if keys > 1:
        found.append(
            Flaw(f"holds {keys} keys, of which the first counts", "keep the certificate's key only")
        )
    return found


def _no_key(block: Block) -> Flaw:
    if block.label == "ENCRYPTED PRIVATE KEY":
        return _ENCRYPTED
    if block.label == "OPENSSH PRIVATE KEY":
        return Flaw(
            "is a key of OpenSSH", "use a copy of it and: ssh-keygen -p -N '' -m PKCS8 -f COPY"
        )
    if block.label == "CERTIFICATE":
        return Flaw("is a certificate where the private key belongs", "give the private key")
    if block.label.endswith("PUBLIC KEY"):
        return Flaw("is a public key", "give the private key, from where it was made")
    return Flaw(
        f"is a block {block.label} and no private key",
        "give the private key: PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY",
    )


_ENCRYPTED = Flaw("is encrypted, and no proxy can ask for its password", _PKEY)


def _public(block: Block) -> PublicKeyTypes | Flaw:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    if block.encrypted:
        return _ENCRYPTED
    form = _form(block.der)
    if form is not None and form != block.label:
        return Flaw(f"is named {block.label} and holds what belongs under {form}", _PKEY)
    try:
        key = load_der_private_key(block.der, None, unsafe_skip_rsa_key_validation=True)
        good = _consistent(key)
    except (ValueError, TypeError, OverflowError, UnsupportedAlgorithm):
        good = False
    if not good:
        return Flaw(
            f"is a block {block.label} that holds no key that can be read",
            "take it once more from where it was made: it is damaged, or of a kind that TLS "
            "does not know",
        )
    return key.public_key()


def _form(der: bytes) -> str | None:
    """The label that fits what a key's DER begins with, None where it is none of the three."""
    if len(der) < 8 or der[0] != 0x30:
        return None
    body = 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)
    version = der[body : body + 3]
    if version[:2] != b"\x02\x01" or len(der) < body + 4:
        return None
    return _FORMS.get(der[body + 3])


def _consistent(key: object) -> bool:
    """
    Whether an RSA key's parts belong together, as Envoy checks. What is left out, whether its
    primes are primes, takes a hundred times as long.
    """
    from cryptography.hazmat.primitives.asymmetric import rsa

    if not isinstance(key, rsa.RSAPrivateKey):
        return True
    it = key.private_numbers()
    n, e = it.public_numbers.n, it.public_numbers.e
    if it.p * it.q != n or min(it.p, it.q) < 3:
        return False
    return (
        (it.d * e) % (it.p - 1) == 1 == (it.d * e) % (it.q - 1)
        and (it.dmp1, it.dmq1) == (it.d % (it.p - 1), it.d % (it.q - 1))
        and (it.iqmp * it.q) % it.p == 1
    )
