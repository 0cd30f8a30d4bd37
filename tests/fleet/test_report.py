"""The files of a run: what the tables and the suites say of a cluster that failed or was held."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tasks.fleet.report import write

WHY = "conflict with a|b"
HELD = "after ring 0: 1 of 3 clusters failed (lab-1), max_failed allows 0"


def step(name: str, status: str = "unchanged", error: str | None = None) -> dict[str, Any]:
    return {"name": name, "started": "", "status": status, "seconds": 0.1, "error": error}


def cluster(name: str, status: str, why: str, steps: list[Any], **facts: str) -> dict[str, Any]:
    about = {"name": name, "ring": 0, "status": status, "why": why, "steps": steps}
    return {**about, "facts": facts, "answers": {}}


DOCUMENT = {
    "id": "20261121T153614Z-install",
    "deploy": "install",
    "inventory": "inventory/lab.py",
    "seconds": 4.4,
    "exit": 5,
    "clusters": [
        cluster("lab-1", "failed", WHY, [step("Ring 0 | Gateways", "failed", WHY)], Envoy="1.39"),
        cluster("lab-2", "held", HELD, [step("Gate after ring 0")]),
        cluster("lab-3", "unreachable", "no answer", []),
    ],
}


def test_a_row_of_the_markdown_tables_has_a_cell_a_column(tmp_path: Path) -> None:
    write(tmp_path, DOCUMENT)
    text = (tmp_path / "report.md").read_text()
    rows = [it for it in text.splitlines() if it.startswith("| lab-") or "Ring 0" in it]
    assert rows == [
        r"| lab-1 | 0 | failed | conflict with a\|b; Envoy: 1.39 |",
        f"| lab-2 | 0 | held | {HELD} |",
        "| lab-3 | 0 | unreachable | no answer |",
        r"| Ring 0 \| Gateways | failed | 0.1 | conflict with a\|b |",
    ]


def test_junit_counts_what_it_lists(tmp_path: Path) -> None:
    write(tmp_path, DOCUMENT)
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot()
    for suite in suites:
        listed = (len(suite), len(suite.findall("*/failure")), len(suite.findall("*/skipped")))
        said = [suite.get(it) for it in ("tests", "failures", "skipped")]
        assert said == [str(it) for it in listed]
    assert [suite.get("failures") for suite in suites] == ["1", "0", "1"]
    assert [it.get("message") for it in suites.findall(".//skipped")] == [HELD]
