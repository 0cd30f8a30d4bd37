"""When a call to Azure Resource Manager may begin."""

from __future__ import annotations

import pytest

from tasks.plans import throttling
from tasks.plans.throttling import Bucket


@pytest.mark.parametrize(
    ("method", "verb"),
    [("GET", "reads"), ("PUT", "writes"), ("POST", "writes"), ("DELETE", "deletes")],
)
def test_a_call_counts_by_its_verb(method: str, verb: str) -> None:
    assert throttling.verb(method) == verb


def test_a_call_counts_on_its_subscription() -> None:
    assert throttling.subscription("/Subscriptions/ABC/providers/x") == "abc"
    assert throttling.subscription("/subscriptions") == ""
    assert throttling.subscription("/") == ""


def test_nothing_begins_before_retry_after_is_over() -> None:
    bucket = Bucket(refill=25)
    bucket.begins(0.0)
    bucket.answered(1.0, 429, 7.0, None)
    assert [bucket.wait(1.0), bucket.wait(7.5), bucket.wait(8.0)] == [7.0, 0.5, 0.0]
    assert (bucket.asked, bucket.throttled) == (1, 1)


def test_a_shorter_wait_takes_nothing_from_a_longer_one() -> None:
    bucket = Bucket(refill=25)
    bucket.answered(0.0, 429, 10.0, None)
    bucket.answered(1.0, 429, 2.0, None)
    assert bucket.wait(1.0) == 9.0


def test_a_429_that_does_not_say_how_long_is_waited_for() -> None:
    bucket = Bucket(refill=25)
    bucket.answered(0.0, 429, None, None)
    assert bucket.wait(0.0) == throttling.UNSAID


def test_slows_down_where_the_bucket_is_nearly_empty() -> None:
    bucket = Bucket(refill=10)
    bucket.answered(0.0, 200, None, "21")
    bucket.begins(0.0)
    assert bucket.wait(0.0) == 0.0
    bucket.answered(0.0, 200, None, "20")
    bucket.begins(0.0)
    assert bucket.wait(0.0) == 0.1
    bucket.answered(0.1, 200, None, "180")
    bucket.begins(0.1)
    assert bucket.wait(0.1) == 0.0


def test_a_header_that_is_no_number_is_left_out() -> None:
    bucket = Bucket(refill=10)
    bucket.answered(0.0, 200, None, "plenty")
    assert bucket.remaining is None
