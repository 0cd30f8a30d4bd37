"""
Made situations of public IPs, each with what an audit must find in it and nothing else. About half
of them are healthy and look as if they were not. What the builders make are the bodies that ARM
gives, so the same breaks can be planted in a stand-in: ``body["id"]`` says where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

from tasks.checks import public_ips
from tasks.checks.findings import Finding
from tasks.plans import arm
from tasks.plans.aks import ManagedCluster, managed_cluster
from tasks.plans.arm import KINDS, KindName
from tasks.plans.public_ips import (
    ADDRESS,
    FROM_PREFIX,
    GROUP,
    IDLE,
    INTERNAL,
    NAME,
    Answered,
    Claim,
    Landscape,
    Resolved,
    Wanted,
)

Object = dict[str, Any]
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
OTHER_SUBSCRIPTION = "99999999-8888-7777-6666-555555555555"
OWN = "addresses"
NAMESPACE = "envoy-gateway-system"
HOST = "shop.example.com"
ADDRESS_1, ADDRESS_2 = "20.103.0.10", "20.103.0.20"
CONTRIBUTOR = "4d97b98b-1d4f-4787-a291-c67834d212e7"  # Network Contributor
HEALTH = 32123
NODE_PORTS = {80: 30080, 443: 30443, 8080: 30808, 53: 30053}


def group(name: str, subscription: str = SUBSCRIPTION) -> str:
    """The id of a resource group."""
    return arm.group_id(subscription, name)


def network(kind: str, name: str, of: str, subscription: str = SUBSCRIPTION) -> str:
    """The id of a resource of Microsoft.Network. + of: its resource group"""
    return f"{group(of, subscription)}/providers/Microsoft.Network/{kind}/{name}"


def node_group(cluster: str) -> str:
    return f"MC_clusters_{cluster}_westeurope"


def identity(cluster: str) -> str:
    """The principal id of a cluster's identity."""
    return f"00000000-0000-0000-0000-{cluster.encode().hex():0>12.12}"


def aks(name: str = "weu-1", location: str = "westeurope", **properties: Any) -> Object:
    """A managed cluster with an identity of its own and one node pool in a subnet."""
    return {
        "id": f"{group('clusters')}/providers/Microsoft.ContainerService/managedClusters/{name}",
        "name": name,
        "location": location,
        "identity": {"type": "SystemAssigned", "principalId": identity(name)},
        "properties": {
            "provisioningState": "Succeeded",
            "powerState": {"code": "Running"},
            "nodeResourceGroup": node_group(name),
            "networkProfile": {"loadBalancerSku": "standard"},
            "agentPoolProfiles": [{"name": "nodes", "vnetSubnetID": subnet(name)}],
        }
        | properties,
    }


def subnet(cluster: str = "weu-1") -> str:
    return f"{network('virtualNetworks', 'fleet', 'networks')}/subnets/{cluster}"


def public_ip(
    name: str = "weu-1-public", address: str = ADDRESS_1, of: str = OWN, **about: Any
) -> Object:
    """A public IP that nothing holds: Standard, Static, in three zones."""
    return {
        "id": network("publicIPAddresses", name, of),
        "name": name,
        "location": "westeurope",
        "zones": ["1", "2", "3"],
        "sku": {"name": "Standard", "tier": "Regional"},
        "properties": {
            "provisioningState": "Succeeded",
            "publicIPAllocationMethod": "Static",
            "publicIPAddressVersion": "IPv6" if ":" in address else "IPv4",
            "ipAddress": address,
            "idleTimeoutInMinutes": 4,
        },
    } | about


def frontend(cluster: str = "weu-1", number: int = 1) -> str:
    """The id of what an address of a cluster is bound to."""
    own = network("loadBalancers", "kubernetes", node_group(cluster))
    return f"{own}/frontendIPConfigurations/a{number:031x}"


def bound(resource: Object, to: str) -> Object:
    """A public IP with what holds it."""
    return changed(resource, "properties", "ipConfiguration", value={"id": to})


def balancer(
    cluster: str,
    frontends: Mapping[str, Sequence[int]],
    policy: str = "Local",
    protocol: str = "Tcp",
) -> Object:
    """+ frontends: by id, the ports that have a rule, with the probe that AKS makes for each"""
    own = network("loadBalancers", "kubernetes", node_group(cluster))
    ports = [(it, port) for it, ports in frontends.items() for port in ports]
    return {
        "id": own,
        "name": "kubernetes",
        "location": "westeurope",
        "sku": {"name": "Standard"},
        "properties": {
            "frontendIPConfigurations": [{"id": it, "properties": {}} for it in frontends],
            "loadBalancingRules": [
                {
                    "name": f"{it.rsplit('/', 1)[-1]}-TCP-{port}",
                    "properties": {
                        "frontendIPConfiguration": {"id": it},
                        "frontendPort": port,
                        "backendPort": port,
                        "protocol": protocol,
                        "enableFloatingIP": True,
                        "idleTimeoutInMinutes": 4,
                        "probe": {"id": f"{own}/probes/{port}"},
                    },
                }
                for it, port in ports
            ],
            "probes": [
                {"id": f"{own}/probes/{port}", "properties": probe(policy, port)}
                for port in dict.fromkeys(port for _, port in ports)
            ],
        },
    }


def probe(policy: str, port: int) -> Object:
    if policy == "Local":
        return {"protocol": "Http", "port": HEALTH, "requestPath": "/healthz"}
    return {"protocol": "Tcp", "port": NODE_PORTS[port]}


def rule(
    name: str, priority: int, access: str = "Allow", source: Any = "Internet", **about: Any
) -> Object:
    """Of a network security group, for TCP that comes in at ports 80 and 443."""
    said: Object = {
        "priority": priority,
        "access": access,
        "direction": "Inbound",
        "protocol": "Tcp",
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRanges": ["80", "443"],
    }
    said["sourceAddressPrefix" if isinstance(source, str) else "sourceAddressPrefixes"] = source
    return {"name": name, "properties": said | about}


def everything(access: str, priority: int, source: str = "*") -> Object:
    """A rule for all ports."""
    return rule(
        f"{access}-all",
        priority,
        access,
        source,
        protocol="*",
        destinationPortRange="*",
        destinationPortRanges=[],
    )


def security(
    *rules: Object, name: str = "aks-agentpool-1-nsg", of: str | None = None, subnets: Any = ()
) -> Object:
    """A network security group, AKS's own where nothing else is said."""
    return {
        "id": network("networkSecurityGroups", name, of or node_group("weu-1")),
        "name": name,
        "properties": {"securityRules": list(rules), "subnets": [{"id": it} for it in subnets]},
    }


def lock(scope: str, level: str = "CanNotDelete", name: str = "keep") -> Object:
    return {
        "id": f"{scope}/providers/Microsoft.Authorization/locks/{name}",
        "name": name,
        "properties": {"level": level},
    }


def assignment(
    scope: str, role: str = CONTRIBUTOR, principal: str | None = None, of: str = "ServicePrincipal"
) -> Object:
    """A role that a principal, weu-1's where nothing is said, has at a scope."""
    base = "" if scope.startswith("/providers/") else f"/subscriptions/{SUBSCRIPTION}"
    return {
        "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{role}-{principal}",
        "properties": {
            "scope": scope,
            "principalId": principal or identity("weu-1"),
            "principalType": of,
            "roleDefinitionId": f"{base}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        },
    }


def definition(role: str, actions: Sequence[str], but: Sequence[str] = ()) -> Object:
    base = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions"
    return {
        "id": f"{base}/{role}",
        "name": role,
        "properties": {
            "roleName": role,
            "permissions": [{"actions": list(actions), "notActions": list(but)}],
        },
    }


def gateway(
    name: str = "public", addresses: Sequence[str] = (ADDRESS_1,), **annotations: str
) -> Object:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"namespace": "edge", "name": name},
        "spec": {
            "gatewayClassName": "envoy",
            "infrastructure": {"annotations": annotations},
            "listeners": [
                {"name": "http", "port": 80, "protocol": "HTTP"},
                {"name": "https", "port": 443, "protocol": "HTTPS"},
            ],
        },
        "status": {"addresses": [{"type": "IPAddress", "value": it} for it in addresses]},
    }


def service(
    annotations: Mapping[str, str],
    addresses: Sequence[str] = (ADDRESS_1,),
    policy: str = "Local",
    ports: Sequence[int] = (80, 443),
    made: str = "2026-11-01T08:00:00Z",
    **spec: Any,
) -> Object:
    return {
        "metadata": {
            "namespace": NAMESPACE,
            "name": "envoy-edge-public-1a2b3c4d",
            "annotations": dict(annotations),
            "creationTimestamp": made,
        },
        "spec": {
            "type": "LoadBalancer",
            "externalTrafficPolicy": policy,
            **({"healthCheckNodePort": HEALTH} if policy == "Local" else {}),
            "ports": [
                {"port": it, "nodePort": NODE_PORTS[it], "protocol": "TCP", "targetPort": it}
                for it in ports
            ],
        }
        | spec,
        "status": {"loadBalancer": {"ingress": [{"ip": it} for it in addresses]}},
    }


def asks(name: str | None = "weu-1-public", of: str | None = OWN, **more: str) -> dict[str, str]:
    """Annotations that ask for a public IP by its name."""
    return {
        **({NAME[False]: name} if name else {}),
        **({GROUP: of} if of else {}),
        **more,
    }


def claim(
    cluster: str = "weu-1",
    annotations: Mapping[str, str] | None = None,
    address: str | None = ADDRESS_1,
    of: Object | None = None,
    **about: Any,
) -> Claim:
    """
    A Gateway as its cluster has it, with an EnvoyProxy and a Service that ask for the public IP of
    this cluster, and one host name that leads to it and answers.

    + of: the managed cluster; + about: of the Service, or of the claim
    """
    own = asks(f"{cluster}-public") if annotations is None else annotations
    addresses = [address] if address else []
    of_claim = {it: about.pop(it) for it in list(about) if it in Claim.__dataclass_fields__}
    made = Claim(
        cluster=cluster,
        gateways=[gateway(addresses=addresses)],
        service=service(own, addresses, **about),
        aks=of_aks(of or aks(cluster)),
        settings=dict(own),
        proxy="EnvoyProxy edge/public",
        hosts={HOST: Resolved((address,))} if address else {},
        answers=[Answered(address, 443, HOST, None, (HOST,))] if address else [],
    )
    return replace(made, **of_claim)


def of_aks(resource: Object) -> ManagedCluster:
    return managed_cluster(resource)


def around(
    cluster: str = "weu-1", ports: Sequence[int] = (80, 443), policy: str = "Local", number: int = 1
) -> list[Object]:
    """What Azure has around a cluster's public IP: the cluster, rules, security, role and lock."""
    return [
        aks(cluster),
        balancer(cluster, {frontend(cluster, number): ports}, policy),
        security(rule("k8s-azure-lb_allow_IPv4", 500), of=node_group(cluster)),
        assignment(group(OWN), principal=identity(cluster)),
        definition(CONTRIBUTOR, ["Microsoft.Network/*", "Microsoft.Authorization/*/read"]),
        lock(group(OWN)),
    ]


def healthy(cluster: str = "weu-1", address: str = ADDRESS_1) -> list[Object]:
    """All of Azure for one cluster, with its public IP bound."""
    own = bound(public_ip(f"{cluster}-public", address), frontend(cluster))
    return [own, *around(cluster)]


def changed(thing: Object, *path: str, value: Any) -> Object:
    """A copy with another value at a place; None takes it away."""
    made = deepcopy(thing)
    inner: Any = made
    for it in path[:-1]:
        inner = inner.setdefault(it, {})
    if value is None:
        inner.pop(path[-1], None)
    else:
        inner[path[-1]] = value
    return made


def kind_of(resource: Mapping[str, Any]) -> str:
    """Such as "loadBalancers"."""
    lower = str(resource["id"]).lower()
    return max(KINDS, key=lambda it: lower.rfind(f"/{it.lower()}/"))


def without(resources: Sequence[Object], kind: KindName) -> list[Object]:
    return [it for it in resources if kind_of(it) != kind]


def other(resources: Sequence[Object], *replacements: Object) -> list[Object]:
    """With these in the place of those of their kind."""
    kinds = {kind_of(it) for it in replacements}
    return [*(it for it in resources if kind_of(it) not in kinds), *replacements]


@dataclass(frozen=True)
class Situation:
    """
    + resources: as ARM gives them; + expected: such as {"error GW701 weu-1"}, empty where all is
      well; + kinds: those that were asked for
    """

    claims: Sequence[Claim]
    resources: Sequence[Object]
    expected: frozenset[str] = frozenset()
    records: Mapping[str, Sequence[Object]] = field(default_factory=dict)
    unread: Mapping[tuple[str, KindName], str] = field(default_factory=dict)
    kinds: Sequence[KindName] = tuple(KINDS)

    @property
    def landscape(self) -> Landscape:
        return landscape(self.resources, self.records, self.unread, self.kinds)

    @property
    def findings(self) -> list[Finding]:
        """Each once, of all claims and of the fleet."""
        found = [it for one in self.claims for it in public_ips.findings(one, self.landscape, NOW)]
        return list(dict.fromkeys([*found, *public_ips.of_the_fleet(self.claims, self.landscape)]))

    @property
    def healthy(self) -> bool:
        """Whether nothing fails a run."""
        return all(it.startswith("info ") for it in self.expected)

    @property
    def found(self) -> list[str]:
        return [f"{it.severity} {it.code} {it.where.cluster or '-'}" for it in self.findings]


def landscape(
    resources: Sequence[Object],
    records: Mapping[str, Sequence[Object]] | None = None,
    unread: Mapping[tuple[str, KindName], str] | None = None,
    kinds: Sequence[KindName] = tuple(KINDS),
) -> Landscape:
    """What reading a subscription with these resources gives."""
    found: dict[KindName, dict[str, Object]] = {it: {} for it in kinds}
    for it in resources:
        kind = cast(KindName, kind_of(it))
        if kind in found:
            found[kind][it["id"].lower()] = it
    return Landscape(found, records or {}, unread or {})


@dataclass
class _Situations:
    """Those that this module registers, in their order."""

    known: list[Callable[[], Situation]] = field(default_factory=list)

    def __call__(self, it: Callable[[], Situation]) -> Callable[[], Situation]:
        self.known.append(it)
        return it


situation = _Situations()


def broken(
    *expected: str,
    claims: Sequence[Claim] | None = None,
    resources: Sequence[Object] | None = None,
    **about: Any,
) -> Situation:
    return Situation(
        claims or [claim()],
        healthy() if resources is None else resources,
        frozenset(expected),
        **about,
    )


fine = broken

# Broken: a link each.


@situation
def public_ip_is_gone() -> Situation:
    return broken("error GW701 weu-1", claims=[claim(address=None)], resources=around())


@situation
def public_ip_is_gone_while_the_service_still_says_it() -> Situation:
    return broken("error GW701 weu-1", resources=around())


@situation
def address_that_no_public_ip_has_is_asked_for() -> Situation:
    said = {ADDRESS[False]: ADDRESS_2, GROUP: OWN}
    event = f"user supplied IP Address {ADDRESS_2} was not found in resource group {OWN}"
    found = claim(annotations=said, address=None, events=[event])
    resources = [public_ip(), *around()]
    return broken("error GW701 weu-1", "info GW726 -", claims=[found], resources=resources)


@situation
def prefix_does_not_exist() -> Situation:
    prefix = network("publicIPPrefixes", "fleet", OWN)
    found = claim(annotations={FROM_PREFIX[False]: prefix}, address=None)
    return broken("error GW701 weu-1", claims=[found], resources=around())


@situation
def dynamic_and_basic() -> Situation:
    own = bound(public_ip(sku={"name": "Basic"}), frontend())
    own = changed(own, "properties", "publicIPAllocationMethod", value="Dynamic")
    return broken("warning GW702 weu-1", "error GW703 weu-1", resources=[own, *around()])


@situation
def static_and_basic() -> Situation:
    own = public_ip(sku={"name": "Basic", "tier": "Regional"})
    return broken("error GW703 weu-1", claims=[claim(address=None)], resources=[own, *around()])


@situation
def sku_of_nat_gateways() -> Situation:
    own = public_ip(sku={"name": "StandardV2", "tier": "Regional"})
    return broken("error GW703 weu-1", claims=[claim(address=None)], resources=[own, *around()])


@situation
def resource_group_is_not_said() -> Situation:
    found = claim(annotations=asks(of=None), address=None)
    return broken("error GW704 weu-1", claims=[found], resources=[public_ip(), *around()])


@situation
def resource_group_is_another_one() -> Situation:
    found = claim(annotations=asks(of="adresses"), address=None)
    return broken("error GW704 weu-1", claims=[found], resources=[public_ip(), *around()])


@situation
def public_ip_is_in_another_subscription() -> Situation:
    own = public_ip(id=network("publicIPAddresses", "weu-1-public", OWN, OTHER_SUBSCRIPTION))
    resources = [
        own,
        lock(group(OWN, OTHER_SUBSCRIPTION)),
        assignment(group(OWN, OTHER_SUBSCRIPTION)),
        *around(),
    ]
    return broken("error GW704 weu-1", claims=[claim(address=None)], resources=resources)


@situation
def identity_has_no_role() -> Situation:
    event = "AuthorizationFailed: does not have authorization to perform action"
    found = claim(address=None, events=[event])
    resources = without([public_ip(), *around()], "roleAssignments")
    return broken("error GW705 weu-1", claims=[found], resources=resources)


@situation
def role_was_taken_away_while_the_address_is_bound() -> Situation:
    return broken("warning GW705 weu-1", resources=without(healthy(), "roleAssignments"))


@situation
def custom_role_leaves_join_out() -> Situation:
    role = "00000000-aaaa-bbbb-cccc-000000000001"
    resources = other(
        [public_ip(), *around()],
        assignment(group(OWN), role),
        definition(role, ["Microsoft.Network/*"], ["Microsoft.Network/*/join/action"]),
    )
    return broken("error GW705 weu-1", claims=[claim(address=None)], resources=resources)


@situation
def role_on_the_ip_alone() -> Situation:
    own = network("publicIPAddresses", "weu-1-public", OWN)
    return broken("warning GW705 weu-1", resources=other(healthy(), assignment(own)))


@situation
def inventory_names_another_subscription() -> Situation:
    away = public_ip(id=network("publicIPAddresses", "weu-1-public", OWN, OTHER_SUBSCRIPTION))
    there = group(OWN, OTHER_SUBSCRIPTION)
    found = claim(address=None, wanted=Wanted("weu-1-public", OWN, OTHER_SUBSCRIPTION))
    resources = [away, lock(there), assignment(there), *around()]
    return broken("error GW704 weu-1", claims=[found], resources=resources)


@situation
def role_is_that_of_another_group() -> Situation:
    resources = other([public_ip(), *around()], assignment(group(f"{OWN}-old")))
    return broken("error GW705 weu-1", claims=[claim(address=None)], resources=resources)


@situation
def another_cluster_holds_it() -> Situation:
    own = bound(public_ip(), frontend("weu-2"))
    resources = [own, *around(), aks("weu-2")]
    return broken("error GW706 weu-1", claims=[claim(address=None)], resources=resources)


@situation
def a_network_interface_holds_it() -> Situation:
    card = f"{network('networkInterfaces', 'jump', 'jump')}/ipConfigurations/one"
    return broken("error GW706 weu-1", resources=[bound(public_ip(), card), *around()])


@situation
def a_nat_gateway_holds_it() -> Situation:
    nat = {"id": network("natGateways", "out", "networks")}
    own = changed(public_ip(), "properties", "natGateway", value=nat)
    return broken("error GW706 weu-1", claims=[claim(address=None)], resources=[own, *around()])


@situation
def it_lies_in_the_node_resource_group() -> Situation:
    own = bound(public_ip(of=node_group("weu-1")), frontend())
    found = claim(annotations=asks(of=None))
    return broken("warning GW707 weu-1", claims=[found], resources=[own, *around()])


@situation
def nothing_locks_it() -> Situation:
    return broken("warning GW708 weu-1", resources=without(healthy(), "locks"))


@situation
def a_lock_is_read_only() -> Situation:
    resources = other(healthy(), lock(group(OWN), "ReadOnly"))
    return broken("warning GW708 weu-1", resources=resources)


@situation
def it_is_in_another_region() -> Situation:
    own = public_ip(location="northeurope")
    return broken("error GW709 weu-1", claims=[claim(address=None)], resources=[own, *around()])


@situation
def it_is_in_one_zone() -> Situation:
    own = bound(public_ip(zones=["2"]), frontend())
    return broken("warning GW710 weu-1", resources=[own, *around()])


@situation
def its_last_change_failed() -> Situation:
    own = changed(public_ip(), "properties", "provisioningState", value="Failed")
    return broken("error GW711 weu-1", claims=[claim(address=None)], resources=[own, *around()])


@situation
def service_has_no_address_and_nothing_says_why() -> Situation:
    found = claim(address=None, events=["TooManyRequests: quota"])
    return broken("error GW712 weu-1", claims=[found], resources=[public_ip(), *around()])


@situation
def gateway_has_no_service() -> Situation:
    found = claim(service=None, settings={}, hosts={}, answers=[])
    return broken("error GW712 weu-1", claims=[found], resources=around())


@situation
def gateway_says_an_old_address() -> Situation:
    return broken("warning GW713 weu-1", claims=[claim(gateways=[gateway(addresses=[ADDRESS_2])])])


@situation
def service_keeps_another_address() -> Situation:
    old = bound(public_ip("kubernetes-a1", ADDRESS_2, node_group("weu-1")), frontend())
    found = claim(address=ADDRESS_2)
    resources = [public_ip(), old, *around()]
    return broken("error GW714 weu-1", claims=[found], resources=resources)


@situation
def public_ip_was_made_anew_with_another_address() -> Situation:
    found = claim(address=ADDRESS_2, wanted=Wanted("weu-1-public", OWN, None, ADDRESS_1))
    own = bound(public_ip(address=ADDRESS_2), frontend())
    return broken("error GW714 weu-1", claims=[found], resources=[own, *around()])


@situation
def annotation_of_the_inventory_is_not_there() -> Situation:
    auto = bound(public_ip("kubernetes-a1", ADDRESS_2, node_group("weu-1")), frontend())
    found = claim(annotations={}, address=ADDRESS_2, wanted=Wanted("weu-1-public", OWN))
    resources = [public_ip(), auto, *around()]
    return broken("error GW715 weu-1", claims=[found], resources=resources)


@situation
def envoy_gateway_has_not_written_the_annotation() -> Situation:
    found = claim(settings=asks("weu-1-new"))
    return broken("warning GW715 weu-1", claims=[found])


@situation
def envoy_gateway_has_not_written_the_group() -> Situation:
    found = claim(annotations=asks(of=None), settings=asks(), address=None)
    return broken("error GW715 weu-1", claims=[found], resources=[public_ip(), *around()])


@situation
def annotation_was_set_by_hand() -> Situation:
    return broken("warning GW715 weu-1", claims=[claim(settings={})])


@situation
def internal_with_a_public_ip() -> Situation:
    said = asks() | {INTERNAL: "true"}
    found = claim(
        annotations=said, address="10.4.0.9", hosts={}, wanted=Wanted("weu-1-public", OWN)
    )
    resources = other([public_ip(), *around()], _private_balancer("10.4.0.9"))
    return broken("error GW716 weu-1", "info GW726 -", claims=[found], resources=resources)


@situation
def name_and_address_are_of_two() -> Situation:
    said = asks() | {ADDRESS[False]: ADDRESS_2}
    return broken("warning GW716 weu-1", claims=[claim(annotations=said)])


@situation
def address_that_is_none() -> Situation:
    said = {ADDRESS[False]: "20.103.0.300", GROUP: OWN}
    return broken(
        "error GW716 weu-1", claims=[claim(annotations=said, address=None)], resources=around()
    )


@situation
def address_by_the_deprecated_field() -> Situation:
    found = claim(annotations={GROUP: OWN}, loadBalancerIP=ADDRESS_1)
    return broken("warning GW717 weu-1", claims=[found])


@situation
def load_balancer_has_no_rule_for_https() -> Situation:
    resources = other(healthy(), balancer("weu-1", {frontend(): (80,)}))
    return broken("error GW718 weu-1", resources=resources)


@situation
def new_service_has_a_rule_for_http_alone() -> Situation:
    resources = other(healthy(), balancer("weu-1", {frontend(): (80,)}))
    found = claim(made="2026-11-22T11:58:00Z")
    return broken("error GW718 weu-1", claims=[found], resources=resources)


@situation
def nothing_is_bound_to_the_address() -> Situation:
    resources = other([public_ip(), *around()], balancer("weu-1", {}))
    return broken("error GW718 weu-1", resources=resources)


@situation
def rule_without_probe() -> Situation:
    made = balancer("weu-1", {frontend(): (80, 443)})
    for it in made["properties"]["loadBalancingRules"]:
        del it["properties"]["probe"]
    return broken("warning GW718 weu-1", resources=other(healthy(), made))


@situation
def probe_of_the_other_traffic_policy() -> Situation:
    resources = other(healthy(), balancer("weu-1", {frontend(): (80, 443)}, "Local"))
    return broken("error GW719 weu-1", claims=[claim(policy="Cluster")], resources=resources)


@situation
def probe_that_every_node_answers() -> Situation:
    made = balancer("weu-1", {frontend(): (80, 443)})
    for it in made["properties"]["probes"]:
        it["properties"] = {"protocol": "Tcp", "port": HEALTH}
    return broken("error GW719 weu-1", resources=other(healthy(), made))


@situation
def probe_asks_the_proxy_for_a_path() -> Situation:
    made = balancer("weu-1", {frontend(): (80, 443)}, "Cluster")
    for it in made["properties"]["probes"]:
        it["properties"] |= {"protocol": "Http", "requestPath": "/"}
    found = claim(policy="Cluster", answers=[Answered(ADDRESS_1, 443, HOST, "timed out")])
    return broken("error GW719 weu-1", claims=[found], resources=other(healthy(), made))


@situation
def subnet_denies_the_internet() -> Situation:
    own = security(
        everything("Deny", 200, "Internet"), name="fleet", of="networks", subnets=[subnet()]
    )
    return broken("error GW720 weu-1", resources=[*healthy(), own])


@situation
def subnet_denies_clients_and_probes() -> Situation:
    own = security(everything("Deny", 4096), name="fleet", of="networks", subnets=[subnet()])
    return broken("error GW720 weu-1", resources=[*healthy(), own])


@situation
def subnet_denies_the_probes_alone() -> Situation:
    own = security(
        rule("web", 100),
        everything("Deny", 4096),
        name="fleet",
        of="networks",
        subnets=[subnet().upper()],
    )
    return broken("error GW720 weu-1", resources=[*healthy(), own])


@situation
def rule_of_aks_was_deleted() -> Situation:
    return broken("error GW720 weu-1", resources=other(healthy(), security()))


@situation
def source_ranges_in_two_places() -> Situation:
    ranges = "service.beta.kubernetes.io/azure-allowed-ip-ranges"
    found = claim(
        annotations=asks() | {ranges: "20.1.0.0/16"}, loadBalancerSourceRanges=["20.2.0.0/16"]
    )
    return broken("error GW721 weu-1", claims=[found])


@situation
def source_range_that_is_none() -> Situation:
    found = claim(loadBalancerSourceRanges=["20.1.0.0/16", "office"])
    return broken("error GW721 weu-1", claims=[found])


@situation
def private_sources_of_a_public_address() -> Situation:
    found = claim(loadBalancerSourceRanges=["10.0.0.0/8"])
    resources = other(healthy(), security(rule("k8s", 500, source="10.0.0.0/8")))
    return broken("warning GW721 weu-1", claims=[found], resources=resources)


@situation
def name_leads_elsewhere() -> Situation:
    return broken("warning GW722 weu-1", claims=[claim(hosts={HOST: Resolved(("52.1.2.3",))})])


@situation
def name_leads_nowhere() -> Situation:
    return broken("warning GW722 weu-1", claims=[claim(hosts={HOST: Resolved()})])


@situation
def name_leads_elsewhere_over_ipv6() -> Situation:
    hosts = {HOST: Resolved((ADDRESS_1, "2603:1020::9"))}
    return broken("warning GW722 weu-1", claims=[claim(hosts=hosts)])


@situation
def name_leads_to_another_cluster_that_does_not_serve_it() -> Situation:
    one = claim(hosts={HOST: Resolved((ADDRESS_2,))})
    two = claim("weu-2", address=ADDRESS_2, hosts={})
    resources = [*healthy(), *healthy("weu-2", ADDRESS_2)]
    return broken("warning GW722 weu-1", claims=[one, two], resources=resources)


@situation
def name_leads_to_an_address_that_nothing_holds() -> Situation:
    left = public_ip("old", ADDRESS_2)
    found = claim(hosts={HOST: Resolved((ADDRESS_1, ADDRESS_2))})
    return broken("error GW723 weu-1", "info GW726 -", claims=[found], resources=[*healthy(), left])


@situation
def record_stands_for_a_public_ip_that_is_gone() -> Situation:
    zone = network("dnszones", "example.com", "dns")
    target = {"id": network("publicIPAddresses", "old", OWN)}
    record = {"name": "shop", "properties": {"targetResource": target}}
    found = claim(hosts={HOST: Resolved()})
    return broken("error GW723 weu-1", claims=[found], records={zone.lower(): [record]})


@situation
def nothing_answers() -> Situation:
    answers = [Answered(ADDRESS_1, 443, HOST, "timed out"), Answered(ADDRESS_1, 80, HOST)]
    return broken("error GW724 weu-1", claims=[claim(answers=answers)])


@situation
def another_certificate_answers() -> Situation:
    answers = [Answered(ADDRESS_1, 443, HOST, None, ("other.example.org",))]
    return broken("error GW724 weu-1", claims=[claim(answers=answers)])


@situation
def two_clusters_claim_one_that_is_free() -> Situation:
    resources = other(
        [public_ip(), *around(), aks("weu-2")],
        *(assignment(group(OWN), principal=identity(it)) for it in ("weu-1", "weu-2")),
    )
    claims = [
        claim(address=None, made="2026-11-22T11:58:00Z"),
        claim("weu-2", asks("weu-1-public"), address=None, made="2026-11-22T11:58:00Z"),
    ]
    resources = [*resources, aks("weu-1")]
    return broken("error GW725 weu-2", claims=claims, resources=resources)


@situation
def two_gateways_want_one_port() -> Situation:
    two = claim(gateways=[gateway("second")], proxy="EnvoyProxy edge/second")
    return broken("error GW725 weu-1", claims=[claim(), two])


@situation
def unused_public_ip() -> Situation:
    return broken("info GW726 -", resources=[*healthy(), public_ip("forgotten", ADDRESS_2)])


@situation
def idle_connections_are_cut_early() -> Situation:
    said = asks() | {IDLE: "30"}
    return broken("info GW727 weu-1", claims=[claim(annotations=said)])


@situation
def gateway_asks_for_an_address_by_its_spec() -> Situation:
    own = changed(gateway(addresses=[ADDRESS_2]), "spec", "addresses", value=[{"value": ADDRESS_2}])
    return broken("warning GW728 weu-1", claims=[claim(gateways=[own])])


@situation
def tier_is_global() -> Situation:
    own = public_ip(sku={"name": "Standard", "tier": "Global"})
    return broken("error GW729 weu-1", claims=[claim(address=None)], resources=[own, *around()])


@situation
def last_change_of_the_cluster_failed() -> Situation:
    own = aks(provisioningState="Failed")
    return broken("warning GW730 weu-1", claims=[claim(of=own)], resources=other(healthy(), own))


@situation
def locks_could_not_be_read() -> Situation:
    resources = without(without(healthy(), "locks"), "roleAssignments")
    why = {(SUBSCRIPTION, it): "AuthorizationFailed" for it in ("locks", "roleAssignments")}
    return broken("warning GW700 weu-1", resources=resources, unread=why)


@situation
def nothing_could_be_read() -> Situation:
    why: dict[tuple[str, KindName], str] = {(SUBSCRIPTION.upper(), it): "403" for it in KINDS}
    return broken("warning GW700 weu-1", resources=[], unread=why)


@situation
def dns_could_not_be_asked() -> Situation:
    found = claim(
        hosts={HOST: Resolved(why="timed out"), "b.example.com": Resolved(why="timed out")}
    )
    return broken("warning GW700 weu-1", claims=[found])


@situation
def cluster_of_azure_is_not_known() -> Situation:
    return broken("warning GW700 weu-1", claims=[claim(aks=None)])


# Healthy, and looks as if it were not.


@situation
def healthy_one() -> Situation:
    return fine()


@situation
def healthy_fleet() -> Situation:
    claims = [claim(), claim("weu-2", address=ADDRESS_2)]
    return fine(claims=claims, resources=[*healthy(), *healthy("weu-2", ADDRESS_2)])


def _private_balancer(address: str) -> Object:
    """With a frontend that has an address of the network."""
    own = network("loadBalancers", "kubernetes-internal", node_group("weu-1"))
    front = f"{own}/frontendIPConfigurations/a1"
    made = balancer("weu-1", {front: (80, 443)})
    made["properties"]["frontendIPConfigurations"][0]["properties"]["privateIPAddress"] = address
    return made | {"id": own}


@situation
def internal_load_balancer() -> Situation:
    hosts = {HOST: Resolved()}
    found = claim(annotations={INTERNAL: "true"}, address="10.4.0.9", hosts={})
    resources = other(around(), _private_balancer("10.4.0.9"))
    return fine("info GW722 weu-1", claims=[replace(found, hosts=hosts)], resources=resources)


@situation
def internal_with_an_address_of_its_own() -> Situation:
    said = {INTERNAL: "true", ADDRESS[False]: "10.4.0.9"}
    found = claim(annotations=said, address="10.4.0.9")
    return fine(claims=[found], resources=other(around(), _private_balancer("10.4.0.9")))


@situation
def ids_in_another_case() -> Situation:
    own = public_ip(id=network("publicIPAddresses", "WEU-1-Public", OWN).upper())
    own = bound(own, frontend().upper())
    return fine(resources=[own, *around()])


@situation
def region_with_its_display_name() -> Situation:
    own = bound(public_ip(location="West Europe"), frontend())
    return fine(resources=[own, *around()])


@situation
def service_is_new() -> Situation:
    found = claim(address=None, made="2026-11-22T11:58:00Z")
    return fine(claims=[found], resources=[public_ip(), *around()])


@situation
def service_is_new_with_all_its_rules() -> Situation:
    return fine(claims=[claim(made="2026-11-22T11:58:00Z")])


@situation
def service_is_new_and_its_ip_not_bound_yet() -> Situation:
    found = claim(made="2026-11-22T11:58:00Z")
    resources = other([public_ip(), *around()], balancer("weu-1", {}))
    return fine(claims=[found], resources=resources)


@situation
def standard_that_says_dynamic() -> Situation:
    own = bound(public_ip(), frontend())
    own = changed(own, "properties", "publicIPAllocationMethod", value="Dynamic")
    return fine(resources=[own, *around()])


@situation
def no_zones() -> Situation:
    return fine(resources=[bound(public_ip(zones=[]), frontend()), *around()])


@situation
def one_zone_that_the_inventory_wants() -> Situation:
    found = claim(wanted=Wanted("weu-1-public", OWN, zones=("2",)))
    return fine(claims=[found], resources=[bound(public_ip(zones=["2"]), frontend()), *around()])


@situation
def lock_on_the_subscription() -> Situation:
    return fine(resources=other(healthy(), lock(f"/subscriptions/{SUBSCRIPTION}")))


@situation
def lock_on_the_ip() -> Situation:
    own = network("publicIPAddresses", "weu-1-public", OWN)
    return fine(resources=other(healthy(), lock(own)))


@situation
def inventory_wants_no_lock() -> Situation:
    found = claim(wanted=Wanted("weu-1-public", OWN, lock=False))
    return fine(claims=[found], resources=without(healthy(), "locks"))


@situation
def role_on_the_subscription() -> Situation:
    return fine(resources=other(healthy(), assignment(f"/subscriptions/{SUBSCRIPTION}")))


@situation
def role_on_the_management_group() -> Situation:
    above = "/providers/Microsoft.Management/managementGroups/fleet"
    return fine(resources=other(healthy(), assignment(above)))


@situation
def role_on_the_ip_and_reader_of_its_group() -> Situation:
    own = network("publicIPAddresses", "weu-1-public", OWN)
    reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
    return fine(resources=other(healthy(), assignment(own), assignment(group(OWN), reader)))


@situation
def names_translated_for_ipv6() -> Situation:
    hosts = {HOST: Resolved((ADDRESS_1, "64:ff9b::1467:a"))}
    return fine(claims=[claim(hosts=hosts)])


@situation
def both_families_with_source_ranges_of_one() -> Situation:
    it = both_families()
    spec = {"loadBalancerSourceRanges": ["20.1.0.0/16"]}
    own = it.claims[0]
    asked = changed(dict(own.service or {}), "spec", value={**(own.service or {})["spec"], **spec})
    allows = security(rule("k8s", 500, source="20.1.0.0/16", destinationAddressPrefix=ADDRESS_1))
    return fine(claims=[replace(own, service=asked)], resources=other(list(it.resources), allows))


@situation
def custom_role_with_wildcards() -> Situation:
    role = "00000000-aaaa-bbbb-cccc-000000000002"
    actions = ["microsoft.network/publicIPAddresses/*", "Microsoft.Network/loadBalancers/read"]
    but = ["Microsoft.Network/publicIPAddresses/delete"]
    return fine(
        resources=other(healthy(), assignment(group(OWN), role), definition(role, actions, but))
    )


@situation
def two_roles_that_add_up() -> Situation:
    reader, joiner = "acdd72a7-3385-48ef-bd42-f606fba81ae7", "00000000-aaaa-bbbb-cccc-000000000003"
    return fine(
        resources=other(
            healthy(),
            assignment(f"/subscriptions/{SUBSCRIPTION}", reader),
            assignment(group(OWN), joiner),
            definition(joiner, ["Microsoft.Network/publicIPAddresses/join/action"]),
        )
    )


@situation
def role_of_an_entra_group() -> Situation:
    given = assignment(group(OWN), principal="77777777-0000-0000-0000-000000000000", of="Group")
    return fine("info GW700 weu-1", resources=other(healthy(), given))


@situation
def cluster_with_a_service_principal() -> Situation:
    own = aks(servicePrincipalProfile={"clientId": "88888888-0000-0000-0000-000000000000"})
    del own["identity"]
    resources = without(other(healthy(), own), "roleAssignments")
    return fine("info GW700 weu-1", claims=[claim(of=own)], resources=resources)


@situation
def ip_of_a_prefix() -> Situation:
    prefix = network("publicIPPrefixes", "fleet", OWN)
    said = asks() | {FROM_PREFIX[False]: prefix.upper()}
    own = changed(public_ip(), "properties", "publicIPPrefix", value={"id": prefix})
    resources = [bound(own, frontend()), {"id": prefix, "name": "fleet"}, *around()]
    return fine(claims=[claim(annotations=said)], resources=resources)


@situation
def free_ip_of_a_cluster_to_come() -> Situation:
    later = Claim("weu-3", [], None, wanted=Wanted("weu-3-public", OWN))
    return fine(
        claims=[claim(), later], resources=[*healthy(), public_ip("weu-3-public", ADDRESS_2)]
    )


@situation
def two_gateways_of_a_cluster_share_it() -> Situation:
    two = claim(gateways=[gateway("second")], ports=(8080,), proxy="EnvoyProxy edge/second")
    two = replace(two, answers=[])
    rules = balancer("weu-1", {frontend(): (80, 443, 8080)})
    allows = security(rule("one", 500), rule("two", 501, destinationPortRanges=["8080"]))
    return fine(claims=[claim(), two], resources=other(healthy(), rules, allows))


@situation
def merged_gateways_share_a_service() -> Situation:
    return fine(claims=[claim(gateways=[gateway("a"), gateway("b")])])


@situation
def name_leads_here_through_another_name() -> Situation:
    hosts = {HOST: Resolved((ADDRESS_1,), aliases=("weu-1.westeurope.cloudapp.azure.com",))}
    return fine(claims=[claim(hosts=hosts)])


@situation
def wildcard_name() -> Situation:
    host = "*.example.com"
    answers = [Answered(ADDRESS_1, 443, host, None, (host,))]
    return fine(claims=[claim(hosts={host: Resolved((ADDRESS_1,))}, answers=answers)])


@situation
def front_door_stands_before_it() -> Situation:
    hosts = {HOST: Resolved(("13.107.246.1",), aliases=("shop-abc.z01.azurefd.net",))}
    return fine("info GW722 weu-1", claims=[claim(hosts=hosts)])


@situation
def traffic_manager_chooses_this_one_today() -> Situation:
    hosts = {HOST: Resolved((ADDRESS_1,), aliases=("shop.trafficmanager.net",))}
    return fine(claims=[claim(hosts=hosts)])


@situation
def application_gateway_stands_before_it() -> Situation:
    front = f"{network('applicationGateways', 'waf', 'networks')}/frontendIPConfigurations/one"
    waf = bound(public_ip("waf", ADDRESS_2), front)
    found = claim(hosts={HOST: Resolved((ADDRESS_2,))})
    return fine("info GW722 weu-1", claims=[found], resources=[*healthy(), waf])


@situation
def cluster_that_stands_by() -> Situation:
    one = claim(hosts={HOST: Resolved((ADDRESS_2,))})
    two = claim("weu-2", address=ADDRESS_2)
    resources = [*healthy(), *healthy("weu-2", ADDRESS_2)]
    return fine("info GW722 weu-1", claims=[one, two], resources=resources)


@situation
def several_clusters_behind_one_name() -> Situation:
    both = {HOST: Resolved((ADDRESS_2, ADDRESS_1))}
    claims = [claim(hosts=both), claim("weu-2", address=ADDRESS_2, hosts=both)]
    return fine(claims=claims, resources=[*healthy(), *healthy("weu-2", ADDRESS_2)])


@situation
def outbound_ips_of_aks() -> Situation:
    made = public_ip(
        "0f1e2d", ADDRESS_2, node_group("weu-1"), tags={"type": "aks-slb-managed-outbound-ip"}
    )
    chosen = public_ip("out", "20.103.0.30")
    profile = {
        "loadBalancerSku": "Standard",
        "loadBalancerProfile": {"outboundIPs": {"publicIPs": [{"id": chosen["id"]}]}},
    }
    own = aks(networkProfile=profile)
    return fine(claims=[claim(of=own)], resources=other(healthy(), own, made, chosen, healthy()[0]))


@situation
def azure_chose_the_address() -> Situation:
    auto = bound(public_ip("kubernetes-a1", of=node_group("weu-1")), frontend())
    return fine("info GW707 weu-1", claims=[claim(annotations={})], resources=[auto, *around()])


@situation
def a_lower_priority_allows() -> Situation:
    own = security(
        rule("web", 100),
        rule("probes", 110, source="AzureLoadBalancer", destinationPortRanges=["30000-32767"]),
        everything("Deny", 200),
        name="fleet",
        of="networks",
        subnets=[subnet()],
    )
    return fine(resources=[*healthy(), own])


@situation
def one_country_is_denied() -> Situation:
    own = security(
        rule("bad", 100, "Deny", ["185.0.0.0/16"]),
        rule("web", 200),
        name="fleet",
        of="networks",
        subnets=[subnet()],
    )
    return fine(resources=[*healthy(), own])


@situation
def front_door_alone_may_come_in() -> Situation:
    tags = "service.beta.kubernetes.io/azure-allowed-service-tags"
    found = claim(annotations=asks() | {tags: "AzureFrontDoor.Backend"})
    allows = security(rule("k8s", 500, source="AzureFrontDoor.Backend"))
    return fine(claims=[found], resources=other(healthy(), allows))


@situation
def security_group_of_another_subnet() -> Situation:
    own = security(everything("Deny", 100), name="jump", of="networks", subnets=[subnet("jump")])
    return fine(resources=[*healthy(), own])


@situation
def application_security_groups_are_not_judged() -> Situation:
    own = security(
        rule("nodes", 100, "Deny", destinationApplicationSecurityGroups=[{"id": "x"}]),
        rule("web", 200),
        name="fleet",
        of="networks",
        subnets=[subnet()],
    )
    return fine("info GW700 weu-1", resources=[*healthy(), own])


@situation
def cluster_policy_with_tcp_probes() -> Situation:
    rules = balancer("weu-1", {frontend(): (80, 443)}, "Cluster")
    return fine(claims=[claim(policy="Cluster")], resources=other(healthy(), rules))


@situation
def cluster_policy_with_the_shared_probe() -> Situation:
    rules = balancer("weu-1", {frontend(): (80, 443)})
    for it in rules["properties"]["probes"]:
        it["properties"] = {"protocol": "Http", "port": 10256, "requestPath": "/healthz"}
    return fine(claims=[claim(policy="Cluster")], resources=other(healthy(), rules))


@situation
def rules_without_floating_ip() -> Situation:
    off = "service.beta.kubernetes.io/azure-disable-load-balancer-floating-ip"
    rules = balancer("weu-1", {frontend(): (80, 443)})
    for it in rules["properties"]["loadBalancingRules"]:
        port = it["properties"]["frontendPort"]
        it["properties"] |= {"enableFloatingIP": False, "backendPort": NODE_PORTS[port]}
    allows = security(rule("k8s", 500, destinationPortRanges=["30080", "30443"]))
    found = claim(annotations=asks() | {off: "true"})
    return fine(claims=[found], resources=other(healthy(), rules, allows))


@situation
def port_without_rule_on_purpose() -> Situation:
    off = "service.beta.kubernetes.io/port_443_no_lb_rule"
    found = claim(annotations=asks() | {off: "true"})
    resources = other(healthy(), balancer("weu-1", {frontend(): (80,)}))
    return fine(claims=[found], resources=resources)


@situation
def ipv6_alone() -> Situation:
    own = bound(public_ip(address="2603:1020:201::5"), frontend())
    found = claim(address="2603:1020:201::5", ipFamilies=["IPv6"])
    return fine(claims=[found], resources=[own, *around()])


@situation
def both_families() -> Situation:
    second = "2603:1020:201::5"
    said = asks() | {NAME[True]: "weu-1-public-6"}
    found = claim(annotations=said, ipFamilies=["IPv4", "IPv6"])
    found = replace(
        found,
        gateways=[gateway(addresses=[ADDRESS_1, second])],
        service=changed(
            dict(found.service or {}),
            "status",
            value={"loadBalancer": {"ingress": [{"ip": ADDRESS_1}, {"ip": second}]}},
        ),
        hosts={HOST: Resolved((ADDRESS_1, second))},
    )
    six = bound(public_ip("weu-1-public-6", second), frontend(number=6))
    rules = balancer("weu-1", {frontend(): (80, 443), frontend(number=6): (80, 443)})
    return fine(claims=[found], resources=other(healthy(), rules, healthy()[0], six))


@situation
def upgrading_cluster() -> Situation:
    own = aks(provisioningState="Upgrading")
    return fine("info GW730 weu-1", claims=[claim(of=own)], resources=other(healthy(), own))


@situation
def load_balancer_of_somebody_else() -> Situation:
    found = claim(annotations={}, address="192.168.9.9", loadBalancerClass="metallb.io/layer2")
    return fine(claims=[found], resources=around())


@situation
def preflight_asks_for_less() -> Situation:
    kinds: tuple[KindName, ...] = ("managedClusters", "publicIPAddresses")
    return fine(kinds=kinds)


@situation
def spec_address_that_the_load_balancer_has() -> Situation:
    own = changed(gateway(), "spec", "addresses", value=[{"value": ADDRESS_1}])
    return fine(claims=[claim(gateways=[own])])


@situation
def annotations_in_another_case() -> Situation:
    said = asks("WEU-1-Public", OWN.upper())
    found = claim(annotations=said, settings=asks(), wanted=Wanted("weu-1-public", OWN))
    return fine(claims=[found])


@situation
def ip_of_that_name_for_another_region() -> Situation:
    far = bound(
        public_ip("weu-1-public", ADDRESS_2, "addresses-north", location="northeurope"),
        frontend("neu-1"),
    )
    return fine(resources=[*healthy(), far, aks("neu-1", "northeurope")])


@situation
def ip_of_that_name_in_another_subscription() -> Situation:
    card = f"{network('networkInterfaces', 'vm', 'vm', OTHER_SUBSCRIPTION)}/ipConfigurations/one"
    away = network("publicIPAddresses", "weu-1-public", OWN, OTHER_SUBSCRIPTION)
    return fine(resources=[*healthy(), bound(public_ip(address=ADDRESS_2, id=away), card)])


@situation
def inventory_and_azure_agree() -> Situation:
    wanted = Wanted("weu-1-public", OWN, SUBSCRIPTION, ADDRESS_1, None, True, ("1", "2", "3"), 4)
    return fine(claims=[claim(wanted=wanted)])


@situation
def name_and_address_are_of_one() -> Situation:
    return fine(claims=[claim(annotations=asks() | {ADDRESS[False]: ADDRESS_1})])


@situation
def address_of_the_inventory() -> Situation:
    said = {ADDRESS[False]: ADDRESS_1, GROUP: OWN}
    return fine(claims=[claim(annotations=said, wanted=Wanted(address=ADDRESS_1))])


@situation
def annotation_of_the_gateway_itself() -> Situation:
    found = claim(gateways=[gateway(**asks())], settings={}, proxy=None)
    return fine(claims=[found])


@situation
def address_by_annotation_and_by_the_old_field() -> Situation:
    said = {ADDRESS[False]: ADDRESS_1, GROUP: OWN}
    return fine(claims=[claim(annotations=said, loadBalancerIP=ADDRESS_1)])


@situation
def azure_chose_one_of_a_prefix() -> Situation:
    prefix = network("publicIPPrefixes", "fleet", OWN)
    auto = changed(
        public_ip("kubernetes-a1", of=node_group("weu-1")),
        "properties",
        "publicIPPrefix",
        value={"id": prefix},
    )
    resources = [bound(auto, frontend()), {"id": prefix, "name": "fleet"}, *around()]
    found = claim(annotations={FROM_PREFIX[False]: prefix})
    return fine("info GW707 weu-1", claims=[found], resources=resources)


@situation
def arm_says_less_than_usual() -> Situation:
    own = bound(public_ip(sku={"name": "standard"}), frontend())
    own = changed(own, "properties", "provisioningState", value=None)
    return fine(resources=[own, *around()])


@situation
def owner_of_all_that_is_listed_nowhere() -> Situation:
    owner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
    resources = without(other(healthy(), assignment("/", owner)), "roleDefinitions")
    return fine(resources=resources)


@situation
def read_only_lock_of_another_group() -> Situation:
    locks = (lock(group(OWN)), lock(group(f"{OWN}-old"), "ReadOnly"))
    return fine(resources=other(healthy(), *locks))


@situation
def rules_of_other_services_and_other_ways() -> Situation:
    own = security(
        everything("Deny", 100) | {"name": "out"},
        rule("ssh", 101, "Deny", "*", destinationPortRange="22", destinationPortRanges=[]),
        rule("udp", 102, "Deny", "*", protocol="Udp"),
        rule("another-address", 103, "Deny", "*", destinationAddressPrefix=f"{ADDRESS_2}/32"),
        rule("web", 104, destinationPortRanges=["80-443"]),
        name="fleet",
        of="networks",
        subnets=[subnet()],
    )
    own["properties"]["securityRules"][0]["properties"]["direction"] = "Outbound"
    return fine(resources=[*healthy(), own])


@situation
def security_group_for_the_address_alone() -> Situation:
    own = security(
        rule("web", 100, destinationAddressPrefix=ADDRESS_1),
        rule("probes", 101, source="AzureLoadBalancer", destinationPortRanges=["*"]),
        everything("Deny", 4096),
        name="fleet",
        of="networks",
        subnets=[subnet()],
    )
    return fine(resources=[*healthy(), own])


@situation
def source_ranges_that_the_security_group_has() -> Situation:
    ranges = ["20.1.0.0/16", "52.1.0.0/16"]
    found = claim(loadBalancerSourceRanges=ranges)
    return fine(
        claims=[found], resources=other(healthy(), security(rule("k8s", 500, source=ranges)))
    )


@situation
def udp_without_probe() -> Situation:
    found = claim(ports=(53,), policy="Cluster")
    found = replace(
        found,
        service=changed(
            dict(found.service or {}),
            "spec",
            "ports",
            value=[{"port": 53, "nodePort": NODE_PORTS[53], "protocol": "UDP"}],
        ),
        answers=[],
    )
    rules = balancer("weu-1", {frontend(): (53,)}, "Cluster", "Udp")
    for it in rules["properties"]["loadBalancingRules"]:
        del it["properties"]["probe"]
    allows = security(rule("k8s", 500, protocol="Udp", destinationPortRanges=["53"]))
    return fine(claims=[found], resources=other(healthy(), rules, allows))


@situation
def internal_with_high_availability_ports() -> Situation:
    found = claim(annotations={INTERNAL: "true"}, address="10.4.0.9")
    rules = _private_balancer("10.4.0.9")
    only = rules["properties"]["loadBalancingRules"][:1]
    only[0]["properties"] |= {"protocol": "All", "frontendPort": 0, "backendPort": 0}
    rules["properties"]["loadBalancingRules"] = only
    return fine(claims=[found], resources=other(around(), rules))


@situation
def local_policy_with_node_ports_probed() -> Situation:
    return fine(resources=other(healthy(), balancer("weu-1", {frontend(): (80, 443)}, "Cluster")))


@situation
def probe_asks_the_proxy_for_a_path_that_answers() -> Situation:
    made = balancer("weu-1", {frontend(): (443,)}, "Cluster")
    for it in made["properties"]["probes"]:
        it["properties"] |= {"protocol": "Https", "requestPath": "/ready"}
    found = claim(policy="Cluster", ports=(443,))
    return fine(claims=[found], resources=other(healthy(), made))


@situation
def wildcard_certificate() -> Situation:
    answers = [Answered(ADDRESS_1, 443, HOST, None, ("*.example.com",))]
    return fine(claims=[claim(answers=answers)])


@situation
def old_events_of_a_service_that_has_its_address() -> Situation:
    return fine(claims=[claim(events=["TooManyRequests: retry", "EnsuredLoadBalancer"])])


@situation
def probes_of_the_audit_are_off() -> Situation:
    return fine(claims=[claim(hosts={}, answers=[])])


@situation
def idle_time_that_was_asked_for() -> Situation:
    rules = balancer("weu-1", {frontend(): (80, 443)})
    for it in rules["properties"]["loadBalancingRules"]:
        it["properties"]["idleTimeoutInMinutes"] = 30
    return fine(
        claims=[claim(annotations=asks() | {IDLE: "30"})], resources=other(healthy(), rules)
    )


@situation
def azure_is_changing_the_ip() -> Situation:
    own = changed(
        bound(public_ip(), frontend()), "properties", "provisioningState", value="Updating"
    )
    return fine("info GW711 weu-1", resources=[own, *around()])


# More of both: a link each.


@situation
def stopped_cluster() -> Situation:
    own = aks(powerState={"code": "Stopped"})
    return broken("warning GW730 weu-1", claims=[claim(of=own)], resources=other(healthy(), own))


@situation
def service_has_an_address_that_no_public_ip_has() -> Situation:
    return broken("error GW701 weu-1", claims=[claim(annotations={})], resources=around())


@situation
def basic_for_a_basic_load_balancer() -> Situation:
    own = aks(networkProfile={"loadBalancerSku": "basic"})
    ip = bound(public_ip(sku={"name": "Basic"}), frontend())
    resources = other(healthy(), own, ip)
    return broken("warning GW703 weu-1", claims=[claim(of=own)], resources=resources)


@situation
def name_and_prefix_are_of_two() -> Situation:
    prefix = network("publicIPPrefixes", "fleet", OWN)
    found = claim(annotations=asks() | {FROM_PREFIX[False]: prefix})
    resources = [*healthy(), {"id": prefix, "name": "fleet"}]
    return broken("warning GW716 weu-1", claims=[found], resources=resources)


@situation
def prefix_and_address() -> Situation:
    prefix = network("publicIPPrefixes", "fleet", OWN)
    said = {FROM_PREFIX[False]: prefix, ADDRESS[False]: ADDRESS_1}
    auto = bound(public_ip("kubernetes-a1", of=node_group("weu-1")), frontend())
    resources = [auto, {"id": prefix, "name": "fleet"}, *around()]
    return broken(
        "warning GW716 weu-1",
        "warning GW707 weu-1",
        claims=[claim(annotations=said)],
        resources=resources,
    )


@situation
def two_addresses_are_asked_for() -> Situation:
    said = {ADDRESS[False]: ADDRESS_1, GROUP: OWN}
    found = claim(annotations=said, loadBalancerIP=ADDRESS_2)
    return broken("warning GW716 weu-1", claims=[found])


@situation
def source_ranges_and_service_tags() -> Situation:
    tags = "service.beta.kubernetes.io/azure-allowed-service-tags"
    found = claim(
        annotations=asks() | {tags: "AzureFrontDoor.Backend"},
        loadBalancerSourceRanges=["20.1.0.0/16"],
    )
    allows = security(rule("k8s", 500, source=["AzureFrontDoor.Backend", "20.1.0.0/16"]))
    return broken("warning GW721 weu-1", claims=[found], resources=other(healthy(), allows))


@situation
def inventory_names_no_group_for_what_lies_elsewhere() -> Situation:
    said = asks(of=None)
    found = claim(annotations=said, address=None, wanted=Wanted("weu-1-public"))
    return broken("error GW704 weu-1", claims=[found], resources=[public_ip(), *around()])


@situation
def public_ip_of_the_inventory_was_never_made() -> Situation:
    found = claim(annotations=asks(of=None), address=None, wanted=Wanted("weu-1-public"))
    return broken("error GW701 weu-1", claims=[found], resources=around())


@situation
def security_group_lets_front_door_in_alone() -> Situation:
    own = security(
        rule("front", 100, source="AzureFrontDoor.Backend"),
        rule("probes", 101, source="AzureLoadBalancer", destinationPortRanges=["*"]),
        everything("Deny", 4096),
        name="fleet",
        of="networks",
        subnets=[subnet()],
    )
    return fine("info GW721 weu-1", resources=[*healthy(), own])


@situation
def role_over_the_prefix_is_not_there() -> Situation:
    prefix = network("publicIPPrefixes", "fleet", OWN)
    found = claim(annotations={FROM_PREFIX[False]: prefix})
    auto = bound(public_ip("kubernetes-a1", of=node_group("weu-1")), frontend())
    resources = [auto, {"id": prefix, "name": "fleet"}, *without(around(), "roleAssignments")]
    return broken("warning GW705 weu-1", "info GW707 weu-1", claims=[found], resources=resources)
