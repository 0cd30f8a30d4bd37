"""What benchmarks share: a lab of their own, runs that are measured, and the table at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
#: Compiled modules are kept, as on everybody's machine; some sandboxes forbid it.
EVERYBODYS = {key: it for key, it in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def lab(name: str, *arguments: str) -> str:
    """One command of a lab, which must end well; what it printed."""
    command = [sys.executable, "-m", "tasks.lab", *arguments, "--name", name]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout


def deployed(folder: Path, name: str, deploy: str, *more: str) -> float:
    """Seconds of ``pyinfra inventory/lab.py deploys/<deploy>.py -y ...`` on this lab."""
    return ran(folder, name, "inventory/lab.py", f"deploys/{deploy}.py", "-y", *more)["wall"]


def ran(folder: Path, name: str, *arguments: str, good: Collection[int] = (0,)) -> dict[str, float]:
    """
    What one run of pyinfra took: {"wall": 2.6, "processor time": 1.9, "memory of the process
    (RSS)": 96.9}, in seconds and megabytes. What it printed is in "output" and "errors" of its
    folder.

    + good: how it may end
    """
    begun = time.monotonic()
    with (folder / "output").open("w") as output, (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "pyinfra", *arguments],
            cwd=folder,
            env={**EVERYBODYS, "ENVOYFLEET_LAB": name},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
        _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in good:
        texts = [(folder / it).read_text()[-3000:] for it in ("errors", "output")]
        raise SystemExit("\n".join(texts))
    return {
        "wall": time.monotonic() - begun,
        "processor time": usage.ru_utime + usage.ru_stime,
        "memory of the process (RSS)": usage.ru_maxrss / 1024,
    }


def newest_run(folder: Path) -> Path:
    return max((folder / "runs").iterdir(), key=lambda it: it.stat().st_mtime)


def first_cluster(folder: Path) -> dict[str, Any]:
    """Of the report of the newest run."""
    document = json.loads((newest_run(folder) / "report.json").read_text())
    found: dict[str, Any] = document["clusters"][0]
    return found


def shown(found: Mapping[str, float], bounds: Mapping[str, tuple[float | None, str]]) -> int:
    """
    Print the table; 1 where a bound is missed.

    + bounds: {"restore: wall": (90.0, "s")}, in its order; None is no bound
    """
    missed = 0
    for name, (bound, unit) in bounds.items():
        good = bound is None or found[name] <= bound
        missed += not good
        limit = "no bound" if bound is None else f"at most {bound:g} {unit}".strip()
        print(f"{'ok  ' if good else 'MISS'} {name}: {found[name]:.1f} {unit} ({limit})")
    return 1 if missed else 0
