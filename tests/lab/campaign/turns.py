"""The points of a campaign, one after the other on each of its clusters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from tests.lab.campaign.points import Point

if TYPE_CHECKING:
    from tests.lab.campaign.__main__ import Campaign

#: What is killed, such as "restore", and where.
Job = tuple[str, Point]


class Cluster(Protocol):
    """One cluster that points are tried on."""

    name: str

    def survives(self, what: str, point: Point) -> dict[str, Any]:
        """The line of one point. ``wrong`` is [] where it was survived."""


def taken(campaign: Campaign, clusters: Sequence[Cluster], jobs: Iterable[Job]) -> None:
    """Those that are not done yet; whoever ends this waits for the points under way alone."""
    done = campaign.done()
    waiting: SimpleQueue[Job] = SimpleQueue()
    for job in jobs:
        if job[1].number not in done:
            waiting.put(job)
    with ThreadPoolExecutor(len(clusters)) as pool:
        try:
            list(pool.map(lambda it: _serve(campaign, it, waiting), clusters))
        except KeyboardInterrupt:  # no other begins
            with suppress(Empty):
                while True:
                    waiting.get_nowait()
            raise


def _serve(campaign: Campaign, cluster: Cluster, waiting: SimpleQueue[Job]) -> None:
    while True:
        try:
            what, point = waiting.get_nowait()
        except Empty:
            return
        result = cluster.survives(what, point)
        campaign.write(result)
        verdict = "; ".join(result["wrong"]) or "survived"
        where = " / ".join(result["killed"]) or "ended before it was killed"
        print(
            f"{what} {point.number} on {cluster.name}, {result['seconds']:.0f} s, killed after "
            f"{where}: {verdict}",
            flush=True,
        )
