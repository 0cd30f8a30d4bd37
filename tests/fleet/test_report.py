"""The files of a run: what the tables and the suites say of a cluster that failed or was held."""

from __future__ import annotations

import json
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


COLOURED = "\x1b[31mError:\x1b[0m UPGRADE FAILED\n  line | two \x00\ud800\ufffe<b>"


def test_what_a_program_printed_breaks_no_file(tmp_path: Path) -> None:
    broken = step("Controller", "failed", COLOURED)
    write(tmp_path, {**DOCUMENT, "clusters": [cluster("lab-1", "failed", COLOURED, [broken])]})
    said = "Error: UPGRADE FAILED\n  line | two <b>"
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["clusters"][0]["why"] == said
    failure = ElementTree.parse(tmp_path / "junit.xml").find(".//failure")
    assert failure is not None
    assert failure.get("message") == said
    markdown = (tmp_path / "report.md").read_text()
    assert r"| Controller | failed | 0.1 | Error: UPGRADE FAILED line \| two <b> |" in markdown
    assert "two &lt;b&gt;" in (tmp_path / "report.html").read_text()


def test_a_step_that_was_interrupted_is_a_failure_to_ci(tmp_path: Path) -> None:
    interrupted = cluster("lab-1", "interrupted", "", [step("Controller", "running")])
    write(tmp_path, {**DOCUMENT, "clusters": [interrupted]})
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert [it.get("failures") for it in suites] == ["1"]
    assert [it.get("message") for it in suites.findall(".//failure")] == ["interrupted"]


def test_files_are_for_their_user_alone(tmp_path: Path) -> None:
    write(tmp_path, DOCUMENT)
    assert {it.name: it.stat().st_mode & 0o777 for it in tmp_path.iterdir()} == {
        "report.json": 0o600,
        "report.md": 0o600,
        "report.html": 0o600,
        "junit.xml": 0o600,
    }
