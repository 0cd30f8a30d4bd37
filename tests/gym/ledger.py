"""What the deploys of an operator said of each fault, as it was judged when it was played."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.gym.judge import Row, Verdict

Json = dict[str, Any]
FILE = Path(__file__).parents[1] / "data" / "gym" / "deploys.json"
#: Live, and from the bundle of deploys/support_bundle.py.
WAYS = DIAGNOSE, BUNDLE = ("diagnose.py", "support_bundle.py")


def keep(it: Row, release: str, file: Path = FILE) -> None:
    """
    In place of what was there of this fault, however it was judged. + release: of Envoy Gateway
    """
    every = kept(file)
    every[it.it.name] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "release": release,
        **{
            state: {way: asdict(one) for way, one in sorted(ways.items())}
            for state, ways in (("fault", it.fault), ("alike", it.alike))
        },
    }
    lines = [f"{json.dumps(key)}: {json.dumps(one)}" for key, one in sorted(every.items())]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def kept(file: Path = FILE) -> dict[str, Json]:
    """
    {"jwt-missing": {"date": "2026-11-22", "release": "1.9.1", "fault": {"diagnose.py": a verdict},
    "alike": ...}}
    """
    found: dict[str, Json] = json.loads(file.read_text()) if file.exists() else {}
    return found


def verdicts(noted: Mapping[str, Json], name: str, state: str) -> dict[str, Verdict]:
    """+ noted: as ``kept`` gives it; + state: of it, "fault" or "alike", as a key"""
    ways = noted.get(name, {}).get(state, {})
    return {way: Verdict(**it) for way, it in ways.items()}


def played(noted: Mapping[str, Json]) -> str:
    """When and with what, such as "2026-11-22, Envoy Gateway 1.9.1"."""
    days = sorted({it["date"] for it in noted.values()})
    releases = sorted({it["release"] for it in noted.values()})
    return f"{' to '.join(dict.fromkeys((days[0], days[-1])))}, Envoy Gateway {', '.join(releases)}"
