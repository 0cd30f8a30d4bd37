"""
What a Service of type LoadBalancer asks Azure for, and which public IP it is to have, as Azure's
cloud provider decides it. ``load_balancers`` and ``security_groups`` have the rest.

The rules and the words of a refusal are those of kubernetes-sigs/cloud-provider-azure
(pkg/provider/azure_loadbalancer.go, 2026-08).
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
PREFIX = "service.beta.kubernetes.io/azure-"
SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
#: What AKS calls a cluster inside Azure, and so its load balancer and its public IPs.
CLUSTER = "kubernetes"
EXTERNAL, INTERNAL = CLUSTER, f"{CLUSTER}-internal"
SERVICE_TAG, CLUSTER_TAG = "k8s-azure-service", "k8s-azure-cluster-name"
SHORTEST_IDLE, LONGEST_IDLE = 4, 100


class RefusedError(Exception):
    """The Service cannot have what it asks for, in the provider's words."""


@dataclass(frozen=True)
class Place:
    """
    Where a cluster's things are in Azure.

    + group: the node resource group; + subnet: id of the nodes' subnet
    """

    subscription: str
    group: str
    location: str
    subnet: str
    zones: tuple[str, ...] = ("1", "2", "3")

    def network(self, kind: str, name: str) -> str:
        """The id of a thing of the cluster, such as ("loadBalancers", "kubernetes")."""
        group = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        return f"{group}/providers/Microsoft.Network/{kind}/{name}"


@dataclass(frozen=True)
class Asked:
    """
    What a Service asks Azure for.

    + service: such as "edge/public"; + base: what its parts in Azure are called, "a" and its UID
    + pip_name, prefix, address: of the public IP, at most one of them counts, in this order
    + group: of the public IP, None for the cluster's node resource group
    + sources: ranges and service tags it may be reached from; + closed: from nowhere else
    """

    service: str
    base: str
    pip_name: str | None = None
    prefix: str | None = None
    address: str | None = None
    group: str | None = None
    internal: bool = False
    idle_minutes: int = SHORTEST_IDLE
    label: str | None = None
    sources: tuple[str, ...] = ("Internet",)
    closed: bool = False

    @property
    def balancer(self) -> str:
        return INTERNAL if self.internal else EXTERNAL

    @property
    def made(self) -> str:
        """The name of the public IP that is made where none is named."""
        last = f"-{self.prefix.rsplit('/', 1)[-1]}" if self.prefix else ""
        return f"{CLUSTER}-{self.base}{last}"[:75]


def base(uid: str) -> str:
    """What the parts of a Service are called in Azure (cloudprovider.DefaultLoadBalancerName)."""
    return ("a" + uid.replace("-", ""))[:32]


def asked(service: Mapping[str, Any]) -> Asked:
    """Raises `RefusedError` where its annotations cannot be."""
    metadata, spec = service["metadata"], service["spec"]
    said: Mapping[str, str] = metadata.get("annotations") or {}

    def says(name: str) -> str | None:
        return said.get(PREFIX + name) or None

    sources, closed = _sources(spec, said)
    internal = says("load-balancer-internal") == "true"
    return Asked(
        service=f"{metadata['namespace']}/{metadata['name']}",
        base=base(metadata["uid"]),
        pip_name=says("pip-name"),
        prefix=says("pip-prefix-id"),
        address=says("load-balancer-ipv4") or spec.get("loadBalancerIP") or None,
        group=says("load-balancer-resource-group"),
        internal=internal,
        idle_minutes=_idle_minutes(says("load-balancer-tcp-idle-timeout")),
        label=said.get(f"{PREFIX}dns-label-name"),
        sources=sources,
        closed=closed,
    )


def _idle_minutes(text: str | None) -> int:
    if text is None:
        return SHORTEST_IDLE
    key = f"error parsing idle timeout key: {PREFIX}load-balancer-tcp-idle-timeout, err: "
    try:
        minutes = int(text)
    except ValueError:
        raise RefusedError(f"{key}{text!r} is not a whole number") from None
    if not SHORTEST_IDLE <= minutes <= LONGEST_IDLE:
        raise RefusedError(
            f"{key}idle timeout value must be a whole number representing minutes between "
            f"{SHORTEST_IDLE} and {LONGEST_IDLE}, actual value: {minutes}"
        )
    return minutes


def _sources(spec: Mapping[str, Any], said: Mapping[str, str]) -> tuple[tuple[str, ...], bool]:
    """Where a Service may be reached from, and whether the virtual network is kept out as well."""
    ranges = spec.get("loadBalancerSourceRanges") or _listed(said.get(SOURCE_RANGES))
    allowed = _listed(said.get(f"{PREFIX}allowed-ip-ranges"))
    tags = _listed(said.get(f"{PREFIX}allowed-service-tags"))
    if ranges and allowed:
        raise RefusedError(
            "cannot set both spec.LoadBalancerSourceRanges and service annotation "
            f"{PREFIX}allowed-ip-ranges"
        )
    named = [*ranges, *allowed]
    valid = sorted(str(it) for it in map(ranged, named) if it is not None)
    invalid = len(valid) < len(named)
    asks = said.get(f"{PREFIX}deny-all-except-load-balancer-source-ranges") == "true"
    internal = said.get(f"{PREFIX}load-balancer-internal") == "true"
    sources = (*valid, *tags)
    if not sources and not invalid and not internal:
        sources = ("Internet",)
    return sources, invalid or (asks and bool(valid))


def _listed(text: str | None) -> list[str]:
    return [it.strip() for it in (text or "").split(",") if it.strip()]


def ranged(text: str) -> ipaddress.IPv4Network | None:
    """The range that a text is, ``None`` for a service tag."""
    try:
        return ipaddress.IPv4Network(text)
    except ValueError:
        return None


def public_ip(wish: Asked, listed: Iterable[Object], group: str) -> Object | None:
    """
    The public IP a Service is to have, of those in ``group``; ``None`` where it has to be made.
    Raises `RefusedError` where it must be there and is not.
    """
    every = list(listed)
    name = wish.pip_name or wish.made
    named = next((it for it in every if it["name"].lower() == name.lower()), None)
    if wish.pip_name and named is None:
        raise RefusedError(
            f"PublicIP from annotation azure-pip-name(-IPv6)={wish.pip_name} for service "
            f"{wish.service} doesn't exist"
        )
    if wish.pip_name or wish.prefix or not wish.address:
        return named
    found = next((it for it in every if address_of(it) == wish.address), None)
    if found is None:
        raise RefusedError(
            f"user supplied IP Address {wish.address} was not found in resource group {group}"
        )
    return found


def address_of(public_ip: Mapping[str, Any]) -> str | None:
    return (public_ip.get("properties") or {}).get("ipAddress") or None


def new_public_ip(wish: Asked, place: Place) -> Object:
    """The public IP that is made for a Service that names none."""
    properties: Object = {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4"}
    if wish.prefix:
        properties["publicIPPrefix"] = {"id": wish.prefix}
    if wish.label:
        properties["dnsSettings"] = {"domainNameLabel": wish.label}
    return {
        "location": place.location,
        "sku": {"name": "Standard"},
        "zones": list(place.zones),
        "tags": {SERVICE_TAG: wish.service, CLUSTER_TAG: CLUSTER},
        "properties": properties,
    }


def labelled(public_ip: Object, label: str | None) -> Object | None:
    """The public IP with this DNS label, or ``None`` where it has it; ``""`` takes it away."""
    properties = public_ip["properties"]
    has = (properties.get("dnsSettings") or {}).get("domainNameLabel") or ""
    if label is None or label.lower() == has.lower():
        return None
    settings = {"dnsSettings": {"domainNameLabel": label}} if label else {}
    rest = {name: value for name, value in properties.items() if name != "dnsSettings"}
    return {**public_ip, "properties": {**rest, **settings}}


def owned(public_ips: Iterable[Object], service: str) -> list[Object]:
    """The public IPs that were made for a Service."""
    return [it for it in public_ips if (it.get("tags") or {}).get(SERVICE_TAG) == service]


def differs(before: Any, after: Any) -> bool:
    """
    Whether Azure has to be told: what is in ``after`` is not in ``before``, or more than that is.
    Parts of a list are known by their names, and Azure says more of each than it was told.
    """
    if isinstance(after, Mapping) and isinstance(before, Mapping):
        return any(differs(before.get(name), value) for name, value in after.items())
    if isinstance(after, list) and isinstance(before, list):
        one, other = _by_name(before), _by_name(after)
        return one.keys() != other.keys() or any(differs(one[it], other[it]) for it in other)
    return bool(before != after)


def _by_name(parts: list[Any]) -> dict[str, Any]:
    return {str(it.get("name", it) if isinstance(it, dict) else it): it for it in parts}
