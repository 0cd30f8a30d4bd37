"""docs/inventory.md is the table of the keys: each of them, with its default, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tasks.fleet import inventory

PAGE = Path(__file__).parents[2] / "docs" / "inventory.md"
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), flags=re.S | re.M))
MODELS: dict[str, type[BaseModel]] = {it.__name__: it for it in inventory.Strict.__subclasses__()}


def rows(name: str) -> dict[str, str]:
    """The key of each row, and what its column "default" says."""
    return dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", SECTIONS[name], flags=re.M))


def default(name: str, key: str, field: Any) -> str:
    if (name, key) in (("Cluster", "max_failed"), ("Cluster", "kube_context")):
        return rows(name)[key]  # None, and what that means is told in words
    if field.is_required():
        return "must be set"
    if isinstance(field.default, BaseModel):
        return "all `None`" if key == "images" else "see there"
    return f"`{field.default!r}`".replace("'", '"')


@pytest.mark.parametrize("name", sorted(MODELS))
def test_keys_and_defaults_are_those_of_the_model(name: str) -> None:
    fields = MODELS[name].model_fields
    assert rows(name) == {key: default(name, key, it) for key, it in fields.items()}


def test_no_section_is_left_over() -> None:
    assert sorted(it for it in SECTIONS if rows(it)) == sorted(MODELS)
