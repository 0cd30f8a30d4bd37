"""
ARM's limits: token buckets per subscription, principal and kind of call (Azure docs, "Understand
how Azure Resource Manager throttles requests", "Regional throttling and token bucket algorithm").
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

#: By kind of call: how many tokens a bucket holds, and how many come back in a second.
LIMITS = {"reads": (250, 25), "writes": (200, 10), "deletes": (200, 10)}
KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}


@dataclass
class Bucket:
    tokens: float
    when: float


@dataclass
class Buckets:
    """By subscription (None for calls without one), principal and kind."""

    held: dict[tuple[str | None, str, str], Bucket] = field(default_factory=dict)

    def take(self, subscription: str | None, principal: str, kind: str, now: float) -> int:
        """One token; how many are left, or the seconds until there is one, as a negative number."""
        size, refill = LIMITS[kind]
        key = (subscription and subscription.lower(), principal, kind)
        bucket = self.held.setdefault(key, Bucket(size, now))
        bucket.tokens = min(size, bucket.tokens + (now - bucket.when) * refill)
        bucket.when = now
        if bucket.tokens < 1:
            return -max(1, math.ceil((1 - bucket.tokens) / refill))
        bucket.tokens -= 1
        return int(bucket.tokens)
