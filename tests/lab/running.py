"""What the tests of the lab share: its commands, and the small lab they run on."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
NAME = "labtest"
VERSION = "1.8.3"


def run(*arguments: str, name: str = NAME) -> subprocess.CompletedProcess[str]:
    """One command of the lab, as an operator types it."""
    command = [sys.executable, "-m", "tasks.lab", *arguments, "--name", name]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=300)


def until(what: str, check: Callable[[], object], seconds: float = 300) -> None:
    """
    Wait until something holds, and fail the test where it does not. A look that fails is no answer
    yet; CI's machine stands still for minutes at times, so bounds are not stated here.
    """
    deadline = time.monotonic() + seconds
    while True:
        problem = ""
        try:
            if check():
                return
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            problem = f": {error}"
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s{problem}"
        time.sleep(0.2)


@dataclass(frozen=True)
class LabUnderTest:
    """The lab that runs, by what ``status --json`` says of it."""

    name: str
    data: dict[str, Any]

    @property
    def cluster(self) -> dict[str, Any]:
        cluster: dict[str, Any] = self.data["clusters"][0]
        return cluster

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        command = [self.data["kubectl"], "--kubeconfig", self.data["kubeconfig"], *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=300)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout if done.returncode == 0 else done.stderr

    def get(self, *arguments: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output", "json"))
        return answer

    def fault(self, kind: str, switch: str, *more: str) -> None:
        done = run("fault", self.cluster["name"], kind, switch, *more, name=self.name)
        assert done.returncode == 0, done.stdout + done.stderr
