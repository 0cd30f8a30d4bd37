"""Who answered is always decided, and by what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.diagnosis import flags
from tasks.diagnosis.access_logs import entries
from tasks.diagnosis.answered import answered
from tasks.diagnosis.causes import AnsweredBy
from tasks.diagnosis.evidence import Entry, Exchange, Request
from tests import captures


def entry(**of: Any) -> Entry:
    return Entry("access.log", 4, **of)


def got(status: int | None, body: str = "", error: str | None = None, **headers: str) -> Exchange:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Exchange(Request(), status, named, body, error)


@pytest.mark.parametrize(
    ("given", "who", "why"),
    [
        (
            entry(details="via_upstream", flags="", status=404),
            "upstream",
            "response_code_details 'via_upstream': The backend's own answer.",
        ),
        (
            entry(details="via_upstream", flags="DC", status=200),
            "client",
            "response_flags 'DC': The client closed its connection before the response was "
            "complete.",
        ),
        (
            entry(details="http2.unexpected_underscore", flags="DR", status=0),
            "envoy",
            "response_code_details 'http2.unexpected_underscore': A header name has an underscore, "
            "and such requests are refused.",
        ),
        (
            entry(details="downstream_remote_disconnect", flags="", status=0),
            "client",
            "response_code_details 'downstream_remote_disconnect': The client closed its "
            "connection before the response was complete.",
        ),
        (
            entry(details="of_an_extension", flags="", status=403, upstream_host="10.0.0.7:80"),
            "envoy",
            "response_code_details 'of_an_extension': backends leave via_upstream",
        ),
        (
            entry(flags="UF", status=503, upstream_host="10.0.0.7:80"),
            "envoy",
            "response_flags 'UF': No connection to the backend came about.",
        ),
        (
            entry(flags="XYZ", status=503, upstream_host="10.0.0.7:80"),
            "envoy",
            "response_flags 'XYZ': only Envoy and its extensions set flags",
        ),
        (
            entry(flags="URX", status=503, upstream_host="10.0.0.7:80"),
            "upstream",
            "upstream_host '10.0.0.7:80', and no flag speaks for Envoy",
        ),
        (
            entry(flags="", status=403, upstream_host=""),
            "envoy",
            "no upstream_host: no backend was asked",
        ),
        (
            entry(flags="", status=404, upstream_host="10.0.0.7:80"),
            "upstream",
            "upstream_host '10.0.0.7:80', and no flag speaks for Envoy",
        ),
        (
            entry(flags="", status=0, upstream_host="10.0.0.7:5432"),
            "upstream",
            "upstream_host '10.0.0.7:5432', and no flag speaks for Envoy",
        ),
        (
            entry(flags="", status=0, upstream_host=""),
            "client",
            "response_code 0 and no flag: nothing was sent, nobody was asked",
        ),
        (
            entry(status=404),
            "upstream",
            "no flag speaks for Envoy; the log has neither details nor upstream_host",
        ),
        (
            entry(flags="", listener_failure="TLS_error:|1:SSL_routines:HTTP_REQUEST"),
            "envoy",
            "downstream_transport_failure_reason 'TLS_error:|1:SSL_routines:HTTP_REQUEST': The "
            "client sent plain HTTP to a TLS port.",
        ),
        (
            entry(flags="", listener_failure="TLS_error:|1:SSLV3_ALERT_CERTIFICATE_EXPIRED"),
            "client",
            "downstream_transport_failure_reason 'TLS_error:|1:SSLV3_ALERT_CERTIFICATE_EXPIRED': "
            "The client says that the certificate has expired.",
        ),
    ],
)
def test_by_a_line(given: Entry, who: AnsweredBy, why: str) -> None:
    assert answered(None, given) == (who, f"access.log:4: {why}")


@pytest.mark.parametrize(
    ("given", "who"),
    [
        pytest.param(got(404, date="x", content_length="0"), "envoy", id="headers of Envoy alone"),
        pytest.param(got(404, server="envoy", date="x"), "envoy", id="overwritten, none other"),
        pytest.param(
            got(404, server="envoy", x_envoy_upstream_service_time="3"),
            "upstream",
            id="server: envoy is no proof",
        ),
        pytest.param(got(404, server="nginx"), "upstream", id="another server"),
        pytest.param(
            got(404, x_content_type_options="nosniff", date="x"),
            "upstream",
            id="a backend without a server header",
        ),
        pytest.param(got(503, "no healthy upstream", server="envoy"), "envoy", id="a body"),
        pytest.param(got(404, "Page not found", server="app/1"), "upstream", id="another body"),
        pytest.param(got(503), "envoy", id="a gateway's status and nothing else"),
        pytest.param(got(404), "upstream", id="a status and nothing else"),
        pytest.param(
            got(200, content_type="application/grpc", grpc_status="12"),
            "envoy",
            id="no route for gRPC",
        ),
        pytest.param(
            got(200, grpc_status="14", grpc_message="no healthy upstream"),
            "envoy",
            id="a message",
        ),
        pytest.param(
            got(200, grpc_status="12", grpc_message="unknown service shop.Cart"),
            "upstream",
            id="another message",
        ),
        pytest.param(got(200), "upstream", id="all is well"),
        pytest.param(
            got(None, error="ConnectionResetError: [Errno 104] Connection reset by peer"),
            "envoy",
            id="reset",
        ),
        pytest.param(got(None, error="TimeoutError: timed out"), "client", id="gave up"),
        pytest.param(
            got(None, error="SSLError: certificate verify failed: certificate has expired"),
            "client",
            id="does not trust",
        ),
    ],
)
def test_by_a_response(given: Exchange, who: AnsweredBy) -> None:
    assert answered(given, None)[0] == who


def test_a_line_goes_before_a_response() -> None:
    """An external authorization service answers with headers of an application."""
    denied = got(403, server="app/1.0", x_envoy_upstream_service_time="0")
    line = entry(details="ext_authz_denied", flags="UAEX", status=403)
    assert answered(denied, None)[0] == "upstream"
    assert answered(denied, line)[0] == "envoy"


def test_with_nothing() -> None:
    why = "neither a response nor a line of a log is at hand: nothing speaks for Envoy"
    assert answered(None, None) == ("upstream", why)
    assert answered(got(None), None) == ("upstream", why), "a request that was not sent"


def test_captures_of_real_envoys() -> None:
    """
    Each line of every capture: read in all formats, its words known, and the same said of who
    answered, also by formats without details; of the request in question it is the truth.
    """
    wrong, told = [], 0
    for path in captures.committed():
        capture = captures.read(path)
        logs = [list(_entries(lines)) for lines in capture["access_log"].values()]
        assert all(len(it) == len(logs[0]) for it in logs), path
        for same in zip(*logs, strict=True):
            assert not any(flags.unknown(it) for it in same), path
            if not _reset_by_envoy(same):
                assert len({answered(None, it)[0] for it in same}) == 1, (path, same)
            told += 1
        line = (capture.get("observed") or {}).get("log_line")
        if line and capture["expected"].get("answered_by"):
            (found,) = _entries([line])
            if answered(None, found)[0] != capture["expected"]["answered_by"]:
                wrong.append(path.name)
    assert wrong == []
    assert told > 500


def _reset_by_envoy(same: tuple[Entry, ...]) -> bool:
    """Without details a stream that Envoy reset looks as if the client had."""
    return any((it.details or "").startswith("http2.unexpected") for it in same)


def _entries(lines: list[Any]) -> Iterator[Entry]:
    for it in entries((it if isinstance(it, str) else json.dumps(it) for it in lines), "x"):
        assert isinstance(it, Entry)
        yield it
