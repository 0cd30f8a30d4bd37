"""
What a bundle folder tells, from any folder and without a cluster.

    python -m tasks.diagnosis BUNDLE --output json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tasks.diagnosis import bundle, report
from tasks.diagnosis.explain import diagnosis


def main(arguments: list[str] | None = None) -> int:
    """0: it is decided, 2: no such folder; 3 where that was asked for, and something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tasks.diagnosis", description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder, as docs/diagnosis.md lays it out")
    parser.add_argument("--output", choices=report.OUTPUTS, default="table")
    parser.add_argument(
        "--exit-code", action="store_true", help="3 where there is an error or a warning"
    )
    chosen = parser.parse_args(arguments)
    try:
        evidence = bundle.read(chosen.bundle)
    except (OSError, ValueError) as error:  # a null character in a name is a ValueError
        why = getattr(error, "strerror", None) or error
        said = f"{chosen.bundle}: no bundle that can be read: {why}{_advice(chosen.bundle)}"
        print(said, file=sys.stderr)
        return 2
    found = diagnosis(evidence)
    title = f"Diagnosis of {evidence.cluster or chosen.bundle.resolve().name}"
    report.write(found, chosen.output, sys.stdout, report.looked_at(evidence), title)
    wrong = any(it.severity != "info" for it in found.findings)
    return 3 if wrong and chosen.exit_code else 0


def _advice(path: Path) -> str:
    packed = path.name.endswith((".tar.gz", ".tgz", ".zip"))
    return ": unpack it, and name the folder" if packed else ": name its folder"


if __name__ == "__main__":
    sys.exit(main())
