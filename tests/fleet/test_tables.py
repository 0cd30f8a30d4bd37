from __future__ import annotations

import io
import json
from collections.abc import Sequence

import pytest
from typing_extensions import override

from tasks.checks.findings import Finding, Where
from tasks.fleet.tables import Output, chosen, print_findings, print_table

FOUND = [
    Finding("GW201", "warning", Where("weu-1"), "ended\n[red]\x1b[31m2026[/]", "upgrade"),
    Finding("GW101", "error", Where("weu-2", "CRD x"), "is not installed", "apply it"),
]


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("output", "terminal", "ci", "how"),
    [
        pytest.param(None, True, "", "table", id="terminal"),
        pytest.param(None, False, "", "lines", id="pipe or file"),
        pytest.param(None, True, "true", "lines", id="pipeline with a terminal"),
        pytest.param("table", False, "true", "table", id="asked for"),
        pytest.param("json", True, "", "json", id="JSON asked for"),
    ],
)
def test_chosen(
    output: Output | None, terminal: bool, ci: str, how: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    assert chosen(output, Terminal() if terminal else io.StringIO()) == how


def printed(findings: Sequence[Finding], output: Output, terminal: bool = False) -> str:
    stream = Terminal() if terminal else io.StringIO()
    print_findings(findings, output, stream)
    return stream.getvalue()


def test_lines() -> None:
    assert printed(FOUND, "lines") == (
        "error GW101 weu-2: CRD x: is not installed: apply it (docs/findings.md#gw101)\n"
        "warning GW201 weu-1: ended [red] [31m2026[/]: upgrade (docs/findings.md#gw201)\n"
        "1 error, 1 warning, 0 infos\n"
    )


def test_lines_of_nothing() -> None:
    assert printed([], "lines") == "nothing found\n"


def test_table_takes_no_markup_from_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = printed(FOUND, "table")
    assert "ended [red] [31m2026[/]: upgrade" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("no_color", "coloured"),
    [pytest.param("", True, id="colours"), pytest.param("1", False, id="NO_COLOR")],
)
def test_table_on_a_terminal(
    no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    assert ("\x1b[1;31m" in printed(FOUND, "table", terminal=True)) == coloured


def test_json_is_one_document() -> None:
    assert json.loads(printed(FOUND, "json"))["schema"] == "envoyfleet.findings/1"


def test_table_of_rows_as_lines() -> None:
    stream = io.StringIO()
    print_table(("cluster", "why"), [("lab-1", ""), ("lab-10", "held")], "lines", stream, "exit 5")
    assert stream.getvalue() == "exit 5\ncluster  why\nlab-1    -\nlab-10   held\n"


def test_table_of_rows_as_json() -> None:
    stream = io.StringIO()
    print_table(("cluster",), [("lab-1",)], "json", stream, schema="envoyfleet.status/1")
    assert json.loads(stream.getvalue()) == {
        "schema": "envoyfleet.status/1",
        "rows": [{"cluster": "lab-1"}],
    }
