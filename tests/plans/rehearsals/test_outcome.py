"""What a rehearsal says to the upgrade that comes, and how it is kept."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.checks import rehearsals as checks
from tasks.plans.preflight import Reason, warning
from tasks.plans.rehearsals import outcome
from tasks.plans.rehearsals.change import Change
from tasks.plans.rehearsals.outcome import Outcome, Rehearsal

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
LUA = Change("condition", "EnvoyExtensionPolicy shop/lua", "Accepted is False now", "error")
DIGESTS = {"HTTPRoute shop/cart": "3fa1"}


def rehearsal(**more: Any) -> Rehearsal:
    said: dict[str, Any] = {
        **{"run": "r", "who": "anna", "source": "weu-1", "target": "rehearsal-1"},
        **{"began": NOW.isoformat(), "before": "1.8.3", "after": "1.9.1", "digests": DIGESTS},
    }
    return Rehearsal(**{**said, **more})


WHEN = "the rehearsal of 2026-11-23 (1.8.3 → 1.9.1)"
BROKEN = Outcome(refused=(LUA,), defaulted=(Change("field", "a", "b", "info"),))
AGAIN = "deploys/rehearse.py makes a new one"


@pytest.mark.parametrize(
    ("of", "digests", "after", "reasons", "line"),
    [
        pytest.param({}, DIGESTS, 1, [], "2026-11-23 on rehearsal-1: nothing breaks", id="good"),
        pytest.param(
            {"outcome": BROKEN},
            DIGESTS,
            1,
            [
                Reason(
                    f"{WHEN} found what breaks: {LUA.text}: mend that, then rehearse again",
                    "rehearsal",
                )
            ],
            "2026-11-23 on rehearsal-1: breaks",
            id="breaks",
        ),
        pytest.param(
            {"problems": ["helm failed"]},
            DIGESTS,
            1,
            [Reason(f"{WHEN} did not end: helm failed: docs/rehearse.md", "rehearsal")],
            "2026-11-23 on rehearsal-1: not ended",
            id="not ended",
        ),
        pytest.param(
            {"outcome": BROKEN},
            {"HTTPRoute shop/cart": "ffff", "HTTPRoute shop/new": "1"},
            1,
            [
                warning(
                    f"{WHEN} is stale, since then these changed: HTTPRoute shop/cart; HTTPRoute "
                    f"shop/new: {AGAIN}"
                )
            ],
            "stale",
            id="objects changed",
        ),
        pytest.param(
            {"outcome": BROKEN},
            DIGESTS,
            15,
            [warning(f"{WHEN} is older than 14 days: {AGAIN}")],
            "stale",
            id="too old",
        ),
    ],
)
def test_standing(of: Any, digests: Any, after: int, reasons: Any, line: str) -> None:
    it = rehearsal(**of)
    found = outcome.standing(it, digests, NOW + timedelta(days=after), 14)
    assert found == reasons
    assert outcome.summary(it, found) == line


def test_it_is_read_as_it_was_written() -> None:
    it = rehearsal(outcome=BROKEN, kinds={"HTTPRoute": 1}, requests={"sent": 9, "lost": 0})
    written = json.loads(json.dumps(outcome.document(it)))
    assert written["schema"] == "envoyfleet.rehearsal/1"
    assert written["result"] == "breaks"
    assert outcome.read(written) == it
    assert it.text == "1.8.3 → 1.9.1: 1 refused, 1 defaulted"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        pytest.param([], "it has the format 'list', and", id="a list"),
        pytest.param({"schema": "envoyfleet.drill/1"}, "it has the format 'envoyfleet", id="other"),
        pytest.param({"schema": outcome.SCHEMA}, "it is no whole rehearsal (KeyError", id="empty"),
        pytest.param(
            {"schema": outcome.SCHEMA, "outcome": {"refused": [{"x": 1}]}},
            "it is no whole rehearsal (TypeError",
            id="no change",
        ),
        pytest.param(
            {**outcome.document(rehearsal()), "began": "yesterday"},
            "it is no whole rehearsal (ValueError",
            id="no time",
        ),
    ],
)
def test_what_is_none_is_refused_in_one_line(found: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as refused:
        outcome.read(found)
    assert "\n" not in str(refused.value)


def test_findings_are_what_somebody_has_to_look_at() -> None:
    warned = Change("route", "Gateway edge/public", "is gone")
    found = Outcome(
        refused=(LUA,),
        pruned=(Change("field", "HTTPRoute shop/cart", "spec.a is dropped", "error"),),
        defaulted=(Change("field", "HTTPRoute shop/cart", "spec.b is filled in", "info"),),
        configuration=(warned, Change("cluster", "c", "timeout: 1 → 2", "info")),
        traffic=(Change("request", "requests while upgrading", "2 lost"),),
        way_back=(LUA,),
    )
    assert [(it.code, it.severity) for it in checks.every("weu-1", found)] == [
        ("GW220", "error"),
        ("GW221", "error"),
        ("GW222", "warning"),
        ("GW223", "warning"),
        ("GW224", "warning"),
    ]
    assert checks.every("weu-1", Outcome()) == []
