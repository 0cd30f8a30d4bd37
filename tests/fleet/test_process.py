"""Whether the process that holds a Lease still lives."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.fleet.process import end_programs, is_dead, myself
from tasks.plans.lease import Holder


def test_this_process_lives() -> None:
    me = myself("run")
    assert me.begun > 0
    assert not is_dead(me)


def test_one_that_ended_is_dead() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert is_dead(replace(myself("run"), pid=ended.pid))


def test_its_number_may_be_another_process_by_now() -> None:
    assert is_dead(replace(myself("run"), begun=1))


def test_a_restart_of_the_machine_ends_all() -> None:
    assert is_dead(replace(myself("run"), boot="before"))


@pytest.mark.parametrize(
    "holder",
    [
        pytest.param(replace(myself("run"), machine="jump-2/x", pid=1, begun=1), id="elsewhere"),
        pytest.param(replace(myself("run"), processes="pid:[1]", begun=1), id="other container"),
        pytest.param(Holder("run", "somebody", "", "", "", 0, 0), id="unknown"),
    ],
)
def test_what_cannot_be_seen_from_here_is_not_dead(holder: Holder) -> None:
    assert not is_dead(holder)


def test_programs_of_a_dead_run_are_ended() -> None:
    """helm outlives a run that was killed."""
    names = {"ENVOYFLEET_RUN": "a-run", "ENVOYFLEET_CLUSTER": "weu-1"}
    with subprocess.Popen(["sleep", "60"], env=names) as left:
        while not Path(f"/proc/{left.pid}/environ").read_bytes():
            time.sleep(0.01)  # the system is not done with starting it
        assert end_programs(["other", "a-run"], "weu-2") == 0
        assert end_programs(["b-run"], "weu-1") == 0
        assert end_programs(["other", "a-run"], "weu-1") == 1
        assert left.wait(30) == -15
