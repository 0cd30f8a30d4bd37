"""What a route takes, in words; and whether one request could be taken by two of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def taken(match: Any) -> str:
    """Such as "path prefix /api, method GET, header x-beta"."""
    if not isinstance(match, Mapping):
        return "all"
    said = []
    for key, words in (
        ("path", "path"),
        ("path_separated_prefix", "path prefix"),
        ("prefix", "path prefix"),
    ):
        if isinstance(match.get(key), str):
            said.append(f"{words} {match[key]}")
    if isinstance(regex := match.get("safe_regex"), Mapping):
        said.append(f"path like {regex.get('regex')}")
    if "connect_matcher" in match:
        said.append("CONNECT")
    for one in match.get("headers") or ():
        name = one.get("name") if isinstance(one, Mapping) else None
        exact = _exact(one)
        if name == ":method" and exact:
            said.append(f"method {exact}")
        else:
            said.append(f"header {name}")
    for one in match.get("query_parameters") or ():
        said.append(f"query {one.get('name') if isinstance(one, Mapping) else ''}")
    left = {*match} - {
        *("path", "path_separated_prefix", "prefix", "safe_regex", "connect_matcher", "headers"),
        *("query_parameters", "case_sensitive"),
    }
    said += [it.replace("_", " ") for it in sorted(left)]
    return ", ".join(said) or "all"


def _exact(condition: Any) -> str | None:
    held = condition.get("string_match") if isinstance(condition, Mapping) else None
    found = held.get("exact") if isinstance(held, Mapping) else None
    return found if isinstance(found, str) and not condition.get("invert_match") else None


def meet(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether one request could be taken by both; yes where that cannot be told."""
    first, second = one["match"], other["match"]
    headers = (
        {it.get("name"): exact for it in match.get("headers") or () if (exact := _exact(it))}
        for match in (first, second)
    )
    asked, also = headers
    if any(name in also and also[name] != value for name, value in asked.items()):
        return False
    begins = [_begin(it) for it in (first, second)]
    if any(it is None for it in begins):
        return True
    (kind, path), (other_kind, another) = (it for it in begins if it is not None)
    return _holds(kind, path, another) or _holds(other_kind, another, path)


def _holds(kind: str, path: str, another: str) -> bool:
    """Whether a path condition takes the very path of another one."""
    if kind == "prefix":
        return another.startswith(path)
    if another == path:
        return True
    return kind == "path_separated_prefix" and another.startswith(f"{path.rstrip('/')}/")


def _begin(match: Mapping[str, Any]) -> tuple[str, str] | None:
    """Its path condition and the path in that; None where it is another kind of condition."""
    if match.get("case_sensitive") is False:
        return None
    for key in ("path", "path_separated_prefix", "prefix"):
        if isinstance(path := match.get(key), str):
            return key, path
    return None
