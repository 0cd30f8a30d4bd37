"""Whether a chain leads to an authority that clients trust."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tasks.plans import pem
from tasks.plans.chains import Chain
from tasks.plans.x509 import Certificate, Problem, member


def roots(text: bytes) -> frozenset[str]:
    """
    What is trusted, from a PEM bundle: subject and key identifier of each certificate of it. Blocks
    that cannot be read are left out.
    """
    found = [member(it.der) for it in pem.read(text).blocks if it.label.endswith("CERTIFICATE")]
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
