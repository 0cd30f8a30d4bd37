"""
The network security group of an AKS cluster's nodes: the rules that Azure's cloud provider writes
there, and whom a group lets through.

The rules are those of kubernetes-sigs/cloud-provider-azure (pkg/provider/securitygroup, 2026-08).
"""

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.lab.azure.cloud_provider import Asked, Object, ranged
from tasks.lab.forwarding import Frontend, Verdict

MANAGED_RULE = "k8s-azure-lb_"
PRIORITIES = range(500, 4096)


@dataclass(frozen=True)
class Opened:
    """What the network security group lets through to one Service."""

    address: str
    protocol: str
    ports: tuple[int, ...]
    sources: tuple[str, ...]
    closed: bool = False


def opened(service: Mapping[str, Any], wish: Asked, address: str) -> list[Opened]:
    """What the network security group has to let through to a Service at its address."""
    ports: dict[str, list[int]] = {}
    for port in service["spec"].get("ports") or []:
        ports.setdefault(port.get("protocol", "TCP").title(), []).append(port["port"])
    return [
        Opened(address, protocol, tuple(sorted(numbers)), wish.sources, wish.closed)
        for protocol, numbers in sorted(ports.items())
    ]


def security_group(before: Object, wanted: Sequence[Opened]) -> Object:
    """
    The network security group with the rules for what is wanted; rules that the provider did not
    make stay as they are.
    """
    properties = before.get("properties") or {}
    rules = properties.get("securityRules") or []
    foreign: list[Object] = [it for it in rules if not it["name"].startswith(MANAGED_RULE)]
    old = {it["name"]: _number(it) for it in rules if it not in foreign}
    taken = {_number(it) for it in foreign if _inbound(it)}
    made: list[Object] = [
        {"name": name, "properties": {**said, "priority": _priority(name, old, taken)}}
        for name, said in _managed_rules(wanted).items()
    ]
    made.sort(key=lambda it: it["properties"]["priority"])
    return {**before, "properties": {**properties, "securityRules": [*foreign, *made]}}


def _number(rule: Mapping[str, Any]) -> int:
    return int((rule.get("properties") or {}).get("priority") or 0)


def _inbound(rule: Mapping[str, Any]) -> bool:
    return bool((rule.get("properties") or {}).get("direction", "Inbound") == "Inbound")


def _priority(name: str, old: Mapping[str, int], taken: set[int]) -> int:
    """What the rule had, else the first one that is free; to deny, the last one."""
    order: Iterable[int] = reversed(PRIORITIES[:-1]) if "_deny-all_" in name else PRIORITIES
    if name in old and old[name] not in taken:
        number = old[name]
    else:
        number = next(it for it in order if it not in taken and it not in old.values())
    taken.add(number)
    return number


def _managed_rules(wanted: Iterable[Opened]) -> dict[str, Object]:
    """The rules by name; Services of the same ports and sources share one."""
    addresses: dict[tuple[str, tuple[str, ...], tuple[int, ...]], set[str]] = {}
    denied: set[str] = set()
    for one in wanted:
        ranges = tuple(sorted(it for it in one.sources if ranged(it)))
        tags = [(it,) for it in one.sources if not ranged(it)]
        for sources in [*tags, *([ranges] if ranges else [])]:
            addresses.setdefault((one.protocol, sources, one.ports), set()).add(one.address)
        if one.closed:
            denied.add(one.address)
    rules = {
        _rule_name(*key): _security_rule("Allow", key[0], key[1], _texts(key[2]), found)
        for key, found in addresses.items()
    }
    if denied:
        name = f"{MANAGED_RULE}deny-all_IPv4"
        rules[name] = _security_rule("Deny", "*", ("*",), None, denied)
    return rules


def _rule_name(protocol: str, sources: tuple[str, ...], ports: tuple[int, ...]) -> str:
    text = "_".join([protocol, ",".join(sources), ",".join(_texts(ports))])
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return f"{MANAGED_RULE}allow_IPv4_{digest}"


def _texts(ports: Iterable[int]) -> list[str]:
    return sorted(map(str, ports))


def _security_rule(
    access: str,
    protocol: str,
    sources: tuple[str, ...],
    ports: list[str] | None,
    addresses: Iterable[str],
) -> Object:
    to = sorted(addresses)
    return {
        "protocol": protocol,
        "access": access,
        "direction": "Inbound",
        "sourcePortRange": "*",
        **_one_or_many("sourceAddressPrefix", "sourceAddressPrefixes", list(sources)),
        **_one_or_many("destinationAddressPrefix", "destinationAddressPrefixes", to),
        **({"destinationPortRanges": ports} if ports else {"destinationPortRange": "*"}),
    }


def _one_or_many(one: str, many: str, values: list[str]) -> Object:
    return {one: values[0]} if len(values) == 1 else {many: values}


def verdicts(group: Mapping[str, Any], frontend: Frontend) -> list[Verdict]:
    """
    Whom a network security group lets through to a frontend, the first that fits counts. Clients of
    a lab come from the Internet, whatever their address is; who is not let through is denied
    (Azure docs, Network security groups, "How network security groups filter network traffic").
    """
    properties = group.get("properties") or {}
    rules = [it.get("properties") or {} for it in properties.get("securityRules") or []]
    found = []
    for rule in sorted(rules, key=lambda it: it.get("priority", 0)):
        sources = _clients(rule)
        if sources is not None and _is_for(rule, frontend):
            found.append(Verdict(sources, rule.get("access") == "Allow"))
            if not sources:
                return found
    return [*found, Verdict((), False)]


def _clients(rule: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The ranges a rule is about, none for everyone; ``None`` where it is about no client."""
    named = _values(rule, "sourceAddressPrefix", "sourceAddressPrefixes")
    if {"*", "Internet", "0.0.0.0/0"} & set(named):
        return ()
    ranges = tuple(sorted(it for it in named if ranged(it)))
    return ranges or None


def _is_for(rule: Mapping[str, Any], frontend: Frontend) -> bool:
    addresses = _values(rule, "destinationAddressPrefix", "destinationAddressPrefixes")
    ports = _values(rule, "destinationPortRange", "destinationPortRanges")
    return (
        rule.get("direction") == "Inbound"
        and str(rule.get("protocol") or "*").lower() in {"*", frontend.protocol}
        and any(_holds_address(it, frontend.address) for it in addresses)
        and any(_holds_port(it, frontend.port) for it in ports)
    )


def _values(rule: Mapping[str, Any], one: str, many: str) -> list[str]:
    return [*([rule[one]] if rule.get(one) else []), *(rule.get(many) or [])]


def _holds_address(prefix: str, address: str) -> bool:
    if prefix == "*":
        return True
    network = ranged(prefix)
    return network is not None and ipaddress.ip_address(address) in network


def _holds_port(text: str, port: int) -> bool:
    first, _, last = text.partition("-")
    if not (first + last).isdigit():
        return text == "*"
    return int(first) <= port <= int(last or first)
