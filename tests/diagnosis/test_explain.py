"""The shared captures, whole and with files missing, and what is no finding."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.diagnosis import bundle as reading
from tasks.diagnosis.diagnosis import Diagnosis, as_json
from tasks.diagnosis.evidence import Entry, Evidence, Exchange, Request
from tasks.diagnosis.explain import diagnosis
from tests.captures import bundle, read

SCENARIOS = sorted((Path(__file__).parents[1] / "data" / "scenarios").glob("*.json.gz"))


def answer(capture: Mapping[str, Any], folder: Path, *dropped: str) -> dict[str, Any]:
    """What is said of a capture, without files whose names begin so."""
    made = bundle(capture, folder / "bundle")
    for it in made.iterdir():
        if it.name.startswith(dropped or ("\0",)):
            it.unlink()
    return as_json(diagnosis(reading.read(made)))


def named(path: Path) -> str:
    return path.name.removesuffix(".json.gz")


@pytest.mark.parametrize("path", SCENARIOS, ids=named)
def test_says_the_truth_of_shared_captures(path: Path, tmp_path: Path) -> None:
    capture = read(path)
    truth, said = capture["expected"], answer(capture, tmp_path)
    if truth["cause"] == "ok":
        assert said["findings"] == []
        assert said["verdict"]["cause"] == "ok"
        assert said["verdict"]["answered_by"] == "upstream"
        return
    (first,) = said["findings"]
    assert (first["cause"], first["answered_by"]) == (truth["cause"], truth["answered_by"])
    assert first["object"] == truth["faulty_object"]
    assert first["evidence"]
    assert first["fix"]


#: What one kind of file may cost: by what is missing, the captures that are then told otherwise.
COSTS = {
    ("access",): {},
    ("config_dump",): {},
    ("clusters",): {},
    ("stats",): {},
    ("k8s",): {},
    ("client",): {"redirect_loop": "ok"},
    ("access.eg",): {},
    ("access.eg", "access.guide", "stats", "clusters", "certs"): {},
}


@pytest.mark.parametrize("dropped", COSTS, ids=" and ".join)
def test_files_that_are_missing_cost_little(dropped: tuple[str, ...], tmp_path: Path) -> None:
    otherwise = {}
    for path in SCENARIOS:
        capture = read(path)
        said = answer(capture, tmp_path / named(path), *dropped)["verdict"]["cause"]
        if said != capture["expected"]["cause"]:
            otherwise[named(path)] = said
    assert otherwise == COSTS[dropped]


def test_missing_files_are_gaps_with_what_they_cost(tmp_path: Path) -> None:
    said = answer(read(SCENARIOS[0]), tmp_path, "k8s", "config_dump")
    assert [it["what"] for it in said["gaps"]] == ["config_dump.json", "k8s.json"]
    assert all(it["why"] == "absent" and it["cost"] for it in said["gaps"])


def test_nothing_at_hand_is_no_finding() -> None:
    it = diagnosis(Evidence())
    assert it == Diagnosis(reason="no request and no line of an access log is at hand")


def line(status: int, **fields: Any) -> Entry:
    known = {"method": "GET", "authority": "shop.example.com", "path": "/cart", "flags": ""}
    return Entry("access.log", 1, at="2026-11-22T10:00:00Z", status=status, **{**known, **fields})


def test_a_failure_that_nothing_explains_is_said_to_be_so() -> None:
    it = diagnosis(Evidence(entries=(line(431, details="request_headers_too_large"),)))
    assert (it.findings, it.unexplained) == ((), True)
    assert as_json(it)["verdict"]["cause"] == "unexplained"


def test_old_failures_of_the_same_host_are_not_asked_about() -> None:
    old = line(503, flags="UH", details="no_healthy_upstream", upstream_cluster="shop")
    new = line(200, details="via_upstream", upstream_host="10.0.0.7:80", upstream_cluster="shop")
    assert diagnosis(Evidence(entries=(old, new))).findings == ()
    assert [it.cause for it in diagnosis(Evidence(entries=(new, old))).findings] == [
        "no_healthy_endpoints"
    ]


def test_a_log_of_a_live_cluster_asks_about_no_client_that_looks_for_holes() -> None:
    scan = line(404, flags="NR", details="route_not_found", path="/wp-login.php")
    assert diagnosis(Evidence(entries=(scan,), live=True, objects=None)).findings == ()


def test_the_question_is_the_last_request_of_the_client() -> None:
    asked = Request(host="shop.example.com", path="/cart")
    failing = line(503, flags="UO", details="upstream_reset_before_response_started{overflow}")
    good = line(200, details="via_upstream", upstream_host="10.0.0.7:80")
    exchanges = (Exchange(asked, 503), Exchange(asked, 200))
    assert diagnosis(Evidence(exchanges, (failing, good))).findings == ()
    found = diagnosis(Evidence(exchanges[::-1], (good, failing))).findings
    assert [it.cause for it in found] == ["circuit_breaker_overflow"]


def test_answers_on_the_command_line_from_any_folder(tmp_path: Path) -> None:
    made = bundle(read(SCENARIOS[0]), tmp_path / "bundle")
    command = [sys.executable, "-m", "tasks.diagnosis", str(made), "--output", "json"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert '"cause": "backend_404"' in ran.stdout
    asked = subprocess.run(
        [*command, "--exit-code"], cwd=tmp_path, capture_output=True, check=False
    )
    assert asked.returncode == 3


def test_the_fix_of_a_wrong_port_can_be_pasted(tmp_path: Path) -> None:
    path = next(it for it in SCENARIOS if named(it) == "uf_connection_refused")
    (found,) = answer(read(path), tmp_path / "bundle")["findings"]
    change = '[{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 3000}]'
    assert found["field"] == "spec.ports[0].targetPort"
    assert found["fix"] == f"kubectl -n shop patch service cart --type=json -p='{change}'"


def test_no_folder_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tasks.diagnosis", str(tmp_path / "nowhere")]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert len(ran.stderr.splitlines()) == 1
