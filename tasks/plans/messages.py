"""What people and programs are told of a run, in the form that each kind of receiver takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = "envoyfleet.event/1"
#: Clusters that a message for people names, and characters of a cause: chats cut long messages.
MOST, LONGEST = 10, 300


@dataclass(frozen=True)
class Event:
    """
    + event: "start", "gate", "failure" or "end"; + title: one line, such as "upgrade: weu-1 failed"
    + who: such as "anna@jump-1"; + report: where the report is on that machine
    + counts: clusters by status, such as {"done": 60, "failed": 1}
    + failed, held: by cluster, why; + rings: those that are held
    + exit: of the run, None before its end
    """

    event: str
    title: str
    at: str
    deploy: str
    inventory: str
    run: str
    who: str
    report: str
    counts: Mapping[str, int]
    failed: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    rings: Sequence[int] = ()
    exit: int | None = None


def message(kind: str, event: Event) -> dict[str, Any]:
    """The body for one receiver. + kind: "webhook", "teams" or "slack"."""
    return {"webhook": webhook, "teams": teams, "slack": slack}[kind](event)


def webhook(event: Event) -> dict[str, Any]:
    """For programs: all of it; keys are added, never taken away."""
    return {"schema": SCHEMA, **asdict(event)}


def teams(event: Event) -> dict[str, Any]:
    """
    An Adaptive Card, as a Teams workflow takes it ("Post to a channel when a webhook request is
    received"). Causes are text runs, which Teams does not read as Markdown.
    """
    colour = {"failure": "Attention", "gate": "Warning"}.get(event.event, "Default")
    if event.event == "end":
        colour = "Attention" if event.exit else "Good"
    facts = [{"title": name, "value": text} for name, text in _facts(event)]
    body: list[dict[str, Any]] = [
        {
            "type": "TextBlock",
            "text": event.title,
            "weight": "Bolder",
            "size": "Medium",
            "color": colour,
            "wrap": True,
        },
        {"type": "FactSet", "facts": facts},
        *(
            {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line}]}
            for line in _causes(event)
        ),
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [attachment]}


def slack(event: Event) -> dict[str, Any]:
    """For an incoming webhook of Slack: ``text`` is what a notification shows."""
    lines = [f"*{name}* {_escaped(text)}" for name, text in _facts(event)]
    causes = [_escaped(it) for it in _causes(event)]
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"*{_escaped(event.title)}*"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)}},
        *({"type": "section", "text": {"type": "plain_text", "text": it}} for it in causes),
    ]
    return {"text": _escaped(event.title), "blocks": blocks}


def _facts(event: Event) -> list[tuple[str, str]]:
    rings = ", ".join(map(str, event.rings))
    counts = ", ".join(f"{number} {status}" for status, number in event.counts.items())
    return [
        ("clusters", counts),
        *([("held", f"ring {rings}")] if rings else []),
        ("inventory", event.inventory),
        ("run", event.run),
        ("by", event.who),
        ("report", event.report),
    ]


def _causes(event: Event) -> list[str]:
    """A line a failed cluster, and one for each reason why others are held."""
    lines = [f"{name}: {why}" for name, why in event.failed.items()]
    more = [f"and {len(lines) - MOST} more"] if len(lines) > MOST else []
    reasons = dict.fromkeys(event.held.values())
    return [_short(it) for it in [*lines[:MOST], *more, *(f"held: {it}" for it in reasons)]]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _escaped(text: str) -> str:
    """What Slack would read as a link or a mention (Slack docs, Formatting text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
