"""Shards of an inventory: which clusters one of several processes beside each other takes."""

from __future__ import annotations

import re
from hashlib import sha256

_SHARD = re.compile(r"(\d{1,4})/(\d{1,4})")


def parsed(text: str) -> tuple[int, int]:
    """ "0/8" is the first of eight. Raises ValueError, in words for an operator."""
    found = _SHARD.fullmatch(text)
    index, count = (int(found[1]), int(found[2])) if found else (1, 0)
    if index >= count:
        raise ValueError(f"{text!r} is no shard such as '0/8', the first of eight, or '7/8'")
    return index, count


def holds(text: str, cluster: str) -> bool:
    """
    Whether a cluster is in this shard. It goes by its name alone, so a cluster that is added or
    taken away moves no other.
    """
    index, count = parsed(text)
    return int.from_bytes(sha256(cluster.encode()).digest()[:8]) % count == index
