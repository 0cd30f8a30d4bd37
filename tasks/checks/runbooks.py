"""What a walk through a runbook leaves: causes that nothing of ours cures, and symptoms without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tasks.checks.findings import Finding, Where
from tasks.plans.runbooks.walk import Judged

CAUSE, UNEXPLAINED = "GW981", "GW982"


def findings(cluster: str, runbook: str, verdicts: Sequence[Judged]) -> Iterator[Finding]:
    """
    GW981 for each step that found the cause, whether or not an action waits; GW982 where a request
    is not served and no step explains it.
    """
    causes = [it for it in verdicts if it.verdict.says == "this is it"]
    for it in causes:
        action = it.verdict.action
        fix = f"--data approve={it.step.name}: {action.what}" if action else it.verdict.cure
        where = Where(cluster, runbook, f"step {it.step.name}")
        yield Finding(CAUSE, "error", where, it.verdict.sentence, fix or "see the step's evidence")
    for it in verdicts:
        asked = it.step.name == "request" and it.verdict.cure  # else nobody was asked
        if asked and it.verdict.says != "fine" and not causes:
            where = Where(cluster, runbook, "step request")
            fix = it.verdict.cure
            yield Finding(UNEXPLAINED, "warning", where, it.verdict.sentence, fix)
