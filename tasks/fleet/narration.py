"""
What pyinfra prints while a run executes, without what says nothing: steps that no cluster has to
take, and a table of counts that calls what never began an error.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import click

from tasks.fleet.run import current

_ENDINGS = ("Skipped", "Error: executed 0 commands", "): executed 0 commands")
#: Whether the step under way is one that no cluster has to take.
_idle = [False]


def patch(cli: Any) -> None:
    """Of pyinfra 3.10; tests/fleet/test_run.py holds it against the real command line."""
    operations = sys.modules["pyinfra.api.operations"]  # pyinfra.api.operation is the decorator
    say: Any = operations.log_operation_start

    def said(op_meta: Any, *arguments: Any, **options: Any) -> None:
        _idle[0] = not _due(op_meta)
        if not _idle[0]:
            say(op_meta, *arguments, **options)

    operations.log_operation_start = said  # type: ignore[attr-defined]
    cli.print_results = lambda state: None
    logging.getLogger("pyinfra").addFilter(without_noise)


def _due(op_meta: Any) -> bool:
    """Whether any cluster that is still in the run has to take this step."""
    run, state = current(), current().state
    key = next((key for key, it in state.op_meta.items() if it is op_meta), None)
    for it in state.active_hosts:
        if key in state.ops[it]:
            condition = run.conditions.get((it.name, str(key)))
            if condition is None or condition():
                return True
    return False


def without_noise(record: logging.LogRecord) -> bool:
    """
    Drop a line for each cluster of another ring, 60 times a step, the one that pyinfra adds to the
    reason of a failed step, and what belongs to a step that was left out.
    """
    text = click.unstyle(str(record.msg))
    if text == "--> Results:" or (_idle[0] and text.endswith("No changes")):
        return False
    return not text.endswith(_ENDINGS)
