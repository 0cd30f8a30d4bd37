"""
Kills certain containers of a cluster as soon as they run, for as long as it runs itself.

    python -m tasks.lab.killer GROUP PROGRAM [ARGUMENT]

A container is chosen by the program it runs, such as "envoy", or "envoy-gateway server".
"""

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tasks.lab.processes import Process, command_line, group_pids, signal_pid
from tasks.lab.state import Cluster

SECONDS = 0.3


def process(cluster: Cluster, fault: str, group: str, target: Sequence[str]) -> Process:
    """The process that keeps on killing."""
    command = [sys.executable, "-m", "tasks.lab.killer", group, *target]
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return Process(cluster.lab, cluster.name, f"fault-{fault}", command, environment=environment)


def targets(group: str, program: str, *arguments: str) -> list[int]:
    """The processes of a control group that run this program with these first arguments."""
    wanted = [program, *arguments]
    found = []
    for pid in group_pids(group):
        first, *rest = command_line(pid) or [""]
        if [Path(first).name, *rest][: len(wanted)] == wanted:
            found.append(pid)
    return found


def main(group: str, *target: str) -> None:
    """Kill, for ever."""
    while True:
        for pid in targets(group, *target):
            signal_pid(pid, signal.SIGKILL)
        time.sleep(SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
