"""
How long one certificate takes until every proxy and the address serve it, and what new handshakes
meet meanwhile: one cluster with two proxies, 50 new connections a second, on a lab of its own.

    python benchmarks/rotation.py --print [--rounds 5]    two minutes with parts cached; needs root

``ENVOYFLEET_LAB`` names a lab with Envoy Gateway and two proxies that is up already.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY, deployed, first_cluster, lab, newest_run, shown

LAB = os.environ.get("ENVOYFLEET_LAB", "benchrot")
OWN = "ENVOYFLEET_LAB" not in os.environ
TWO = ("--data", 'proxy={"replicas": 2, "cpu": "10m", "memory": "64Mi"}')
ENTRY = {"namespace": "edge", "secret": "lab-tls", "source": "self-signed"}
CERTIFICATES = ("--data", f"certificates={json.dumps([ENTRY])}")
NAME = "blue.lab.test"

#: What is measured, its bound, and the unit; of several rounds the worst.
BOUNDS = {
    "from the API's answer until proven": (5.0, "s"),
    "failed handshakes": (0, ""),
    "handshakes": (None, ""),
    "places that served the new serial": (None, ""),
    "the whole run: wall": (None, "s"),
    "nothing due: wall": (None, "s"),
}


def proven(folder: Path) -> float:
    """Seconds from the write until every place served it, off the journal."""
    lines = (newest_run(folder) / "journal.jsonl").read_text().splitlines()
    return max(float(it["seconds"]) for it in map(json.loads, lines) if it["event"] == "rotated")


def measured(folder: Path, rounds: int) -> dict[str, float]:
    from tests.lab.handshakes import handshakes

    for part in ("config.py", "deploys", "inventory"):
        (folder / part).symlink_to(REPOSITORY / part)
    if OWN:
        lab(LAB, "up", "1")
        lab(LAB, "sample")
        deployed(folder, LAB, "install", *TWO)
    one = ("--limit", first())
    deployed(folder, LAB, "rotate_certificates", *one, *CERTIFICATES, "--data", "renew_now=True")
    cluster = first_cluster(folder)
    places = [it for it in cluster["answers"] if it.startswith("address ")]
    address = places[0].removeprefix("address ").partition(":")[0]
    seconds, walls = [], []
    with handshakes(address, NAME) as met:
        for _ in range(rounds):
            asked = (*one, *CERTIFICATES, "--data", "renew_now=True")
            walls.append(deployed(folder, LAB, "rotate_certificates", *asked))
            seconds.append(proven(folder))
    served = len(first_cluster(folder)["answers"])
    calm = deployed(folder, LAB, "rotate_certificates", *one, *CERTIFICATES)
    return {
        "from the API's answer until proven": max(seconds),
        "failed handshakes": float(sum(met.failed.values())),
        "handshakes": float(met.sent),
        "places that served the new serial": float(served),
        "the whole run: wall": max(walls),
        "nothing due: wall": calm,
    }


def first() -> str:
    """The first cluster of the lab."""
    from tasks.lab import state

    return state.running(LAB).members()[0].name


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the bounds of a rotation.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if OWN:
        lab(LAB, "down")
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = measured(Path(folder), given.rounds)
    finally:
        if OWN:
            lab(LAB, "down")
    return shown(found, BOUNDS)


if __name__ == "__main__":
    raise SystemExit(main())
