"""What Azure's cloud provider makes of a Service, and whom Azure lets through to it."""

import ipaddress
from typing import Any

import pytest

from tasks.lab import forwarding
from tasks.lab.azure import cloud_provider, load_balancers, security_groups
from tasks.lab.azure.cloud_provider import Asked, Object, Place, RefusedError
from tasks.lab.azure.security_groups import Opened
from tasks.lab.forwarding import Frontend, Target, Verdict

UID, OTHER = "11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555"
BASE, OTHER_BASE = "a1111111122224333844455555555555", "a9999999922224333844455555555555"
PLACE = Place("s1", "MC_one", "westeurope", "/subnets/one")
OWN = PLACE.network("loadBalancers", "kubernetes")
IP = PLACE.network("publicIPAddresses", "shop")


def service(uid: str = UID, spec: Object | None = None, **said: str) -> Object:
    annotations = {cloud_provider.PREFIX + key.replace("_", "-"): it for key, it in said.items()}
    ports = [{"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}]
    return {
        "metadata": {
            "name": "public",
            "namespace": "edge",
            "uid": uid,
            "annotations": annotations,
        },
        "spec": {"type": "LoadBalancer", "ports": ports, **(spec or {})},
    }


def public(name: str, address: str | None = None, **more: Any) -> Object:
    path = PLACE.network("publicIPAddresses", name)
    return {"id": path, "name": name, "properties": {"ipAddress": address}, **more}


def wish(**said: Any) -> Asked:
    return Asked("edge/public", BASE, **said)


def balancer(one: Object, before: Object | None = None, ip: str = IP) -> Object:
    holds = {"publicIPAddress": {"id": ip}}
    asked = cloud_provider.asked(one)
    made = load_balancers.load_balancer(before, one, asked, PLACE, holds)
    return {**made, "id": OWN, "name": "kubernetes"}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param(service(), wish(), id="nothing"),
        pytest.param(
            service(
                pip_name="shop",
                load_balancer_resource_group="addresses",
                load_balancer_ipv4="10.0.0.1",
                pip_prefix_id="/p/one",
                dns_label_name="shop",
                load_balancer_tcp_idle_timeout="30",
            ),
            wish(
                pip_name="shop",
                group="addresses",
                address="10.0.0.1",
                prefix="/p/one",
                label="shop",
                idle_minutes=30,
            ),
            id="everything",
        ),
        pytest.param(
            service(spec={"loadBalancerIP": "10.0.0.2"}, load_balancer_ipv4="10.0.0.1"),
            wish(address="10.0.0.1"),
            id="the annotation goes before the deprecated field",
        ),
        pytest.param(
            service(load_balancer_internal="true"), wish(internal=True, sources=()), id="internal"
        ),
        pytest.param(
            service(allowed_ip_ranges="10.1.0.0/16, 10.0.0.0/16"),
            wish(sources=("10.0.0.0/16", "10.1.0.0/16")),
            id="from some ranges",
        ),
        pytest.param(
            service(spec={"loadBalancerSourceRanges": ["10.0.0.0/16"]}, allowed_service_tags="T"),
            wish(sources=("10.0.0.0/16", "T")),
            id="from a range and a service tag",
        ),
        pytest.param(
            service(allowed_ip_ranges="10.0.0.1/16"),
            wish(sources=(), closed=True),
            id="a range that is none closes",
        ),
    ],
)
def test_reads_what_a_service_asks_for(one: Object, expected: Asked) -> None:
    assert cloud_provider.asked(one) == expected


@pytest.mark.parametrize(
    ("one", "message"),
    [
        pytest.param(
            service(load_balancer_tcp_idle_timeout="3"),
            "error parsing idle timeout key: service.beta.kubernetes.io/"
            "azure-load-balancer-tcp-idle-timeout, err: idle timeout value must be a whole number "
            "representing minutes between 4 and 100, actual value: 3",
            id="an idle timeout that is too short",
        ),
        pytest.param(
            service(
                spec={"loadBalancerSourceRanges": ["10.0.0.0/16"]}, allowed_ip_ranges="10.0.0.0/16"
            ),
            "cannot set both spec.LoadBalancerSourceRanges and service annotation "
            "service.beta.kubernetes.io/azure-allowed-ip-ranges",
            id="ranges said twice",
        ),
    ],
)
def test_refuses_annotations_that_cannot_be(one: Object, message: str) -> None:
    with pytest.raises(RefusedError) as caught:
        cloud_provider.asked(one)
    assert str(caught.value) == message


def test_finds_the_public_ip() -> None:
    shop, fixed = public("Shop", "10.0.0.1"), public("fixed", "10.0.0.2")
    made = public(f"kubernetes-{BASE}")
    listed = [shop, fixed, made]

    def found(**said: Any) -> Object | None:
        return cloud_provider.public_ip(wish(**said), listed, "addresses")

    assert found(pip_name="shop") == shop
    assert found(pip_name="shop", address="10.0.0.2") == shop
    assert found(address="10.0.0.2") == fixed
    assert found() == made
    assert found(prefix="/prefixes/one") is None
    with pytest.raises(RefusedError, match=r"=gone for service edge/public doesn't exist"):
        found(pip_name="gone")
    with pytest.raises(RefusedError, match=r"10.0.0.9 was not found in resource group addresses"):
        found(address="10.0.0.9")


def test_makes_a_public_ip_from_a_prefix() -> None:
    asked = wish(prefix="/prefixes/one", label="shop")
    assert asked.made == f"kubernetes-{BASE}-one"
    made = cloud_provider.new_public_ip(asked, PLACE)
    assert made["properties"] == {
        "publicIPAllocationMethod": "Static",
        "publicIPAddressVersion": "IPv4",
        "publicIPPrefix": {"id": "/prefixes/one"},
        "dnsSettings": {"domainNameLabel": "shop"},
    }
    assert made["tags"]["k8s-azure-service"] == "edge/public"


def test_a_dns_label_is_set_and_taken_away() -> None:
    bare = public("shop", "10.0.0.1")
    named = cloud_provider.labelled(bare, "shop")
    assert named is not None
    assert named["properties"]["dnsSettings"] == {"domainNameLabel": "shop"}
    assert cloud_provider.labelled(named, "SHOP") is None
    assert cloud_provider.labelled(named, None) is None
    assert cloud_provider.labelled(named, "") == bare


def test_a_frontend_with_a_rule_and_a_probe_for_each_port() -> None:
    ports = [
        {"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"},
        {"name": "dns", "port": 53, "nodePort": 30053, "protocol": "UDP"},
    ]
    one = service(spec={"ports": ports}, load_balancer_tcp_idle_timeout="10")
    said = balancer(one)["properties"]
    frontend = f"{OWN}/frontendIPConfigurations/{BASE}"
    assert said["frontendIPConfigurations"] == [
        {"name": BASE, "properties": {"publicIPAddress": {"id": IP}}}
    ]
    assert [it["name"] for it in said["loadBalancingRules"]] == [f"{BASE}-TCP-80", f"{BASE}-UDP-53"]
    http, dns = (it["properties"] for it in said["loadBalancingRules"])
    assert http == {
        "protocol": "Tcp",
        "frontendPort": 80,
        "backendPort": 80,
        "frontendIPConfiguration": {"id": frontend},
        "backendAddressPool": {"id": f"{OWN}/backendAddressPools/kubernetes"},
        "enableFloatingIP": True,
        "disableOutboundSnat": True,
        "loadDistribution": "Default",
        "idleTimeoutInMinutes": 10,
        "enableTcpReset": True,
        "probe": {"id": f"{OWN}/probes/{BASE}-TCP-80"},
    }
    assert "probe" not in dns
    [probe] = said["probes"]
    assert (probe["name"], probe["properties"]["protocol"], probe["properties"]["port"]) == (
        f"{BASE}-TCP-80",
        "Tcp",
        30080,
    )


def test_with_policy_local_one_probe_asks_for_a_pod_on_the_node() -> None:
    spec = {"externalTrafficPolicy": "Local", "healthCheckNodePort": 31000}
    [probe] = balancer(service(spec=spec))["properties"]["probes"]
    said = probe["properties"]
    assert (probe["name"], said["protocol"], said["port"], said["requestPath"]) == (
        f"{BASE}-TCP-31000",
        "Http",
        31000,
        "/healthz",
    )


def test_a_second_service_of_an_address_shares_its_frontend() -> None:
    first = balancer(service())
    ports = [{"name": "tls", "port": 443, "nodePort": 30443, "protocol": "TCP"}]
    both = balancer(service(OTHER, spec={"ports": ports}), first)["properties"]
    assert [it["name"] for it in both["frontendIPConfigurations"]] == [BASE]
    names = [it["name"] for it in both["loadBalancingRules"]]
    assert names == [f"{BASE}-TCP-80", f"{OTHER_BASE}-TCP-443"]
    with pytest.raises(RefusedError, match="trying to consume the port 80"):
        balancer(service(OTHER), first)
    left = load_balancers.without({**first, "properties": both}, {BASE}, OWN)["properties"]
    assert [it["name"] for it in left["frontendIPConfigurations"]] == [BASE]
    assert [it["name"] for it in left["loadBalancingRules"]] == [f"{OTHER_BASE}-TCP-443"]


def test_what_aks_made_stays_and_what_nobody_has_goes() -> None:
    outbound = {"id": f"{OWN}/frontendIPConfigurations/out"}
    before: Object = {
        "properties": {
            "frontendIPConfigurations": [{"name": "out", "properties": {}}],
            "outboundRules": [
                {"name": "o", "properties": {"frontendIPConfigurations": [outbound]}}
            ],
        }
    }
    made = balancer(service(), before)
    assert load_balancers.strangers(made, []) == {BASE}
    assert load_balancers.strangers(made, [BASE]) == set()
    left = load_balancers.without(made, {BASE}, OWN)["properties"]
    assert [it["name"] for it in left["frontendIPConfigurations"]] == ["out"]
    assert (left["loadBalancingRules"], left["probes"]) == ([], [])
    assert left["outboundRules"] == before["properties"]["outboundRules"]


def test_azure_is_told_only_what_it_does_not_know() -> None:
    made = balancer(service())
    first = made["properties"]["loadBalancingRules"][0]
    more = {**first, "etag": "1", "properties": {**first["properties"], "state": "Succeeded"}}
    known = {
        **made,
        "etag": "1",
        "properties": {**made["properties"], "loadBalancingRules": [more]},
    }
    assert not cloud_provider.differs(known, made)
    assert cloud_provider.differs(known, balancer(service(load_balancer_tcp_idle_timeout="9")))
    assert cloud_provider.differs({**known, "properties": {}}, made)


def test_what_arrives_is_what_has_a_frontend_and_a_rule() -> None:
    made = balancer(service())
    ips = {IP.lower(): public("shop", "10.200.252.4")}
    assert load_balancers.frontends(made, ips) == {Frontend("10.200.252.4", "tcp", 80)}
    assert load_balancers.frontends(made, {}) == set()
    bare = {**made, "properties": {**made["properties"], "loadBalancingRules": []}}
    assert load_balancers.frontends(bare, ips) == set()


FOREIGN = {
    "name": "ours",
    "properties": {
        "priority": 500,
        "direction": "Inbound",
        "access": "Deny",
        "protocol": "Tcp",
        "sourceAddressPrefix": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRange": "8000-8100",
    },
}
WEB = Frontend("10.200.252.4", "tcp", 80)


def rules(*wanted: Opened, before: tuple[Object, ...] = ()) -> list[Object]:
    group: Object = {"properties": {"securityRules": list(before)}}
    found: list[Object] = security_groups.security_group(group, wanted)["properties"][
        "securityRules"
    ]
    return found


def test_services_of_the_same_ports_share_a_rule() -> None:
    one = Opened("10.200.252.4", "Tcp", (80, 443), ("Internet",))
    two = Opened("10.200.252.5", "Tcp", (80, 443), ("Internet",))
    [foreign, made] = rules(one, two, before=(FOREIGN,))
    assert foreign == FOREIGN
    assert made["name"].startswith("k8s-azure-lb_allow_IPv4_")
    assert made["properties"] == {
        "priority": 501,
        "protocol": "Tcp",
        "access": "Allow",
        "direction": "Inbound",
        "sourcePortRange": "*",
        "sourceAddressPrefix": "Internet",
        "destinationAddressPrefixes": ["10.200.252.4", "10.200.252.5"],
        "destinationPortRanges": ["443", "80"],
    }
    again = rules(one, before=(FOREIGN, made))
    assert again[1]["properties"]["priority"] == 501
    assert again[1]["properties"]["destinationAddressPrefix"] == "10.200.252.4"
    assert rules(before=(FOREIGN, made)) == [FOREIGN]


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        pytest.param(
            rules(Opened(WEB.address, "Tcp", (80,), ("Internet",))),
            [Verdict((), True)],
            id="open to all",
        ),
        pytest.param([], [Verdict((), False)], id="denied where nothing is said"),
        pytest.param(
            rules(Opened(WEB.address, "Tcp", (443,), ("Internet",))),
            [Verdict((), False)],
            id="another port",
        ),
        pytest.param(
            rules(Opened(WEB.address, "Tcp", (80,), ("10.0.0.0/8", "AzureFrontDoor.Backend"))),
            [Verdict(("10.0.0.0/8",), True), Verdict((), False)],
            id="open to a range",
        ),
        pytest.param(
            [
                {
                    "name": "deny",
                    "properties": {
                        **FOREIGN["properties"],  # type: ignore[dict-item]
                        "priority": 100,
                        "destinationPortRange": "80",
                    },
                },
                *rules(Opened(WEB.address, "Tcp", (80,), ("Internet",))),
            ],
            [Verdict((), False)],
            id="a lower number goes first",
        ),
    ],
)
def test_whom_a_group_lets_through(group: list[Object], expected: list[Verdict]) -> None:
    said: Object = {"properties": {"securityRules": group}}
    assert security_groups.verdicts(said, WEB) == expected


def test_a_verdict_is_a_rule_for_new_connections_from_outside() -> None:
    block = "{ 10.200.18.0/24, 10.200.252.4 }"
    targets = {WEB: [Target("10.200.16.2", 10080)]}
    found = [Verdict(("10.0.0.0/8",), True), Verdict((), False)]
    text = forwarding.rules(targets, block, {WEB: found})
    lines = [line.strip() for line in text.splitlines()]
    assert "ip daddr 10.200.252.4 tcp dport 80 ip saddr { 10.0.0.0/8 } accept" in lines
    assert "ip daddr 10.200.252.4 tcp dport 80 drop" in lines
    assert f"ip daddr {block} reject" in lines
    assert "guard" not in forwarding.rules(targets, block)


def test_names_are_of_the_length_that_azure_takes() -> None:
    assert cloud_provider.base(UID) == BASE
    assert load_balancers.is_base(BASE)
    assert not load_balancers.is_base("aksOutboundRule")
    assert cloud_provider.ranged("AzureCloud") is None
    assert cloud_provider.ranged("10.0.0.0/8") == ipaddress.ip_network("10.0.0.0/8")
