"""
A sample of the captures made anew by real Envoys, in a process that needs no cluster: what they say
now is what the diagnosis was scored on.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.captures import FOLDER, read
from tests.lab.running import REPOSITORY

pytestmark = pytest.mark.lab

#: One of each way in which a request can end.
SAMPLE = (
    "app_knows_no_path",
    "authz_down",
    "closed",
    "coalesced_last",
    "ejected",
    "host_typo",
    "jwt_none",
    "limited",
    "baseline",
    "overflow",
    "plain_to_tls",
    "selects_nothing",
    "too_slow",
    "untrusted",
    "wrong_target_port",
)
KEYS = ("response_code", "response_flags", "response_code_details", "route_name")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captures")
    names = SAMPLE
    command = [sys.executable, "-m", "tests.captures", "--out", str(folder), "--exact", *names]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("name", SAMPLE)
def test_what_envoys_say_now_is_what_is_kept(made: Path, name: str) -> None:
    now, kept = (read(folder / f"{name}.json.gz") for folder in (made, FOLDER))
    assert _said(now) == _said(kept)
    assert now["expected"] == kept["expected"]


def _said(capture: dict[str, Any]) -> dict[str, Any]:
    line = capture["observed"]["log_line"] or {}
    return {"status": capture["observed"]["status"], **{key: line.get(key) for key in KEYS}}
