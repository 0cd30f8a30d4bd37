"""
The graph of a cluster's certificates, from each name and address to the bytes that are served, as
JSON has it and as a table has it. No key and no PEM is in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tasks.plans.authorities import AuthorityRef, Found
from tasks.plans.chains import Held
from tasks.plans.listeners import Handshake, Listener, SecretRef
from tasks.plans.x509 import Certificate

Object = Mapping[str, Any]
Row = dict[str, Any]
Secrets = Mapping[tuple[str, str], Held]
COLUMNS = ("cluster", "listener", "Secret", "serial", "until", "issuer", "served")
#: Digits of a serial number in the table.
DIGITS = 12


def row(
    listeners: Sequence[Listener],
    held: Secrets | None,
    issued: Mapping[tuple[str, str], Row],
    handshakes: Sequence[Handshake],
    authorities: Mapping[AuthorityRef, Found],
) -> Row:
    """
    All of one cluster. Chains are fingerprints there, and "certificates" says what each is.

    + held: None where Secrets were not read; + issued: by Secret, of ``issued_by``
    """
    by_listener: dict[Listener, list[Handshake]] = {}
    for it in handshakes:
        by_listener.setdefault(it.listener, []).append(it)
    used = {(ref.namespace, ref.name) for it in listeners for ref in it.secrets}
    known = [it.served for it in handshakes]
    known += [it.chain for place, it in (held or {}).items() if place in used]
    every = [it for chain in known for it in chain.certificates]
    every += [it for found in authorities.values() if not isinstance(found, str) for it in found]
    return {
        "mode": "sockets" if held is None else "secrets and sockets",
        "listeners": [_listener_row(it, held, issued, by_listener.get(it, ())) for it in listeners],
        "other_secrets": None if held is None else len(held.keys() - used),
        "authorities": [_authority_row(ref, found) for ref, found in authorities.items()],
        "certificates": {it.fingerprint: _certificate(it) for it in every},
    }


def _listener_row(
    listener: Listener,
    held: Secrets | None,
    issued: Mapping[tuple[str, str], Row],
    handshakes: Iterable[Handshake],
) -> Row:
    return {
        "listener": listener.name,
        "owner": listener.owner,
        "gateway": listener.gateway,
        "hostname": listener.hostname,
        "hosts": list(listener.hosts),
        "addresses": list(listener.addresses),
        "port": listener.port,
        "passthrough": listener.passthrough,
        "alpn": list(listener.alpn) if listener.alpn else None,
        "secrets": [_secret_row(it, held, issued) for it in listener.secrets],
        "served": [
            {
                "place": it.place,
                "name": it.sni or None,
                "serial": it.serial or None,
                "chain": list(it.chain),
                "alpn": it.alpn,
                "why": it.why,
            }
            for it in handshakes
        ],
    }


def _secret_row(ref: SecretRef, held: Secrets | None, issued: Mapping[tuple[str, str], Row]) -> Row:
    place = ref.namespace, ref.name
    found = held.get(place) if held is not None else None
    return {
        "namespace": ref.namespace,
        "name": ref.name,
        "granted": ref.allowed,
        "found": None if held is None else found is not None,
        "kept_by": found.owner if found else None,
        "issued_by": issued.get(place),
        "chain": [it.fingerprint for it in found.chain.certificates] if found else [],
    }


def _certificate(it: Certificate) -> Row:
    return {
        "serial": it.serial,
        "subject": it.subject,
        "issuer": it.issuer,
        "names": list(it.names),
        "not_before": _time(it.not_before),
        "not_after": _time(it.not_after),
        "key": it.key,
        "signature": it.signature,
        "authority": it.is_ca,
    }


def _authority_row(ref: AuthorityRef, found: Found) -> Row:
    return {
        "owner": ref.owner,
        "object": ref.title,
        "granted": ref.allowed,
        "why": found if isinstance(found, str) else None,
        "bundle": [] if isinstance(found, str) else [it.fingerprint for it in found],
    }


def issued_by(certificates: Iterable[Object]) -> dict[tuple[str, str], Row]:
    """
    By Secret, what cert-manager says of it: {("edge", "shop-tls"): {"certificate": "edge/shop",
    "issuer": "ClusterIssuer letsencrypt", "renewal": "2027-01-02T03:04:05Z"}}.
    """
    found = {}
    for it in certificates:
        meta, spec = it["metadata"], it["spec"]
        ref = spec.get("issuerRef") or {}
        found[meta["namespace"], spec["secretName"]] = {
            "certificate": f"{meta['namespace']}/{meta['name']}",
            "issuer": f"{ref.get('kind') or 'Issuer'} {ref.get('name')}",
            "renewal": (it.get("status") or {}).get("renewalTime"),
        }
    return found


def _time(moment: datetime) -> str:
    """Such as "2027-02-01T00:00:00Z"."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def lines(cluster: str, row: Object) -> list[tuple[str, ...]]:
    """The rows of the table for a cluster: one for each listener and Secret."""
    if "unreachable" in row:
        return [(cluster, f"not read: {row['unreachable']}", "", "", "", "", "")]
    known = row["certificates"]
    found = [(cluster, *it) for one in row["listeners"] for it in _cells(one, known)]
    return found or [(cluster, "no listener takes TLS", "", "", "", "", "")]


def _cells(row: Object, known: Mapping[str, Row]) -> Iterator[tuple[str, ...]]:
    name = f"{row['owner'].partition(' ')[2]}:{row['listener']}"
    places = {it["place"] for it in row["served"]}
    seen = next((it["chain"][0] for it in row["served"] if it["chain"]), None)
    if row["passthrough"]:
        good = {it["place"] for it in row["served"] if it["why"] is None}
        yield (name, "handed through", *_leaf(seen, known), _of(good, places))
        return
    for secret in row["secrets"]:
        title = f"{secret['namespace']}/{secret['name']}"
        leaf = secret["chain"][0] if secret["chain"] else None
        if secret["found"] is None:
            title, leaf = f"{title} (not read)", seen
        elif not secret["found"]:
            title = f"{title} (missing)"
        same = {it["place"] for it in row["served"] if leaf and leaf in it["chain"][:1]}
        yield (name, title, *_leaf(leaf, known), _of(same, places))


def _leaf(digest: str | None, known: Mapping[str, Row]) -> tuple[str, str, str]:
    """Serial, last day and issuer."""
    it = known.get(digest or "")
    return (it["serial"][:DIGITS], it["not_after"][:10], it["issuer"]) if it else ("-", "-", "-")


def _of(some: Collection[str], places: Collection[str]) -> str:
    return f"{len(some)} of {len(places)}" if places else "not asked"
