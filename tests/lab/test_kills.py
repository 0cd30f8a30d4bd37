"""
A handful of the campaign (tests/lab/campaign): upgrades that are killed and gone on with, on API
servers alone. ``make nightly`` has the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.campaign.__main__ import Campaign, Cluster, opened
from tests.lab.campaign.points import Kill, Point

pytestmark = pytest.mark.lab

#: Steps, seconds after they began, and whether helm is killed too: CRDs half written, a release
#: that stays pending, a helm that outlives its run, and a kill when all is done but proven.
MOMENTS = (
    ("CRDs", 0.4, True),
    ("Controller", 1.0, True),
    ("Controller", 1.0, False),
    ("Traffic", 0.0, False),
)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    with opened("alone", tmp_path_factory.mktemp("kills"), "killtest", clusters=1) as it:
        yield it


def test_killed_runs_are_gone_on_with(campaign: Campaign) -> None:
    cluster, wrong = Cluster(campaign, campaign.fleet.names[0]), []
    for number, (step, wait, group) in enumerate(MOMENTS):
        kill = Kill(cluster.line_of(step), wait, group)
        result = cluster.survives(campaign.name, Point(number, kill, None))
        wrong += [(step, wait, group, line) for line in result["wrong"]]
        assert result["killed"], f"{step} was over before it was killed"
    assert wrong == []
