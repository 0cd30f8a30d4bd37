"""
What is wrong with the chain behind the public IP of a Gateway. One cause is one finding: what only
follows from it is not said as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from tasks.checks import (
    names,
    public_ip_claims,
    public_ip_resources,
    service_addresses,
    service_asks,
    ways_in,
)
from tasks.checks.findings import Finding, Where
from tasks.plans import arm, az_commands
from tasks.plans.aks import ManagedCluster
from tasks.plans.arm import KindName
from tasks.plans.public_ips import (
    Claim,
    Landscape,
    Object,
    elsewhere,
    intended,
    key,
    resource,
    serving,
)
from tasks.plans.x509 import Problem, Severity

#: How long a Service may be without what Azure still makes.
PATIENCE = timedelta(minutes=5)
#: What the chain of a claim needs to know of its subscription.
NEEDED: tuple[KindName, ...] = (
    "publicIPAddresses",
    "loadBalancers",
    "networkSecurityGroups",
    "locks",
    "roleAssignments",
    "roleDefinitions",
)
#: What AKS is doing by itself and ends (AKS REST API reference, provisioningState).
_CHANGING = ("Creating", "Updating", "Upgrading", "Scaling", "Starting", "Reconciling", "Migrating")


def findings(claim: Claim, landscape: Landscape, now: datetime) -> Iterator[Finding]:
    """
    The chain of one claim, from what is wanted to what answers. Claims of one cluster say what is
    the cluster's in the same words: keep one of equal findings.
    """
    where = Where(claim.cluster, claim.title)
    yield from _of_cluster(claim, landscape)
    if claim.gateways or claim.service is not None:
        for why in claim.unread:
            yield _finding(Problem("GW700", why, "see to it that it can be read", "warning"), where)
    if claim.service is not None and not claim.of_azure:
        return
    new = _new(claim, now)
    found: list[Problem] = list(service_asks.problems(claim, landscape))
    for v6 in claim.families:
        found += public_ip_resources.problems(claim, landscape, v6, _codes(found))
    found += service_addresses.problems(claim, landscape, new, _broken(found), _codes(found))
    found += ways_in.problems(claim, landscape, new, _broken(found))
    found += names.problems(claim, landscape, _broken(found))
    yield from (_finding(it, where) for it in found)


def _finding(problem: Problem, where: Where) -> Finding:
    return Finding(problem.code, problem.severity, where, problem.what, problem.fix)


def _broken(found: Iterable[Problem]) -> bool:
    """Whether something breaks traffic already, so that what follows from it is not said."""
    return any(it.severity == "error" for it in found)


def _codes(found: Iterable[Problem]) -> set[str]:
    return {it.code for it in found}


def _new(claim: Claim, now: datetime) -> bool:
    """Whether Azure may still be at it."""
    made = arm.text(claim.service, "metadata", "creationTimestamp")
    try:
        then = datetime.fromisoformat(made)
        return now - then < PATIENCE
    except (ValueError, TypeError):
        return False


def _of_cluster(claim: Claim, landscape: Landscape) -> Iterator[Finding]:
    """What could not be read, and what AKS does to the cluster."""
    where = Where(claim.cluster)
    if claim.aks is None:
        if claim.gateways:
            what = "which cluster of AKS this is is not known, so its addresses were not checked"
            reasons = {why for (_, it), why in landscape.unread.items() if it == "managedClusters"}
            said = f" ({'; '.join(sorted(reasons))})" if reasons else ""
            fix = "give the host aks_id in the inventory, or sign in to its subscription"
            yield Finding("GW700", "warning", where, what + said, fix)
        return
    for subscription in sorted({claim.aks.subscription, claim.wanted.subscription or ""} - {""}):
        yield from _unread(claim, landscape, subscription)
    yield from _of_state(claim.aks, where)


def _unread(claim: Claim, landscape: Landscape, subscription: str) -> Iterator[Finding]:
    reasons = landscape.why_not(subscription)
    by_reason: dict[str, list[str]] = {}
    for kind in NEEDED:
        if kind in reasons:
            by_reason.setdefault(reasons[kind], []).append(kind)
    for why, kinds in by_reason.items():
        yield Finding(
            "GW700",
            "warning",
            Where(claim.cluster, f"subscription {subscription}"),
            f"{', '.join(kinds)} could not be read, so what depends on them was not checked: {why}",
            "give what signs in here the role Reader on the subscription, or run it again",
        )


def _of_state(aks: ManagedCluster, where: Where) -> Iterator[Finding]:
    state, said = aks.state, [*az_commands.place(aks.id), "-n", aks.name]
    if aks.power == "Stopped":
        start = az_commands.az("aks", "start", *said)
        yield Finding("GW730", "warning", where, "AKS says that it is stopped", start)
    elif state in _CHANGING or state == "Deleting":
        severity: Severity = "warning" if state == "Deleting" else "info"
        yield Finding("GW730", severity, where, f"AKS says that it is {state}", "wait for its end")
    elif state not in ("Succeeded", "Unknown", ""):
        yield Finding(
            "GW730",
            "warning",
            where,
            f"AKS says that its last change {state.lower()}: it may refuse the next one",
            f"{az_commands.az('aks', 'update', *said)} changes nothing and makes AKS try again",
        )


def of_the_fleet(
    claims: Sequence[Claim], landscape: Landscape, not_looked_at: Collection[str] = ()
) -> Iterator[Finding]:
    """
    What only the whole fleet shows.

    + claims: of all its clusters, with those of clusters that are to come
    + not_looked_at: subscriptions whose public IPs may be unused
    """
    wanted: dict[str, list[Claim]] = {}
    known: dict[str, Object] = {}
    for claim in sorted(claims, key=lambda it: (it.cluster, it.title)):
        for v6 in claim.families:
            found = resource(claim, landscape, v6)
            if found is not None and _names_one(claim, v6):
                wanted.setdefault(key(found), []).append(claim)
            for other in _wants(claim, landscape, v6):
                wanted.setdefault(key(other), [])
                known[key(other)] = other
    for it, by in wanted.items():
        yield from public_ip_claims.claimed_twice(known[it], by, landscape)
    yield from names.of_others(claims, landscape)
    yield from public_ip_claims.unused(landscape, wanted, not_looked_at)


def _names_one(claim: Claim, v6: bool) -> bool:
    it = intended(claim, v6)
    return bool(it.name or it.address)


def _wants(claim: Claim, landscape: Landscape, v6: bool) -> Iterator[Object]:
    """What a claim may mean or has, wherever it lies."""
    yield from (it for it in [resource(claim, landscape, v6), serving(claim, landscape, v6)] if it)
    yield from elsewhere(claim, landscape, v6)
