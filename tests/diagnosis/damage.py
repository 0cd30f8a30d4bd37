"""Bundles as they come from tickets: files missing, cut, of another type, of another encoding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

#: (random, file) leaves a damaged file, and says whether all of it can no longer be read.
Damage = Callable[[Random, Path], bool]
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**63, 10**400, 1e308, float("nan"), float("inf"), 3.5),
    *("", "x", "-1", "\ud800", "\x00", "x" * 5000, "1e999", "{}", "[", "2026-99-99T99:99:99Z"),
    *([], {}, [[]], [None], {"a": None}, {"": {}}, [1, "a", {}], {"items": 3}),
)


def dropped(_: Random, file: Path) -> bool:
    file.unlink()
    return True


def empty(_: Random, file: Path) -> bool:
    file.write_bytes(b"")
    return True


def cut(random: Random, file: Path) -> bool:
    content = file.read_bytes()
    file.write_bytes(content[: random.randrange(len(content) + 1)])
    return False


def begin_cut(random: Random, file: Path) -> bool:
    content = file.read_bytes()
    file.write_bytes(content[random.randrange(len(content) + 1) :])
    return False


def noise(random: Random, file: Path) -> bool:
    file.write_bytes(random.randbytes(random.randrange(1, 5000)))
    return False


def bytes_changed(random: Random, file: Path) -> bool:
    content = bytearray(file.read_bytes())
    for _ in range(random.randrange(1, 50)):
        if content:
            content[random.randrange(len(content))] = random.randrange(256)
    file.write_bytes(bytes(content))
    return False


def encoded(random: Random, file: Path) -> bool:
    text = file.read_text("utf-8", "replace")
    encoding = random.choice(("utf-16", "utf-32", "utf-8-sig", "utf-16-be", "cp037"))
    file.write_bytes(text.encode(encoding, "replace"))
    return False


def nested(random: Random, file: Path) -> bool:
    depth = random.choice((50, 2000, 200_000))
    begin = random.choice(
        ("[", '{"a":', '{"configs":[', '{"items":[{"kind":"Pod","metadata":{"a":')
    )
    file.write_text(begin * (depth // len(begin)))
    return False


def replaced(random: Random, file: Path) -> bool:
    """Some values of JSON, or of each line of it, are of another type."""
    text = file.read_text("utf-8", "replace")
    try:
        if file.suffix == ".jsonl":
            lines = [_other(random, json.loads(it)) for it in text.splitlines()]
            file.write_text("\n".join(map(json.dumps, lines)))
        else:
            found = json.loads(text)
            for _ in range(random.randrange(1, 40)):
                found = _other(random, found)
            file.write_text(json.dumps(found))
    except (ValueError, RecursionError):
        return cut(random, file)
    return False


def emptied(random: Random, file: Path) -> bool:
    """Keys of objects are missing."""
    try:
        found = json.loads(file.read_text("utf-8", "replace"))
    except (ValueError, RecursionError):
        return doubled(random, file)
    for _ in range(random.randrange(1, 60)):
        it = _place(random, found)
        if isinstance(it, dict) and it:
            it.pop(random.choice(list(it)))
        elif isinstance(it, list) and it:
            it.pop(random.randrange(len(it)))
    file.write_text(json.dumps(found))
    return False


def doubled(random: Random, file: Path) -> bool:
    lines = file.read_bytes().splitlines()
    random.shuffle(lines)
    file.write_bytes(random.choice((b"\n", b"\r\n", b"\r", b"")).join((*lines, *lines)))
    return False


def swapped(random: Random, file: Path) -> bool:
    other = random.choice(sorted(it for it in file.parent.iterdir() if it.is_file()))
    one, two = file.read_bytes(), other.read_bytes()
    file.write_bytes(two)
    other.write_bytes(one)
    return False


def made_a_folder(_: Random, file: Path) -> bool:
    file.unlink()
    file.mkdir()
    return True


def linked_to_itself(_: Random, file: Path) -> bool:
    file.unlink()
    file.symlink_to(file)
    return True


DAMAGES: tuple[Damage, ...] = (
    *(dropped, empty, cut, cut, begin_cut, noise, bytes_changed, encoded, nested),
    *(replaced, replaced, replaced, replaced, emptied, emptied, doubled, swapped),
    *(made_a_folder, linked_to_itself),
)


def damage(random: Random, folder: Path) -> list[str]:
    """Damage one to all files of a bundle; the names of those that nobody can read any more."""
    gone = []
    files = sorted(it for it in folder.rglob("*") if it.is_file())
    for file in random.sample(files, random.choice((1, 1, 1, 2, 3, 5, len(files)))):
        if file.is_file() and random.choice(DAMAGES)(random, file):
            gone.append(file)
    return [it.name for it in gone if not it.is_file() or not it.stat().st_size]


def _other(random: Random, thing: Any) -> Any:
    holder = _place(random, thing)
    value = random.choice(VALUES)
    if isinstance(holder, dict) and holder:
        holder[random.choice(list(holder))] = value
        return thing
    if isinstance(holder, list) and holder:
        holder[random.randrange(len(holder))] = value
        return thing
    return value


def _place(random: Random, thing: Any) -> Any:
    """An object or a list somewhere in it: each step goes down, and sometimes it ends there."""
    while isinstance(thing, dict | list) and random.random() > 0.12:
        below = [
            it
            for it in (thing.values() if isinstance(thing, dict) else thing)
            if isinstance(it, dict | list) and it
        ]
        if not below:
            break
        thing = random.choice(below)
    return thing
