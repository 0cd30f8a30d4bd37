"""Whether the body of a request can be one of a resource at all: objects, lists and texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.lab.azure.answers import Refused


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OBJECTS = _words(
    "properties tags sku identity dnsSettings publicIPPrefix publicIPAddress subnet probe "
    "networkSecurityGroup backendAddressPool frontendIPConfiguration natGateway CNAMERecord "
    "SOARecord targetResource aadProfile powerState ddosSettings servicePrincipalProfile"
)
_CHILDREN = _words(
    "frontendIPConfigurations backendAddressPools loadBalancingRules probes inboundNatRules "
    "outboundRules inboundNatPools securityRules subnets ipConfigurations agentPoolProfiles"
)
_LISTS = _CHILDREN | _words("zones publicIpAddresses ARecords AAAARecords NSRecords TXTRecords")
_TEXTS = _words(
    "id location level publicIPAllocationMethod nodeResourceGroup roleDefinitionId principalId "
    "principalType clusterResourceId domainNameLabel cname ipv4Address nsdname kubernetesVersion "
    "scope operation"
)
_NUMBERS = frozenset({"prefixLength", "TTL", "idleTimeoutInMinutes", "priority"})


def check(body: Any) -> None:
    """Raises `Refused`."""
    if not isinstance(body, Mapping):
        raise _unreadable("the body")
    _look(body)
    properties = body.get("properties") or {}
    for word in _CHILDREN & properties.keys():
        for child in properties[word] or ():
            if not isinstance(child.get("name") or child.get("id"), str):  # or a reference
                raise _unreadable(f"properties.{word}")
    if properties.get("publicIPAddressVersion", "IPv4") not in ("IPv4", "IPv6", None):
        raise _unreadable("properties.publicIPAddressVersion")


def _look(body: Mapping[str, Any]) -> None:
    """All of it, at any depth; tags are names of somebody's own."""
    for name, value in body.items():
        if value is not None and not _fits(name, value):
            raise _unreadable(name)
        if isinstance(value, Mapping) and name != "tags":
            _look(value)
        for entry in (value or ()) if name in _LISTS and name != "zones" else ():
            if not isinstance(entry, Mapping):
                raise _unreadable(name)
            _look(entry)


def _fits(name: str, value: Any) -> bool:
    if name in _OBJECTS:
        return isinstance(value, Mapping)
    if name in _LISTS:
        return isinstance(value, list)
    if name in _NUMBERS:
        return isinstance(value, int) and not isinstance(value, bool)
    return name not in _TEXTS or isinstance(value, str)


def _unreadable(what: str) -> Refused:
    return Refused(
        400, "InvalidRequestFormat", f"Cannot parse the request: {what} is not what it should be."
    )
