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
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
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


def lab(*arguments: str) -> str:
    command = [sys.executable, "-m", "tasks.lab", *arguments, "--name", LAB]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout


def pyinfra(deploy: str, *more: str) -> float:
    """Seconds of one run, which must end well."""
    program = Path(sys.executable).parent / "pyinfra"
    begun = time.monotonic()
    done = subprocess.run(
        [program, "inventory/lab.py", f"deploys/{deploy}.py", "-y", *more],
        cwd=REPOSITORY,
        env={**os.environ, "ENVOYFLEET_LAB": LAB},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return time.monotonic() - begun


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


def nothing_to_do(status: dict[str, Any]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        mark, helm = Path(folder) / "was-run", Path(folder) / "helm"
        helm.write_text(f"#!/bin/sh\necho run >> {mark}\nexit 1\n")
        helm.chmod(0o755)
        seconds = []
        for _ in range(AGAIN):
            before = [len(it) for it in audited(status)]
            seconds.append(pyinfra("install", *OLD, "--data", f"helm={helm}"))
        made = [it[count:] for it, count in zip(audited(status), before, strict=True)]
        writes = [it for one in made for it in one if it["verb"] not in ("get", "list", "watch")]
        return {
            "nothing to do: wall, median of 5": statistics.median(seconds),
            "nothing to do: requests a cluster": max(map(len, made)),
            "nothing to do: writes": len(writes),
            "nothing to do: helm processes": len(mark.read_text().split()) if mark.exists() else 0,
        }


def measured() -> dict[str, float]:
    begun = time.monotonic()
    lab("up", "3")
    found = {"lab up 3 until all nodes are Ready": time.monotonic() - begun}
    lab("sample")
    status = json.loads(lab("status", "--json"))
    found["install on 3 clusters until traffic flows"] = pyinfra("install", *OLD)
    found["memory a cluster with one Gateway (PSS)"] = proportional_memory()
    found |= nothing_to_do(status)
    found["upgrade of 3 clusters in 2 rings"] = pyinfra("upgrade")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the bounds of the main job.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.parse_args()
    sys.path.insert(0, str(REPOSITORY))
    lab("down")
    try:
        found = measured()
    finally:
        lab("down")
    missed = 0
    for name, (bound, unit) in BOUNDS.items():
        value = found[name]
        good = bound is None or value <= bound
        missed += not good
        limit = "no bound" if bound is None else f"at most {bound:g} {unit}".strip()
        print(f"{'ok  ' if good else 'MISS'} {name}: {value:.1f} {unit} ({limit})")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
