"""
What Envoy Gateway, Envoy and common clients ask of the certificates of a chain and of its key: one
server's certificate, first; then who signed it, each in its order, and none of it weak.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tasks.plans import pem, private_keys
from tasks.plans.pem import Flaw
from tasks.plans.x509 import KEPT, Certificate, Member, Problem, Severity

if TYPE_CHECKING:
    from cryptography import x509

#: More certificates than this are a bundle of authorities.
_LONGEST = 12
_BROKEN = ("md5", "sha1")
_STRONG = ("EC secp256r1", "EC secp384r1", "EC secp521r1", "Ed25519")
UNREADABLE = Flaw("is no X.509 certificate", "take it once more from where it was made")


def malformed(part: str, flaw: Flaw, severity: Severity = "error") -> Problem:
    """+ part: "certificate" or "key": where the flaw is"""
    return Problem("GW612", f"the {part} {flaw.what}", flaw.fix, severity)


def of_key(members: Sequence[Member], key: pem.Text | None) -> tuple[list[Problem], int]:
    """What is wrong with the key, and which certificate is its own: 0 where none of them is."""
    if key is None:
        return [], 0
    found = private_keys.read(key)
    problems = [malformed("key", it) for it in found.flaws]
    problems += [malformed("key", it, "warning") for it in found.remarks]
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


def of_chain(members: Sequence[Member], first: int) -> list[Problem]:
    """What is wrong with the order and with each certificate. + first: which one the key is of"""
    if len(members) > _LONGEST:
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


def _bundle(members: Sequence[Member]) -> Problem:
    return Problem(
        "GW605",
        f"the chain has {len(members)} certificates, as a bundle of authorities has",
        "give the served certificate and the authorities between it and the root, no more",
    )


def _damaged(member: Member) -> Problem:
    what = f"the certificate {member.said.title} is damaged: its signature is not its own"
    return Problem("GW612", what, UNREADABLE.fix)


def _twice(member: Member) -> Problem:
    return Problem(
        "GW605",
        f"the chain has the certificate {member.said.title} more than once",
        "remove the second one",
        "warning",
    )


def _server(members: Sequence[Member]) -> Member | None:
    """The server's certificate among authorities, where there is just one."""
    found = [it for it in members if not it.said.is_ca]
    return found[0] if len(found) == 1 else None


def _of_order(members: list[Member], leaf: Member) -> Iterator[Problem]:
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


def _order(members: Sequence[Member], leaf: Member, severity: Severity) -> Problem:
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


def _stranger(member: Member) -> Problem:
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


@lru_cache(maxsize=KEPT)
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


def _issues(issuer: Member, child: Member) -> bool:
    """By names and key identifiers, and then by the signature."""
    if issuer.said.subject != child.said.issuer:
        return False
    wanted = child.said.issuer_key_id
    if wanted and wanted != issuer.said.key_id:
        return False
    return _verified(issuer.parsed, child.parsed)


def _of_leaf(leaf: Member) -> Iterator[Problem]:
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


def _weak(member: Member, served: bool) -> Iterator[Problem]:
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
