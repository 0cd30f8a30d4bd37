"""
The long campaign behind ``make nightly``: a lab that is killed while it comes up leaves nothing,
whenever that is.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.lab.running import REPOSITORY, run
from tests.lab.test_lab_life import traces

pytestmark = pytest.mark.nightly

NAME = "labnight"
ROUNDS = int(os.environ.get("ENVOYFLEET_ROUNDS", "20"))


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_lab_killed_while_it_comes_up_leaves_nothing(seed: int) -> None:
    """``seed`` sets the moment, so that a failure can be had again."""
    moment = random.Random(seed).uniform(0.2, 20)
    coming = subprocess.Popen(
        [sys.executable, "-m", "tasks.lab", "up", "1", "--name", NAME],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        time.sleep(moment)
        os.killpg(coming.pid, signal.SIGKILL)
    except ProcessLookupError:  # it was up already
        pass
    finally:
        coming.wait(30)
        down = run("down", name=NAME)
    assert (down.returncode, traces(NAME)) == (0, []), f"killed after {moment:.1f} s"
