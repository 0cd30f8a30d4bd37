"""How fast an API server is asked, which has others to answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SECOND = 1.0


class Pace:
    """
    At most so many requests within any second, wherever that begins. A request has a place until a
    second after its answer: however long each is on its way, no second sees more of them arrive.

    + rate: requests; + before: how many others have just made
    """

    def __init__(self, rate: int, before: int = 0) -> None:
        from gevent.queue import SimpleQueue

        self._places: Any = SimpleQueue()  # each by when it is free
        for number in range(rate):
            self._places.put(time.monotonic() + SECOND if number >= rate - before else 0.0)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """For as long as one request has no answer."""
        import gevent

        free = self._places.get()
        while (left := free - time.monotonic()) > 0:
            gevent.sleep(left)
        try:
            yield
        finally:
            self._places.put(time.monotonic() + SECOND)
