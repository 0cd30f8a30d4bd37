"""
The bounds of a backup, measured on real API servers with 30 Gateways, 300 routes and 100 Secrets
each: one cluster, and 64 in one run, 20 ms away.

    python benchmarks/backup.py --print        four minutes with parts cached; needs root

The API servers are those of a lab without nodes, and Envoy Gateway is installed by this project,
with tests/lab/standin.py in the place of its controller. The 64 clusters share two API servers.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY, ran, shown

LAB = "benchbackup"
CLUSTERS, DELAY = 64, 0.020

#: What is measured, its bound, and the unit.
BOUNDS = {
    "fill one cluster": (20.0, "s"),
    "one cluster: wall": (5.0, "s"),
    "one cluster: memory of the process (RSS)": (200.0, "MB"),
    "one cluster: size of the archive": (None, "MB"),
    "64 clusters: wall": (60.0, "s"),
    "64 clusters: processor time": (None, "s"),
    "64 clusters: memory of the process (RSS)": (400.0, "MB"),
}


def one(folder: Path, cluster: str) -> dict[str, float]:
    took = ran(folder, LAB, "inventory/lab.py", "deploys/backup.py", "-y", "--limit", cluster)
    [archive] = (folder / "backups" / cluster).iterdir()
    took["size of the archive"] = archive.stat().st_size / 1e6
    return {f"one cluster: {key}": it for key, it in took.items()}


def many(folder: Path, clusters: Any) -> dict[str, float]:
    """64 names for the API servers of these clusters."""
    from tests.lab.distant import distant

    os.environ["ENVOYFLEET_LAB"] = LAB
    data = runpy.run_path(str(REPOSITORY / "inventory/lab.py"))["clusters"][0][1]
    names = [f"c-{it}" for it in range(CLUSTERS)]
    kubeconfig = folder / "kubeconfig-of-many"
    data = {**data, "kube_config": str(kubeconfig)}
    (folder / "fleet.py").write_text(f"clusters = {[(f'@kube/{it}', data) for it in names]!r}\n")
    with distant(clusters, names, DELAY, kubeconfig):
        took = ran(folder, LAB, "fleet.py", "deploys/backup.py", "-y")
    for it in names:
        [_] = (folder / "backups" / it).iterdir()
    return {f"{CLUSTERS} clusters: {key}": it for key, it in took.items()}


def measured(place: Path) -> dict[str, float]:
    from tasks.lab import state
    from tasks.lab.api import Api
    from tests.lab.campaign.__main__ import opened
    from tests.lab.campaign.start import folder_for
    from tests.lab.large import fill

    with opened("alone", place / "lab", LAB) as campaign:
        members = [state.running(LAB).member(it) for it in campaign.fleet.names]
        seconds = [fill(Api(it)) for it in members]
        folder = folder_for(place / "work")
        return {
            "fill one cluster": min(seconds),
            **one(folder, members[0].name),
            **many(folder, members),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the bounds of a backup.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = measured(Path(place))
    return shown(found, BOUNDS)


if __name__ == "__main__":
    raise SystemExit(main())
