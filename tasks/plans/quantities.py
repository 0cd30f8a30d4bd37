"""Amounts of CPU and memory as Kubernetes writes them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

_SUFFIX = {
    "n": Decimal(1) / 10**9,
    "u": Decimal(1) / 10**6,
    "m": Decimal(1) / 1000,
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
}


def quantity(text: object) -> Decimal | None:
    """ "64Mi" -> 67108864, "250m" -> 0.25; None for what is none."""
    said = str(text or "")
    for suffix in sorted(_SUFFIX, key=len, reverse=True):
        if suffix and said.endswith(suffix):
            break
    else:
        suffix = ""
    try:
        return Decimal(said.removesuffix(suffix)) * _SUFFIX[suffix]
    except InvalidOperation:
        return None
