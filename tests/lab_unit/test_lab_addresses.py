"""Which address a Service gets, and where what arrives there is sent."""

from typing import Any

import pytest

from tasks.lab import addresses, forwarding
from tasks.lab.addresses import AZURE_ADDRESS, Assignment
from tasks.lab.forwarding import Frontend, Leaving, Target

BLOCK = "10.200.18.0/29"  # .1 to .6; the upper half is .4 to .6


def service(
    name: str, *, asks: str | None = None, has: str | None = None, second: int = 0
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "edge",
            "uid": name,
            "creationTimestamp": f"2026-11-21T00:00:{second:02}Z",
            "annotations": {AZURE_ADDRESS: asks} if asks else {},
        },
        "spec": {"type": "LoadBalancer"},
        "status": {"loadBalancer": {"ingress": [{"ip": has}]} if has else {}},
    }


TAKEN = (
    "PublicIPAddressInUse: Resource with IP Address 10.200.18.2 is already allocated to another "
    "load balancer frontend"
)


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        pytest.param(
            [service("a"), service("b")],
            {"a": Assignment("10.200.18.4"), "b": Assignment("10.200.18.5")},
            id="free addresses, oldest first",
        ),
        pytest.param(
            [service("a", has="10.200.18.5"), service("b")],
            {"a": Assignment("10.200.18.5"), "b": Assignment("10.200.18.4")},
            id="keeps what it has",
        ),
        pytest.param(
            [service("a"), service("b", asks="10.200.18.4")],
            {"a": Assignment("10.200.18.5"), "b": Assignment("10.200.18.4")},
            id="a fixed address goes before a free one",
        ),
        pytest.param(
            [service("a", asks="10.200.18.2", has="10.200.18.4")],
            {"a": Assignment("10.200.18.2")},
            id="moves in place",
        ),
        pytest.param(
            [service("a", has="10.200.18.2"), service("b", asks="10.200.18.2")],
            {"a": Assignment("10.200.18.2"), "b": Assignment(None, TAKEN)},
            id="never takes another's",
        ),
        pytest.param(
            [service("a", asks="192.0.2.1", has="10.200.18.4")],
            {
                "a": Assignment(
                    "10.200.18.4",
                    "user supplied IP Address 192.0.2.1 was not found in resource group MC_lab",
                )
            },
            id="keeps what it has where it asks for a foreign one",
        ),
        pytest.param(
            [service(f"{n}", has=f"10.200.18.{n}") for n in range(1, 7)]
            + [service("late", second=1)],
            {
                **{f"{n}": Assignment(f"10.200.18.{n}") for n in range(1, 7)},
                "late": Assignment(None, addresses.NO_ADDRESS_LEFT),
            },
            id="none left",
        ),
    ],
)
def test_assigns(services: list[dict[str, Any]], expected: dict[str, Assignment]) -> None:
    assert addresses.assign(services, BLOCK) == expected


def test_an_older_way_to_ask_is_understood() -> None:
    one = service("a")
    one["spec"]["loadBalancerIP"] = "10.200.18.3"
    assert addresses.assign([one], BLOCK) == {"a": Assignment("10.200.18.3")}


def test_services_of_another_class_are_left_alone() -> None:
    one = service("a")
    one["spec"]["loadBalancerClass"] = "example.com/other"
    assert addresses.assign([one], BLOCK) == {}


def test_finds_ready_endpoints_by_the_name_of_the_port() -> None:
    one = service("a")
    one["spec"]["ports"] = [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]
    slices = [
        {
            "metadata": {"namespace": "edge", "labels": {forwarding.SERVICE_NAME: "a"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 10080}],
            "endpoints": [
                {"addresses": ["10.200.16.2"], "conditions": {"ready": True}},
                {"addresses": ["10.200.16.3"], "conditions": {"ready": False, "serving": True}},
                {"addresses": ["10.200.16.4"], "conditions": {}},
            ],
        }
    ]
    assert forwarding.ready(one, "10.200.18.4", slices) == {
        Frontend("10.200.18.4", "tcp", 80): {
            Target("10.200.16.2", 10080),
            Target("10.200.16.4", 10080),
        },
        Frontend("10.200.18.4", "tcp", 81): set(),
    }


def test_a_leaving_endpoint_stays_for_the_seconds_set() -> None:
    front, one, two = Frontend("10.200.18.4", "tcp", 80), Target("a", 1), Target("b", 1)
    leaving = Leaving()
    assert leaving.targets({front: {one, two}}, now=0, seconds=4) == {front: [one, two]}
    assert leaving.targets({front: {one}}, now=10, seconds=4) == {front: [one, two]}
    assert leaving.targets({front: {one}}, now=13.9, seconds=4) == {front: [one, two]}
    assert leaving.targets({front: {one}}, now=14, seconds=4) == {front: [one]}
    assert leaving.targets({front: {one}}, now=15, seconds=60) == {front: [one]}


def test_without_seconds_a_leaving_endpoint_is_gone_at_once() -> None:
    front, one = Frontend("10.200.18.4", "tcp", 80), Target("a", 1)
    leaving = Leaving()
    leaving.targets({front: {one}}, now=0, seconds=0)
    assert leaving.targets({front: set()}, now=1, seconds=0) == {front: []}


def test_one_target_or_several_or_none() -> None:
    text = forwarding.rules(
        {
            Frontend("10.200.18.4", "tcp", 80): [Target("10.200.16.2", 10080)],
            Frontend("10.200.18.5", "udp", 53): [
                Target("10.200.16.2", 1),
                Target("10.200.16.3", 1),
            ],
            Frontend("10.200.18.6", "tcp", 80): [],
        },
        BLOCK,
    )
    lines = [line.strip() for line in text.splitlines() if " dnat " in line]
    assert lines == [
        "ip daddr 10.200.18.4 tcp dport 80 dnat to 10.200.16.2:10080",
        "ip daddr 10.200.18.5 udp dport 53 dnat to numgen random mod 2 map "
        "{ 0 : 10.200.16.2 . 1, 1 : 10.200.16.3 . 1 }",
    ]
