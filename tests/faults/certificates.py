"""The certificates of API servers that must not be trusted, and of one that may."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509

from tests.authorities import NOW, Pair, issued

HERE = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
ELSEWHERE = x509.SubjectAlternativeName([x509.DNSName("elsewhere.example.com")])
AUTHORITY = "authority.pem"


def contexts(folder: Path) -> dict[str, ssl.SSLContext]:
    """By kind, a server's; the authority that clients trust is written into the folder."""
    today = (datetime.now(UTC) - NOW).days
    root = issued("Root", authority=True, begin=today - 30, end=today + 30)
    (folder / AUTHORITY).write_bytes(root.pem)
    pairs = {
        "trusted": issued("api", by=root, extensions=[HERE], begin=today - 2, end=today + 20),
        "expired": issued("api", by=root, extensions=[HERE], begin=today - 20, end=today - 2),
        "self-signed": issued("api", extensions=[HERE], begin=today - 2, end=today + 20),
        "wrong-name": issued(
            "api", by=root, extensions=[ELSEWHERE], begin=today - 2, end=today + 20
        ),
    }
    return {name: _context(folder / f"{name}.pem", pair) for name, pair in pairs.items()}


def _context(file: Path, pair: Pair) -> ssl.SSLContext:
    file.touch(mode=0o600)
    file.write_bytes(pair.pem + pair.key_pem())
    found = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    found.load_cert_chain(file)
    return found
