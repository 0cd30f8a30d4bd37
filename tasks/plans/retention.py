"""Which archives of a cluster stay, decided from their names alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta

#: "20261121T140211Z.tar.gz.age"; "-upgrade" behind the time where it was made before a change, and
#: no ".age" where it holds no Secrets.
NAME = re.compile(r"^(\d{8}T\d{6}Z)(-[a-z0-9_]+)?\.tar\.gz(\.age)?$")
#: For so long what was made before a change may be the way back.
OF_CHANGES = timedelta(days=14)


def taken(name: str) -> datetime | None:
    """When an archive was made; None for any other file, and for a time that there is not."""
    match = NAME.match(name)
    try:
        return match and datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def is_of_damage(name: str) -> bool:
    """Whether it was made of a cluster that was about to be filled: it may have been empty."""
    match = NAME.match(name)
    return bool(match and match[2] in ("-install", "-restore", "-drill"))


def superfluous(
    names: Iterable[str],
    now: datetime,
    good: str,
    named: Collection[str] = (),
    daily: int = 7,
    weekly: int = 5,
    monthly: int = 12,
) -> list[str]:
    """
    Those of the archives ``names`` that may go, the oldest first. What stays: the newest of each of
    the last ``daily`` days, ``weekly`` weeks and ``monthly`` months that have one; what was made
    before a change in the last 14 days, which never stands for a day; and all that is not older
    than ``good``.

    + good: the newest that was verified
    + named: those that a Lease calls the way back
    """
    found = sorted((time, it) for it in names if (time := taken(it)) is not None)
    stay = {good, *named}
    for count, period in ((daily, "%Y%m%d"), (weekly, "%G%V"), (monthly, "%Y%m")):
        newest = {f"{time:{period}}": it for time, it in found if not _of_a_change(it)}
        stay.update(newest[it] for it in sorted(newest, reverse=True)[:count])
    limit = taken(good)
    return [
        it
        for time, it in found
        if it not in stay
        and limit is not None
        and time < limit
        and not (_of_a_change(it) and now - time < OF_CHANGES)
    ]


def _of_a_change(name: str) -> bool:
    match = NAME.match(name)
    return bool(match and match[2])
