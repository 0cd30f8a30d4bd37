"""Every flag and detail is explained, and the page shows them; see tests/lab/test_flags.py too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.diagnosis import flags, flags_page, words
from tasks.diagnosis.causes import CAUSES
from tasks.diagnosis.evidence import Entry
from tasks.diagnosis.flags import DETAILS, FLAGS, explain
from tasks.diagnosis.words import CLOSES, FAILURES, HANDSHAKES, RESETS, TOKENS, Meaning

ROOT = Path(__file__).resolve().parents[2]
TABLES = (FLAGS, DETAILS, RESETS, FAILURES, TOKENS, CLOSES, HANDSHAKES)


def entry(flag: str = "", details: str | None = None, **more: object) -> Entry:
    return Entry("x", 1, flags=flag, details=details, **more)  # type: ignore[arg-type]


def every() -> Iterator[Meaning]:
    for table in TABLES:
        yield from table.values()


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs/response-flags.md").read_text() == flags_page.page()


def test_each_word_is_explained() -> None:
    for it in every():
        assert it.means.endswith("."), it
        assert it.next.endswith((".", "?)")), it
        assert it.cause is None or it.cause in CAUSES, it
        assert it.answered_by or it.word in ("DI", "URX"), it
        assert "|" not in it.means + it.next, it


def test_no_detail_hides_another() -> None:
    rows = [words.stem(row[0]) for _, group in words.GROUPS.values() for row in group]
    assert len(rows) == len(set(rows)) == len(DETAILS)


@pytest.mark.parametrize(
    ("given", "cause", "said"),
    [
        (
            entry("UF", "upstream_reset_before_response_started{connection_timeout}"),
            "upstream_connect_timeout",
            ["connection_timeout", "upstream_reset_before_response_started{...}", "UF"],
        ),
        (
            entry(
                "URX,UF",
                "upstream_reset_before_response_started{remote_connection_failure|"
                "delayed_connect_error:_Connection_refused}",
            ),
            "upstream_connection_refused",
            [
                "Connection_refused",
                "remote_connection_failure",
                "upstream_reset_before_response_started{...}",
                "URX",
                "UF",
            ],
        ),
        (
            entry(
                "UF",
                "upstream_reset_before_response_started{remote_connection_failure|TLS_error:|"
                "268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end}",
            ),
            "upstream_tls_failure",
            [
                "CERTIFICATE_VERIFY_FAILED",
                "remote_connection_failure",
                "upstream_reset_before_response_started{...}",
                "UF",
            ],
        ),
        (
            entry("UF", None, failure="delayed_connect_error:_Connection_refused"),
            "upstream_connection_refused",
            ["Connection_refused", "UF"],
        ),
        (
            entry("UPE", "upstream_reset_after_response_started{protocol_error}"),
            "upstream_closed_connection",
            ["protocol_error", "upstream_reset_after_response_started{...}", "UPE"],
        ),
        (entry("UF"), None, ["UF"]),
        (
            entry("", "jwt_authn_access_denied{Jwt_is_expired}"),
            "jwt_denied",
            ["Jwt_is_expired", "jwt_authn_access_denied{...}"],
        ),
        (
            entry("", "rbac_access_denied_matched_policy[ns[shop]-policy[x]-rule[0]]"),
            "rbac_denied",
            ["rbac_access_denied_matched_policy[...]"],
        ),
        (
            entry("", "ext_proc_error_gRPC_error_14{upstream_connect_error}"),
            "envoy_internal_error",
            ["ext_proc_error..."],
        ),
        (
            entry("DC", "via_upstream", status=200),
            "client_disconnected",
            ["via_upstream", "DC"],
        ),
        (entry("", "via_upstream", status=404), "backend_404", ["via_upstream"]),
        (entry("URX", "via_upstream", status=503), "backend_5xx", ["via_upstream", "URX"]),
        (entry("", "via_upstream", status=200), None, ["via_upstream"]),
        (
            entry("", "via_upstream", status=200, grpc_status="14"),
            "grpc_backend_error",
            ["via_upstream"],
        ),
        (
            entry("", "via_upstream", status=200, grpc_status="OK"),
            None,
            ["via_upstream"],
        ),
        (entry("", None, status=404, upstream_host="10.0.0.7:80"), "backend_404", []),
        (entry("", None, status=404, upstream_host=""), None, []),
        (
            entry("NoHealthyUpstream", "no_healthy_upstream"),
            None,
            ["no_healthy_upstream", "UH"],
        ),
        (
            entry("DPE", "http1.unexpected_underscore"),
            "rejected_underscore_header",
            ["http1.unexpected_underscore", "DPE"],
        ),
        (
            entry("DR", "http2.unexpected_underscore"),
            "rejected_underscore_header",
            ["http2.unexpected_underscore", "DR"],
        ),
        (
            entry("DR", "http2.remote_reset"),
            "client_disconnected",
            ["http2.remote_reset", "DR"],
        ),
        (
            entry("", "downstream_local_disconnect(codec_error:bad_frame)"),
            None,
            ["codec_error:", "downstream_local_disconnect(...)"],
        ),
        (
            entry("", "", listener_failure="TLS_error:|1:SSL_routines:HTTP_REQUEST:TLS_error_end"),
            "plaintext_to_tls_listener",
            ["HTTP_REQUEST"],
        ),
        (entry("-", "-"), None, []),
        (entry("XX", "of_an_extension"), None, []),
    ],
)
def test_a_line_is_explained(given: Entry, cause: str | None, said: list[str]) -> None:
    found = explain(given)
    assert found.cause == cause
    assert [it.word for it in found.meanings] == said


def test_words_of_nobody() -> None:
    assert flags.unknown(entry("UF,XX", "of_an_extension")) == ("XX", "of_an_extension")
    assert flags.unknown(entry("UF", "via_upstream")) == ()
