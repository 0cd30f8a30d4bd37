"""What the stand-in does wrong on purpose; the same calls in order meet the same faults."""

from __future__ import annotations

import random
import re
import threading
from dataclasses import dataclass, field


@dataclass
class Fault:
    """
    What happens to calls whose "<method> <path>" this pattern is found in (without case; "" is in
    every one), to all of them or a share.

    + status: is answered instead; None for a fault that only delays, or that is of an operation
    + code: of that answer, None for the usual one; + retry_after: seconds, None for no header
    + latency: seconds more; + hang_up: the connection is closed without an answer
    + stuck: the long-running operation never ends; + fails: it ends, but not well: its error code
    + times: how many calls are met, None for all
    """

    match: str = ""
    status: int | None = None
    share: float = 1.0
    code: str | None = None
    message: str | None = None
    retry_after: int | None = None
    latency: float = 0.0
    hang_up: bool = False
    stuck: bool = False
    fails: str | None = None
    times: int | None = None


@dataclass
class Faults:
    """
    + latency: of every call to ARM, in seconds; + operations: seconds that a long-running operation
      takes, and ``poll_after`` how many its client is told to wait between two looks
    + buckets: ARM's limits hold, see `buckets.Buckets`
    """

    seed: int = 0
    latency: float = 0.0
    operations: float = 0.0
    poll_after: int = 1
    buckets: bool = False
    faults: list[Fault] = field(default_factory=list)
    _asked: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, fault: Fault) -> Fault:
        self.faults.append(fault)
        return fault

    def throttle(self, share: float, retry_after: int = 1, match: str = "") -> Fault:
        return self.add(Fault(match, 429, share, retry_after=retry_after))

    def clear(self) -> None:
        """Everything works again, at once; what is stuck already stays so."""
        self.latency, self.operations, self.poll_after, self.buckets = 0.0, 0.0, 1, False
        self.faults.clear()

    def met(self, call: str) -> list[Fault]:
        """Those that a call meets, such as "GET /subscriptions"."""
        return self._met(call, of_operations=False)

    def ends(self, call: str) -> list[Fault]:
        """Those that the operation meets which a call began."""
        return self._met(call, of_operations=True)

    def _met(self, call: str, of_operations: bool) -> list[Fault]:
        with self._lock:
            some = [it for it in self.faults if bool(it.stuck or it.fails) is of_operations]
            return [it for it in some if self._meets(it, call)]

    def _meets(self, fault: Fault, call: str) -> bool:
        if fault.times == 0 or not re.search(fault.match, call, re.IGNORECASE):
            return False
        self._asked += 1
        if fault.share < 1 and random.Random(f"{self.seed}/{self._asked}").random() >= fault.share:
            return False
        if fault.times is not None:
            fault.times -= 1
        return True
