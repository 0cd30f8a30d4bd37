"""
A handful of the campaign (tests/lab/campaign): upgrades that are killed and gone on with, on API
servers alone. ``make nightly`` has the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.campaign.__main__ import Campaign, Cluster, opened
from tests.lab.campaign.points import Kill, Point

pytestmark = pytest.mark.lab

#: Steps, seconds after they began, and whether helm is killed too: CRDs half written, a release
#: that stays pending, a helm that outlives its run, and a kill when all is done.
MOMENTS = (
    ("CRDs", 0.4, True),
    ("Controller", 1.0, True),
    ("Controller", 1.0, False),
    ("Outcome", 0.0, False),
)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    with opened("alone", tmp_path_factory.mktemp("kills"), "killtest") as it:
        yield it


def test_killed_runs_are_gone_on_with(campaign: Campaign) -> None:
    names = campaign.fleet.names
    with ThreadPoolExecutor(len(names)) as pool:
        clusters = list(pool.map(lambda it: Cluster(campaign, it), names))
        shares = [range(number, len(MOMENTS), len(clusters)) for number in range(len(clusters))]
        found = list(pool.map(survivals, clusters, shares))
    assert [line for lines in found for line in lines] == []


def survivals(cluster: Cluster, numbers: range) -> list[str]:
    """What went wrong after each of these moments, on one cluster."""
    return [f"{MOMENTS[it]}: {line}" for it in numbers for line in wrong_after(cluster, it)]


def wrong_after(cluster: Cluster, number: int) -> list[str]:
    step, wait, group = MOMENTS[number]
    kill = Kill(cluster.line_of(step), wait, group)
    result = cluster.survives(Point(number, kill, None))
    wrong: list[str] = result["wrong"] or ([] if result["killed"] else ["it was not killed"])
    return wrong
