"""A DNS server of this process, for one zone of records."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from dns import message, rcode, rrset
from dns.rcode import Rcode


@dataclass
class DnsServer:
    """
    + zone: by name, such as "shop.x": its records, "A 20.0.0.1", one after the other through
      aliases, and how the answer ends; what is not in it is NXDOMAIN, what is None gets no answer
    + place: such as "127.0.0.1:5353"; + asked: such as "shop.x A"
    """

    zone: Mapping[str, tuple[Sequence[str], Rcode] | None]
    place: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, data: bytes) -> bytes | None:
        query = message.from_wire(data)
        name = query.question[0].name.to_text(omit_final_dot=True)
        kind = query.question[0].rdtype.name
        self.asked.append(f"{name} {kind}")
        found = self.zone.get(name, ([], rcode.NXDOMAIN))
        if found is None:
            return None
        answer, owner = message.make_response(query), f"{name}."
        answer.set_rcode(found[1])
        for it in found[0]:
            of, _, value = it.partition(" ")
            if of in (kind, "CNAME"):
                answer.answer.append(rrset.from_text(owner, 60, "IN", of, value))
            owner = value if of == "CNAME" else owner
        return answer.to_wire()


@contextmanager
def serving_names(
    zone: Mapping[str, tuple[Sequence[str], Rcode] | None],
) -> Iterator[DnsServer]:
    server = DnsServer(zone)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as listening:
        listening.bind(("127.0.0.1", 0))
        server.place = f"127.0.0.1:{listening.getsockname()[1]}"
        threading.Thread(target=_serve, args=(listening, server), daemon=True).start()
        yield server


def _serve(listening: socket.socket, server: DnsServer) -> None:
    while True:
        try:
            data, peer = listening.recvfrom(4096)
        except OSError:
            return
        found = server.answer(data)
        if found is not None:
            listening.sendto(found, peer)
