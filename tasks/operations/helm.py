"""Helm as a program, for what only Helm does: installing a chart with its hooks."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyinfra.api.command import QuoteString, StringCommand

from tasks.fleet.charts import Chart
from tasks.fleet.guard import Steps, fleet_operation


@fleet_operation()
def upgrade(
    release: str,
    chart: Chart,
    values: Mapping[str, Any],
    namespace: str,
    binary: str = "helm",
    timeout: int = 300,
) -> Steps:
    """
    ``helm upgrade --install``, waiting for what the chart itself can wait for. Not idempotent by
    itself: the caller has compared the release before.

    + values: the whole of them; never ``--reuse-values``, which keeps the image of the release
      before (facts of Envoy Gateway 1.2 to 1.9). They go through standard input, so no file holds
      them.
    + timeout: seconds, of Helm's own wait
    """
    if os.sep in binary:  # it is started in another folder than this one
        binary = str(Path(binary).resolve())
    yield StringCommand(
        QuoteString(binary),
        "upgrade",
        "--install",
        QuoteString(release),
        QuoteString(str(chart.path)),
        "--namespace",
        QuoteString(namespace),
        "--create-namespace",
        "--values -",
        "--wait",
        f"--timeout {timeout}s",
        "--history-max 10",
        "--output json",
        ">/dev/null",
        _stdin=json.dumps(dict(values)),
        _timeout=timeout + 60,
    )
