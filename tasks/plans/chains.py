"""
What a TLS Secret or a pair of files holds: the certificates in their order, whether the key is the
first one's, and what Envoy Gateway or a client would not take. Nothing of a key is ever kept.

Read as Envoy Gateway 1.8 and 1.9 read it (internal/gatewayapi/tls.go): each block of tls.crt must
be a certificate that is valid today, or the whole Secret is refused; of tls.key the first key
counts, and it must be the first certificate's. What Envoy 1.39.1 refuses behind that, and
with it every change of the same proxies, was tried with ``envoy --mode validate``.
"""

from __future__ import annotations

import base64
import binascii
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from tasks.plans import pem, private_keys
from tasks.plans.pem import Flaw, printable

if TYPE_CHECKING:
    from cryptography import x509

Object = Mapping[str, Any]
Severity = Literal["error", "warning", "info"]
#: More certificates than this are a bundle of authorities.
LONGEST = 12
_KEPT = 8192
_LINE = 100


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


@dataclass(frozen=True)
class Held:
    """
    What a Secret of a cluster holds, without its key and its bytes.

    + type: such as "kubernetes.io/tls"
    + owner: who keeps it up to date, such as "Certificate edge/shop-tls", "ExternalSecret shop" or
      "Helm release edge/shop"; None where nothing on it says so
    """

    namespace: str
    name: str
    type: str
    chain: Chain
    owner: str | None = None

    @property
    def title(self) -> str:
        """Such as "Secret edge/shop-tls"."""
        return f"Secret {self.namespace}/{self.name}"


@dataclass(frozen=True)
class _Member:
    """A certificate of a chain, with its parsed form."""

    parsed: x509.Certificate
    said: Certificate


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate as it came over a socket, in hexadecimal."""
    return sha256(der).hexdigest()


def read(certificate: bytes, key: bytes | None) -> Chain:
    """
    What two PEM texts hold, and all that is wrong with them. Never raises; the same bytes are
    parsed once.

    + certificate: the served certificate first, then the authorities between it and the root
    + key: None where it is not at hand, then nothing is said of it
    """
    known = sha256(b"%d %d " % (len(certificate), -1 if key is None else len(key)))
    known.update(certificate)
    known.update(key or b"")
    digest = known.digest()
    if digest not in _READ:
        if len(_READ) >= _KEPT:
            _READ.clear()
        _READ[digest] = _read(certificate, key)
    return _READ[digest]


_READ: dict[bytes, Chain] = {}


def _read(certificate: bytes, key: bytes | None) -> Chain:
    text = pem.read(certificate)
    of_key = None if key is None else pem.read(key)
    if of_key is not None and _swapped(text, of_key):
        return Chain((), (_SWAPPED,))
    problems = [_malformed("certificate", it) for it in text.flaws]
    members: list[_Member] = []
    for number, block in enumerate(text.blocks, start=1):
        found = _of_block(block, f"block {number} of the certificate")
        if isinstance(found, Problem):
            problems.append(found)
        else:
            members.append(found)
    if problems or not members:
        # what is left of a damaged text is in no order, and the key is of nobody
        problems += _of_key([], of_key)[0]
    else:
        key_problems, first = _of_key(members, of_key)
        problems += [*key_problems, *_of_chain(members, first)]
    return Chain(tuple(it.said for it in members), tuple(problems))


def of_der(certificates: Sequence[bytes]) -> Chain:
    """A chain as a peer sent it, the served certificate first. Never raises."""
    members = [_member(it) for it in certificates]
    found = [it for it in members if it is not None]
    whole = bool(members) and len(found) == len(members)
    problems = _of_chain(found, 0) if whole else [_malformed("certificate", _UNREADABLE)]
    return Chain(tuple(it.said for it in found), tuple(problems))


def of_secret(secret: Object) -> Held:
    """
    What a Secret holds, as the API server returns it: {"metadata": {...}, "type": "...", "data":
    {"tls.crt": "LS0t...", "tls.key": "LS0t..."}}. Never raises where name and namespace are there.
    """
    data, meta = secret.get("data"), secret["metadata"]
    parts = {
        name: _decoded(data.get(name) if isinstance(data, Mapping) else None)
        for name in ("tls.crt", "tls.key")
    }
    bad = [name for name, value in parts.items() if value is None]
    chain = (
        Chain((), tuple(_malformed_part(it) for it in bad))
        if bad
        else read(parts["tls.crt"] or b"", parts["tls.key"] or b"")
    )
    of_type = secret.get("type")
    return Held(
        str(meta["namespace"]),
        str(meta["name"]),
        of_type if isinstance(of_type, str) else "Opaque",
        chain,
        owner(meta),
    )


def _decoded(value: object) -> bytes | None:
    """A value of a Secret, b"" where it has none, None where it is no base64."""
    if value is None:
        return b""
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _malformed_part(name: str) -> Problem:
    return Problem(
        "GW612", f"{name} is no base64 text", "write the PEM text into stringData, as it is"
    )


def owner(meta: Object) -> str | None:
    """
    Who keeps an object up to date, by its ownerReferences and the marks that cert-manager, the
    External Secrets operator, the Secrets Store CSI driver and Helm leave (their documentation).
    """
    marks = {
        key: value
        for part in ("labels", "annotations")
        if isinstance(meta.get(part), Mapping)
        for key, value in meta[part].items()
    }
    references = meta.get("ownerReferences")
    owners = [it for it in references or () if isinstance(it, Mapping) and it.get("kind")]
    place = meta.get("namespace", "")
    if marks.get("cert-manager.io/certificate-name"):
        return f"Certificate {place}/{marks['cert-manager.io/certificate-name']}"
    if marks.get("secrets-store.csi.k8s.io/managed") == "true":
        return "the Secrets Store CSI driver"
    if owners:
        first = next((it for it in owners if it.get("controller")), owners[0])
        return f"{first['kind']} {place}/{first.get('name', '')}"
    if marks.get("reconcile.external-secrets.io/managed") == "true":
        return "the External Secrets operator"
    if marks.get("meta.helm.sh/release-name"):
        there = marks.get("meta.helm.sh/release-namespace", place)
        return f"Helm release {there}/{marks['meta.helm.sh/release-name']}"
    return None


def _malformed(part: str, flaw: Flaw, severity: Severity = "error") -> Problem:
    return Problem("GW612", f"the {part} {flaw.what}", flaw.fix, severity)


_SWAPPED = Problem(
    "GW612",
    "the key stands where the certificate belongs, and the certificate where the key belongs",
    "swap them",
)
_UNREADABLE = Flaw("is no X.509 certificate", "take it once more from where it was made")


def _swapped(certificate: pem.Text, key: pem.Text) -> bool:
    labels = [it.label for it in certificate.blocks]
    return bool(
        labels
        and all(it.endswith("PRIVATE KEY") for it in labels)
        and any(it.label == "CERTIFICATE" for it in key.blocks)
    )


def _of_block(block: pem.Block, where: str) -> _Member | Problem:
    """What stands in one block of tls.crt. Envoy Gateway refuses all where it is no certificate."""
    if block.label == "CERTIFICATE":
        found = _member(block.der)
        return found or Problem("GW612", f"{where} is no X.509 certificate", _UNREADABLE.fix)
    if block.label.endswith("PRIVATE KEY"):
        return Problem(
            "GW612",
            f"{where} is a private key",
            "leave the certificates alone there, and give the key on its own",
        )
    if block.label.endswith("CERTIFICATE REQUEST"):
        return Problem(
            "GW612",
            f"{where} is a request for a certificate (CSR)",
            "give what the authority made of it",
        )
    if block.label in ("TRUSTED CERTIFICATE", "X509 CERTIFICATE"):
        return Problem(
            "GW612",
            f"{where} is a {block.label}, which Envoy Gateway refuses",
            "use: openssl x509 -in IN -out OUT (one certificate at a time)",
        )
    if block.label in ("PKCS7", "CMS"):
        return Problem(
            "GW612", f"{where} is {block.label}", "use: openssl pkcs7 -in IN -print_certs -out OUT"
        )
    return Problem(
        "GW612",
        f"{where} is a {block.label} and no certificate",
        "leave blocks of type CERTIFICATE alone there",
    )


@lru_cache(maxsize=_KEPT)
def _member(der: bytes) -> _Member | None:
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
            return _Member(parsed, certificate(parsed))
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


def _of_key(members: Sequence[_Member], key: pem.Text | None) -> tuple[list[Problem], int]:
    """What is wrong with the key, and which certificate is its own: 0 where none of them is."""
    if key is None:
        return [], 0
    found = private_keys.read(key)
    problems = [_malformed("key", it) for it in found.flaws]
    problems += [_malformed("key", it, "warning") for it in found.remarks]
    if not found.public or not members:
        return problems, 0
    own: list[object] = [it.parsed.public_key() for it in members]
    if found.public[0] in own:
        return problems, own.index(found.public[0])
    if own[0] in found.public:
        what, fix = "is the certificate's only in second place", "remove the other keys"
    else:
        what = f"is not that of the certificate ({members[0].said.title})"
        fix = "take key and certificate from the same order"
    return [*problems, Problem("GW607", f"the key {what}", fix)], 0


def _of_chain(members: Sequence[_Member], first: int) -> list[Problem]:
    """What is wrong with the order and with each certificate. + first: which one the key is of"""
    if len(members) > LONGEST:
        return [_bundle(members), *_of_leaf(members[first])]
    once = list(dict.fromkeys(members))
    problems = [_twice(it) for it in once if members.count(it) > 1]
    leaf = members[first]
    if first == 0 and leaf.said.is_ca:
        leaf = _server(once) or leaf
    problems += _of_order(once, leaf)
    problems += _of_leaf(leaf)
    for it in once:
        problems += _weak(it, it is leaf)
        if it.said.self_issued and not _verified(it.parsed, it.parsed):
            problems.append(_damaged(it))
    return problems


def _bundle(members: Sequence[_Member]) -> Problem:
    return Problem(
        "GW605",
        f"the chain has {len(members)} certificates, as a bundle of authorities has",
        "give the served certificate and the authorities between it and the root, no more",
    )


def _damaged(member: _Member) -> Problem:
    what = f"the certificate {member.said.title} is damaged: its signature is not its own"
    return Problem("GW612", what, _UNREADABLE.fix)


def _twice(member: _Member) -> Problem:
    return Problem(
        "GW605",
        f"the chain has the certificate {member.said.title} more than once",
        "remove the second one",
        "warning",
    )


def _server(members: Sequence[_Member]) -> _Member | None:
    """The server's certificate among authorities, where there is just one."""
    found = [it for it in members if not it.said.is_ca]
    return found[0] if len(found) == 1 else None


def _of_order(members: list[_Member], leaf: _Member) -> Iterator[Problem]:
    """
    The served certificate first, and each other one an issuer of one before it: so an authority
    that is there twice, signed by two others, is no fault, nor is a root at the end.
    """
    if members[0] is not leaf:
        yield _order(members, leaf, "error")
        return
    strangers = [
        it for it in members[1:] if not any(_issues(it, child) for child in members if child != it)
    ]
    for it in strangers:
        yield _stranger(it)
    known = [it for it in members if it not in strangers]
    if any(
        not any(_issues(it, child) for child in known[:place])
        for place, it in enumerate(known)
        if place
    ):
        yield _order(known, leaf, "warning")


def _order(members: Sequence[_Member], leaf: _Member, severity: Severity) -> Problem:
    right = [leaf]
    while len(right) < len(members):
        rest = [it for it in members if it not in right]
        right.append(next((it for it in rest if _issues(it, right[-1])), rest[0]))
    names = ", ".join(f"{place} {it.said.title}" for place, it in enumerate(right, start=1))
    return Problem(
        "GW605",
        "the chain is out of order"
        + ("" if members[0] is leaf else f": {leaf.said.title} is the served one, and not first"),
        f"put them in the order {names}",
        severity,
    )


def _stranger(member: _Member) -> Problem:
    if member.said.is_ca:
        return Problem(
            "GW605",
            f"the chain has {member.said.title}, which issued none of the others",
            "remove it, or put in the authority that did issue them",
            "warning",
        )
    return Problem(
        "GW605",
        f"the chain has a second server's certificate, {member.said.title}, which is never served",
        "remove it, and give it a Secret of its own (a listener takes several)",
        "warning",
    )


@lru_cache(maxsize=_KEPT)
def _verified(issuer: x509.Certificate, child: x509.Certificate) -> bool:
    """Old hashes are taken by names alone: the library does not verify them any more."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    hashed = child.signature_hash_algorithm
    if hashed is not None and hashed.name in _BROKEN:
        return True
    try:
        child.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _issues(issuer: _Member, child: _Member) -> bool:
    """By names and key identifiers, and then by the signature."""
    if issuer.said.subject != child.said.issuer:
        return False
    wanted = child.said.issuer_key_id
    if wanted and wanted != issuer.said.key_id:
        return False
    return _verified(issuer.parsed, child.parsed)


def _of_leaf(leaf: _Member) -> Iterator[Problem]:
    said = leaf.said
    if said.is_authority:
        yield Problem(
            "GW613",
            f"the certificate {said.title} is an authority's",
            "give the one that the authority issued for the host names, then the authority behind "
            "it",
        )
    for why in _not_servable(leaf.parsed):
        yield Problem(
            "GW613",
            f"the certificate {said.title} {why}",
            "have one issued for TLS servers (key usage digitalSignature, extended key usage "
            "serverAuth, no OCSP must-staple)",
        )
    doubled = sorted({it for it in said.names if said.names.count(it) > 1})
    if doubled:
        yield Problem(
            "GW618",
            f"the certificate names {doubled[0]} twice, and Envoy Gateway 1.8 refuses that",
            "have it issued with each name once, or run 1.9",
            "warning",
        )


def _not_servable(parsed: x509.Certificate) -> Iterator[str]:
    from cryptography import x509

    said: dict[type, Any] = {type(it.value): it.value for it in parsed.extensions}
    purposes = said.get(x509.ExtendedKeyUsage)
    usage = said.get(x509.KeyUsage)
    features = said.get(x509.TLSFeature, ())
    servers = {
        x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,
        x509.oid.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    }
    if purposes is not None and not servers & set(purposes):
        yield "is not for servers (extended key usage), so clients refuse it"
    if usage is not None and not usage.digital_signature:
        yield "may not sign (key usage), so Envoy or browsers refuse it"
    if x509.TLSFeatureType.status_request in features:
        yield "demands OCSP stapling (must-staple), which Envoy refuses without a response at hand"


_BROKEN = ("md5", "sha1")
_STRONG = ("EC secp256r1", "EC secp384r1", "EC secp521r1", "Ed25519")


def _weak(member: _Member, served: bool) -> Iterator[Problem]:
    """The signature of a root is nobody's concern: its key is trusted, not its signature."""
    said = member.said
    kind, _, size = said.key.partition(" ")
    good = int(size) >= 2048 if kind == "RSA" else said.key in _STRONG
    if not good and (served or kind in ("RSA", "DSA")):
        yield _weak_key(said, "Envoy refuses" if served else "clients refuse", "error")
    if served and said.key == "Ed25519":
        yield _weak_key(said, "browsers do not know", "warning")
    if said.signature in _BROKEN and (served or not said.self_issued):
        yield Problem(
            "GW608",
            f"the certificate {said.title} is signed with {said.signature}, which clients refuse",
            "have it issued once more, with SHA-256",
        )


def _weak_key(said: Certificate, why: str, severity: Severity) -> Problem:
    return Problem(
        "GW608",
        f"the certificate {said.title} has a key {said.key}, which {why}",
        "have one issued for a key RSA 2048 or longer, EC P-256 or P-384",
        severity,
    )


def roots(text: bytes) -> frozenset[str]:
    """
    What is trusted, from a PEM bundle: subject and key identifier of each certificate of it. Blocks
    that cannot be read are left out.
    """
    found = [_member(it.der) for it in pem.read(text).blocks if it.label.endswith("CERTIFICATE")]
    return frozenset(
        entry
        for it in found
        if it is not None
        for entry in (it.said.subject, f"{it.said.subject} {it.said.key_id}")
    )


def trusted(chain: Chain, roots: Collection[str] | None) -> Problem | None:
    """
    What a client lacks that trusts these roots only: an authority between the chain and a root
    (GW605). By name and key identifier: that a root did sign, the client sees. None also where
    ``roots`` is None: then it is not judged.
    """
    if roots is None or chain.leaf is None:
        return None
    path = _path(chain.certificates)
    for it in path:
        issuer = f"{it.issuer} {it.issuer_key_id}" if it.issuer_key_id else it.issuer
        if issuer in roots or f"{it.subject} {it.key_id}" in roots:
            return None
    leaf, last = path[0], path[-1]
    if leaf.self_issued:
        return Problem(
            "GW605",
            f"the certificate {leaf.title} is signed by itself, so no client trusts it by default",
            "have one issued by an authority, or add it to the file that trust names",
            "warning",
        )
    if last.self_issued:
        return Problem(
            "GW605",
            f"the chain ends with {last.title}, which is not among the trusted roots",
            "add it to the file that trust names, where clients do trust it",
        )
    return Problem(
        "GW605",
        f"the chain is incomplete: it ends with {last.title}, and its issuer {last.issuer} is no "
        "trusted root",
        "put the issuer's certificate behind it (authorities offer it as chain or full chain)",
    )


def _path(certificates: Sequence[Certificate]) -> list[Certificate]:
    """The served one and those above it, by names and key identifiers; the others left out."""
    path, rest = [certificates[0]], list(certificates[1:])
    for below in path:
        above = [
            it
            for it in rest
            if it.subject == below.issuer and below.issuer_key_id in ("", it.key_id)
        ]
        path += above
        rest = [it for it in rest if it not in above]
    return path


def covers(names: Sequence[str], hostname: str) -> bool:
    """
    Whether one of a certificate's names is good for a host name: "*.x" is one label and no more
    (RFC 6125, 6.4.3). A wildcard listener "*.x" is covered by "*.x" alone.
    """
    wanted = hostname.lower().rstrip(".")
    above = wanted.partition(".")[2]
    return any(it == wanted or (bool(above) and it == f"*.{above}") for it in names)
