"""Which virtual host of a route table takes a host name."""

from __future__ import annotations

from tasks.diagnosis.config import RouteTable, VirtualHost


def host(table: RouteTable, name: str) -> tuple[VirtualHost | None, str | None]:
    """
    The virtual host, and its domain that matches: the same name first, then the longest "*.suffix",
    the longest "prefix.*", and "*" (Envoy source/common/router/config_impl.cc,
    RouteMatcher::findVirtualHost). The name comes as it is looked for, see ``asking.asked``.
    """
    name = name.lower()
    best: tuple[tuple[int, int], VirtualHost, str] | None = None
    for one in table.hosts:
        for domain in one.domains:
            rank = ranked(domain.lower(), name)
            if rank is not None and (best is None or rank > best[0]):
                best = (rank, one, domain)
    return (best[1], best[2]) if best else (None, None)


def ranked(domain: str, name: str) -> tuple[int, int] | None:
    """How well a domain fits, None where it does not; a "*" stands for one character or more."""
    if domain == "*":
        return (0, 0)
    if domain.startswith("*"):
        rest = domain[1:]
        return (2, len(rest)) if len(name) > len(rest) and name.endswith(rest) else None
    if domain.endswith("*"):
        rest = domain[:-1]
        return (1, len(rest)) if len(name) > len(rest) and name.startswith(rest) else None
    return (3, 0) if domain == name else None
