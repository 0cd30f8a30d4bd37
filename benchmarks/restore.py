"""
The bound of a restore, measured on a lab cluster of its own: 30 Gateways, 300 routes and 100
Secrets are backed up, the cluster is emptied, and brought back until every Gateway is accepted and
every request is answered.

    python benchmarks/restore.py --print               eight minutes with parts cached; needs root
    python benchmarks/restore.py --print --separate    a proxy each, if the node holds them

All Gateways share one proxy (``merge_gateways``): the node of a lab is a share of this machine, and
30 proxies are what it is slow with, not the restore.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import deployed, first_cluster, lab, ran, shown

LAB = "benchrestore"
#: How a restore ends where all is back; with 3 some routes are such that a probe cannot prove them.
GOOD = (0, 3)

#: What is measured, its bound, and the unit.
BOUNDS = {
    "fill the cluster": (20.0, "s"),
    "restore into the empty cluster: wall": (90.0, "s"),
    "restore into the empty cluster: memory of the process (RSS)": (None, "MB"),
    "restore: objects written": (None, ""),
    "restore: requests answered": (None, ""),
}


def all_accepted(api: Any) -> bool:
    gateways = api.get("/apis/gateway.networking.k8s.io/v1/gateways")["items"]
    return len(gateways) > 30 and all(
        any(
            one["type"] == "Programmed" and one["status"] == "True"
            for one in it.get("status", {}).get("conditions") or ()
        )
        for it in gateways
    )


def measured(folder: Path, how: Sequence[str]) -> dict[str, float]:
    from tasks.lab import state
    from tasks.lab.api import Api
    from tests.lab.large import fill
    from tests.lab.running import until

    api = Api(state.running(LAB).member(f"{LAB}-1"))
    deployed(folder, LAB, "install", *how)
    found = {"fill the cluster": fill(api)}
    until("every Gateway to be programmed", lambda: all_accepted(api), 600)
    deployed(folder, LAB, "backup")
    lab(LAB, "reset")
    lab(LAB, "sample")
    arguments = ("inventory/lab.py", "deploys/restore.py", "-y", *how)
    took = ran(folder, LAB, *arguments, good=GOOD)
    said = first_cluster(folder)["facts"]
    print(f"restore: {'; '.join(f'{key} {it}' for key, it in said.items())}"[:600])
    return {
        **found,
        "restore into the empty cluster: wall": took["wall"],
        "restore into the empty cluster: memory of the process (RSS)": took[
            "memory of the process (RSS)"
        ],
        "restore: objects written": float(said["objects"].split()[0]),
        "restore: requests answered": float(said["traffic"].split()[0]),
    }


def main() -> int:
    from tests.lab.campaign.start import folder_for

    parser = argparse.ArgumentParser(description="Measure the bound of a restore.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.add_argument("--separate", action="store_true", help="with a proxy for each Gateway")
    merged = not parser.parse_args().separate
    print("30 Gateways share one proxy" if merged else "30 Gateways with a proxy each")
    lab(LAB, "down")
    try:
        lab(LAB, "up", "1")
        lab(LAB, "sample")
        with tempfile.TemporaryDirectory() as place:
            found = measured(
                folder_for(Path(place) / "work"),
                ["--data", f"merge_gateways={json.dumps(merged)}", "--data", "timeout=600"],
            )
    finally:
        lab(LAB, "down")
    return shown(found, BOUNDS)


if __name__ == "__main__":
    raise SystemExit(main())
