"""The objects of an entry, as they are applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.desired import dynamic_routing as desired
from tasks.fleet.inventory import DynamicRoute
from tasks.plans import dynamic_routing as plans
from tasks.plans.kinds import title
from tasks.plans.ours import LABELS

NAME = "httproute/shop/join-resolver/rule/0"
LABELLED = {**LABELS, "envoyfleet.dev/deploy": "dynamic-routing"}


def entry(**changes: Any) -> DynamicRoute:
    return DynamicRoute.model_validate(
        {
            "name": "join",
            "namespace": "shop",
            "gateway": "edge/public",
            "hostnames": ["join.example.com"],
            "resolver": {"service": "resolver", "port": 8080, **changes},
            "servers": {"service": "server", "port": 8081},
        }
    )


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_objects_are_those_of_two_routes_and_carry_our_labels() -> None:
    it = entry(open=False)
    found = desired.way("weu-1", it)
    assert [title(one) for one in found] == [
        "HTTPRoute shop/join-resolver",
        "BackendTrafficPolicy shop/join-resolver",
        "SecurityPolicy shop/join-resolver",
    ]
    rest = [*desired.policies("weu-1", it, NAME), *desired.join("weu-1", it)]
    assert [title(one) for one in rest] == [
        "BackendTrafficPolicy shop/join",
        "EnvoyExtensionPolicy shop/join",
        "HTTPRoute shop/join",
    ]
    assert all(one["metadata"]["labels"] == LABELLED for one in [*found, *rest])
    assert [title(one) for one in desired.way("weu-1", entry())] == [
        "HTTPRoute shop/join-resolver",
        "BackendTrafficPolicy shop/join-resolver",
    ]


def test_policy_of_the_servers_neither_retries_nor_lets_clients_choose() -> None:
    policy, _ = desired.policies("weu-1", entry(), NAME)
    assert set(policy["spec"]) == {"targetRefs", "routingType"}


def test_script_is_told_what_the_entry_says() -> None:
    _, policy = desired.policies("weu-1", entry(path="/server", answer="at", timeout="1s"), NAME)
    script = plans.script_of(policy)
    assert plans.named(script) == NAME
    told = [it for it in script.splitlines() if it.startswith("local ") and " = " in it]
    assert told[:7] == [
        f'local RESOLVER = "{NAME}" -- as the proxies call it',
        'local AUTHORITY = "resolver.shop"',
        'local QUESTION = "/server?client_id="',
        'local PARAMETER = "client_id"',
        'local ANSWER = "\\"at\\"%s*:%s*\\"([^\\"]*)\\""',
        "local TIMEOUT = 1000 -- milliseconds; 0 would wait for ever",
        "local LARGEST = 4096 -- bytes of an answer",
    ]
    assert 'local MARK, ME = "x-dynamic-routing", "weu-1/shop/join"' in script
    assert "ALLOWED" not in script
    assert "PORTS" not in script
