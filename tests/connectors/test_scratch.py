"""What a killed run leaves in the folder for temporary files goes with a later one."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.connectors import scratch

MAKES_ONE = "from tasks.connectors import scratch; print(scratch.made())"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def of_a_dead_run() -> Path:
    done = subprocess.run([sys.executable, "-c", MAKES_ONE], capture_output=True, text=True)
    folder = Path(done.stdout.strip())
    (folder / "kubeconfig").write_text("token")
    return folder


def test_it_is_private() -> None:
    assert scratch.made().stat().st_mode & 0o777 == 0o700


def test_that_of_a_dead_run_goes_and_that_of_a_living_one_stays() -> None:
    left, mine = of_a_dead_run(), scratch.made()
    scratch.sweep()
    assert (left.exists(), mine.exists()) == (False, True)


def test_one_that_a_program_uses_stays() -> None:
    left = of_a_dead_run()
    environment = {"KUBECONFIG": f"{left}/kubeconfig"}
    helm = subprocess.Popen(["/bin/sleep", "30"], env=environment)
    try:
        while not Path(f"/proc/{helm.pid}/environ").read_bytes():
            time.sleep(0.01)  # the system is not done with starting it
        scratch.sweep()
        assert left.exists()
    finally:
        helm.kill()
        helm.wait()
    scratch.sweep()
    assert not left.exists()


def test_folders_of_others_stay(tmp_path: Path) -> None:
    other = tmp_path / "envoyfleet-1-1-abc"  # another namespace of process numbers
    other.mkdir()
    scratch.sweep()
    assert other.exists()
