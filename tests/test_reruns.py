"""A file of the lab's tests whose set-up fails is over after three attempts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFTEST = """
from tests.lab.conftest import Reruns

def pytest_configure(config):
    config.pluginmanager.register(Reruns(config))
"""
BROKEN = """
import pathlib, pytest

@pytest.fixture(scope="module")
def lab():
    with pathlib.Path("attempts").open("a") as file:
        file.write("x")
    raise OSError("no route to the lab")

@pytest.mark.parametrize("number", range(4))
def test_on_the_lab(lab, number):
    pass
"""
WELL = """
def test_another():
    pass
"""


def test_the_set_up_of_a_file_fails_thrice(tmp_path: Path) -> None:
    for name, text in {"conftest": CONFTEST, "test_broken": BROKEN, "test_well": WELL}.items():
        (tmp_path / f"{name}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--reruns=2", "-p", "no:cacheprovider", "-o", "addopts="],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (tmp_path / "attempts").read_text() == "xxx"
    assert "the set-up of test_broken.py failed 3 times" in done.stdout
    assert "runs again: test_broken.py::test_on_the_lab[0]" in done.stdout
    assert "1 passed, 4 errors" in done.stdout
