"""
What is wrong with what the inventory, EnvoyProxy, Gateway and Service ask of Azure, before it is
looked at what Azure has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from tasks.plans import arm
from tasks.plans.public_ips import (
    ADDRESS,
    CHOOSING,
    FROM_PREFIX,
    GROUP,
    IDLE,
    INTERNAL,
    NAME,
    Claim,
    Landscape,
    asked_by,
    resource,
)
from tasks.plans.security_groups import network, private
from tasks.plans.x509 import Problem, Severity

_RANGES = "service.beta.kubernetes.io/azure-allowed-ip-ranges"
_RANGES_OF_KUBERNETES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_TAGS = "service.beta.kubernetes.io/azure-allowed-service-tags"


def problems(claim: Claim, landscape: Landscape) -> Iterator[Problem]:
    """All of them, in the order of the chain."""
    if claim.service is not None:
        yield from _drift(claim, landscape)
        yield from _contradictions(claim, landscape)
        yield from _deprecated(claim)
        yield from _source_ranges(claim)
    yield from _spec_addresses(claim)


def by_hand(claim: Claim, key: str, value: str) -> str:
    """Where an annotation is written, such as "set x: y in EnvoyProxy edge/public, ..."."""
    if claim.proxy:
        where = f"{claim.proxy}, under provider.kubernetes.envoyService.annotations"
    else:
        where = f"{claim.title}, under spec.infrastructure.annotations"
    return f'set {key}: "{value}" in {where}'


def _drift(claim: Claim, landscape: Landscape) -> Iterator[Problem]:
    has = arm.pairs(claim.service, "metadata", "annotations")
    told = {key: value for key, value in claim.set_by_gateway.items() if key in CHOOSING}
    wanted = _wanted(claim)
    later = _differing(claim, told, has)
    sooner = {key: it for key, it in _differing(claim, wanted, has).items() if key not in later}
    found = resource(claim, landscape)
    right = bool(claim.addresses()) and _at(found) in (None, *claim.addresses())
    severity: Severity = "warning" if right else "error"
    if later:
        source = claim.proxy or claim.title
        yield Problem(
            "GW715",
            f"{source} says {_listed(later)}, and its Service {_has(later, has)}",
            "Envoy Gateway has not written it: look at the conditions of the Gateway and of the "
            "GatewayClass, and at the controller's log",
            severity,
        )
    if sooner:
        deploy = "reserve_public_ip" if claim.wanted.name else "install"
        key, value = next(iter(sooner.items()))
        yield Problem(
            "GW715",
            f"the inventory says {_listed(sooner)}, and the Service {_has(sooner, has)}",
            f"run deploys/{deploy}.py, or {by_hand(claim, key, value)}",
            severity,
        )
    if not later and not sooner:
        yield from _unknown(has, told, wanted, claim)


def _wanted(claim: Claim) -> dict[str, str]:
    """The annotations that the inventory comes to."""
    it = claim.wanted
    if it.name is None:
        return {ADDRESS[False]: it.address} if it.address else {}
    return {NAME[False]: it.name, **({GROUP: it.group} if it.group else {})}


def _differing(claim: Claim, said: Mapping[str, str], has: Mapping[str, str]) -> dict[str, str]:
    """Those that the Service has otherwise; a name, a group and an address say one thing."""
    unset = {GROUP: claim.aks.node_group if claim.aks else "", INTERNAL: "false"}
    return {
        key: value
        for key, value in said.items()
        if not arm.same(value.strip(), has.get(key, unset.get(key, "")).strip())
        and not (
            key in ADDRESS.values() and value == arm.text(claim.service, "spec", "loadBalancerIP")
        )
    }


def _at(found: object) -> str | None:
    return arm.text(found, "properties", "ipAddress") or None


def _listed(said: Mapping[str, str]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in said.items())


def _has(said: Mapping[str, str], has: Mapping[str, str]) -> str:
    """Such as "lacks it", or "has public-old"."""
    other = [f"{key}: {has[key]}" for key in said if has.get(key)]
    return f"has {', '.join(other)}" if other else "lacks it"


def _unknown(
    has: Mapping[str, str], told: Mapping[str, str], wanted: Mapping[str, str], claim: Claim
) -> Iterator[Problem]:
    """One that somebody wrote onto the Service, which goes with the Service."""
    own = {
        key: has[key]
        for key in (*NAME.values(), *ADDRESS.values(), *FROM_PREFIX.values())
        if has.get(key) and key not in told and key not in wanted
    }
    if own:
        key, value = next(iter(own.items()))
        yield Problem(
            "GW715",
            f"the Service has {_listed(own)}, which neither the inventory nor an EnvoyProxy says: "
            "it is lost when the Service is made anew",
            by_hand(claim, key, value),
            "warning",
        )


def _contradictions(claim: Claim, landscape: Landscape) -> Iterator[Problem]:
    for v6 in claim.families:
        it = asked_by(claim, v6)
        if it.address and not _is_address(it.address, v6):
            yield Problem(
                "GW716",
                f"{ADDRESS[v6]}: {it.address} is no address of IPv{6 if v6 else 4}",
                by_hand(claim, ADDRESS[v6], "an address of a public IP"),
            )
        elif claim.internal and (it.name or it.prefix or claim.wanted.name):
            what = NAME[v6] if it.name else FROM_PREFIX[v6] if it.prefix else "the public_ip"
            yield Problem(
                "GW716",
                f"its load balancer is internal (azure-load-balancer-internal), and {what} asks "
                "for a public IP, which Azure does not look at",
                "take azure-load-balancer-internal away for a public Gateway, or the public IP for "
                "an internal one",
                "error" if claim.wanted.name else "warning",
            )
        else:
            yield from _over_each_other(claim, landscape, v6)


def _is_address(value: str, v6: bool) -> bool:
    try:
        return ip_address(value).version == (6 if v6 else 4)
    except ValueError:
        return False


def _over_each_other(claim: Claim, landscape: Landscape, v6: bool) -> Iterator[Problem]:
    """Settings of which Azure takes the first: name, prefix, address, spec.loadBalancerIP."""
    it = asked_by(claim, v6)
    found = resource(claim, landscape, v6)
    of_prefix = arm.text(found, "properties", "publicIPPrefix", "id")
    old = arm.text(claim.service, "spec", "loadBalancerIP")
    said: list[tuple[str, str]] = []
    if it.name and it.address and found is not None and _at(found) not in (None, it.address):
        said.append((f"{NAME[v6]}: {it.name} ({_at(found)})", f"the address {it.address}"))
    if it.name and it.prefix and found is not None and not arm.same(of_prefix, it.prefix):
        said.append((f"{NAME[v6]}: {it.name}", f"{FROM_PREFIX[v6]}: {it.prefix}"))
    if it.prefix and it.address and not it.name:
        said.append((f"{FROM_PREFIX[v6]}: {it.prefix}", f"the address {it.address}"))
    if it.address and not it.legacy and old and (":" in old) is v6 and old != it.address:
        said.append((f"{ADDRESS[v6]}: {it.address}", f"spec.loadBalancerIP: {old}"))
    for first, second in said:
        yield Problem(
            "GW716",
            f"it asks for {first} and for {second}, and Azure takes the first alone",
            "take away the one that is not meant",
            "warning",
        )


def _deprecated(claim: Claim) -> Iterator[Problem]:
    """Service.spec.loadBalancerIP (Kubernetes API reference: deprecated since 1.24)."""
    old = arm.text(claim.service, "spec", "loadBalancerIP")
    v6 = ":" in old
    if old and (asked_by(claim, v6).legacy or claim.internal):
        yield Problem(
            "GW717",
            f"its address {old} is asked for by spec.loadBalancerIP, which is deprecated",
            f"{by_hand(claim, ADDRESS[v6], old)}, and take loadBalancerIP away",
            "warning",
        )


def _source_ranges(claim: Claim) -> Iterator[Problem]:
    """
    cloud-provider-azure 1.36, pkg/provider/loadbalancer: ranges in both places are refused, and one
    that is none shuts out everybody who is not named.
    """
    spec = arm.texts(claim.service, "spec", "loadBalancerSourceRanges")
    said = arm.pairs(claim.service, "metadata", "annotations")
    keys = [it for it in (_RANGES, _RANGES_OF_KUBERNETES) if said.get(it)]
    ranges = [it.strip() for key in keys for it in said[key].split(",")]
    if spec and ranges:
        yield Problem(
            "GW721",
            f"it has source ranges in spec.loadBalancerSourceRanges and in {keys[0]}: Azure takes "
            "no change of this Service any more",
            f"keep those in {keys[0]} alone",
        )
    wrong = [it for it in [*spec, *ranges] if network(it) is None]
    if wrong:
        yield Problem(
            "GW721",
            f"{', '.join(wrong)} among its source ranges is none, so that Azure denies all others",
            "write ranges such as 203.0.113.0/24, separated by commas",
        )
    elif [*spec, *ranges] and not claim.internal and not said.get(_TAGS) and _all_private(claim):
        yield Problem(
            "GW721",
            f"its source ranges {', '.join([*spec, *ranges])} are private ones, and its address is "
            "public: what comes from the Internet has no such source",
            "name the public ranges of the clients, or take the ranges away",
            "warning",
        )
    if spec and said.get(_TAGS):
        yield Problem(
            "GW721",
            f"it has spec.loadBalancerSourceRanges and {_TAGS}: {said[_TAGS]}, which Azure does "
            "not add up as one would think",
            f"move the ranges into {_RANGES}",
            "warning",
        )


def sources(claim: Claim) -> tuple[str, ...]:
    """Who is to get in: tags of services and ranges, ("Internet",) where nothing is said."""
    spec = arm.texts(claim.service, "spec", "loadBalancerSourceRanges")
    said = arm.pairs(claim.service, "metadata", "annotations")
    named = [said.get(it, "").split(",") for it in (_RANGES, _RANGES_OF_KUBERNETES)]
    ranges = [it.strip() for it in [*spec, *(part for it in named for part in it)]]
    found = [*ranges, *(it.strip() for it in said.get(_TAGS, "").split(","))]
    good = [it for it in found if it and (it not in ranges or network(it) is not None)]
    return tuple(good) if any(found) else ("Internet",)


def _all_private(claim: Claim) -> bool:
    ranges = [network(it) for it in sources(claim)]
    return all(it is not None and private(it) for it in ranges)


def _spec_addresses(claim: Claim) -> Iterator[Problem]:
    """Envoy Gateway makes them externalIPs of the Service, which Azure does not know of."""
    for gateway in claim.gateways:
        wrong = [
            value
            for it in arm.objects(gateway, "spec", "addresses")
            if (value := arm.text(it, "value")) and value not in claim.addresses()
        ]
        if wrong:
            key = ADDRESS[":" in wrong[0]]
            yield Problem(
                "GW728",
                f"Gateway {arm.text(gateway, 'metadata', 'name')} asks for {', '.join(wrong)} in "
                "spec.addresses: on Azure no load balancer gets that address, and the Gateway's "
                "status shows it all the same",
                f"take spec.addresses away and {by_hand(claim, key, wrong[0])}",
                "warning",
            )


def idle(claim: Claim) -> int | None:
    """Minutes after which idle connections are cut, as the Service says."""
    return arm.number(claim.service, "metadata", "annotations", IDLE)
