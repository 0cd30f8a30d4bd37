"""What is wrong with where the host names of a Gateway lead to, and with what answers there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tasks.checks.findings import Finding, Where
from tasks.plans import arm, az_commands
from tasks.plans.public_ips import (
    Answered,
    Claim,
    Holder,
    Landscape,
    Object,
    Resolved,
    holder,
    named,
    resource,
)
from tasks.plans.x509 import Problem, covers

#: What Azure puts before several addresses: Traffic Manager, Front Door, its content network.
FRONTS = (".trafficmanager.net", ".azurefd.net", ".azureedge.net", ".cloudfront.net", ".akamai.net")
#: What a name server makes of an IPv4 address where the network has none (RFC 6052, RFC 6147).
_TRANSLATED = "64:ff9b:"
_BEFORE = ("application gateway", "firewall")
_SHOWN = 5


def problems(claim: Claim, landscape: Landscape, broken: bool) -> Iterator[Problem]:
    """+ broken: why nothing answers is known already"""
    yield from _unasked(claim)
    expected = _expected(claim, landscape)
    if expected:
        yield from _elsewhere(claim, landscape, expected)
    if not broken:
        yield from _answers(claim)


def _expected(claim: Claim, landscape: Landscape) -> tuple[str, ...]:
    """The addresses that names should lead to: the Service's, until then the public IP's."""
    if claim.addresses():
        return claim.addresses()
    found = (resource(claim, landscape, it) for it in claim.families)
    return tuple(it for one in found if (it := arm.text(one, "properties", "ipAddress")))


def _unasked(claim: Claim) -> Iterator[Problem]:
    reasons: dict[str, list[str]] = {}
    for host, it in sorted(claim.hosts.items()):
        if it.why is not None:
            reasons.setdefault(it.why, []).append(host)
    for why, hosts in reasons.items():
        yield Problem(
            "GW700",
            f"DNS could not be asked for {_some(hosts)}: {why}",
            "name servers that answer in resolvers of the inventory",
            "warning",
        )


def _elsewhere(claim: Claim, landscape: Landscape, expected: Sequence[str]) -> Iterator[Problem]:
    """One finding for all names that lead to the same wrong place."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for host, it in sorted(claim.hosts.items()):
        kind, wrong = _leads(it, landscape, expected)
        if it.why is None and kind:
            found.setdefault((kind, wrong), []).append(host)
    for (kind, wrong), hosts in found.items():
        problem = _said(claim, landscape, kind, wrong, hosts, expected)
        if problem is not None:
            yield problem


def _leads(
    it: Resolved, landscape: Landscape, expected: Sequence[str]
) -> tuple[str, tuple[str, ...]]:
    """Where a name leads that does not lead here: the kind of place, and what is there."""
    fronts = [one for one in it.aliases if one.lower().rstrip(".").endswith(FRONTS)]
    if not it.addresses:
        return ("front", (fronts[0],)) if fronts else ("nowhere", ())
    real = [one for one in it.addresses if not one.startswith(_TRANSLATED)]
    dead = tuple(sorted(one for one in real if _unheld(one, landscape, expected)))
    if dead:
        return "nobody", dead
    wrong = tuple(
        sorted(
            one
            for v6 in (False, True)
            if not (own := [one for one in real if (":" in one) is v6])
            or not set(own) & set(expected)
            for one in own
        )
    )
    if not wrong:
        return "", ()
    return ("front", (fronts[0],)) if fronts else ("elsewhere", wrong)


def of_address(address: str, landscape: Landscape) -> Object | None:
    """The public IP that has it."""
    return next(iter(landscape.public_ips_by.get(address, ())), None)


def _unheld(address: str, landscape: Landscape, expected: Sequence[str]) -> bool:
    """Whether a public IP that was read has it and nothing has that."""
    found = of_address(address, landscape)
    return address not in expected and found is not None and _holder(found, landscape) is None


def _holder(found: Object, landscape: Landscape) -> Holder | None:
    return holder(found, landscape, None)


def _said(
    claim: Claim,
    landscape: Landscape,
    kind: str,
    wrong: Sequence[str],
    hosts: Sequence[str],
    expected: Sequence[str],
) -> Problem | None:
    fix = _corrected(claim, landscape, hosts, expected, () if kind == "front" else wrong)
    verb = "leads" if len(hosts) == 1 else "lead"
    if kind == "front":
        what = f"{_some(hosts)} {verb} to {wrong[0]}, which stands before it"
        return Problem("GW722", what, "nothing, where that is meant: look at its origins", "info")
    if kind == "nowhere":
        dead = _dead_alias(landscape, hosts[0])
        if dead is not None:
            what = f"the record of {_some(hosts)} is an alias of {dead}, which does not exist"
            return Problem("GW723", what, fix)
        what = f"DNS knows no address of {_some(hosts)}: it should be {', '.join(expected)}"
        return Problem("GW722", what, fix, "info" if claim.internal else "warning")
    if kind == "nobody":
        own = ", ".join(
            f"{it} (public IP {named(of_address(it, landscape) or {})})" for it in wrong
        )
        what = f"{_some(hosts)} {verb} to {own}, which nothing holds"
        return Problem("GW723", what, fix)
    held = [_holding(it, landscape) for it in wrong]
    if any(it is not None and it.cluster for it in held):
        return None  # of_others knows whether another Gateway serves it there
    by = next((it.text for it in held if it is not None), None)
    before = claim.internal or (by is not None and by.startswith(_BEFORE))
    what = f"{_some(hosts)} {verb} to {', '.join(wrong)}" + (f" ({by})" if by else "")
    what += f", and not to {', '.join(expected)}"
    if before:
        return Problem("GW722", what, "nothing, where that is meant", "info")
    return Problem("GW722", what, fix, "warning")


def _holding(address: str, landscape: Landscape) -> Holder | None:
    found = of_address(address, landscape)
    return None if found is None else _holder(found, landscape)


def _some(names: Sequence[str]) -> str:
    """Such as "a.example.com, b.example.com and 7 more"."""
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _record(landscape: Landscape, host: str) -> tuple[str, str, Object] | None:
    """The zone, the name in it and the record set of a host name in Azure DNS."""
    wanted = host.lower().rstrip(".")
    for zone, records in sorted(landscape.records.items()):
        name = zone.rsplit("/", 1)[-1]
        if wanted != name and not wanted.endswith(f".{name}"):
            continue
        own = wanted[: -len(name)].rstrip(".") or "@"
        for it in records:
            if arm.text(it, "name").lower() in (own, f"*.{own.partition('.')[2]}".rstrip(".")):
                return zone, arm.text(it, "name"), it
        return zone, own, {}
    return None


def _dead_alias(landscape: Landscape, host: str) -> str | None:
    """The public IP that an alias record stood for, where it is gone."""
    found = _record(landscape, host)
    target = arm.parsed(arm.text(found[2], "properties", "targetResource", "id") if found else "")
    if target is None or not landscape.knows("publicIPAddresses", target.subscription):
        return None
    kind = target.type.lower() == "microsoft.network/publicipaddresses"
    gone = kind and target.key not in landscape.of("publicIPAddresses")
    return f"public IP {target.name}" if gone else None


def _corrected(
    claim: Claim,
    landscape: Landscape,
    hosts: Sequence[str],
    expected: Sequence[str],
    wrong: Sequence[str],
) -> str:
    """What points the first of them at the address, as a command where its zone is in Azure."""
    has = claim.hosts[hosts[0]].addresses
    v6 = ":" in (wrong or expected)[0]
    address = next((it for it in expected if (":" in it) is v6 and it not in has), None)
    gone = [it for it in wrong if (":" in it) is v6]
    more = " (and so on for the others)" if len(hosts) > 1 else ""
    by_hand = f"point it at {address}" if address else f"take {', '.join(gone)} away"
    found = _record(landscape, hosts[0])
    if found is None:
        return f"{by_hand} where its zone is kept{more}"
    zone, name, record = found
    alias = arm.text(record, "properties", "CNAMERecord", "cname")
    if alias or arm.text(record, "properties", "targetResource", "id"):
        own = zone.rsplit("/", 1)[-1]
        return f"{name} in zone {own} stands for {alias or 'a resource of Azure'}: {by_hand}{more}"
    return az_commands.record(zone, name, address, gone) + more


def _answers(claim: Claim) -> Iterator[Problem]:
    failed: dict[tuple[str, int, str], list[str]] = {}
    for it in claim.answers:
        why = it.why or _wrong_certificate(it)
        if why is not None:
            failed.setdefault((it.address, it.port, why), []).append(it.host or "")
    for (address, port, why), hosts in sorted(failed.items()):
        names = [it for it in dict.fromkeys(hosts) if it]
        asked = f" for {_some(names)}" if names else ""
        yield Problem(
            "GW724",
            f"{address}:{port} does not answer{asked} as it should: {why}",
            "deploys/doctor.py looks at the Gateway, and deploys/certificates.py at what it serves",
        )


def _wrong_certificate(it: Answered) -> str | None:
    if it.names is None or it.host is None or covers([one.lower() for one in it.names], it.host):
        return None
    return f"its certificate is for {_some(it.names) or 'no name'}"


def of_others(claims: Sequence[Claim], landscape: Landscape) -> Iterator[Finding]:
    """
    Names that lead to a load balancer of another cluster: well where a Gateway there serves them
    too, as with a cluster that stands by.
    """
    serves: dict[str, list[Claim]] = {}
    for claim in claims:
        for address in claim.addresses():
            serves.setdefault(address, []).append(claim)
    for claim in claims:
        found: dict[tuple[str, bool, str], list[str]] = {}
        for host, it in sorted(claim.hosts.items()):
            leads = _cluster_of(it, landscape, _expected(claim, landscape))
            if leads is not None:
                there = serves.get(leads[0], [])
                known = not there or any(host in other.hosts for other in there)
                found.setdefault((leads[0], known, leads[1]), []).append(host)
        yield from _of_others(claim, landscape, found)


def _cluster_of(
    it: Resolved, landscape: Landscape, expected: Sequence[str]
) -> tuple[str, str] | None:
    """The address and holder of another cluster that a name leads to."""
    kind, wrong = _leads(it, landscape, expected)
    if kind != "elsewhere" or not expected or it.why is not None:
        return None
    for address in wrong:
        held = _holding(address, landscape)
        if held is not None and held.cluster:
            return address, held.text
    return None


def _of_others(
    claim: Claim, landscape: Landscape, found: Mapping[tuple[str, bool, str], Sequence[str]]
) -> Iterator[Finding]:
    expected = _expected(claim, landscape)
    for (address, known, by), hosts in found.items():
        verb = "leads" if len(hosts) == 1 else "lead"
        what = f"{_some(hosts)} {verb} to {address} ({by}), and not to {', '.join(expected)}"
        yield Finding(
            "GW722",
            "info" if known else "warning",
            Where(claim.cluster, claim.title),
            what,
            "nothing, where this one stands by"
            if known
            else _corrected(claim, landscape, hosts, expected, [address]),
        )
