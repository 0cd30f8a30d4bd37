"""
Loki is read page by page. No Loki is among the packages that can be had here, so that none ran: the
stand-in answers as the documentation of its HTTP API says.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pyinfra.api.exceptions import DeployError
from typing_extensions import override

from tasks.diagnosis import loki
from tasks.diagnosis.evidence import Entry, Gap, Skipped
from tasks.facts.loki import Place, lines_of
from tasks.operations import loki as operation

BEGIN = 1_795_229_966
POD = {"namespace": "envoy-gateway-system", "pod": "envoy-edge-public-5d8c"}
TOKEN = "of-the-stand-in"


@dataclass
class Loki:
    """
    + lines: (nanoseconds, labels, text); + limit: lines of one answer
    + broken: status and body of every answer, where it is out of order
    """

    lines: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    limit: int = 5000
    broken: tuple[int, str] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, parameters: dict[str, str], headers: Any) -> tuple[int, str]:
        self.asked.append(parameters)
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, "no org id\n"
        if self.broken is not None:
            return self.broken
        limit = int(parameters["limit"])
        if limit > self.limit:
            problem = "max entries limit per query exceeded, limit > max_entries_limit_per_query"
            return 400, f"{problem} ({limit} > {self.limit})"
        start, end = int(parameters["start"]), int(parameters["end"])
        ordered = sorted(self.lines, key=lambda it: it[0])
        found = [it for it in ordered if start <= it[0] < end][:limit]
        streams: dict[str, Any] = {}
        for at, labels, text in found:
            stream = streams.setdefault(json.dumps(labels), {"stream": labels, "values": []})
            stream["values"].append([str(at), text])
        result = list(streams.values())
        data = {"resultType": "streams", "result": result, "stats": {}}
        return 200, json.dumps({"status": "success", "data": data})


@contextmanager
def running(it: Loki) -> Iterator[Loki]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            parameters = {k: v[0] for k, v in parse_qs(asked.query).items()}
            if asked.path != "/loki/api/v1/query_range":
                status, body = 404, "404 page not found"
            else:
                status, body = it.answer(parameters, self.headers)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    it.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()


def log(count: int, step: int = 1_000_000) -> list[tuple[int, dict[str, str], str]]:
    texts = (json.dumps({"response_code": 200, "path": str(it)}) for it in range(count))
    return [(BEGIN * 10**9 + number * step, POD, text) for number, text in enumerate(texts)]


def read(it: Loki, **more: Any) -> loki.Read:
    place = Place(f"{it.url}/", "{}", more.pop("token", TOKEN))
    return lines_of(place, (), BEGIN, BEGIN + 3600, **more)


def paths(found: loki.Read) -> list[str]:
    return [json.loads(it.text)["path"] for it in found.lines]


@pytest.mark.parametrize("count", [0, 1, 4999, 5000, 5001, 12_000])
def test_pages(count: int) -> None:
    with running(Loki(log(count))) as it:
        found = read(it)
    assert paths(found) == [str(number) for number in range(count)]
    assert found.whole
    assert len(it.asked) == count // 5000 + 1 + (count > 5000 and count % 5000 == 0)


def test_lines_of_one_moment_over_the_end_of_a_page() -> None:
    """Nothing is read twice, nothing is lost."""
    moments = [(number // 7 * 7, *line[1:]) for number, line in enumerate(log(1000))]
    same = [(BEGIN * 10**9 + at, labels, text) for at, labels, text in moments]
    with running(Loki(same, limit=100)) as it:
        found = read(it)
    assert paths(found) == [str(number) for number in range(1000)]
    assert it.asked[0]["limit"] == "5000"  # Loki says what it allows
    assert it.asked[1]["limit"] == "100"


def test_more_of_one_moment_than_a_page_holds() -> None:
    with running(Loki(log(300, step=0), limit=100)) as it:
        found = read(it)
    assert len(found.lines) == 100
    assert (found.whole, found.why) == (False, "over 100 lines have one and the same time")


def test_no_more_than_wanted() -> None:
    with running(Loki(log(900), limit=100)) as it:
        found = read(it, most=250)
    assert len(found.lines) == 250
    assert found.why == "more than 250 lines: narrow the time or the host"


def test_entries() -> None:
    other = {"namespace": "envoy-gateway-system", "pod": "envoy-edge-public-77aa"}
    lines = [*log(2), (BEGIN * 10**9 + 5, other, "no log"), (BEGIN * 10**9 + 9, {}, "{}")]
    with running(Loki(lines)) as it:
        found = list(loki.entries(read(it).lines))
    first, second, *skipped = found
    assert isinstance(first, Entry)
    assert isinstance(second, Entry)
    assert first.source == "Pod envoy-gateway-system/envoy-edge-public-5d8c"
    assert (first.at, second.at) == ("2026-11-21T02:59:26.000Z", "2026-11-21T02:59:26.001Z")
    assert [it.what for it in skipped if isinstance(it, Skipped)] == [
        "Pod envoy-gateway-system/envoy-edge-public-77aa",
        "Loki",
    ]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            (400, "parse error at line 1, col 2: syntax error\n"),
            "Loki does not answer: 400 Bad Request: parse error at line 1, col 2: syntax error",
        ),
        (
            (500, "a\nb" * 500),
            f"Loki does not answer: 500 Internal Server Error: {('a b' * 500)[:300]}",
        ),
        ((429, ""), "Loki does not answer: 429 Too Many Requests"),
        ((200, "<html>"), "what answers is no Loki: no JSON"),
        ((200, "[]"), "Loki does not answer: the answer holds no lines of logs (resultType None)"),
        (
            (200, '{"data": {"resultType": "matrix", "result": []}}'),
            "Loki does not answer: the answer holds no lines of logs (resultType 'matrix')",
        ),
    ],
)
def test_what_goes_wrong_is_one_line(broken: tuple[int, str], said: str) -> None:
    with running(Loki(broken=broken)) as it, pytest.raises(DeployError) as problem:
        read(it)
    assert str(problem.value) == f"{it.url}: {said}"


def test_who_may_not() -> None:
    secret = "secret-of-somebody"
    with running(Loki()) as it, pytest.raises(DeployError) as problem:
        read(it, token=secret)
    assert str(problem.value) == f"{it.url}: Loki does not answer: 401 Unauthorized: no org id"
    assert secret not in str(problem.value)


def test_nobody_is_there() -> None:
    with pytest.raises(DeployError) as problem:
        lines_of(Place("http://127.0.0.1:9"), (), BEGIN, BEGIN + 1)
    assert str(problem.value) == "http://127.0.0.1:9: Loki cannot be reached (ConnectionError)"


def test_queries() -> None:
    labels = {"namespace": "envoy-gateway-system", "pod": "envoy-edge-.*"}
    assert loki.query(loki.selector(labels), "cart.example.com", 'a"b\\') == (
        '{namespace="envoy-gateway-system", pod=~"envoy-edge-.*"} |= "cart.example.com" |= '
        '"a\\"b\\\\"'
    )


@pytest.mark.parametrize(
    "result",
    [None, [], [7], [{"values": 7}], [{"values": [[1], ["x", "y"], ["1", 7], ["9" * 40, "z"]]}]],
)
def test_answers_that_are_odd(result: Any) -> None:
    assert loki.lines({"data": {"resultType": "streams", "result": result}}) == []


def test_the_newest_lines_of_a_host() -> None:
    other = [(BEGIN * 10**9 + 3, POD, "no log of mailer.example.com")]
    with running(Loki([*log(30, step=10**9), *other])) as it:
        place = Place(it.url, '{container="envoy"}', TOKEN)
        found = operation.read(place, "cart.example.com", BEGIN + 100, 100, most=5)
    assert [it.path for it in found.entries] == ["25", "26", "27", "28", "29"]
    assert [it.what for it in found.skipped] == ["Pod envoy-gateway-system/envoy-edge-public-5d8c"]
    assert it.asked[0]["query"] == '{container="envoy"} |= "cart.example.com"'
    assert not found.gaps


def test_a_loki_that_is_away_is_a_gap() -> None:
    found = operation.read(Place("http://127.0.0.1:9"), "cart.example.com", BEGIN, 100)
    why = "http://127.0.0.1:9: Loki cannot be reached (ConnectionError)"
    cost = "what became of older requests"
    assert found.gaps == [Gap("access logs in Loki", why, cost)]


def test_a_place_does_not_show_its_token() -> None:
    assert TOKEN not in repr(Place("http://127.0.0.1:9", token=TOKEN))
