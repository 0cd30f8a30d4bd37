"""
The load balancers of an AKS cluster, as Azure's cloud provider writes them: for each Service a
frontend, and for each of its ports a rule and a probe.

The rules are those of kubernetes-sigs/cloud-provider-azure (pkg/provider/azure_loadbalancer.go and
azure_loadbalancer_healthprobe.go, 2026-08).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tasks.lab.azure.cloud_provider import CLUSTER, Asked, Object, Place, RefusedError, address_of
from tasks.lab.forwarding import Frontend


def load_balancer(
    before: Object | None,
    service: Mapping[str, Any],
    wish: Asked,
    place: Place,
    holds: Object,
) -> Object:
    """
    The load balancer with a frontend for a Service, a rule and a probe for each of its ports.
    Raises `RefusedError` where another Service has one of its ports on the same address.

    + before: as Azure has it, None where there is none
    + holds: what its frontend consists of: {"publicIPAddress": {"id": ...}}, or a private address
    """
    own = place.network("loadBalancers", wish.balancer)
    cleared = without(before or _empty(place), {wish.base}, own)
    properties = cleared["properties"]
    frontends = properties["frontendIPConfigurations"]
    shared = next((it for it in frontends if _same_address(it, holds)), None)
    name = shared["name"] if shared else wish.base
    if not shared:
        others = [it for it in frontends if it["name"] != name]
        frontends = [*others, {"name": name, "properties": holds}]
    frontend = f"{own}/frontendIPConfigurations/{name}"
    for port in service["spec"].get("ports") or []:
        _refuse_conflict(port, properties["loadBalancingRules"], frontend)
    rules, probes = _rules_and_probes(service, wish, own, frontend)
    pool = {"name": CLUSTER}
    pools = properties.get("backendAddressPools") or []
    return {
        **cleared,
        "properties": {
            **properties,
            "frontendIPConfigurations": frontends,
            "backendAddressPools": pools
            if any(it["name"] == CLUSTER for it in pools)
            else [*pools, pool],
            "loadBalancingRules": [*properties["loadBalancingRules"], *rules],
            "probes": [*properties["probes"], *probes],
        },
    }


def _empty(place: Place) -> Object:
    return {"location": place.location, "sku": {"name": "Standard"}, "properties": {}}


def without(before: Object, bases: Iterable[str], own: str) -> Object:
    """
    The load balancer without what belongs to these Services; a frontend that another Service's
    rule or an outbound rule uses stays.

    + own: the load balancer's id
    """
    gone = set(bases)
    properties = before.get("properties") or {}
    rules = [it for it in properties.get("loadBalancingRules") or [] if _owner(it) not in gone]
    probes = [it for it in properties.get("probes") or [] if _owner(it) not in gone]
    used = {_frontend_of(it) for it in rules}
    used |= {
        it["id"].lower()
        for rule in properties.get("outboundRules") or []
        for it in (rule.get("properties") or {}).get("frontendIPConfigurations") or []
    }
    frontends = [
        it
        for it in properties.get("frontendIPConfigurations") or []
        if it["name"] not in gone or f"{own}/frontendIPConfigurations/{it['name']}".lower() in used
    ]
    kept = {
        "frontendIPConfigurations": frontends,
        "loadBalancingRules": rules,
        "probes": probes,
    }
    return {**before, "properties": {**properties, **kept}}


def strangers(balancer: Mapping[str, Any], bases: Iterable[str]) -> set[str]:
    """The Services that a load balancer still has parts of, without those in ``bases``."""
    properties = balancer.get("properties") or {}
    found = {_owner(it) for it in properties.get("loadBalancingRules") or []}
    found |= {
        it["name"] for it in properties.get("frontendIPConfigurations") or [] if is_base(it["name"])
    }
    return {it for it in found if is_base(it)} - set(bases)


def is_base(name: str) -> bool:
    """Whether this is what the parts of a Service are called, such as "a" and 31 digits."""
    return len(name) == 32 and name[0] == "a" and all(it in "0123456789abcdef" for it in name)


def _owner(part: Mapping[str, Any]) -> str:
    return str(part["name"]).partition("-")[0]


def _frontend_of(rule: Mapping[str, Any]) -> str:
    said = rule.get("properties") or {}
    return str((said.get("frontendIPConfiguration") or {}).get("id", "")).lower()


def _same_address(frontend: Mapping[str, Any], holds: Mapping[str, Any]) -> bool:
    has = frontend.get("properties") or {}
    if "publicIPAddress" in holds:
        one = (has.get("publicIPAddress") or {}).get("id", "")
        return bool(one.lower() == holds["publicIPAddress"]["id"].lower())
    return bool(has.get("privateIPAddress") == holds["privateIPAddress"])


def _refuse_conflict(port: Mapping[str, Any], rules: Iterable[Object], frontend: str) -> None:
    protocol = port.get("protocol", "TCP")
    for rule in rules:
        has = rule.get("properties") or {}
        same = str(has.get("protocol")).lower() == protocol.lower()
        same = same and has.get("frontendPort") == port["port"]
        if same and _frontend_of(rule) == frontend.lower():
            raise RefusedError(
                f"checkLoadBalancerResourcesConflicts: service port {port.get('name', '')} is "
                f"trying to consume the port {port['port']} which is being referenced by an "
                f"existing loadBalancing rule {rule['name']} with the same protocol "
                f"{has['protocol']} and frontend IP config with ID {frontend}"
            )


def _rules_and_probes(
    service: Mapping[str, Any], wish: Asked, own: str, frontend: str
) -> tuple[list[Object], list[Object]]:
    spec = service["spec"]
    local = spec.get("externalTrafficPolicy") == "Local" and spec.get("healthCheckNodePort")
    probes: dict[str, Object] = {}
    rules = []
    for port in spec.get("ports") or []:
        protocol = port.get("protocol", "TCP")
        name = f"{wish.base}-{protocol}-{port['port']}"
        probe = _presence_probe(wish, local) if local else _probe(name, port)
        if probe:
            probes[probe["name"]] = probe
        rules.append(_rule(name, port, wish, own, frontend, probe, spec.get("sessionAffinity")))
    return rules, list(probes.values())


def _rule(
    name: str,
    port: Mapping[str, Any],
    wish: Asked,
    own: str,
    frontend: str,
    probe: Object | None,
    affinity: str | None,
) -> Object:
    protocol = port.get("protocol", "TCP").title()
    properties: Object = {
        "protocol": protocol,
        "frontendPort": port["port"],
        "backendPort": port["port"],
        "frontendIPConfiguration": {"id": frontend},
        "backendAddressPool": {"id": f"{own}/backendAddressPools/{CLUSTER}"},
        "enableFloatingIP": True,
        "disableOutboundSnat": True,
        "loadDistribution": "SourceIP" if affinity == "ClientIP" else "Default",
        "idleTimeoutInMinutes": wish.idle_minutes,
    }
    if protocol == "Tcp":
        properties["enableTcpReset"] = True
    if probe:
        properties["probe"] = {"id": f"{own}/probes/{probe['name']}"}
    return {"name": name, "properties": properties}


def _probe(name: str, port: Mapping[str, Any]) -> Object | None:
    """One port's probe: by its appProtocol, else a TCP connection to the node port."""
    if port.get("protocol", "TCP") != "TCP":
        return None
    said = str(port.get("appProtocol", "")).lower()
    protocol = {"http": "Http", "https": "Https"}.get(said, "Tcp")
    path = {} if protocol == "Tcp" else {"requestPath": "/"}
    return _probing(name, {"protocol": protocol, "port": port.get("nodePort", 0), **path})


def _presence_probe(wish: Asked, port: int) -> Object:
    """Whether a node has a Pod of a Service with externalTrafficPolicy Local."""
    http = {"protocol": "Http", "port": port, "requestPath": "/healthz"}
    return _probing(f"{wish.base}-TCP-{port}", http)


def _probing(name: str, properties: Object) -> Object:
    often = {"intervalInSeconds": 5, "numberOfProbes": 2, "probeThreshold": 2}
    return {"name": name, "properties": {**properties, **often}}


def frontends(balancer: Mapping[str, Any], public_ips: Mapping[str, Object]) -> set[Frontend]:
    """
    What a load balancer sends on to its nodes: the ports of its rules, at the addresses of their
    frontends.

    + public_ips: by id in lower case
    """
    properties = balancer.get("properties") or {}
    own = f"{balancer['id']}/frontendIPConfigurations/"
    addresses = {
        f"{own}{it['name']}".lower(): _address(it.get("properties") or {}, public_ips)
        for it in properties.get("frontendIPConfigurations") or []
    }
    found = set()
    for rule in properties.get("loadBalancingRules") or []:
        address = addresses.get(_frontend_of(rule))
        said = rule.get("properties") or {}
        port = said.get("frontendPort")
        if address and port and said.get("backendAddressPool"):
            found.add(Frontend(address, str(said.get("protocol")).lower(), port))
    return found


def _address(frontend: Mapping[str, Any], public_ips: Mapping[str, Object]) -> str | None:
    held = public_ips.get((frontend.get("publicIPAddress") or {}).get("id", "").lower())
    return address_of(held) if held else frontend.get("privateIPAddress")
