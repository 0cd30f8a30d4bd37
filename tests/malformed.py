"""
Certificates and keys that are altered, by accident or on purpose: files that people take for PEM,
and bytes that were damaged. Each must be named, and none may raise.
"""

from __future__ import annotations

import base64
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs7,
    pkcs12,
)

from tests.authorities import Pair, chain, issued, rsa_key

Random = random.Random
TRIES = int(os.environ.get("ENVOYFLEET_MALFORMED", "500"))
HOST = "shop.lab.test"


@dataclass(frozen=True)
class Bytes:
    """What stands in tls.crt and in tls.key."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class Order:
    """A good order: the server's pair and what is above it, with the root."""

    leaf: Pair
    above: tuple[Pair, ...]

    @property
    def good(self) -> Bytes:
        """As it should be."""
        return Bytes(chain(self.leaf, *self.above), self.leaf.key_pem())


@cache
def orders() -> tuple[Order, ...]:
    """With keys of both kinds, with and without authorities between, and signed by itself."""
    root = issued("Root", authority=True)
    old_root = issued("Old Root", authority=True, key=rsa_key(2048, 1), identified=False)
    middle = issued("Middle", by=root, authority=True)
    lower = issued("Lower", by=middle, authority=True, key=rsa_key(2048, 2))
    return (
        Order(issued(HOST, [HOST], middle), (middle, root)),
        Order(issued(HOST, [HOST, "*.lab.test"], lower, key=rsa_key()), (lower, middle, root)),
        Order(issued(HOST, [HOST], old_root, identified=False), (old_root,)),
        Order(issued(HOST, [HOST], key=rsa_key()), ()),
    )


@cache
def stranger() -> Pair:
    """A pair of another order."""
    return issued("other.lab.test", ["other.lab.test"])


Damage = Callable[[Random, Order], Bytes]


def encrypted(random: Random, order: Order) -> Bytes:
    form = random.choice([PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
    return Bytes(order.good.certificate, order.leaf.key_pem(form, b"0123456789"))


def openssh(_: Random, order: Order) -> Bytes:
    return Bytes(order.good.certificate, order.leaf.key_pem(PrivateFormat.OpenSSH))


def public_key(_: Random, order: Order) -> Bytes:
    public = order.leaf.key.public_key()
    text = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Bytes(order.good.certificate, text)


def pfx(random: Random, order: Order) -> Bytes:
    how = random.choice([NoEncryption(), BestAvailableEncryption(b"0123456789")])
    above = [it.certificate for it in order.above]
    data = pkcs12.serialize_key_and_certificates(
        b"x", order.leaf.key, order.leaf.certificate, above, how
    )
    return random.choice([Bytes(data, order.good.key), Bytes(data, data), Bytes(data, b"")])


def p7b(random: Random, order: Order) -> Bytes:
    form = random.choice([Encoding.PEM, Encoding.DER])
    members = [it.certificate for it in (order.leaf, *order.above)]
    return Bytes(pkcs7.serialize_certificates(members, form), order.good.key)


def der(random: Random, order: Order) -> Bytes:
    key = order.leaf.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    good = order.good
    return random.choice([Bytes(order.leaf.der, good.key), Bytes(good.certificate, key)])


def request(_: Random, order: Order) -> Bytes:
    name = order.leaf.certificate.subject
    csr = x509.CertificateSigningRequestBuilder(name).sign(order.leaf.key, SHA256())
    return Bytes(csr.public_bytes(Encoding.PEM), order.good.key)


def swapped(_: Random, order: Order) -> Bytes:
    return Bytes(order.good.key, order.good.certificate)


def twice_the_certificate(_: Random, order: Order) -> Bytes:
    return Bytes(order.good.certificate, order.good.certificate)


def twice_the_key(_: Random, order: Order) -> Bytes:
    return Bytes(order.good.key, order.good.key)


def combined(_: Random, order: Order) -> Bytes:
    good = order.good
    return Bytes(good.certificate + good.key, good.key)


def two_keys(random: Random, order: Order) -> Bytes:
    keys = [order.good.key, stranger().key_pem()]
    random.shuffle(keys)
    return Bytes(order.good.certificate, b"".join(keys))


def another_key(random: Random, order: Order) -> Bytes:
    keys = [stranger().key_pem(), issued("x", key=rsa_key(2048, 3)).key_pem()]
    return Bytes(order.good.certificate, random.choice(keys))


def parameters_first(_: Random, order: Order) -> Bytes:
    text = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    return Bytes(order.good.certificate, text + order.good.key)


def wrong_label(random: Random, order: Order) -> Bytes:
    good = order.good
    if random.random() < 0.5:
        wrong = random.choice([b"RSA PRIVATE KEY", b"EC PRIVATE KEY", b"DSA PRIVATE KEY", b"KEY"])
        return Bytes(good.certificate, good.key.replace(b"PRIVATE KEY", wrong))
    wrong = random.choice([b"TRUSTED CERTIFICATE", b"X509 CERTIFICATE", b"CERT", b"", b"X509 CRL"])
    return Bytes(good.certificate.replace(b"CERTIFICATE", wrong), good.key)


def two_leaves(_: Random, order: Order) -> Bytes:
    return Bytes(order.leaf.pem + stranger().pem + chain(*order.above), order.good.key)


def authority_first(_: Random, order: Order) -> Bytes:
    members = [*reversed(order.above), order.leaf]
    return Bytes(chain(*members) if order.above else stranger().pem, order.good.key)


def authority_alone(_: Random, order: Order) -> Bytes:
    above = order.above[-1] if order.above else issued("Root", authority=True)
    return Bytes(above.pem, above.key_pem())


def doubled(_: Random, order: Order) -> Bytes:
    return Bytes(order.good.certificate * 2, order.good.key)


def bundle(_: Random, order: Order) -> Bytes:
    return Bytes(order.good.certificate + stranger().pem * 200, order.good.key)


def on_part(change: Callable[[Random, bytes], bytes]) -> Damage:
    """A change of one part, either of them."""

    def damaged(random: Random, order: Order) -> Bytes:
        good = order.good
        if random.random() < 0.5:
            return Bytes(change(random, good.certificate), good.key)
        return Bytes(good.certificate, change(random, good.key))

    damaged.__name__ = change.__name__
    return damaged


def empty(random: Random, text: bytes) -> bytes:
    return random.choice([b"", b"\n", b" \t\r\n", b"\0\0", b"\n" * 70])


def no_pem(random: Random, text: bytes) -> bytes:
    return random.choice([b"hello", b"{}", b"-----", b"null", b"\xff" * 40, b"MII", text[27:]])


def byte_order_mark(random: Random, text: bytes) -> bytes:
    return b"\xef\xbb\xbf" + text


def utf16(random: Random, text: bytes) -> bytes:
    return text.decode().encode(random.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32"]))


def one_line(random: Random, text: bytes) -> bytes:
    return text.replace(b"\n", random.choice([b" ", b"", rb"\n", b"\r", b"\t"]))


def indented(random: Random, text: bytes) -> bytes:
    blanks = random.choice([b" ", b"    ", b"\t"])
    return b"".join(blanks + it for it in text.splitlines(keepends=True))


def base64_again(random: Random, text: bytes) -> bytes:
    return random.choice([base64.b64encode, base64.encodebytes])(text)


def no_lines(random: Random, text: bytes) -> bytes:
    return b"\n".join(it for it in text.splitlines() if not it.startswith(b"-----"))


def cut_off(random: Random, text: bytes) -> bytes:
    """In the middle of a block, whichever: between two of them a shorter chain would be left."""
    last = random.randrange(text.count(b"-----BEGIN"))
    before, _, rest = text.partition(b"-----BEGIN")
    for _ in range(last):
        more, _, rest = rest.partition(b"-----BEGIN")
        before += b"-----BEGIN" + more
    block = rest.partition(b"-----BEGIN")[0]
    return before + b"-----BEGIN" + block[: random.randrange(len(block) - 2)]


def cut_out(random: Random, text: bytes) -> bytes:
    begin = random.randrange(len(text) - 40)
    return text[:begin] + text[begin + random.randrange(1, 40) :]


def quoted(random: Random, text: bytes) -> bytes:
    return random.choice([b'"' + text + b'"', b"'" + text, b"> " + text, b"tls: " + text])


def fewer_dashes(random: Random, text: bytes) -> bytes:
    return text.replace(b"-----", random.choice([b"----", b"---", b"\xe2\x80\x94" * 2]))


def noise(random: Random, text: bytes) -> bytes:
    return random.randbytes(random.randrange(1, 3000))


def java(random: Random, text: bytes) -> bytes:
    return bytes.fromhex("feedfeed00000002") + random.randbytes(500)


def junk_inside(random: Random, text: bytes) -> bytes:
    return _inside(random, text, bytes([random.choice(b'#*"-%\x00\x80\xff')]))


def der_damaged(random: Random, order: Order) -> Bytes:
    """
    A byte of one block is another one, or missing, or there twice; the PEM around it is good. Of a
    chain with its root: what is altered in a certificate that stands alone, its signature cannot
    tell.
    """
    good = order.good
    if order.above and random.random() < 0.5:
        return Bytes(_altered(random, good.certificate), good.key)
    return Bytes(good.certificate, _altered(random, good.key))


def _altered(random: Random, text: bytes) -> bytes:
    blocks = text.split(b"-----END")
    place = random.randrange(len(blocks) - 1)
    head, _, body = blocks[place].rpartition(b"-----\n")
    data = bytearray(base64.b64decode(body))
    at = random.randrange(len(data))
    data[at : at + 1] = random.choice(
        [bytes([data[at] ^ random.randrange(1, 256)]), b"", bytes([data[at]] * 2)]
    )
    blocks[place] = head + b"-----\n" + base64.encodebytes(bytes(data))
    return b"-----END".join(blocks)


def der_replaced(random: Random, text: bytes) -> bytes:
    """The block holds what no reader knows: nothing, noise, text, DER of another kind."""
    label = text[11:].partition(b"-----")[0]
    body = random.choice(
        [
            b"",
            random.randbytes(300),
            b"hello",
            b"\x30\x00",
            b"\x30\x80" * 200,
            b"\x30\x84\xff\xff\xff\xff",
            b"\x30\x03\x02\x01\x00",
        ]
    )
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, base64.encodebytes(body), label)


def trailing(random: Random, text: bytes) -> bytes:
    """More behind the DER of the last block."""
    head, _, _ = text.rpartition(b"-----END")
    begin, _, body = head.rpartition(b"-----\n")
    more = base64.encodebytes(base64.b64decode(body) + random.randbytes(random.randrange(1, 9)))
    return begin + b"-----\n" + more + b"-----END" + text.rpartition(b"-----END")[2]


def unfinished(random: Random, text: bytes) -> bytes:
    return text + random.choice(
        [
            b"-----BEGIN CERTIFICATE-----\nMIIB\n",
            b"-----END CERTIFICATE-----\n",
            b"-----BEGIN CERTIFICATE-----",
            b"-----BEGIN CERTIFICATE-----\n-----END PRIVATE KEY-----\n",
        ]
    )


def _inside(random: Random, text: bytes, more: bytes) -> bytes:
    """Put into the base64 of the first block."""
    begin = text.index(b"-----\n") + 6
    at = random.randrange(begin + 1, text.index(b"-----END") - 2)
    return text[:at] + more + text[at:]


WHOLE: tuple[Damage, ...] = (
    encrypted,
    openssh,
    public_key,
    pfx,
    p7b,
    der,
    request,
    swapped,
    twice_the_certificate,
    twice_the_key,
    combined,
    two_keys,
    another_key,
    parameters_first,
    wrong_label,
    two_leaves,
    authority_first,
    authority_alone,
    doubled,
    bundle,
    der_damaged,
)
PARTS = (
    empty,
    no_pem,
    byte_order_mark,
    utf16,
    one_line,
    indented,
    base64_again,
    no_lines,
    cut_off,
    cut_out,
    quoted,
    fewer_dashes,
    noise,
    java,
    junk_inside,
    der_replaced,
    trailing,
    unfinished,
)
DAMAGES: tuple[Damage, ...] = (*WHOLE, *(on_part(it) for it in PARTS))


def harmless(random: Random, it: Bytes) -> Bytes:
    """What readers of PEM do not mind: line ends, text around the blocks, blanks behind lines."""
    about = b"Bag Attributes\n    localKeyID: 01\nsubject=CN = shop\n\n"
    changes: list[Callable[[bytes], bytes]] = [
        lambda text: text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: about + text,
        lambda text: text + b"\n\n# end \n",
        lambda text: text.replace(b"\n", b" \n"),
        lambda text: text.removesuffix(b"\n"),
        lambda text: text.replace(b"-----\n-----BEGIN", b"-----\n" + about + b"-----BEGIN"),
    ]
    return Bytes(random.choice(changes)(it.certificate), random.choice(changes)(it.key))


def malformed(number: int) -> tuple[str, Bytes]:
    """One of the generated ways, always the same for a number, with what was done."""
    random = Random(number)
    damage = DAMAGES[number % len(DAMAGES)]
    return damage.__name__, damage(random, random.choice(orders()))


def secrets(random: Random, it: Bytes) -> dict[str, Any]:
    """A Secret that no API server would hold."""
    good = {
        "tls.crt": base64.b64encode(it.certificate).decode(),
        "tls.key": base64.b64encode(it.key).decode(),
    }
    bad: list[Any] = [None, "%%%", "a", [], ["x"], {}, 7, True, "\u00e9", "\ud800", b"x", 0.5, "=="]
    name = random.choice(["tls.crt", "tls.key"])
    data: Any = random.choice(
        [
            {**good, name: random.choice(bad)},
            {key: value for key, value in good.items() if key != name},
            {},
            random.choice(bad),
        ]
    )
    marks: Any = random.choice([{}, None, [], "x", {"cert-manager.io/certificate-name": 7}])
    owners: Any = random.choice([None, [], "x", [None], [{}], [{"kind": "X"}], {"kind": "X"}])
    meta = {"namespace": "edge", "name": "shop-tls", "labels": marks, "ownerReferences": owners}
    meta["annotations"] = random.choice([marks, None])
    return {"metadata": meta, "data": data, "type": random.choice(["kubernetes.io/tls", None, 7])}
