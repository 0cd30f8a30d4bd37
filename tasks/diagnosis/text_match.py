"""Matching of texts as Envoy does: StringMatcher, and regular expressions of RE2."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

#: From this length on an expression that may take Python for ever is not tried.
SHORT = 24
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": r"0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}


class Unknown(Exception):
    """It cannot be told here whether this matches; the text says why."""


def text_mismatch(matcher: Any, value: str) -> str | None:
    """Why a StringMatcher says no."""
    if not isinstance(matcher, dict):
        raise Unknown("a condition on a text could not be read")
    if (found := _expression(matcher)) is not None:
        return None if fully(found, value) else f"does not match {found}"
    ignores = matcher.get("ignore_case") is True
    for key, says, test in (
        ("exact", "is not", str.__eq__),
        ("prefix", "does not begin with", str.startswith),
        ("suffix", "does not end with", str.endswith),
        ("contains", "does not contain", str.__contains__),
    ):
        wanted = matcher.get(key)
        if isinstance(wanted, str):
            one, other = (value.lower(), wanted.lower()) if ignores else (value, wanted)
            return None if test(one, other) else f'{says} "{wanted}"'
    raise Unknown("a condition on a text is none that is known here")


def _expression(matcher: dict[str, Any]) -> str | None:
    found = matcher.get("safe_regex")
    expression = found.get("regex") if isinstance(found, dict) else None
    return expression if isinstance(expression, str) else None


def fully(expression: str, text: str) -> bool:
    """Whether an expression of RE2 matches all of a text."""
    compiled = _compiled(expression)
    if compiled is None:
        raise Unknown(f"{expression} is of RE2, and not understood here")
    if len(text) > SHORT and _may_take_for_ever(expression):
        raise Unknown(f"{expression} is for RE2, and was not tried here")
    return compiled.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> re.Pattern[str] | None:
    """For Python; None where it has no such syntax."""
    named = re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", expression)
    known = re.sub(r"\[:(\w+):\]", lambda it: _CLASSES.get(it.group(1), it.group(0)), named)
    # The end of the text is that of the match: "$" of Python would also match before a last "\n".
    known = known.replace(r"\z", r"\Z")
    if re.search(r"(?<!\\)(?:\\\\)*\\[pPQCE]|\(\?[a-zA-Z]*U|\[\[:\^", known):
        return None
    try:
        return re.compile(known, re.ASCII)
    except (re.error, RecursionError, OverflowError):
        return None


@lru_cache(maxsize=4096)
def _may_take_for_ever(expression: str) -> bool:
    """A repeated group that repeats or chooses itself: RE2 takes it in one pass, Python may not."""
    inside: list[bool] = [False]
    bare = re.sub(r"\[\^?\]?(?:\\.|[^\]\\])*\]", "c", re.sub(r"\\.", "c", expression))
    for at, character in enumerate(bare):
        if character == "(":
            inside.append(False)
        elif character == ")" and len(inside) > 1:
            repeats = inside.pop()
            if repeats and bare[at + 1 : at + 2] in ("*", "+", "{"):
                return True
            inside[-1] = inside[-1] or repeats
        elif character in "*+{|":
            inside[-1] = True
    return False
