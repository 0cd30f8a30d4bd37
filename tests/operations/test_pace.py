"""How many requests arrive at an API server within a second."""

from __future__ import annotations

import random
import time

import gevent
from gevent.pool import Pool

from benchmarks.diagnosis import densest
from tasks.operations import pace
from tasks.operations.pace import Pace


def arrivals(places: Pace, count: int, way: float, at_a_time: int = 8) -> list[float]:
    """When requests arrive that take a time of their own there, and as long back."""
    chance = random.Random(7)
    found: list[float] = []

    def one(_: int) -> None:
        with places.turn():
            gevent.sleep(chance.uniform(0, way))
            found.append(time.monotonic())
            gevent.sleep(chance.uniform(0, way))

    Pool(at_a_time).map(one, range(count))
    return sorted(found)


def test_no_second_has_more_however_long_each_is_on_its_way() -> None:
    assert densest(arrivals(Pace(5), 18, 0.3)) <= 5


def test_those_that_others_made_count() -> None:
    begun = time.monotonic()
    times = arrivals(Pace(5, before=2), 5, 0.0)
    assert sum(it < begun + pace.SECOND for it in times) == 3


def test_the_first_do_not_wait() -> None:
    begun = time.monotonic()
    arrivals(Pace(20), 20, 0.0)
    assert time.monotonic() - begun < pace.SECOND


def test_a_request_that_fails_gives_its_place_back() -> None:
    places = Pace(1)
    for _ in range(2):
        try:
            with places.turn():
                raise OSError
        except OSError:
            pass
