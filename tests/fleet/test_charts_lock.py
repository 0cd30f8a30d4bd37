"""``python -m tasks.fleet.charts lock``: what it pins, and what it refuses in a line and with 2."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tasks.fleet.charts import Chart, ChartRefused, lock_command, locked, main, read_lock

SOURCE = "oci://docker.io/envoyproxy/gateway-helm"


@pytest.fixture
def chart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a chart, in the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = Path("charts/gateway-helm")
    folder.mkdir(parents=True)
    (folder / "Chart.yaml").write_text("name: gateway-helm\nversion: v1.9.1\n")
    (folder / "values.yaml").write_text("{}\n")
    return folder


def lock(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["charts", "lock", *arguments])
    main()


def test_a_folder_is_pinned_by_its_content(chart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pinned() -> Chart:
        return locked(str(chart), "1.9.1", Path("fleet.lock"), "helm", plain_http=False)

    lock(monkeypatch, str(chart), "1.9.1")
    assert read_lock(Path("fleet.lock")) == {"gateway-helm": {"1.9.1": pinned().digest}}
    (chart / "values.yaml").write_text("deployment: {}\n")
    with pytest.raises(ChartRefused, match=r"^charts/gateway-helm 1\.9\.1 has digest sha256:"):
        pinned()


@pytest.mark.parametrize(
    ("arguments", "about", "line"),
    [
        (
            ["charts/gateway-helm", "1.9.0"],
            None,
            "charts/gateway-helm holds version v1.9.1, not 1.9.0: correct chart or the version",
        ),
        (
            ["charts", "1.9.1"],
            None,
            "charts is not a chart folder (No such file or directory): correct chart",
        ),
        (
            ["charts/gateway-helm", "1.9.1"],
            "- a",
            "charts/gateway-helm/Chart.yaml holds no mapping: correct the chart",
        ),
        (
            ["charts/gateway-helm", "1.9.1"],
            "a: ]",
            "charts/gateway-helm/Chart.yaml is not YAML: while parsing a block node did not "
            'find expected node content in "<byte string>", line 1, column 4: correct the chart',
        ),
        (
            ["charts/gateway-helm", "1.9.1", "--lock", "no/fleet.lock"],
            None,
            "no/fleet.lock cannot be written (No such file or directory)",
        ),
        (
            [SOURCE, "1.9.1", "--helm", "no-such-helm"],
            None,
            "no-such-helm is not installed: install Helm 3.17 or newer, or set helm in the "
            "inventory",
        ),
    ],
)
def test_refuses(
    chart: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    about: str | None,
    line: str,
) -> None:
    if about:
        (chart / "Chart.yaml").write_text(about)
    with pytest.raises(SystemExit) as ended:
        lock(monkeypatch, *arguments)
    assert (capsys.readouterr().err, ended.value.code) == (f"{line}\n", 2)


def test_the_command_says_what_differs_from_its_defaults() -> None:
    assert lock_command(SOURCE, "1.9.1", Path("fleet.lock"), "helm", False) == (
        f"python -m tasks.fleet.charts lock {SOURCE} 1.9.1"
    )
    assert lock_command(SOURCE, "1.9.1", Path("my lock"), "/opt/helm", True) == (
        f"python -m tasks.fleet.charts lock {SOURCE} 1.9.1 --lock 'my lock' --helm /opt/helm "
        "--plain-http"
    )
