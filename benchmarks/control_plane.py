"""
What a rotation of the control plane's certificates costs the traffic of a real cluster, at the pace
of its kubelet: new connections 50 times a second, and a new route after each stage.

    python benchmarks/control_plane.py --print        six minutes with parts cached; needs root
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import lab, shown

LAB = "benchcontrolplane"
RATE = 50
TWO = ("--data", 'proxy={"replicas": 2, "cpu": "10m", "memory": "64Mi"}')

#: What is measured, its bound, and the unit.
BOUNDS = {
    "connections while it ran": (None, ""),
    "connections or handshakes that failed": (0.0, ""),
    "longest time without an answer": (None, "s"),
    "by how much the clients themselves were late": (None, "s"),
    "a new route after a stage, at most": (5.0, "s"),
    "streams that broke": (0.0, ""),
    "rotation: wall": (None, "s"),
}


def measured(place: Path) -> dict[str, float]:
    from tests.lab import test_control_plane as scene
    from tests.lab.fleet import opened
    from tests.lab.load import load
    from tests.lab.running import run

    os.environ["ENVOYFLEET_LAB"] = LAB
    try:
        lab(LAB, "up", "1")
        lab(LAB, "sample")
        fleet = opened(place, *TWO)
        ended = fleet.pyinfra("install", "-y")
        if ended.code:
            raise SystemExit(ended.text)
        before = scene.streams(fleet)
        begun = time.monotonic()
        with load(fleet.address(fleet.names[0]), RATE) as met:
            process = scene.begun(fleet)
            routes = []
            for number in (1, 2, 3):
                _wait(process, partial(_reached, fleet, number))
                routes.append(scene.served(fleet, f"stage-{number}"))
            if process.wait():
                raise SystemExit((fleet.folder / "runs").as_posix() + ": the rotation failed")
            took = time.monotonic() - begun
        after = scene.streams(fleet)
        for at, scheme, kind in met.lost:
            print(f"lost after {at} s: {scheme} {kind}")
    finally:
        run("down", name=LAB)
    return {
        "connections while it ran": met.sent,
        "connections or handshakes that failed": len(met.lost),
        "longest time without an answer": met.longest_gap,
        "by how much the clients themselves were late": met.late,
        "a new route after a stage, at most": max(routes),
        "streams that broke": sum(after.get(pod) != count for pod, count in before.items()),
        "rotation: wall": took,
    }


def _reached(fleet: Any, number: int) -> bool:
    from tests.lab import test_control_plane as scene

    return scene.stages(fleet) >= number


def _wait(process: subprocess.Popen[bytes], holds: Callable[[], bool]) -> None:
    while not holds():
        if process.poll() is not None:
            raise SystemExit(f"the rotation ended with {process.returncode}")
        time.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure a rotation of the control plane.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = measured(Path(place))
    return shown(found, BOUNDS)


if __name__ == "__main__":
    raise SystemExit(main())
