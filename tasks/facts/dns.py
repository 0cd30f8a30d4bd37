"""What host names stand for, as DNS servers say it now: each name is asked once a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from tasks.connectors.once import Once
from tasks.plans.public_ips import Resolved

if TYPE_CHECKING:
    from dns.resolver import Resolver

#: Names that are asked for at the same time, and seconds for each.
AT_A_TIME, LIFETIME = 64, 4.0
PORT = 53

#: By servers and name.
_answers: Once[tuple[tuple[str, ...], str], Resolved] = Once()


def resolved(names: Iterable[str], servers: Sequence[str] = ()) -> dict[str, Resolved]:
    """
    IPv4 and IPv6 addresses of each name, through aliases. Hosts files do not count. Never raises:
    what could not be asked says why.

    + servers: such as "10.0.0.53" or "10.0.0.53:5353"; none are those of this machine
    """
    from gevent.pool import Pool

    asked, where = list(dict.fromkeys(names)), tuple(servers)
    found = Pool(AT_A_TIME).map(
        lambda it: _answers.get((where, it), partial(_resolved, it, where)), asked
    )
    return dict(zip(asked, found, strict=True))


def _resolved(name: str, servers: tuple[str, ...]) -> Resolved:
    from dns.exception import DNSException
    from dns.resolver import NXDOMAIN, LifetimeTimeout, NoNameservers

    addresses: dict[str, None] = {}
    aliases: dict[str, None] = {}
    try:
        resolver = _resolver(servers)
        for kind in ("A", "AAAA"):
            answer = resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
            addresses |= {it.address: None for it in answer.rrset or ()}
            aliases |= {str(it).rstrip("."): None for it in _targets(answer.chaining_result)}
    except NXDOMAIN as error:
        replies = error.responses()  # type: ignore[no-untyped-call]
        chains = [it.resolve_chaining() for it in replies.values()]
        aliases |= {str(it).rstrip("."): None for chain in chains for it in _targets(chain)}
    except (LifetimeTimeout, NoNameservers) as error:
        if not addresses:
            return Resolved(why=_reason(error, servers), aliases=tuple(aliases))
    except (DNSException, OSError, ValueError) as error:
        return Resolved(why=" ".join(str(error).split()) or type(error).__name__)
    return Resolved(tuple(addresses), None, tuple(aliases))


def _targets(chain: Any) -> list[Any]:
    """What the aliases of an answer lead to, in order."""
    return [record.target for alias in chain.cnames for record in alias]


def _reason(error: Exception, servers: tuple[str, ...]) -> str:
    """Such as "no answer of 10.0.0.53 within 4 s"."""
    from dns.resolver import LifetimeTimeout

    who = ", ".join(servers) or "the DNS servers of this machine"
    if isinstance(error, LifetimeTimeout):
        return f"no answer of {who} within {LIFETIME:g} s"
    return f"{who} could not tell"


def _resolver(servers: tuple[str, ...]) -> Resolver:
    """Raises ValueError for what is no server."""
    from dns.nameserver import Do53Nameserver
    from dns.resolver import Resolver

    made = Resolver(configure=not servers)
    made.lifetime = LIFETIME
    if servers:
        made.nameservers = [Do53Nameserver(*_place(it)) for it in servers]
    return made


def _place(server: str) -> tuple[str, int]:
    """
    "10.0.0.53:5353" -> ("10.0.0.53", 5353); IPv6 with a port is in brackets. Raises ValueError.
    """
    address, colon, port = server.rpartition(":")
    try:
        if colon and (":" not in address or address.startswith("[")):
            return str(ip_address(address.strip("[]"))), int(port)
        return str(ip_address(server.strip("[]"))), PORT
    except ValueError:
        raise ValueError(
            f"{server!r} in resolvers is no address such as 10.0.0.53 or 10.0.0.53:5353"
        ) from None
