"""
Rules as Prometheus says that it has them, beside those that were written: it prints expressions in
a form of its own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tasks.plans.durations import seconds

Object = Mapping[str, Any]
_DURATION = r"(?:\d+(?:ms|[smhdwy]))+"
_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)"""
    rf"|(?P<duration>{_DURATION})(?![\w.])"
    r"|(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)(?!\w)"
    r"|(?P<word>[A-Za-z_:][\w:]*)|(?P<comment>#[^\n]*)|(?P<sign>=~|!~|!=|==|>=|<=|[^\s\w(){},])"
)


@lru_cache(maxsize=4096)  # clusters have the same expressions
def words(expression: str) -> tuple[str, ...]:
    """
    What an expression is made of, in no order of its own: Prometheus moves ``by (...)``, sets
    parentheses of its own, leaves out comments and empty braces, and writes 60m as 1h.
    """
    found = _TOKEN.finditer(expression)
    return tuple(sorted(_word(it) for it in found if it.lastgroup != "comment"))


def _word(found: re.Match[str]) -> str:
    kind, text = found.lastgroup, found[0]
    if kind == "text":
        return f'"{_unquoted(text)}"'
    if kind == "duration":
        return f"{seconds(text):g}s"
    return f"{float(text):.12g}" if kind == "number" else text


def _unquoted(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    try:
        return str(ast.literal_eval(text))
    except (SyntaxError, ValueError):
        return text[1:-1]


def same(wanted: Object, found: Object) -> bool:
    """
    Whether a rule is loaded as it was written.

    + wanted: a rule of a file; + found: one of Prometheus's answer to /api/v1/rules
    """
    return (
        wanted.get("alert", wanted.get("record")) == found.get("name")
        and dict(wanted.get("labels") or {}) == dict(found.get("labels") or {})
        and dict(wanted.get("annotations") or {}) == dict(found.get("annotations") or {})
        and seconds(str(wanted.get("for") or "0s")) == float(found.get("duration") or 0)
        and words(str(wanted["expr"])) == words(str(found.get("query", "")))
    )


def whole(wanted: Object, found: Object) -> bool:
    """Whether a group is loaded as it was written."""
    ours, theirs = wanted["rules"], found.get("rules") or ()
    return len(ours) == len(theirs) and all(map(same, ours, theirs))


def of(wanted: Object, found: Iterable[Object]) -> Object | None:
    """
    The group that Prometheus has for one that was written: of several with its name the one that is
    the same, for files of several clusters may have it.
    """
    named = [it for it in found if it.get("name") == wanted["name"]]
    return next((it for it in named if whole(wanted, it)), named[0] if named else None)


def differing(wanted: Object, found: Object) -> list[str]:
    """Names of rules of a group that are not loaded as they were written."""
    theirs: Sequence[Object] = found.get("rules") or ()
    ours = wanted["rules"]
    return list(
        dict.fromkeys(
            str(it.get("alert", it.get("record")))
            for number, it in enumerate(ours)
            if number >= len(theirs) or not same(it, theirs[number])
        )
    )


def named(groups: Iterable[Object]) -> set[str]:
    """Metric names, functions and labels in the expressions of groups."""
    expressions = (str(rule["expr"]) for group in groups for rule in group["rules"])
    return {name for it in expressions for name in _names(it)}


@lru_cache(maxsize=4096)
def _names(expression: str) -> frozenset[str]:
    found = _TOKEN.finditer(expression)
    return frozenset(it[0] for it in found if it.lastgroup == "word")
