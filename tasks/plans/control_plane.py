"""
The certificates between controller and proxies: three Secrets of one authority, and the way from
one authority to another on which every party trusts whoever it may meet.

The authority's key is thrown away when the three are made, so there is no renewing one of them:
all three get a new authority (Envoy Gateway 1.9 source, internal/crypto/certgen.go).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from tasks.plans.x509 import Certificate, certificate

if TYPE_CHECKING:
    from cryptography import x509

Object = Mapping[str, Any]
#: The controller's, the proxies', and that of the rate limit service.
CONTROLLER, PROXY, RATE_LIMIT = "envoy-gateway", "envoy", "envoy-rate-limit"
NAMES = (CONTROLLER, PROXY, RATE_LIMIT)
#: Where the Secrets say that they are on the way to another authority, and how far.
ROTATION = "envoyfleet.dev/rotation"
#: What other tools put on Secrets that they keep.
_KEPT_BY = {
    "cert-manager.io/certificate-name": "cert-manager",
    "reconcile.external-secrets.io/data-hash": "External Secrets",
    "sealedsecrets.bitnami.com/cluster-wide": "Sealed Secrets",
}
#: Clusters of a proxy that read their authority from a file once, when they are made (Envoy Gateway
#: 1.9 source, internal/xds/translator/globalresources.go).
READ_ONCE = {"ratelimit_cluster": "the global rate limit", "wasm_cluster": "Wasm extensions"}


class Unreadable(ValueError):
    """One of the Secrets is not what certgen makes; the message says which and why."""


@dataclass(frozen=True)
class Part:
    """
    What one of the Secrets holds, as PEM. + authorities: those that its reader trusts, each by
    itself, in their order
    """

    certificate: bytes
    authorities: tuple[bytes, ...]
    key: bytes = field(repr=False)

    @property
    def leaf(self) -> Certificate:
        return certificate(_parsed(self.certificate))

    @property
    def trusted(self) -> list[Certificate]:
        return [certificate(_parsed(it)) for it in self.authorities]

    @property
    def bundle(self) -> bytes:
        """What stands in ca.crt."""
        return b"".join(self.authorities)


#: All three, by name.
Unit = Mapping[str, Part]


@dataclass(frozen=True)
class Stage:
    """
    One of the three states between two authorities. + name: such as "both authorities are trusted"
    """

    number: int
    name: str
    unit: Unit


@dataclass(frozen=True)
class Shown:
    """
    What of one of the Secrets may be told. + leaf: None where it cannot be read; + authority: that
    signed it, among those that any of the three trust; + trusted: by the reader of this Secret
    """

    namespace: str
    name: str
    leaf: Certificate | None = None
    authority: Certificate | None = None
    trusted: tuple[Certificate, ...] = ()

    @property
    def signed_by(self) -> str | None:
        return self.authority.fingerprint if self.authority else None


@dataclass(frozen=True)
class Decision:
    """
    + act: "rotate" is a new authority; "finish" ends a rotation that was broken off when the new
      certificates were there already, so only the old authority is left to go
    + why: such as "CA serial 3fa1 expires on 2027-01-02"
    """

    act: Literal["nothing", "rotate", "finish"]
    why: str


def unit(secrets: Iterable[Object], namespace: str) -> dict[str, Part]:
    """
    The three Secrets, read. Raises Unreadable where one is missing, or is none that a proxy or the
    controller could use.
    """
    held = {it["metadata"]["name"]: it for it in secrets if it["metadata"]["name"] in NAMES}
    return {name: _part(held.get(name), f"Secret {namespace}/{name}") for name in NAMES}


def _part(secret: Object | None, title: str) -> Part:
    if secret is None:
        raise Unreadable(
            f"{title} does not exist: the certgen Job of the chart makes it, but under an "
            "authority of its own: restore it from the backup, or delete all three and let certgen "
            "make them"
        )
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        data = {key: b64decode(secret["data"][key]) for key in ("ca.crt", "tls.crt", "tls.key")}
        leaf, *_ = _pems(data["tls.crt"])
        authorities = tuple(_pems(data["ca.crt"]))
        key = load_pem_private_key(data["tls.key"], None)
        fits = key.public_key() == _parsed(leaf).public_key()
    except (KeyError, ValueError, TypeError):
        raise Unreadable(
            f"{title} holds no ca.crt, tls.crt and tls.key that can be read: restore the three "
            "from the backup"
        ) from None
    if not fits or not authorities:
        raise Unreadable(
            f"{title}: tls.key is not the key of tls.crt: restore the three from the backup"
        )
    return Part(leaf, authorities, data["tls.key"])


def shown(secrets: Iterable[Object]) -> dict[str, Shown]:
    """Those of the three that there are, by name, whatever is in them; no key is read."""
    held = {it["metadata"]["name"]: it for it in secrets if it["metadata"]["name"] in NAMES}
    leaves = {name: _read(it, "tls.crt")[:1] for name, it in held.items()}
    trusted = {name: _read(it, "ca.crt") for name, it in held.items()}
    every = _union(trusted.values())
    found = {}
    for name, it in held.items():
        by = signer(leaves[name][0], every) if leaves[name] else None
        found[name] = Shown(
            it["metadata"]["namespace"],
            name,
            certificate(_parsed(leaves[name][0])) if leaves[name] else None,
            certificate(_parsed(by)) if by else None,
            tuple(certificate(_parsed(pem)) for pem in trusted[name]),
        )
    return found


def _read(secret: Object, key: str) -> list[bytes]:
    try:
        return _pems(b64decode((secret.get("data") or {})[key]))
    except (KeyError, ValueError, TypeError):
        return []


def _pems(text: bytes) -> list[bytes]:
    """Each certificate of a PEM file by itself, written anew. Raises ValueError."""
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_pem_x509_certificates

    return [it.public_bytes(Encoding.PEM) for it in load_pem_x509_certificates(text)]


def _parsed(pem: bytes) -> x509.Certificate:
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(pem)


def signer(certificate: bytes, authorities: Iterable[bytes]) -> bytes | None:
    """The one of these authorities that signed a certificate, or None."""
    from cryptography.exceptions import InvalidSignature

    leaf = _parsed(certificate)
    for pem in authorities:
        try:
            leaf.verify_directly_issued_by(_parsed(pem))
        except (InvalidSignature, ValueError, TypeError):
            continue
        return pem
    return None


def signers(found: Unit) -> set[bytes | None]:
    """The authorities that the three come from; one, where all is well."""
    every = _union(it.authorities for it in found.values())
    return {signer(it.certificate, every) for it in found.values()}


def authority_serial(found: Unit) -> str:
    """Of the one that signed the proxies' certificate, or "unknown"."""
    every = _union(it.authorities for it in found.values())
    pem = signer(found[PROXY].certificate, every)
    return certificate(_parsed(pem)).serial if pem else "unknown"


def kept_by(secrets: Iterable[Object]) -> str | None:
    """The tool that keeps one of the three up to date, such as "cert-manager", or None."""
    for it in secrets:
        marks = it["metadata"].get("annotations") or {}
        for mark, tool in _KEPT_BY.items():
            if mark in marks:
                return tool
        for one in it["metadata"].get("ownerReferences") or ():
            return f"{one['kind']} {one['name']}"
    return None


def decision(found: Unit, now: datetime, renew_before: timedelta, renew_now: bool) -> Decision:
    """What is to do with the three as they are."""
    by = list(signers(found))
    authority = by[0]
    if authority is None or len(by) > 1:
        return Decision("rotate", "the three are not of one authority")
    every = [certificate(_parsed(authority)), *(it.leaf for it in found.values())]
    ends = min(every, key=lambda it: it.not_after)
    what = "authority" if ends.is_ca else "certificate"
    until = f"{what} {ends.serial} ends on {ends.not_after:%Y-%m-%d}"
    if ends.not_after - now <= renew_before:
        return Decision("rotate", until)
    others = any(it.authorities != (authority,) for it in found.values())
    if others and all(it.authorities[0] == authority for it in found.values()):
        return Decision("finish", "a run was broken off before the old authority was gone")
    if renew_now:
        return Decision("rotate", "renew_now")
    if others:
        return Decision("finish", f"not all trust authority {every[0].serial}, and it alone")
    return Decision("nothing", f"nothing is due: {until}")


def finished(found: Unit) -> dict[str, Part]:
    """The three, trusting nobody but the authority that they come from."""
    (authority,) = signers(found)
    if authority is None:
        raise Unreadable("no authority of the three signed them: rotate them")
    return {name: replace(it, authorities=(authority,)) for name, it in found.items()}


def stages(before: Unit, after: Unit) -> list[Stage]:
    """
    The states between, in the order in which they are written; each is safe beside the one before
    it, whoever has read which. The authorities that come stand first: of a file with several,
    Envoy's admin port shows the first alone (measured with Envoy 1.38 and 1.39).
    """
    every = [it.authorities for it in (*after.values(), *before.values())]
    both = _union(every)
    return [
        Stage(1, "both authorities trusted", _trusting(before, both)),
        Stage(2, "certificates of the one that comes", _trusting(after, both)),
        Stage(3, "the other authority gone", dict(after)),
    ]


def _trusting(these: Unit, authorities: tuple[bytes, ...]) -> dict[str, Part]:
    return {name: replace(it, authorities=authorities) for name, it in these.items()}


def _union(groups: Iterable[Sequence[bytes]]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(it for group in groups for it in group))


def patch(part: Part, resource_version: str | None, note: str | None) -> dict[str, Any]:
    """
    The merge patch that brings one of the Secrets to a state. + resource_version: nobody may have
    changed it since; + note: how far the rotation is, None where it is over
    """
    meta: dict[str, Any] = {"annotations": {ROTATION: note}}
    if resource_version is not None:
        meta["resourceVersion"] = resource_version
    data = {"ca.crt": part.bundle, "tls.crt": part.certificate, "tls.key": part.key}
    return {
        "metadata": meta,
        "data": {key: b64encode(value).decode() for key, value in data.items()},
    }


def webhook_patch(configuration: Object, bundle: bytes) -> list[dict[str, str]] | None:
    """
    The JSON patch that makes the API server trust the controller's webhooks through these
    authorities, None where it does.
    """
    text = b64encode(bundle).decode()
    wanted = [
        {"op": "add", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": text}
        for number, it in enumerate(configuration.get("webhooks") or ())
        if it["clientConfig"].get("caBundle") != text
    ]
    return wanted or None


def webhook_name(namespace: str) -> str:
    """The topology injector's MutatingWebhookConfiguration."""
    return f"envoy-gateway-topology-injector.{namespace}"


def lines(found: Unit) -> list[str]:
    """What is there before a change, for the plan: no contents."""
    return [
        f"Secret {name}: certificate {it.leaf.serial} until {it.leaf.not_after:%Y-%m-%d}, trusts "
        + ", ".join(one.serial for one in it.trusted)
        for name, it in found.items()
    ]


def let_in(stage: Stage, before: Unit, after: Unit, now: datetime) -> list[tuple[Part, bool]]:
    """
    Certificates of proxies, and whether a controller at this stage must let each in: both as long
    as both authorities are trusted, then only the one that comes. One that has ended, or whose
    authority nobody knows, is left out: nobody lets it in anyway.
    """
    trusted = stage.unit[CONTROLLER].authorities
    found = []
    for it in (after[PROXY], before[PROXY]):
        known = signer(it.certificate, (*it.authorities, *trusted))
        if it.leaf.not_after > now and known is not None:
            found.append((it, known in trusted))
    return found
