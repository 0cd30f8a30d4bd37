"""
Requests lost while a cluster with two proxies goes up a release and back, measured on a lab of its
own, with 100 new connections a second and a load balancer that is late by 10 s.

    python benchmarks/traffic.py --print [--rounds 3]        about five minutes a round; needs root
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY, deployed, first_cluster, lab

LAB = "benchtraf"
TWO = ("--data", 'proxy={"replicas": 2, "cpu": "10m", "memory": "64Mi"}')
OLD = ("--data", 'envoy_gateway_version="1.8.3"')
WAYS = {"up": ("upgrade", "1.8.3 to 1.9.1"), "back": ("rollback", "1.9.1 to 1.8.3")}


def pyinfra(folder: Path, deploy: str, *more: str) -> dict[str, Any]:
    """One run, which must end well; its cluster in report.json."""
    deployed(folder, LAB, deploy, *TWO, *more)
    return first_cluster(folder)


def measured(folder: Path, rounds: int) -> int:
    """Prints a line a way and round; how many requests were lost on the way up."""
    from tests.lab.load import load

    lab(LAB, "up", "1", "--leaving-endpoints", "10")
    lab(LAB, "sample")
    for part in ("config.py", "deploys", "inventory"):
        (folder / part).symlink_to(REPOSITORY / part)
    address = pyinfra(folder, "install", *OLD)["facts"]["addresses"]
    lost_up = 0
    for number in range(1, rounds + 1):
        for way, (deploy, what) in WAYS.items():
            with load(address) as met:
                cluster = pyinfra(folder, deploy)
            lost_up += len(met.lost) if way == "up" else 0
            bad = bool(met.lost) and way == "up"
            kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(met.kinds.items()))
            print(
                f"{'MISS' if bad else 'ok  '} round {number}, {what}: {len(met.lost)} of "
                f"{met.sent:,} requests lost{f' ({kinds})' if kinds else ''}, {met.unsure} unsure, "
                f"longest gap {met.longest_gap:.2f} s (generator late by {met.late:.2f} s at most)"
            )
            print(f"     the run's own prober: {cluster['facts']['traffic while changing']}")
    return lost_up


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what an upgrade costs in requests.")
    parser.add_argument("--print", action="store_true", help="print the figures (always done)")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    lab(LAB, "down")
    try:
        with tempfile.TemporaryDirectory() as folder:
            lost = measured(Path(folder), given.rounds)
    finally:
        lab(LAB, "down")
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
