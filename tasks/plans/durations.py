"""Lengths of time as Prometheus and ISO 8601 write them."""

from __future__ import annotations

import re

_PROMETHEUS = re.compile(r"(\d+)(ms|[smhdwy])")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_ISO = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.IGNORECASE)


def seconds(text: str) -> float:
    """
    Of a duration as Prometheus ("1h30m") or ISO 8601 ("PT1H30M") writes it. Raises ValueError.
    """
    parts = _PROMETHEUS.findall(text)
    if parts and "".join(f"{number}{unit}" for number, unit in parts) == text:
        return sum(int(number) * _UNITS[unit] for number, unit in parts)
    found = _ISO.fullmatch(text)
    if found is None or not any(found.groups()):
        if text == "0":
            return 0
        raise ValueError(f"{text!r} is no duration such as '5m'")
    days, hours, minutes, rest = (float(it or 0) for it in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + rest


def iso(amount: float) -> str:
    """Such as "PT5M" of 300: whole seconds, as Azure writes them."""
    minutes, rest = divmod(round(amount), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((hours, "H"), (minutes, "M"), (rest, "S"))
    time = "".join(f"{number}{unit}" for number, unit in parts if number)
    day = f"{days}D" if days else ""
    return f"P{day}{'T' if time else ''}{time}" if day or time else "PT0S"
