"""
The chain behind a public IP: over made situations an audit finds all that is wrong and nothing
else, and says what to do; whatever Azure answers, it never raises.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.checks import public_ips
from tasks.plans.arm import KINDS
from tasks.plans.public_ips import Answered, Claim, Landscape, Resolved, Wanted, row
from tests.azure_situations import (
    ADDRESS_1,
    HOST,
    NOW,
    OWN,
    SUBSCRIPTION,
    Object,
    Situation,
    around,
    asks,
    assignment,
    balancer,
    bound,
    claim,
    everything,
    frontend,
    group,
    healthy,
    identity,
    kind_of,
    landscape,
    node_group,
    other,
    public_ip,
    rule,
    security,
    situation,
    subnet,
    without,
)


@pytest.mark.parametrize("build", situation.known, ids=lambda it: it.__name__)
def test_a_situation(build: Callable[[], Situation]) -> None:
    it = build()
    assert sorted(it.found) == sorted(it.expected), [one.text for one in it.findings]


def test_precision_and_recall(capsys: pytest.CaptureFixture[str]) -> None:
    made = [it() for it in situation.known]
    wanted = {(number, it) for number, each in enumerate(made) for it in each.expected}
    said = {(number, it) for number, each in enumerate(made) for it in each.found}
    precision, recall = len(wanted & said) / len(said), len(wanted & said) / len(wanted)
    quiet = sum(it.healthy for it in made)
    with capsys.disabled():
        print(
            f"\n{len(made)} situations, {quiet} of them healthy: "
            f"precision {precision:.3f}, recall {recall:.3f}"
        )
    assert (precision, recall) == (1.0, 1.0)
    assert len(made) >= 36
    assert quiet * 2 >= len(made)


def test_every_finding_of_the_chain_is_made_in_some_situation() -> None:
    codes = {it.split()[1] for one in situation.known for it in one().expected}
    assert codes == {f"GW{number}" for number in range(700, 731)}


def said(it: Situation, code: str) -> str:
    return next(one.text for one in it.findings if one.code == code)


def test_what_is_missing_comes_with_the_command_that_makes_it() -> None:
    it = Situation([claim(address=None, events=["PublicIP doesn't\nexist"])], around())
    assert said(it, "GW701") == (
        "error GW701 weu-1: Gateway edge/public: public IP weu-1-public does not exist in resource "
        'group addresses (Azure says "PublicIP doesn\'t exist"): az network public-ip create '
        f"--subscription {SUBSCRIPTION} -g addresses -n weu-1-public -l westeurope --sku Standard "
        "--allocation-method Static --zone 1 2 3"
    )


def test_a_role_comes_with_principal_and_scope() -> None:
    it = Situation([claim(address=None)], without([public_ip(), *around()], "roleAssignments"))
    assert said(it, "GW705") == (
        f"error GW705 weu-1: Gateway edge/public: the cluster's identity {identity('weu-1')} "
        "lacks Microsoft.Network/publicIPAddresses/read and "
        "Microsoft.Network/publicIPAddresses/join/action in resource group addresses: az role "
        f"assignment create --assignee-object-id {identity('weu-1')} --assignee-principal-type "
        f"ServicePrincipal --role 'Network Contributor' --scope {group(OWN)}"
    )


def test_an_annotation_comes_with_its_value_and_place() -> None:
    found = claim(annotations=asks(of=None), address=None)
    assert said(Situation([found], [public_ip(), *around()]), "GW704") == (
        "error GW704 weu-1: Gateway edge/public: public IP weu-1-public lies in resource group "
        "addresses, and Azure looks in MC_clusters_weu-1_westeurope (its node resource group) "
        'alone: set service.beta.kubernetes.io/azure-load-balancer-resource-group: "addresses" in '
        "EnvoyProxy edge/public, under provider.kubernetes.envoyService.annotations"
    )


def test_what_holds_it_is_named() -> None:
    own = bound(public_ip(), frontend("weu-2"))
    from_another = [own, *around(), *around("weu-2")]
    assert said(Situation([claim(address=None)], from_another), "GW706") == (
        "error GW706 weu-1: Gateway edge/public: public IP weu-1-public (20.103.0.10) is bound to "
        "load balancer kubernetes of cluster weu-2: take it from the Gateway of weu-2 first, or, "
        "where weu-2 is lost, delete that cluster"
    )


def test_one_rule_of_a_security_group_is_one_finding_with_both_ways_in() -> None:
    own = security(everything("Deny", 4096), name="fleet", of="networks", subnets=[subnet()])
    place = f"--subscription {SUBSCRIPTION} -g networks --nsg-name fleet"
    assert said(Situation([claim()], [*healthy(), own]), "GW720") == (
        "error GW720 weu-1: Gateway edge/public: rule Deny-all of network security group fleet "
        "denies port 80/TCP, 443/TCP from Internet and the health probes to port 32123 from "
        f"AzureLoadBalancer: az network nsg rule create {place} -n allow-gateway --priority 4095 "
        "--direction Inbound --access Allow --protocol Tcp --source-address-prefixes Internet "
        "--destination-address-prefixes 20.103.0.10 --destination-port-ranges 80 443 && "
        f"az network nsg rule create {place} -n allow-probes --priority 4094 --direction Inbound "
        "--access Allow --protocol Tcp --source-address-prefixes AzureLoadBalancer "
        "--destination-address-prefixes '*' --destination-port-ranges 32123"
    )


def test_the_first_rule_of_a_security_group_can_only_go() -> None:
    own = security(everything("Deny", 100), name="fleet", of="networks", subnets=[subnet()])
    assert " nsg rule delete " in said(Situation([claim()], [*healthy(), own]), "GW720")


def test_a_record_comes_with_the_commands_that_correct_it() -> None:
    zone = f"{group('dns')}/providers/Microsoft.Network/dnszones/example.com".lower()
    hosts = {HOST: Resolved(("52.1.2.3",)), "*.example.com": Resolved(("52.1.2.3",))}
    records = [{"name": "*", "properties": {}}, {"name": "shop", "properties": {}}]
    found = Situation([claim(hosts=hosts)], healthy(), records={zone: records})
    place = f"--subscription {SUBSCRIPTION.lower()} -g dns -z example.com -n '*'"
    assert said(found, "GW722") == (
        "warning GW722 weu-1: Gateway edge/public: *.example.com, shop.example.com lead to "
        "52.1.2.3, and not to 20.103.0.10: az network dns record-set a add-record "
        f"{place} -a 20.103.0.10 && az network dns record-set a remove-record {place} -a 52.1.2.3 "
        "(and so on for the others)"
    )


@pytest.mark.parametrize(
    ("addresses", "fix"),
    [
        ((ADDRESS_1, "2603::9"), "take 2603::9 away where its zone is kept"),
        (("52.1.2.3",), "point it at 20.103.0.10 where its zone is kept"),
        ((), "point it at 20.103.0.10 where its zone is kept"),
    ],
)
def test_a_record_that_is_kept_elsewhere_is_described(addresses: tuple[str, ...], fix: str) -> None:
    found = Situation([claim(hosts={HOST: Resolved(addresses)})], healthy())
    assert [it.fix for it in found.findings] == [fix]


def test_what_could_not_be_read_is_said_once_for_all_gateways_of_a_cluster() -> None:
    two = claim(gateways=[replace(claim()).gateways[0]], ports=(8080,))
    unread: Mapping[Any, str] = {(SUBSCRIPTION, it): "AuthorizationFailed" for it in KINDS}
    found = Situation([claim(), two], [], unread=unread)
    assert [it.text for it in found.findings] == [
        f"warning GW700 weu-1: subscription {SUBSCRIPTION}: publicIPAddresses, loadBalancers, "
        "networkSecurityGroups, locks, roleAssignments, roleDefinitions could not be read, so what "
        "depends on them was not checked: AuthorizationFailed: give what signs in here the role "
        "Reader on the subscription, or run it again"
    ]


def test_what_of_the_cluster_could_not_be_read_is_no_missing_service() -> None:
    found = claim(service=None, settings={}, unread=["Services: 403"], hosts={}, answers=[])
    assert [it.code for it in Situation([found], around()).findings] == ["GW700"]


def test_a_row_of_the_table() -> None:
    assert row(claim(), landscape(healthy())) == {
        "gateway": "Gateway edge/public",
        "service": "envoy-gateway-system/envoy-edge-public-1a2b3c4d",
        "addresses": [ADDRESS_1],
        "internal": False,
        "public_ip": {
            "id": public_ip()["id"],
            "name": "weu-1-public",
            "group": OWN,
            "subscription": SUBSCRIPTION,
            "address": ADDRESS_1,
            "location": "westeurope",
            "sku": "Standard",
            "tier": "Regional",
            "allocation": "Static",
            "zones": ["1", "2", "3"],
            "idle_timeout": 4,
            "ddos": None,
            "prefix": None,
            "state": "Succeeded",
            "tags": {},
            "holder": "load balancer kubernetes of cluster weu-1",
            "locks": ["keep"],
            "lifecycle": "lock",
        },
        "dns": {HOST: [ADDRESS_1]},
    }


names = st.sampled_from(
    ["id", "name", "properties", "location", "sku", "zones", "tags", "securityRules", "x", "status"]
)
junk = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 70000) | st.text(max_size=8) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)


def places(thing: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in it."""
    inner = thing.items() if isinstance(thing, dict) else enumerate(thing)
    found = []
    for key, value in inner:
        found.append((*path, key))
        if isinstance(value, (dict, list)):
            found += places(value, (*path, key))
    return found


def damaged(thing: Any, path: tuple[Any, ...], value: Any, gone: bool) -> None:
    """Put something else in that place, or take it away."""
    for key in path[:-1]:
        thing = thing[key]
    if gone:
        del thing[path[-1]]
    else:
        thing[path[-1]] = value


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_answers_never_raise(data: st.DataObject) -> None:
    zone = f"{group('dns')}/providers/Microsoft.Network/dnszones/example.com"
    made: list[Any] = [*healthy(), security(everything("Deny", 4096), subnets=[subnet()])]
    records: list[Any] = [{"name": "shop", "properties": {"targetResource": {"id": "x"}}}]
    own = claim(wanted=Wanted("weu-1-public", OWN), hosts={HOST: Resolved()})
    one: list[Any] = [own.service, own.gateways[0]]
    all_of_it = [made, one, records]
    for _ in range(data.draw(st.integers(1, 6))):
        path = data.draw(st.sampled_from([it for it in places(all_of_it) if len(it) > 2]))
        damaged(all_of_it, path, data.draw(junk), data.draw(st.booleans()))
    ids = [it.get("id") for it in made]
    found: dict[Any, dict[str, Object]] = {kind: {} for kind in KINDS}
    for it, id_ in zip(made, ids, strict=True):
        if isinstance(id_, str):
            found[kind_of(it)][id_.lower()] = it
    there = Landscape(found, {zone.lower(): records})
    hurt = replace(own, service=one[0], gateways=[one[1]])
    assert isinstance(list(public_ips.findings(hurt, there, NOW)), list)
    assert isinstance(list(public_ips.of_the_fleet([hurt, own], there)), list)
    assert isinstance(row(hurt, there), dict)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(KINDS)),
        st.dictionaries(st.text(max_size=9), st.dictionaries(names, junk), max_size=3),
    ),
    st.dictionaries(names, junk),
)
def test_any_answer_at_all_is_read(resources: Any, thing: dict[str, Any]) -> None:
    for own in (claim(), claim(address=None), replace(claim(), service=thing, gateways=[thing])):
        there = Landscape(resources, {"zone": [thing]})
        assert list(public_ips.findings(own, there, NOW)) is not None
        assert list(public_ips.of_the_fleet([own], there)) is not None
        assert row(own, there)


def shuffled(thing: Any, chance: random.Random) -> Any:
    """A copy with all lists and keys in another order."""
    if isinstance(thing, dict):
        keys = list(thing)
        chance.shuffle(keys)
        return {it: shuffled(thing[it], chance) for it in keys}
    if isinstance(thing, list):
        made = [shuffled(it, chance) for it in thing]
        chance.shuffle(made)
        return made
    return thing


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(situation.known), st.integers(0, 10**6))
def test_the_order_of_lists_does_not_matter(build: Callable[[], Situation], seed: int) -> None:
    chance = random.Random(seed)
    it = build()
    claims = list(it.claims)
    chance.shuffle(claims)
    other_order = replace(it, claims=claims, resources=shuffled(list(it.resources), chance))
    assert sorted(other_order.found) == sorted(it.found)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 6),
    policy=st.sampled_from(["Local", "Cluster"]),
    ports=st.sets(st.sampled_from([80, 443, 8080]), min_size=1),
    region=st.sampled_from(["westeurope", "West Europe"]),
    upper=st.booleans(),
    zones=st.sampled_from([[], ["1", "2", "3"]]),
)
def test_a_healthy_fleet_has_no_finding(
    count: int, policy: str, ports: set[int], region: str, upper: bool, zones: list[str]
) -> None:
    claims: list[Claim] = []
    resources: list[Object] = []
    for number in range(1, count + 1):
        name, address = f"weu-{number}", f"20.103.1.{number}"
        to = frontend(name).upper() if upper else frontend(name)
        own = public_ip(f"{name}-public", address, location=region, zones=zones)
        allows = security(
            rule("k8s", 500, destinationPortRanges=[str(it) for it in ports]), of=node_group(name)
        )
        rules = balancer(name, {frontend(name): sorted(ports)}, policy)
        resources += [bound(own, to), *other(around(name), rules, allows)]
        answers = [Answered(address, it, HOST) for it in ports]
        hosts = {HOST: Resolved((address,))}
        claims.append(
            claim(
                name,
                address=address,
                policy=policy,
                ports=sorted(ports),
                hosts=hosts,
                answers=answers,
            )
        )
    assert Situation(claims, resources).found == []


def test_hundreds_of_claims_are_judged_quickly() -> None:
    """64 clusters with 4 Gateways in one subscription: what the audit's time leaves for it."""
    claims, resources = [], []
    for number in range(64):
        name = f"weu-{number}"
        fronts = {}
        for one in range(4):
            address = f"20.1{one}.2.{number}"
            ip = public_ip(f"{name}-{one}", address)
            resources.append(bound(ip, frontend(name, one)))
            fronts[frontend(name, one)] = (80, 443)
            claims.append(claim(name, asks(f"{name}-{one}"), address=address))
        resources += other(around(name), balancer(name, fronts))
    it = Situation(claims, resources)
    there = it.landscape
    began = process_time()
    found = [one for each in claims for one in public_ips.findings(each, there, NOW)]
    found += public_ips.of_the_fleet(claims, there)
    assert not found
    assert process_time() - began < 5


def test_no_message_has_two_lines() -> None:
    for build in situation.known:
        assert not [it for it in build().findings if re.search(r"[\n\r]", it.text)]


def test_unused_ips_are_not_looked_for_where_the_inventory_says_so() -> None:
    there = landscape([public_ip("old", "20.103.0.99")])
    assert [it.code for it in public_ips.of_the_fleet([], there)] == ["GW726"]
    assert not list(public_ips.of_the_fleet([], there, [SUBSCRIPTION.lower()]))


def test_assignments_of_others_count_for_nobody_else() -> None:
    given_to_another = assignment(group(OWN), principal=identity("weu-2"))
    found = Situation([claim()], other(healthy(), given_to_another)).found
    assert found == ["warning GW705 weu-1"]


def test_without_an_envoy_proxy_the_gateway_itself_is_named() -> None:
    found = claim(annotations=asks(of=None), address=None, proxy=None)
    assert "in Gateway edge/public, under spec.infrastructure.annotations" in said(
        Situation([found], [public_ip(), *around()]), "GW704"
    )


def test_what_the_inventory_wants_is_made_by_its_deploy() -> None:
    wanted = Wanted("weu-1-public", OWN, prefix="fleet", zones=())
    found = Situation([claim(address=None, wanted=wanted)], around())
    assert said(found, "GW701").endswith(
        f"deploys/reserve_public_ip.py, or az network public-ip create --subscription "
        f"{SUBSCRIPTION} -g addresses -n weu-1-public -l westeurope --sku Standard "
        "--allocation-method Static --public-ip-prefix fleet"
    )
