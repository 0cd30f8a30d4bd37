"""Calls to Azure Resource Manager: pages, waits, throttling, and what an operator is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path

import gevent
import pytest

from tasks.connectors import arm
from tasks.connectors.arm import Arm, ArmError
from tasks.lab.azure.faults import Fault
from tasks.lab.azure.state import Seen
from tasks.plans.arm import KINDS, RESOURCE_GROUPS, SUBSCRIPTIONS
from tests.azure import SUBSCRIPTION, Serving, standing_azure

HERE = f"/subscriptions/{SUBSCRIPTION}"
GROUP = f"{HERE}/resourceGroups/shop"
ADDRESSES = KINDS["publicIPAddresses"]
ADDRESS = f"{GROUP}/providers/{ADDRESSES.type}/a"
STATIC = {
    "location": "westeurope",
    "sku": {"name": "Standard"},
    "properties": {"publicIPAllocationMethod": "Static"},
}


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    with standing_azure(tmp_path, monkeypatch) as started:
        started.azure.put(GROUP, {"location": "westeurope"})
        yield started


@pytest.fixture
def session(serving: Serving) -> Arm:
    return arm.session()


def calls(serving: Serving, text: str = "/subscriptions") -> list[Seen]:
    return [it for it in serving.azure.requests if it.path.startswith(text)]


def test_reads_every_page(serving: Serving, session: Arm) -> None:
    serving.azure.page = 2
    for name in "abcde":
        serving.azure.put(f"{ADDRESS}{name}", STATIC)
    found = session.list(f"{HERE}/providers/{ADDRESSES.type}", ADDRESSES.api_version)
    assert [it["name"] for it in found] == ["aa", "ab", "ac", "ad", "ae"]
    assert len(calls(serving)) == 3


def test_a_list_is_asked_for_once_by_all(serving: Serving, session: Arm) -> None:
    serving.azure.faults.latency = 0.05
    asked = [
        gevent.spawn(session.listed, "/subscriptions", SUBSCRIPTIONS.api_version) for _ in range(60)
    ]
    gevent.joinall(asked, raise_error=True)
    assert all([one["displayName"] for one in it.value or ()] == ["lab"] for it in asked)
    assert len(calls(serving)) == 1
    assert len([it for it in serving.azure.requests if "oauth2" in it.path]) == 1


def test_a_list_that_fails_fails_for_all(serving: Serving, session: Arm) -> None:
    for _ in range(2):
        with pytest.raises(ArmError, match="404 SubscriptionNotFound"):
            session.listed("/subscriptions/x/resourceGroups", RESOURCE_GROUPS.api_version)
    assert len(calls(serving)) == 1


def test_makes_changes_and_deletes(serving: Serving, session: Arm) -> None:
    serving.azure.faults.operations = 0.2
    made = session.put(ADDRESS, ADDRESSES.api_version, STATIC)
    assert made["properties"]["provisioningState"] == "Succeeded"
    assert session.get(ADDRESS, ADDRESSES.api_version)["id"] == ADDRESS
    session.delete(ADDRESS, ADDRESSES.api_version)
    session.delete(ADDRESS, ADDRESSES.api_version)
    with pytest.raises(ArmError) as error:
        session.get(ADDRESS, ADDRESSES.api_version)
    assert (error.value.status, error.value.code) == (404, "ResourceNotFound")


def test_a_condition_that_does_not_hold(serving: Serving, session: Arm) -> None:
    only_new = {"If-None-Match": "*"}
    session.put(ADDRESS, ADDRESSES.api_version, STATIC, headers=only_new)
    with pytest.raises(ArmError) as error:
        session.put(ADDRESS, ADDRESSES.api_version, STATIC, headers=only_new)
    assert error.value.status == 412


def test_an_operation_that_does_not_end(serving: Serving, session: Arm) -> None:
    serving.azure.faults.add(Fault(match="PUT", stuck=True))
    with pytest.raises(ArmError) as error:
        session.put(ADDRESS, ADDRESSES.api_version, STATIC, timeout=1.5)
    assert str(error.value) == (
        f"Azure has not ended PUT {ADDRESS} within 2 s: look at it with az resource show --ids "
        f"{ADDRESS}, then run again"
    )
    assert error.value.code == "OperationStuck"


def test_an_operation_that_fails(serving: Serving, session: Arm) -> None:
    serving.azure.faults.add(Fault(match="PUT", fails="ZonesNotAvailable"))
    with pytest.raises(ArmError) as error:
        session.put(ADDRESS, ADDRESSES.api_version, STATIC)
    assert str(error.value) == (
        f"Azure answers ZonesNotAvailable to PUT {ADDRESS}: The operation did not succeed"
    )


def test_looks_at_an_operation_no_more_often_than_it_is_told(
    serving: Serving, session: Arm
) -> None:
    serving.azure.faults.operations, serving.azure.faults.poll_after = 1.5, 1
    session.put(ADDRESS, ADDRESSES.api_version, STATIC)
    looks = [it.when for it in serving.azure.requests if "/operations/" in it.path]
    assert len(looks) == 3
    assert all(late - early >= 1 for early, late in pairwise(looks))


def too_early(serving: Serving) -> list[Seen]:
    """Calls that began before the Retry-After of an earlier 429 in the same bucket was over."""
    found: list[Seen] = []
    verbs = {"GET": "reads", "DELETE": "deletes"}
    asked = sorted(calls(serving), key=lambda it: verbs.get(it.method, "writes"))
    for _, bucket in groupby(asked, key=lambda it: verbs.get(it.method, "writes")):
        closed = 0.0
        for it in sorted(bucket, key=lambda one: one.when):
            if it.when < closed:
                found.append(it)
            if it.status == 429:
                closed = max(closed, it.when + (it.retry_after or 0))
    return found


def test_waits_as_long_as_azure_says(serving: Serving, session: Arm) -> None:
    serving.azure.faults.add(Fault("GET /subscriptions", 429, retry_after=1, times=2))
    session.get(GROUP, RESOURCE_GROUPS.api_version)
    assert [it.status for it in calls(serving)] == [429, 429, 200]
    assert too_early(serving) == []


def test_others_wait_too_and_other_buckets_do_not(serving: Serving, session: Arm) -> None:
    serving.azure.faults.add(Fault("GET /subscriptions", 429, retry_after=1, times=1))
    first = gevent.spawn(session.get, GROUP, RESOURCE_GROUPS.api_version)
    gevent.sleep(0.4)
    others = [gevent.spawn(session.get, GROUP, RESOURCE_GROUPS.api_version) for _ in range(20)]
    session.delete(ADDRESS, ADDRESSES.api_version)
    deleted = [it for it in calls(serving) if it.method == "DELETE"]
    assert [it.status for it in calls(serving)] == [429, 204]
    gevent.joinall([first, *others], raise_error=True)
    assert len(deleted) == 1
    assert too_early(serving) == []
    assert len(calls(serving)) == 23


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_much_throttling_only_takes_time(serving: Serving, session: Arm, share: float) -> None:
    serving.azure.faults.throttle(share, match="GET /subscriptions")
    reads = [gevent.spawn(session.get, GROUP, RESOURCE_GROUPS.api_version) for _ in range(20)]
    gevent.joinall(reads, raise_error=True)
    bucket = session.buckets[SUBSCRIPTION, "reads"]
    assert bucket.asked == len(calls(serving))
    assert bucket.throttled == len([it for it in calls(serving) if it.status == 429]) > 0


def test_a_wait_beyond_patience_is_an_error(serving: Serving, session: Arm) -> None:
    serving.azure.faults.add(Fault("GET /subscriptions", 429, retry_after=600))
    with pytest.raises(ArmError) as error:
        session.get(GROUP, RESOURCE_GROUPS.api_version)
    assert (error.value.status, len(calls(serving))) == (429, 1)
    assert str(error.value).endswith("Azure throttles this identity: run again later")


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("GET /subscriptions", 503, times=1), id="503"),
        pytest.param(Fault("GET /subscriptions", hang_up=True, times=1), id="connection closed"),
    ],
)
def test_tries_again_where_azure_stumbles(serving: Serving, session: Arm, fault: Fault) -> None:
    serving.azure.faults.add(replace(fault))
    assert session.get(GROUP, RESOURCE_GROUPS.api_version)["name"] == "shop"
    assert len(calls(serving)) == 2


def test_never_repeats_an_action_that_may_have_been_done(serving: Serving, session: Arm) -> None:
    serving.azure.faults.add(Fault("POST /subscriptions", hang_up=True))
    with pytest.raises(ArmError):
        session.post(f"{GROUP}/providers/x.y/z/a/do", "1")
    assert len(calls(serving)) == 1


def test_a_token_that_was_withdrawn_makes_way_for_another(serving: Serving, session: Arm) -> None:
    expired = Fault(
        "GET /subscriptions", 401, code="ExpiredAuthenticationToken", message="It ended.", times=1
    )
    serving.azure.faults.add(expired)
    assert session.get(GROUP, RESOURCE_GROUPS.api_version)["name"] == "shop"
    assert len([it for it in serving.azure.requests if "oauth2" in it.path]) == 2


def test_no_token_is_in_an_error(serving: Serving, session: Arm) -> None:
    serving.azure.faults.add(
        Fault("GET /subscriptions", 401, code="InvalidAuthenticationToken", message="No.")
    )
    with pytest.raises(ArmError) as error:
        session.get(GROUP, RESOURCE_GROUPS.api_version)
    assert str(error.value) == (
        f"Azure answers 401 InvalidAuthenticationToken to GET {GROUP}: No: sign in again"
    )
    shown = json.dumps([str(it) for it in (error.value, error.value.__cause__)])
    assert "Bearer" not in shown
