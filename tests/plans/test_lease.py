"""Who may take a cluster's Lease, and what it remembers of the last good state."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.plans.lease import (
    JOURNAL,
    LAST_GOOD,
    STATE,
    STEP,
    VALUES,
    Holder,
    LastGood,
    applied_values,
    came_from,
    held,
    holder,
    journal_cut,
    last_good,
    left_half_way,
    noted,
    refusal,
    released,
    remembered,
    state,
)

NOW = datetime(2026, 11, 21, 14, 2, 11, tzinfo=UTC)
ME = Holder("20261121T140200Z-upgrade", "anna@jump-1", "jump-1/m", "b1", "pid:[1]", 77, 1234)
OTHER = replace(ME, run="20261121T135900Z-upgrade", who="ben@jump-2", machine="jump-2/m", pid=5)
GOOD = LastGood(1, "1.8.3", "backups/weu-1/20261121T140211Z-upgrade.tar.gz.age", ME.run)


def of(who: Holder, at: datetime = NOW) -> dict[str, Any]:
    lease = held(None, who, at, 30, "envoy-gateway-system")
    return noted(lease, {STEP: "Ring 0 | Upgrade | CRDs"})


def test_a_new_lease() -> None:
    assert held(None, ME, NOW, 30, "eg") == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": "envoyfleet",
            "namespace": "eg",
            "annotations": {
                "envoyfleet.dev/holder": '{"run":"20261121T140200Z-upgrade","who":"anna@jump-1",'
                '"machine":"jump-1/m","boot":"b1","processes":"pid:[1]","pid":77,"begun":1234}'
            },
        },
        "spec": {
            "holderIdentity": "20261121T140200Z-upgrade anna@jump-1",
            "leaseDurationSeconds": 30,
            "acquireTime": "2026-11-21T14:02:11.000000Z",
            "renewTime": "2026-11-21T14:02:11.000000Z",
            "leaseTransitions": 0,
        },
    }


def test_renewing_keeps_since_when() -> None:
    later = held(of(ME), ME, NOW + timedelta(seconds=10), 30, "eg")["spec"]
    assert later["acquireTime"] == "2026-11-21T14:02:11.000000Z"
    assert later["renewTime"] == "2026-11-21T14:02:21.000000Z"
    assert later["leaseTransitions"] == 0


def test_taking_over_counts() -> None:
    taken = held(of(OTHER), ME, NOW, 30, "eg")
    assert holder(taken) == ME
    assert taken["spec"]["leaseTransitions"] == 1


FREE = [
    pytest.param(None, False, id="there is none"),
    pytest.param(of(ME), False, id="mine"),
    pytest.param(released(of(OTHER), NOW), False, id="released"),
    pytest.param(of(OTHER, NOW - timedelta(seconds=31)), False, id="ran out"),
    pytest.param(of(OTHER), True, id="its holder is dead"),
    pytest.param({"metadata": {}, "spec": {"holderIdentity": "x"}}, False, id="without a time"),
]


@pytest.mark.parametrize(("lease", "dead"), FREE)
def test_free(lease: dict[str, Any] | None, dead: bool) -> None:
    assert refusal(lease, ME, NOW, dead) is None


def test_held_by_somebody_else() -> None:
    assert refusal(of(OTHER, NOW - timedelta(seconds=29)), ME, NOW, dead=False) == (
        "run 20261121T135900Z-upgrade of ben@jump-2 works on this cluster since "
        "2026-11-21 14:01:42 UTC (Ring 0 | Upgrade | CRDs): wait for its end, or until its Lease "
        "envoy-gateway-system/envoyfleet runs out 30 s after it died"
    )


def test_held_by_something_else() -> None:
    lease = of(OTHER)
    lease["metadata"]["annotations"] = {}
    assert holder(lease) == Holder(
        "20261121T135900Z-upgrade ben@jump-2", "somebody", "", "", "", 0, 0
    )


def test_what_is_remembered_outlives_the_holder() -> None:
    lease = noted(of(ME), {**remembered(GOOD, "1.9.1"), STATE: "good", VALUES: "abc"})
    lease = held(released(lease, NOW), OTHER, NOW, 30, "eg")
    assert (last_good(lease), state(lease), applied_values(lease)) == (GOOD, "good", "abc")


def test_a_change_of_routes_does_not_forget_where_the_version_came_from() -> None:
    lease = noted(of(ME), remembered(GOOD, "1.9.1"))
    since = replace(GOOD, revision=2, version="1.9.1")
    lease = noted(lease, remembered(since, "1.9.1"))
    assert (last_good(lease), came_from(lease)) == (since, GOOD)


def test_a_journal_whose_end_was_taken_away() -> None:
    lease = noted(of(OTHER), {JOURNAL: "abc"})
    assert journal_cut(lease, OTHER.run, {"abc", "def"}) is None
    assert journal_cut(lease, ME.run, set()) is None  # of another run
    assert journal_cut(released(lease, NOW), OTHER.run, set()) is None
    assert journal_cut(None, OTHER.run, set()) is None
    said = journal_cut(lease, OTHER.run, {"def"})
    assert said == (
        f"runs/{OTHER.run}/journal.jsonl lacks lines that were there when this cluster was "
        "changed: it is not trusted; find out who changed it, and move its folder away to begin "
        "anew"
    )


@pytest.mark.parametrize("left", [noted(of(OTHER), {JOURNAL: "abc"}), None])
def test_a_run_that_was_killed_before_its_first_note(left: dict[str, Any] | None) -> None:
    """What the Lease says of the journal of the run before is not said of this one."""
    for before in (left, left and released(left, NOW)):
        assert journal_cut(held(before, ME, NOW, 30, "eg"), ME.run, set()) is None
    again = noted(held(left, ME, NOW, 30, "eg"), {JOURNAL: "def"})
    gone_on = held(again, replace(ME, pid=78), NOW, 30, "eg")
    assert journal_cut(gone_on, ME.run, {"abc"}) is not None


HALF = [
    pytest.param("changing", None, True, id="broken off, nothing deployed"),
    pytest.param("changing", "2026-11-21T14:02:30Z", True, id="broken off while helm worked"),
    pytest.param("failed", "2026-11-21T13:00:00Z", True, id="failed"),
    pytest.param("failed", "2026-11-21T14:30:00Z", False, id="mended by hand since"),
    pytest.param("good", "2026-11-21T13:00:00Z", False, id="good"),
    pytest.param("rolled back", "2026-11-21T13:00:00Z", False, id="rolled back"),
]


@pytest.mark.parametrize(("how", "deployed", "half_way"), HALF)
def test_left_half_way(how: str, deployed: str | None, half_way: bool) -> None:
    assert left_half_way(noted(of(ME), {STATE: how}), deployed) == half_way
    assert not left_half_way(None, deployed)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"revision": 1}', '{"x": 2}'])
def test_what_cannot_be_read_is_not_remembered(text: str) -> None:
    assert last_good(noted(of(ME), {LAST_GOOD: text})) is None
    assert last_good(None) is None
    assert state(None) is None
