"""
Requests through every listener of a cluster for as long as it is changed.

The prober shares its process with the run. What that process itself loses, because it computes or
because the machine is busy, is no gap in the cluster's answers: gaps are measured on a clock that
stands still meanwhile.
"""

from __future__ import annotations

import http.client
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import cycle
from typing import Any

from tasks.operations import probe
from tasks.plans.probes import Request, Seen, problem

#: Seconds between two beats of the clock, and by how much one may be late unnoticed.
BEAT, SLACK = 0.05, 0.02
#: Seconds for one request: what takes longer is lost to whoever waits for it.
TIMEOUT = 10.0
#: Requests of one cluster that wait for their answer at the same time.
AT_A_TIME = 64

_probers: dict[str, Prober] = {}


class Clock:
    """
    Seconds in which this process was awake: a greenlet beats every 50 ms, and by what a beat is
    late the clock goes back.
    """

    def __init__(self) -> None:
        self._lost, self._beat = 0.0, time.monotonic()
        self._beating: Any = None

    def now(self) -> float:
        now = time.monotonic()
        return now - self._lost - self._late(now)

    def start(self) -> None:
        import gevent

        if self._beating is None:
            self._beat = time.monotonic()
            self._beating = gevent.spawn(self._run)

    def stop(self) -> None:
        if self._beating is not None:
            self._beating.kill()
            self._beating = None

    def _run(self) -> None:
        while True:
            time.sleep(BEAT)
            now = time.monotonic()
            self._lost += self._late(now)
            self._beat = now

    def _late(self, now: float) -> float:
        late = now - self._beat - BEAT
        return late if self._beating is not None and late > SLACK else 0.0


_clock = Clock()


class Prober:
    """``rate`` requests a second through each listener of one cluster, its requests in turn."""

    def __init__(self, requests: Sequence[Request], rate: int) -> None:
        import gevent
        from gevent.pool import Pool

        self._rate, self._pool = rate, Pool(AT_A_TIME)
        self._sent, self._failures = 0, Counter[str]()
        self._answered: dict[tuple[str, str], float] = {}
        self._longest_gap = 0.0
        listeners = defaultdict[tuple[str, str], list[Request]](list)
        for request in requests:
            listeners[_listener(request)].append(request)
            self._answered[_listener(request)] = _clock.now()
        self._pacers = [gevent.spawn(self._pace, it) for it in listeners.values()]

    def stop(self, timeout: float = TIMEOUT) -> Seen:
        """What was met; requests under way are waited for, ``timeout`` seconds at most."""
        for pacer in self._pacers:
            pacer.kill()
        self._pool.join(timeout)
        self._pool.kill()
        for listener in self._answered:
            self._note_gap(listener)
        return Seen(self._sent, dict(self._failures), round(self._longest_gap, 3))

    def _pace(self, requests: Sequence[Request]) -> None:
        due = time.monotonic()
        for request in cycle(requests):
            self._pool.spawn(self._one, request)
            due = max(due + 1 / self._rate, time.monotonic())
            time.sleep(due - time.monotonic())

    def _one(self, request: Request) -> None:
        begun = _clock.now()
        try:
            answer = probe.send(request, TIMEOUT)
        except (OSError, http.client.HTTPException) as error:
            slept = isinstance(error, TimeoutError) and _clock.now() - begun < 0.9 * TIMEOUT
            if not slept:  # else this process had no time to take the answer
                self._sent += 1
                self._failures[type(error).__name__] += 1
            return
        self._sent += 1
        if problem(request, answer):
            self._failures[str(answer.status)] += 1
            return
        self._note_gap(_listener(request))
        self._answered[_listener(request)] = _clock.now()

    def _note_gap(self, listener: tuple[str, str]) -> None:
        self._longest_gap = max(self._longest_gap, _clock.now() - self._answered[listener])


def start(cluster: str, requests: Sequence[Request], rate: int) -> None:
    """Begin to send; once a cluster, as often as it is called."""
    if cluster not in _probers:
        _clock.start()
        _probers[cluster] = Prober(requests, rate)


def stop(cluster: str, timeout: float = TIMEOUT) -> Seen | None:
    """End it and tell what was met; None where nothing was begun."""
    prober = _probers.pop(cluster, None)
    if prober is None:
        return None
    seen = prober.stop(timeout)
    if not _probers:
        _clock.stop()
    return seen


def _listener(request: Request) -> tuple[str, str]:
    return request.gateway, request.listener
