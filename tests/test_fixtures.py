"""
Runs the fixtures of tests/facts/<module.Fact>/ and tests/operations/<module.operation>/: what was
recorded, what is made of it, and which commands follow (pyinfra-testing, see its own README).
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pyinfra_testing import facts, operations  # type: ignore[import-untyped]

# No fact of ours reads the clock, and freezing it for all modules trips over lazy ones.
facts.freeze_time = lambda _: lambda process: process
HERE = Path(__file__).parent

# Its state plans, and pyinfra's own would say so.
operations.FakeState.should_check_for_changes = lambda _: True

# Recorded facts arrive as a subclass of dict, which the diff of an object prints.
yaml.SafeDumper.add_multi_representer(dict, yaml.SafeDumper.represent_dict)

for _folder in sorted((HERE / "facts").glob("*.*/")):
    globals()[f"Test{_folder.name}"] = facts.make_fact_tests("tasks.facts", _folder.name, _folder)
for _folder in sorted((HERE / "operations").glob("*.*/")):
    globals()[f"Test{_folder.name}"] = operations.make_operation_tests(
        "tasks.operations", _folder.name, _folder
    )
