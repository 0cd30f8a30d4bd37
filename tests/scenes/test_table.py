from __future__ import annotations

from collections import Counter
from pathlib import Path

from tasks.plans.alerts import ALERTS
from tests.scenes import clusters
from tests.scenes.page import rows
from tests.scenes.table import SCENES

PAGE = Path(__file__).parents[2] / "docs/alert-scenes.md"


def test_every_alert_has_a_scene() -> None:
    played = {alert for it in SCENES for alert in it.alerts}
    played |= {it.alert for it in clusters.SCENES}
    assert sorted({it.name for it in ALERTS} - played) == []


def test_scenes_expect_alerts_that_there_are() -> None:
    said = {alert for it in SCENES for alert in (*it.alerts, *it.also)}
    assert sorted(said - {it.name for it in ALERTS}) == []
    assert sorted({it.alert for it in clusters.SCENES} - {it.name for it in ALERTS}) == []


def test_each_scene_has_a_name_of_its_own() -> None:
    assert [name for name, times in Counter(it.name for it in SCENES).items() if times > 1] == []


def test_the_page_has_every_scene() -> None:
    text = PAGE.read_text()
    assert [row for row in rows() if row not in text] == []
