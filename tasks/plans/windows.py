"""When a cluster may be changed: maintenance windows in the wall time of their zone, and holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Window(Protocol):
    """
    + opens, closes: "22:00" every day, or "2026-11-28T22:00" once; a daily window that closes
      before it opens closes on the next day
    + days: on which a daily window opens; empty means all
    + zone: such as "Europe/Berlin"
    """

    @property
    def opens(self) -> str: ...
    @property
    def closes(self) -> str: ...
    @property
    def days(self) -> Sequence[str]: ...
    @property
    def zone(self) -> str: ...


class Hold(Protocol):
    """+ until: the last day, such as "2027-01-31", in UTC"""

    @property
    def until(self) -> str: ...
    @property
    def reason(self) -> str: ...


def unreadable(window: Window) -> str | None:
    """What is wrong with how a window is written, or None."""
    try:
        ZoneInfo(window.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"zone {window.zone!r} is not known: write one such as 'Europe/Berlin' or 'UTC'"
    daily = [re.fullmatch(r"\d{2}:\d{2}", it) is not None for it in (window.opens, window.closes)]
    if any(daily) and not all(daily):
        return "opens and closes must both be times, or both days with times"
    for text in (window.opens, window.closes):
        try:
            _time(text) if daily[0] else _moment(text)
        except ValueError:
            return f"{text!r} is neither a time such as '22:00' nor '2026-11-28T22:00'"
    if daily[0]:
        return "opens and closes are the same time" if window.opens == window.closes else None
    if window.days:
        return "days belong to a daily window, such as opens '22:00'"
    if _moment(window.closes) <= _moment(window.opens):
        return f"it closes at {window.closes}, not after it opens at {window.opens}"
    return None


def past(window: Window, now: datetime) -> bool:
    """Whether a window never opens again."""
    return next(_spans(window, now), None) is None


def opens(window: Window, now: datetime) -> str | None:
    """
    When a window opens that is closed now, such as "2026-11-28 22:00 Europe/Berlin"; None where it
    is open, and "never again" where it is past.
    """
    span = next(_spans(window, now), None)
    if span is None:
        return "never again"
    begin, _ = span
    if begin <= now:
        return None
    return f"{begin.astimezone(ZoneInfo(window.zone)):%Y-%m-%d %H:%M} {window.zone}"


def problem(window: Window | None, now: datetime) -> str | None:
    """Why a cluster with this window must not be begun now, or None."""
    when = window and opens(window, now)
    return f"outside its window: opens {when}" if when else None


def held(hold: Hold | None, now: datetime) -> str | None:
    """Why a cluster with this hold is left alone today, or None."""
    if hold is None or now.astimezone(UTC).date() > date.fromisoformat(hold.until):
        return None
    return f"on hold until {hold.until}: {hold.reason}"


def _spans(window: Window, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """
    Where a window is open, in UTC, from now on. A time that the clocks leave out in spring is
    read as an hour later, one that comes twice in autumn as the first.
    """
    zone = ZoneInfo(window.zone)
    if "T" in window.opens:
        spans = [(_moment(window.opens), _moment(window.closes))]
    else:
        opening, closing = _time(window.opens), _time(window.closes)
        later = timedelta(days=int(closing <= opening))
        today = now.astimezone(zone).date()
        spans = []
        for day in (today + timedelta(days=it) for it in range(-2, 16)):
            if not window.days or DAYS[day.weekday()] in window.days:
                spans.append(
                    (datetime.combine(day, opening), datetime.combine(day + later, closing))
                )
    for wall in spans:
        begin, end = (it.replace(tzinfo=zone).astimezone(UTC) for it in wall)
        if begin < end and now < end:
            yield begin, end


def _time(text: str) -> time:
    return time.fromisoformat(text)


def _moment(text: str) -> datetime:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}", text) is None:
        raise ValueError(text)
    return datetime.fromisoformat(text)
