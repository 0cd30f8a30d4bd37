"""A sample of the generated bad inputs; ``make hardening`` tries 10,000 of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random

import pytest

from tests.api_server import ApiServer
from tests.bad_inputs import changes
from tests.bad_inputs.__main__ import PAGE, Count, page
from tests.bad_inputs.surfaces import KUBECONFIG, SURFACES
from tests.bad_inputs.tried import tried
from tests.command_line import CommandLine
from tests.fleet.test_run import DRY, ONE, Case, prepared

EACH = int(os.environ.get("ENVOYFLEET_MALFORMED", "360")) // len(SURFACES)
RUNS = max(1, EACH // 30)


@pytest.mark.parametrize("surface", SURFACES)
def test_none_ends_in_a_traceback(surface: str) -> None:
    faulty = [it for number in range(EACH) if (it := tried(surface, number)).faults]
    assert faulty == []


@pytest.mark.parametrize("surface", SURFACES)
def test_most_are_refused(surface: str) -> None:
    """Else the generator would alter what nobody reads."""
    assert sum(bool(tried(surface, number).lines) for number in range(20)) > 8


@pytest.mark.parametrize("number", range(RUNS))
@pytest.mark.parametrize("what", ["inventory", "kubeconfig", "group_data"])
def test_through_the_command_line(
    what: str, number: int, command_line: CommandLine, api_server: ApiServer, tmp_path: Path
) -> None:
    """Exit 2, lines, nothing asked of a cluster, nothing written."""
    random = Random(f"{what} {number}")
    api_server.cluster("weu-1")
    folder = tmp_path / "clone"
    folder.mkdir()
    files = {"inventory/group_data/all.py": "timeout = 300\n"}
    kubeconfig = prepared(folder, Case("", [], inventory=ONE, files=files), api_server)
    bad = {
        "inventory": folder / "inventory/prod.py",
        "group_data": folder / "inventory/group_data/all.py",
        "kubeconfig": kubeconfig,
    }[what]
    good = json.dumps(KUBECONFIG) if what == "kubeconfig" else bad.read_text()
    bad.write_bytes(random.choice((changes.cut, changes.encoded))(random, good.encode()) + b"[}(")
    before = {it: it.read_bytes() for it in folder.rglob("*") if it.is_file()}
    outcome = command_line.run(folder, DRY, KUBECONFIG=str(kubeconfig))
    lines = [it for it in outcome.lines if it]
    assert (outcome.code, "Traceback" in outcome.text) == (2, False), outcome.text
    assert 1 <= len(lines) <= 2, outcome.text
    assert api_server.asked == []
    after = {it: it.read_bytes() for it in folder.rglob("*") if it.is_file()}
    assert {it: text for it, text in after.items() if "__pycache__" not in it.parts} == before


def test_the_page_is_of_these_inputs() -> None:
    rows = [it.split(" | ")[0] for it in PAGE.read_text().splitlines() if it.startswith("| ")]
    wanted = page([Count(it, 1, 1, 0) for it in SURFACES]).splitlines()
    assert rows == [it.split(" | ")[0] for it in wanted if it.startswith("| ")]
