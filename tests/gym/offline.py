"""A bundle folder, diagnosed as ``python -m tasks.diagnosis`` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def diagnosed(folder: Path) -> dict[str, Any]:
    from tasks.diagnosis.bundle import read
    from tasks.diagnosis.diagnosis import as_json
    from tasks.diagnosis.explain import diagnosis

    return as_json(diagnosis(read(folder)))
