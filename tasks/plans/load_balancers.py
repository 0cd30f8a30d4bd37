"""What a load balancer of Azure does with the ports of an address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.plans import arm
from tasks.plans.public_ips import Claim, Landscape

Object = Mapping[str, Any]
#: Where kube-proxy says how it is, which AKS may probe for all Services of a cluster
#: (cloud-provider-azure docs, "Shared health probe").
SHARED_PROBE = 10256


@dataclass(frozen=True)
class Port:
    """One of a Service. + node: its port on every node, None where it has none"""

    number: int
    protocol: str
    node: int | None


@dataclass(frozen=True)
class Probe:
    """+ protocol: "TCP", "HTTP" or "HTTPS"; + path: "" for TCP"""

    protocol: str
    port: int | None
    path: str = ""

    @property
    def text(self) -> str:
        """Such as "HTTP :32123/healthz"."""
        return f"{self.protocol} :{self.port}{self.path}"


@dataclass(frozen=True)
class Rule:
    """
    + port: of the address, 0 for all of them; + backend: on the nodes; + protocol: "TCP", "UDP" or
      "ALL"; + probe: None where it has none; + idle: minutes, None where it does not say
    + floating: packets keep the address of the load balancer
    """

    port: int | None
    backend: int | None
    protocol: str
    probe: Probe | None
    idle: int | None = None
    floating: bool = True

    def serves(self, port: Port) -> bool:
        if self.protocol == "ALL":
            return True
        return self.port == port.number and self.protocol == port.protocol


def ports(service: Object | None) -> list[Port]:
    """The ports of a Service."""
    return [
        Port(number, arm.text(it, "protocol").upper() or "TCP", arm.number(it, "nodePort"))
        for it in arm.objects(service, "spec", "ports")
        if (number := arm.number(it, "port")) is not None
    ]


def frontends(claim: Claim, landscape: Landscape) -> list[tuple[Object, str]]:
    """
    The load balancers of the claim's cluster with the frontends that have its addresses: the load
    balancer, and the id of the frontend in lower case.
    """
    if claim.aks is None:
        return []
    group = arm.group_id(claim.aks.subscription, claim.aks.node_group)
    addresses = claim.addresses()
    public = {
        arm.text(it, "properties", "ipConfiguration", "id").lower()
        for address in addresses
        for it in landscape.public_ips_by.get(address, ())
    } - {""}
    found = []
    for name, it in sorted(landscape.of("loadBalancers").items()):
        if not arm.within(name, group):
            continue
        for each in arm.objects(it, "properties", "frontendIPConfigurations"):
            own = arm.text(each, "id").lower()
            private = arm.text(each, "properties", "privateIPAddress")
            if own in public or (claim.internal and private and private in addresses):
                found.append((it, own))
    return found


def rules(balancer: Object, frontend: str) -> list[Rule]:
    """+ frontend: its id in lower case"""
    probes = {
        arm.text(it, "id").lower(): _probe(it)
        for it in arm.objects(balancer, "properties", "probes")
    }
    return [
        Rule(
            port=arm.number(it, "properties", "frontendPort"),
            backend=arm.number(it, "properties", "backendPort"),
            protocol=arm.text(it, "properties", "protocol").upper(),
            probe=probes.get(arm.text(it, "properties", "probe", "id").lower()),
            idle=arm.number(it, "properties", "idleTimeoutInMinutes"),
            floating=arm.at(it, "properties", "enableFloatingIP") is not False,
        )
        for it in arm.objects(balancer, "properties", "loadBalancingRules")
        if arm.text(it, "properties", "frontendIPConfiguration", "id").lower() == frontend
    ]


def _probe(it: Object) -> Probe:
    return Probe(
        arm.text(it, "properties", "protocol").upper(),
        arm.number(it, "properties", "port"),
        arm.text(it, "properties", "requestPath"),
    )


def unfit(probe: Probe, port: Port, service: Object) -> str | None:
    """
    Why a probe says nothing of the proxies, or None where it does. With externalTrafficPolicy Local
    it must find the nodes that have one: kube-proxy tells at the health check port, and keeps the
    node port shut elsewhere. With Cluster every node will do (cloud-provider-azure 1.36,
    ``getExpectedLBRules`` and azure_loadbalancer_healthprobe.go).
    """
    local = arm.text(service, "spec", "externalTrafficPolicy") == "Local"
    health = arm.number(service, "spec", "healthCheckNodePort")
    nodes = {it.node for it in ports(service)}
    if probe.port in nodes:
        return None if probe.protocol == "TCP" else _of_a_proxy(probe, port)
    if local and probe.port == health:
        if probe.protocol == "TCP":
            return "with externalTrafficPolicy Local every node opens it, with a proxy or without"
        return None
    if not local and probe.port == SHARED_PROBE:
        return None
    if local:
        return f"with externalTrafficPolicy Local it must be HTTP :{health}/healthz"
    return "no node listens there for this Service"


def _of_a_proxy(probe: Probe, port: Port) -> str:
    return (
        f"it asks a proxy for {probe.path or '/'}, and any answer but 200, such as 404 where no "
        f"route takes it, turns the nodes off"
    )
