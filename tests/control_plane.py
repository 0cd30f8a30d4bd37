"""The three Secrets of a control plane, as certgen makes them, with keys that are made once."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from tasks.operations import authority
from tasks.plans.control_plane import NAMES, Part

NAMESPACE = "envoy-gateway-system"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@cache
def unit(number: int, made: datetime = NOW) -> dict[str, Part]:
    """All three of one authority; another ``number`` is another authority."""
    return authority.renewed({name: _first(name) for name in NAMES}, made)


@cache
def _first(name: str) -> Part:
    """A certificate that names are taken from."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    said = {"envoy-gateway": ("envoy-gateway", f"envoy-gateway.{NAMESPACE}.svc.cluster.local")}
    names = said.get(name, (f"*.{NAMESPACE}",))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(it) for it in names]), False)
        .sign(key, SHA256())
    )
    return Part(made.public_bytes(Encoding.PEM), (), b"")


def trusting(these: Mapping[str, Part], *others: Mapping[str, Part]) -> dict[str, Part]:
    """The same, where the authorities of all of these units are trusted, in this order."""
    every = tuple(pem for it in others for pem in it["envoy"].authorities)
    return {name: replace(it, authorities=every) for name, it in these.items()}


def secrets(these: Mapping[str, Part]) -> list[dict[str, Any]]:
    """As the API server answers."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"namespace": NAMESPACE, "name": name, "resourceVersion": "7"},
            "data": {
                "ca.crt": b64encode(it.bundle).decode(),
                "tls.crt": b64encode(it.certificate).decode(),
                "tls.key": b64encode(it.key).decode(),
            },
        }
        for name, it in these.items()
    ]
