"""
README.md as a newcomer has it: a clone, a kubeconfig with one context, and the commands that stand
there, from the inventory to the first dry run. Nothing is written.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import documented
from tests.lab.fleet import NEW, Fleet, opened
from tests.lab.running import REPOSITORY

pytestmark = pytest.mark.lab

README = (REPOSITORY / "README.md").read_text()
CHART = "oci://docker.io/envoyproxy/gateway-helm"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """A cluster that has the release of README already, or none."""
    found = opened(tmp_path_factory.mktemp("others"))
    if found.version(found.names[0]) not in ("", NEW):
        assert found.pyinfra("upgrade", "-y", "--limit", found.names[0]).code == 0
    return found


@pytest.fixture(scope="module")
def clone(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone without a file of anybody's; its environment is the one of these tests."""
    folder = tmp_path_factory.mktemp("newcomer") / "envoyfleet"
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    done = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in filter(lambda it: (REPOSITORY / it).exists(), done.stdout.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    name = fleet.names[0]
    one = fleet.kubectl(name, "config", "view", "--minify", "--raw", "--flatten")
    (folder / "home/.kube").mkdir(parents=True)
    (folder / "home/.kube/config").write_text(one)
    inventory = re.search(r"```python\n(clusters = .*?)```", README, re.S)
    assert inventory
    text = inventory[1].replace("CONTEXT", name)
    # the lab has a registry of its own, without TLS
    chart = f'"chart": "{lab_chart(fleet)}", "chart_plain_http": True'
    (folder / "inventory/mine.py").write_text(text.replace('"ring": 0', f'"ring": 0, {chart}'))
    return folder


def lab_chart(fleet: Fleet) -> str:
    return str(fleet.lab.data["charts"][0]["ref"])


def typed(fleet: Fleet, clone: Path, command: str) -> subprocess.CompletedProcess[str]:
    """As it stands in README.md, but for the registry; in a shell without a terminal."""
    text = command.partition("#")[0].strip()
    if CHART in text:
        text = f"{text.replace(CHART, lab_chart(fleet))} --plain-http"
    programs = (Path(sys.executable).parent, Path(fleet.lab.data["helm"]).parent)
    return subprocess.run(
        ["bash", "-c", text],
        cwd=clone,
        env={
            "HOME": str(clone / "home"),
            "PATH": os.pathsep.join((*map(str, programs), "/usr/bin", "/bin")),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_from_a_clone_to_the_first_dry_run(fleet: Fleet, clone: Path) -> None:
    mine = [it.text for it in documented.commands() if it.page == "README.md"]
    first = next(n for n, it in enumerate(mine) if it.startswith("make setup"))
    steps = mine[first : first + 6]
    assert [it.split()[0] for it in steps] == ["make", ".", "python", *3 * ["pyinfra"]]
    began = len(list(fleet.requests(fleet.names[0])))
    pin, doctor, dry, run = (typed(fleet, clone, it) for it in steps[2:])  # .venv is there
    for it in (pin, doctor, dry, run):
        assert "Traceback" not in it.stdout + it.stderr
    assert pin.returncode == 0, pin.stderr
    assert f"gateway-helm {NEW} sha256:" in (clone / "fleet.lock").read_text() + pin.stdout
    assert (doctor.returncode, f"{NEW} pinned" in doctor.stdout) == (0, True), doctor.stderr
    assert dry.returncode == 0, dry.stderr
    assert "Will " in dry.stdout + dry.stderr
    # the one step that a test cannot take: somebody looks at the plan and says yes
    assert run.returncode == 2, run.stderr
    assert "there is no terminal to ask on: add -y to run" in run.stdout + run.stderr
    asked = list(fleet.requests(fleet.names[0]))[began:]
    writes = ("create", "update", "patch", "delete")
    written = [
        it["requestURI"]
        for it in asked
        if it["verb"] in writes
        and it["user"]["username"] == "admin"
        and "dryRun" not in it["requestURI"]
        and "/apis/authorization.k8s.io/" not in it["requestURI"]
    ]
    assert written == []
