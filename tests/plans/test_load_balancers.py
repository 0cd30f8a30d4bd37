"""What a load balancer does with the ports of a Service, and which probes say something."""

from __future__ import annotations

import pytest

from tasks.plans.load_balancers import Port, Probe, Rule, frontends, ports, rules, unfit
from tests.azure_situations import (
    HEALTH,
    balancer,
    claim,
    frontend,
    healthy,
    landscape,
    public_ip,
    service,
)

HTTPS = Port(443, "TCP", 30443)


def test_ports_of_a_service() -> None:
    assert ports(service({})) == [Port(80, "TCP", 30080), HTTPS]
    assert ports(None) == []


def test_rules_of_a_frontend() -> None:
    probe = Probe("HTTP", HEALTH, "/healthz")
    made = balancer("weu-1", {frontend(): (80,), frontend(number=2): (443,)})
    assert rules(made, frontend().lower()) == [Rule(80, 80, "TCP", probe, 4, True)]


def test_frontends_are_found_by_what_the_public_ip_is_bound_to() -> None:
    (found,) = frontends(claim(), landscape(healthy()))
    assert found[1] == frontend().lower()
    assert frontends(claim(), landscape([public_ip(), *healthy()[1:]])) == []
    assert frontends(claim(aks=None), landscape(healthy())) == []


def test_a_rule_for_all_ports_serves_each() -> None:
    assert Rule(0, 0, "ALL", None).serves(HTTPS)
    assert not Rule(443, 443, "UDP", None).serves(HTTPS)


@pytest.mark.parametrize(
    ("policy", "probe", "fits"),
    [
        ("Local", Probe("HTTP", HEALTH, "/healthz"), True),
        ("Local", Probe("TCP", HEALTH), False),
        ("Local", Probe("TCP", 30443), True),
        ("Local", Probe("HTTP", 10256, "/healthz"), False),
        ("Local", Probe("HTTP", 31999, "/healthz"), False),
        ("Cluster", Probe("TCP", 30443), True),
        ("Cluster", Probe("TCP", 30080), True),
        ("Cluster", Probe("TCP", 10256), True),
        ("Cluster", Probe("HTTP", 10256, "/healthz"), True),
        ("Cluster", Probe("HTTPS", 30443, "/"), False),
        ("Cluster", Probe("HTTP", HEALTH, "/healthz"), False),
        ("Cluster", Probe("TCP", None), False),
    ],
)
def test_which_probes_say_something(policy: str, probe: Probe, fits: bool) -> None:
    assert (unfit(probe, HTTPS, service({}, policy=policy)) is None) == fits
