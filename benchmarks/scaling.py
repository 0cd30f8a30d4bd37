"""
Requests lost while proxies go 2 -> 6 -> 2, and while one of two nodes drains, on a lab of its own
with 100 new connections a second and a load balancer that is late by 10 s.

    python benchmarks/scaling.py --print                     about four minutes; needs root
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY, deployed, lab

LAB = "benchscale"


def proxies(replicas: int) -> tuple[str, ...]:
    small = {"replicas": replicas, "cpu": "10m", "memory": "64Mi"}
    # Endpoints come to proxies through the controller: one that drains away leaves them old ones.
    controller = {"replicas": 2, "cpu": "10m", "memory": "64Mi"}
    return (
        "--data",
        f"proxy={json.dumps(small)}",
        "--data",
        f"controller={json.dumps(controller)}",
    )


def measured(folder: Path) -> int:
    """Prints a line a way; how many requests were lost."""
    from tests.lab.fleet import opened
    from tests.lab.load import Met, load
    from tests.lab.running import until
    from tests.lab.test_scaling import PATIENT_APPLICATION, ready

    lab(LAB, "up", "1", "--nodes", "2", "--leaving-endpoints", "10")
    lab(LAB, "sample")
    fleet = opened(folder)
    (folder / "benchmarks").symlink_to(REPOSITORY / "benchmarks")
    [name] = fleet.names
    patch = ("patch", "deployment", "blue", "-n", "demo", "-p", json.dumps(PATIENT_APPLICATION))
    fleet.kubectl(name, *patch)
    deployed(folder, LAB, "install", *proxies(2))
    lost = 0

    def tell(what: str, met: Met) -> None:
        nonlocal lost
        lost += len(met.lost)
        kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(met.kinds.items()))
        print(
            f"{'MISS' if met.lost else 'ok  '} {what}: {len(met.lost)} of {met.sent:,} requests "
            f"lost{f' ({kinds})' if kinds else ''}, {met.unsure} unsure, longest gap "
            f"{met.longest_gap:.2f} s (generator late by {met.late:.2f} s at most)"
        )

    def there(wanted: int) -> bool:
        return len(ready(fleet)) == wanted

    for replicas in (6, 2):
        with load(fleet.address(name)) as met:
            deployed(folder, LAB, "install", *proxies(replicas))
            until("the proxies", partial(there, replicas))
            time.sleep(30)  # until those that leave have gone
        tell(f"to {replicas} proxies", met)
    with load(fleet.address(name)) as met:
        drain = ("drain", f"{name}-2", "--ignore-daemonsets", "--delete-emptydir-data")
        fleet.kubectl(name, *drain)
        until("two proxies", lambda: [*ready(fleet).values()] == [name, name])
    tell("one of two nodes drains", met)
    return lost


def main() -> int:
    import os

    parser = argparse.ArgumentParser(description="Measure what scaling costs in requests.")
    parser.add_argument("--print", action="store_true", help="print the figures (always done)")
    parser.parse_args()
    os.environ["ENVOYFLEET_LAB"] = LAB
    lab(LAB, "down")
    try:
        with tempfile.TemporaryDirectory() as folder:
            lost = measured(Path(folder))
    finally:
        lab(LAB, "down")
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
