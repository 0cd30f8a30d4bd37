"""What a Service asks Azure for, the public IP that it is about, and who holds that."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans import public_ips
from tasks.plans.public_ips import (
    ADDRESS,
    FROM_PREFIX,
    GROUP,
    INTERNAL,
    NAME,
    Asked,
    Claim,
    Holder,
    Wanted,
    asked,
    holder,
    lifecycle,
    locks,
    other_holder,
    resource,
)
from tests.azure_situations import (
    ADDRESS_1,
    ADDRESS_2,
    OWN,
    SUBSCRIPTION,
    aks,
    asks,
    bound,
    changed,
    claim,
    frontend,
    gateway,
    group,
    healthy,
    landscape,
    lock,
    network,
    node_group,
    of_aks,
    public_ip,
)

SIX = "2603:1020:201::5"


@pytest.mark.parametrize(
    ("annotations", "spec", "v6", "expected"),
    [
        pytest.param({}, {}, False, Asked(), id="nothing"),
        pytest.param({NAME[False]: "a"}, {}, False, Asked("a"), id="a name"),
        pytest.param({NAME[False]: "a", GROUP: " g "}, {}, False, Asked("a", "g"), id="a group"),
        pytest.param({GROUP: " "}, {}, False, Asked(), id="an empty group is none"),
        pytest.param(
            {ADDRESS[False]: ADDRESS_1}, {}, False, Asked(address=ADDRESS_1), id="an address"
        ),
        pytest.param(
            {},
            {"loadBalancerIP": ADDRESS_1},
            False,
            Asked(address=ADDRESS_1, legacy=True),
            id="the deprecated field",
        ),
        pytest.param(
            {ADDRESS[False]: ADDRESS_1},
            {"loadBalancerIP": ADDRESS_2},
            False,
            Asked(address=ADDRESS_1),
            id="the annotation before the deprecated field",
        ),
        pytest.param(
            {}, {"loadBalancerIP": ADDRESS_1}, True, Asked(), id="of the other family is none"
        ),
        pytest.param({FROM_PREFIX[False]: "/p"}, {}, False, Asked(prefix="/p"), id="a prefix"),
        pytest.param(
            {NAME[False]: "a"},
            {"ipFamilies": ["IPv6"]},
            True,
            Asked("a"),
            id="IPv6 alone, any name",
        ),
        pytest.param(
            {NAME[False]: "a", NAME[True]: "b"},
            {"ipFamilies": ["IPv6"]},
            True,
            Asked("b"),
            id="IPv6 alone, its own name first",
        ),
        pytest.param(
            {NAME[False]: "a"},
            {"ipFamilies": ["IPv4", "IPv6"]},
            True,
            Asked(),
            id="both families, each its own name",
        ),
    ],
)
def test_what_a_service_asks_for(
    annotations: dict[str, str], spec: dict[str, Any], v6: bool, expected: Asked
) -> None:
    assert asked(annotations, spec, v6) == expected


def test_the_inventory_is_asked_before_the_service() -> None:
    found = public_ips.intended(claim(wanted=Wanted("other", "g", None, ADDRESS_2)))
    assert found == Asked("other", "g", ADDRESS_2)
    assert public_ips.intended(claim()) == Asked("weu-1-public", OWN)
    assert public_ips.intended(claim(wanted=Wanted("other")), v6=True).name == "weu-1-public"


def test_an_envoy_proxy_says_it_over_the_gateway() -> None:
    found = claim(gateways=[gateway(**asks("of-gateway"))], settings={NAME[False]: "of-proxy"})
    assert found.set_by_gateway == {NAME[False]: "of-proxy", GROUP: OWN}


@pytest.mark.parametrize(
    ("found", "title"),
    [
        (claim(), "Gateway edge/public"),
        (claim(gateways=[gateway("a"), gateway("b")]), "GatewayClass envoy"),
        (Claim("weu-3", [], None, wanted=Wanted("later")), "public IP later"),
    ],
)
def test_title(found: Claim, title: str) -> None:
    assert found.title == title


@pytest.mark.parametrize(
    ("found", "name"),
    [
        pytest.param(claim(), "weu-1-public", id="by name"),
        pytest.param(
            claim(annotations={ADDRESS[False]: ADDRESS_1, GROUP: OWN}),
            "weu-1-public",
            id="by address",
        ),
        pytest.param(claim(annotations=asks(of=None)), None, id="in the node resource group alone"),
        pytest.param(claim(annotations={}), "weu-1-public", id="the one that it has"),
        pytest.param(claim(annotations={INTERNAL: "true"}), None, id="none where it is internal"),
        pytest.param(claim(aks=None), None, id="none where the place is not known"),
        pytest.param(claim(aks=None, annotations={}), "weu-1-public", id="by its address anywhere"),
    ],
)
def test_the_public_ip_of_a_claim(found: Claim, name: str | None) -> None:
    there = resource(found, landscape(healthy()))
    assert (there and there["name"]) == name


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (frontend(), "load balancer kubernetes of cluster weu-1"),
        (frontend().upper(), "load balancer KUBERNETES of cluster weu-1"),
        (
            f"{network('loadBalancers', 'own', 'web')}/frontendIPConfigurations/a",
            "load balancer own in resource group web",
        ),
        (
            f"{network('networkInterfaces', 'vm', 'web')}/ipConfigurations/a",
            "network interface vm in resource group web",
        ),
        (
            f"{group(node_group('weu-1'))}/providers/Microsoft.Compute/virtualMachineScaleSets/nodes"
            "/virtualMachines/0/networkInterfaces/one/ipConfigurations/a/publicIPAddresses/b",
            "scale set nodes of cluster weu-1",
        ),
        (
            f"{network('bastionHosts', 'bastion', 'web')}/bastionHostIpConfigurations/a",
            "Bastion bastion in resource group web",
        ),
        (
            f"{network('virtualNetworkGateways', 'vpn', 'web')}/ipConfigurations/a",
            "VPN or ExpressRoute gateway vpn in resource group web",
        ),
        (f"{network('somethings', 'x', 'web')}/y/z", "somethings x in resource group web"),
        ("what is this", "what is this"),
    ],
)
def test_what_holds_a_public_ip(to: str, expected: str) -> None:
    found = holder(bound(public_ip(), to), landscape([aks()]), None)
    assert found is not None
    assert found.text == expected


def test_a_nat_gateway_holds_one_and_nothing_holds_a_free_one() -> None:
    nat = network("natGateways", "out", "web")
    own = changed(public_ip(), "properties", "natGateway", value={"id": nat})
    assert holder(own, landscape([]), None) == Holder(nat, "NAT gateway out in resource group web")
    assert holder(public_ip(), landscape([]), None) is None


def test_its_own_cluster_is_no_other_holder() -> None:
    own, there = bound(public_ip(), frontend()), landscape([aks()])
    assert other_holder(own, there, of_aks(aks())) is None
    assert other_holder(public_ip(), there, of_aks(aks())) is None
    assert other_holder(own, there, of_aks(aks("weu-2"))) == holder(own, there, None)


def test_a_cluster_that_was_not_listed_is_known_by_its_claim() -> None:
    own = bound(public_ip(), frontend())
    found = holder(own, landscape([]), claim().aks)
    assert found is not None
    assert found.cluster == claim().aks.key  # type: ignore[union-attr]


def test_what_locks_a_public_ip() -> None:
    scopes = [public_ip()["id"], group(OWN), f"/subscriptions/{SUBSCRIPTION}"]
    others = [group("address"), public_ip("weu-1-public-2")["id"]]
    made = [lock(it, name=f"lock-{number}") for number, it in enumerate([*scopes, *others])]
    found = locks(public_ip(), landscape(made))
    assert sorted(name for name, _, _ in found) == ["lock-0", "lock-1", "lock-2"]


@pytest.mark.parametrize(
    ("own", "locked", "expected"),
    [
        (public_ip(), True, "lock"),
        (public_ip(), False, "group"),
        (public_ip(of=node_group("weu-1").upper()), True, "cluster"),
        (public_ip(of=node_group("weu-2")), True, "cluster"),
    ],
)
def test_how_long_a_public_ip_lives(own: dict[str, Any], locked: bool, expected: str) -> None:
    there = [aks("weu-2"), *([lock(f"/subscriptions/{SUBSCRIPTION}")] if locked else [])]
    assert lifecycle(own, claim(), landscape(there)) == expected


def test_a_kind_that_was_not_read_of_a_subscription_is_not_known() -> None:
    unread: Any = {(SUBSCRIPTION.upper(), "locks"): "403"}
    there = landscape([], unread=unread)
    assert not there.knows("locks", SUBSCRIPTION)
    assert there.knows("locks", "another")
    assert not landscape([], kinds=("locks",)).knows("roleAssignments", SUBSCRIPTION)
    assert there.why_not(SUBSCRIPTION) == {"locks": "403"}
