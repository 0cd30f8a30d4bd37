"""
The bounds of the main job, measured on a lab of its own: up, install, nothing to do, upgrade,
memory.

    python benchmarks/main_job.py --print        three clusters, about five minutes with parts
    cached; needs root

Requests and writes are counted by the API servers' audit logs; helm and kubectl processes by a
helm that leaves a mark.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import deployed, lab, shown
from tests.lab.campaign.start import folder_for

LAB = "benchmain"
OLD = ("--data", 'envoy_gateway_version="1.8.3"')
AGAIN = 5

#: What is measured, its bound, and the unit.
BOUNDS = {
    "lab up 3 until all nodes are Ready": (45.0, "s"),
    "install on 3 clusters until traffic flows": (90.0, "s"),
    "memory a cluster with one Gateway (PSS)": (1100.0, "MB"),
    "nothing to do: wall, median of 5": (3.0, "s"),
    "nothing to do: requests a cluster": (20.0, ""),
    "nothing to do: writes": (0.0, ""),
    "nothing to do: helm processes": (0.0, ""),
    "upgrade of 3 clusters in 2 rings": (None, "s"),
}


def proportional_memory() -> float:
    """Megabytes of all processes of the lab, shared pages counted once (PSS), a cluster."""
    from tasks.lab.processes import group_pids

    total = 0
    for pid in group_pids(f"envoyfleet/{LAB}"):
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next(int(it.split()[1]) for it in text.splitlines() if it.startswith("Pss:"))
    return total / 1024 / 3


def audited(status: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The requests that each cluster's API server answered, clients outside of it only."""
    logs = (Path(it["audit_log"]) for it in status["clusters"])
    return [[json.loads(line) for line in it.read_text().splitlines()] for it in logs]


def nothing_to_do(folder: Path, status: dict[str, Any]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as place:
        mark, helm = Path(place) / "was-run", Path(place) / "helm"
        helm.write_text(f"#!/bin/sh\necho run >> {mark}\nexit 1\n")
        helm.chmod(0o755)
        seconds = []
        for _ in range(AGAIN):
            before = [len(it) for it in audited(status)]
            seconds.append(deployed(folder, LAB, "install", *OLD, "--data", f"helm={helm}"))
        made = [it[count:] for it, count in zip(audited(status), before, strict=True)]
        writes = [it for one in made for it in one if it["verb"] not in ("get", "list", "watch")]
        return {
            "nothing to do: wall, median of 5": statistics.median(seconds),
            "nothing to do: requests a cluster": max(map(len, made)),
            "nothing to do: writes": len(writes),
            "nothing to do: helm processes": len(mark.read_text().split()) if mark.exists() else 0,
        }


def measured(folder: Path) -> dict[str, float]:
    begun = time.monotonic()
    lab(LAB, "up", "3")
    found = {"lab up 3 until all nodes are Ready": time.monotonic() - begun}
    lab(LAB, "sample")
    status = json.loads(lab(LAB, "status", "--json"))
    found["install on 3 clusters until traffic flows"] = deployed(folder, LAB, "install", *OLD)
    found["memory a cluster with one Gateway (PSS)"] = proportional_memory()
    found |= nothing_to_do(folder, status)
    found["upgrade of 3 clusters in 2 rings"] = deployed(folder, LAB, "upgrade")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the bounds of the main job.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.parse_args()
    lab(LAB, "down")
    try:
        with tempfile.TemporaryDirectory() as place:
            found = measured(folder_for(Path(place) / "work"))
    finally:
        lab(LAB, "down")
    return shown(found, BOUNDS)


if __name__ == "__main__":
    raise SystemExit(main())
