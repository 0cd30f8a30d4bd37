"""What proxies and addresses serve, beside what their Secrets hold and beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from tasks.checks.certificates import dates, usable
from tasks.checks.findings import Finding, Severity, Where
from tasks.plans.chains import Chain, Held
from tasks.plans.handshakes import UNREACHED, by_name
from tasks.plans.listeners import Handshake, Listener
from tasks.plans.roots import trusted
from tasks.plans.x509 import Problem, covers

Place = tuple[str, str]
#: Places that a line names; more are counted.
NAMED = 3


def findings(
    handshakes: Iterable[Handshake], held: Mapping[Place, Held] | None, now: datetime
) -> Iterator[Finding]:
    """
    + held: Secrets of type TLS, by namespace and name; None where they were not read. A listener
      that none of them is good for serves nothing, which is the finding of the Secret.
    """
    every = list(handshakes)
    yield from _unreached(every)
    for (listener, sni), asked in by_name(every).items():
        if listener.passthrough and not listener.hosts:  # nobody said that a backend is there
            continue
        silent = [it for it in asked if it.why and not it.why.startswith(UNREACHED)]
        if silent and (listener.passthrough or held is None or _can_serve(listener, held, now)):
            yield _no_handshake(listener, sni, asked, silent)
        if not listener.passthrough:
            known = _chains(listener, held or {})
            yield from _compared(listener, sni, [it for it in asked if not it.why], known, now)


def _unreached(handshakes: Iterable[Handshake]) -> Iterator[Finding]:
    """Pods that no port forward leads to, which says nothing about what they serve."""
    found = {
        (it.listener.cluster, it.place): it.why
        for it in handshakes
        if it.why and it.why.startswith(UNREACHED)
    }
    for (cluster, place), why in found.items():
        yield not_read(cluster, f"{place} was not asked: {why}", "look at its node, and ask again")


def _can_serve(listener: Listener, held: Mapping[Place, Held], now: datetime) -> bool:
    return any(
        it.allowed
        and (there := held.get((it.namespace, it.name)))
        and not [one for one in usable(there.chain, (), now) if one.severity == "error"]
        for it in listener.secrets
    )


def _chains(listener: Listener, held: Mapping[Place, Held]) -> set[tuple[str, ...]]:
    """The fingerprints of each chain that a listener may serve, as it would be sent."""
    return {
        tuple(one.fingerprint for one in it.chain.certificates)
        for ref in listener.secrets
        if ref.allowed and (it := held.get((ref.namespace, ref.name))) and it.chain.leaf
    }


def served(
    handshakes: Iterable[Handshake],
    now: datetime,
    warning: timedelta,
    error: timedelta,
    roots: frozenset[str] | None,
) -> Iterator[Finding]:
    """
    What is wrong with the certificates that are served, where Secrets are not read.

    + warning, error, roots: as in ``tasks.checks.certificates.findings``
    """
    by_listener: dict[Listener, dict[tuple[str, ...], Chain]] = {}
    for it in handshakes:
        if it.chain and not it.listener.passthrough:
            by_listener.setdefault(it.listener, {})[it.chain] = it.served
    for listener, different in by_listener.items():
        for chain in different.values():
            lacking = trusted(chain, roots)
            problems = [*chain.problems, *dates(chain, now, warning, error)]
            for problem in [*problems, *([lacking] if lacking else [])]:
                yield _finding(listener, problem)
        bare = _uncovered(listener, different.values())
        if bare:
            leaf = next(it.leaf for it in different.values() if it.leaf)
            what = f"the certificate {leaf.title} that is served does not cover {', '.join(bare)}"
            fix = f"have it issued with {', '.join(bare)} among its names"
            yield _finding(listener, Problem("GW604", what, fix))


def _uncovered(listener: Listener, chains: Iterable[Chain]) -> list[str]:
    """Names that none of the certificates is good for, NAMED at most."""
    names = [name for it in chains if it.leaf for name in it.leaf.names]
    wanted = listener.hosts or ([listener.hostname] if listener.hostname else [])
    return [it for it in wanted if names and not covers(names, it)][:NAMED]


def _finding(listener: Listener, problem: Problem) -> Finding:
    return Finding(problem.code, problem.severity, _where(listener), problem.what, problem.fix)


def _no_handshake(
    listener: Listener, sni: str, asked: Sequence[Handshake], silent: Sequence[Handshake]
) -> Finding:
    whys = sorted({str(it.why) for it in silent})
    fix = "read the listener's conditions and the proxy's log"
    if len(silent) < len(asked):
        fix = "restart the Pods that do not answer, or deploys/install.py, which does that"
    if all(it.place.startswith("address ") for it in silent) and len(silent) < len(asked):
        fix = (
            "open the way to the load balancer, or set probe.enabled to False where it cannot be "
            "reached from here"
        )
    if listener.passthrough:
        fix = "look at the backends of its TLSRoute: TLS ends there"
    what = f"no handshake{_for(sni)} with {_places(silent)}: {'; '.join(whys)}"
    return Finding("GW616", "error", _where(listener), what, fix)


def _compared(
    listener: Listener,
    sni: str,
    served: Sequence[Handshake],
    known: set[tuple[str, ...]],
    now: datetime,
) -> Iterator[Finding]:
    groups: dict[tuple[str, ...], list[Handshake]] = {}
    for it in served:
        groups.setdefault(it.chain, []).append(it)
    bad = any(not _good(it, sni, now) for it in served)
    severity: Severity = "error" if bad else "warning"
    if len(groups) > 1:
        each = "; ".join(f"{_text(it[0])} at {_places(it)}" for it in groups.values())
        stale = [it for chain, some in groups.items() if chain not in known for it in some]
        fix = "find out which one is meant, and restart the Pods that serve another"
        if known and stale:
            fix = f"restart {_places(stale)}: the Secret holds the other"
        yield Finding(
            "GW615",
            severity,
            _where(listener),
            f"different certificates are served{_for(sni)}: {each}",
            fix,
        )
    elif groups and known and not known.issuperset(groups):
        [same] = groups.values()
        names = ", ".join(it.title for it in listener.secrets)
        leaves = {it[0] for it in known}
        what = f"{_text(same[0])} is served{_for(sni)}, which is not in {names}"
        if same[0].chain[0] in leaves:
            what = f"the chain that is served{_for(sni)} is not the one in {names}"
        yield Finding(
            "GW614",
            severity,
            _where(listener),
            what,
            "read the Gateway's conditions and the controller's log: the proxies did not take it",
        )


def _good(handshake: Handshake, sni: str, now: datetime) -> bool:
    """Whether a client takes what was served, as far as its days and its names go."""
    leaf = handshake.served.leaf
    if leaf is None or not handshake.serial:
        return False
    return leaf.not_before <= now <= leaf.not_after and (not sni or covers(leaf.names, sni))


def _text(handshake: Handshake) -> str:
    leaf = handshake.served.leaf
    if leaf is None or not handshake.serial:
        return f"a certificate that cannot be read ({handshake.chain[0][:8]})"
    return leaf.text


def _places(asked: Sequence[Handshake]) -> str:
    """Such as "Pod eg/envoy-1, Pod eg/envoy-2, Pod eg/envoy-3 and 2 more"."""
    places = list(dict.fromkeys(it.place for it in asked))
    more = len(places) - NAMED
    return ", ".join(places[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _for(sni: str) -> str:
    return f" for {sni}" if sni else " without a name"


def _where(listener: Listener) -> Where:
    return Where(listener.cluster, listener.owner, listener.part)


def not_read(cluster: str, what: str, fix: str) -> Finding:
    """What the audit did not look at, such as "no right to list Secrets: only ..."."""
    return Finding("GW600", "info", Where(cluster), what, fix)
