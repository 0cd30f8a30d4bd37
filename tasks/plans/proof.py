"""Whether another run, on another inventory, has proven a version first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

SCHEMA = "envoyfleet.run/1"


def problem(
    report: Mapping[str, Any] | None, wanted: str, inventory: str, days: int, now: datetime
) -> str | None:
    """
    Why this report.json does not prove ``wanted``, such as "1.9.1", or None where it does.

    + report: parsed, None where it is no JSON object; + inventory: of this run, such as
      "inventory/prod.py"; + days: how old it may be
    """
    if report is None or report.get("schema") != SCHEMA:
        return f"it is no report of a run (schema {SCHEMA})"
    if report.get("inventory") == inventory:
        return f"it is of this inventory ({inventory}) itself: name a run on another one"
    if report.get("deploy") != "upgrade":
        return f"it is of a run of deploys/{report.get('deploy')}.py, not of an upgrade"
    if report.get("exit") != 0:
        return f"that run ended with exit {report.get('exit')}"
    try:
        begun = datetime.fromisoformat(str(report.get("started")))
        old = now - begun
    except (TypeError, ValueError):
        return "it does not tell when that run was"
    if old > timedelta(days=days):
        return f"that run was on {begun:%Y-%m-%d}, more than {days} days ago"
    clusters = report.get("clusters")
    proven = [it for it in clusters or () if isinstance(it, Mapping) and _reached(it) == wanted]
    if not proven:
        return f"no cluster of that run reached {wanted}"
    return None


def _reached(cluster: Mapping[str, Any]) -> str | None:
    """The version that a cluster of a report ended with: "1.8.3 → 1.9.1" is "1.9.1"."""
    facts = cluster.get("facts")
    if cluster.get("status") not in ("done", "unchanged") or not isinstance(facts, Mapping):
        return None
    return str(facts.get("Envoy Gateway", "")).rpartition(" ")[2]
