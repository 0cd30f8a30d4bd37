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
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
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


def lab(*arguments: str) -> None:
    command = [sys.executable, "-m", "tasks.lab", *arguments, "--name", LAB]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def pyinfra(folder: Path, deploy: str, *more: str) -> float:
    """One run, which must end well; its seconds."""
    begun = time.monotonic()
    done = subprocess.run(
        [
            *(Path(sys.executable).parent / "pyinfra", "inventory/lab.py"),
            *(f"deploys/{deploy}.py", "-y", *more),
        ],
        cwd=folder,
        env={**os.environ, "ENVOYFLEET_LAB": LAB},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return time.monotonic() - begun


def newest(folder: Path) -> Path:
    return max((folder / "runs").iterdir(), key=lambda it: it.stat().st_mtime)


def proven(folder: Path) -> float:
    """Seconds from the write until every place served it, off the journal."""
    lines = (newest(folder) / "journal.jsonl").read_text().splitlines()
    return max(float(it["seconds"]) for it in map(json.loads, lines) if it["event"] == "rotated")


def measured(folder: Path, rounds: int) -> dict[str, float]:
    from tests.lab.handshakes import handshakes

    for part in ("config.py", "deploys", "inventory"):
        (folder / part).symlink_to(REPOSITORY / part)
    if OWN:
        lab("up", "1")
        lab("sample")
        pyinfra(folder, "install", *TWO)
    one = ("--limit", first())
    pyinfra(folder, "rotate_certificates", *one, *CERTIFICATES, "--data", "renew_now=True")
    cluster: dict[str, Any] = report(folder)
    places = [it for it in cluster["answers"] if it.startswith("address ")]
    address = places[0].removeprefix("address ").partition(":")[0]
    seconds, walls = [], []
    with handshakes(address, NAME) as met:
        for _ in range(rounds):
            asked = (*one, *CERTIFICATES, "--data", "renew_now=True")
            walls.append(pyinfra(folder, "rotate_certificates", *asked))
            seconds.append(proven(folder))
    served = len(report(folder)["answers"])
    calm = pyinfra(folder, "rotate_certificates", *one, *CERTIFICATES)
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


def report(folder: Path) -> dict[str, Any]:
    """The one cluster of the newest run."""
    found: list[dict[str, Any]] = json.loads((newest(folder) / "report.json").read_text())[
        "clusters"
    ]
    return found[0]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the bounds of a rotation.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    sys.path.insert(0, str(REPOSITORY))
    if OWN:
        lab("down")
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = measured(Path(folder), given.rounds)
    finally:
        if OWN:
            lab("down")
    return shown(found)


def shown(found: dict[str, float]) -> int:
    """Print the table; 1 where a bound is missed."""
    missed = 0
    for name, (bound, unit) in BOUNDS.items():
        good = bound is None or found[name] <= bound
        missed += not good
        limit = "no bound" if bound is None else f"at most {bound:g} {unit}".strip()
        print(f"{'ok  ' if good else 'MISS'} {name}: {found[name]:.1f} {unit} ({limit})")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
