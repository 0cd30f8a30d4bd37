"""
When a call to Azure Resource Manager may begin (ARM docs, "Understand how Azure Resource Manager
throttles requests": a bucket of calls a subscription, identity and verb, which fills again).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Verb = Literal["reads", "writes", "deletes"]

#: Calls a second that fill a subscription's bucket again.
REFILL: Mapping[Verb, float] = {"reads": 25.0, "writes": 10.0, "deletes": 10.0}
#: Calls left in a bucket from which on they begin no faster than it fills.
LOW = 20
#: Seconds to wait where a 429 does not say how many.
UNSAID = 5.0


def verb(method: str) -> Verb:
    """An action (POST) counts as a write."""
    if method in ("GET", "HEAD"):
        return "reads"
    return "deletes" if method == "DELETE" else "writes"


def subscription(path: str) -> str:
    """Whose bucket a path counts on, such as "/subscriptions/5b0.../..."; "" is the tenant's."""
    parts = path.lower().split("/")
    return parts[2] if len(parts) > 2 and parts[1] == "subscriptions" else ""


@dataclass
class Bucket:
    """
    One subscription's calls of one verb; times are seconds of one clock, whichever.

    + closed_until: no call begins before; + remaining: what Azure said is left, None for nothing
      said yet
    + asked, throttled: calls, and those that were answered 429; + waited: seconds, of all together
    """

    refill: float
    closed_until: float = 0.0
    remaining: int | None = None
    asked: int = 0
    throttled: int = 0
    waited: float = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next call may begin; ask again then, it may have become longer."""
        return max(self.closed_until - now, 0.0)

    def begins(self, now: float) -> None:
        self.asked += 1
        if self.remaining is not None and self.remaining <= LOW:
            self.closed_until = max(self.closed_until, now + 1 / self.refill)

    def answered(
        self, now: float, status: int, retry_after: float | None, remaining: str | None
    ) -> None:
        """+ remaining: header x-ms-ratelimit-remaining-subscription-<verb>"""
        if status == 429:
            self.throttled += 1
            pause = UNSAID if retry_after is None else retry_after
            self.closed_until = max(self.closed_until, now + pause)
        if remaining is not None and remaining.isdecimal():
            self.remaining = int(remaining)
