"""
The objects of tests/data/objects: every kind that a backup keeps, each field of a ``spec`` used at
least once, valid for the API servers of Envoy Gateway 1.8.3 and 1.9.1.
"""

from __future__ import annotations

import base64
import functools
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
DATA = Path(__file__).parent / "data"
NAMESPACES = ("gates", "shop", "keys")
TLS = "kubernetes.io/tls"


def objects(release: str) -> list[Object]:
    """
    Those for every release, and those that only ``release``, such as "1.9.1", knows; namespaces
    first.
    """
    folders = (DATA / "objects", DATA / "objects" / release)
    files = [it for folder in folders for it in sorted(folder.glob("*.yaml"))]
    found = [thing for file in files for thing in _documents(file)]
    found.sort(key=lambda it: it["kind"] != "Namespace")
    return [_with_certificate(it) if it.get("type") == TLS else it for it in found]


def crds_of_others() -> list[Object]:
    """Of cert-manager and of the operators for Prometheus: their names, without their schemas."""
    return [
        it for file in sorted((DATA / "crds-of-others").glob("*.yaml")) for it in _documents(file)
    ]


def with_canaries(things: Iterable[Object], canary: str) -> list[Object]:
    """
    The objects with ``canary`` as one more value of each Secret, so that a leak of any is found.
    """
    return [
        {**it, "stringData": {**it["stringData"], "canary": canary}}
        if it["kind"] == "Secret"
        else it
        for it in things
    ]


def unused(crds: Iterable[Mapping[str, Any]], things: Sequence[Object]) -> list[str]:
    """Fields of a ``spec`` that no object sets, such as ["SecurityPolicy.csrf"]."""
    found = set()
    for crd in crds:
        group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
        used = {
            field
            for it in things
            if (it["apiVersion"].partition("/")[0], it["kind"]) == (group, kind)
            for field in it.get("spec") or ()
        }
        for version in crd["spec"]["versions"]:
            schema = version["schema"]["openAPIV3Schema"].get("properties", {}).get("spec") or {}
            fields = (schema.get("properties") or {}) if version["served"] else ()
            found |= {f"{kind}.{it}" for it in fields if it not in used}
    return sorted(found)


def kinds(things: Iterable[Object]) -> set[tuple[str, str]]:
    """By group and kind, such as {("", "Secret"), ("cert-manager.io", "Issuer")}."""
    return {(it["apiVersion"].rpartition("/")[0], it["kind"]) for it in things}


@functools.cache
def certificate(
    host: str = "*.example.com", days: int = 365, now: float | None = None
) -> tuple[str, str]:
    """
    A certificate of its own and its key, as PEM; made once a process. + now: seconds since 1970
    when it was an hour old, None is today
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    begin = datetime.fromtimestamp(time.time() if now is None else now, UTC) - timedelta(hours=1)
    serial, end = x509.random_serial_number(), begin + timedelta(days=days)
    builder = x509.CertificateBuilder(name, name, key.public_key(), serial, begin, end)
    alternative = x509.SubjectAlternativeName([x509.DNSName(host)])
    made = builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def forms(secret: str) -> dict[str, bytes]:
    """How a value can show where nobody looks, by the name of the form."""
    raw = secret.encode()
    # Base64 of a text inside a longer one depends on where it begins; these are the sure middles.
    shifted = {
        f"base64 at {it}": base64.b64encode(b"\0" * it + raw)[4 * (it > 0) + 4 : -4]
        for it in range(3)
    }
    return {"raw": raw, "hex": raw.hex().encode(), **shifted}


def _documents(file: Path) -> list[Object]:
    return [it for it in yaml.safe_load_all(file.read_text()) if it]


def _with_certificate(secret: Object) -> Object:
    public, private = certificate()
    return {**secret, "stringData": {"tls.crt": public, "tls.key": private}}
