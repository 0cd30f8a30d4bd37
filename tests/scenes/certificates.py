"""Certificates of scenes: what a Secret holds, and what clients and backends make of it."""

from __future__ import annotations

import ssl
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from tests.authorities import NOW, Pair, issued

NAMES = ("*.lab.test",)


def pair(days: float) -> Pair:
    """One that ends so many days from now; less than nothing is one that has ended."""
    passed = (datetime.now(UTC) - NOW).total_seconds() / 86400
    return issued(
        "lab.test",
        NAMES,
        key=ec.generate_private_key(ec.SECP256R1()),
        begin=-400,
        end=days + passed,
    )


def secret(days: float, namespace: str) -> tuple[str, str, str]:
    """What a listener takes of the Secret shop-tls: name, chain and key."""
    made = pair(days)
    return f"{namespace}/shop-tls", made.pem.decode(), made.key_pem().decode()


def trusting() -> ssl.SSLContext:
    """Of a client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def serving(made: Pair) -> ssl.SSLContext:
    """Of a backend."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.pem"
        path.write_bytes(made.pem + made.key_pem())
        context.load_cert_chain(path)
    return context
