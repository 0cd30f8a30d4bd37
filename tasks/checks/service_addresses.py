"""What is wrong with the addresses that Service and Gateway have."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.plans import arm
from tasks.plans.public_ips import Claim, Landscape, intended, resource
from tasks.plans.x509 import Problem


def problems(
    claim: Claim, landscape: Landscape, new: bool, broken: bool, codes: set[str]
) -> Iterator[Problem]:
    """Whether Service and Gateway carry the address that is wanted."""
    if broken or claim.unread:
        return
    if claim.service is None:
        if claim.gateways:
            yield Problem(
                "GW712",
                "it has no Service: Envoy Gateway has not made one",
                "look at the conditions of the Gateway and of its GatewayClass",
            )
        return
    if not claim.addresses():
        if not new:
            yield Problem(
                "GW712",
                f"the Service has no address{claim.evidence}",
                f"kubectl -n {arm.text(claim.service, 'metadata', 'namespace')} describe service "
                f"{arm.text(claim.service, 'metadata', 'name')} has the events of Azure",
            )
        return
    wrong = list(_not_wanted(claim, landscape)) if "GW715" not in codes else []
    yield from wrong
    if not wrong and "GW728" not in codes and not new:
        yield from _differing(claim)


def _not_wanted(claim: Claim, landscape: Landscape) -> Iterator[Problem]:
    for v6 in claim.families:
        found, it = resource(claim, landscape, v6), intended(claim, v6)
        has = arm.text(found, "properties", "ipAddress")
        meant = claim.wanted.address if claim.wanted.name and not v6 else None
        if meant and has and has != meant:
            yield Problem(
                "GW714",
                f"the inventory wants address {meant}, and public IP {it.name} has {has}",
                f"name the public IP that has {meant}, or correct the address",
            )
            continue
        wanted = has or it.address
        given = claim.addresses(v6)
        if wanted and given and wanted not in given:
            yield Problem(
                "GW714",
                f"the Service has {', '.join(given)}, and wanted is {wanted}"
                + (f" (public IP {it.name})" if it.name else ""),
                "the events of the Service say why Azure has not moved it: kubectl -n "
                f"{arm.text(claim.service, 'metadata', 'namespace')} describe service "
                f"{arm.text(claim.service, 'metadata', 'name')}",
            )


def _differing(claim: Claim) -> Iterator[Problem]:
    for gateway in claim.gateways:
        shown = {arm.text(it, "value") for it in arm.objects(gateway, "status", "addresses")} - {""}
        if shown != set(claim.addresses()):
            says = ", ".join(sorted(shown)) or "no address"
            yield Problem(
                "GW713",
                f"Gateway {arm.text(gateway, 'metadata', 'name')} says {says}, and its Service has "
                f"{', '.join(claim.addresses())}",
                "look whether the controller runs (deploys/status.py): it copies the address",
                "warning",
            )
