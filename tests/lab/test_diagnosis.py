"""Some faults of the gym on a real cluster, each with its look-alike, live and from its bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.fleet import opened
from tests.lab.running import REPOSITORY

pytestmark = pytest.mark.lab

#: One of each layer; the whole gym takes a quarter of an hour (``python -m tests.gym --all``).
SOME = ("secret-absent", "hostname-mistyped", "target-port-of-nobody", "jwt-missing", "streams-cut")
NAME = os.environ.get("ENVOYFLEET_LAB", "lab")


@pytest.fixture(scope="module")
def gym(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the bundles."""
    folder = tmp_path_factory.mktemp("gym")
    command = [sys.executable, "-m", "tests.gym", "--lab", NAME, "--out", str(folder), "--only"]
    done = subprocess.run(
        [*command, *SOME], capture_output=True, text=True, cwd=REPOSITORY, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("name", SOME)
def test_a_fault_is_found_and_its_look_alike_is_not(gym: Path, name: str) -> None:
    """Judged by the gym itself; here only that both were there."""
    assert json.loads((gym / name / "live.json").read_text())["findings"]
    assert not json.loads((gym / f"{name}.well" / "live.json").read_text())["findings"]


def test_a_bundle_says_it_on_the_command_line_too(gym: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tasks.diagnosis",
        str(gym / "jwt-missing"),
        "--output",
        "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=300)
    first = json.loads(done.stdout)["findings"][0]
    thing = {"kind": "SecurityPolicy", "namespace": "shop", "name": "cart"}
    assert (first["cause"], first["object"]) == ("jwt_denied", thing), done.stderr


def test_a_cluster_that_is_well_has_no_finding(gym: Path, tmp_path: Path) -> None:
    """After the gym, by the deploy itself."""
    ended = opened(tmp_path).pyinfra("diagnose", "--data", "output=json")
    assert ended.code == 0, ended.text


def test_the_deploy_writes_a_bundle_that_says_the_same(tmp_path: Path) -> None:
    fleet = opened(tmp_path)
    ended = fleet.pyinfra("support_bundle", "--data", "output=json")
    assert ended.code == 0, ended.text
    [place] = (fleet.folder / "bundles" / fleet.names[0]).iterdir()
    command = [sys.executable, "-m", "tasks.diagnosis", str(place), "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=300)
    assert json.loads(done.stdout)["verdict"]["cause"] == "ok", done.stdout
