"""
The chain behind the public IP of a Gateway: what is wanted, what the Service asks Azure for, what
Azure has, and where that leads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tasks.plans import arm
from tasks.plans.aks import ManagedCluster
from tasks.plans.arm import KindName

Object = Mapping[str, Any]
_PREFIX = "service.beta.kubernetes.io/"
#: Annotations of Services that choose an address (cloud-provider-azure 1.36, pkg/consts/consts.go;
#: its docs, "LoadBalancer annotations"), by whether IPv6 is meant where there are two.
NAME = {False: f"{_PREFIX}azure-pip-name", True: f"{_PREFIX}azure-pip-name-ipv6"}
ADDRESS = {False: f"{_PREFIX}azure-load-balancer-ipv4", True: f"{_PREFIX}azure-load-balancer-ipv6"}
FROM_PREFIX = {False: f"{_PREFIX}azure-pip-prefix-id", True: f"{_PREFIX}azure-pip-prefix-id-ipv6"}
GROUP = f"{_PREFIX}azure-load-balancer-resource-group"
INTERNAL = f"{_PREFIX}azure-load-balancer-internal"
IDLE = f"{_PREFIX}azure-load-balancer-tcp-idle-timeout"
_EVENT = 300
#: Those that ask for an address that exists. Azure's own events write one of them "-IPv6", which it
#: does not know, and so do people.
EXISTING = (*ADDRESS.values(), *NAME.values(), f"{_PREFIX}azure-pip-name-IPv6")
CHOOSING = (*NAME.values(), *ADDRESS.values(), *FROM_PREFIX.values(), GROUP, INTERNAL, IDLE)


@dataclass(frozen=True)
class Wanted:
    """
    What the inventory says of a Gateway's address; all None where it says nothing.

    + name, group, subscription: of a public IP, None for the cluster's node resource group and its
      own subscription; + address: such as "20.103.0.10"; + prefix: that the IP is taken from
    + lock: it is to be locked against deletion; + zones: that it is to be in, None where nothing is
      said; + idle_timeout: minutes, None where nothing is said
    """

    name: str | None = None
    group: str | None = None
    subscription: str | None = None
    address: str | None = None
    prefix: str | None = None
    lock: bool = True
    zones: tuple[str, ...] | None = None
    idle_timeout: int | None = None


@dataclass(frozen=True)
class Landscape:
    """
    What Azure has, of every subscription that was read.

    + resources: by kind, by id in lower case, as ARM wrote it
    + records: record sets of DNS zones, by id of the zone in lower case
    + unread: by subscription and kind, why it could not be read
    """

    resources: Mapping[KindName, Mapping[str, Object]] = field(default_factory=dict)
    records: Mapping[str, Sequence[Object]] = field(default_factory=dict)
    unread: Mapping[tuple[str, KindName], str] = field(default_factory=dict)

    def of(self, kind: KindName) -> Mapping[str, Object]:
        return self.resources.get(kind) or {}

    def knows(self, kind: KindName, subscription: str) -> bool:
        """Whether all of this kind was read there: what is missing is not there."""
        known = kind in self.resources
        return known and (subscription.lower(), kind) not in self._unread

    @cached_property
    def public_ips(self) -> Sequence[Object]:
        """Those with an id, in the order of their ids."""
        every = self.of("publicIPAddresses").values()
        return sorted((it for it in every if arm.parsed(arm.text(it, "id"))), key=key)

    @cached_property
    def public_ips_by(self) -> Mapping[str, Sequence[Object]]:
        """By their names and the ids of what holds them, in lower case, and by their addresses."""
        found: dict[str, list[Object]] = {}
        for it in self.public_ips:
            held = arm.text(it, "properties", "ipConfiguration", "id").lower()
            for said in {named(it).lower(), arm.text(it, "properties", "ipAddress"), held} - {""}:
                found.setdefault(said, []).append(it)
        return found

    @cached_property
    def node_groups(self) -> Mapping[str, str]:
        """By id of its node resource group, in lower case, the key of each AKS cluster."""
        found = {}
        for cluster, it in self.of("managedClusters").items():
            group = arm.text(it, "properties", "nodeResourceGroup")
            parsed = arm.parsed(arm.text(it, "id") or cluster)
            if group and parsed:
                found[arm.group_id(parsed.subscription, group).lower()] = cluster.lower()
        return found

    @cached_property
    def _unread(self) -> dict[tuple[str, KindName], str]:
        return {(it.lower(), kind): why for (it, kind), why in self.unread.items()}

    def why_not(self, subscription: str) -> dict[KindName, str]:
        """Why kinds of this subscription could not be read."""
        mine = subscription.lower()
        return {kind: why for (it, kind), why in sorted(self._unread.items()) if it == mine}


@dataclass(frozen=True)
class Resolved:
    """
    + addresses: of a host name, none where it has none; + why: why it could not be asked for, or
      None; + aliases: the names that it stands for (CNAME), in order
    """

    addresses: tuple[str, ...] = ()
    why: str | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answered:
    """
    What answered at an address and port for a host name.

    + why: why nothing did, or None; + names: of the certificate, None where no TLS is spoken
    """

    address: str
    port: int
    host: str | None
    why: str | None = None
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Claim:
    """
    A Gateway whose Service is of type LoadBalancer, as its cluster has it.

    + cluster: such as "weu-1"; + gateways: that share the Service, several where the class merges
      them: the objects as read; + aks: None where it is not known which cluster of Azure this is
    + service: as read, None where it is not there; + settings: annotations that EnvoyProxies give
      to it; + events: what Azure's part of Kubernetes said of it last
    + hosts: by host name of the listeners and routes, as resolved; + answers: of what was asked
    + proxy: where such an annotation is written, such as "EnvoyProxy edge/public"; None for the
      Gateway itself, under spec.infrastructure
    + unread: what of the cluster could not be read and why, a sentence each
    A cluster that is to come, or does not answer, claims what the inventory wants for it: such a
    claim has no gateways and no service.
    """

    cluster: str
    gateways: Sequence[Object]
    service: Object | None
    aks: ManagedCluster | None = None
    wanted: Wanted = Wanted()
    settings: Mapping[str, str] = field(default_factory=dict)
    events: Sequence[str] = ()
    hosts: Mapping[str, Resolved] = field(default_factory=dict)
    answers: Sequence[Answered] = ()
    proxy: str | None = None
    unread: Sequence[str] = ()

    @property
    def title(self) -> str:
        """Such as "Gateway edge/public", "GatewayClass envoy" for merged ones, or the IP's."""
        classes = {arm.text(it, "spec", "gatewayClassName") for it in self.gateways}
        if len(self.gateways) > 1 and len(classes) == 1:
            return f"GatewayClass {classes.pop()}"
        if self.gateways:
            return f"Gateway {_title(self.gateways[0])}"
        return f"public IP {self.wanted.name or self.wanted.address or 'of a Gateway to come'}"

    @property
    def families(self) -> tuple[bool, ...]:
        """Whether IPv6 is asked for, IPv4, or both: (False,), (True,) or (False, True)."""
        said = arm.texts(self.service, "spec", "ipFamilies")
        return tuple(sorted({it == "IPv6" for it in said})) or (False,)

    @property
    def internal(self) -> bool:
        """Whether its load balancer has no public address."""
        said = arm.pairs(self.service, "metadata", "annotations") or self.set_by_gateway
        return said.get(INTERNAL, "").lower() == "true"

    @property
    def of_azure(self) -> bool:
        """Whether AKS gives its address, and not another implementation of load balancers."""
        return not arm.text(self.service, "spec", "loadBalancerClass")

    @property
    def set_by_gateway(self) -> dict[str, str]:
        """
        Annotations that the Service is to get: of the Gateways, and those of EnvoyProxies over them
        (Envoy Gateway 1.9 source, resource_provider.go).
        """
        own: dict[str, str] = {}
        for it in self.gateways:
            own |= arm.pairs(it, "spec", "infrastructure", "annotations")
        return own | dict(self.settings)

    def addresses(self, v6: bool | None = None) -> tuple[str, ...]:
        """What the Service's status says: of one family, or all."""
        found = [
            arm.text(it, "ip") or arm.text(it, "hostname")
            for it in arm.objects(self.service, "status", "loadBalancer", "ingress")
        ]
        return tuple(it for it in found if it and (v6 is None or (":" in it) is v6))

    @property
    def evidence(self) -> str:
        """What Azure's part of Kubernetes said, as evidence."""
        said = " ".join(self.events[0].split())[:_EVENT] if self.events else ""
        return f' (Azure says "{said}")' if said and not self.addresses() else ""


@dataclass(frozen=True)
class Asked:
    """
    What Azure is asked for, of one family of addresses. The name is taken before the prefix, and
    that before the address (cloud-provider-azure 1.36, ``determinePublicIPName``).

    + group: None for the cluster's node resource group; + prefix: id; + legacy: the address is
      that of spec.loadBalancerIP
    """

    name: str | None = None
    group: str | None = None
    address: str | None = None
    prefix: str | None = None
    subscription: str | None = None
    legacy: bool = False


def asked(annotations: Mapping[str, str], spec: Object, v6: bool = False) -> Asked:
    """
    What a Service asks for.

    + spec: the Service's; the address in it counts where no annotation names one
    """
    dual = len(arm.texts(spec, "ipFamilies")) > 1
    names = [NAME[v6]] if dual or not v6 else [NAME[True], NAME[False]]
    legacy = arm.text(spec, "loadBalancerIP")
    legacy = legacy if (":" in legacy) is v6 else ""
    return Asked(
        name=next((annotations[it] for it in names if annotations.get(it)), None),
        group=annotations.get(GROUP, "").strip() or None,
        address=annotations.get(ADDRESS[v6]) or legacy or None,
        prefix=annotations.get(FROM_PREFIX[v6]) or None,
        legacy=bool(legacy) and not annotations.get(ADDRESS[v6]),
    )


def asked_by(claim: Claim, v6: bool = False) -> Asked:
    """What the Service asks for now; what it will where there is none yet."""
    if claim.service is None:
        return asked(claim.set_by_gateway, {}, v6)
    annotations = arm.pairs(claim.service, "metadata", "annotations")
    return asked(annotations, arm.at(claim.service, "spec") or {}, v6)


def intended(claim: Claim, v6: bool = False) -> Asked:
    """What the inventory wants (IPv4), and where it says nothing, what the Service asks for."""
    it = claim.wanted
    if v6 or not (it.name or it.address):
        return asked_by(claim, v6)
    if it.name is None:
        return Asked(address=it.address, group=it.group or asked_by(claim).group)
    return Asked(it.name, it.group, it.address, subscription=it.subscription)


def resource(claim: Claim, landscape: Landscape, v6: bool = False) -> Object | None:
    """
    The public IP that a claim is about, as ARM wrote it: the one that is wanted or asked for, where
    it is looked for; where none is, the one that the Service has.
    """
    found = intended(claim, v6)
    if claim.internal:
        return None
    if found.name or (found.address and not found.prefix):
        at = place(claim, found)
        return next((it for it in _fitting(found, landscape) if at and within(it, at)), None)
    return serving(claim, landscape, v6)


def elsewhere(claim: Claim, landscape: Landscape, v6: bool = False) -> list[Object]:
    """Public IPs of that name or address that are not where they are looked for."""
    found = intended(claim, v6)
    at = place(claim, found)
    return [it for it in _fitting(found, landscape) if at is None or not within(it, at)]


def serving(claim: Claim, landscape: Landscape, v6: bool = False) -> Object | None:
    """The public IP with the address that the Service has."""
    has = claim.addresses(v6)
    found = [it for address in has for it in _of_address(address, landscape)]
    return min(found, key=key, default=None)


def place(claim: Claim, asked: Asked) -> str | None:
    """The id of the resource group where Azure looks for a public IP; None where not known."""
    if claim.aks is None:
        return None
    subscription = asked.subscription or claim.aks.subscription
    return arm.group_id(subscription, asked.group or claim.aks.node_group)


def within(resource: Object, scope: str) -> bool:
    return arm.within(arm.text(resource, "id"), scope)


def _fitting(asked: Asked, landscape: Landscape) -> list[Object]:
    """Those of this name; of this address where no name is given."""
    if asked.name:
        found = landscape.public_ips_by.get(asked.name.lower(), ())
        return [it for it in found if arm.same(named(it), asked.name)]
    return _of_address(asked.address, landscape) if asked.address else []


def _of_address(address: str, landscape: Landscape) -> list[Object]:
    found = landscape.public_ips_by.get(address, ())
    return [it for it in found if arm.text(it, "properties", "ipAddress") == address]


def named(resource: Object) -> str:
    """The name that is in its id."""
    found = arm.parsed(arm.text(resource, "id"))
    return found.name if found else ""


def group_of(resource: Object) -> str:
    """The resource group that is in its id."""
    found = arm.parsed(arm.text(resource, "id"))
    return (found.group if found else None) or ""


def subscription_of(resource: Object) -> str:
    found = arm.parsed(arm.text(resource, "id"))
    return found.subscription if found else ""


def key(resource: Object) -> str:
    return arm.text(resource, "id").lower()


@dataclass(frozen=True)
class Holder:
    """
    What a public IP is bound to.

    + id: such as that of a frontend; + cluster: key of the AKS cluster whose node resource group it
      lies in, None for anything else; + text: such as "load balancer kubernetes of cluster weu-2"
    """

    id: str
    text: str
    cluster: str | None = None


_HOLDERS = {
    "loadbalancers": "load balancer",
    "networkinterfaces": "network interface",
    "virtualmachinescalesets": "scale set",
    "natgateways": "NAT gateway",
    "bastionhosts": "Bastion",
    "virtualnetworkgateways": "VPN or ExpressRoute gateway",
    "applicationgateways": "application gateway",
    "azurefirewalls": "firewall",
}


def holder(resource: Object, landscape: Landscape, aks: ManagedCluster | None) -> Holder | None:
    """What holds a public IP; None where nothing does. + aks: a cluster that is known anyway"""
    text = next(
        (
            it
            for what in ("ipConfiguration", "natGateway")
            if (it := arm.text(resource, "properties", what, "id"))
        ),
        "",
    )
    if not text:
        return None
    found = arm.parsed(text)
    if found is None:
        return Holder(text, text)
    kind = found.type.split("/")[1].lower() if "/" in found.type else found.type
    name = f"{_HOLDERS.get(kind, kind)} {found.names[0]}"
    group = arm.group_id(found.subscription, found.group or "").lower()
    cluster = node_groups(landscape, aks).get(group)
    if cluster is None:
        return Holder(text, f"{name} in resource group {found.group}")
    return Holder(text, f"{name} of cluster {cluster.rsplit('/', 1)[-1]}", cluster)


def other_holder(resource: Object, landscape: Landscape, aks: ManagedCluster) -> Holder | None:
    """What holds a public IP that is not this cluster."""
    found = holder(resource, landscape, aks)
    return None if found is None or found.cluster == aks.key else found


def node_groups(landscape: Landscape, aks: ManagedCluster | None = None) -> Mapping[str, str]:
    """``Landscape.node_groups`` with a cluster that is known anyway."""
    if aks is None or not arm.parsed(aks.id):
        return landscape.node_groups
    own = arm.group_id(aks.subscription, aks.node_group).lower()
    if landscape.node_groups.get(own) == aks.key:
        return landscape.node_groups
    return {**landscape.node_groups, own: aks.key}


def locks(resource: Object, landscape: Landscape) -> list[tuple[str, str, str]]:
    """
    Name, level and scope of what keeps a public IP from being deleted: its own locks, those of its
    group and of its subscription (Azure docs, "Lock your resources": they are inherited).
    """
    found = []
    for lock, it in sorted(landscape.of("locks").items()):
        scope, _, name = lock.rpartition("/providers/microsoft.authorization/locks/")
        if scope and within(resource, scope):
            found.append((name, arm.text(it, "properties", "level"), scope))
    return found


def row(claim: Claim, landscape: Landscape) -> dict[str, Any]:
    """
    One line of the table, as it is in JSON: {"gateway": "Gateway edge/public", "service":
    "envoy-gateway-system/envoy-...", "addresses": ["20.103.0.10"], "internal": false, "public_ip":
    {"name": ..., "group": ..., ...} or null, "dns": {"shop.example.com": ["20.103.0.10"]}}.
    """
    found = resource(claim, landscape) or next(
        (it for v6 in claim.families if (it := serving(claim, landscape, v6))), None
    )
    return {
        "gateway": claim.title,
        "service": _title(claim.service) if claim.service is not None else None,
        "addresses": list(claim.addresses()),
        "internal": claim.internal,
        "public_ip": None if found is None else _described(found, claim, landscape),
        "dns": {host: list(it.addresses) for host, it in sorted(claim.hosts.items())},
    }


def _described(found: Object, claim: Claim, landscape: Landscape) -> dict[str, Any]:
    held = holder(found, landscape, claim.aks)
    return {
        "id": arm.text(found, "id"),
        "name": named(found),
        "group": group_of(found),
        "subscription": subscription_of(found),
        "address": arm.text(found, "properties", "ipAddress") or None,
        "location": arm.text(found, "location") or None,
        "sku": arm.text(found, "sku", "name") or None,
        "tier": arm.text(found, "sku", "tier") or None,
        "allocation": arm.text(found, "properties", "publicIPAllocationMethod") or None,
        "zones": sorted(arm.texts(found, "zones")),
        "idle_timeout": arm.number(found, "properties", "idleTimeoutInMinutes"),
        "ddos": arm.text(found, "properties", "ddosSettings", "protectionMode") or None,
        "prefix": arm.text(found, "properties", "publicIPPrefix", "id") or None,
        "state": arm.text(found, "properties", "provisioningState") or None,
        "tags": arm.pairs(found, "tags"),
        "holder": held.text if held else None,
        "locks": [name for name, _, _ in locks(found, landscape)],
        "lifecycle": lifecycle(found, claim, landscape),
    }


def lifecycle(found: Object, claim: Claim, landscape: Landscape) -> str:
    """What a public IP lives as long as: "cluster", "group" or, where it is locked, "lock"."""
    groups = node_groups(landscape, claim.aks)
    if arm.group_id(subscription_of(found), group_of(found)).lower() in groups:
        return "cluster"
    return "lock" if locks(found, landscape) else "group"


def _title(thing: Object | None) -> str:
    """Such as "edge/public"."""
    return f"{arm.text(thing, 'metadata', 'namespace')}/{arm.text(thing, 'metadata', 'name')}"
