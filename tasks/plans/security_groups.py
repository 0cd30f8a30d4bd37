"""What the rules of a network security group do to traffic that comes in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Literal

from tasks.plans import arm

Object = Mapping[str, Any]
Network = IPv4Network | IPv6Network
#: The tag of what probes nodes, and of all clients outside of virtual networks.
BALANCER, INTERNET = "AzureLoadBalancer", "Internet"
_NETWORK = "VirtualNetwork"
Fits = Literal["all", "some", "none", "unknown"]
_PRIVATE = tuple(
    ip_network(it)
    for it in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
_EVERY = ("*", "any", "0.0.0.0/0", "::/0")
#: Those that every group ends with (Azure docs, "Network security groups", default rules).
_DEFAULTS = (
    ("AllowVnetInBound", 65000, "Allow", _NETWORK, _NETWORK),
    ("AllowAzureLoadBalancerInBound", 65001, "Allow", BALANCER, "*"),
    ("DenyAllInBound", 65500, "Deny", "*", "*"),
)


@dataclass(frozen=True)
class Traffic:
    """
    What comes in.

    + source: "Internet", another tag, or a range such as "203.0.113.0/24"
    + destination: the public IP where the load balancer keeps it (floating IP), else None for a
      node; + protocol: "TCP" or "UDP"
    """

    source: str
    destination: str | None
    port: int
    protocol: str = "TCP"


@dataclass(frozen=True)
class Verdict:
    """
    + allowed: None where a rule decides that cannot be judged; + rule: the name of what decides,
      with its priority
    + only: the sources that get in where not all of them do
    """

    allowed: bool | None
    rule: str = ""
    only: tuple[str, ...] = ()
    priority: int = 0


def verdict(group: Object, traffic: Traffic) -> Verdict:
    """
    The first rule that fits decides, by priority (Azure docs, "Network security groups"). One for a
    part of the sources lets these in, or keeps these out, and leaves the rest to the next; so a
    blocked country is no denial, and a list of senders is no way in for all.
    """
    only: list[str] = []
    doubt: set[bool] = set()
    for rule in _rules(group):
        allow = arm.text(rule, "properties", "access").lower() == "allow"
        fits = _fits(rule, traffic)
        if fits == "unknown":
            doubt.add(allow)
        elif fits == "some" and allow:
            only += _prefixes(rule, "source")
        elif fits == "all":
            if (not allow) in doubt:
                return Verdict(None)
            name, priority = arm.text(rule, "name"), _priority(rule)
            if not allow and only:
                return Verdict(True, name, tuple(dict.fromkeys(only)), priority)
            return Verdict(allow, name, (), priority)
    return Verdict(None)


def _rules(group: Object) -> list[Object]:
    """Those for what comes in, in their order."""
    own = arm.objects(group, "properties", "securityRules")
    default = arm.objects(group, "properties", "defaultSecurityRules") or list(_defaults())
    found = [
        it
        for it in [*own, *default]
        if arm.text(it, "properties", "direction").lower() != "outbound"
    ]
    return sorted(
        found,
        key=lambda it: (_priority(it), arm.text(it, "name")),
    )


def _priority(rule: Object) -> int:
    return arm.number(rule, "properties", "priority") or 0


def _defaults() -> Iterator[Object]:
    for name, priority, access, source, destination in _DEFAULTS:
        yield {
            "name": name,
            "properties": {
                "priority": priority,
                "access": access,
                "direction": "Inbound",
                "protocol": "*",
                "sourceAddressPrefix": source,
                "destinationAddressPrefix": destination,
                "sourcePortRange": "*",
                "destinationPortRange": "*",
            },
        }


def _fits(rule: Object, traffic: Traffic) -> Fits:
    protocol = arm.text(rule, "properties", "protocol").upper()
    if protocol not in ("*", "", "ANY", traffic.protocol.upper()):
        return "none"
    if not _port(rule, traffic.port):
        return "none"
    source = _source(rule, traffic.source)
    destination = _destination(rule, traffic.destination)
    if "none" in (source, destination):
        return "none"
    return "unknown" if "unknown" in (source, destination) else source


def _port(rule: Object, port: int) -> bool:
    ranges = [
        arm.text(rule, "properties", "destinationPortRange"),
        *arm.texts(rule, "properties", "destinationPortRanges"),
    ]
    return any(_holds(it, port) for it in ranges if it) or not any(ranges)


def _holds(ports: str, port: int) -> bool:
    first, _, last = ports.partition("-")
    if not first.strip().isdecimal():
        return ports.strip() == "*"
    return int(first) <= port <= int(last if last.strip().isdecimal() else first)


def _source(rule: Object, source: str) -> Fits:
    """How much of a source a rule is for."""
    if arm.objects(rule, "properties", "sourceApplicationSecurityGroups"):
        return "none"  # they hold network interfaces of the own network, never a client
    return _part(_prefixes(rule, "source"), source)


def _part(prefixes: Sequence[str], source: str) -> Fits:
    """How much of one source the prefixes of a rule hold."""
    if any(it.lower() in (*_EVERY, source.lower()) for it in prefixes) or not prefixes:
        return "all"
    wanted = network(source)
    if wanted is None:
        tagged = source.lower() == INTERNET.lower()
        return "some" if tagged and any(map(_of_the_internet, prefixes)) else "none"
    if INTERNET.lower() in [it.lower() for it in prefixes] and not private(wanted):
        return "all"
    held = [it for it in map(network, prefixes) if it is not None and it.version == wanted.version]
    if any(_inside(wanted, it) for it in held):
        return "all"
    return "some" if any(_inside(it, wanted) for it in held) else "none"


def _of_the_internet(prefix: str) -> bool:
    """Whether some clients out there are meant: a public range, or the tag of a service."""
    known = network(prefix)
    if known is None:
        return prefix.lower() not in (BALANCER.lower(), _NETWORK.lower())
    return not private(known)


def private(range_: Network) -> bool:
    """Whether it is of a network of one's own."""
    return any(_inside(range_, it) for it in _PRIVATE)


def _destination(rule: Object, address: str | None) -> Fits:
    if arm.objects(rule, "properties", "destinationApplicationSecurityGroups"):
        return "unknown"
    prefixes = _prefixes(rule, "destination")
    if not prefixes or any(it.lower() in _EVERY for it in prefixes):
        return "all"
    if address is None and any(it.lower() == _NETWORK.lower() for it in prefixes):
        return "all"
    ranges = [network(it) for it in prefixes]
    wanted = network(address) if address else None
    if wanted is not None and any(it is not None and _inside(wanted, it) for it in ranges):
        return "all"
    return "none" if all(it is not None and _elsewhere(it, wanted) for it in ranges) else "unknown"


def _elsewhere(range_: Network, wanted: Network | None) -> bool:
    """
    Whether a destination is surely another one: for a node, whose address is not known here, a
    public one; for a public IP another address, while a range of the network may mean the nodes.
    """
    if wanted is None:
        return not private(range_)
    return range_.num_addresses == 1 or not private(range_)


def _prefixes(rule: Object, side: str) -> list[str]:
    one = arm.text(rule, "properties", f"{side}AddressPrefix")
    return [*([one] if one else ()), *arm.texts(rule, "properties", f"{side}AddressPrefixes")]


def network(value: str) -> Network | None:
    """An address or range; None for a tag."""
    try:
        return ip_network(value.strip(), strict=False)
    except ValueError:
        return None


def _inside(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return False


def of_nodes(groups: Mapping[str, Object], node_group: str, subnets: Iterable[str]) -> list[Object]:
    """
    The groups that what comes to the nodes of a cluster has to pass: AKS's own, in the node
    resource group, and those of the subnets that its node pools are in.

    + node_group: id of the node resource group
    """
    wanted = {it.lower() for it in subnets}
    found = []
    for key, group in sorted(groups.items()):
        linked = {arm.text(it, "id").lower() for it in arm.objects(group, "properties", "subnets")}
        cards = arm.objects(group, "properties", "networkInterfaces")
        own = arm.within(key, node_group) and (
            linked or cards or key.rsplit("/", 1)[-1].startswith("aks-agentpool-")
        )
        if own or linked & wanted:
            found.append(group)
    return found
