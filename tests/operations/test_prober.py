"""What the prober counts, with real requests to a listener of this process."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import gevent
import pytest
from gevent import monkey
from gevent.pywsgi import WSGIServer

from tasks.operations import prober
from tasks.plans.probes import Request

RATE = 50


class Listener:
    """+ status: what it answers from now on"""

    def __init__(self) -> None:
        self.status = "200 OK"
        self.server = WSGIServer(("127.0.0.1", 0), self.answer, log=None)
        self.server.start()
        self.asked = 0

    def answer(self, environ: object, start_response: object) -> list[bytes]:
        self.asked += 1
        start_response(self.status, [])  # type: ignore[operator]
        return [b"hello"]

    @property
    def request(self) -> Request:
        port = int(self.server.address[1])
        return Request("edge/public", "http", "http", "127.0.0.1", port, "a.b", "/", "shop/shop")


@pytest.fixture
def clock() -> Iterator[prober.Clock]:
    """Seconds in which this process was awake: what a busy machine takes from it does not count."""
    found = prober.Clock()
    found.start()
    yield found
    found.stop()


def rest(clock: prober.Clock, seconds: float) -> None:
    end = clock.now() + seconds
    while clock.now() < end:
        time.sleep(0.01)


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    prober.stop("weu-1", 0)
    found.server.stop()


def test_all_answered(listener: Listener, clock: prober.Clock) -> None:
    begun = time.monotonic()
    prober.start("weu-1", [listener.request], RATE)
    prober.start("weu-1", [listener.request], RATE)  # no second one
    rest(clock, 0.5)
    seen = prober.stop("weu-1")
    assert seen is not None
    assert 10 <= seen.requests <= RATE * (time.monotonic() - begun) + 1
    assert seen.requests == listener.asked
    assert seen.failures == {}
    assert seen.longest_gap < 0.4
    assert prober.stop("weu-1") is None


def test_failures_by_kind_and_the_gap(listener: Listener, clock: prober.Clock) -> None:
    prober.start("weu-1", [listener.request], RATE)
    rest(clock, 0.2)
    begun = time.monotonic()
    listener.status = "503 Service Unavailable"
    rest(clock, 0.3)
    listener.server.stop()
    rest(clock, 0.3)
    seen = prober.stop("weu-1")
    assert seen is not None
    failures = dict(seen.failures)
    for kind in ("ConnectionResetError", "RemoteDisconnected"):
        failures.pop(kind, None)  # accepted, and ended with the listener
    assert set(failures) == {"503", "ConnectionRefusedError"}
    assert min(failures.values()) > 3
    assert 0.5 < seen.longest_gap < time.monotonic() - begun + 0.2


def test_each_listener_at_its_rate(listener: Listener, clock: prober.Clock) -> None:
    begun = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        other = Request("edge/public", "tcp", "tcp", "127.0.0.1", tcp.getsockname()[1])
        prober.start("weu-1", [listener.request, other], 10)
        rest(clock, 0.55)
        seen = prober.stop("weu-1")
    assert seen is not None
    assert seen.failures == {}
    assert 8 <= seen.requests <= 2 * (10 * (time.monotonic() - begun) + 1)


def test_what_this_process_loses_itself_is_no_gap(listener: Listener) -> None:
    prober.start("weu-1", [listener.request], RATE)
    time.sleep(0.2)
    monkey.get_original("time", "sleep")(1.0)  # everything stands still, the prober too
    time.sleep(0.2)
    seen = prober.stop("weu-1")
    assert seen is not None
    assert seen.failures == {}
    assert seen.longest_gap < 0.5


def test_it_ends_without_waiting(listener: Listener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        slow = Request("edge/public", "http", "http", "127.0.0.1", port, "a.b", "/")
        prober.start("weu-1", [slow], RATE)
        time.sleep(0.2)
        with gevent.Timeout(prober.TIMEOUT / 2):
            seen = prober.stop("weu-1", 0)
    assert seen is not None
    assert seen.failures == {}  # nobody knows yet how those under way would end
