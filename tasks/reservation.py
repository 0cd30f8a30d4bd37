"""
Public IPs that outlive their cluster: made and locked in Azure, asked for by the Service, and
proven by requests. No public IP is ever deleted, and none that exists is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError, OperationError

from tasks import certificates, change, desired, gateways, public_ips
from tasks.facts import azure
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.guard import Steps, fleet_operation
from tasks.fleet.inventory import Cluster
from tasks.operations import azure as acting
from tasks.operations import probe
from tasks.operations.kube import show, wait_until
from tasks.plans import arm, asking, preflight, probes, reservable, reservation
from tasks.plans.aks import ManagedCluster
from tasks.plans.kinds import title
from tasks.plans.preflight import Reason
from tasks.plans.public_ips import Claim, Landscape
from tasks.plans.reservation import Decided, Make, Order

Object = Mapping[str, Any]


@dataclass
class _Work:
    """
    One cluster.

    + orders: by the title of what gets the address, such as "Gateway edge/public"
    + there: titles of those that the cluster has already; + makes: what is missing in Azure
    + addresses: by title, as far as they are known
    """

    aks: ManagedCluster
    orders: Mapping[str, Order]
    there: Sequence[str]
    makes: Sequence[Make] = ()
    addresses: dict[str, str | None] = field(default_factory=dict)


#: By cluster.
_works: dict[str, _Work] = {}


def reserve() -> None:
    """Deploy code: every Gateway of this cluster that has a ``public_ip`` gets it."""
    data = fleet_run.cluster()
    _known()
    with attempt("Reserve") as it:
        gateways.watched(name="Watch traffic", data=data)
        reserved(name="Public IPs", data=data)
        asked_for(name="Gateways", manifests=desired.objects(host.name, data), data=data)
        carried(name="Addresses", data=data)
    with it.always():
        gateways.judged(name="Traffic meanwhile", data=data)
        change.ended(name="Lease", data=data)
    settle(it)


def _known() -> None:
    """Raises Refused where two clusters of the inventory want one public IP."""
    every = fleet_run.current().clusters
    twice = reservation.claimed_twice({name: [*orders(it).values()] for name, it in every.items()})
    if twice:
        raise fleet_run.Refused(twice)


def orders(data: Cluster) -> dict[str, Order]:
    """What the inventory wants, by the title of what gets it; merged Gateways share one."""
    found = {}
    for it in data.gateways:
        ip = data.shared_public_ip or it.public_ip
        if ip is not None:
            wanted = public_ips.wanted_by(it, data)
            found[f"Gateway {it.namespace}/{it.name}"] = Order(wanted, ip.role, ip.tags)
    return found


@fleet_operation()
def reserved(data: Cluster) -> Steps:
    """
    Make what is missing in Azure: the address, its lock, the role of the cluster's identity. Where
    something stands in the way of one of them nothing is made.
    """
    _works.pop(host.name, None)
    wanted = orders(data)
    if not wanted:
        host.noop("no Gateway has a public_ip")
        return
    work = _works[host.name] = _looked(data, wanted)
    for it in work.makes:
        show(f"Will make {it.title}", [f"+{line}" for line in it.lines])
    if not work.makes:
        host.noop("Azure has what is wanted")
        return
    change.begin(data)
    making = acting.Created(work.makes, work.aks.location)
    yield making
    if not state.is_executing:
        return
    if making.refused:
        raise OperationError(making.refused)
    for name, order in wanted.items():
        made = making.made.get(reservable.id_of(order.wanted, work.aks).lower())
        work.addresses[name] = arm.text(made, "properties", "ipAddress") or work.addresses[name]
    fleet_run.note(host, "made in Azure", "; ".join(it.title for it in work.makes))


def _looked(data: Cluster, wanted: Mapping[str, Order]) -> _Work:
    """Raises DeployError with everything that stands in the way."""
    aks = public_ips.cluster_of_azure()
    if aks is None:
        raise DeployError(
            "it is not known which cluster of Azure this is: write it as @aks/<subscription>/"
            f"<group>/{host.name}, or let this identity read it there (role Reader)"
        )
    azure_has, claims = azure.landscape([aks.subscription], reservation.NEEDED), _claims(data)
    found = {name: _decided(order, aks, azure_has) for name, order in wanted.items()}
    reasons: list[Reason] = []
    for name, it in found.items():
        reasons += [Reason(f"{name}: {line}") for line in it.problems]
        reasons += [preflight.warning(f"{name}: {line}") for line in it.notes]
        if name in claims and not it.problems:
            moves = asking.moves(claims[name], it.address, azure_has)
            reasons += [Reason(moves, "address")] if moves else []
    change.heed(reasons, data)
    makes = {make.id.lower(): make for it in found.values() for make in it.makes}
    addresses = {name: it.address for name, it in found.items()}
    return _Work(aks, wanted, [it for it in wanted if it in claims], [*makes.values()], addresses)


def _claims(data: Cluster) -> dict[str, Claim]:
    """By the title of each Gateway, also of those that share one."""
    return {
        title(it): claim
        for claim in public_ips.claims(data, certificates.objects())
        for it in claim.gateways
    }


def _decided(order: Order, aks: ManagedCluster, there: Landscape) -> Decided:
    """A group is asked for only where something is to be made in it."""
    from tasks.connectors.arm import ArmError

    found = reservation.decided(order, aks, there)
    if found.address or found.problems:
        return found
    group = str(order.wanted.group)
    try:
        missing = acting.missing_group(aks.subscription, group)
    except ArmError as error:
        return Decided(problems=[f"resource group {group} cannot be read: {error}"])
    return Decided(problems=[reservable.no_group(order.wanted, aks)]) if missing else found


@fleet_operation()
def asked_for(manifests: Sequence[Object], data: Cluster) -> Steps:
    """
    Apply the Gateways that get an address, with the settings that ask for it. Those that are not
    there yet are left to the deploy that makes them.
    """
    work = _works.get(host.name)
    if work is None:
        return
    waiting = [it for it in work.orders if it not in work.there]
    if waiting:
        said = f"{', '.join(waiting)}: deploys/install.py makes it, with its address"
        fleet_run.note(host, "not there yet", said)
    if not work.there:
        host.noop("none of the Gateways is there yet")
        return
    mine = [it for it in manifests if _asks(it, work, data)]
    yield from gateways.applied._inner(manifests=mine, data=data)


def _asks(manifest: Object, work: _Work, data: Cluster) -> bool:
    """Whether it is a Gateway that gets an address, or what gives its Service the annotations."""
    name = manifest["metadata"]["name"]
    if manifest["kind"] == "EnvoyProxy" and data.merge_gateways:
        return bool(name == data.gateway_class)
    if manifest["kind"] == "EnvoyProxy":
        place = manifest["metadata"]["namespace"]
        proxies = [f"Gateway {place}/{name.removesuffix(asking.envoy_proxy(''))}"]
        return name.endswith(asking.envoy_proxy("")) and proxies[0] in work.there
    return title(manifest) in work.there


@fleet_operation()
def carried(data: Cluster) -> Steps:
    """
    Wait until Service and Gateway have the address, then ask each listener for an answer there.
    Changes nothing.
    """
    yield from ()
    work = _works.get(host.name)
    if work is None or not work.there or not state.is_executing:
        return
    addresses = {name: str(work.addresses[name]) for name in work.there}
    found: dict[str, Claim] = {}

    def missing() -> list[str]:
        found.update(_claims(data))
        return [
            line
            for name, address in addresses.items()
            for line in asking.not_carried(name, address, found.get(name))
        ]

    wait_until(missing, data.timeout)
    fleet_run.note(host, "addresses", ", ".join(f"{it} has {at}" for it, at in addresses.items()))
    fleet_run.journal("addresses", cluster=host.name, addresses=addresses)
    mine = [it for claim in found.values() for it in claim.gateways if title(it) in addresses]
    _prove(data, mine)


def _prove(data: Cluster, those: Sequence[Object]) -> None:
    """Each listener answers, whatever it answers: that the address leads to its proxies."""
    if not data.probe.enabled:
        fleet_run.note(host, "traffic", "not probed: probe.enabled is false")
        return
    asked = list(dict.fromkeys(it for gateway in those for it in probes.requests(gateway, ())))

    def unanswered() -> list[str]:
        return probes.problems(probe.send_all(asked), {})

    wait_until(unanswered, data.probe.timeout)
    fleet_run.note(host, "traffic", f"{len(asked)} listeners answer there")
    fleet_run.current().bakes[host.name] = unanswered
