"""What a path of ARM names."""

from __future__ import annotations

import pytest

from tasks.lab.azure.ids import Target, lies_in, target

GROUP = "/subscriptions/S/resourceGroups/G"
BALANCER = f"{GROUP}/providers/Microsoft.Network/loadBalancers/kubernetes"


@pytest.mark.parametrize(
    ("path", "type", "names", "scope", "collection"),
    [
        pytest.param("/subscriptions", "subscriptions", (), "", True, id="subscriptions"),
        pytest.param("/subscriptions/S", "subscriptions", ("S",), "", False, id="subscription"),
        pytest.param(GROUP, "resourceGroups", ("G",), "/subscriptions/S", False, id="group"),
        pytest.param(
            f"{GROUP.lower()}/", "resourceGroups", ("g",), "/subscriptions/s", False, id="spelling"
        ),
        pytest.param(
            "/subscriptions/S/providers/Microsoft.Network/loadBalancers",
            "Microsoft.Network/loadBalancers",
            (),
            "/subscriptions/S",
            True,
            id="list of a subscription",
        ),
        pytest.param(
            BALANCER,
            "Microsoft.Network/loadBalancers",
            ("kubernetes",),
            GROUP,
            False,
            id="resource",
        ),
        pytest.param(
            f"{BALANCER}/probes",
            "Microsoft.Network/loadBalancers/probes",
            ("kubernetes",),
            GROUP,
            True,
            id="list of children",
        ),
        pytest.param(
            f"{BALANCER}/providers/Microsoft.Authorization/locks/keep",
            "Microsoft.Authorization/locks",
            ("keep",),
            BALANCER,
            False,
            id="on a resource",
        ),
        pytest.param(
            "/providers/Microsoft.Authorization/roleDefinitions/r",
            "Microsoft.Authorization/roleDefinitions",
            ("r",),
            "",
            False,
            id="on nothing",
        ),
        pytest.param("/", "", (), "", False, id="nothing"),
    ],
)
def test_paths(path: str, type: str, names: tuple[str, ...], scope: str, collection: bool) -> None:
    found = target(path)
    assert (found.type, found.names, found.scope, found.collection) == (
        type,
        names,
        scope,
        collection,
    )


def test_where_something_lies() -> None:
    probe = target(f"{BALANCER}/probes/p")
    assert isinstance(probe, Target)
    assert (probe.parent, probe.subscription, probe.group) == (BALANCER, "S", "G")
    assert lies_in(BALANCER.upper(), GROUP)
    assert lies_in(GROUP, GROUP)
    assert not lies_in(f"{GROUP}2", GROUP)
