"""
Texts that are nested deeper than a parser can go: libyaml ends the whole process where its stack
ends, at some 20,000 levels (PyYAML 6, measured), and no exception says so.
"""

from __future__ import annotations

import re

#: Far more than any manifest, dashboard or capture has.
MOST = 1000
TOO_DEEP = f"it is nested more than {MOST} levels deep"
#: What opens and closes a level, in texts of any encoding; and a line that begins far to the right.
_OPEN, _CLOSE = b"[{", b"]}"
_BRACKETS = re.compile(rb"[\[\]{}]")
_FAR = re.compile(rb"^[\x00\t ?:-]{%d}" % MOST, re.MULTILINE)


def too_deep(text: str | bytes) -> bool:
    """
    Whether a text may be nested deeper than ``MOST``. Brackets within quotes count too: a text that
    opens a thousand and closes none is nothing that anybody wrote.
    """
    content = text.encode("utf-8", "replace") if isinstance(text, str) else text
    depth = 0
    if content.count(b"[") + content.count(b"{") > MOST:
        for it in _BRACKETS.finditer(content):
            depth = depth + 1 if it[0] in _OPEN else max(0, depth - 1)
            if depth > MOST:
                return True
    return _FAR.search(content) is not None
