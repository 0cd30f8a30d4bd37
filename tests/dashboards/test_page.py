"""The page, out of a small server that answers as Prometheus."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from typing_extensions import override

from tasks.dashboards import page
from tasks.operations import grafana
from tasks.plans.panels import panels

END = 1_795_331_760.0
LABELS = {
    "cluster": "<weu-1>",
    "gateway_namespace": "edge",
    "gateway": "public",
    "pod": "envoy-0",
    "envoy_cluster_name": "httproute/shop/cart/rule/0",
}


class Handler(BaseHTTPRequestHandler):
    """Says 0.25 to all; ``said`` is what it was asked for, ``answer`` what it says instead."""

    said: list[dict[str, list[str]]]
    answer: str | None
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm, wbufsize = True, -1

    def do_POST(self) -> None:
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.said.append(asked)
        if "start" in asked:
            at = [float(asked["start"][0]), float(asked["end"][0])]
            result: Any = {"metric": LABELS, "values": [[it, "0.25"] for it in at]}
        else:
            result = {"metric": LABELS, "value": [END, "0.25"]}
        text = json.dumps({"status": "success", "data": {"result": [result]}})
        body = (self.answer or text).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def prometheus() -> Iterator[tuple[str, type[Handler]]]:
    class Own(Handler):
        said: list[dict[str, list[str]]] = []  # noqa: RUF012
        answer: str | None = None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", Own
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_draws_every_panel(prometheus: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, server = prometheus
    out = tmp_path / "page.html"
    assert page.main([url, "--out", str(out), "--minutes", "30", "--cluster", "weu-1"]) == 0
    text = out.read_text(encoding="utf-8")
    all_panels = [panel for it in grafana.dashboards() for panel in panels(it)]
    assert text.count("<h4 ") == len(all_panels)
    assert text.count("<svg ") == sum(it.kind == "timeseries" for it in all_panels)
    assert text.count("<table>") == sum(it.kind == "table" for it in all_panels)
    assert text.count('class="number') == sum(it.kind in ("stat", "gauge") for it in all_panels)
    assert "no data" not in text
    assert "<weu-1>" not in text
    assert "&lt;weu-1&gt;" in text
    assert len(server.said) == sum(len(it.queries) for it in all_panels)
    assert not any("$" in it["query"][0] for it in server.said)
    assert any('cluster=~"weu-1"' in it["query"][0] for it in server.said)


def test_says_when_a_panel_is_empty(prometheus: tuple[str, type[Handler]]) -> None:
    url, server = prometheus
    server.answer = '{"status": "success", "data": {"result": []}}'
    text = page.draw(page.prometheus(url), page.times(END, 1800, 30))
    assert "no data: no alert fires" in text
    assert "2026-11-22 06:46 UTC to 2026-11-22 07:16 UTC" in text


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('{"status": "error", "error": "unknown function"}', "refuses count("),
        ("<html>", "no Prometheus answers at"),
    ],
)
def test_says_what_is_wrong(
    prometheus: tuple[str, type[Handler]],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    answer: str,
    said: str,
) -> None:
    url, server = prometheus
    server.answer = answer
    assert page.main([url, "--out", str(tmp_path / "page.html")]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_says_that_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert page.main(["http://127.0.0.1:9"]) == 1
    assert (
        "no Prometheus answers at http://127.0.0.1:9 (ConnectionError)" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("seconds", "interval", "step", "window"),
    [(3600, 30, 30, "120s"), (86400, 30, 360, "390s"), (60, 5, 5, "20s")],
)
def test_rates_are_over_four_scrapes(
    seconds: float, interval: float, step: float, window: str
) -> None:
    found = page.times(END, seconds, interval)
    assert (found.start, found.step, found.window) == (END - seconds, step, window)
