"""What is kept instead of being worked out anew is the same as what pyinfra works out."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api import arguments, connectors, util
from pyinfra.api.config import Config

from tasks.fleet import quick


def both(state: Any) -> tuple[list[int], list[int]]:
    """The original's answer and ours, asked on the same line."""
    return util.get_operation_order_from_stack(state), quick.operation_order(state)


@pytest.mark.parametrize(
    "deploy",
    [
        pytest.param(None, id="no deploy"),
        pytest.param(__file__, id="called from it"),
        pytest.param("/nowhere/deploy.py", id="a deploy that is not in the stack"),
    ],
)
@pytest.mark.parametrize("command_line", [False, True])
def test_the_place_of_an_operation(
    deploy: str | None, command_line: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyinfra.is_cli", command_line)
    state = SimpleNamespace(current_deploy_filename=deploy, current_op_file_number=7)

    def deeper(depth: int) -> tuple[list[int], list[int]]:
        return both(state) if depth == 0 else deeper(depth - 1)

    theirs, ours = deeper(3)
    assert ours == theirs


def test_frames_of_pyinfra_itself_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    places: Any = (util.PYINFRA_INSTALL_DIR, __file__)
    monkeypatch.setattr(util, "PYINFRA_INSTALL_DIR", places)
    theirs, ours = both(SimpleNamespace(current_deploy_filename=__file__))
    assert ours == theirs


@pytest.fixture
def of_an_operation() -> dict[str, Any]:
    """Every argument as an operation has them."""
    host: Any = SimpleNamespace(
        current_deploy_kwargs=None, data=SimpleNamespace(), current_op_global_arguments=None
    )
    state: Any = SimpleNamespace(config=Config())
    found, _ = arguments.pop_global_arguments(state, host, {"_timeout": 9, "_env": {"A": "b"}})
    return dict(found)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({}, id="nothing of its own"),
        pytest.param({"path": "/api"}, id="arguments of the fact"),
        pytest.param({"_timeout": 3, "path": "/api"}, id="a time limit of its own"),
    ],
)
@pytest.mark.parametrize("within", [True, False], ids=["within an operation", "outside of one"])
def test_arguments_of_a_fact(
    asked: dict[str, Any], within: bool, of_an_operation: dict[str, Any]
) -> None:
    known = of_an_operation if within else None
    host: Any = SimpleNamespace(
        current_deploy_kwargs=None, data=SimpleNamespace(), current_op_global_arguments=known
    )
    state: Any = SimpleNamespace(config=Config())
    given, left = {**(known or {}), **asked}, {**(known or {}), **asked}
    theirs, _ = arguments.pop_global_arguments(state, host, given)
    ours, _ = quick.global_arguments(state, host, left)
    assert (ours, left) == (theirs, given)


def test_connectors_and_names_of_arguments_are_looked_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 64 entries of an inventory the packages were searched 128 times."""
    from pyinfra.api import facts, inventory

    operation = sys.modules["pyinfra.api.operation"]
    for place, name in (
        (operation, "get_operation_order_from_stack"),
        (arguments, "all_global_arguments"),
        (facts, "pop_global_arguments"),
        (inventory, "get_all_connectors"),
        (inventory, "get_execution_connectors"),
    ):
        monkeypatch.setattr(place, name, getattr(place, name))  # put back after this test
    searched: list[dict[str, str]] = []
    real = connectors.entry_points

    def counted(**which: str) -> Any:
        searched.append(which)
        return real(**which)

    monkeypatch.setattr(connectors, "entry_points", counted)
    quick.patch()
    inventory.Inventory(([(f"@kube/c-{it}", {}) for it in range(3)], {}))
    inventory.Inventory(([(f"@kube/d-{it}", {}) for it in range(3)], {}))
    assert len(searched) <= 2
    assert arguments.all_global_arguments() is arguments.all_global_arguments()
