"""
A handful of the campaign (tests/lab/campaign/restores.py): a backup and two restores that are
killed, and begun again with the same command. ``make nightly`` has the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.campaign.__main__ import Campaign, opened
from tests.lab.campaign.points import Kill, Point
from tests.lab.campaign.restores import Restored

pytestmark = pytest.mark.lab

#: Deploys, steps, and seconds after they began: an archive half made, objects half written, and a
#: restore that is all but proven.
MOMENTS = (("backup", "Backup", 0.5), ("restore", "Objects", 0.2), ("restore", "Traffic", 0.0))


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    with opened("restores", tmp_path_factory.mktemp("kills"), "killrest", clusters=1) as it:
        yield it


def test_killed_runs_are_gone_on_with(campaign: Campaign) -> None:
    cluster, wrong = Restored(campaign, campaign.fleet.names[0]), []
    for number, (deploy, step, wait) in enumerate(MOMENTS):
        kill = Kill(cluster.line_of(deploy, step), wait, group=True)
        result = cluster.survives(deploy, Point(number, kill, None))
        wrong += [(deploy, step, line) for line in result["wrong"]]
        assert result["killed"], f"{step} was over before it was killed"
    assert wrong == []
