"""URI templates of Envoy's path matcher (envoy.path.match.uri_template.uri_template_matcher)."""

from __future__ import annotations

import re
from functools import lru_cache

_VARIABLE = re.compile(r"\{([A-Za-z][A-Za-z0-9_]*)(?:=([^{}]*))?\}")
_PART = re.compile(r"\*\*|\*|[^*]+")
#: What a segment may have.
_SEGMENT = r"[A-Za-z0-9\-._~%!$&'()+,;:@=]"


def fits(template: str, path: str) -> bool:
    """Such as "/users/{id}/*", "/files/{name=**}.txt"."""
    return _compiled(template).fullmatch(path) is not None


@lru_cache(maxsize=1024)
def _compiled(template: str) -> re.Pattern[str]:
    plain = _VARIABLE.sub(lambda it: it.group(2) if it.group(2) is not None else "*", template)
    parts = (_part(it.group(0)) for it in _PART.finditer(plain))
    return re.compile("".join(parts))


def _part(part: str) -> str:
    if part == "**":
        return rf"(?:{_SEGMENT}|/)*"
    return rf"{_SEGMENT}+" if part == "*" else re.escape(part)
