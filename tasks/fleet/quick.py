"""
What pyinfra 3.10 works out anew each time, kept: the same answers for a tenth of the processor time
of a large fleet (benchmarks/preflight.py, benchmarks/side_by_side.py).
"""

from __future__ import annotations

import sys
from functools import cache
from types import FrameType
from typing import Any

import pyinfra
from pyinfra.api import arguments, facts, inventory, util


def patch() -> None:
    """Of pyinfra 3.10; tests/fleet/test_quick.py holds each against the original."""
    operation: Any = sys.modules["pyinfra.api.operation"]  # pyinfra.api.operation is the decorator
    operation.get_operation_order_from_stack = operation_order
    facts.pop_global_arguments = global_arguments
    for place, name in (
        (arguments, "all_global_arguments"),
        (inventory, "get_all_connectors"),
        (inventory, "get_execution_connectors"),
    ):
        setattr(place, name, cache(getattr(place, name)))


def operation_order(state: Any) -> list[int]:
    """
    Where in the deploy this operation is called: line numbers from the deploy's file inwards. The
    original reads the source of every frame's module to tell only these.
    """
    frames: list[FrameType] = []
    here: FrameType | None = sys._getframe(1)
    while here is not None:
        frames.append(here)
        here = here.f_back
    frames.reverse()
    files = [it.f_code.co_filename for it in frames]
    first = 0
    if state.current_deploy_filename:
        known = state.current_deploy_filename in files
        first = files.index(state.current_deploy_filename) if known else len(files)
    lines = [state.current_op_file_number] if pyinfra.is_cli else []
    inside = zip(files[first:], frames[first:], strict=True)
    return lines + [
        it.f_lineno for file, it in inside if not file.startswith(util.PYINFRA_INSTALL_DIR)
    ]


def global_arguments(state: Any, host: Any, kwargs: dict[str, Any]) -> tuple[Any, list[str]]:
    """
    Those of a fact. One that is read within an operation has the operation's, which were worked out
    when it began, and the original takes each of them out of ``kwargs`` again.
    """
    known: dict[str, Any] | None = host.current_op_global_arguments
    if known is None or known.keys() - kwargs.keys():
        found, keys = arguments.pop_global_arguments(state, host, kwargs)
        return found, keys
    return {key: kwargs.pop(key) for key in known}, [*known]
