"""
DNS: the record sets of the zones, and the names that public IPs have by their labels. Everything
else does not exist.
"""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from typing_extensions import override

from tasks.lab.azure import types, zones
from tasks.lab.azure.public_ips import ADDRESS
from tasks.lab.azure.rules import Resource, properties, reference
from tasks.lab.azure.state import Azure, Seen

LONGEST_CHAIN = 8  # aliases of aliases that are followed
Answered = list[dns.rrset.RRset]


def answer(azure: Azure, query: dns.message.Message) -> dns.message.Message:
    """The answer to one question; an alias comes with what it stands for."""
    response = dns.message.make_response(query)
    response.flags |= dns.flags.AA | dns.flags.RA
    if not query.question:
        response.set_rcode(dns.rcode.FORMERR)
        return response
    question = query.question[0]
    name, there = question.name, False
    for _ in range(LONGEST_CHAIN):
        found = _records(azure, name)
        there = there or found is not None
        some = [it for it in found or [] if it.rdtype == question.rdtype]
        aliases = [it for it in found or [] if it.rdtype == dns.rdatatype.CNAME]
        response.answer += some or aliases
        if some or not aliases:
            break
        name = aliases[0][0].target
    response.set_rcode(dns.rcode.NOERROR if there else dns.rcode.NXDOMAIN)
    return response


def _records(azure: Azure, name: dns.name.Name) -> Answered | None:
    """All that a name has, None where it does not exist."""
    text = name.to_text().lower()
    known = azure.derived("names", _collected)
    if text in known:
        return known[text]
    parent = name
    while len(parent.labels) > 1:
        parent = parent.parent()
        wildcard = f"*.{parent.to_text().lower()}"
        if wildcard in known:
            return [_renamed(it, name) for it in known[wildcard]]
        if parent.to_text().lower() in known:
            return None
    return None


def _renamed(records: dns.rrset.RRset, name: dns.name.Name) -> dns.rrset.RRset:
    return dns.rrset.from_rdata_list(name, records.ttl, [*records])


def _collected(azure: Azure) -> dict[str, Answered]:
    """By name, in lower case and with its last dot."""
    found: dict[str, Answered] = {}
    for zone in azure.of(zones.ZONE):
        for record in zones.records(azure, zone["id"]):
            name = str(properties(record)["fqdn"]).lower()
            found.setdefault(name, []).extend(_rrsets(azure, name, record))
    for address in azure.of(ADDRESS):
        settings = properties(address).get("dnsSettings") or {}
        if settings.get("fqdn"):
            name = f"{settings['fqdn'].lower()}."
            found.setdefault(name, []).extend(_of_address(azure, name, 300, address))
    return found


def _rrsets(azure: Azure, name: str, record: Resource) -> Iterator[dns.rrset.RRset]:
    said, kind = properties(record), str(record["type"]).rsplit("/", 1)[-1]
    ttl = int(said.get("TTL", 300))
    values = _VALUES[kind](said) if kind in _VALUES else []
    if values:
        yield dns.rrset.from_text(name, ttl, "IN", kind, *values)
    held = azure.held(reference(said, "targetResource") or "/")
    if held is not None and str(held["type"]).lower() == ADDRESS.lower():
        yield from _of_address(azure, name, ttl, held)


def _of_address(azure: Azure, name: str, ttl: int, held: Resource) -> Iterator[dns.rrset.RRset]:
    said = properties(types.view(azure, held))
    if said.get("ipAddress"):
        kind = "AAAA" if said.get("publicIPAddressVersion") == "IPv6" else "A"
        yield dns.rrset.from_text(name, ttl, "IN", kind, said["ipAddress"])


def _dotted(name: str) -> str:
    return name if name.endswith(".") else f"{name}."


def _start(said: dict[str, Any]) -> list[str]:
    it = said.get("SOARecord")
    if not it:
        return []
    numbers = ("serialNumber", "refreshTime", "retryTime", "expireTime", "minimumTTL")
    return [" ".join([_dotted(it["host"]), _dotted(it["email"]), *(str(it[n]) for n in numbers)])]


#: By type of record: the values of a record set, as a zone file has them.
_VALUES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "A": lambda said: [it["ipv4Address"] for it in said.get("ARecords") or []],
    "AAAA": lambda said: [it["ipv6Address"] for it in said.get("AAAARecords") or []],
    "CNAME": lambda said: (
        [_dotted(said["CNAMERecord"]["cname"])] if said.get("CNAMERecord") else []
    ),
    "NS": lambda said: [_dotted(it["nsdname"]) for it in said.get("NSRecords") or []],
    "SOA": _start,
    "TXT": lambda said: [
        " ".join(f'"{text}"' for text in it["value"]) for it in said.get("TXTRecords") or []
    ],
}


@contextmanager
def serving(azure: Azure, address: str, port: int) -> Iterator[tuple[str, int]]:
    """Answer on UDP and TCP until the end of the block; the address and port."""
    tcp = _Tcp((address, port), _tcp_handler(azure))
    place = (address, int(tcp.server_address[1]))
    udp = _Udp(place, _udp_handler(azure))
    servers = (tcp, udp)
    threads = [
        threading.Thread(target=it.serve_forever, args=(0.05,), daemon=True) for it in servers
    ]
    for thread in threads:
        thread.start()
    try:
        yield place
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True


def _answered(azure: Azure, data: bytes) -> bytes | None:
    """None for what gets no answer: it cannot be read, or a fault has it so."""
    try:
        query = dns.message.from_wire(data)
    except dns.exception.DNSException:
        return None
    name = query.question[0].name.to_text() if query.question else "."
    met = azure.faults.met(f"DNS {name}")
    if any(it.hang_up for it in met):
        return None
    with azure.lock:
        response = answer(azure, query)
    if any(it.status for it in met):
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.SERVFAIL)
    azure.remember(Seen("DNS", name, int(response.rcode()), azure.clock()))
    return response.to_wire()


def _udp_handler(azure: Azure) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        @override
        def handle(self) -> None:
            data, line = self.request
            said = _answered(azure, data)
            if said is not None:
                line.sendto(said, self.client_address)

    return Handler


def _tcp_handler(azure: Azure) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        timeout = 5

        @override
        def handle(self) -> None:
            while len(size := self.rfile.read(2)) == 2:
                said = _answered(azure, self.rfile.read(struct.unpack("!H", size)[0]))
                if said is None:
                    return
                self.wfile.write(struct.pack("!H", len(said)) + said)

    return Handler
