"""Which archives stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tasks.plans.retention import is_of_damage, superfluous, taken

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
#: One archive every six hours for 400 days, the oldest first.
MANY = [
    f"{NOW - timedelta(hours=6 * it):%Y%m%dT%H%M%SZ}.tar.gz.age" for it in reversed(range(1600))
]


def kept(names: list[str], **keep: int) -> list[str]:
    gone = superfluous(names, NOW, names[-1], (), **keep)
    return [it for it in names if it not in gone]


def test_the_newest_of_days_weeks_and_months() -> None:
    days = [it[:8] for it in kept(MANY, daily=3, weekly=2, monthly=4)]
    assert days == [
        "20260831",
        "20260930",
        "20261031",
        "20261115",
        "20261119",
        "20261120",
        "20261121",
    ]
    assert len(kept(MANY)) == 7 + 3 + 11  # some stand for a day and for a week or month
    assert len(kept(MANY, daily=1, weekly=0, monthly=0)) == 1
    assert kept(MANY[-1:]) == MANY[-1:]


def test_each_is_the_newest_of_its_day() -> None:
    assert kept(MANY, daily=2, weekly=0, monthly=0) == [
        "20261120T200000Z.tar.gz.age",
        "20261121T140000Z.tar.gz.age",
    ]


@pytest.mark.parametrize(
    ("name", "named", "gone"),
    [
        pytest.param("20250101T000000Z.tar.gz.age", [], True, id="old"),
        pytest.param("20250101T000000Z.tar.gz", [], True, id="old, without Secrets"),
        pytest.param("20250101T000000Z-upgrade.tar.gz.age", [], True, id="of an old change"),
        pytest.param("20261110T000000Z-upgrade.tar.gz.age", [], False, id="of a change"),
        pytest.param(
            "20250101T000000Z-upgrade.tar.gz.age",
            ["20250101T000000Z-upgrade.tar.gz.age"],
            False,
            id="a way back",
        ),
        pytest.param("20261122T000000Z.tar.gz.age", [], False, id="newer than the good one"),
        pytest.param("20250101T000000Z.tar.age", [], False, id="not of ours: an older format"),
        pytest.param("notes.tar.gz.age", [], False, id="not of ours"),
        pytest.param("20251341T000000Z.tar.gz.age", [], False, id="no such day"),
        pytest.param(".20250101T000000Z.tar.gz.age.17.part", [], False, id="half written"),
    ],
)
def test_what_may_go(name: str, named: list[str], gone: bool) -> None:
    good = "20261121T130000Z.tar.gz.age"
    found = superfluous([name, good], NOW, good, named, daily=1, weekly=0, monthly=0)
    assert found == ([name] if gone else [])


def test_a_change_never_stands_for_a_day() -> None:
    good, change = "20261120T010000Z.tar.gz.age", "20261120T020000Z-restore.tar.gz.age"
    newest = "20261121T010000Z.tar.gz.age"
    assert superfluous([good, change, newest], NOW, newest, daily=2) == []


def test_names() -> None:
    assert taken("20261121T140211Z-upgrade.tar.gz.age") == datetime(
        2026, 11, 21, 14, 2, 11, tzinfo=UTC
    )
    assert taken("tree") is None
    assert is_of_damage("20261121T140211Z-restore.tar.gz.age")
    assert not is_of_damage("20261121T140211Z.tar.gz.age")
