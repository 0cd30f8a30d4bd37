"""JSON that may be cut: as much of it as is there."""

from __future__ import annotations

import json
import re
from typing import Any

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\r\n]*")
#: Nested deeper than this is not looked into once it cannot be read as a whole.
DEPTH = 40


def read(text: str) -> tuple[Any, str | None]:
    """
    The value, and why it is not whole: None where it is, else such as "cut or malformed at
    character 1200". Objects and lists that are cut have what came before the cut.
    """
    begin = _blank(text, 0)
    try:
        value, end = _DECODER.raw_decode(text, begin)
    except (ValueError, RecursionError):
        value, end = _descend(text, begin, DEPTH)
        return value, f"cut or malformed at character {end}"
    rest = _blank(text, end)
    return value, None if rest == len(text) else f"something else from character {rest} on"


def _blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


class _Cut(Exception):
    """Nothing of this value is there."""


def _value(text: str, at: int, depth: int) -> tuple[Any, int, bool]:
    """Value, where it ends, whether it is whole."""
    try:
        value, end = _DECODER.raw_decode(text, at)
        return value, end, True
    except (ValueError, RecursionError):
        if depth <= 0 or text[at : at + 1] not in ("{", "["):
            raise _Cut from None
    value, end = _descend(text, at, depth)
    return value, end, False


def _descend(text: str, at: int, depth: int) -> tuple[Any, int]:
    """What came before the cut, and where that is."""
    opening = text[at : at + 1]
    if opening == "{":
        return _object(text, at + 1, depth)
    if opening == "[":
        return _list(text, at + 1, depth)
    return None, at


def _object(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while text[(at := _blank(text, at)) : at + 1] == '"':
        try:
            key, end, _ = _value(text, at, 0)
            at = _blank(text, end)
            if text[at : at + 1] != ":":
                break
            at = _blank(text, at + 1)
            found[key], at, whole = _value(text, at, depth - 1)
        except _Cut:
            break
        at = _blank(text, at)
        if not whole or text[at : at + 1] != ",":
            break
        at += 1
    return found, at


def _list(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    while True:
        at = _blank(text, at)
        try:
            value, at, whole = _value(text, at, depth - 1)
        except _Cut:
            break
        found.append(value)
        at = _blank(text, at)
        if not whole or text[at : at + 1] != ",":
            break
        at += 1
    return found, at
