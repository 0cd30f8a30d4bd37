"""Rules that live sixty times as fast: what takes five minutes on a cluster takes five seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

UNITS = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
_ONE = r"(?:\d+(?:ms|[smhdwy]))+"
# A string is met first, so that what is in it is left alone.
_PLACES = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)"""
    rf"|\[(?P<range>{_ONE})(?P<sub>:)?(?P<step>{_ONE})?\]"
    rf"|\boffset\s+(?P<sign>-?)(?P<offset>{_ONE})"
    # Numbers that stand for a window: what a counter is born with over it, how young a process is.
    r"|(?P<before>[/<] )(?P<seconds>300|900)\b"
)


def milliseconds(duration: str) -> int:
    """Of a duration of Prometheus, such as 5400000 of "1h30m"."""
    return sum(int(n) * UNITS[it] for n, it in re.findall(r"(\d+)(ms|[smhdwy])", duration))


def shorter(duration: str, by: int = 60) -> str:
    """Such as "5000ms" of "5m"; never nothing."""
    return f"{max(1, milliseconds(duration) // by)}ms"


def expression(promql: str, by: int = 60) -> str:
    """With every range, step and offset divided; numbers that are compared stay what they are."""

    def place(found: re.Match[str]) -> str:
        if found["text"]:
            return found["text"]
        if found["seconds"]:
            return f"{found['before']}({found['seconds']} / {by})"
        if found["offset"]:
            return f"offset {found['sign']}{shorter(found['offset'], by)}"
        step = shorter(found["step"], by) if found["step"] else ""
        return f"[{shorter(found['range'], by)}{found['sub'] or ''}{step}]"

    return _PLACES.sub(place, promql)


def groups(given: Sequence[Mapping[str, Any]], by: int = 60) -> list[dict[str, Any]]:
    """Groups of a rule file, with every duration divided: of expressions, ``for``, ``interval``."""
    return [
        {
            **_durations(group, by, "interval"),
            "rules": [
                {
                    **_durations(rule, by, "for", "keep_firing_for"),
                    "expr": expression(str(rule["expr"]), by),
                }
                for rule in group["rules"]
            ],
        }
        for group in given
    ]


def _durations(it: Mapping[str, Any], by: int, *keys: str) -> dict[str, Any]:
    return {key: shorter(value, by) if key in keys else value for key, value in it.items()}
