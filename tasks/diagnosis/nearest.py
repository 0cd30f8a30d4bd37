"""What fits best among what does not match: the typing error, the other method, the slash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from difflib import SequenceMatcher

from tasks.diagnosis import host_choice, route_match
from tasks.diagnosis.asking import Asked, without_port
from tasks.diagnosis.config import Chain, Listener, Route, RouteTable, VirtualHost

#: Less alike than this is not worth a word.
ALIKE = 0.6


def alike(one: str, other: str, least: float = 0.0) -> float:
    """From 0 to 1; 0 where it cannot be more than ``least``, which is quicker to tell."""
    it = SequenceMatcher(None, one, other, autojunk=False)
    if it.real_quick_ratio() <= least or it.quick_ratio() <= least:
        return 0.0
    return it.ratio()


def likest(names: Iterable[str], name: str) -> int | None:
    """Where the name is that is most like another, None where none is."""
    best, at = ALIKE - 0.001, None
    for number, one in enumerate(names):
        likeness = alike(one.lower().removeprefix("*."), name, best)
        if likeness > best:
            best, at = likeness, number
    return at


def server_name(listener: Listener, name: str | None) -> tuple[str, Chain | None]:
    """The server name of a listener that is most like the one that was asked for."""
    known = [(it, chain) for chain in listener.chains for it in chain.server_names]
    at = likest((it for it, _ in known), name or "")
    if at is None:
        return "", None
    best, chain = known[at]
    return f'server name "{best}" of filter chain {chain.name}', chain


def domain(table: RouteTable, name: str) -> tuple[str, VirtualHost | None]:
    """The domain that a host was meant to be."""
    bare = without_port(name).lower()
    for other, why in (
        (bare, "without its port"),
        (bare.removesuffix("."), "without the dot at its end"),
    ):
        found, best = host_choice.host(table, other)
        if found is not None and other != name.lower():
            return f'domain "{best}" of virtual host {found.name}, {why}', found
    known = [(it, host) for host in table.hosts for it in host.domains]
    for it, host in known:
        if it.lower() == f"*.{bare}":
            return f'domain "{it}" of virtual host {host.name}, which has no "{bare}" itself', host
    at = likest((it for it, _ in known), bare)
    if at is None:
        return "", None
    best, host = known[at]
    return f'domain "{best}" of virtual host {host.name}', host


def route(host: VirtualHost, asked: Asked) -> tuple[str, Route | None]:
    """The route that misses least."""
    scored = [(_score(it, asked), -number, it) for number, it in enumerate(host.routes)]
    if not scored:
        return "", None
    best = max(scored, key=lambda it: it[:2])[2]
    reasons = route_match.verdict(best.match, asked).reasons
    if not reasons:
        return "", None
    hint = _hint(best, asked)
    said = f"{best.name or 'route ' + str(host.routes.index(best))}: {'; '.join(reasons)}{hint}"
    return said, best


def _score(route: Route, asked: Asked) -> float:
    """Fewer reasons first; with one of the path, the likest path."""
    reasons = route_match.verdict(route.match, asked).reasons
    return -len(reasons) + _path_likeness(route, asked)


def _path_likeness(route: Route, asked: Asked) -> float:
    wanted = next(
        (
            value
            for key in ("path", "path_separated_prefix", "prefix")
            if isinstance(value := route.match.get(key), str)
        ),
        None,
    )
    known = asked.path.partition("?")[0]
    if wanted is None:
        return 0.0
    return 0.9 * max(alike(wanted, known), alike(wanted, known[: len(wanted) + 1]))


def _hint(route: Route, asked: Asked) -> str:
    """What would have matched."""
    bare, mark, query = asked.path.partition("?")
    other = bare.rstrip("/") if bare.endswith("/") and bare != "/" else f"{bare}/"
    tried = (
        (replace(asked, path=f"{other}{mark}{query}"), f'"{other}" would match'),
        (replace(asked, path=asked.path.lower()), "it would match in lower case"),
    )
    for it, says in tried:
        if it.path != asked.path and not route_match.verdict(route.match, it).reasons:
            return f" ({says})"
    return ""
