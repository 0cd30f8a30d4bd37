from __future__ import annotations

from pathlib import Path

import pyinfra
import pytest

from tasks.connectors import api
from tests.fleet.in_memory import InMemory


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of its own, pyinfra as on its command line, and clusters of ``in_memory.Fleet``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pyinfra, "is_cli", True)  # order by line number, as deploys have it
    monkeypatch.setattr(api, "Api", InMemory)
    monkeypatch.setenv("PYINFRA_PROGRESS", "off")
