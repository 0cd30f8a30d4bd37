"""One line of a rehearsal's report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Change:
    """
    Something that an upgrade does.

    + what: "object", "condition", "field", "route", "cluster", "listener", "secret", "request"
    + name: such as "HTTPRoute shop/cart"
    + words: one line behind the name, such as "request timeout 15 s → none"
    + severity: *error* breaks what works, *warning* has to be looked at, *info* is to be known
    """

    what: str
    name: str
    words: str
    severity: Severity = "warning"

    @property
    def text(self) -> str:
        """Such as "HTTPRoute shop/cart: request timeout 15 s → none"."""
        return f"{self.name}: {self.words}"


def in_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The worst first, each once."""
    rank = {"error": 0, "warning": 1, "info": 2}
    found = sorted(dict.fromkeys(changes), key=lambda it: (rank[it.severity], it.name, it.words))
    return tuple(found)
