"""Which line tells of which request."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.diagnosis.correlation import pairs
from tasks.diagnosis.evidence import Entry, Exchange, Request


def exchange(status: int | None = 200, error: str | None = None, **asked: Any) -> Exchange:
    return Exchange(Request(**{"host": "a.example.com", **asked}), status, error=error)


def entry(line: int, status: int = 200, **fields: Any) -> Entry:
    known = {"method": "GET", "path": "/", "authority": "a.example.com", "flags": ""}
    return Entry("access.log", line, status=status, **{**known, **fields})


HANDSHAKE = {"method": "", "path": "", "authority": "", "details": "filter_chain_not_found"}
BROKEN = "ConnectionResetError: [Errno 104] Connection reset by peer"


@pytest.mark.parametrize(
    ("exchanges", "entries", "lines"),
    [
        pytest.param([exchange()], [entry(1), entry(2)], [2], id="the newest of the same"),
        pytest.param([exchange(), exchange()], [entry(1), entry(2)], [1, 2], id="in order"),
        pytest.param([exchange(503)], [entry(1, 503), entry(2)], [1], id="of its status"),
        pytest.param([exchange()], [entry(1, authority="b.example.com")], [None], id="of its host"),
        pytest.param([exchange()], [entry(1, authority="A.example.com")], [1], id="in any case"),
        pytest.param([exchange()], [entry(1, authority=None)], [1], id="a format without hosts"),
        pytest.param([exchange(path="/a?b=1")], [entry(1, path="/a")], [None], id="of its query"),
        pytest.param([exchange(method="POST")], [entry(1)], [None], id="of its method"),
        pytest.param([exchange(None, "timed out")], [entry(1, 0)], [1], id="a client that went"),
        pytest.param([exchange(None)], [entry(1, 0)], [1], id="not sent, and one like it"),
        pytest.param([exchange(None)], [entry(1, 0, authority=None)], [None], id="not sent"),
        pytest.param([exchange(None)], [entry(1, 400, **HANDSHAKE)], [None], id="not sent, cut"),
        pytest.param(
            [exchange(None, "ConnectionRefusedError: [Errno 111] Connection refused")],
            [entry(1, 0, **HANDSHAKE)],
            [None],
            id="no connection",
        ),
        pytest.param(
            [exchange(None, BROKEN, scheme="https", sni="b.example.com")],
            [entry(1, 0, sni="b.example.com", **HANDSHAKE), entry(2)],
            [1],
            id="a handshake by its name",
        ),
        pytest.param(
            [exchange(None, BROKEN, scheme="https", sni="c.example.com")],
            [entry(1, 0, sni="b.example.com", **HANDSHAKE)],
            [None],
            id="not a handshake of another name",
        ),
        pytest.param(
            [exchange(None, "SSLCertVerificationError: certificate has expired")],
            [entry(1)],
            [None],
            id="what never was sent",
        ),
        pytest.param(
            [exchange(404, scheme="https", sni="b.example.com"), exchange(404, scheme="https")],
            [entry(1, 404, sni="b.example.com"), entry(2, 404, sni="a.example.com")],
            [1, 2],
            id="of the connection's name",
        ),
    ],
)
def test_pairs(exchanges: list[Exchange], entries: list[Entry], lines: list[int | None]) -> None:
    assert [it.line if it else None for _, it in pairs(exchanges, entries)] == lines
