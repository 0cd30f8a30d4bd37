"""What a public IP needs in Azure before a Gateway may ask for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.plans.arm import KindName
from tasks.plans.public_ips import Wanted
from tasks.plans.reservation import Make, Order, claimed_twice, decided, refused
from tests.azure_situations import (
    ADDRESS_1,
    CONTRIBUTOR,
    OTHER_SUBSCRIPTION,
    OWN,
    SUBSCRIPTION,
    aks,
    assignment,
    bound,
    changed,
    definition,
    frontend,
    group,
    identity,
    landscape,
    lock,
    network,
    node_group,
    of_aks,
    public_ip,
)

Object = dict[str, Any]
WANTED = Wanted("weu-1-public", OWN, zones=("1", "2", "3"), idle_timeout=4)
IP = network("publicIPAddresses", "weu-1-public", OWN)
PREFIX: Object = {
    "id": network("publicIPPrefixes", "fleet", OWN),
    "location": "westeurope",
    "zones": ["1"],
    "properties": {"ipPrefix": "20.103.0.8/31", "publicIPAddresses": [{"id": IP}]},
}
ASSIGN = (
    f"az role assignment create --assignee-object-id {identity('weu-1')} "
    f"--assignee-principal-type ServicePrincipal --role 'Network Contributor' --scope {group(OWN)}"
)
TITLES = [
    "public IP addresses/weu-1-public",
    "lock envoyfleet on public IP addresses/weu-1-public",
    "role Network Contributor of cluster weu-1 on addresses",
]


def settled(*more: Object) -> list[Object]:
    """The cluster, and all that its public IP needs but for the address itself."""
    return [aks(), lock(group(OWN)), assignment(group(OWN)), roles(), *more]


def roles() -> Object:
    return definition(CONTRIBUTOR, ["Microsoft.Network/*", "Microsoft.Authorization/*/read"])


def found(resources: list[Object], wanted: Wanted = WANTED, **order: Any) -> Any:
    return decided(Order(wanted, **order), of_aks(aks()), landscape(resources))


def test_everything_is_made_in_order() -> None:
    said = found([aks(), roles()], tags={"team": "edge"})
    assert [it.title for it in said.makes] == TITLES
    assert (said.address, said.problems, said.notes) == (None, [], [])
    address, locked, role = said.makes
    assert address.id == IP
    assert address.body == {
        "location": "westeurope",
        "sku": {"name": "Standard", "tier": "Regional"},
        "tags": {"team": "edge"},
        "zones": ["1", "2", "3"],
        "properties": {
            "publicIPAllocationMethod": "Static",
            "publicIPAddressVersion": "IPv4",
            "idleTimeoutInMinutes": 4,
        },
    }
    assert address.command == (
        f"az network public-ip create --subscription {SUBSCRIPTION} -g addresses -n weu-1-public "
        "-l westeurope --sku Standard --allocation-method Static --zone 1 2 3 --idle-timeout 4 "
        "--tags team=edge"
    )
    assert locked.body["properties"]["level"] == "CanNotDelete"
    assert locked.id == f"{IP}/providers/Microsoft.Authorization/locks/envoyfleet"
    assert role.command == ASSIGN
    assert role.body["properties"]["principalId"] == identity("weu-1")
    assert role.id == found([aks(), roles()]).makes[2].id, "the same one whenever it is run again"


def test_one_that_is_taken_from_a_prefix_has_its_zones() -> None:
    [made] = found(settled(PREFIX), replace(WANTED, prefix="fleet")).makes
    assert made.body["zones"] == ["1"]
    assert made.body["properties"]["publicIPPrefix"] == {"id": PREFIX["id"]}
    assert "--zone 1 --public-ip-prefix fleet" in made.command


def test_a_region_without_zones() -> None:
    [made] = found(settled(), replace(WANTED, zones=())).makes
    assert "zones" not in made.body
    assert "--zone" not in made.command


MINE = bound(public_ip(), frontend())
HELD = bound(public_ip(), frontend("weu-2"))


@pytest.mark.parametrize(
    "resources",
    [
        pytest.param(settled(MINE), id="in use here"),
        pytest.param(settled(public_ip()), id="free"),
        pytest.param([*settled(public_ip())[:1], *settled(public_ip())[2:], lock(IP)], id="own"),
        pytest.param(
            settled(changed(MINE, "id", value=IP.replace("addresses", "Addresses"))),
            id="written with other case",
        ),
        pytest.param(
            [aks(), public_ip(), roles(), lock(f"/subscriptions/{SUBSCRIPTION}"),
             assignment(f"/subscriptions/{SUBSCRIPTION}")],
            id="lock and role of the subscription",
        ),
    ],
)  # fmt: skip
def test_nothing_is_made_twice(resources: list[Object]) -> None:
    said = found(resources)
    assert (said.makes, said.problems, said.notes) == ([], [], [])
    assert said.address == ADDRESS_1


TITLE = "public IP addresses/weu-1-public"


@pytest.mark.parametrize(
    ("wanted", "resources", "problem"),
    [
        pytest.param(
            replace(WANTED, group=None),
            settled(),
            "public_ip weu-1-public has no resource_group, and the node resource group "
            "MC_clusters_weu-1_westeurope is deleted with the cluster: name one that outlives it",
            id="no group",
        ),
        pytest.param(
            replace(WANTED, group=node_group("weu-2").upper()),
            settled(aks("weu-2")),
            f"public IP {node_group('weu-2').upper()}/weu-1-public is to be in the node resource "
            "group of cluster weu-2, which is deleted with it: name a group that outlives it",
            id="a node group, of another cluster, in capitals",
        ),
        pytest.param(
            replace(WANTED, subscription=OTHER_SUBSCRIPTION),
            settled(),
            f"{TITLE} is to be in subscription {OTHER_SUBSCRIPTION}, and AKS looks for it in the "
            f"cluster's own, {SUBSCRIPTION}, alone: take subscription out of public_ip",
            id="another subscription",
        ),
        pytest.param(
            replace(WANTED, address=ADDRESS_1),
            settled(),
            f"{TITLE} does not exist, and Azure chooses the address of a new one: take address "
            f"{ADDRESS_1} out, or name the public IP that has it",
            id="an address that only Azure can give",
        ),
        pytest.param(
            replace(WANTED, prefix="fleet"),
            settled(),
            "public IP prefix addresses/fleet does not exist: make it first",
            id="no prefix",
        ),
        pytest.param(
            replace(WANTED, prefix="fleet"),
            settled(changed(PREFIX, "properties", "publicIPAddresses", value=[{}, {}])),
            "public IP prefix addresses/fleet is full, all its 2 addresses are taken: name another "
            "one, or none",
            id="a full prefix",
        ),
        pytest.param(
            replace(WANTED, prefix="fleet"),
            settled(changed(PREFIX, "location", value="northeurope")),
            "public IP prefix addresses/fleet is in northeurope, the cluster in westeurope: name "
            "one of that region",
            id="a prefix of another region",
        ),
        pytest.param(
            WANTED,
            settled(public_ip(location="northeurope")),
            f"{TITLE} is in northeurope, the cluster in westeurope: name another one",
            id="another region",
        ),
        pytest.param(
            WANTED,
            settled(public_ip(sku={"name": "Basic", "tier": "Regional"})),
            f"{TITLE} has SKU Basic, which AKS cannot use: az network public-ip update --ids {IP} "
            "--sku Standard while nothing holds it, or name another one",
            id="Basic",
        ),
        pytest.param(
            WANTED,
            settled(public_ip(sku={"name": "Standard", "tier": "Global"})),
            f"{TITLE} has tier Global, which is for load balancers across regions: name another "
            "one",
            id="Global",
        ),
        pytest.param(
            WANTED,
            settled(
                changed(public_ip(), "properties", "publicIPAllocationMethod", value="Dynamic")
            ),
            f"{TITLE} is Dynamic, its address can be lost: az network public-ip update --ids {IP} "
            "--allocation-method Static",
            id="Dynamic",
        ),
        pytest.param(
            WANTED,
            settled(public_ip(address="2603:1020::1")),
            f"{TITLE} is IPv6, and the address of a Gateway is IPv4: name another one",
            id="IPv6",
        ),
        pytest.param(
            WANTED,
            settled(changed(public_ip(), "properties", "provisioningState", value="Failed")),
            f"{TITLE} is Failed in Azure: wait until that has ended, or mend it with az resource "
            f"update --ids {IP}, then run again",
            id="failed",
        ),
        pytest.param(
            replace(WANTED, address="20.1.2.3"),
            settled(public_ip()),
            f"{TITLE} has {ADDRESS_1}, and address says 20.1.2.3: correct one of them",
            id="another address than is said",
        ),
        pytest.param(
            WANTED,
            settled(aks("weu-2"), HELD),
            f"{TITLE} is held by load balancer kubernetes of cluster weu-2, and two cannot hold "
            "it: name another one, or free it there first",
            id="held by another cluster",
        ),
    ],
)
def test_what_stands_in_the_way(wanted: Wanted, resources: list[Object], problem: str) -> None:
    assert found(resources, wanted).problems == [problem]


def test_a_role_that_somebody_else_gives() -> None:
    resources = [aks(), lock(group(OWN)), public_ip(), roles()]
    assert found(resources, role=False).problems == [
        f"{TITLES[2]} is missing, and role is False: {ASSIGN}"
    ]
    assert [it.title for it in found(resources).makes] == [TITLES[2]]


def test_no_lock_where_none_is_wanted() -> None:
    resources = [aks(), assignment(group(OWN)), public_ip(), roles()]
    assert found(resources, replace(WANTED, lock=False)).makes == []


def test_what_is_chosen_once_is_only_said() -> None:
    other = changed(public_ip(zones=["2"]), "properties", "idleTimeoutInMinutes", value=30)
    assert found(settled(other)).notes == [
        f"{TITLE} is in zones 2, not in zones 1, 2, 3: they are chosen once, when it is made",
        f"{TITLE} has an idle timeout of 30 minutes, not 4: az network public-ip update --ids {IP} "
        "--idle-timeout 4",
    ]


@pytest.mark.parametrize(
    ("kind", "problems", "notes"),
    [
        pytest.param("publicIPAddresses", ["public IPs cannot be read: no permission"], []),
        pytest.param(
            "locks", [], ["whether addresses/weu-1-public is locked is not known: no permission"]
        ),
        pytest.param(
            "roleAssignments",
            [],
            [f"{TITLES[2]} could not be looked for (no permission): if it lacks, {ASSIGN}"],
        ),
    ],
)
def test_what_could_not_be_read_is_not_taken_for_missing(
    kind: KindName, problems: list[str], notes: list[str]
) -> None:
    unread: dict[tuple[str, KindName], str] = {(SUBSCRIPTION, kind): "no permission"}
    there = replace(
        landscape([aks(), public_ip(), lock(IP), roles(), assignment(group(OWN))]), unread=unread
    )
    said = decided(Order(WANTED), of_aks(aks()), there)
    assert ([*said.makes], [*said.problems], [*said.notes]) == ([], problems, notes)


def test_one_public_ip_for_two_clusters() -> None:
    same = Order(replace(WANTED, group="Addresses"))
    assert claimed_twice({"weu-1": [Order(WANTED), Order(WANTED)]}) is None
    assert claimed_twice({"weu-1": [Order(WANTED)], "weu-2": [same]}) == (
        "weu-2: public IP Addresses/weu-1-public is wanted for weu-1 too: one of them can have it"
    )


MAKE = Make("publicIPAddresses", IP, {}, "public IP addresses/a", [], "az network public-ip create")


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        pytest.param(
            403,
            "AuthorizationFailed",
            "public IP addresses/a is missing, and this identity may not make it: hand this to "
            "somebody who may, then run again: az network public-ip create",
        ),
        pytest.param(403, "RequestDisallowedByPolicy", "public IP addresses/a was not made: it"),
        pytest.param(
            400,
            "PublicIPCountLimitReached",
            "public IP addresses/a was not made: it: ask for more: az network list-usages "
            "--location westeurope --output table",
        ),
        pytest.param(
            400,
            "InvalidAvailabilityZone",
            "public IP addresses/a was not made: it: set zones of public_ip to those that "
            "westeurope has, [] for none",
        ),
        pytest.param(0, "OperationStuck", "public IP addresses/a was not made: it"),
    ],
)
def test_what_azure_refuses(status: int, code: str, said: str) -> None:
    assert refused(MAKE, "westeurope", status, code, "it") == said
