"""
What is wrong with the public IP that a claim is about: whether it is there, fits, lasts, is free,
and may be used by the cluster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tasks.checks.service_asks import by_hand
from tasks.plans import arm, az_commands, azure_roles
from tasks.plans.aks import ManagedCluster
from tasks.plans.arm import ResourceId
from tasks.plans.public_ips import (
    GROUP,
    NAME,
    Asked,
    Claim,
    Holder,
    Landscape,
    Object,
    asked_by,
    elsewhere,
    group_of,
    holder,
    intended,
    key,
    lifecycle,
    locks,
    named,
    place,
    resource,
    subscription_of,
)
from tasks.plans.x509 import Problem, Severity


def problems(
    claim: Claim, landscape: Landscape, v6: bool, known: Collection[str]
) -> Iterator[Problem]:
    """
    The public IP in ARM, and whether this cluster may have it.

    + known: codes of what is wrong with what is asked, which explains that it is looked for at the
      wrong place (GW715) or at none (GW716)
    """
    if claim.aks is None or claim.internal:
        return
    subscription = intended(claim, v6).subscription or claim.aks.subscription
    if not landscape.knows("publicIPAddresses", subscription):
        return
    found = resource(claim, landscape, v6)
    if found is None:
        other = _usable(claim, landscape, v6)
        found = other[0] if other else None
        if found is None and "GW716" not in known:
            yield from _missing(claim, landscape, v6)
        elif found is not None and "GW715" not in known:
            yield _other_group(claim, found, v6)
    elif not arm.same(subscription_of(found), claim.aks.subscription):
        yield _other_group(claim, found, v6)
    if found is None:
        return
    held = holder(found, landscape, claim.aks)
    ours = held is not None and held.cluster == claim.aks.key
    if held is not None and not ours:
        yield _held(held, found, landscape)
    yield from _kind(claim, landscape, found, ours)
    yield from _lasts(claim, landscape, found, v6)
    if held is None or ours:
        yield from _may(claim, landscape, found, ours, v6)


def _usable(claim: Claim, landscape: Landscape, v6: bool) -> list[Object]:
    """Public IPs at another place that may be meant: none that another one has."""
    found = []
    for it in elsewhere(claim, landscape, v6):
        held = holder(it, landscape, claim.aks)
        mine = claim.aks is not None and held is not None and held.cluster == claim.aks.key
        near = claim.aks is None or _region(arm.text(it, "location")) == _region(claim.aks.location)
        if (held is None or mine) and near:
            found.append(it)
    own = claim.aks.subscription if claim.aks else ""
    return sorted(found, key=lambda it: (not arm.same(subscription_of(it), own), key(it)))


def _other_group(claim: Claim, found: Object, v6: bool) -> Problem:
    it, aks = intended(claim, v6), claim.aks
    looked = it.group or (aks.node_group if aks else "")
    what = f"public IP {named(found)} lies in resource group {group_of(found)}"
    severity: Severity = (
        "warning" if arm.text(found, "properties", "ipAddress") in claim.addresses() else "error"
    )
    if aks and not arm.same(subscription_of(found), aks.subscription):
        own = arm.group_id(aks.subscription, group_of(found))
        return Problem(
            "GW704",
            f"{what} of subscription {subscription_of(found)}, and AKS uses those of the cluster's "
            f"own subscription {aks.subscription} alone",
            f"{az_commands.create(own, named(found), aks.location)}, and name that one",
            severity,
        )
    own = " (its node resource group)" if aks and arm.same(looked, aks.node_group) else ""
    fix = by_hand(claim, GROUP, group_of(found))
    if claim.wanted.name:
        fix = f"say resource_group: {group_of(found)} in public_ip of the inventory, or {fix}"
    return Problem("GW704", f"{what}, and Azure looks in {looked}{own} alone", fix, severity)


def _missing(claim: Claim, landscape: Landscape, v6: bool) -> Iterator[Problem]:
    it, group = intended(claim, v6), place(claim, intended(claim, v6))
    if it.name or (it.address and not it.prefix):
        what = f"public IP {it.name}" if it.name else f"a public IP with the address {it.address}"
        there = arm.parse(group).name if group else ""
        yield Problem(
            "GW701",
            f"{what} does not exist in resource group {there}{claim.evidence}",
            _make(claim, it),
        )
    elif it.prefix and claim.aks and not _has_prefix(it.prefix, landscape):
        yield Problem(
            "GW701",
            f"public IP prefix {it.prefix.rsplit('/', 1)[-1]} does not exist{claim.evidence}",
            "make it, or take azure-pip-prefix-id away",
        )
    elif claim.addresses(v6):
        yield Problem(
            "GW701",
            f"the Service has {', '.join(claim.addresses(v6))}, which no public IP of subscription "
            f"{claim.aks.subscription if claim.aks else ''} has",
            "delete what is left of it by making the Service anew, with a public IP that lasts: "
            "public_ip in the inventory and deploys/reserve_public_ip.py",
        )


def _has_prefix(prefix: str, landscape: Landscape) -> bool:
    """Also where it is not known."""
    found = arm.parsed(prefix)
    if found is None:
        return False
    known = landscape.knows("publicIPPrefixes", found.subscription)
    return not known or found.key in landscape.of("publicIPPrefixes")


def _make(claim: Claim, it: Asked) -> str:
    """How a public IP comes to be; Azure gives an address of its own choice."""
    if claim.aks is None:
        return "make it"
    group = place(claim, it) or ""
    own = arm.same(it.group or claim.aks.node_group, claim.aks.node_group)
    if it.name is None:
        return (
            "an address that is lost cannot be asked for again: "
            f"{by_hand(claim, NAME[False], 'NAME')} for a public IP that exists, and correct DNS"
        )
    zones, prefix = claim.wanted.zones, claim.wanted.prefix
    command = az_commands.create(
        group, it.name, claim.aks.location, ("1", "2", "3") if zones is None else zones, prefix
    )
    if own:
        command += " (a group that outlives the cluster is better: public_ip.resource_group)"
    return f"deploys/reserve_public_ip.py, or {command}" if claim.wanted.name else command


def _another(claim: Claim, found: Object, suffix: str) -> str:
    """The command that makes one beside it that fits."""
    group = arm.group_id(subscription_of(found), group_of(found))
    location = claim.aks.location if claim.aks else arm.text(found, "location")
    return f"{az_commands.create(group, f'{named(found)}-{suffix}', location)}, and name that one"


def _held(held: Holder, found: Object, landscape: Landscape) -> Problem:
    address = arm.text(found, "properties", "ipAddress")
    what = f"public IP {named(found)} ({address or 'no address'}) is bound to {held.text}"
    if held.cluster:
        own = held.cluster.rsplit("/", 1)[-1]
        fix = (
            f"take it from the Gateway of {own} first, or, where {own} is lost, delete that cluster"
        )
    else:
        fix = f"detach it there (az resource show --ids {held.id}), or name another public IP"
    return Problem("GW706", what, fix)


def _region(location: str) -> str:
    """ "West Europe" and "westeurope" are one."""
    return location.replace(" ", "").lower()


def _balancer_sku(claim: Claim, landscape: Landscape) -> str:
    """Such as "standard", of the cluster's load balancers."""
    cluster = landscape.of("managedClusters").get(claim.aks.key if claim.aks else "")
    return (
        arm.text(cluster, "properties", "networkProfile", "loadBalancerSku").lower() or "standard"
    )


def _kind(claim: Claim, landscape: Landscape, found: Object, ours: bool) -> Iterator[Problem]:
    """What it is: SKU, tier, region, zones, state."""
    sku = arm.text(found, "sku", "name").lower() or "basic"
    wanted = _balancer_sku(claim, landscape)
    title = f"public IP {named(found)}"
    dynamic = arm.text(found, "properties", "publicIPAllocationMethod").lower() == "dynamic"
    static = az_commands.update(found, "--allocation-method", "Static")
    if dynamic and not sku.startswith("standard"):
        yield Problem(
            "GW702",
            f"{title} is Dynamic: its address changes when it is unbound",
            static,
            "warning",
        )
    if sku != wanted:
        yield Problem(
            "GW703",
            f"{title} is of SKU {arm.text(found, 'sku', 'name') or 'Basic'}, and the load balancer "
            f"of the cluster is {wanted.capitalize()}: the two cannot be joined",
            f"unbind it, then {az_commands.update(found, '--sku', wanted.capitalize())}"
            if sku == "basic"
            else _another(claim, found, "standard"),
        )
    elif sku == "basic":
        yield Problem(
            "GW703",
            f"{title} is of SKU Basic, as the load balancer is, which Azure has retired",
            "move the cluster to a load balancer of SKU Standard (az aks update "
            "--load-balancer-sku standard)",
            "warning",
        )
    if arm.text(found, "sku", "tier").lower() == "global":
        yield Problem(
            "GW729",
            f"{title} is of tier Global, which no load balancer of a cluster takes",
            _another(claim, found, "regional"),
        )
    yield from _where(claim, found, title)
    yield from _state(found, title, ours)


def _where(claim: Claim, found: Object, title: str) -> Iterator[Problem]:
    location, zones = arm.text(found, "location"), tuple(sorted(arm.texts(found, "zones")))
    own = claim.aks.location if claim.aks else ""
    if location and own and _region(location) != _region(own):
        yield Problem(
            "GW709",
            f"{title} is in {location}, and the cluster in {own}: they cannot be joined",
            _another(claim, found, own),
        )
    if len(zones) == 1 and zones != claim.wanted.zones:
        yield Problem(
            "GW710",
            f"{title} is in zone {zones[0]} alone, and is lost when that zone is",
            f"zones cannot be changed: {_another(claim, found, 'zones')}, and move DNS to it",
            "warning",
        )


def _state(found: Object, title: str, ours: bool) -> Iterator[Problem]:
    state = arm.text(found, "properties", "provisioningState")
    if state in ("", "Succeeded"):
        return
    severity: Severity = "error"
    if ours or state != "Failed":
        severity = "warning" if state == "Failed" else "info"
    yield Problem(
        "GW711",
        f"{title} is in state {state}",
        f"{az_commands.update(found)} makes Azure try again" if state == "Failed" else "wait",
        severity,
    )


def _lasts(claim: Claim, landscape: Landscape, found: Object, v6: bool) -> Iterator[Problem]:
    """What deletes it."""
    it = intended(claim, v6)
    title, named_one = f"public IP {named(found)}", bool(it.name or it.address)
    if lifecycle(found, claim, landscape) == "cluster":
        yield Problem(
            "GW707",
            f"{title} ({arm.text(found, 'properties', 'ipAddress')}) lies in node resource group "
            f"{group_of(found)}: it goes with the cluster"
            + ("" if named_one else ", and with the Service"),
            "reserve one in a group of its own: public_ip in the inventory and "
            "deploys/reserve_public_ip.py",
            "warning" if named_one else "info",
        )
    elif landscape.knows("locks", subscription_of(found)):
        yield from _locked(claim, landscape, found, title)


def _locked(claim: Claim, landscape: Landscape, found: Object, title: str) -> Iterator[Problem]:
    held = locks(found, landscape)
    frozen = [(name, scope) for name, level, scope in held if level.lower() == "readonly"]
    if frozen:
        name, scope = frozen[0]
        yield Problem(
            "GW708",
            f"{title} has lock {name} of level ReadOnly: Azure can neither bind nor move it",
            az_commands.relax(f"{scope}/providers/Microsoft.Authorization/locks/{name}"),
            "warning",
        )
    elif not held and claim.wanted.lock:
        yield Problem(
            "GW708",
            f"{title} has no lock against deletion, nor has its group or subscription",
            az_commands.lock(found),
            "warning",
        )


def _may(
    claim: Claim, landscape: Landscape, found: Object, ours: bool, v6: bool
) -> Iterator[Problem]:
    """Whether the cluster's identity may use what lies outside of its node resource group."""
    of_ip = lifecycle(found, claim, landscape) != "cluster"
    at = arm.parsed(arm.text(found, "id") if of_ip else asked_by(claim, v6).prefix)
    aks = claim.aks
    if aks is None or at is None or not landscape.knows("roleAssignments", at.subscription):
        return
    scope = arm.group_id(at.subscription, at.group or "")
    if aks.identity is None:
        yield _unknown_roles(aks, at, scope)
        return
    known = landscape.of("roleAssignments").values(), landscape.of("roleDefinitions")
    if of_ip:
        may = azure_roles.may_use(aks.identity, at.text, *known)
    else:
        may = azure_roles.allowed(aks.identity, (azure_roles.JOIN_PREFIX,), at.text, *known)
    if may.missing and may.unsure:
        yield Problem(
            "GW700",
            f"whether the cluster's identity {aks.identity} may use {at.name} was not checked: "
            f"{'; '.join(may.unsure)}",
            az_commands.assign(aks.identity, scope) + " makes sure",
            "info",
        )
    elif may.missing:
        yield Problem(
            "GW705",
            f"the cluster's identity {aks.identity} lacks {' and '.join(may.missing)} in "
            f"resource group {at.group}"
            + (": the next change of the load balancer fails" if ours else claim.evidence),
            az_commands.assign(aks.identity, scope),
            "warning" if ours else "error",
        )


def _unknown_roles(aks: ManagedCluster, at: ResourceId, scope: str) -> Problem:
    return Problem(
        "GW700",
        f"the cluster signs in as service principal {aks.client_id or '(not known)'}, whose roles "
        f"on resource group {at.group} were not checked",
        f"az role assignment list --assignee {aks.client_id or 'CLIENT_ID'} --scope {scope} "
        "--include-inherited",
        "info",
    )
