"""Ids of Azure: read without case, and refused where they are none."""

from __future__ import annotations

import pytest

from tasks.plans import arm

GROUP = "/subscriptions/S/resourceGroups/MC_a"
BALANCER = f"{GROUP}/providers/Microsoft.Network/loadBalancers/kubernetes"


def test_an_id_says_where_a_resource_is() -> None:
    found = arm.parse(f"{BALANCER}/frontendIPConfigurations/a1")
    assert (found.subscription, found.group, found.name) == ("S", "MC_a", "a1")
    assert found.type == "Microsoft.Network/loadBalancers/frontendIPConfigurations"
    assert found.parent == BALANCER.lower()


def test_ids_compare_without_case() -> None:
    assert arm.parse(BALANCER).key == arm.parse(BALANCER.upper().replace("SUB", "sub")).key
    assert arm.same("MC_A", "mc_a")
    assert not arm.same(None, None)


def test_what_lies_in_no_group_has_none() -> None:
    found = arm.parse("/subscriptions/S/providers/Microsoft.Authorization/locks/keep")
    assert (found.group, found.type, found.name) == (None, "Microsoft.Authorization/locks", "keep")


def test_a_list_has_one_path_however_its_subscription_is_written() -> None:
    kind = arm.KINDS["locks"]
    path = "/subscriptions/5b0a/providers/Microsoft.Authorization/locks"
    assert arm.list_of("5B0A", "locks") == arm.list_of("5b0a", "locks") == (path, kind.api_version)


def test_a_group_is_a_resource() -> None:
    assert arm.parse(GROUP).type == "resourceGroups"
    assert arm.parse(arm.group_id("S", "MC_a")).name == "MC_a"


@pytest.mark.parametrize(
    "text", ["", "/", "weu-1", "/subscriptions", "/subscriptions/S/resourceGroups", f"{GROUP}/x/y"]
)
def test_what_is_no_id_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no id of Azure"):
        arm.parse(text)


def test_what_a_resource_says_is_read_without_trust() -> None:
    said = {"a": {"b": "x", "n": "30", "m": 4, "l": ["x", 1, {"c": 1}], "t": {"k": "v", "w": 1}}}
    assert (arm.text(said, "a", "b"), arm.text(said, "a", "b", "c"), arm.text(None)) == (
        "x",
        "",
        "",
    )
    assert (arm.number(said, "a", "n"), arm.number(said, "a", "m")) == (30, 4)
    assert (arm.number(said, "a", "b"), arm.number({"a": True}, "a")) == (None, None)
    assert (arm.texts(said, "a", "l"), arm.objects(said, "a", "l")) == (["x"], [{"c": 1}])
    assert (arm.pairs(said, "a", "t"), arm.pairs(said, "a", "b")) == ({"k": "v"}, {})


@pytest.mark.parametrize(
    ("scope", "holds"),
    [
        (GROUP, True),
        (GROUP.upper(), True),
        (f"{GROUP}/", True),
        (BALANCER, True),
        ("/subscriptions/S", True),
        ("/", True),
        (GROUP[:-1], False),
        (f"{BALANCER}/probes/a", False),
    ],
)
def test_what_lies_in_a_scope(scope: str, holds: bool) -> None:
    assert arm.within(BALANCER, scope) == holds
