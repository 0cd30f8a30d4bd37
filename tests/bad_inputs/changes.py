"""How text and data are altered."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

Key = Any
#: Of every type that YAML, JSON and Python have, and texts that hurt: half an emoji, a line end, a
#: sign that clears the terminal, a path, a template, a flag, a number that is none.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 65536, 2**63, 10**400, 1e308, float("nan"), float("inf"), 3.5),
    *("", " ", "x", "-1", "\ud800", "\x00", "a\nb", "\x1b[2J", "x" * 5000, "1e999", "{}", "[", "é"),
    *("../../etc/passwd", "/dev/null", "{{ 7 * 7 }}", "--help", "$(id)", "%s%n", "2026-99-99"),
    *("🦄", "\u202e"),
    *([], {}, [[]], [None], {"a": None}, {"": {}}, {1: 2}, [1, "a", {}], {"items": 3}, b"\xff", ()),
)
#: What JSON, and so an API server, can hold of them.
PLAIN = tuple(
    it
    for it in VALUES
    if not isinstance(it, bytes | tuple | float) and it not in ({1: 2}, "\ud800")
)
#: Of a good form, and of another meaning.
DOCUMENTS = (
    *(b"", b"\n", b"null", b"7", b"true", b'"text"', b"[]", b"{}", b"[[]]", b"---\n---\n", b"\0"),
    *(b"<html><body>404</body></html>", b"a: &a [*a]", b"!!python/object:os.system {}"),
    *(b"? {a: b}\n: c\n", b"a: 1\na: 2\n", b"2026-01-01", b"1" * 5000, b"%PDF-1.7"),
)
TYPOS = ("nmae", "Name", "name ", "_x", "", "spec", "\u200bname")


def changed(random: Random, data: Any, values: tuple[Any, ...] = VALUES, most: int = 3) -> Any:
    """A copy of data made of maps and lists, with one to ``most`` places altered."""
    found = copy.deepcopy(data)
    for _ in range(random.randint(1, most)):
        holder, key = random.choice([*_places(found)])
        _alter(random, holder, key, values)
    return found


def _places(thing: Any) -> Iterator[tuple[Any, Key]]:
    """Every (map, key) and (list, index) in it."""
    items = thing.items() if isinstance(thing, dict) else enumerate(thing)
    for key, it in list(items):
        yield thing, key
        if isinstance(it, dict | list):
            yield from _places(it)


def _alter(random: Random, holder: Any, key: Key, values: tuple[Any, ...]) -> None:
    it = holder[key]
    match random.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[f"{key}{random.choice(TYPOS)}"] = holder.pop(key)
        case 1:
            holder.append(copy.deepcopy(it))
        case 2:
            holder[key] = random.choice(([it], {"x": it}, str(it)))
        case 3 if isinstance(it, str) and it:
            holder[key] = typed(random, it)
        case _:
            holder[key] = copy.deepcopy(random.choice(values))


def typed(random: Random, text: str) -> str:
    """As somebody typed it: signs lost, doubled, exchanged, or of another alphabet."""
    at = random.randrange(len(text))
    sign = random.choice(("", text[at] * 2, " ", "\n", "\t", "é", "/", ".", "A", "\x00", "\u202e"))
    return text[:at] + sign + text[at + 1 :]


def cut(random: Random, text: bytes) -> bytes:
    return text[: random.randrange(len(text) + 1)]


def begin_cut(random: Random, text: bytes) -> bytes:
    return text[random.randrange(len(text) + 1) :]


def noise(random: Random, text: bytes) -> bytes:
    return random.randbytes(random.randrange(1, 5000))


def bytes_changed(random: Random, text: bytes) -> bytes:
    found = bytearray(text)
    for _ in range(random.randrange(1, 12) if found else 0):
        found[random.randrange(len(found))] = random.randrange(256)
    return bytes(found)


def signs_changed(random: Random, text: bytes) -> bytes:
    """A few printable ones, where a language has its own: quotes, brackets, colons, blanks."""
    found = bytearray(text)
    marks = [at for at, it in enumerate(found) if it in b"\"'{}[]:,-# \n%"]
    for at in random.sample(marks, min(len(marks), random.randrange(1, 5))):
        found[at] = random.choice(b"\"'{}[]:,-# \n\t%&*!|>@`")
    return bytes(found)


def encoded(random: Random, text: bytes) -> bytes:
    encoding = random.choice(("utf-16", "utf-32", "utf-8-sig", "utf-16-be", "cp037"))
    return text.decode("utf-8", "replace").encode(encoding, "replace")


def lines_moved(random: Random, text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    for _ in range(random.randrange(1, 4) if lines else 0):
        one = lines.pop(random.randrange(len(lines)))
        lines[(at := random.randrange(len(lines) + 1)) : at] = [one] * random.randrange(3)
        if not lines:
            break
    return b"".join(lines)


def nested(random: Random, text: bytes) -> bytes:
    begin = random.choice((b"[", b'{"a":', b"- ", b"a: {b: "))
    return begin * (random.choice((50, 2000, 50_000)) // len(begin))


def another(random: Random, text: bytes) -> bytes:
    """A document of a good form that means something else."""
    return random.choice(DOCUMENTS)


TextChange = Callable[[Random, bytes], bytes]
TEXTS: tuple[TextChange, ...] = (
    *(cut, begin_cut, noise, bytes_changed, bytes_changed, signs_changed, signs_changed),
    *(encoded, lines_moved, lines_moved, nested, another),
)


def text(random: Random, content: bytes) -> bytes:
    return random.choice(TEXTS)(random, content)
