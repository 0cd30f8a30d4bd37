"""
The bound of monitoring: 64 clusters, everything applied and loaded already, nothing to change.

    python benchmarks/monitoring.py --print        one minute; needs neither root nor a lab

API servers, with a Prometheus and an Alertmanager behind each, are stand-ins in a process of their
own, 5 ms away.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY, ran, shown

CLUSTERS = 64
DELAY = 0.005
RUN = ("inventory/fleet.py", "deploys/monitoring.py", "-y")

#: What is measured, its bound, and the unit.
BOUNDS: dict[str, tuple[float | None, str]] = {
    "first run: wall": (None, "s"),
    "first run: writes of one cluster": (None, ""),
    "nothing to change: wall": (10.0, "s"),
    "nothing to change: processor time": (None, "s"),
    "nothing to change: memory of the process (RSS)": (300.0, "MB"),
    "nothing to change: requests of one cluster": (30.0, ""),
    "nothing to change: writes": (0.0, ""),
}


def names() -> list[str]:
    return [f"weu-{it}" for it in range(1, CLUSTERS + 1)]


def stand_ins(ours: Connection) -> None:
    """
    The process of the stand-ins: says how they are reached, then what was asked and written since.
    """
    from tests.monitored import Monitored

    with Monitored(DELAY).running() as server:
        for name in names():
            server.plant(name)
        ours.send(server.kubeconfig(*names()))
        while ours.recv():
            ours.send((len(server.asked), len(server.writes())))
            server.asked.clear()


def measured(folder: Path) -> dict[str, float]:
    from tests.monitored import SETTINGS

    for part in ("config.py", "deploys", "tests"):
        (folder / part).symlink_to(REPOSITORY / part)
    data = {"ring": 0, "envoy_gateway_version": "1.9.1", "monitoring": SETTINGS}
    (folder / "inventory").mkdir()
    entries = [(f"@kube/{it}", data) for it in names()]
    (folder / "inventory" / "fleet.py").write_text(f"clusters = {entries!r}\n")
    ours, theirs = get_context("fork").Pipe()
    process = get_context("fork").Process(target=stand_ins, args=(theirs,), daemon=True)
    process.start()
    try:
        (folder / "kubeconfig").write_text(json.dumps(ours.recv()))
        os.environ["KUBECONFIG"] = str(folder / "kubeconfig")
        first = ran(folder, "", *RUN)
        of_first = _told(ours)
        second = ran(folder, "", *RUN)
        of_second = _told(ours)
    finally:
        process.terminate()
        process.join()
    return {
        "first run: wall": first["wall"],
        "first run: writes of one cluster": of_first[1] / CLUSTERS,
        **{f"nothing to change: {name}": value for name, value in second.items()},
        "nothing to change: requests of one cluster": of_second[0] / CLUSTERS,
        "nothing to change: writes": of_second[1],
    }


def _told(ours: Connection) -> tuple[int, int]:
    ours.send("tell")
    asked, written = ours.recv()
    return int(asked), int(written)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure monitoring of a fleet.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = measured(Path(place))
    return shown(found, BOUNDS)


if __name__ == "__main__":
    raise SystemExit(main())
