"""
Every command of README.md and docs/ on ``inventory/lab.py``, on the lab: those that only read, and
every night those that write, where nothing is to do. What would move a release is shown, not done.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.documented import Command
from tests.lab.fleet import NEW, Fleet, opened
from tests.test_docs_commands import of

pytestmark = pytest.mark.lab
nightly = pytest.mark.nightly

#: They do what the docs describe, as test_deploys.py proves; here they show their plan.
SHOWN = ("deploys/rollback.py", "rate_limit_redis=")
#: 3: findings are what an audit is for; the lab's certificates are signed by nobody known.
GOOD = (0, 3)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """One cluster with the wanted release, and a backup to be verified."""
    found = opened(tmp_path_factory.mktemp("docs"))
    name = found.names[0]
    found = Fleet(found.lab, found.folder, (*found.more, "--limit", name))
    deploy = "install" if found.version(name) in ("", NEW) else "upgrade"
    for it in (deploy, "backup"):
        ended = found.pyinfra(it, "-y")
        assert ended.code == 0, ended.text
    return found


def marked() -> list[Any]:
    """Those that ask nothing may write."""
    return [
        pytest.param(it.values[0], id=it.id, marks=nightly if "-y" in it.values[0].words else ())
        for it in of("lab")
    ]


@pytest.mark.parametrize("command", marked())
def test_command(fleet: Fleet, command: Command) -> None:
    words = command.words[1:]
    if "--limit" in words:  # the fleet's own limit is the one cluster there is
        at = words.index("--limit")
        words = words[:at] + words[at + 2 :]
    shown = any(it.startswith(SHOWN) for it in words) and "--dry" not in words
    ended = fleet.run(*words, *(["--dry"] if shown else []))
    assert ended.code in GOOD, ended.text
