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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tasks.plans import pem
from tasks.plans.chain_rules import UNREADABLE, malformed, of_chain, of_key
from tasks.plans.x509 import KEPT, Certificate, Member, Problem, member

Object = Mapping[str, Any]


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
        if len(_READ) >= KEPT:
            _READ.clear()
        _READ[digest] = _read(certificate, key)
    return _READ[digest]


_READ: dict[bytes, Chain] = {}


def _read(certificate: bytes, key: bytes | None) -> Chain:
    text = pem.read(certificate)
    key_text = None if key is None else pem.read(key)
    if key_text is not None and _swapped(text, key_text):
        return Chain((), (_SWAPPED,))
    problems = [malformed("certificate", it) for it in text.flaws]
    members: list[Member] = []
    for number, block in enumerate(text.blocks, start=1):
        found = _of_block(block, f"block {number} of the certificate")
        if isinstance(found, Problem):
            problems.append(found)
        else:
            members.append(found)
    if problems or not members:
        # what is left of a damaged text is in no order, and the key is of nobody
        problems += of_key([], key_text)[0]
    else:
        key_problems, first = of_key(members, key_text)
        problems += [*key_problems, *of_chain(members, first)]
    return Chain(tuple(it.said for it in members), tuple(problems))


def of_der(certificates: Sequence[bytes]) -> Chain:
    """A chain as a peer sent it, the served certificate first. Never raises."""
    members = [member(it) for it in certificates]
    found = [it for it in members if it is not None]
    whole = bool(members) and len(found) == len(members)
    problems = of_chain(found, 0) if whole else [malformed("certificate", UNREADABLE)]
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


_SWAPPED = Problem(
    "GW612",
    "the key stands where the certificate belongs, and the certificate where the key belongs",
    "swap them",
)


def _swapped(certificate: pem.Text, key: pem.Text) -> bool:
    labels = [it.label for it in certificate.blocks]
    return bool(
        labels
        and all(it.endswith("PRIVATE KEY") for it in labels)
        and any(it.label == "CERTIFICATE" for it in key.blocks)
    )


def _of_block(block: pem.Block, where: str) -> Member | Problem:
    """What stands in one block of tls.crt. Envoy Gateway refuses all where it is no certificate."""
    if block.label == "CERTIFICATE":
        found = member(block.der)
        return found or Problem("GW612", f"{where} is no X.509 certificate", UNREADABLE.fix)
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
