"""The files of a run: what the tables and the suites say of a cluster that failed or was held."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from typing_extensions import override

from tasks.fleet import report
from tasks.fleet.report import write

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs/report.schema.json").read_text())
PAGE = ROOT / "templates/report/report.html.j2"

WHY = "conflict with a|b"
HELD = "after ring 0: 1 of 3 clusters failed (lab-1), max_failed allows 0"


def step(name: str, status: str = "unchanged", error: str | None = None) -> dict[str, Any]:
    at = "2026-11-21T15:36:14.5Z"
    about = {"name": name, "started": at, "status": status, "seconds": 0.1}
    return {**about, "attempts": 1, "error": error}


def cluster(name: str, status: str, why: str, steps: list[Any], **facts: str) -> dict[str, Any]:
    about = {"name": name, "ring": 0, "status": status, "why": why, "steps": steps}
    return {**about, "facts": facts, "answers": {}, "traffic": None, "warnings": []}


def gate(**more: Any) -> dict[str, Any]:
    about = {"at": "2026-11-21T15:36:15Z", "ring": 0, "part": 1, "parts": 1, "following": 1}
    return {**about, "passed": True, "why": None, "approved_by": None, **more}


FINDING = {
    "code": "GW301",
    "severity": "error",
    "cluster": "lab-1",
    "object": "Gateway edge/public",
    "part": None,
    "what": "is not Programmed",
    "fix": "read a|b",
    "docs": "docs/findings.md#gw301",
}
CHANGE = {"title": "Will change EnvoyProxy eg/envoy", "diff": ["-a", "+```"], "clusters": ["lab-1"]}
DOCUMENT: dict[str, Any] = {
    "schema": "envoyfleet.run/1",
    "id": "20261121T153614Z-install",
    "deploy": "install",
    "inventory": "inventory/lab.py",
    "who": "anna@jump-1",
    "started": "2026-11-21T15:36:14+00:00",
    "ended": "2026-11-21T15:36:18.4+00:00",
    "seconds": 4.4,
    "exit": 5,
    "clusters": [
        cluster("lab-1", "failed", WHY, [step("Ring 0 | Gateways", "failed", WHY)], Envoy="1.39"),
        cluster("lab-2", "held", HELD, [step("Gate after ring 0")]),
        cluster("lab-3", "unreachable", "no answer", []),
    ],
    "gates": [gate(passed=False, why=HELD)],
    "findings": [FINDING],
    "changes": [CHANGE],
}
BAKE = {"event": "bake", "at": "2026-11-21T15:36:14Z", "ring": 0, "seconds": 600}
JOURNAL = [BAKE, {"event": "gate", **gate(why=HELD)}, {"event": "step", "cluster": "lab-1"}]


def test_a_row_of_the_markdown_tables_has_a_cell_a_column(tmp_path: Path) -> None:
    write(tmp_path, DOCUMENT)
    text = (tmp_path / "report.md").read_text()
    rows = [it for it in text.splitlines() if it.startswith("| ") and "---" not in it]
    assert rows == [
        "| status | clusters | why |",
        r"| failed | lab-1 | conflict with a\|b |",
        "| unreachable | lab-3 | no answer |",
        f"| held | lab-2 | {HELD} |",
        "| severity | code | where | what | what to do |",
        r"| error | GW301 | lab-1, Gateway edge/public | is not Programmed | read a\|b |",
        "| cluster | ring | status | what | requests | lost |",
        "| lab-1 | 0 | failed | Envoy: 1.39 |  |  |",
        "| lab-2 | 0 | held |  |  |  |",
        "| lab-3 | 0 | unreachable |  |  |  |",
        "| lab-1 | status | seconds | error |",
        r"| Gateways | failed | 0.1 | conflict with a\|b |",
        "| lab-2 | status | seconds | error |",
        "| Gate after ring 0 | unchanged | 0.1 |  |",
    ]
    assert "````diff\n-a\n+```\n````\n" in text


def test_the_comment_on_a_pull_request_is_never_too_long(tmp_path: Path) -> None:
    def sizes(steps: int, lines: int, clusters: int) -> tuple[int, list[str]]:
        many = [
            cluster(f"weu-{it}", "held", HELD, [step("Gate")] * steps) for it in range(clusters)
        ]
        write(
            tmp_path,
            {**DOCUMENT, "clusters": many, "changes": [{**CHANGE, "diff": ["+x"] * lines}]},
        )
        text = (tmp_path / "report.md").read_text()
        return len(text), re.findall(r"<summary>(\w+)", text)

    assert sizes(1, 10, 20)[1] == ["Fleet", "Changes", "Steps"]
    assert sizes(300, 10, 20)[1] == ["Fleet", "Changes"]
    assert sizes(300, 40_000, 20)[1] == ["Fleet"]
    assert sizes(1, 10, 2000)[1] == []
    length, left = sizes(1, 10, 9000)
    assert (length <= report.COMMENT, left) == (True, [])


def test_report_json_has_its_schema(tmp_path: Path) -> None:
    write(tmp_path, DOCUMENT)
    document = json.loads((tmp_path / "report.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert document == DOCUMENT
    assert SCHEMA["title"] == report.SCHEMA


def test_the_page_about_runs_shows_one() -> None:
    text = (ROOT / "docs/how-a-run-works.md").read_text()
    [shown] = [it for it in re.findall(r"```json\n(.*?)```", text, re.DOTALL) if '"clusters"' in it]
    jsonschema.validate(json.loads(shown), SCHEMA)


class Outline(HTMLParser):
    """Tags that are open, and what a page would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.foreign: list[str] = []
        self.feed(text)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe", "object"):
            self.foreign.append(tag)
        self.foreign += [name for name, _ in attrs if name in ("src", "href", "onclick", "onload")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(tmp_path: Path) -> None:
    write(tmp_path, DOCUMENT, JOURNAL)
    text = (tmp_path / "report.html").read_text()
    found = Outline(text)
    assert (found.open, found.foreign) == ([], [])
    assert not re.search(r"url\(|@import|https?:", text)
    said = " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", text, flags=re.DOTALL).split())
    for one in (
        "install of inventory/lab.py: clusters failed, later rings were held",
        "3 clusters: 1 failed , 1 unreachable , 1 held . It took 4 s.",
        "What to do: correct what is said below",
        "anna@jump-1 · 2026-11-21 15:36:14 UTC to 2026-11-21 15:36:18 UTC · exit 5",
        "error GW301 lab-1 Gateway edge/public is not Programmed read a|b",
        "Ring 0 15:36:14 to 15:36:14 UTC, 0 s; baked for 10 min 0 s",
        "Will change EnvoyProxy eg/envoy lab-1 -a +```",
        "Lines of steps (1) are left out here.",
        f"gate ring 0, part 1, parts 1, following 1, passed yes, why {HELD}",
    ):
        assert one in said


def colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+(?:-\w+)?): (#[0-9a-f]{6})", css))


def luminance(colour: str) -> float:
    parts = [int(colour[it : it + 2], 16) / 255 for it in (1, 3, 5)]
    red, green, blue = (
        it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_that_is_written_can_be_read(scheme: str) -> None:
    """Contrast of text is 4.5 and of bars 3 at least, as WCAG 2.2 has it for level AA."""
    css = PAGE.read_text().split("@media (prefers-color-scheme: dark)")
    every = colours(css[0]) | (colours(css[1].split("}")[0]) if scheme == "dark" else {})

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(every[one]), luminance(every[other])))
        return (high + 0.05) / (low + 0.05)

    for text in ("ink", "quiet", "good", "wait", "bad"):
        for ground in ("page", "panel"):
            assert contrast(text, ground) >= 4.5, (text, ground)
    for bar in ("idle", "good-bar", "bad-bar", "wait-bar"):
        assert contrast(bar, "panel") >= 3, bar


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
    assert failure.get("message") == "Error: UPGRADE FAILED line | two <b>"
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
