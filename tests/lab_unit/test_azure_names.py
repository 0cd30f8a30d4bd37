"""The DNS of the stand-in of Azure, as a resolver asks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from tasks.lab.azure.faults import Fault
from tests.azure import SUBSCRIPTION, Serving, standing_azure

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/addresses/providers/Microsoft.Network"
ZONE = f"{GROUP}/dnszones/lab.test"


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    with standing_azure(tmp_path, monkeypatch) as started:
        azure = started.azure
        said = {"publicIPAllocationMethod": "Static", "dnsSettings": {"domainNameLabel": "shop"}}
        azure.put(
            f"{GROUP}/publicIPAddresses/gw",
            {"location": "westeurope", "sku": {"name": "Standard"}, "properties": said},
        )
        azure.put(ZONE, {"location": "global"})
        azure.put(
            f"{ZONE}/A/shop",
            {"properties": {"TTL": 60, "ARecords": [{"ipv4Address": "20.103.0.9"}]}},
        )
        azure.put(f"{ZONE}/CNAME/www", {"properties": {"CNAMERecord": {"cname": "Shop.lab.test"}}})
        azure.put(
            f"{ZONE}/CNAME/label",
            {"properties": {"CNAMERecord": {"cname": "shop.westeurope.cloudapp.azure.com"}}},
        )
        azure.put(
            f"{ZONE}/CNAME/out", {"properties": {"CNAMERecord": {"cname": "elsewhere.test."}}}
        )
        azure.put(
            f"{ZONE}/A/alias",
            {"properties": {"targetResource": {"id": f"{GROUP}/publicIPAddresses/gw"}}},
        )
        azure.put(
            f"{ZONE}/A/*.apps", {"properties": {"ARecords": [{"ipv4Address": "20.103.0.10"}]}}
        )
        azure.put(f"{ZONE}/TXT/@", {"properties": {"TXTRecords": [{"value": ["v=spf1", "-all"]}]}})
        yield started


def asked(standing: Serving, name: str, kind: str = "A", tcp: bool = False) -> list[str]:
    """The status and the answers."""
    address, port = standing.dns
    ask = dns.query.tcp if tcp else dns.query.udp
    said = ask(dns.message.make_query(name, kind), address, port=port, timeout=5)
    found = [str(it) for rrset in said.answer for it in rrset]
    return [dns.rcode.to_text(said.rcode()), *found]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        pytest.param("shop.lab.test", "A", ["20.103.0.9"], id="address"),
        pytest.param("SHOP.Lab.Test", "A", ["20.103.0.9"], id="without case"),
        pytest.param("www.lab.test", "A", ["Shop.lab.test.", "20.103.0.9"], id="alias"),
        pytest.param("www.lab.test", "CNAME", ["Shop.lab.test."], id="the alias itself"),
        pytest.param("out.lab.test", "A", ["elsewhere.test."], id="alias of nothing we know"),
        pytest.param("alias.lab.test", "A", ["20.103.0.4"], id="alias record set"),
        pytest.param(
            "label.lab.test",
            "A",
            ["shop.westeurope.cloudapp.azure.com.", "20.103.0.4"],
            id="label of a public IP",
        ),
        pytest.param("a.apps.lab.test", "A", ["20.103.0.10"], id="wildcard"),
        pytest.param("a.b.apps.lab.test", "A", ["20.103.0.10"], id="wildcard, deeper"),
        pytest.param("shop.lab.test", "AAAA", [], id="no such type"),
        pytest.param("lab.test", "TXT", ['"v=spf1" "-all"'], id="text"),
        pytest.param(
            "lab.test",
            "NS",
            ["ns1-01.azure-dns.com.", "ns2-01.azure-dns.net."],
            id="every zone has servers",
        ),
    ],
)
def test_what_is_there(standing: Serving, name: str, kind: str, expected: list[str]) -> None:
    status, *found = asked(standing, name, kind)
    assert (status, sorted(found)) == ("NOERROR", sorted(expected))


@pytest.mark.parametrize("name", ["gone.lab.test", "apps.example.com", "x.shop.lab.test"])
def test_what_is_not_there(standing: Serving, name: str) -> None:
    assert asked(standing, name) == ["NXDOMAIN"]


def test_it_follows_what_changes(standing: Serving) -> None:
    standing.azure.delete(f"{ZONE}/A/shop")
    assert asked(standing, "shop.lab.test") == ["NXDOMAIN"]
    assert asked(standing, "www.lab.test") == ["NOERROR", "Shop.lab.test."]


def test_over_tcp(standing: Serving) -> None:
    assert asked(standing, "shop.lab.test", tcp=True) == ["NOERROR", "20.103.0.9"]


def test_a_server_in_trouble(standing: Serving) -> None:
    fault = standing.azure.faults.add(Fault("DNS shop", 500, times=1))
    assert asked(standing, "shop.lab.test") == ["SERVFAIL"]
    fault.times, fault.hang_up = 1, True
    address, port = standing.dns
    query = dns.message.make_query("shop.lab.test", "A")
    with pytest.raises(dns.exception.Timeout):
        dns.query.udp(query, address, port=port, timeout=0.3)
