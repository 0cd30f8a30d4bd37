"""What ``--keep`` keeps: what was seen, whatever is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.gym import archive, ledger
from tests.gym.deploys import Said, bad, line
from tests.gym.deploys import judged as judged_with_exit
from tests.gym.fault import Fault, Truth
from tests.gym.judge import Row, Verdict, judged

TRUTH = Truth("jwt_denied", ("SecurityPolicy", "shop", "cart"))
FAULT = Fault("jwt-missing", "policy", TRUTH)
RIGHT = {
    "cause": "jwt_denied",
    "object": {"kind": "SecurityPolicy", "namespace": "shop", "name": "cart"},
    "field": "spec.jwt",
    "answered_by": "envoy",
}
OTHER = {**RIGHT, "cause": "rbac_denied"}
INTENDED = Truth("intended_direct_response", TRUTH.thing)
TOLD = {**RIGHT, "cause": "intended_direct_response"}


def test_a_state_is_recorded_where_its_diagnosis_is_wrong(tmp_path: Path) -> None:
    seen, file = tmp_path / "seen", tmp_path / "states.tar.xz"
    for name, findings in (("right", [RIGHT]), ("wrong", [OTHER])):
        (seen / name).mkdir(parents=True)
        (seen / name / archive.LIVE).write_text(json.dumps({"findings": findings}))

    archive.keep(seen, file)

    with archive.recorded(file) as states:
        live = {name: json.loads((it / archive.LIVE).read_text()) for name, it in states.items()}
    found = {name: judged(it, TRUTH).found for name, it in live.items()}
    assert found == {"right": True, "wrong": False}


def test_what_is_not_played_again_stays(tmp_path: Path) -> None:
    file = tmp_path / "states.tar.xz"
    for name in ("first", "second"):
        (tmp_path / name / name).mkdir(parents=True)
        (tmp_path / name / name / "stats.txt").write_text(name)
        archive.keep(tmp_path / name, file)

    with archive.recorded(file) as states:
        assert sorted(states) == ["first", "second"]


def test_a_row_is_recorded_where_a_deploy_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "deploys.json"
    row = Row(FAULT, {ledger.DIAGNOSE: judged({"findings": [OTHER]}, TRUTH)}, {})

    ledger.keep(row, "1.9.1", file)

    assert ledger.verdicts(ledger.kept(file), "jwt-missing", "fault") == row.fault
    assert ledger.played(ledger.kept(file)).endswith(", Envoy Gateway 1.9.1")


@pytest.mark.parametrize(
    ("said", "truth", "found"),
    [
        pytest.param(Said(3, {"findings": [RIGHT]}), TRUTH, True, id="found, and exit 3"),
        pytest.param(Said(0, {"findings": [RIGHT]}), TRUTH, False, id="found, and exit 0"),
        pytest.param(Said(3, {"findings": [OTHER]}), TRUTH, False, id="another cause"),
        pytest.param(Said(0, {"findings": [TOLD]}), INTENDED, True, id="only told, and exit 0"),
        pytest.param(Said(0, {"findings": []}), None, True, id="well"),
        pytest.param(Said(3, {"findings": []}), None, False, id="well, and exit 3"),
    ],
)
def test_an_exit_code_that_is_not_of_the_findings_is_a_miss(
    said: Said, truth: Truth | None, found: bool
) -> None:
    assert judged_with_exit(said, truth).found == found


def test_a_row_of_the_table_says_what_was_not_seen() -> None:
    row = Row(FAULT, {ledger.DIAGNOSE: Verdict(True, True, 1, 0, "jwt_denied")}, {})

    assert line(row, "") == "| jwt-missing | yes | - | -, - |"
    assert line(row, "status 401: not within 30 s").endswith("| status 401: not within 30 s")
    assert bad(row) == 0
