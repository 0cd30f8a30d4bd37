"""Runs of the past as their folders tell of them, and what changed since a good one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from tasks.plans.drift import Difference
from tasks.plans.run_pages import ENDINGS, STATUSES

#: Deploys after which a cluster is as its inventory wants it.
BRING = ("install", "upgrade", "gateways")
GOOD = ("done", "unchanged")
#: Clusters that a row names, before it says how many more there are.
NAMES = 3


@dataclass(frozen=True)
class Past:
    """
    One run. + who: such as "anna@jump-1"; + ended, exit: None where it did not end
    + state: "under way" where its process lives on this machine
    + clusters: how each fared, "not known" where no report says so
    """

    id: str
    deploy: str
    inventory: str
    who: str
    began: datetime
    ended: datetime | None
    exit: int | None
    state: Literal["ended", "under way", "broken off"]
    clusters: Mapping[str, str]

    @property
    def how(self) -> str:
        """In words, such as "done" or "broken off"."""
        if self.exit is None:
            return self.state
        return ENDINGS[self.exit][1] if self.exit in ENDINGS else f"exit {self.exit}"

    @property
    def counted(self) -> str:
        """Such as "57 done, 1 failed (neu-1)": those that are not as they should be by name."""
        counts = Counter(self.clusters.values())
        order = [*reversed([*STATUSES]), *sorted({*counts} - {*STATUSES})]
        return ", ".join(f"{counts[it]} {it}{self._names(it)}" for it in order if counts[it])

    def _names(self, status: str) -> str:
        if status in (*GOOD, "not known"):
            return ""
        names = sorted(name for name, it in self.clusters.items() if it == status)
        more = ", …" if len(names) > NAMES else ""
        return f" ({', '.join(names[:NAMES])}{more})"


def last(runs: Sequence[Past], cluster: str) -> Past | None:
    """The newest run at a cluster; ``runs`` have the newest first."""
    return next((it for it in runs if cluster in it.clusters), None)


def last_good(runs: Sequence[Past], cluster: str) -> Past | None:
    """The newest one that left a cluster as its inventory wanted it."""
    good = (it for it in runs if it.deploy in BRING and it.clusters.get(cluster) in GOOD)
    return next(good, None)


def written_at(difference: Difference, there: Mapping[str, Any] | None) -> datetime | None:
    """
    When the author of a difference last wrote the object; None where nobody in particular did, or
    where the object does not say.
    """
    authors = set((difference.by or "").split(", "))
    entries = (there or {}).get("metadata", {}).get("managedFields") or ()
    times = (
        _moment(it.get("time"))
        for it in entries
        if it.get("manager") in authors and not it.get("subresource")
    )
    return max((it for it in times if it), default=None)


def of_somebody(difference: Difference) -> bool:
    """Whether the cluster changed, rather than the inventory alone."""
    return difference.by is not None or difference.state == "missing"


def is_since(written: datetime | None, good: Past | None) -> bool:
    """Whether a change counts as drift since a run: one without a time does."""
    if written is None or good is None or good.ended is None:
        return True
    return written > good.ended


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
