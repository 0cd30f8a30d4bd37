"""From what was seen to verdicts, and from these to what is done next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.plans.runbooks import reading
from tasks.plans.runbooks.source import Runbook, Seen, Step, Verdict, this, unknown


@dataclass(frozen=True)
class Judged:
    step: Step
    verdict: Verdict


def walk(runbook: Runbook, seen: Seen) -> list[Judged]:
    """Every step, in order: what is behind the first cause is often a consequence of it."""
    return [Judged(it, judged(it, seen)) for it in runbook.steps]


def judged(step: Step, seen: Seen) -> Verdict:
    """
    What a step says itself; where it finds nothing, what the diagnosis found that belongs to it.
    """
    lost = [it for it in step.reads if it in seen.unread]
    if seen.objects is None or lost:
        what = ", ".join(lost) or "its objects"
        own = unknown(f"the cluster could not be read: {what}")
    else:
        own = step.judge(seen)
    if step.settles and reading.controller_is_young(seen) and seen.objects is not None:
        return unknown("the controller began a minute ago: proxies and objects follow")
    if own.says == "this is it":
        return own
    for it in seen.causes:
        if it.cause in step.causes:
            return this(it.sentence, *it.evidence, action=own.action, cure=it.fix)
    return own


def to_do(verdicts: Sequence[Judged]) -> Judged | None:
    """The first step that found the cause and has an action, or None."""
    return next(
        (it for it in verdicts if it.verdict.says == "this is it" and it.verdict.action), None
    )


def nothing_known(verdicts: Sequence[Judged]) -> str:
    """Why no step could tell anything; empty where one could."""
    if any(it.verdict.says != "cannot tell" for it in verdicts):
        return ""
    return next((it.verdict.sentence for it in verdicts), "no step was taken")


def explained(verdicts: Sequence[Judged]) -> list[Judged]:
    return [it for it in verdicts if it.verdict.says == "this is it"]


def may_go_on(judged_: Verdict, seen: Seen, waited: float, patience: float) -> list[str]:
    """
    What is still missing after an action, a line each; empty once its step is fine and requests
    are served. Where some are served and others not for as long as ``patience``, these have
    another cause: the walk goes on.
    """
    missing = [] if judged_.says == "fine" else [judged_.sentence]
    failing = [it.problem for it in seen.asked if it.problem]
    if not missing and failing and waited > patience and len(failing) < len(seen.asked):
        return []
    return [*missing, *failing]
