"""
Secrets of a run itself: its token, what its environment gives it, the key that opens backups. Every
deploy is run as loudly as it can be, and none of them is seen; whatever is written is its user's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.api_server import ApiServer
from tests.command_line import CommandLine, fresh
from tests.leaks import watched
from tests.test_backup import KEY, RECIPIENTS, clone, ran
from tests.test_canaries import CANARY
from tests.test_canaries import server as server

DEPLOYS = sorted(it.stem for it in (Path(__file__).parents[1] / "deploys").glob("*.py"))
#: The others are run by ``make nightly``.
SAMPLE = ("install", "monitoring", "restore")
TOKEN, WEBHOOK, LOKI, GRAFANA = (f"canary-{it}-5d1c0f6b2e7a" for it in "twlg")
LOUD = ("-vvv", "--debug")
#: Stands in for helm, for long enough to be looked at.
HELM = "#!/bin/sh\nsleep 0.4\necho v3.17.3\n"
INVENTORY = """
clusters = [("@kube/weu-1", {data!r})]
"""


def loud(command_line: CommandLine, folder: Path, server: ApiServer, deploy: str) -> str:
    """All that one run printed."""
    folder.mkdir()
    for name in ("config.py", "deploys", "templates"):
        (folder / name).symlink_to(Path(__file__).parents[1] / name)
    (folder / "helm").write_text(HELM)
    (folder / "helm").chmod(0o755)
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_text(str(KEY))
    (folder / "kubeconfig").write_text(json.dumps(server.kubeconfig("weu-1", token=TOKEN)))
    data = {
        "ring": 0,
        "envoy_gateway_version": "1.9.1",
        "helm": str(folder / "helm"),
        "timeout": 2,
        "kube_timeout": 5,
        "backup": {"recipients": RECIPIENTS, "identity": str(folder / "key")},
        "notifications": [{"kind": "webhook", "url_env": "HOOK"}],
        "diagnosis": {"loki": {"url": "http://127.0.0.1:9", "token_env": "LOKI_TOKEN"}},
        "monitoring": {
            "environment": "test",
            "grafana": {"url": "http://127.0.0.1:9", "token_env": "GRAFANA_TOKEN"},
        },
        "name": "gateway-not-responding",
        "gateways": [
            {
                "name": "public",
                "namespace": "edge",
                "listeners": [{"name": "http", "port": 80}],
            }
        ],
    }
    (folder / "inventory").mkdir()
    (folder / "inventory/prod.py").write_text(INVENTORY.format(data=data))
    asked = () if deploy in ("status", "doctor") else ("-y",)
    return command_line.run(
        folder,
        ("inventory/prod.py", f"deploys/{deploy}.py", *asked, *LOUD),
        KUBECONFIG=str(folder / "kubeconfig"),
        HOOK=f"http://127.0.0.1:9/{WEBHOOK}",
        LOKI_TOKEN=LOKI,
        GRAFANA_TOKEN=GRAFANA,
        TMPDIR=str(folder),
    ).text


@pytest.mark.parametrize(
    "deploy",
    [pytest.param(it, marks=() if it in SAMPLE else pytest.mark.nightly) for it in DEPLOYS],
)
@pytest.mark.timeout(120)
def test_no_deploy_tells_them(
    deploy: str, command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    folder = tmp_path / "clone"
    secrets = [TOKEN, WEBHOOK, LOKI, GRAFANA, CANARY, str(KEY)]
    places = [folder / it for it in ("runs", "rendered", "backups", "bundles", "adopted")]
    with watched(secrets, *places) as leaks:
        text = loud(command_line, folder, server, deploy)
    leaks.look_at("the output", text.encode())
    assert "Traceback" not in text
    assert leaks.found == set()
    assert open_to_others(*places) == []
    assert [it.name for it in folder.glob("envoyfleet-*")] == []


def open_to_others(*places: Path) -> list[str]:
    """What somebody else could read, of folders and all below."""
    every = [it for one in places if one.exists() for it in (one, *one.rglob("*"))]
    return [str(it) for it in every if it.stat().st_mode & 0o077]


@pytest.mark.timeout(120)
def test_what_a_run_writes_is_its_users_alone(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    folder = tmp_path / "clone"
    ended = ran(command_line, server, folder, "backup", "-y", recipients=RECIPIENTS)
    assert ended.code == 0, ended.text
    places = [folder / it for it in ("runs", "backups")]
    assert all(it.exists() for it in places)
    assert open_to_others(*places) == []


@pytest.mark.timeout(120)
def test_what_a_killed_run_left_goes_with_the_next(server: ApiServer, tmp_path: Path) -> None:
    """Its folder with a kubeconfig is named for a process that is gone."""
    place = "import tempfile; from tasks.connectors import scratch; print(scratch.made())"
    made = subprocess.run(
        [sys.executable, "-c", place],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    left = Path(made.stdout.strip())
    (left / "kubeconfig").write_text(TOKEN)
    assert left.parent == tmp_path != Path(tempfile.gettempdir())
    kubeconfig = clone(tmp_path / "clone", server, {}, {})
    ended = fresh(
        tmp_path / "clone",
        ("inventory/prod.py", "deploys/status.py"),
        KUBECONFIG=str(kubeconfig),
        TMPDIR=str(tmp_path),
    )
    assert ended.code in (0, 1, 3), ended.text
    assert not left.exists()
