"""Names, asked of a DNS server of this process."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import pytest
from dns import rcode

from tasks.facts import dns
from tasks.plans.public_ips import Resolved
from tests.dns_server import DnsServer, serving_names

ZONE = {
    "shop.x": (["A 20.0.0.1", "AAAA 2001:db8::1"], rcode.NOERROR),
    "www.x": (["CNAME shop.x.", "A 20.0.0.1"], rcode.NOERROR),
    "old.x": (["CNAME gone.x."], rcode.NXDOMAIN),
    "mail.x": ([], rcode.NOERROR),
    "broken.x": ([], rcode.SERVFAIL),
    **{f"silent-{it}.x": None for it in range(20)},
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[DnsServer]:
    monkeypatch.setattr(dns, "LIFETIME", 0.3)
    with serving_names(ZONE) as found:
        yield found


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        pytest.param("shop.x", Resolved(("20.0.0.1", "2001:db8::1")), id="both families"),
        pytest.param("www.x", Resolved(("20.0.0.1",), aliases=("shop.x",)), id="an alias"),
        pytest.param("old.x", Resolved(aliases=("gone.x",)), id="an alias that leads nowhere"),
        pytest.param("none.x", Resolved(), id="no such name"),
        pytest.param("mail.x", Resolved(), id="a name without addresses"),
        pytest.param("broken.x", Resolved(why="{server} could not tell"), id="SERVFAIL"),
        pytest.param("a..x", Resolved(why="A DNS label is empty."), id="no name"),
        pytest.param(
            "silent-0.x", Resolved(why="no answer of {server} within 0.3 s"), id="no answer"
        ),
    ],
)
def test_what_a_name_stands_for(server: DnsServer, name: str, wanted: Resolved) -> None:
    why = wanted.why and wanted.why.format(server=server.place)
    found = dns.resolved([name], [server.place])[name]
    assert found == Resolved(wanted.addresses, why, wanted.aliases)


def test_each_name_is_asked_once(server: DnsServer) -> None:
    for _ in range(2):
        dns.resolved(["shop.x", "shop.x"], [server.place])
    assert server.asked == ["shop.x A", "shop.x AAAA"]


def test_names_are_asked_side_by_side(server: DnsServer) -> None:
    begun = monotonic()
    dns.resolved([f"silent-{it}.x" for it in range(20)], [server.place])
    assert monotonic() - begun < 3


@pytest.mark.parametrize("server", ["nowhere", "10.0.0.53:dns"])
def test_what_is_no_server_is_said(server: str) -> None:
    assert dns.resolved(["shop.x"], [server])["shop.x"].why == (
        f"'{server}' in resolvers is no address such as 10.0.0.53 or 10.0.0.53:5353"
    )
