"""The figures of a run for Prometheus: what they say, and that promtool likes them."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.checks.findings import Finding, Where
from tasks.fleet import run as fleet_run
from tasks.fleet.inventory import parsed
from tasks.fleet.recorder import ClusterResult
from tasks.fleet.run import Run
from tasks.fleet.textfile import problems, write
from tasks.lab import monitoring
from tasks.plans.run_pages import STATUSES
from tests.api_server import Answer, ApiServer
from tests.command_line import CommandLine
from tests.fleet.test_run import STEPS, Case, prepared

BEGAN = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
TRAFFIC = {"requests": 933, "failures": {"503": 2, "TimeoutError": 1}, "longest_gap": 0.4}
WHO = 'deploy="upgrade",inventory="inventory/prod.py"'
SUCCESS = "envoyfleet_run_last_success_timestamp_seconds"


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int = 0, minutes: int = 3) -> Path:
    """The file of a run over two clusters."""
    monkeypatch.setattr(fleet_run, "now", lambda: BEGAN + timedelta(minutes=minutes))
    it = Run("upgrade", "inventory/prod.py", (), BEGAN)
    data = {"ring": 0, "envoy_gateway_version": "1.9.1", "metrics_folder": str(folder)}
    it.clusters = {name: parsed(data) for name in ("weu-1", "neu-1")}
    it.findings = [Finding("GW204", "warning", Where("weu-1"), "is old", "upgrade it")]
    results = [
        ClusterResult("weu-1", 0, "done", traffic=TRAFFIC),
        ClusterResult("neu-1", 1, "failed" if code else "unchanged"),
    ]
    write(it, results, code)
    return folder / "envoyfleet-prod-upgrade.prom"


def samples(path: Path) -> dict[str, float]:
    """Values by name and labels but for those that every one has."""
    found = {}
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name.replace(f"{WHO},", "").replace(f"{{{WHO}}}", "")] = float(value)
    return found


def test_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weu, neu = '{cluster="weu-1",ring="0"}', '{cluster="neu-1",ring="1"}'
    statuses = dict.fromkeys(STATUSES, 0) | {"done": 1, "failed": 1}
    severities = {"error": 0, "warning": 1, "info": 0}
    path = run(tmp_path, monkeypatch, code=1)
    assert samples(path) == {
        "envoyfleet_run_start_timestamp_seconds": BEGAN.timestamp(),
        "envoyfleet_run_end_timestamp_seconds": BEGAN.timestamp() + 180,
        "envoyfleet_run_duration_seconds": 180,
        "envoyfleet_run_exit_code": 1,
        **{f'envoyfleet_run_clusters{{status="{it}"}}': n for it, n in statuses.items()},
        **{f'envoyfleet_run_findings{{severity="{it}"}}': n for it, n in severities.items()},
        f"envoyfleet_run_cluster_succeeded{weu}": 1,
        f"envoyfleet_run_cluster_succeeded{neu}": 0,
        f"envoyfleet_run_probe_requests{weu}": 933,
        f"envoyfleet_run_probe_requests_lost{weu}": 3,
    }
    assert [it.name for it in tmp_path.iterdir()] == [path.name]


def test_promtool_finds_nothing_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run(tmp_path, monkeypatch).open() as file:
        done = subprocess.run(
            [monitoring.promtool(), "check", "metrics"],
            stdin=file,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_last_success_is_kept_by_runs_that_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = run(tmp_path, monkeypatch)
    good = BEGAN.timestamp() + 180
    assert samples(path)[SUCCESS] == good
    run(tmp_path, monkeypatch, code=5, minutes=60)
    assert (samples(path)[SUCCESS], samples(path)["envoyfleet_run_exit_code"]) == (good, 5)
    run(tmp_path, monkeypatch, code=3, minutes=90)
    assert samples(path)[SUCCESS] == BEGAN.timestamp() + 5400


@pytest.mark.parametrize("text", ["", "\x00", "{", f"{SUCCESS}{{{WHO}}} soon\n", "a" * 1000])
def test_a_file_that_is_none_is_written_anew(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "envoyfleet-prod-upgrade.prom").write_text(text)
    assert SUCCESS not in samples(run(tmp_path, monkeypatch, code=1))


def test_a_folder_that_went_takes_nothing_from_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run(tmp_path / "gone", monkeypatch)
    said = f"metrics: {path}: No such file or directory: not written\n"
    assert capsys.readouterr().err == said


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    data = {"ring": 0, "envoy_gateway_version": "1.9.1"}
    clusters = {
        "weu-1": parsed({**data, "metrics_folder": "/nowhere"}),
        "weu-2": parsed({**data, "metrics_folder": str(tmp_path)}),
        "weu-3": parsed({**data, "metrics_folder": "/nowhere"}),
        "weu-4": parsed(data),
    }
    assert problems(clusters) == [
        "weu-1 (and 1 more): metrics_folder: /nowhere is no folder: make it, or name another"
    ]


def test_a_run_leaves_its_figures(
    command_line: CommandLine, api_server: ApiServer, tmp_path: Path
) -> None:
    folder, figures = tmp_path / "clone", tmp_path / "figures"
    for it in (folder, figures):
        it.mkdir()
    api_server.cluster("weu-1")
    api_server.answer("POST", "/step", Answer())
    data = {"ring": 0, "envoy_gateway_version": "1.9.1", "metrics_folder": str(figures)}
    case = Case("", [], 0, f'clusters = [("@kube/weu-1", {data})]', (), {"deploys/steps.py": STEPS})
    kubeconfig = str(prepared(folder, case, api_server))
    arguments = ("inventory/prod.py", "deploys/steps.py")
    assert command_line.run(folder, (*arguments, "--dry"), KUBECONFIG=kubeconfig).code == 0
    assert [*figures.iterdir()] == []
    assert command_line.run(folder, (*arguments, "-y"), KUBECONFIG=kubeconfig).code == 0
    [path] = figures.iterdir()
    found = path.read_text()
    assert path.name == "envoyfleet-prod-steps.prom"
    who = 'deploy="steps",inventory="inventory/prod.py"'
    assert f'envoyfleet_run_cluster_succeeded{{cluster="weu-1",{who},ring="0"}} 1.0' in found
