"""One pass over a log says what happened how often, and where time went."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.diagnosis import aggregate as sums
from tasks.diagnosis.access_logs import entries
from tasks.diagnosis.aggregate import EDGES, OTHERS, Parts, aggregate, merged, of_lines
from tasks.diagnosis.evidence import Skipped


def line(number: int = 0, **more: Any) -> str:
    """Of Envoy Gateway's format, one a second."""
    clock = f"{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}"
    fields = {
        ":authority": "cart.example.com",
        "method": "GET",
        "response_code": 200,
        "response_flags": "-",
        "response_code_details": "via_upstream",
        "route_name": "cart",
        "upstream_cluster": "cart",
        "start_time": f"2026-11-21T{clock}.000Z",
        "duration": 10,
        "x-request-id": f"id-{number}",
    }
    return json.dumps({**fields, **{k.replace("__", ":"): v for k, v in more.items()}})


REFUSED = {
    "response_code": 503,
    "response_flags": "UF",
    "response_code_details": "upstream_reset_before_response_started{connection_timeout}",
    "duration": 5000,
}


def log() -> Iterator[str]:
    for number in range(100):
        yield line(number, **(REFUSED if number % 10 == 9 else {}))


def test_kinds_of_lines() -> None:
    found = of_lines(log(), "a.log")
    good, bad = found.kinds
    assert (found.count, good.count, bad.count) == (100, 90, 10)
    assert bad.signature == (
        "cart.example.com",
        "cart",
        "GET",
        503,
        "UF",
        "upstream_reset_before_response_started{connection_timeout}",
        "cart",
    )
    assert (bad.first, bad.last) == ("2026-11-21T00:00:09.000Z", "2026-11-21T00:01:39.000Z")
    assert (bad.slowest, bad.example.line) == (5000.0, 10)
    assert (good.percentile(0.5), good.percentile(0.99)) == (10.0, 10.0)
    assert not found.skipped
    assert not found.notes


def test_the_quick_way_and_that_of_entries_are_one() -> None:
    lines = [*log(), "no log", line(7, start_time=None), line(8, duration=None)]
    quick, slow = of_lines(lines, "a.log"), aggregate(entries(lines, "a.log"))
    assert quick == slow
    assert [it.count for it in quick.skipped] == [1]


def test_parts_that_were_read_apart() -> None:
    lines = list(log())
    halves = [of_lines(lines[:50], "a.log"), of_lines(lines[50:], "a.log")]
    found, whole = merged(halves), of_lines(lines, "a.log")
    assert [(it.signature, it.count, it.first, it.last, it.slowest) for it in found.kinds] == [
        (it.signature, it.count, it.first, it.last, it.slowest) for it in whole.kinds
    ]
    assert [it.durations for it in found.kinds] == [it.durations for it in whole.kinds]
    assert [vars(it) for it in found.sources] == [vars(it) for it in whole.sources]


def test_hosts_that_a_scanner_makes_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "MOST_KINDS", 10)
    lines = [line(it, __authority=f"x{it}.example.com") for it in range(100)]
    found = of_lines(lines, "a.log")
    assert (len(found.kinds), found.count) == (11, 100)
    others = found.kinds[0]
    assert (others.signature.host, others.signature.status, others.count) == (OTHERS, 200, 90)


def test_where_time_went() -> None:
    """The guide's "high latency": which part is slow."""
    slow = {
        "duration": 1000,
        "duration_request": 50,
        "duration_connect": 10,
        "duration_upstream": 900,
        "duration_response": 20,
    }
    (kind,) = of_lines([line(it, **slow) for it in range(10)], "a.log").kinds
    assert kind.parts.own == 200.0
    shares = kind.parts.shares()
    assert list(shares) == ["backend", "client", "response", "envoy", "connect"]
    assert shares["backend"] == 0.9
    assert sum(shares.values()) == pytest.approx(1)


def test_time_of_a_log_that_has_the_backend_alone() -> None:
    lines = [line(it, duration=100, upstream_service_time="80") for it in range(10)]
    (kind,) = of_lines(lines, "a.log").kinds
    assert kind.parts.shares() == {"backend": 0.8, "envoy": pytest.approx(0.2)}
    assert Parts().shares() == {}


@pytest.mark.parametrize(("duration", "bound"), [(0, 0.0), (3, 3.0), (700, 700.0), (10**7, 1e7)])
def test_percentiles_are_never_over_the_slowest(duration: int, bound: float) -> None:
    (kind,) = of_lines([line(it, duration=duration) for it in range(5)], "a.log").kinds
    assert len(kind.durations) == len(EDGES) + 1
    assert kind.percentile(0.99) == bound


def test_without_durations() -> None:
    (kind,) = of_lines([line(it, duration=None) for it in range(5)], "a.log").kinds
    assert kind.percentile(0.99) is None
    assert kind.example.line == 1


def test_clocks_that_differ() -> None:
    """Requests that went through both proxies."""

    def both() -> Iterator[Any]:
        yield from entries([line(it) for it in range(20)], "edge.log")
        yield from entries(
            [line(it + 31, **{"x-request-id": f"id-{it}"}) for it in range(5, 20)], "inner.log"
        )

    assert aggregate(both()).notes == [
        "inner.log: its clock is 31 s ahead of that of edge.log (15 requests are in both)"
    ]


def test_one_proxy_in_front_of_another() -> None:
    """Milliseconds are the way from one to the other."""
    lines = [line(it) for it in range(20)]
    both = [*entries(lines, "edge.log"), *entries(lines, "inner.log")]
    assert aggregate(both).notes == []


def test_lines_that_are_not_in_order() -> None:
    mixed = [line(it) for it in [*range(100), *range(50)]]
    assert of_lines(mixed, "a.log").notes == [
        "a.log: lines are not in the order of time, up to 99 s back: several logs in one, or a "
        "clock that was set"
    ]


def test_a_slow_request_is_written_late() -> None:
    """A line has the start of its request, and is written at the end."""
    lines = [line(300), line(100, duration=200_000)]
    assert of_lines(lines, "a.log").notes == []


def test_times_that_are_none() -> None:
    lines = [line(1, start_time="yesterday"), line(2, start_time=[1]), line(3), line(4)]
    assert of_lines(lines, "a.log").count == 4


def test_what_is_no_log() -> None:
    found = of_lines(["x", "y"], "a.log")
    assert (found.count, found.kinds, found.sources) == (0, [], [])
    assert [type(it) for it in found.skipped] == [Skipped]
