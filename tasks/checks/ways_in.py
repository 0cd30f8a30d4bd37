"""
What is wrong with the way from the address of a Gateway to its nodes: load balancing rules, health
probes, and network security groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.checks.service_asks import idle, sources
from tasks.plans import arm, az_commands
from tasks.plans.load_balancers import Port, Rule, frontends, ports, rules, unfit
from tasks.plans.public_ips import IDLE, Claim, Landscape, Object, resource, serving
from tasks.plans.security_groups import (
    BALANCER,
    INTERNET,
    Traffic,
    Verdict,
    network,
    of_nodes,
    verdict,
)
from tasks.plans.x509 import Problem

_PORT = "service.beta.kubernetes.io/port_"
#: Where the priorities of rules begin and end (Azure docs, "Network security groups").
_FIRST = 100


@dataclass(frozen=True)
class Way:
    """One port of an address with the rule that Azure has for it."""

    address: str
    port: Port
    rule: Rule


def problems(claim: Claim, landscape: Landscape, new: bool, broken: bool) -> Iterator[Problem]:
    """
    + new: Azure may still be making it; + broken: why nothing comes in is known already, so what is
      missing is no finding of its own
    """
    if claim.aks is None or claim.service is None or not claim.addresses() or claim.unread:
        return
    if not landscape.knows("loadBalancers", claim.aks.subscription):
        return
    if not landscape.knows("publicIPAddresses", claim.aks.subscription) and not claim.internal:
        return
    ways = list(_ways(claim, landscape))
    if not broken and not (new and not ways):
        yield from _without_rule(claim, landscape, ways)
    yield from _probes(claim, ways)
    yield from _idle(claim, landscape, ways)
    if not claim.internal and landscape.knows("networkSecurityGroups", claim.aks.subscription):
        yield from _security(claim, landscape, ways)


def _ways(claim: Claim, landscape: Landscape) -> Iterator[Way]:
    addresses = claim.addresses()
    for balancer, frontend in frontends(claim, landscape):
        address = _address(landscape, frontend) or addresses[0]
        for rule in rules(balancer, frontend):
            for port in ports(claim.service):
                if rule.serves(port):
                    yield Way(address, port, rule)


def _address(landscape: Landscape, frontend: str) -> str | None:
    """The public address of a frontend; None where it has a private one."""
    found = landscape.public_ips_by.get(frontend, ())
    return next((it for one in found if (it := arm.text(one, "properties", "ipAddress"))), None)


def _without_rule(claim: Claim, landscape: Landscape, ways: Sequence[Way]) -> Iterator[Problem]:
    """The rules of a Service are written in one call, so that none is new beside others."""
    group = claim.aks.node_group if claim.aks else ""
    if not frontends(claim, landscape):
        if claim.internal or any(serving(claim, landscape, it) for it in claim.families):
            yield Problem(
                "GW718",
                f"no load balancer in {group} has the address {', '.join(claim.addresses())}",
                _again(claim),
            )
        return
    bare = [it for it in ports(claim.service) if not _off(claim, it, "no_lb_rule")]
    for v6 in claim.families:
        own = {it.port for it in ways if (":" in it.address) is v6}
        lacking = [it for it in bare if it not in own]
        if lacking and claim.addresses(v6):
            yield Problem(
                "GW718",
                f"load balancer in {group} has no rule for {_ports(lacking)} of "
                f"{', '.join(claim.addresses(v6))}{_listeners(claim, lacking)}",
                _again(claim),
            )


def _off(claim: Claim, port: Port, what: str) -> bool:
    """Whether the Service says that a port is to have no rule, or no probe."""
    said = arm.pairs(claim.service, "metadata", "annotations")
    return said.get(f"{_PORT}{port.number}_{what}", "").lower() == "true"


def _listeners(claim: Claim, lacking: Sequence[Port]) -> str:
    """Such as " (listener https)"."""
    numbers = {it.number for it in lacking}
    names = sorted(
        arm.text(it, "name")
        for gateway in claim.gateways
        for it in arm.objects(gateway, "spec", "listeners")
        if arm.number(it, "port") in numbers
    )
    return f" (listener {', '.join(names)})" if names else ""


def _ports(found: Sequence[Port]) -> str:
    return "port " + ", ".join(f"{it.number}/{it.protocol}" for it in found)


def _again(claim: Claim) -> str:
    """What makes AKS look at a Service again."""
    namespace = arm.text(claim.service, "metadata", "namespace")
    name = arm.text(claim.service, "metadata", "name")
    return (
        f"kubectl -n {namespace} annotate service {name} envoyfleet/sync=again --overwrite has AKS "
        "write it again; the events of the Service say why where it does not"
    )


def _probes(claim: Claim, ways: Sequence[Way]) -> Iterator[Problem]:
    said: dict[str, list[tuple[Port, str]]] = {}
    bare = []
    for way in ways:
        if way.port.protocol != "TCP" or _off(claim, way.port, "no_probe_rule"):
            continue
        if way.rule.probe is None:
            bare.append(way.port)
            continue
        why = unfit(way.rule.probe, way.port, claim.service or {})
        if why is not None and not (_asks_proxy(way) and _answered(claim, way.port)):
            said.setdefault(why, []).append((way.port, way.rule.probe.text))
    if bare:
        yield Problem(
            "GW718",
            f"the rule for {_ports(_once(bare))} has no health probe: traffic goes to nodes that "
            "are down, too",
            _again(claim),
            "warning",
        )
    policy = arm.text(claim.service, "spec", "externalTrafficPolicy") or "Cluster"
    for why, found in said.items():
        probes = ", ".join(dict.fromkeys(text for _, text in found))
        yield Problem(
            "GW719",
            f"probe {probes} of {_ports(_once([port for port, _ in found]))} cannot work "
            f"(externalTrafficPolicy {policy}): {why}",
            "take the annotations azure-load-balancer-health-probe-... and "
            f"port_..._health-probe_... away; then {_again(claim)}",
        )


def _asks_proxy(way: Way) -> bool:
    probe = way.rule.probe
    return probe is not None and probe.protocol != "TCP" and probe.port == way.port.node


def _answered(claim: Claim, port: Port) -> bool:
    """Whether something came in there, so that a proxy gives the probe its answer."""
    return any(it.port == port.number and it.why is None for it in claim.answers)


def _once(found: Sequence[Port]) -> list[Port]:
    return list(dict.fromkeys(found))


def _idle(claim: Claim, landscape: Landscape, ways: Sequence[Way]) -> Iterator[Problem]:
    """Azure cuts inbound connections by the rule's time; the public IP's is another one."""
    cut = sorted({it.rule.idle for it in ways if it.rule.idle is not None})
    asked = idle(claim)
    of_ip = arm.number(resource(claim, landscape), "properties", "idleTimeoutInMinutes")
    meant = asked if asked is not None else of_ip if of_ip != _IDLE else None
    if meant is not None and cut and cut != [meant]:
        what = f"the annotation {IDLE}" if asked is not None else "the public IP"
        yield Problem(
            "GW727",
            f"{what} says {meant} minutes, and the load balancer cuts idle connections after "
            f"{', '.join(map(str, cut))}",
            _again(claim) if asked is not None else f'set {IDLE}: "{meant}"',
            "info",
        )


#: Minutes that a public IP has where nobody chose them.
_IDLE = 4


def _security(claim: Claim, landscape: Landscape, ways: Sequence[Way]) -> Iterator[Problem]:
    if claim.aks is None:
        return
    place = arm.group_id(claim.aks.subscription, claim.aks.node_group)
    groups = of_nodes(landscape.of("networkSecurityGroups"), place, claim.aks.subnets)
    for group in groups:
        yield from _of_group(claim, group, ways)


def _of_group(claim: Claim, group: Object, ways: Sequence[Way]) -> Iterator[Problem]:
    """One finding for each rule that keeps something out."""
    name = arm.text(group, "id").rsplit("/", 1)[-1]
    denied: dict[Verdict, list[tuple[Way, Traffic]]] = {}
    unsure: list[Way] = []
    for way in ways:
        for traffic in _traffic(claim, way):
            found = verdict(group, traffic)
            if found.allowed is None:
                unsure.append(way)
            elif not found.allowed or found.only:
                denied.setdefault(found, []).append((way, traffic))
    for found, by in denied.items():
        yield _denied(group, name, found, by) if not found.allowed else _narrow(name, found, by)
    if unsure:
        yield Problem(
            "GW700",
            f"network security group {name} was not judged for "
            f"{_ports(_once([it.port for it in unsure]))}: a rule has application security groups, "
            "or a range that may be the nodes'",
            "az network watcher test-ip-flow judges one packet",
            "info",
        )


def _traffic(claim: Claim, way: Way) -> Iterator[Traffic]:
    """What has to come in: the clients, and the load balancer's own probe."""
    floating = way.rule.floating
    port = way.port.number if floating else way.rule.backend
    if port is not None:
        for source in sources(claim):
            if not _of_family(source, way.address):
                continue
            yield Traffic(source, way.address if floating else None, port, way.port.protocol)
    if way.rule.probe is not None and way.rule.probe.port is not None:
        yield Traffic(BALANCER, None, way.rule.probe.port)


def _of_family(source: str, address: str) -> bool:
    """Whether a sender of this range can send to an address: a tag has both families."""
    known = network(source)
    return known is None or (known.version == 6) is (":" in address)


def _denied(group: Object, name: str, found: Verdict, by: Sequence[tuple[Way, Traffic]]) -> Problem:
    probes = [it for _, it in by if it.source == BALANCER]
    clients = [(way, it) for way, it in by if it.source != BALANCER]
    said, fixes = [], []
    if clients:
        source = sorted({it.source for _, it in clients})
        kept = _once([way.port for way, _ in clients])
        said.append(f"{_ports(kept)} from {', '.join(source)}")
        fixes.append(
            _allow(
                group,
                "allow-gateway",
                found,
                source[0],
                clients[0][1].destination or "*",
                sorted({it.port for _, it in clients}),
                0,
            )
        )
    if probes:
        at = sorted({it.port for it in probes})
        said.append(f"the health probes to port {', '.join(map(str, at))} from {BALANCER}")
        fixes.append(_allow(group, "allow-probes", found, BALANCER, "*", at, len(fixes)))
    return Problem(
        "GW720",
        f"rule {found.rule} of network security group {name} denies {' and '.join(said)}",
        " && ".join(fixes),
    )


def _allow(
    group: Object,
    name: str,
    found: Verdict,
    source: str,
    destination: str,
    ports: Sequence[int],
    later: int,
) -> str:
    """The command that makes a rule before the one that denies."""
    free = _free(group, found.priority, later)
    if free is None:
        own = arm.text(group, "id").rsplit("/", 1)[-1]
        return az_commands.az(
            *("network", "nsg", "rule", "delete", *az_commands.place(group)),
            *("--nsg-name", own, "-n", found.rule),
        )
    return az_commands.allow(group, name, free, source, destination, ports)


def _free(group: Object, before: int, later: int) -> int | None:
    """A priority that no rule has; None where the one that denies is the first."""
    taken = {
        arm.number(it, "properties", "priority")
        for it in arm.objects(group, "properties", "securityRules")
        if arm.text(it, "properties", "direction").lower() != "outbound"
    }
    free = [it for it in range(min(before, 4097) - 1, _FIRST - 1, -1) if it not in taken]
    return free[later] if later < len(free) else None


def _narrow(name: str, found: Verdict, by: Sequence[tuple[Way, Traffic]]) -> Problem:
    kept = _once([way.port for way, _ in by])
    asked = sorted({it.source for _, it in by})
    return Problem(
        "GW721",
        f"network security group {name} lets {', '.join(found.only)} alone in to {_ports(kept)}, "
        f"and the Service says {', '.join(asked)}",
        "nothing, where that is meant: such as what stands before it"
        if asked == [INTERNET]
        else "name the same sources at the Service",
        "info",
    )
