"""What is said of groups of listeners between which connections are carried over."""

from __future__ import annotations

from dataclasses import replace

from tasks.checks.overlap import findings
from tasks.plans.overlap import Answers, Pair, overlaps
from tests.plans.test_overlap import H2, OTHER, WILD, A, B, listener, served

CURE = (
    "order a certificate for each (a.example.com, b.example.com), or serve the names by one "
    "listener with a route each, or give each Gateway its own address: docs/overlap.md"
)
BOTH = served((replace(A, alpn=H2), WILD), (replace(B, alpn=H2), WILD))


def pair() -> Pair:
    (found,) = overlaps(*BOTH)
    assert found.pair is not None
    return found.pair


def test_not_found() -> None:
    assert [it.text for it in findings(overlaps(*BOTH))] == [
        "error GW650 weu-1: Gateway edge/public, port 443 of edge/public: 2 listeners with one "
        "certificate for *.example.com: a request for b.example.com on an HTTP/2 connection for "
        "a.example.com comes to Gateway edge/public, listener a: 404, the route is behind Gateway "
        f"edge/public, listener b: {CURE}"
    ]


def test_what_was_tried_is_told() -> None:
    met = Answers("h2", True, 200, 404, 200)
    (found,) = findings(overlaps(*BOTH), {pair(): met})
    assert found.what.endswith(" (tried: 200, then 404; 200 on a connection of its own)")


def test_misdirected() -> None:
    (found,) = findings(overlaps(*BOTH), {pair(): Answers("h2", True, 200, 421, 200)})
    assert (found.code, found.severity) == ("GW652", "info")
    assert found.what.endswith(
        "comes to Gateway edge/public, listener a, and gets 421: browsers ask again on a new "
        "connection, other clients may not"
    )


def test_a_route_that_answers_in_place_of_the_right_one() -> None:
    (found,) = findings(overlaps(*BOTH), {pair(): Answers("h2", True, 200, 200, 200)})
    assert "its routes answer in place of those of Gateway edge/public, listener b" in found.what


def test_fallen_back() -> None:
    assert [it.text for it in findings(overlaps(*served((A, WILD), (B, WILD))))] == [
        "warning GW651 weu-1: Gateway edge/public, port 443 of edge/public: 2 listeners with one "
        "certificate for *.example.com: HTTP/1.1 alone is offered by Gateway edge/public, "
        "listener a, Gateway edge/public, listener b, so that no connection is carried over: no "
        f"HTTP/2, and gRPC fails: {CURE}"
    ]


def test_http_1_1_that_was_met_counts_more_than_what_a_policy_says() -> None:
    (found,) = findings(overlaps(*BOTH), {pair(): Answers("http/1.1", True, 200)})
    assert (found.code, found.severity) == ("GW651", "warning")


def test_elsewhere() -> None:
    far = replace(B, **OTHER)
    (found,) = findings(overlaps(*served((A, WILD), (far, WILD))))
    assert found.text == (
        "warning GW652 weu-1: Gateway edge/public, address 10.0.0.4:443: 2 listeners with one "
        "certificate for *.example.com: a request for b.example.com on an HTTP/2 connection for "
        "a.example.com comes to weu-1: Gateway edge/public, listener a, and only weu-1: Gateway "
        f"edge/b, listener b has the name: {CURE}"
    )


def test_many_are_counted() -> None:
    many = [listener(f"l{it}", f"n{it}.example.com", alpn=H2) for it in range(1000)]
    (found,) = findings(overlaps(many, {it: [WILD] for it in many}))
    assert found.what.startswith("1,000 listeners with one certificate for *.example.com: ")
    assert found.fix.startswith(
        "order a certificate for each (n0.example.com, n1.example.com, n2.example.com, "
        "n3.example.com and 996 more), or "
    )
