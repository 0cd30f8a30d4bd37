"""
Where a client may carry an HTTP/2 connection from one listener to another: the same address and
port, and a certificate that is good for both names (RFC 9113, 9.1.1). A proxy chose the listener
when the connection began, by its SNI, so the second name's routes are not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal, TypeVar

from tasks.plans.listeners import Listener
from tasks.plans.probes import concrete, covered
from tasks.plans.x509 import Certificate, covers

#: What each listener serves: from its Secrets, or from handshakes. One that is missing here serves
#: nothing that is known.
Served = Mapping[Listener, Sequence[Certificate]]
Effect = Literal["not found", "HTTP/1.1", "elsewhere"]
Thing = TypeVar("Thing")
#: Addresses that mean another place in another network, so that two clusters may have the same.
LOCAL = tuple(
    ip_network(it)
    for it in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8")
) + tuple(ip_network(it) for it in ("169.254.0.0/16", "fc00::/7", "fe80::/10"))


@dataclass(frozen=True)
class Pair:
    """
    What a client may do: a connection for ``sni``, which ends in ``first``, then a request for
    ``host`` on it, which ``second`` has the routes of.

    + by: the name of first's certificate that allows it, such as "*.example.com"
    + taken: a route of ``first`` takes ``host`` as well, so it is not a 404 but may be wrong
    """

    first: Listener
    sni: str
    second: Listener
    host: str
    by: str
    taken: bool = False


@dataclass(frozen=True)
class Answers:
    """
    What a client met that did what a Pair says.

    + alpn: such as "h2", None without; + covered: the certificate that was served is good for both
      names; + first, second: HTTP status of the request for each; + alone: of the one for ``host``
      on a connection of its own
    + why: why there is no answer, None where there is
    """

    alpn: str | None = None
    covered: bool = False
    first: int | None = None
    second: int | None = None
    alone: int | None = None
    why: str | None = None


@dataclass(frozen=True)
class Overlap:
    """
    Listeners among which connections may be carried over, as one group however many they are.

    + effect: "not found": requests get a 404; "HTTP/1.1": Envoy Gateway offers nothing else, so
      that they do not; "elsewhere": they come to the proxies of another Gateway or cluster, or
      to another backend behind TLS that is handed through
    + place: what they share, such as "port 443 of edge/public" or "address 20.103.0.10:443"
    + members: in the order in which they were given; + certificates: how many different ones
    + names: of the certificates, those that are good for several, such as ("*.example.com",)
    + pair: one of the ways that there are; None where HTTP/1.1 leaves none
    """

    effect: Effect
    place: str
    members: tuple[Listener, ...]
    certificates: int
    names: tuple[str, ...]
    pair: Pair | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Its cluster and first listener, which two groups of one kind never have in common."""
        return self.members[0].cluster, f"{self.place}, {self.members[0].text}"


def overlaps(listeners: Iterable[Listener], served: Served) -> list[Overlap]:
    """Every group of a fleet; linear in the names of listeners and certificates."""
    by_socket: dict[tuple[str, str, int], list[Listener]] = {}
    for it in listeners:
        by_socket.setdefault((it.cluster, it.workload, it.port), []).append(it)
    sockets = [_Socket(members, served) for members in by_socket.values()]
    found = [it for socket in sockets for it in (*socket.reused(), *socket.fallen())]
    return [*found, *_shared(sockets)]


class _Socket:
    """
    What one workload serves at one port: it chooses a listener by SNI. Numbers are places in
    ``members``.
    """

    def __init__(self, every: Sequence[Listener], served: Served) -> None:
        first = {it.hostname: it for it in reversed(every)}
        self.members = [it for it in every if first[it.hostname] is it]  # others are in conflict
        self.served = [served.get(it, ()) if _allowed(it) else () for it in self.members]
        self.names = [_names(it) for it in self.served]
        self.at = {it.hostname: number for number, it in enumerate(self.members)}
        self._below: dict[str, list[int]] = {}
        for hostname, number in self.at.items():
            if hostname and not hostname.startswith("*"):
                self._below.setdefault(_above(hostname), []).append(number)
        self._batches = fallen_back(self.members, self.names)
        self._fallen = {number for batch, _ in self._batches for number in batch}
        self.servers = self._servers()

    def taking(self, name: str) -> int | None:
        """Which listener takes a name; for "*.example.com", one that no listener has itself."""
        if name in self.at:
            return self.at[name]
        above = _above(name)
        while above:
            if f"*.{above}" in self.at:
                return self.at[f"*.{above}"]
            above = _above(above)
        return self.at.get(None)

    def reached(self, name: str) -> list[int]:
        """The listeners that take what a name of a certificate is good for."""
        below = self._below.get(name[2:], ()) if name.startswith("*.") else ()
        taking = self.taking(name)
        found = [*below] if taking is None else [*below, taking]
        return [it for it in found if self.members[it].passthrough or self._ends(it)]

    def _ends(self, number: int) -> bool:
        return self.members[number].protocol == "HTTPS" and bool(self.names[number])

    def _servers(self) -> dict[str, list[int]]:
        """
        By each name of their certificates, the listeners that a client keeps a connection to: not
        those whose certificate is good for none of their own names.
        """
        found: dict[str, list[int]] = {}
        for number, names in enumerate(self.names):
            if self._ends(number) or self.members[number].passthrough:
                for name in names:
                    found.setdefault(name, []).append(number)
        reached = {name: frozenset(self.reached(name)) for name in found}
        good = {
            number
            for number, names in enumerate(self.names)
            if any(number in reached.get(name, ()) for name in names)
        }
        return {name: [it for it in every if it in good] for name, every in found.items()}

    def multiplexed(self, number: int) -> bool:
        """Whether a client may send a second request meanwhile: HTTP/2 is offered."""
        alpn = self.members[number].alpn
        return "h2" in alpn if alpn is not None else number not in self._fallen

    def name(self, number: int, covering: Sequence[str]) -> str:
        """A whole name that a listener takes and a certificate is good for."""
        it = self.members[number]
        for wanted in (*it.hosts, it.hostname, *covering):
            found = concrete(wanted)
            if found and covers(covering, found) and self.taking(found) == number:
                return found
        return concrete(covering[0]) or ""

    def reused(self) -> Iterator[Overlap]:
        """Groups in which a client may carry a connection over, to a 404."""
        groups, ways, joining = _Groups(len(self.members)), [], []
        for name, servers in self.servers.items():
            reached = self.reached(name)
            chains = {self._chain(it) for it in (*servers, *reached)}
            if not servers or not reached or len(chains) < 2:
                continue
            groups.join((*servers, *reached))
            joining.append((servers[0], name))
            way = self._way(servers, reached)
            if way:
                ways.append((self.members[way[0]].passthrough, *way, name))
        names = groups.by_root(joining)
        best = groups.by_root((it[1], it) for it in sorted(ways))
        for root, members in groups.members().items():
            if root in best:
                passthrough, first, second, by = best[root][0]
                pair = self._pair(first, second, by)
                effect: Effect = "elsewhere" if passthrough else "not found"
                yield self._overlap(effect, members, names[root], pair)

    def _way(self, servers: Iterable[int], reached: Sequence[int]) -> tuple[int, int] | None:
        for first in filter(self.multiplexed, servers):
            for second in reached:
                if self._chain(first) != self._chain(second):
                    return first, second
        return None

    def _chain(self, number: int) -> tuple[str, str]:
        """A server entry of Istio has several host names, and is one filter chain of Envoy."""
        return self.members[number].owner, self.members[number].name

    def _pair(self, first: int, second: int, by: str) -> Pair:
        one, host = self.members[first], self.name(second, (by,))
        taken = any(covered(host, it) for it in one.hosts)
        return Pair(one, self.name(first, self.names[first]), self.members[second], host, by, taken)

    def fallen(self) -> Iterator[Overlap]:
        """Groups of which some listener has HTTP/1.1 alone because of it."""
        for batch, names in self._batches:
            if any(self.members[it].alpn is None for it in batch):
                yield self._overlap("HTTP/1.1", sorted(batch), names)

    def _overlap(
        self, effect: Effect, members: Iterable[int], names: Iterable[str], pair: Pair | None = None
    ) -> Overlap:
        numbers = [*members]
        return Overlap(
            effect,
            f"port {self.members[0].port} of {self.members[0].workload}",
            tuple(self.members[it] for it in numbers),
            len({it.fingerprint for number in numbers for it in self.served[number]}),
            tuple(names),
            pair,
        )


class _Groups:
    """Numbers that were joined, directly or through others (union-find)."""

    def __init__(self, size: int) -> None:
        self._parents = [*range(size)]

    def root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def join(self, numbers: Sequence[int]) -> None:
        for it in numbers:
            self._parents[self.root(it)] = self.root(numbers[0])

    def by_root(self, things: Iterable[tuple[int, Thing]]) -> dict[int, list[Thing]]:
        found: dict[int, list[Thing]] = {}
        for number, thing in things:
            found.setdefault(self.root(number), []).append(thing)
        return found

    def members(self) -> dict[int, list[int]]:
        return self.by_root((it, it) for it in range(len(self._parents)))


def fallen_back(
    members: Sequence[Listener], names: Sequence[Sequence[str]]
) -> list[tuple[list[int], list[str]]]:
    """
    The batches of listeners that Envoy Gateway offers HTTP/1.1 alone for, with the names that
    overlap: of HTTPS listeners of one Gateway (or of all merged ones) and port whose certificates
    overlap, whatever their hostnames; a ClientTrafficPolicy with alpnProtocols has its way. As it
    decides: a listener that was found to overlap is not compared with later ones, so one that
    overlaps it alone is missed (since 1.4; 1.9 source, internal/gatewayapi/listener.go).
    """
    same: dict[str, list[int]] = {}
    below: dict[str, list[int]] = {}
    for number, member in enumerate(members):
        if member.protocol == "HTTPS" and member.falls_back:
            for name in names[number]:
                same.setdefault(name, []).append(number)
                if not name.startswith("*."):
                    below.setdefault(_above(name), []).append(number)
    done: set[int] = set()
    found = []
    for number, member in enumerate(members):
        if number in done or member.protocol != "HTTPS" or not member.falls_back:
            continue
        batch, by = {number}, []
        for name in names[number]:
            wild = name.startswith("*.")
            # Whoever is in these is done after this, so none is looked through twice.
            beside = same.pop(name, [])
            beside += below.pop(name[2:], []) if wild else same.pop(f"*.{_above(name)}", [])
            others = {it for it in beside if it not in done and it != number}
            if others:
                by.append(name)
                batch |= others
        if by:
            done |= batch
            found.append((sorted(batch), by))
    return found


def _shared(sockets: Iterable[_Socket]) -> Iterator[Overlap]:
    """Addresses that lead to more than one workload: of one cluster, or of several."""
    places: dict[tuple[str, str, int], list[_Socket]] = {}
    for socket in sockets:
        for address in sorted({it for member in socket.members for it in member.addresses}):
            one = socket.members[0]
            within = one.cluster if _local(address) else ""
            places.setdefault((within, address, one.port), []).append(socket)
    for (_, address, port), beside in places.items():
        names = {frozenset(it.at): it for it in reversed(beside)}  # replicas have the same names
        different = [it for it in beside if names[frozenset(it.at)] is it]
        pair = _across(different)
        if pair:
            members = tuple(it for socket in different for it in socket.members)
            prints = {it.fingerprint for one in different for held in one.served for it in held}
            place = f"address {address}:{port}"
            yield Overlap("elsewhere", place, members, len(prints), (pair.by,), pair)


def _across(sockets: Sequence[_Socket]) -> Pair | None:
    """A name that one workload's certificate is good for, and that only another one takes."""
    for one in sockets:
        for name, servers in one.servers.items():
            first = next(filter(one.multiplexed, servers), None)
            if first is None:
                continue
            for other in sockets:
                for second in other.reached(name) if other is not one else ():
                    host = other.name(second, (name,))
                    if one.taking(host) is None:
                        sni = one.name(first, one.names[first])
                        return Pair(one.members[first], sni, other.members[second], host, name)
    return None


def _names(certificates: Iterable[Certificate]) -> tuple[str, ...]:
    """DNS names: an address is no listener's hostname."""
    every = dict.fromkeys(name for it in certificates for name in it.names)
    return tuple(it for it in every if it and ":" not in it and not it[-1].isdigit())


def _allowed(listener: Listener) -> bool:
    """A listener none of whose Secrets may be used is not served at all."""
    return not listener.secrets or any(it.allowed for it in listener.secrets)


def _above(name: str) -> str:
    return name.partition(".")[2]


def _local(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:  # a host name
        return False
    return any(found in it for it in LOCAL if it.version == found.version)
