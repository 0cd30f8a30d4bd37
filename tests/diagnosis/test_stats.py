"""Lines of /stats: numbers, histograms, texts, and what is none of these."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.diagnosis import stats
from tasks.diagnosis.evidence import Skipped

SAID = """\
cluster.httproute/shop/cart/rule/0.upstream_rq_total: 3
cluster.httproute/shop/cart/rule/0.version_text: "1795229993786759819"
cluster.outbound|80||cart.shop.svc: with.a: colon: 7
server.seconds_until_first_ocsp_response_expiring: 18446744073709551615
http.http-10080.downstream_rq_time: P0(nan,1) P25(nan,1.025) P100(nan,1.1)
http.https-10443.downstream_cx_length_ms: No recorded values

no colon
half: seven
cluster.cart.upstream_rq_tot"""


def test_numbers_are_read_and_the_rest_is_counted() -> None:
    assert stats.read(SAID.encode()) == {
        "cluster.httproute/shop/cart/rule/0.upstream_rq_total": 3.0,
        "cluster.outbound|80||cart.shop.svc: with.a: colon": 7.0,
        "server.seconds_until_first_ocsp_response_expiring": 18446744073709551615.0,
    }
    assert stats.skipped(SAID, "stats.txt") == (
        Skipped("stats.txt", 3, "not of the form name: value"),
    )


def test_nothing_wrong_is_nothing_skipped() -> None:
    assert stats.skipped("a: 1\n", "stats.txt") == ()
    assert stats.read("") == {}


@settings(max_examples=300)
@given(st.one_of(st.text(), st.binary()))
def test_no_text_ends_in_a_traceback(text: str | bytes) -> None:
    stats.read(text)
    stats.skipped(text, "stats.txt")
