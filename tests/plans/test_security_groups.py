"""What the rules of a network security group do: by priority, ranges, tags, and what is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.plans.security_groups import BALANCER, INTERNET, Traffic, Verdict, of_nodes, verdict
from tests.azure_situations import (
    ADDRESS_1,
    Object,
    everything,
    group,
    node_group,
    rule,
    security,
    subnet,
)

WEB = Traffic(INTERNET, ADDRESS_1, 443)
PROBE = Traffic(BALANCER, None, 32123)
DEFAULT = Verdict(False, "DenyAllInBound", (), 65500)


def range_(*sources: str) -> Traffic:
    return Traffic(sources[0], ADDRESS_1, 443)


@pytest.mark.parametrize(
    ("rules", "traffic", "expected"),
    [
        pytest.param([], WEB, DEFAULT, id="nothing lets in by itself"),
        pytest.param(
            [], PROBE, Verdict(True, "AllowAzureLoadBalancerInBound", (), 65001), id="probes"
        ),
        pytest.param([rule("a", 100)], WEB, Verdict(True, "a", (), 100), id="a rule"),
        pytest.param(
            [rule("a", 200), rule("b", 100, "Deny")],
            WEB,
            Verdict(False, "b", (), 100),
            id="the lower number decides, in any order",
        ),
        pytest.param(
            [rule("a", 100, destinationPortRanges=["22", "8000-9000"])],
            WEB,
            DEFAULT,
            id="other ports",
        ),
        pytest.param(
            [rule("a", 100, destinationPortRanges=[], destinationPortRange="400-500")],
            WEB,
            Verdict(True, "a", (), 100),
            id="a range of ports",
        ),
        pytest.param([rule("a", 100, protocol="Udp")], WEB, DEFAULT, id="another protocol"),
        pytest.param([rule("a", 100, direction="Outbound")], WEB, DEFAULT, id="what goes out"),
        pytest.param(
            [rule("a", 100, source="0.0.0.0/0")], WEB, Verdict(True, "a", (), 100), id="every range"
        ),
        pytest.param(
            [rule("a", 100, source=BALANCER)], WEB, DEFAULT, id="the balancer's tag is no client"
        ),
        pytest.param(
            [rule("a", 100, source="VirtualNetwork")], WEB, DEFAULT, id="nor the network's"
        ),
        pytest.param(
            [rule("a", 100, source=["20.1.0.0/16", "AzureFrontDoor.Backend"])],
            WEB,
            Verdict(True, "DenyAllInBound", ("20.1.0.0/16", "AzureFrontDoor.Backend"), 65500),
            id="some clients alone",
        ),
        pytest.param(
            [rule("a", 100, "Deny", ["20.1.0.0/16"]), rule("b", 200)],
            WEB,
            Verdict(True, "b", (), 200),
            id="all but some clients",
        ),
        pytest.param(
            [rule("a", 100, source="20.1.0.0/16")],
            range_("20.1.2.0/24"),
            Verdict(True, "a", (), 100),
            id="a range within another",
        ),
        pytest.param(
            [rule("a", 100)],
            range_("20.1.2.0/24"),
            Verdict(True, "a", (), 100),
            id="of the Internet",
        ),
        pytest.param([rule("a", 100)], range_("10.1.2.0/24"), DEFAULT, id="a private one is not"),
        pytest.param(
            [rule("a", 100, destinationAddressPrefix="20.103.0.0/24")],
            WEB,
            Verdict(True, "a", (), 100),
            id="to the address",
        ),
        pytest.param(
            [rule("a", 100, destinationAddressPrefix="20.103.0.99")], WEB, DEFAULT, id="to another"
        ),
        pytest.param(
            [rule("a", 100, "Deny", destinationAddressPrefix="10.1.0.0/16"), rule("b", 200)],
            WEB,
            Verdict(None),
            id="to what may be the nodes, so it is not judged",
        ),
        pytest.param(
            [rule("a", 100, destinationAddressPrefix="VirtualNetwork"), rule("b", 200)],
            WEB,
            Verdict(True, "b", (), 200),
            id="unknown that would decide the same",
        ),
        pytest.param(
            [rule("a", 100, "Deny", destinationApplicationSecurityGroups=[{}]), rule("b", 200)],
            WEB,
            Verdict(None),
            id="application security groups are not judged",
        ),
        pytest.param(
            [rule("a", 100, sourceApplicationSecurityGroups=[{}], access="Deny"), rule("b", 200)],
            WEB,
            Verdict(True, "b", (), 200),
            id="no client is in an application security group",
        ),
        pytest.param(
            [everything("Deny", 4096)], PROBE, Verdict(False, "Deny-all", (), 4096), id="all denied"
        ),
        pytest.param(
            [rule("a", 100, source="Internet", destinationPortRanges=["*"])],
            Traffic(INTERNET, "2603::5", 443),
            Verdict(True, "a", (), 100),
            id="IPv6",
        ),
        pytest.param(
            [
                rule(
                    "a",
                    100,
                    source=BALANCER,
                    destinationAddressPrefix="VirtualNetwork",
                    destinationPortRanges=["*"],
                ),
                everything("Deny", 200),
            ],
            PROBE,
            Verdict(True, "a", (), 100),
            id="nodes are in the virtual network",
        ),
        pytest.param(
            [
                rule(
                    "a",
                    100,
                    source=BALANCER,
                    destinationAddressPrefix="10.240.0.0/16",
                    destinationPortRanges=["*"],
                ),
                everything("Deny", 200),
            ],
            PROBE,
            Verdict(None),
            id="nodes may be in a range, so it is not judged",
        ),
    ],
)
def test_verdict(rules: list[Object], traffic: Traffic, expected: Verdict) -> None:
    assert verdict(security(*rules), traffic) == expected


def test_defaults_that_azure_says_are_taken() -> None:
    own = security()
    own["properties"]["defaultSecurityRules"] = [everything("Allow", 65000)]
    assert verdict(own, WEB) == Verdict(True, "Allow-all", (), 65000)


@pytest.mark.parametrize(
    ("own", "counts"),
    [
        (security(), True),
        (security(name="own"), False),
        (security(name="own", subnets=["x"]), True),
        (security(name="own", of="networks", subnets=[subnet().upper()]), True),
        (security(name="own", of="networks", subnets=[subnet("weu-2")]), False),
        (security(of=node_group("weu-2")), False),
    ],
)
def test_which_groups_stand_before_the_nodes(own: dict[str, Any], counts: bool) -> None:
    place = group(node_group("weu-1"))
    assert of_nodes({own["id"].lower(): own}, place, [subnet()]) == ([own] if counts else [])
