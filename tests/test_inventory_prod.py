"""inventory/prod.py is where operators start: it must be right, and must show every key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State
from pyinfra.context import ctx_state
from pyinfra_cli.inventory import make_inventory

from tasks.fleet.inventory import Cluster, Strict, duplicates, problems

ROOT = Path(__file__).parents[1]
PROD = ROOT / "inventory" / "prod.py"


def inventory() -> Inventory:
    with ctx_state.use(State()):  # pyinfra notes there which file it executes
        found: Inventory = make_inventory(str(PROD))
        return found


def keys(model: type[BaseModel] = Cluster) -> Iterator[str]:
    """Every key of an inventory, those of what is inside ``gateways`` and the like too."""
    for name, field in model.model_fields.items():
        yield name
        inner = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for it in inner:
            if isinstance(it, type) and issubclass(it, Strict):
                yield from keys(it)


def test_its_data_is_right() -> None:
    hosts = [(it.name, it.data.dict()) for it in inventory()]
    assert [name for name, _ in hosts] == ["weu-test-1", "weu-1", "neu-1", "weu-2"]
    assert [line for name, data in hosts for line in problems(name, data)] == []
    assert duplicates(hosts) == []


def test_it_shows_every_key() -> None:
    shown = set(re.findall(r'"(\w+)":', PROD.read_text()))
    assert sorted(set(keys()) - shown) == []


def test_group_data_is_that_of_a_group_in_it() -> None:
    hosts = {it.name: it for it in inventory()}
    assert hosts["weu-1"].data.timeout == 600
    assert hosts["weu-test-1"].data.get("timeout") is None
    groups = {group for it in hosts.values() for group in it.groups}
    assert {it.stem for it in PROD.parent.glob("group_data/*.py")} <= groups
