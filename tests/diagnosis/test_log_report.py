"""What an operator reads of a log, whatever its format."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest

from tasks.diagnosis.log_report import main

DATA = Path(__file__).resolve().parents[1] / "data/access-logs"


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(DATA / it) for it in ("istio.log", "ours.jsonl", "odd.log")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:3] == [
        "istio.log: 2 entries, 2026-11-21T02:59:26.205Z to 2026-11-21T02:59:26.300Z",
        "ours.jsonl: 2 entries, 2026-11-21T02:59:26.199Z to 2026-11-21T02:59:27.001Z",
        "odd.log: 2 entries, 2026-11-21T02:59:26.205Z to 2026-11-21T02:59:26.205Z",
    ]
    assert printed[3] == "odd.log: 1 lines were not read: JSON that is cut or broken: line 1"
    assert "4 of 6 failed:" in printed
    refused = next(it for it in printed if "default" in it)
    assert refused.split() == [
        *("1", "503", "UF", "envoy", "cart.example.com", "default", "2026-11-21T02:59:26.205Z"),
        *("Nothing", "listens", "on", "this", "port", "of", "the", "backend."),
    ]
    assert any(it.endswith("The client sent plain HTTP to a TLS port.") for it in printed)


def test_where_time_went(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = json.loads((DATA / "ours.jsonl").read_text().splitlines()[0])
    path = tmp_path / "slow.jsonl"
    path.write_text(json.dumps({**line, "duration": 2000, "duration_upstream": 1900}))
    assert main([str(path)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("2000 ms  backend 95%, envoy 5%, connect 0%, client 0%, response 0%")


def test_json_of_packed_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = gzip.compress((DATA / "envoy-gateway.jsonl").read_bytes())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(packed)))
    assert main(["-", "--output", "json"]) == 0
    (kind,) = json.loads(capsys.readouterr().out)["kinds"]
    assert (kind["count"], kind["flags"], kind["cause"], kind["answered_by"]) == (
        1,
        "UF",
        "upstream_connection_refused",
        "envoy",
    )
    assert kind["example"] == {"source": "standard input", "line": 1}


def test_a_host_that_draws_on_terminals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"response_code": 404, ":authority": "a\x1b[2J\u202eb"}))
    assert main([str(path)]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "a?[2J?b" in printed


def test_all_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"response_code": 200}\n')
    assert main([str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Nothing failed, and nothing was slow."


def test_files_that_are_no_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "missing.log"
    assert main([str(missing)]) == 2
    said = capsys.readouterr().err
    assert said == f"{missing}: cannot be read: No such file or directory\n"
    (tmp_path / "x").write_text("no log\n")
    assert main([str(tmp_path / "x")]) == 2
    assert "x: 1 lines were not read: in no known format" in capsys.readouterr().out
