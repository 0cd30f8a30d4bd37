"""
What is wrong with the certificates of listeners: what is the Secret's is said once, whoever uses
it, and what is the listener's once for each listener. A Secret that no listener uses is nobody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from tasks.checks.findings import Finding, Where
from tasks.plans.chains import Chain, Held
from tasks.plans.listeners import Listener, SecretRef
from tasks.plans.roots import trusted
from tasks.plans.x509 import Certificate, Problem, Severity, covers

TLS = "kubernetes.io/tls"
#: Names where Envoy fetches a certificate itself, from Envoy Gateway 1.9 on.
SDS = "gateway.envoyproxy.io/sds"
Place = tuple[str, str]
_SHOWN = 5
_NEVER = timedelta(0)
#: What clients mind and Envoy Gateway does not.
_OF_CLIENTS = ("GW605", "GW608", "GW613")


def findings(
    cluster: str,
    listeners: Sequence[Listener],
    held: Mapping[Place, Held],
    now: datetime,
    warning: timedelta,
    error: timedelta,
    roots: frozenset[str] | None,
    types: Mapping[Place, str] | None = None,
) -> Iterator[Finding]:
    """
    + listeners: of this cluster; + held: Secrets of type kubernetes.io/tls, by namespace and name
    + warning, error: how long before its end a certificate is a finding of that severity
    + roots: what clients trust (``chains.roots``); None where that is not judged
    + types: of all Secrets that listeners refer to, by namespace and name; None where only
      ``held`` is known, so that a missing Secret and one of another type look the same
    """
    ending = [it for it in listeners if not it.passthrough]
    for listener in ending:
        where = Where(cluster, listener.owner, listener.part)
        for problem in _of_listener(listener, held, types, now):
            yield _finding(problem, where)
    for place, users in _users(ending).items():
        where = Where(cluster, f"Secret {'/'.join(place)}")
        for problem in _of_secret(place, users, held, types, now, warning, error, roots):
            yield _finding(problem, where)


def usable(
    chain: Chain, names: Sequence[str], now: datetime, roots: frozenset[str] | None = None
) -> list[Problem]:
    """
    Why this chain must not be put in place: all that Envoy Gateway, Envoy or clients refuse.

    + names: that the listeners ask of it, such as ("shop.example.com", "*.example.com")
    """
    problems = [it for it in chain.problems if it.severity != "info"]
    problems += dates(chain, now, _NEVER, _NEVER)
    if chain.leaf is not None and _known(chain):
        problems += _uncovered([chain], [it for it in names if not covers(chain.leaf.names, it)])
    lacking = trusted(chain, roots)
    return [*problems, lacking] if lacking else problems


def dates(chain: Chain, now: datetime, warning: timedelta, error: timedelta) -> Iterator[Problem]:
    """What the days say of a chain: Envoy Gateway refuses it whole for one expired member."""
    for number, it in enumerate(chain.certificates):
        name = "the certificate" if not number else f"certificate {number + 1} of the chain,"
        name = f"{name} {it.title} (serial {it.serial})"
        if it.not_after < now:
            code = "GW606" if number else "GW601"
            yield Problem(code, f"{name} expired on {_day(it.not_after)}", _renewal(number, it))
        elif it.not_before > now:
            yield Problem(
                "GW606" if number else "GW602",
                f"{name} is not valid before {it.not_before:%Y-%m-%d %H:%M} UTC",
                "serve the one before it until then, or correct the clock where it is made",
            )
        elif it.not_after - now <= max(warning, error):
            severity: Severity = "error" if it.not_after - now <= error else "warning"
            days = (it.not_after - now).days
            what = f"{name} expires on {_day(it.not_after)}, in {days} days"
            yield Problem("GW603", what, _renewal(number, it), severity)


def _day(when: datetime) -> str:
    return f"{when:%Y-%m-%d}"


def _renewal(number: int, it: Certificate) -> str:
    if not number:
        return "renew it"
    if it.self_issued:
        return "take it out of the chain, where a root need not be"
    return "put in the one that its authority offers today"


def _of_listener(
    listener: Listener,
    held: Mapping[Place, Held],
    types: Mapping[Place, str] | None,
    now: datetime,
) -> Iterator[Problem]:
    istio = listener.owner.endswith("(Istio)")
    if not listener.secrets and not istio:
        yield Problem(
            "GW609", "it names no Secret with a certificate", "name one in certificateRefs"
        )
    for ref in listener.secrets:
        if not ref.allowed:
            yield _no_grant(listener, ref)
        elif _missing(ref, held, types) and not istio:
            yield _no_secret(ref, types is None)
    chains = [
        (ref, held[_place(ref)].chain)
        for ref in listener.secrets
        if ref.allowed and _place(ref) in held
    ]
    good = [(ref, chain) for ref, chain in chains if not _refused(chain, now)]
    if not istio:
        yield from _same_twice(good)
    if len(chains) == len(listener.secrets) and all(_known(chain) for _, chain in chains):
        yield from _of_names(listener, [chain for _, chain in good or chains])


def _known(chain: Chain) -> bool:
    """Whether it is clear which names it is for: an authority's in front says nothing of them."""
    return chain.leaf is not None and not chain.leaf.is_authority


def _place(ref: SecretRef) -> Place:
    return ref.namespace, ref.name


def _missing(ref: SecretRef, held: Mapping[Place, Held], types: Mapping[Place, str] | None) -> bool:
    return _place(ref) not in held and (types is None or _place(ref) not in types)


def _no_grant(listener: Listener, ref: SecretRef) -> Problem:
    kind, _, place = listener.owner.partition(" ")
    return Problem(
        "GW611",
        f"{ref.title} is in another namespace, and no ReferenceGrant there lets it be used",
        f"create a ReferenceGrant in {ref.namespace}, from {kind} in {place.partition('/')[0]} to "
        f"Secret {ref.name}, or keep the Secret beside the {kind}",
    )


def _no_secret(ref: SecretRef, unsure: bool) -> Problem:
    return Problem(
        "GW609",
        f"{ref.title} does not exist" + (f" or is not of type {TLS}" if unsure else ""),
        "create it, or correct certificateRefs",
    )


def _refused(chain: Chain, now: datetime) -> bool:
    """Whether Envoy Gateway leaves this Secret out."""
    problems = [*chain.problems, *dates(chain, now, _NEVER, _NEVER)]
    return any(it.severity == "error" and it.code not in _OF_CLIENTS for it in problems)


def _same_twice(chains: Sequence[tuple[SecretRef, Chain]]) -> Iterator[Problem]:
    """Envoy Gateway takes one certificate for each name and kind of key (its tls.go)."""
    first: dict[tuple[str, str], SecretRef] = {}
    for ref, chain in chains:
        leaf = chain.leaf
        kind = leaf.key.partition(" ")[0] if leaf else ""
        keys = [(kind, name) for name in (leaf.names if leaf else ())]
        taken = next((it for it in keys if it in first), None)
        if taken is None:
            first |= dict.fromkeys(keys, ref)
            continue
        yield Problem(
            "GW618",
            f"{ref.title} has an {kind} certificate for {taken[1]}, as {first[taken].title} has, "
            "and Envoy Gateway serves the first one alone",
            "take one of them out of certificateRefs",
            "warning",
        )


def _of_names(listener: Listener, chains: Sequence[Chain]) -> Iterator[Problem]:
    names = [name for it in chains if it.leaf for name in it.leaf.names]
    own = [listener.hostname] if listener.hostname else []
    bare = [it for it in own if not covers(names, it)]
    hosts = [it for it in listener.hosts if it not in own and not covers(names, it)]
    wide = bool(bare and listener.hosts and not hosts and bare[0].startswith("*."))
    yield from _uncovered(chains, [*bare, *hosts], "warning" if wide else "error")


def _uncovered(
    chains: Sequence[Chain], hosts: Sequence[str], severity: Severity = "error"
) -> Iterator[Problem]:
    """+ hosts: that no certificate of these is good for"""
    leaves = [it.leaf for it in chains if it.leaf]
    if not hosts or not leaves:
        return
    names = [name for it in leaves for name in it.names]
    has = f"good for {_some(names)}" if names else "without a SAN (clients ignore the CN)"
    yield Problem(
        "GW604",
        f"the certificate {leaves[0].title} does not cover {_some(hosts)}: it is {has}",
        f"have it issued with {_some(hosts)} among its names",
        severity,
    )


def _some(names: Sequence[str]) -> str:
    """Such as "a.example.com, b.example.com and 7 more"."""
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _users(listeners: Sequence[Listener]) -> dict[Place, list[Listener]]:
    """The listeners that use each Secret and may."""
    found: dict[Place, list[Listener]] = {}
    for listener in listeners:
        for place in dict.fromkeys(_place(it) for it in listener.secrets if it.allowed):
            found.setdefault(place, []).append(listener)
    return found


def _of_secret(
    place: Place,
    users: Sequence[Listener],
    held: Mapping[Place, Held],
    types: Mapping[Place, str] | None,
    now: datetime,
    warning: timedelta,
    error: timedelta,
    roots: frozenset[str] | None,
) -> Iterator[Problem]:
    it = held.get(place)
    of_type = it.type if it else (types or {}).get(place, TLS)
    if of_type not in (TLS, SDS) and not all(each.owner.endswith("(Istio)") for each in users):
        yield _wrong_type(place, of_type, users)
    if it is None or of_type != TLS:
        return
    lacking = trusted(it.chain, roots)
    for problem in (
        *it.chain.problems,
        *dates(it.chain, now, warning, error),
        *((lacking,) if lacking else ()),
    ):
        yield _told(problem, it, users)


def _wrong_type(place: Place, of_type: str, users: Sequence[Listener]) -> Problem:
    namespace, name = place
    return Problem(
        "GW610",
        f"it is of type {of_type}, and Envoy Gateway takes {TLS} alone ({_used(users)})",
        f"the type of a Secret cannot be changed: delete it and create it once more, with kubectl "
        f"-n {namespace} create secret tls {name} --cert=FILE --key=FILE",
    )


def _told(problem: Problem, held: Held, users: Sequence[Listener]) -> Problem:
    """A problem of the bytes with who uses them, and with who brings new ones."""
    fix = problem.fix + (f"; {held.owner} keeps this Secret, so do it there" if held.owner else "")
    what = f"{problem.what} ({_used(users)})"
    return Problem(problem.code, what, fix, problem.severity)


def _used(users: Sequence[Listener]) -> str:
    """Such as "used by Gateway edge/public, listener https, and 4 more"."""
    rest = len(users) - 1
    return f"used by {users[0].text}" + (f", and {rest} more" if rest else "")


def _finding(problem: Problem, where: Where) -> Finding:
    return Finding(problem.code, problem.severity, where, problem.what, problem.fix)
