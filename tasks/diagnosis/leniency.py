"""Reading what may be of any shape: what is not as it should be counts as absent, and is noted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
NOTHING: Object = {}


class Lenient:
    """
    Takes values apart. ``None`` is absent and fine; a value of another type than it should have is
    left out, and ``notes`` tells of which part, and how often.
    """

    def __init__(self) -> None:
        self._wrong: Counter[str] = Counter()

    @property
    def notes(self) -> tuple[str, ...]:
        """Such as "routes: number instead of an object, 2 left out"."""
        return tuple(f"{what}, {count} left out" for what, count in self._wrong.items())

    def wrong(self, what: str, value: object, wanted: str) -> None:
        self._wrong[f"{what}: {_called(value)} instead of {wanted}"] += 1

    def mapping(self, value: object, what: str) -> Object:
        if isinstance(value, dict):
            return value
        if value is not None:
            self.wrong(what, value, "an object")
        return NOTHING

    def items(self, value: object, what: str) -> Sequence[Any]:
        if isinstance(value, list):
            return value
        if value is not None:
            self.wrong(what, value, "a list")
        return ()

    def objects(self, value: object, what: str) -> Sequence[Object]:
        """Those items of a list that are objects."""
        found = self.items(value, what)
        if all(isinstance(it, dict) for it in found):
            return found
        for it in found:
            if not isinstance(it, dict):
                self.wrong(what, it, "an object")
        return [it for it in found if isinstance(it, dict)]

    def text(self, value: object, what: str) -> str:
        if isinstance(value, str):
            return value
        if value is not None:
            self.wrong(what, value, "a text")
        return ""

    def texts(self, value: object, what: str) -> tuple[str, ...]:
        found = self.items(value, what)
        for it in found:
            if not isinstance(it, str):
                self.wrong(what, it, "a text")
        return tuple(it for it in found if isinstance(it, str))

    def number(self, value: object, what: str, default: int = 0) -> int:
        """JSON of protocol buffers has 64-bit numbers as texts."""
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            if value is not None:
                self.wrong(what, value, "a number")
            return default
        try:
            return int(value)
        except (ValueError, OverflowError):
            self.wrong(what, value, "a number")
            return default


def _called(value: object) -> str:
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else "an object"
