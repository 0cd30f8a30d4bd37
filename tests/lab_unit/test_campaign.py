"""Where the campaign kills runs, and what it compares."""

from __future__ import annotations

from tests.lab.campaign import points, snapshot

TIMES = [0.0, 0.1, 0.5, 2.0, 2.1, 9.0]


def test_every_line_has_its_turn() -> None:
    found = points.points(20, TIMES)
    behind = sorted(it.kill.line for it in found if it.kill.wait == 0.0)
    assert behind == [1, 2, 3, 4, 5, 6]


def test_other_moments_lie_between_the_lines() -> None:
    for it in points.points(200, TIMES):
        for kill in (it.kill, it.again):
            if kill is None:
                continue
            behind = TIMES[kill.line] if kill.line < len(TIMES) else TIMES[-1]
            assert 0 <= kill.wait <= behind - TIMES[kill.line - 1]


def test_a_campaign_is_the_same_every_time_and_goes_on_where_a_shorter_one_ended() -> None:
    assert points.points(10, TIMES) == points.points(30, TIMES)[:10]


def test_a_share_is_killed_twice_and_half_lose_their_helm() -> None:
    found = points.points(400, TIMES)
    assert 80 < sum(it.again is not None for it in found) < 120
    assert 150 < sum(it.kill.group for it in found) < 250


def thing(**changed: object) -> dict[str, object]:
    meta: dict[str, object] = {
        "name": "public",
        "namespace": "edge",
        "uid": "a",
        "resourceVersion": "7",
        "generation": 2,
        "managedFields": [
            {"manager": "envoyfleet", "operation": "Apply", "time": "t", "fieldsV1": {"f:spec": {}}}
        ],
    }
    return {"kind": "Gateway", "metadata": {**meta, **changed}, "spec": {"listeners": []}}


def test_what_differs_between_two_runs_that_did_the_same_is_left_out() -> None:
    one = thing()
    other = thing(uid="b", resourceVersion="9", generation=4)
    other["status"] = {"conditions": [{"type": "Accepted", "lastTransitionTime": "later"}]}
    one["status"] = {"conditions": [{"type": "Accepted", "observedGeneration": 3}]}
    assert snapshot.stripped(one) == snapshot.stripped(other)


def test_fields_of_another_owner_are_a_difference() -> None:
    assert snapshot.stripped(thing()) != snapshot.stripped(thing(managedFields=[]))


def test_differences_are_named() -> None:
    wanted = {"Helm": 1, "Lease": 2, "gone": 3}
    assert snapshot.differences(wanted, {"Helm": 1, "Lease": 0, "new": 4}) == [
        "Lease",
        "gone",
        "new",
    ]
    assert snapshot.digest(wanted) != snapshot.digest({"Helm": 1})
