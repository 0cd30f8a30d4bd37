"""What the gym found wrong in a diagnosis, as the smallest input that shows it."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.diagnosis.cluster.control_plane import unobserved
from tasks.diagnosis.correlation import pairs
from tasks.diagnosis.evidence import Entry, Exchange, Request


def route(parent: str, reported: str) -> dict[str, Any]:
    """Edited once since the controller reported of it."""
    said = {"type": "Accepted", "status": "True", "observedGeneration": 1}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "cart", "namespace": "shop", "generation": 2},
        "spec": {"parentRefs": [{"name": parent}]},
        "status": {
            "parents": [
                {"parentRef": {"name": reported, "namespace": "shop"}, "conditions": [said]}
            ]
        },
    }


@pytest.mark.parametrize(
    ("parent", "line"),
    [
        pytest.param("edge", "HTTPRoute shop/cart: generation 2, reported of 1", id="the same"),
        pytest.param("egde", None, id="one that it names no longer"),
    ],
)
def test_a_report_about_a_parent_that_is_no_longer_named_is_of_no_age(
    parent: str, line: str | None
) -> None:
    assert unobserved(route(parent, "edge")) == line


@pytest.mark.parametrize(
    ("error", "its"),
    [
        pytest.param("ConnectionResetError: [Errno 104] Connection reset by peer", True),
        pytest.param("SSLError: [SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert", False),
    ],
)
def test_whoever_got_an_alert_of_tls_came_to_a_filter_chain(error: str, its: bool) -> None:
    entry = Entry("access.eg.jsonl", 1, status=0, details="filter_chain_not_found", sni="")
    exchange = Exchange(Request(scheme="https", host="cart.example.com"), error=error)
    assert pairs([exchange], [entry]) == [(exchange, entry if its else None)]


def test_a_line_with_the_path_that_a_route_made_is_of_the_request_of_that_moment() -> None:
    sent = Request(host="cart.example.com", path="/cart/1")
    headers = {"content-length": "17", "date": "Sun, 22 Nov 2026 11:38:51 GMT"}
    about: dict[str, Any] = {"method": "GET", "authority": "cart.example.com", "status": 404}
    old = Entry("a", 1, at="2026-11-22T11:38:37.739Z", path="/cart/1", flags="NR", sent=0, **about)
    mine = Entry(
        *("a", 2, "2026-11-22T11:38:51.402Z"),
        path="/v2/1",
        flags="",
        sent=17,
        route="httproute/shop/cart/rule/0/match/0/cart_example_com",
        **about,
    )
    exchange = Exchange(sent, 404, headers)
    assert pairs([exchange], [old, mine])[0][1] is mine
