"""The plan of the whole fleet, as the command line prints it and a run keeps it."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.fleet.inventory import parsed
from tasks.fleet.plan import write
from tasks.fleet.run import Run
from tests.api_server import ApiServer
from tests.command_line import CommandLine, Outcome

ROOT = Path(__file__).parents[2]
NAMES = ("weu-1", "weu-2", "weu-3", "neu-1")
#: weu-3 has nothing to do and neu-1 cannot be planned; a chart is rendered for the other two.
CHANGE = """
import os
from pathlib import Path
from pyinfra import host
from pyinfra.api.exceptions import DeployError
from tasks.connectors.command import KubeCommand
from tasks.fleet.charts import Chart
from tasks.fleet.guard import fleet_operation
from tasks.operations import helm
from tasks.operations.kube import show

INSTALLED = "{apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {a: '1'}}"

@fleet_operation()
def change():
    if host.name == "weu-3":
        return
    if host.name == "neu-1":
        raise DeployError("Envoy Gateway is not installed")
    chart = Chart("gateway-helm", "1.9.1", "sha256:5f3c", Path("/charts/it.tgz"))
    lines = helm.difference(INSTALLED, "eg", chart, {"a": 1}, "eg", os.environ["HELM"])
    show("Will upgrade release eg/eg to 1.9.1", lines)
    yield KubeCommand("GET", "/version")

change(name="Change")
"""
HELM = """#!/bin/sh
echo "$@" >> "$0.log"
cat >> "$0.log"
echo "{apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {a: '2'}}"
"""
DIFF = [
    "change ConfigMap one",
    "@@ -1,5 +1,5 @@",
    "apiVersion: v1",
    "data:",
    "- a: '1'",
    "+ a: '2'",
    "kind: ConfigMap",
    "metadata:",
]
TITLE = "Will upgrade release eg/eg to 1.9.1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    (folder / "inventory").mkdir(parents=True)
    (folder / "deploys").mkdir()
    data = {"ring": 0, "envoy_gateway_version": "1.9.1", "max_failed": 1}
    hosts = [(f"@kube/{it}", data) for it in NAMES]
    (folder / "inventory/prod.py").write_text(f"clusters = {hosts!r}")
    (folder / "deploys/change.py").write_text(CHANGE)
    shutil.copy(ROOT / "config.py", folder)
    (folder / "helm").write_text(HELM)
    (folder / "helm").chmod(0o755)
    return folder


def ran(command_line: CommandLine, server: ApiServer, folder: Path, *options: str) -> Outcome:
    for name in NAMES:
        server.cluster(name)
    kubeconfig = server.write_kubeconfig(folder / "kubeconfig", *NAMES)
    arguments = ("inventory/prod.py", "deploys/change.py", *options)
    helm = str(folder / "helm")
    return command_line.run(folder, arguments, KUBECONFIG=str(kubeconfig), HELM=helm)


def plan(ended: Outcome) -> list[str]:
    lines = [" ".join(it.split()) for it in ended.text.splitlines()]
    return [it for it in lines[lines.index("--> Plan:") + 1 :] if it and "-->" not in it]


def test_equal_plans_are_one(
    command_line: CommandLine, api_server: ApiServer, folder: Path
) -> None:
    ended = ran(command_line, api_server, folder, "--dry", "--diff")
    assert plan(ended)[:12] == [
        "2 clusters (weu-1, weu-2): same change",
        TITLE,
        *DIFF,
        "1 cluster (weu-3): nothing to do",
        "neu-1: stopped: Envoy Gateway is not installed",
    ]
    assert ended.code == 1
    assert (folder / "helm.log").read_text() == (
        "template eg /charts/it.tgz --namespace eg --kube-version 1.35.4 --no-hooks --values - "
        '--is-upgrade\n{"a": 1}'
    )
    assert not (folder / "runs").exists()


def test_without_diff_the_titles_alone(
    command_line: CommandLine, api_server: ApiServer, folder: Path
) -> None:
    ended = ran(command_line, api_server, folder, "--dry")
    assert plan(ended)[:4] == [
        "2 clusters (weu-1, weu-2): same change",
        TITLE,
        "1 cluster (weu-3): nothing to do",
        "neu-1: stopped: Envoy Gateway is not installed",
    ]
    assert not (folder / "helm.log").exists()


def test_what_a_run_did_is_kept(
    command_line: CommandLine, api_server: ApiServer, folder: Path
) -> None:
    ended = ran(command_line, api_server, folder, "-y", "--diff")
    assert "--> Plan:" not in ended.text
    assert f"[weu-1] {TITLE}" in ended.lines
    [run] = (folder / "runs").iterdir()
    path = run / "plan.json"
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    document: dict[str, Any] = json.loads(path.read_text())
    assert (document["schema"], document["deploy"]) == ("envoyfleet.plan/1", "change")
    changes = {it["name"]: it["changes"] for it in document["clusters"]}
    assert changes["weu-3"] == []
    assert changes["weu-1"] == changes["weu-2"]
    [change] = changes["weu-1"]
    assert (change["title"], change["diff"][0]) == (TITLE, DIFF[0])


def test_a_chart_that_cannot_be_rendered_stops_its_cluster(
    command_line: CommandLine, api_server: ApiServer, folder: Path
) -> None:
    (folder / "helm").write_text("#!/bin/sh\necho 'Error: values do not fit' >&2\nexit 1\n")
    ended = ran(command_line, api_server, folder, "--dry", "--diff")
    why = "helm template it.tgz: Error: values do not fit"
    assert f"weu-1 0 failed {why} 0 s" in ended.lines


def test_what_a_run_was_going_to_do_outlives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = parsed({"ring": 0, "envoy_gateway_version": "1.9.1"})
    clusters = {"weu-1": data, "weu-2": data}
    begun = datetime(2026, 11, 21, 15, tzinfo=UTC)
    first = Run("upgrade", "inventory/prod.py", (), begun, clusters=clusters)
    first.folder.mkdir(parents=True)
    first.plan = {"weu-1": [("first", ("+a",))], "weu-2": [("first", ())]}
    write(first)
    again = Run("upgrade", "inventory/prod.py", (), begun, clusters=clusters)
    again.plan = {"weu-2": [("second", ())]}
    write(again)
    document = json.loads((again.folder / "plan.json").read_text())
    assert {it["name"]: it["changes"] for it in document["clusters"]} == {
        "weu-1": [{"title": "first", "diff": ["+a"]}],
        "weu-2": [{"title": "second", "diff": []}],
    }
