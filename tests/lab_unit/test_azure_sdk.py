"""
The stand-in of Azure, as the real SDKs find it. Where a behaviour is documented and could not be
seen on Azure itself, the module of the stand-in that has it names the page.
"""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeVar

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.containerservicefleet import ContainerServiceFleetMgmtClient
from azure.mgmt.dns import DnsManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.locks import ManagementLockClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.subscriptions import SubscriptionClient

from tasks.lab.azure.entra import KUBERNETES
from tasks.lab.azure.faults import Fault
from tasks.lab.azure.state import Identity
from tests.azure import SUBSCRIPTION, TENANT, Azure, Serving, standing_azure

OTHER = "5b000000-0000-4000-8000-000000000002"
HERE = f"/subscriptions/{SUBSCRIPTION}"
ADDRESSES = f"{HERE}/resourceGroups/addresses"
NODES = f"{HERE}/resourceGroups/MC_clusters_weu-1_westeurope"
CLUSTER = (
    f"{HERE}/resourceGroups/clusters/providers/Microsoft.ContainerService/managedClusters/weu-1"
)
ZONE = f"{ADDRESSES}/providers/Microsoft.Network/dnszones/lab.test"
STATIC = {
    "location": "westeurope",
    "sku": {"name": "Standard"},
    "zones": ["1", "2", "3"],
    "properties": {"publicIPAllocationMethod": "Static"},
}
Client = TypeVar("Client")


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    """With two resource groups: of addresses, and of a cluster's nodes."""
    with standing_azure(tmp_path, monkeypatch) as started:
        for group in (ADDRESSES, NODES):
            started.azure.put(group, {"location": "westeurope"})
        yield started


@pytest.fixture
def azure(standing: Serving) -> Azure:
    return standing.azure


@pytest.fixture
def network(standing: Serving) -> NetworkManagementClient:
    return client(standing, NetworkManagementClient)


def client(
    standing: Serving,
    kind: Callable[..., Client],
    name: str = "owner",
    subscription: str | None = SUBSCRIPTION,
    **options: Any,
) -> Client:
    """A client of the SDK that signs in as an identity of this name."""
    who = [] if subscription is None else [subscription]
    return kind(
        signed_in(standing, standing.azure.identity(name)),
        *who,
        base_url=standing.url,
        credential_scopes=[f"{standing.url}/.default"],
        **options,
    )


def signed_in(standing: Serving, identity: Identity) -> ClientSecretCredential:
    return ClientSecretCredential(
        identity.tenant,
        identity.client_id,
        str(identity.secret),
        authority=standing.url,
        disable_instance_discovery=True,
    )


def content(body: dict[str, Any]) -> IO[bytes]:
    """A resource as it is sent: the SDKs take it as it is."""
    return BytesIO(json.dumps(body).encode())


def owner(standing: Serving) -> Identity:
    return standing.azure.identities["owner"]


def got(standing: Serving, path: str, token: str | None = None) -> requests.Response:
    """Without a client that tries again."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url, authority = f"{standing.url}{path}", str(standing.authority)
    return requests.get(url, headers=headers, verify=authority, timeout=10)


def address(name: str, group: str = ADDRESSES) -> str:
    return f"{group}/providers/Microsoft.Network/publicIPAddresses/{name}"


def balancer(name: str, *held: str) -> dict[str, Any]:
    """A load balancer with a frontend, a rule and a probe for each of these addresses."""
    own = f"{NODES}/providers/Microsoft.Network/loadBalancers/{name}"
    frontends, rules = [], []
    for number, id in enumerate(held):
        frontends.append({"name": f"f{number}", "properties": {"publicIPAddress": {"id": id}}})
        rule = {
            "protocol": "Tcp",
            "frontendPort": 443,
            "backendPort": 443,
            "frontendIPConfiguration": {"id": f"{own}/frontendIPConfigurations/f{number}"},
            "probe": {"id": f"{own}/probes/p"},
        }
        rules.append({"name": f"r{number}", "properties": rule})
    probe = {"protocol": "Http", "port": 32100, "requestPath": "/healthz", "intervalInSeconds": 5}
    return {
        "location": "westeurope",
        "sku": {"name": "Standard"},
        "properties": {
            "frontendIPConfigurations": frontends,
            "loadBalancingRules": rules,
            "probes": [{"name": "p", "properties": probe}],
        },
    }


def refusal(caught: pytest.ExceptionInfo[HttpResponseError]) -> tuple[int | None, str | None]:
    """Status and code."""
    error = caught.value.error
    return caught.value.status_code, error.code if error else None


# -- public IPs


def test_lists_page_by_page(azure: Azure, network: NetworkManagementClient) -> None:
    azure.page = 2
    for number in range(5):
        azure.put(address(f"ip-{number}"), STATIC)
    found = [it.name for it in network.public_ip_addresses.list_all()]
    assert found == [f"ip-{number}" for number in range(5)]
    assert len([it for it in azure.requests if "publicIPAddresses" in it.path]) == 3


def test_creates_reads_and_deletes(azure: Azure, network: NetworkManagementClient) -> None:
    addresses = network.public_ip_addresses
    made = addresses.begin_create_or_update("addresses", "gw", content(STATIC)).result()
    assert made.provisioning_state == "Succeeded"
    assert made.ip_address == "20.103.0.4"
    assert (made.idle_timeout_in_minutes, made.public_ip_address_version) == (4, "IPv4")
    assert made.zones == ["1", "2", "3"]
    assert made.ip_configuration is None
    assert addresses.get("ADDRESSES", "GW").id == made.id
    addresses.begin_delete("addresses", "gw").result()
    assert [*addresses.list("addresses")] == []
    with pytest.raises(ResourceNotFoundError) as caught:
        addresses.get("addresses", "gw")
    assert refusal(caught) == (404, "ResourceNotFound")


def test_an_address_is_bound_by_a_load_balancer(
    azure: Azure, network: NetworkManagementClient
) -> None:
    """And by one alone, and cannot be deleted until that lets it go."""
    azure.put(address("gw"), STATIC)
    balancers, name = network.load_balancers, NODES.rsplit("/", 1)[-1]
    made = balancers.begin_create_or_update(
        name, "kubernetes", content(balancer("kubernetes", address("gw")))
    ).result()
    [frontend] = made.frontend_ip_configurations or []
    assert [str(it.id).rsplit("/", 1)[-1] for it in frontend.load_balancing_rules or []] == ["r0"]
    held = network.public_ip_addresses.get("addresses", "gw").ip_configuration
    assert held is not None
    assert held.id == frontend.id
    with pytest.raises(HttpResponseError) as caught:
        balancers.begin_create_or_update(
            name, "other", content(balancer("other", address("gw")))
        ).result()
    assert refusal(caught) == (400, "PublicIPAddressInUse")
    with pytest.raises(HttpResponseError) as caught:
        network.public_ip_addresses.begin_delete("addresses", "gw").result()
    assert refusal(caught) == (400, "PublicIPAddressCannotBeDeleted")
    balancers.begin_create_or_update(name, "kubernetes", content(balancer("kubernetes"))).result()
    assert network.public_ip_addresses.get("addresses", "gw").ip_configuration is None
    network.public_ip_addresses.begin_delete("addresses", "gw").result()


def test_a_load_balancer_can_be_written_back_as_it_was_read(
    azure: Azure, network: NetworkManagementClient
) -> None:
    azure.put(address("gw"), STATIC)
    name = NODES.rsplit("/", 1)[-1]
    azure.put(
        f"{NODES}/providers/Microsoft.Network/loadBalancers/kubernetes",
        balancer("kubernetes", address("gw")),
    )
    read = network.load_balancers.get(name, "kubernetes")
    written = network.load_balancers.begin_create_or_update(name, "kubernetes", read).result()
    assert written.load_balancing_rules == read.load_balancing_rules or written.probes
    one = network.load_balancer_frontend_ip_configurations.get(name, "kubernetes", "F0")
    assert one.name == "f0"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        pytest.param(
            {"sku": {"name": "Basic"}}, "IPv4BasicSkuPublicIpCountLimitReached", id="basic"
        ),
        pytest.param(
            {"properties": {"publicIPAllocationMethod": "Dynamic"}},
            "StandardSkuPublicIPAddressesMustBeStatic",
            id="dynamic",
        ),
        pytest.param(
            {
                "properties": {
                    "publicIPAllocationMethod": "Static",
                    "publicIPPrefix": {"id": f"{ADDRESSES}/providers/Microsoft.Network/x/y"},
                }
            },
            "InvalidResourceReference",
            id="no such prefix",
        ),
        pytest.param({"location": ""}, "LocationRequired", id="no location"),
    ],
)
def test_an_address_that_is_none(
    network: NetworkManagementClient, changed: dict[str, Any], code: str
) -> None:
    with pytest.raises(HttpResponseError) as caught:
        network.public_ip_addresses.begin_create_or_update(
            "addresses", "gw", content({**STATIC, **changed})
        ).result()
    assert refusal(caught) == (400, code)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param(
            {"zones": None}, (400, "ResourceAvailabilityZonesCannotBeModified"), id="zone"
        ),
        pytest.param({"location": "northeurope"}, (409, "InvalidResourceLocation"), id="place"),
    ],
)
def test_what_cannot_be_changed(
    azure: Azure,
    network: NetworkManagementClient,
    changed: dict[str, Any],
    expected: tuple[int, str],
) -> None:
    azure.put(address("gw"), STATIC)
    with pytest.raises(HttpResponseError) as caught:
        network.public_ip_addresses.begin_create_or_update(
            "addresses", "gw", content({**STATIC, **changed})
        ).result()
    assert refusal(caught) == expected


def test_a_basic_dynamic_address_comes_and_goes_with_its_holder(
    azure: Azure, network: NetworkManagementClient
) -> None:
    azure.put(address("old"), {"location": "westeurope"})
    old = network.public_ip_addresses.get("addresses", "old")
    assert old.sku is not None
    assert (old.sku.name, old.public_ip_allocation_method, old.ip_address) == (
        "Basic",
        "Dynamic",
        None,
    )
    azure.put(
        f"{NODES}/providers/Microsoft.Network/loadBalancers/kubernetes",
        {**balancer("kubernetes", address("old")), "sku": {"name": "Basic"}},
    )
    assert network.public_ip_addresses.get("addresses", "old").ip_address == "20.103.0.4"


def test_addresses_of_a_prefix(azure: Azure, network: NetworkManagementClient) -> None:
    prefix = network.public_ip_prefixes.begin_create_or_update(
        "addresses",
        "edge",
        content(
            {
                "location": "westeurope",
                "sku": {"name": "Standard"},
                "properties": {"prefixLength": 31, "publicIPAddressVersion": "IPv4"},
            }
        ),
    ).result()
    assert prefix.ip_prefix == "20.103.255.254/31"
    said = {"publicIPAllocationMethod": "Static", "publicIPPrefix": {"id": prefix.id}}
    found = []
    for name in ("a", "b"):
        begun = network.public_ip_addresses.begin_create_or_update(
            "addresses", name, content({**STATIC, "properties": said})
        )
        found.append(begun.result().ip_address)
    assert found == ["20.103.255.254", "20.103.255.255"]
    with pytest.raises(HttpResponseError):
        network.public_ip_addresses.begin_create_or_update(
            "addresses", "c", content({**STATIC, "properties": said})
        ).result()
    listed = network.public_ip_prefixes.get("addresses", "edge").public_ip_addresses or []
    assert [it.id for it in listed] == [address("a"), address("b")]
    with pytest.raises(HttpResponseError) as caught:
        network.public_ip_prefixes.begin_delete("addresses", "edge").result()
    assert refusal(caught) == (400, "PublicIPPrefixInUse")


def test_a_label_is_held_once(azure: Azure, network: NetworkManagementClient) -> None:
    said = {**STATIC["properties"], "dnsSettings": {"domainNameLabel": "shop"}}  # type: ignore[dict-item]
    begin = network.public_ip_addresses.begin_create_or_update
    made = begin("addresses", "a", content({**STATIC, "properties": said})).result()
    assert made.dns_settings is not None
    assert made.dns_settings.fqdn == "shop.westeurope.cloudapp.azure.com"
    with pytest.raises(HttpResponseError) as caught:
        begin("addresses", "b", content({**STATIC, "properties": said})).result()
    assert refusal(caught) == (400, "DnsRecordInUse")


def test_tags_alone_are_changed(azure: Azure, network: NetworkManagementClient) -> None:
    azure.put(address("gw"), STATIC)
    changed = network.public_ip_addresses.update_tags("addresses", "gw", {"tags": {"team": "edge"}})
    assert changed.tags == {"team": "edge"}
    assert changed.ip_address == "20.103.0.4"


# -- networks


def test_a_security_group_knows_its_subnets(azure: Azure, network: NetworkManagementClient) -> None:
    name = NODES.rsplit("/", 1)[-1]
    groups, rules = network.network_security_groups, network.security_rules
    group = groups.begin_create_or_update(name, "nsg", content({"location": "westeurope"})).result()
    assert [it.priority for it in group.default_security_rules or []] == 2 * [65000, 65001, 65500]
    subnet = {
        "name": "aks-subnet",
        "properties": {
            "addressPrefix": "10.224.0.0/16",
            "networkSecurityGroup": {"id": group.id},
        },
    }
    network.virtual_networks.begin_create_or_update(
        name,
        "aks-vnet",
        content(
            {
                "location": "westeurope",
                "properties": {
                    "addressSpace": {"addressPrefixes": ["10.224.0.0/12"]},
                    "subnets": [subnet],
                },
            }
        ),
    ).result()
    held = network.subnets.get(name, "aks-vnet", "aks-subnet")
    assert [it.id for it in groups.get(name, "nsg").subnets or []] == [held.id]
    rule = {
        "properties": {
            "priority": 500,
            "direction": "Inbound",
            "access": "Allow",
            "protocol": "Tcp",
            "sourceAddressPrefix": "Internet",
            "sourcePortRange": "*",
            "destinationAddressPrefix": "20.103.0.4",
            "destinationPortRange": "443",
        }
    }
    made = rules.begin_create_or_update(name, "nsg", "in", content(rule)).result()
    assert (made.priority, made.provisioning_state) == (500, "Succeeded")
    assert [it.name for it in rules.list(name, "nsg")] == ["in"]
    with pytest.raises(HttpResponseError) as caught:
        rules.begin_create_or_update(name, "nsg", "twice", content(rule)).result()
    assert refusal(caught) == (400, "SecurityRuleConflict")
    with pytest.raises(HttpResponseError) as caught:
        groups.begin_delete(name, "nsg").result()
    assert refusal(caught) == (400, "InUseNetworkSecurityGroupCannotBeDeleted")
    rules.begin_delete(name, "nsg", "in").result()
    assert groups.get(name, "nsg").security_rules == []


# -- clusters


def test_a_cluster_and_its_credentials(standing: Serving, azure: Azure) -> None:
    aks = client(standing, ContainerServiceClient)
    azure.put(f"{HERE}/resourceGroups/clusters", {"location": "westeurope"})
    wanted = {
        "location": "westeurope",
        "identity": {"type": "SystemAssigned"},
        "tags": {"ring": "1"},
        "properties": {
            "dnsPrefix": "weu-1",
            "aadProfile": {"managed": True, "enableAzureRBAC": False},
            "agentPoolProfiles": [{"name": "system", "count": 1, "mode": "System"}],
        },
    }
    made = aks.managed_clusters.begin_create_or_update(
        "clusters", "weu-1", content(wanted)
    ).result()
    assert made.node_resource_group == "MC_clusters_weu-1_westeurope"
    assert made.power_state is not None
    assert (made.provisioning_state, made.power_state.code) == ("Succeeded", "Running")
    assert made.identity is not None
    assert azure.by_object(str(made.identity.principal_id)) is not None
    assert [it.name for it in aks.managed_clusters.list()] == ["weu-1"]
    assert [it.name for it in aks.agent_pools.list("clusters", "weu-1")] == ["system"]

    found = aks.managed_clusters.list_cluster_user_credentials("clusters", "weu-1", format="exec")
    [credential] = found.kubeconfigs or []
    assert b"kubelogin" in bytes(credential.value or b"")
    azure.kubeconfigs[CLUSTER.lower()] = "kind: Config"
    found = aks.managed_clusters.list_cluster_user_credentials("clusters", "weu-1")
    assert [bytes(it.value or b"") for it in found.kubeconfigs or []] == [b"kind: Config"]
    assert aks.managed_clusters.list_cluster_admin_credentials("clusters", "weu-1").kubeconfigs


def test_five_hundred_clusters_are_ten_pages(standing: Serving, azure: Azure) -> None:
    for number in range(500):
        azure.put(f"{CLUSTER}-{number:03}", {"location": "westeurope"})
    aks = client(standing, ContainerServiceClient)
    begun = time.monotonic()
    names = [it.name for it in aks.managed_clusters.list()]
    assert time.monotonic() - begun < 5
    assert names == [f"weu-1-{number:03}" for number in range(500)]
    assert len([it for it in azure.requests if "/managedClusters" in it.path]) == 10


def test_a_cluster_without_accounts_of_its_own(standing: Serving, azure: Azure) -> None:
    aks = client(standing, ContainerServiceClient)
    azure.put(CLUSTER, {"location": "westeurope", "properties": {"disableLocalAccounts": True}})
    with pytest.raises(HttpResponseError) as caught:
        aks.managed_clusters.list_cluster_admin_credentials("clusters", "weu-1")
    assert refusal(caught) == (400, "BadRequest")


def test_stops_starts_and_deletes_a_cluster(standing: Serving, azure: Azure) -> None:
    """Its node resource group goes with it, with the addresses in there."""
    aks = client(standing, ContainerServiceClient)
    azure.put(CLUSTER, {"location": "westeurope"})
    azure.put(address("inside", NODES), STATIC)
    clusters = aks.managed_clusters
    for begin, state in ((clusters.begin_stop, "Stopped"), (clusters.begin_start, "Running")):
        begin("clusters", "weu-1").result()
        power = clusters.get("clusters", "weu-1").power_state
        assert power is not None
        assert power.code == state
    clusters.begin_delete("clusters", "weu-1").result()
    assert azure.get(NODES) is None
    assert azure.get(address("inside", NODES)) is None


def test_a_cluster_is_changed_by_one_at_a_time(standing: Serving, azure: Azure) -> None:
    aks = client(standing, ContainerServiceClient)
    azure.put(CLUSTER, {"location": "westeurope"})
    azure.faults.add(Fault("PUT .*managedClusters", stuck=True))
    aks.managed_clusters.begin_create_or_update(
        "clusters", "weu-1", content({"location": "westeurope"}), polling=False
    )
    assert aks.managed_clusters.get("clusters", "weu-1").provisioning_state == "Updating"
    with pytest.raises(HttpResponseError) as caught:
        aks.managed_clusters.begin_delete("clusters", "weu-1")
    assert refusal(caught) == (409, "OperationNotAllowed")


def test_a_fleet_and_its_members(standing: Serving, azure: Azure) -> None:
    fleets = client(standing, ContainerServiceFleetMgmtClient)
    azure.put(CLUSTER, {"location": "westeurope"})
    fleets.fleets.begin_create_or_update(
        "clusters", "all", content({"location": "westeurope"})
    ).result()
    member = {"properties": {"clusterResourceId": CLUSTER, "group": "ring-1"}}
    fleets.fleet_members.begin_create("clusters", "all", "weu-1", content(member)).result()
    [found] = fleets.fleet_members.list_by_fleet("clusters", "all")
    assert (found.name, found.cluster_resource_id, found.group) == ("weu-1", CLUSTER, "ring-1")
    strange = {"properties": {"clusterResourceId": f"{CLUSTER}-gone"}}
    with pytest.raises(HttpResponseError):
        fleets.fleet_members.begin_create("clusters", "all", "gone", content(strange)).result()


# -- names


def test_a_zone_and_its_records(standing: Serving, azure: Azure) -> None:
    dns = client(standing, DnsManagementClient)
    zone = dns.zones.create_or_update("addresses", "lab.test", content({"location": "global"}))
    assert (zone.number_of_record_sets, zone.zone_type) == (2, "Public")
    record = {"properties": {"TTL": 60, "ARecords": [{"ipv4Address": "20.103.0.4"}]}}
    made = dns.record_sets.create_or_update("addresses", "lab.test", "shop", "A", content(record))
    assert made.fqdn == "shop.lab.test."
    assert [it.ipv4_address for it in made.a_records or []] == ["20.103.0.4"]
    with pytest.raises(HttpResponseError) as caught:
        dns.record_sets.create_or_update(
            "addresses", "lab.test", "shop", "A", content(record), if_none_match="*"
        )
    assert caught.value.status_code == 412
    alias = {"properties": {"TTL": 60, "CNAMERecord": {"cname": "shop.lab.test"}}}
    dns.record_sets.create_or_update("addresses", "lab.test", "www", "CNAME", content(alias))
    listed = [it.name for it in dns.record_sets.list_by_dns_zone("addresses", "lab.test")]
    assert listed == ["shop", "www", "@", "@"]
    assert listed == [
        it.name for it in dns.record_sets.list_all_by_dns_zone("addresses", "lab.test")
    ]
    assert [it.name for it in dns.record_sets.list_by_type("addresses", "lab.test", "A")] == [
        "shop"
    ]
    dns.record_sets.delete("addresses", "lab.test", "shop", "A")
    dns.zones.begin_delete("addresses", "lab.test").result()
    assert azure.get(ZONE) is None
    assert azure.list("Microsoft.Network/dnszones/CNAME") == []


# -- who may what


def test_role_assignments(standing: Serving, azure: Azure) -> None:
    access = client(standing, AuthorizationManagementClient)
    cluster = azure.identity("cluster")
    [role] = access.role_definitions.list(HERE, filter="roleName eq 'Network Contributor'")
    assert str(role.id).endswith("/4d97b98b-1d4f-4787-a291-c67834d212e7")
    wanted = {
        "properties": {
            "roleDefinitionId": role.id,
            "principalId": cluster.object_id,
            "principalType": "ServicePrincipal",
        }
    }
    create = access.role_assignments.create
    made = create(ADDRESSES, str(uuid.uuid4()), wanted)
    assert (made.scope, made.principal_id) == (ADDRESSES, cluster.object_id)
    with pytest.raises(HttpResponseError) as caught:
        create(ADDRESSES, str(uuid.uuid4()), wanted)
    assert refusal(caught) == (409, "RoleAssignmentExists")
    with pytest.raises(HttpResponseError) as caught:
        create(ADDRESSES, "no-guid", wanted)
    assert refusal(caught) == (400, "InvalidRoleAssignmentId")
    stranger = {"roleDefinitionId": role.id, "principalId": str(uuid.uuid4())}
    with pytest.raises(HttpResponseError) as caught:
        create(ADDRESSES, str(uuid.uuid4()), {"properties": stranger})
    assert refusal(caught) == (400, "PrincipalNotFound")

    assignments = access.role_assignments
    mine = f"principalId eq '{cluster.object_id}'"
    assert len([*assignments.list_for_subscription()]) == 2
    assert [it.id for it in assignments.list_for_subscription(filter=mine)] == [made.id]
    assert len([*assignments.list_for_scope(HERE, filter="atScope()")]) == 1
    assert len([*assignments.list_for_resource_group("addresses")]) == 2
    assignments.delete(ADDRESSES, str(made.name))
    assert [*assignments.list_for_subscription(filter=mine)] == []


def test_who_has_no_role_reads_nothing(standing: Serving, azure: Azure) -> None:
    azure.put(address("gw"), STATIC)
    network = client(standing, NetworkManagementClient, "nobody")
    nobody = azure.identity("nobody")
    with pytest.raises(HttpResponseError) as caught:
        network.public_ip_addresses.get("addresses", "gw")
    assert refusal(caught) == (403, "AuthorizationFailed")
    assert (
        f"The client '{nobody.client_id}' with object id '{nobody.object_id}' does not have "
        "authorization to perform action 'Microsoft.Network/publicIPAddresses/read' over scope "
        f"'{address('gw')}' or the scope is invalid."
    ) in str(caught.value)
    with pytest.raises(HttpResponseError) as caught:
        [*network.public_ip_addresses.list_all()]
    assert refusal(caught) == (403, "AuthorizationFailed")
    subscriptions = client(standing, SubscriptionClient, "nobody", None)
    assert [*subscriptions.subscriptions.list()] == []


def test_who_reads_one_group_is_listed_that(standing: Serving, azure: Azure) -> None:
    for group in (ADDRESSES, NODES):
        azure.put(address("gw", group), STATIC)
    azure.identity("guest", ("Reader", ADDRESSES))
    network = client(standing, NetworkManagementClient, "guest")
    assert [it.id for it in network.public_ip_addresses.list_all()] == [address("gw")]
    with pytest.raises(HttpResponseError) as caught:
        network.public_ip_addresses.begin_delete("addresses", "gw")
    assert refusal(caught) == (403, "AuthorizationFailed")


def test_an_address_of_another_group_needs_a_role_there(standing: Serving, azure: Azure) -> None:
    azure.put(address("gw"), STATIC)
    azure.identity("cluster", ("Contributor", NODES))
    network = client(standing, NetworkManagementClient, "cluster")

    def bind() -> None:
        network.load_balancers.begin_create_or_update(
            NODES.rsplit("/", 1)[-1], "kubernetes", content(balancer("kubernetes", address("gw")))
        ).result()

    with pytest.raises(HttpResponseError) as caught:
        bind()
    assert refusal(caught) == (403, "LinkedAuthorizationFailed")
    azure.identity("cluster", ("Network Contributor", ADDRESSES))
    bind()


def test_a_role_of_a_group_counts(standing: Serving, azure: Azure) -> None:
    azure.put(address("gw"), STATIC)
    azure.identity("member", groups=["6f000000-0000-4000-8000-000000000001"])
    azure.assign("6f000000-0000-4000-8000-000000000001", "Reader", HERE)
    network = client(standing, NetworkManagementClient, "member")
    assert network.public_ip_addresses.get("addresses", "gw").name == "gw"


def test_a_contributor_gives_no_roles(standing: Serving, azure: Azure) -> None:
    azure.identity("worker", ("Contributor", HERE))
    access = client(standing, AuthorizationManagementClient, "worker")
    with pytest.raises(HttpResponseError) as caught:
        access.role_assignments.create(HERE, str(uuid.uuid4()), {"properties": {}})
    assert refusal(caught) == (403, "AuthorizationFailed")


def test_a_lock_forbids_to_delete(
    standing: Serving, azure: Azure, network: NetworkManagementClient
) -> None:
    """The resource, and the group that it lies in."""
    azure.put(address("gw"), STATIC)
    locks = client(standing, ManagementLockClient).management_locks
    lock = {"properties": {"level": "CanNotDelete"}}
    made = locks.create_or_update_by_scope(address("gw"), "keep", content(lock))
    assert made.level == "CanNotDelete"
    assert [it.id for it in locks.list_at_subscription_level()] == [made.id]
    assert [*locks.list_at_subscription_level(filter="atScope()")] == []
    with pytest.raises(HttpResponseError) as caught:
        network.public_ip_addresses.begin_delete("addresses", "gw")
    assert refusal(caught) == (409, "ScopeLocked")
    groups = client(standing, ResourceManagementClient).resource_groups
    with pytest.raises(HttpResponseError) as caught:
        groups.begin_delete("addresses")
    assert refusal(caught) == (409, "ScopeLocked")
    network.public_ip_addresses.update_tags("addresses", "gw", {"tags": {"a": "b"}})
    locks.delete_by_scope(address("gw"), "keep")
    locks.create_or_update_at_resource_group_level(
        "addresses", "freeze", content({"properties": {"level": "ReadOnly"}})
    )
    with pytest.raises(HttpResponseError) as caught:
        network.public_ip_addresses.update_tags("addresses", "gw", {"tags": {}})
    assert refusal(caught) == (409, "ScopeLocked")
    locks.delete_at_resource_group_level("addresses", "freeze")
    groups.begin_delete("addresses").result()
    assert azure.get(address("gw")) is None


# -- subscriptions and groups


def test_subscriptions_and_groups(standing: Serving, azure: Azure) -> None:
    azure.subscription(OTHER, "not ours")
    azure.put(address("gw"), STATIC)
    subscriptions = client(standing, SubscriptionClient, subscription=None).subscriptions
    assert [it.subscription_id for it in subscriptions.list()] == [SUBSCRIPTION]
    assert subscriptions.get(SUBSCRIPTION).display_name == "lab"
    resources = client(standing, ResourceManagementClient)
    assert [it.name for it in resources.resource_groups.list()] == ["addresses", NODES[-28:]]
    assert not resources.resource_groups.check_existence("nowhere")
    assert resources.resource_groups.check_existence("Addresses")
    resources.resource_groups.create_or_update("more", content({"location": "westeurope"}))
    kind = "resourceType eq 'Microsoft.Network/publicIPAddresses'"
    assert [it.name for it in resources.resources.list(filter=kind)] == ["gw"]
    with pytest.raises(ResourceNotFoundError) as caught:
        resources.resource_groups.get("nowhere")
    assert refusal(caught) == (404, "ResourceGroupNotFound")


def test_tags_of_a_resource(standing: Serving, azure: Azure) -> None:
    azure.put(address("gw"), {**STATIC, "tags": {"ring": "1"}})
    tags = client(standing, ResourceManagementClient).tags
    found = tags.get_at_scope(address("gw"))
    assert found.properties.tags == {"ring": "1"}
    merge = {"operation": "Merge", "properties": {"tags": {"team": "edge"}}}
    tags.begin_update_at_scope(address("gw"), content(merge)).result()
    assert (azure.get(address("gw")) or {})["tags"] == {"ring": "1", "team": "edge"}
    drop = {"operation": "Delete", "properties": {"tags": {"ring": "1"}}}
    tags.begin_update_at_scope(address("gw"), content(drop)).result()
    assert (azure.get(address("gw")) or {})["tags"] == {"team": "edge"}
    replace = {"properties": {"tags": {"a": "b"}}}
    tags.begin_create_or_update_at_scope(address("gw"), content(replace)).result()
    assert (azure.get(address("gw")) or {})["tags"] == {"a": "b"}
    tags.begin_delete_at_scope(address("gw")).result()
    assert (azure.get(address("gw")) or {})["tags"] == {}


def test_a_lock_of_nothing(standing: Serving) -> None:
    locks = client(standing, ManagementLockClient).management_locks
    lock = content({"properties": {"level": "CanNotDelete"}})
    with pytest.raises(ResourceNotFoundError) as caught:
        locks.create_or_update_by_scope(address("gone"), "keep", lock)
    assert refusal(caught) == (404, "ResourceNotFound")


@pytest.mark.parametrize(
    ("subscription", "expected"),
    [
        pytest.param(
            "5b0f0000-0000-4000-8000-000000000009", (404, "SubscriptionNotFound"), id="no"
        ),
        pytest.param(OTHER, (401, "InvalidAuthenticationTokenTenant"), id="of another tenant"),
    ],
)
def test_a_subscription_that_is_not_ours(
    standing: Serving, azure: Azure, subscription: str, expected: tuple[int, str]
) -> None:
    azure.subscription(OTHER, tenant="7a3b1c00-0000-4000-8000-000000000002")
    network = client(standing, NetworkManagementClient, subscription=subscription)
    with pytest.raises(HttpResponseError) as caught:
        [*network.public_ip_addresses.list_all()]
    assert refusal(caught) == expected


# -- how ARM answers


def test_an_etag_that_is_not_the_newest(azure: Azure, network: NetworkManagementClient) -> None:
    azure.put(address("gw"), STATIC)
    old = network.public_ip_addresses.get("addresses", "gw")
    azure.put(address("gw"), STATIC)
    with pytest.raises((ResourceModifiedError, HttpResponseError)) as caught:
        network.public_ip_addresses.begin_create_or_update(
            "addresses", "gw", old, headers={"If-Match": str(old.etag)}
        ).result()
    assert caught.value.status_code == 412


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(f"{ADDRESSES}", (400, "MissingApiVersionParameter"), id="none"),
        pytest.param(
            f"{address('gw')}?api-version=1999-01-01",
            (400, "NoRegisteredProviderFound"),
            id="unknown",
        ),
        pytest.param(
            f"{ADDRESSES}?api-version=1999-01-01", (400, "InvalidApiVersionParameter"), id="group"
        ),
        pytest.param(
            f"{ADDRESSES}/providers/Microsoft.Network/gateways/a?api-version=2025-05-01",
            (404, "InvalidResourceType"),
            id="type",
        ),
        pytest.param(
            f"{ADDRESSES}/providers/Nobody.Knows/a/b?api-version=2025-05-01",
            (404, "InvalidResourceNamespace"),
            id="namespace",
        ),
    ],
)
def test_a_version_that_is_none(standing: Serving, path: str, expected: tuple[int, str]) -> None:
    answer = got(standing, path, standing.entra.access(owner(standing), standing.url))
    assert (answer.status_code, answer.json()["error"]["code"]) == expected
    assert answer.headers["x-ms-request-id"]


def test_an_operation_takes_its_time(azure: Azure, network: NetworkManagementClient) -> None:
    """And the client looks no earlier than it is told."""
    azure.faults.operations = 1.5
    begun = network.public_ip_addresses.begin_create_or_update("addresses", "gw", content(STATIC))
    assert network.public_ip_addresses.get("addresses", "gw").provisioning_state == "Updating"
    assert begun.result().provisioning_state == "Succeeded"
    looks = [it.when for it in azure.requests if "/operations/" in it.path]
    assert len(looks) <= 3
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(looks))


def test_an_operation_that_never_ends(azure: Azure, network: NetworkManagementClient) -> None:
    azure.faults.add(Fault("PUT .*/gw", stuck=True))
    begun = network.public_ip_addresses.begin_create_or_update("addresses", "gw", content(STATIC))
    begun.wait(1)
    assert not begun.done()


def test_an_operation_that_fails(azure: Azure, network: NetworkManagementClient) -> None:
    azure.faults.add(Fault("PUT .*/gw", fails="InternalServerError"))
    with pytest.raises(HttpResponseError) as caught:
        network.public_ip_addresses.begin_create_or_update(
            "addresses", "gw", content(STATIC)
        ).result()
    assert caught.value.error is not None
    assert caught.value.error.code == "InternalServerError"
    assert network.public_ip_addresses.get("addresses", "gw").provisioning_state == "Failed"


def test_a_share_of_calls_is_throttled(azure: Azure, network: NetworkManagementClient) -> None:
    """None comes again before its Retry-After."""
    azure.put(address("gw"), STATIC)
    azure.faults.add(Fault("publicIPAddresses/gw", 429, times=2, retry_after=1))
    network.public_ip_addresses.get("addresses", "gw")
    asked = [it for it in azure.requests if "/gw" in it.path]
    assert [it.status for it in asked] == [429, 429, 200]
    assert [it.retry_after for it in asked] == [1, 1, None]
    assert all(later.when - it.when >= 1 for it, later in itertools.pairwise(asked))


def test_the_bucket_of_reads_runs_empty(standing: Serving, azure: Azure) -> None:
    """Each principal has its own, and it fills again."""
    now = [1_800_000_000.0]
    azure.clock = lambda: now[0]
    azure.faults.buckets = True
    azure.put(address("gw"), STATIC)
    session = requests.Session()
    token = standing.entra.access(owner(standing), standing.url)
    session.headers["Authorization"] = f"Bearer {token}"
    url = f"{standing.url}{address('gw')}?api-version=2025-05-01"

    def read() -> requests.Response:
        return session.get(url, verify=str(standing.authority), timeout=10)

    left = [read().headers["x-ms-ratelimit-remaining-subscription-reads"] for _ in range(250)]
    assert left == [str(it) for it in range(249, -1, -1)]
    refused = read()
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json()["error"]["code"] == "SubscriptionRequestsThrottled"
    azure.identity("second", ("Reader", HERE))
    second = client(standing, NetworkManagementClient, "second", retry_total=0)
    assert second.public_ip_addresses.get("addresses", "gw").name == "gw"
    now[0] += 1
    assert read().headers["x-ms-ratelimit-remaining-subscription-reads"] == "24"


@pytest.mark.parametrize("status", [500, 503])
def test_an_error_of_the_server(
    standing: Serving, azure: Azure, network: NetworkManagementClient, status: int
) -> None:
    azure.put(address("gw"), STATIC)
    azure.faults.add(Fault("/gw", status, times=1))
    assert network.public_ip_addresses.get("addresses", "gw").name == "gw"
    assert [it.status for it in azure.requests if "/gw" in it.path] == [status, 200]


def test_a_connection_that_ends(azure: Azure, network: NetworkManagementClient) -> None:
    azure.put(address("gw"), STATIC)
    azure.faults.add(Fault("/gw", hang_up=True, times=1))
    assert network.public_ip_addresses.get("addresses", "gw").name == "gw"


def test_faults_meet_the_same_calls_again() -> None:
    one, other = Azure().faults, Azure().faults
    for it in (one, other):
        it.throttle(0.2)
    met = [bool(one.met(f"GET /{number}")) for number in range(500)]
    assert met == [bool(other.met(f"GET /{number}")) for number in range(500)]
    assert 70 < sum(met) < 130


def test_nobody_is_let_in_without_a_token(standing: Serving) -> None:
    path = f"{HERE}?api-version=2022-12-01"
    bare = got(standing, path)
    assert (bare.status_code, bare.json()["error"]["code"]) == (401, "AuthenticationFailed")
    assert bare.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")


@pytest.mark.parametrize(
    ("audience", "lifetime", "code"),
    [
        pytest.param(KUBERNETES, 60, "InvalidAuthenticationTokenAudience", id="of clusters"),
        pytest.param(
            "https://management.azure.com/", -1, "ExpiredAuthenticationToken", id="too old"
        ),
    ],
)
def test_a_token_that_is_not_for_arm(
    standing: Serving, audience: str, lifetime: int, code: str
) -> None:
    token = standing.entra.access(owner(standing), audience, lifetime)
    answer = got(standing, f"{HERE}?api-version=2022-12-01", token)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)


def test_it_is_kept_in_a_file(tmp_path: Path) -> None:
    kept = Azure(TENANT, tmp_path / "azure.json")
    kept.identity("owner", ("Owner", HERE))
    kept.put(address("gw"), STATIC)
    again = Azure(TENANT, tmp_path / "azure.json")
    assert again.get(address("gw")) == kept.get(address("gw"))
    assert again.identities == kept.identities
    assert (tmp_path / "azure.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b'{"location": 5}', id="a number for a place"),
        pytest.param(b'{"location": "westeurope", "properties": "x"}', id="text for an object"),
        pytest.param(
            b'{"location": "westeurope", "properties": {"frontendIPConfigurations": [{}]}}',
            id="a frontend without a name",
        ),
    ],
)
def test_a_body_that_is_none(network: NetworkManagementClient, body: bytes) -> None:
    """It is refused, and the stand-in goes on."""
    with pytest.raises(HttpResponseError) as caught:
        network.load_balancers.begin_create_or_update("addresses", "lb", BytesIO(body)).result()
    assert refusal(caught) == (400, "InvalidRequestFormat")
    assert [*network.load_balancers.list_all()] == []
