"""What people and programs are told of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tasks.plans.messages import Event, message

EVENT = Event(
    event="end",
    title="upgrade ended with exit 5",
    at="2026-11-21T15:12:05.915314Z",
    deploy="upgrade",
    inventory="inventory/prod.py",
    run="20261121T151046Z-upgrade",
    who="anna@jump-1",
    report="runs/20261121T151046Z-upgrade/report.html",
    counts={"done": 3, "failed": 1, "held": 2},
    failed={"weu-1": "Gateway edge/public: <Programmed> is False"},
    held={"weu-5": "after ring 1: 1 of 6 failed", "weu-6": "after ring 1: 1 of 6 failed"},
    rings=[2],
    exit=5,
)


def test_programs_get_all_of_it() -> None:
    assert json.loads(json.dumps(message("webhook", EVENT))) == {
        "schema": "envoyfleet.event/1",
        "event": "end",
        "title": "upgrade ended with exit 5",
        "at": "2026-11-21T15:12:05.915314Z",
        "deploy": "upgrade",
        "inventory": "inventory/prod.py",
        "run": "20261121T151046Z-upgrade",
        "who": "anna@jump-1",
        "report": "runs/20261121T151046Z-upgrade/report.html",
        "counts": {"done": 3, "failed": 1, "held": 2},
        "failed": {"weu-1": "Gateway edge/public: <Programmed> is False"},
        "held": {"weu-5": "after ring 1: 1 of 6 failed", "weu-6": "after ring 1: 1 of 6 failed"},
        "rings": [2],
        "exit": 5,
    }


def test_teams_gets_a_card() -> None:
    body = message("teams", EVENT)
    [attachment] = body["attachments"]
    assert (body["type"], attachment["contentType"]) == (
        "message",
        "application/vnd.microsoft.card.adaptive",
    )
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    title, facts, *causes = card["body"]
    assert (title["text"], title["color"]) == ("upgrade ended with exit 5", "Attention")
    assert [(it["title"], it["value"]) for it in facts["facts"]] == [
        ("clusters", "3 done, 1 failed, 2 held"),
        ("held", "ring 2"),
        ("inventory", "inventory/prod.py"),
        ("run", "20261121T151046Z-upgrade"),
        ("by", "anna@jump-1"),
        ("report", "runs/20261121T151046Z-upgrade/report.html"),
    ]
    assert [it["inlines"][0]["text"] for it in causes] == [
        "weu-1: Gateway edge/public: <Programmed> is False",
        "held: after ring 1: 1 of 6 failed",
    ]


def test_slack_gets_text_that_it_cannot_misread() -> None:
    body = message("slack", replace(EVENT, title="upgrade of <!channel> & more"))
    title, facts, cause, held = [it["text"]["text"] for it in body["blocks"]]
    assert body["text"] == "upgrade of &lt;!channel&gt; &amp; more"
    assert title == "*upgrade of &lt;!channel&gt; &amp; more*"
    assert facts.splitlines()[:2] == ["*clusters* 3 done, 1 failed, 2 held", "*held* ring 2"]
    assert cause == "weu-1: Gateway edge/public: &lt;Programmed&gt; is False"
    assert held == "held: after ring 1: 1 of 6 failed"


@pytest.mark.parametrize(
    ("event", "code", "colour"),
    [
        pytest.param("start", None, "Default", id="start"),
        pytest.param("gate", None, "Warning", id="gate"),
        pytest.param("failure", None, "Attention", id="failure"),
        pytest.param("end", 0, "Good", id="all is well"),
        pytest.param("end", 1, "Attention", id="not all is well"),
    ],
)
def test_colours(event: str, code: int | None, colour: str) -> None:
    body = message("teams", replace(EVENT, event=event, exit=code))
    assert body["attachments"][0]["content"]["body"][0]["color"] == colour


@pytest.mark.parametrize("kind", ["teams", "slack"])
def test_a_chat_takes_any_number_of_failures(kind: str) -> None:
    many: dict[str, Any] = {f"weu-{number}": "x" * 5000 for number in range(500)}
    text = json.dumps(message(kind, replace(EVENT, failed=many)))
    assert len(text) < 20_000
    assert "and 490 more" in text
