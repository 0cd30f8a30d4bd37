"""Public IPs of an archive, in the cluster that takes the place of the one that had them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.plans.arm import KindName
from tasks.plans.moved_ips import Moved, asked, moved, not_back
from tasks.plans.preflight import Reason
from tasks.plans.public_ips import ADDRESS, INTERNAL, Wanted
from tests.azure_situations import (
    ADDRESS_1,
    ADDRESS_2,
    OWN,
    SUBSCRIPTION,
    aks,
    asks,
    assignment,
    bound,
    changed,
    frontend,
    group,
    identity,
    landscape,
    node_group,
    of_aks,
    public_ip,
)

Object = dict[str, Any]
HERE = "Gateway edge/public"
WANTED = Wanted("weu-1-public", OWN)
#: The replacement, and what it may.
NEW = aks("weu-9")
MAY = assignment(group(OWN), principal=identity("weu-9"))
IP = "public IP addresses/weu-1-public"
ASSIGN = (
    f"az role assignment create --assignee-object-id {identity('weu-9')} "
    f"--assignee-principal-type ServicePrincipal --role 'Network Contributor' --scope {group(OWN)}"
)


def entry(annotations: dict[str, str], gateway: str = "edge/public") -> Object:
    """Of an archive's manifest."""
    return {"gateway": gateway, "addresses": [ADDRESS_1], "annotations": annotations}


def test_what_an_archive_asks_for() -> None:
    addresses = [
        entry(asks()),
        entry({ADDRESS[False]: ADDRESS_2}, "edge/fixed"),
        entry({}, "edge/chosen-by-azure"),
        entry(asks(**{INTERNAL: "true"}), "edge/inside"),
        entry(asks(), "edge/not-restored"),
    ]
    titles = {HERE, *(f"Gateway edge/{it}" for it in ("fixed", "chosen-by-azure", "inside"))}
    assert asked(addresses, titles) == {
        HERE: WANTED,
        "Gateway edge/fixed": Wanted(address=ADDRESS_2),
    }


def reasons(resources: list[Object], wanted: Wanted = WANTED) -> list[Reason]:
    [found] = moved({HERE: wanted}, of_aks(NEW), landscape([NEW, *resources]))
    return [*found.reasons]


@pytest.mark.parametrize(
    ("wanted", "resources"),
    [
        pytest.param(WANTED, [public_ip(), MAY], id="free"),
        pytest.param(WANTED, [bound(public_ip(), frontend("weu-9")), MAY], id="here already"),
        pytest.param(Wanted(group=OWN, address=ADDRESS_1), [public_ip(), MAY], id="by address"),
    ],
)
def test_an_address_that_can_be_had(wanted: Wanted, resources: list[Object]) -> None:
    found = moved({HERE: wanted}, of_aks(NEW), landscape([NEW, *resources]))
    assert found == [Moved(HERE, WANTED, ADDRESS_1)]
    assert found[0].free
    assert found[0].text == f"{HERE}: {ADDRESS_1} of {IP}"


@pytest.mark.parametrize(
    ("wanted", "resources", "said"),
    [
        pytest.param(
            WANTED,
            [MAY],
            f"{HERE} asks for {IP}, which is not in resource group addresses: put public_ip of the "
            "inventory right and make it with deploys/reserve_public_ip.py, which gives it another "
            "address; until then the Gateway has none",
            id="not there",
        ),
        pytest.param(
            Wanted("kubernetes-a1"),
            [public_ip("kubernetes-a1", of=node_group("weu-1")), MAY],
            f"{HERE} asks for public IP kubernetes-a1, which is not in resource group "
            f"{node_group('weu-9')}: one of a node resource group is lost with its cluster: put "
            "public_ip of the inventory right and make it with deploys/reserve_public_ip.py, which "
            "gives it another address; until then the Gateway has none",
            id="of the node group of the other",
        ),
        pytest.param(
            WANTED,
            [bound(public_ip(), frontend("weu-1")), aks("weu-1"), MAY],
            f"{HERE} asks for {IP}, which is held by load balancer kubernetes of cluster weu-1, "
            "which Azure still has: if that cluster is lost, delete what is left of it (az aks "
            "delete --resource-group clusters --name weu-1); if it lives, its address stays there",
            id="held by a cluster that lives",
        ),
        pytest.param(
            WANTED,
            [bound(public_ip(), frontend("weu-1")), MAY],
            f"{HERE} asks for {IP}, which is held by load balancer kubernetes in resource group "
            f"{node_group('weu-1')}: wait until Azure has deleted that, or free it there",
            id="of a cluster that is being deleted",
        ),
        pytest.param(
            WANTED,
            [public_ip(), assignment(group(OWN))],
            f"{HERE}: the identity of cluster weu-9 may not use {IP}: {ASSIGN}",
            id="the role of the other",
        ),
        pytest.param(
            WANTED,
            [changed(public_ip(), "location", value="northeurope"), MAY],
            f"{HERE}: {IP} is in northeurope, the cluster in westeurope: name another one",
            id="another region",
        ),
    ],
)
def test_one_that_cannot_be_had(wanted: Wanted, resources: list[Object], said: str) -> None:
    assert reasons(resources, wanted) == [Reason(said, "address")]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            "publicIPAddresses",
            f"{HERE} asks for {IP}, which could not be looked for: no permission",
        ),
        (
            "roleAssignments",
            f"{HERE}: the identity of cluster weu-9 was not looked at for {IP}: if it may not use "
            f"it, {ASSIGN}",
        ),
    ],
)
def test_what_could_not_be_read_is_a_warning(kind: KindName, said: str) -> None:
    unread: dict[tuple[str, KindName], str] = {(SUBSCRIPTION, kind): "no permission"}
    there = replace(landscape([NEW, public_ip()]), unread=unread)
    [found] = moved({HERE: WANTED}, of_aks(NEW), there)
    assert found.reasons == (Reason(said, stops=False),)


def test_until_the_address_is_back() -> None:
    def gateway(*addresses: str) -> Object:
        values = [{"value": it} for it in addresses]
        metadata = {"name": "public", "namespace": "edge"}
        return {"kind": "Gateway", "metadata": metadata, "status": {"addresses": values}}

    wanted = {HERE: ADDRESS_1}
    assert not_back(wanted, [gateway(ADDRESS_1)]) == []
    assert not_back({}, [gateway()]) == []
    assert not_back(wanted, [gateway(ADDRESS_2)]) == [
        f"{HERE}: it has {ADDRESS_2}, not {ADDRESS_1} yet"
    ]
    assert not_back(wanted, [gateway()]) == [f"{HERE}: it has no address, not {ADDRESS_1} yet"]
