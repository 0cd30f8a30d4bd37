"""
The alerts on real Envoys and a real Prometheus, see docs/alert-scenes.md: a sample, and all of them
every night. They run in a process of their own, which needs no cluster.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.lab.running import REPOSITORY
from tests.scenes.table import SCENES

#: Seconds for all of them; two of them take ten minutes.
LONG = 2400


def played(folder: Path, *arguments: str) -> dict[str, Any]:
    """What ``python -m tests.scenes`` says: {"scenes": [...], "received": [...]}."""
    said = folder / "scenes.json"
    command = [sys.executable, "-m", "tests.scenes", "--json", str(said), *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=LONG)
    assert said.exists(), done.stdout + done.stderr
    found: dict[str, Any] = json.loads(said.read_text())
    return found


def played_twice(folder: Path, *arguments: str) -> dict[str, Any]:
    """As ``played``; scenes that go wrong once more, for the machine may have stood still."""
    found = played(folder, *arguments)
    again = [it["scene"] for it in wrong(found)]
    if again:
        print(f"played once more: {', '.join(again)}: {wrong(found)}")
        anew = played(folder, *arguments, "--only", *again)["scenes"]
        right = [it for it in found["scenes"] if it["right"]]
        found["scenes"] = right + [it for it in anew if it["scene"] in again]
    return found


def wrong(found: dict[str, Any]) -> list[dict[str, Any]]:
    keys = ("scene", "release", "missing", "wrong", "cleared")
    return [{key: it[key] for key in keys} for it in found["scenes"] if not it["right"]]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return played_twice(tmp_path_factory.mktemp("sample"), "--sample", "--deliver")


@pytest.mark.lab
def test_the_right_alerts_fire_and_no_wrong_ones(sample: dict[str, Any]) -> None:
    assert wrong(sample) == []
    assert len(sample["scenes"]) == len([it for it in SCENES if it.sample])


@pytest.mark.lab
def test_a_critical_alert_reaches_the_webhook_once_and_its_end_once(sample: dict[str, Any]) -> None:
    name, scene = "EnvoyProxyConfigurationRejected", "listener-refused"
    told = [
        (it["labels"]["alertname"], it["labels"]["gateway_namespace"], it["status"])
        for notification in sample["received"]
        for it in notification["alerts"]
        if it["labels"].get("gateway_namespace")
    ]
    assert Counter(told)[name, scene, "firing"] == 1
    assert Counter(told)[name, scene, "resolved"] == 1
    assert {it for _, it, _ in told} <= {it.name for it in SCENES if it.alerts}


@pytest.mark.lab
def test_nothing_of_it_is_left(sample: dict[str, Any]) -> None:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert [line for line in listed.splitlines() if "/tmp/scenes-" in line] == []


@pytest.mark.nightly
def test_every_scene(tmp_path: Path) -> None:
    assert wrong(played(tmp_path)) == []
