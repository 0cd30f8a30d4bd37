"""The certificates of the gym, of one authority made for this run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec

from tests.authorities import NOW, Pair, issued


def days_until(days: float) -> float:
    """From the day that certificates of tests count from."""
    return days + (datetime.now(UTC) - NOW).total_seconds() / 86400


AUTHORITY = issued("gym", key=ec.generate_private_key(ec.SECP256R1()), authority=True, end=3650)


def served(names: Sequence[str], days: float = 300, by: Pair | None = AUTHORITY) -> Pair:
    """Of a server; + days: until its end, less than nothing is one that has ended"""
    key = ec.generate_private_key(ec.SECP256R1())
    return issued(names[0], names, by, key=key, begin=-400, end=days_until(days))


@cache
def vault() -> Pair:
    """Of the application that speaks TLS itself."""
    return served(["vault.shop.svc"])
