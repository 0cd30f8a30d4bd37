from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.plans.proof import problem

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
REPORT: dict[str, Any] = {
    "schema": "envoyfleet.run/1",
    "deploy": "upgrade",
    "inventory": "inventory/staging.py",
    "started": "2026-11-20T15:10:46.910245+00:00",
    "exit": 0,
    "clusters": [
        {"name": "stg-1", "status": "done", "facts": {"Envoy Gateway": "1.8.3 → 1.9.1"}},
        {"name": "stg-2", "status": "held", "facts": {}},
    ],
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({}, None, id="proves it"),
        pytest.param(
            {"clusters": [{"status": "unchanged", "facts": {"Envoy Gateway": "1.9.1"}}]},
            None,
            id="was there already, and serves",
        ),
        pytest.param(
            {"schema": "x"}, "it is no report of a run (schema envoyfleet.run/1)", id="other JSON"
        ),
        pytest.param(
            {"inventory": "inventory/prod.py"},
            "it is of this inventory (inventory/prod.py) itself: name a run on another one",
            id="own inventory",
        ),
        pytest.param(
            {"deploy": "install"},
            "it is of a run of deploys/install.py, not of an upgrade",
            id="another deploy",
        ),
        pytest.param({"exit": 5}, "that run ended with exit 5", id="it failed"),
        pytest.param({"started": "x"}, "it does not tell when that run was", id="no time"),
        pytest.param(
            {"started": "2026-11-20T15:10:46"}, "it does not tell when that run was", id="no zone"
        ),
        pytest.param(
            {"started": "2026-10-20T15:10:46+00:00"},
            "that run was on 2026-10-20, more than 30 days ago",
            id="too old",
        ),
        pytest.param({"clusters": []}, "no cluster of that run reached 1.9.1", id="no cluster"),
        pytest.param(
            {"clusters": [{"status": "failed", "facts": {"Envoy Gateway": "1.8.3 → 1.9.1"}}]},
            "no cluster of that run reached 1.9.1",
            id="the one cluster failed",
        ),
        pytest.param(
            {"clusters": ["x", {"status": "done", "facts": "y"}]},
            "no cluster of that run reached 1.9.1",
            id="odd clusters",
        ),
    ],
)
def test_problem(changes: dict[str, Any], said: str | None) -> None:
    assert problem({**REPORT, **changes}, "1.9.1", "inventory/prod.py", 30, NOW) == said


def test_no_report_at_all() -> None:
    said = "it is no report of a run (schema envoyfleet.run/1)"
    assert problem(None, "1.9.1", "inventory/prod.py", 30, NOW) == said
