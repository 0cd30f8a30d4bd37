"""What roles of Azure let an identity do: scopes, wildcards, what is taken away, what adds up."""

from __future__ import annotations

import pytest

from tasks.plans.azure_roles import JOIN, READ, Allowed, allowed, may_use
from tests.azure_situations import (
    CONTRIBUTOR,
    OWN,
    SUBSCRIPTION,
    Object,
    assignment,
    definition,
    group,
    identity,
    public_ip,
)

ME = identity("weu-1")
IP = public_ip()["id"]
OWNER, READER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "acdd72a7-3385-48ef-bd42-f606fba81ae7"
JOINER = "00000000-0000-0000-0000-00000000000a"
ALL, NONE = Allowed(), Allowed((READ, JOIN))


@pytest.mark.parametrize(
    ("assignments", "definitions", "expected"),
    [
        pytest.param([], [], NONE, id="none"),
        pytest.param([assignment(group(OWN))], [], ALL, id="on the group"),
        pytest.param([assignment(group(OWN).upper())], [], ALL, id="without case"),
        pytest.param([assignment(f"{group(OWN)}/")], [], ALL, id="with a slash at its end"),
        pytest.param([assignment(group(OWN[:-1]))], [], NONE, id="a group whose name begins alike"),
        pytest.param([assignment(IP)], [], ALL, id="on the IP"),
        pytest.param([assignment(f"{IP}-2")], [], NONE, id="on another IP"),
        pytest.param([assignment(f"/subscriptions/{SUBSCRIPTION}")], [], ALL, id="subscription"),
        pytest.param([assignment("/", OWNER)], [], ALL, id="at the root"),
        pytest.param(
            [assignment("/providers/Microsoft.Management/managementGroups/x")],
            [],
            ALL,
            id="on a management group",
        ),
        pytest.param(
            [assignment(group(OWN), principal="somebody")], [], NONE, id="somebody else's"
        ),
        pytest.param([assignment(group(OWN), READER)], [], Allowed((JOIN,)), id="Reader"),
        pytest.param(
            [assignment(group(OWN), READER), assignment(group(OWN), JOINER)],
            [definition(JOINER, ["Microsoft.Network/*/join/action"])],
            ALL,
            id="two that add up",
        ),
        pytest.param(
            [assignment(group(OWN), CONTRIBUTOR)],
            [definition(CONTRIBUTOR, ["*"], ["microsoft.network/publicipaddresses/JOIN/*"])],
            Allowed((JOIN,)),
            id="what a role takes away",
        ),
        pytest.param(
            [assignment(group(OWN), JOINER), assignment(group(OWN))],
            [definition(JOINER, ["*"], ["*"])],
            ALL,
            id="one takes away from itself alone",
        ),
        pytest.param(
            [assignment(group(OWN), JOINER)],
            [],
            Allowed((READ, JOIN), (f"what its role {JOINER} allows is not known here",)),
            id="a role that is not known",
        ),
        pytest.param(
            [assignment(group(OWN), principal="team", of="Group")],
            [],
            Allowed(
                (READ, JOIN), ("the Entra group team may, and who is in it is not known here",)
            ),
            id="a group that may",
        ),
        pytest.param(
            [assignment(group(OWN), JOINER, "team", "Group")],
            [definition(JOINER, ["Microsoft.Compute/*"])],
            NONE,
            id="a group that may not",
        ),
        pytest.param([{"properties": {"principalId": ME}}], [], NONE, id="one without a scope"),
    ],
)
def test_allowed(assignments: list[Object], definitions: list[Object], expected: Allowed) -> None:
    known = {it["id"].lower(): it for it in definitions}
    assert allowed(ME, (READ, JOIN), IP, assignments, known) == expected


def test_reading_takes_the_group_and_joining_the_ip() -> None:
    def judged(*assignments: Object) -> Allowed:
        return may_use(ME, IP, assignments, {})

    assert judged(assignment(group(OWN))) == ALL
    assert judged(assignment(IP)) == Allowed((READ,))
    assert judged(assignment(IP), assignment(group(OWN), READER)) == ALL
    assert judged() == NONE
