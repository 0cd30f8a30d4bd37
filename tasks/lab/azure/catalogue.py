"""The types of resources that the stand-in knows, and the API versions that each answers to."""

from __future__ import annotations

from dataclasses import dataclass

NETWORK = (
    "2020-11-01",
    "2021-08-01",
    "2022-07-01",
    "2022-11-01",
    "2023-04-01",
    "2023-09-01",
    "2023-11-01",
    "2024-01-01",
    "2024-03-01",
    "2024-05-01",
    "2024-07-01",
    "2024-10-01",
    "2025-01-01",
    "2025-03-01",
    "2025-05-01",
    "2026-03-01",
)
CLUSTERS = (
    "2023-10-01",
    "2024-05-01",
    "2024-09-01",
    "2025-01-01",
    "2025-05-01",
    "2025-08-01",
    "2025-10-01",
    "2026-08-01",
)
FLEETS = ("2023-10-15", "2024-04-01", "2025-03-01", "2026-06-01")
ZONES = ("2016-04-01", "2017-09-01", "2018-05-01")
RESOURCES = ("2019-10-01", "2020-06-01", "2021-04-01", "2022-09-01", "2024-03-01", "2025-04-01")
RECORDS = ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT")


@dataclass(frozen=True)
class Type:
    """
    + name: as ARM spells it; + versions: of the API that it answers to
    + tracked: has a location and tags; + long: PUT and DELETE are long-running operations
    + inside: the property of its parent that holds it, for what has no life of its own
    """

    name: str
    versions: tuple[str, ...]
    tracked: bool = True
    long: bool = False
    inside: str | None = None

    @property
    def namespace(self) -> str:
        return self.name.partition("/")[0]

    @property
    def word(self) -> str:
        """Such as "publicIPAddresses"."""
        return self.name.partition("/")[2]


def _network(word: str, inside: str | None = None) -> Type:
    return Type(f"Microsoft.Network/{word}", NETWORK, inside is None, True, inside)


def _child(name: str, versions: tuple[str, ...], inside: str | None = None) -> Type:
    return Type(name, versions, tracked=False, inside=inside)


ALL = (
    Type("subscriptions", (*RESOURCES, "2022-12-01"), tracked=False),
    Type("resourceGroups", RESOURCES, long=True),
    _network("publicIPAddresses"),
    _network("publicIPPrefixes"),
    _network("loadBalancers"),
    _network("loadBalancers/frontendIPConfigurations", inside="frontendIPConfigurations"),
    _network("loadBalancers/backendAddressPools", inside="backendAddressPools"),
    _network("loadBalancers/loadBalancingRules", inside="loadBalancingRules"),
    _network("loadBalancers/probes", inside="probes"),
    _network("networkSecurityGroups"),
    _network("networkSecurityGroups/securityRules", inside="securityRules"),
    _network("networkSecurityGroups/defaultSecurityRules", inside="defaultSecurityRules"),
    _network("virtualNetworks"),
    _network("virtualNetworks/subnets", inside="subnets"),
    _network("networkInterfaces"),
    _network("natGateways"),
    _network("ddosProtectionPlans"),
    Type("Microsoft.Network/dnszones", ZONES),
    *(_child(f"Microsoft.Network/dnszones/{it}", ZONES) for it in RECORDS),
    Type("Microsoft.ContainerService/managedClusters", CLUSTERS, long=True),
    _child("Microsoft.ContainerService/managedClusters/agentPools", CLUSTERS, "agentPoolProfiles"),
    Type("Microsoft.ContainerService/fleets", FLEETS, long=True),
    Type("Microsoft.ContainerService/fleets/members", FLEETS, tracked=False, long=True),
    Type(
        "Microsoft.ManagedIdentity/userAssignedIdentities",
        ("2018-11-30", "2023-01-31", "2024-11-30"),
    ),
    _child("Microsoft.Authorization/locks", ("2016-09-01", "2017-04-01", "2020-05-01")),
    _child("Microsoft.Authorization/roleAssignments", ("2020-04-01-preview", "2022-04-01")),
    _child("Microsoft.Authorization/roleDefinitions", ("2018-01-01-preview", "2022-04-01")),
    _child("Microsoft.Resources/tags", RESOURCES),
    Type("Microsoft.Storage/storageAccounts", ("2023-01-01", "2024-01-01", "2025-01-01")),
    Type("Microsoft.KeyVault/vaults", ("2022-07-01", "2023-07-01", "2024-11-01")),
    Type("Microsoft.AlertsManagement/prometheusRuleGroups", ("2021-07-22-preview", "2023-03-01")),
    Type("Microsoft.Monitor/accounts", ("2021-06-03-preview", "2023-04-03", "2025-10-03")),
    Type("Microsoft.Insights/actionGroups", ("2021-09-01", "2022-06-01", "2023-01-01")),
)
TYPES = {it.name.lower(): it for it in ALL}
NAMESPACES = {it.namespace.lower() for it in ALL if "." in it.name}
